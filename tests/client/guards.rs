//! Settings that restrict recording: trust, sampling, redaction.

use opik_edge::client::{Client, Settings};
use opik_edge::record::Field;
use serde_json::{Value, json};

use crate::fake::Fake;

const TRACE: &str = "019ab5c0-7c00-7a11-8a11-0123456789ab";
const PARENT: &str = "019ab5c0-7c01-7a11-9a11-0123456789ab";
const CALLER: [(&str, &str); 2] = [("opik_trace_id", TRACE), ("opik_parent_span_id", PARENT)];

fn client(fake: &Fake, variables: &[(&str, &str)]) -> Client<Fake> {
    let settings = Settings::from_env(|name| {
        let url = ("OPIK_URL_OVERRIDE", "http://opik.test/api");
        variables.iter().chain([&url]).find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    });
    Client::new(fake.clone(), settings)
}

/// The rows of a root for `caller`, and the headers that it hands on.
fn record(
    fake: &Fake,
    client: &Client<Fake>,
    caller: &[(&str, &str)],
    value: &Value,
) -> (Vec<Value>, Vec<(String, String)>) {
    let mut root = client.open("root", caller);
    root.input(value).output(value).metadata(value);
    let delivered = root.delivered();
    let mut headers = Vec::new();
    root.begin("child").inject(&mut headers);
    drop(root);
    let before = fake.requests().len();
    fake.run(delivered);
    (fake.requests()[before..].iter().flat_map(|made| made.rows().clone()).collect(), headers)
}

#[test]
fn a_caller_without_trust_is_named_in_a_new_trace() {
    for (value, joins) in [("always", true), ("ALWAYS", true), ("never", false), ("nobody", false), ("", true)] {
        let fake = Fake::new();
        let client = client(&fake, &[("OPIK_EDGE_TRUST", value)]);
        for _ in 0..2 {
            let (rows, headers) = record(&fake, &client, &CALLER, &json!({}));
            let root = rows.iter().find(|row| row["name"] == "root" && row["trace_id"] != Value::Null).unwrap();
            assert_eq!(root["trace_id"] == TRACE, joins, "{value}");
            assert_eq!(headers.iter().any(|(_, id)| id == TRACE), joins, "{value}");
        }
        let warnings = fake.warnings().iter().filter(|warning| warning.contains("not trusted")).count();
        assert_eq!(warnings, usize::from(!joins), "{value}: once");
    }
    let fake = Fake::new();
    let client = client(&fake, &[("OPIK_EDGE_TRUST", "never")]);
    for (caller, untrusted) in [
        (&CALLER[..], json!({"opik_edge_untrusted": {"traceId": TRACE, "spanId": PARENT}})),
        (&CALLER[..1], json!({"opik_edge_untrusted": {"traceId": TRACE}})),
        (&[], Value::Null),
        (&[("opik_trace_id", "garbage")], Value::Null),
    ] {
        let root = client.open("root", caller);
        let delivered = root.delivered();
        drop(root);
        let before = fake.requests().len();
        fake.run(delivered);
        for row in fake.requests()[before..].iter().flat_map(|made| made.rows().clone()) {
            assert_eq!(row["metadata"], untrusted);
        }
    }
}

#[test]
fn a_sample_holds_whole_traces() {
    for (rate, recorded) in
        [("1", true), ("1.0", true), ("0", false), (".0", false), ("0.0000001", false), ("1.", true)]
    {
        let fake = Fake::new();
        let client = client(&fake, &[("OPIK_EDGE_SAMPLE_RATE", rate)]);
        let (rows, headers) = record(&fake, &client, &[], &json!({}));
        assert_eq!((rows.len(), headers.len()), if recorded { (3, 4) } else { (0, 0) }, "{rate}");
        let (rows, headers) = record(&fake, &client, &CALLER, &json!({}));
        assert_eq!((rows.len(), headers.len()), (2, 4), "{rate}: a joined trace is always recorded");
        assert_eq!(fake.warnings(), [""; 0], "{rate}");
    }
    for rate in ["2", "1.000001", "-0.5", "half", "0.5.5", ".", "1e-3", "99999999999"] {
        let fake = Fake::new();
        let client = client(&fake, &[("OPIK_EDGE_SAMPLE_RATE", rate)]);
        assert_eq!(record(&fake, &client, &[], &json!({})).0.len(), 0, "{rate}");
        assert!(fake.warnings()[0].contains("OPIK_EDGE_SAMPLE_RATE"), "{rate}: {:?}", fake.warnings());
    }
}

#[test]
fn a_share_is_kept_by_the_ids_themselves() {
    let settings = |per_million| Settings {
        url: "http://opik.test".into(),
        sampled_per_million: per_million,
        ..Settings::default()
    };
    for (bits, in_half) in [(0_u32, true), (u32::MAX, true)] {
        let fake = Fake::new();
        fake.random_bits(bits);
        let root = Client::new(fake.clone(), settings(500_000)).begin("root");
        assert_eq!(root.trace_id().is_sampled(1 << 52), in_half, "the last bytes count, which are the same here");
    }
}

#[test]
fn secrets_are_removed_by_name_at_any_depth() {
    let fake = Fake::new();
    let client = client(&fake, &[("OPIK_EDGE_REDACT", " password, Token ,,items")]);
    let value = json!({
        "PassWord": "hunter2", "token": {"a": ["hunter2", "}\"]"]}, "items": [1, {"x": "hunter2"}],
        "kept": [{"password": null}, "password", {"deep": {"TOKEN": 1.5, "after": "kept"}}],
        "text": "\"password\":\"said, not a member\"", "\"": "\\", "passwords": 1,
    });
    let shown = json!({
        "PassWord": "[redacted]", "token": "[redacted]", "items": "[redacted]",
        "kept": [{"password": "[redacted]"}, "password", {"deep": {"TOKEN": "[redacted]", "after": "kept"}}],
        "text": "\"password\":\"said, not a member\"", "\"": "\\", "passwords": 1,
    });
    let (rows, _) = record(&fake, &client, &[], &value);
    let roots: Vec<_> = rows.iter().filter(|row| row["name"] == "root").collect();
    assert_eq!(roots.len(), 2, "the trace's row too");
    for row in roots {
        for field in ["input", "output", "metadata"] {
            assert_eq!(row[field], shown, "{field}");
        }
    }
}

#[test]
fn a_name_is_found_in_every_spelling_of_json() {
    let fake = Fake::new();
    let client = client(&fake, &[("OPIK_EDGE_REDACT", "token,tab\tname,schlüssel,a/b,😀key")]);
    let spelt = |names: &[&str]| -> String {
        let members: Vec<_> = names.iter().map(|name| format!(r#""{name}":"hunter2""#)).collect();
        format!("{{{}}}", members.join(","))
    };
    let hidden = [
        r"\u0074oken",
        r"\u0054O\u004bEN",
        r"tab\tname",
        r"tab\u0009NAME",
        r"schl\u00FCssel",
        r"a\/b",
        r"\uD83D\ude00key",
        "😀KEY",
    ];
    let kept = [r"\u0074okens", r"\u0074oke", r"to\\u006ben", r"tab\nname"];
    for (names, count) in [(&hidden[..], 0), (&kept[..], kept.len())] {
        let mut root = client.begin("root");
        root.set(Field::Input, &spelt(names)).unwrap();
        let delivered = root.delivered();
        drop(root);
        fake.run(delivered);
        let made = fake.requests().pop().unwrap();
        let input = made.rows()[0]["input"].to_string();
        assert_eq!(input.matches("hunter2").count(), count, "{input}");
        assert_eq!(input.matches("[redacted]").count(), names.len() - count, "{input}");
    }
}

#[test]
fn paths_are_shown_without_their_secrets() {
    let fake = Fake::new();
    let client = client(&fake, &[("OPIK_EDGE_REDACT", "/reset/*,/users/*/orders/*,secret,/a/*/c,/a/b/*")]);
    for (path, shown) in [
        ("/reset/x", "/reset/*"),
        ("/reset/x/y", "/reset/*/y"),
        ("/reset", "/reset"),
        ("/reset/", "/reset/*"),
        ("/resets/x", "/resets/x"),
        ("/users/7/orders/8/items", "/users/*/orders/*/items"),
        ("/users/7/carts/8", "/users/7/carts/8"),
        ("/a/b/c", "/a/*/*"),
        ("/", "/"),
        ("secret", "secret"),
    ] {
        assert_eq!(client.shown(path), shown, "{path}");
    }
}
