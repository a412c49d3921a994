//! W3C Trace Context in a client: the vectors of the core show the rules of the format.

use opik_edge::client::{Client, Settings};
use serde_json::{Value, from_str, json};

use crate::fake::Fake;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

type Headers = Vec<(String, String)>;

fn client(fake: &Fake, propagation: &str, more: &[(&str, &str)]) -> Client<Fake> {
    let own = [("OPIK_URL_OVERRIDE", "http://opik.test/api"), ("OPIK_EDGE_PROPAGATION", propagation)];
    let settings = Settings::from_env(|name| {
        own.iter().chain(more).find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    });
    Client::new(fake.clone(), settings)
}

/// The row of the root for `caller`, and `headers` after they have been injected.
fn record(client: &Client<Fake>, fake: &Fake, caller: &[(&str, &str)], mut headers: Headers) -> (Value, Headers) {
    let root = client.open("root", caller);
    root.inject(&mut headers);
    let delivered = root.delivered();
    drop(root);
    let before = fake.requests().len();
    fake.run(delivered);
    let rows: Vec<_> = fake.requests()[before..].iter().flat_map(|made| made.rows().clone()).collect();
    (rows.into_iter().find(|row| !row["trace_id"].is_null()).unwrap_or_default(), headers)
}

fn value<'a>(headers: &'a Headers, name: &str) -> &'a str {
    let values: Vec<_> = headers.iter().filter(|(key, _)| key == name).collect();
    assert!(values.len() <= 1, "{headers:?}");
    values.first().map_or("", |(_, value)| value)
}

fn digits(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap().replace('-', "")
}

#[test]
fn each_choice_is_written() {
    for (propagation, expected) in [
        ("", [true, false, false]),
        ("opik", [true, false, false]),
        ("w3c", [false, true, false]),
        ("opik, w3c", [true, true, false]),
        ("w3c,baggage,opik", [true, true, true]),
        ("opik,baggage", [true, false, true]),
    ] {
        let fake = Fake::new();
        let (row, headers) = record(&client(&fake, propagation, &[]), &fake, &[], Vec::new());
        let written = ["opik-trace-id", "tracestate", "baggage"].map(|name| !value(&headers, name).is_empty());
        assert_eq!(written, expected, "{propagation}");
        if expected[1] {
            let (trace, span) = (digits(&row, "trace_id"), digits(&row, "id"));
            assert_eq!(value(&headers, "traceparent"), format!("00-{trace}-{}-01", &span[16..]));
            assert_eq!(value(&headers, "tracestate"), format!("opik={trace}{span}"));
        }
    }
    for wrong in ["b3", "baggage", "W3C", "opik w3c", ","] {
        let fake = Fake::new();
        assert_eq!(record(&client(&fake, wrong, &[]), &fake, &[], Vec::new()).0, Value::Null, "{wrong}");
        assert!(fake.warnings()[0].contains("OPIK_EDGE_PROPAGATION"), "{wrong}");
    }
}

#[test]
fn a_foreign_trace_goes_on_and_its_ids_are_recorded() {
    let fake = Fake::new();
    let client = client(&fake, "w3c", &[]);
    let caller = [("traceparent", TRACEPARENT), ("tracestate", "congo=1"), ("TraceState", "rojo=2")];
    let (row, headers) = record(&client, &fake, &caller, Vec::new());
    assert_eq!(row["metadata"], json!({"w3c.trace_id": TRACE_ID, "w3c.parent_id": "b7ad6b7169203331"}));
    assert_eq!(value(&headers, "traceparent"), format!("00-{TRACE_ID}-{}-01", &digits(&row, "id")[16..]));
    let (trace, span) = (digits(&row, "trace_id"), digits(&row, "id"));
    assert_eq!(value(&headers, "tracestate"), format!("opik={trace}{span},congo=1,rojo=2"));

    // The next of our services joins, also behind a service that gave another parent id.
    for traceparent in [value(&headers, "traceparent"), TRACEPARENT] {
        let caller = [("traceparent", traceparent), ("tracestate", value(&headers, "tracestate"))];
        let (next, _) = record(&client, &fake, &caller, Vec::new());
        assert_eq!((&next["trace_id"], &next["parent_span_id"]), (&row["trace_id"], &row["id"]));
        assert_eq!(next["metadata"].is_null(), traceparent != TRACEPARENT);
    }
    let (alone, _) = record(&crate::w3c::client(&fake, "opik", &[]), &fake, &caller, Vec::new());
    assert_eq!(alone["metadata"], Value::Null, "trace contexts are read with w3c alone");
}

#[test]
fn the_context_of_somebody_else_on_the_call_stays() {
    let fake = Fake::new();
    let client = client(&fake, "w3c,baggage", &[]);
    let other = "00-abababababababababababababababab-cdcdcdcdcdcdcdcd-01";
    let own = [("Traceparent", other), ("Tracestate", "mine=1"), ("Baggage", "user=7")];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let (row, headers) = record(&client, &fake, &[("traceparent", TRACEPARENT)], own);
    assert_eq!(value(&headers, "traceparent"), other);
    assert!(value(&headers, "tracestate").ends_with(",mine=1"));
    let ids =
        format!("opik.trace_id={},opik.span_id={}", row["trace_id"].as_str().unwrap(), row["id"].as_str().unwrap());
    assert_eq!(value(&headers, "baggage"), format!("{ids},user=7"));
}

#[test]
fn an_unrecorded_context_goes_on_as_it_came() {
    let sampled_out = [("OPIK_EDGE_SAMPLE_RATE", "0")];
    let disabled = [("OPIK_TRACK_DISABLE", "true")];
    let nothing = [];
    for (traceparent, more) in [(UNSAMPLED, &nothing[..]), (TRACEPARENT, &sampled_out), (TRACEPARENT, &disabled)] {
        let fake = Fake::new();
        let client = client(&fake, "opik,w3c", more);
        let caller = [("traceparent", traceparent), ("tracestate", "congo=1, rojo=2")];
        let (row, headers) = record(&client, &fake, &caller, Vec::new());
        assert_eq!(row, Value::Null);
        let names: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(names, caller);
        let (_, headers) = record(&client, &fake, &[], Vec::new());
        assert_eq!(headers.is_empty(), !more.is_empty(), "nothing came in");
    }
    let fake = Fake::new();
    let caller = [("traceparent", UNSAMPLED), ("tracestate", "in valid")];
    let (_, headers) = record(&client(&fake, "w3c", &[]), &fake, &caller, Vec::new());
    assert_eq!(headers, [("traceparent".to_owned(), UNSAMPLED.to_owned())]);
    let caller = [("traceparent", "00-zz"), ("tracestate", "congo=1")];
    let (_, headers) = record(&client(&fake, "w3c", &sampled_out), &fake, &caller, Vec::new());
    assert_eq!(headers, [], "an invalid context is not sent on");
}

#[test]
fn trust_holds_for_a_trace_context_too() {
    let fake = Fake::new();
    let client = client(&fake, "w3c", &[("OPIK_EDGE_TRUST", "never")]);
    let caller = [("traceparent", TRACEPARENT), ("tracestate", "congo=1")];
    let (row, headers) = record(&client, &fake, &caller, Vec::new());
    assert_eq!(row["metadata"], Value::Null);
    assert_eq!(value(&headers, "traceparent")[3..35], digits(&row, "trace_id"));
    assert!(!value(&headers, "tracestate").contains("congo"));
    let forwarded = caller.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let (row, headers) = record(&client, &fake, &caller, forwarded);
    assert_eq!(value(&headers, "traceparent")[3..35], digits(&row, "trace_id"));
    assert!(!value(&headers, "tracestate").contains("congo"));
}

#[test]
fn the_vectors_are_read_alike() {
    let file: Value = from_str(include_str!("../vectors/w3c.json")).unwrap();
    let fake = Fake::new();
    let client = client(&fake, "w3c", &[("OPIK_EDGE_SAMPLE_RATE", "1")]);
    for vector in file["in"].as_array().unwrap().iter().filter(|vector| vector["trace_id"].is_null()) {
        let given = vector["given"].as_object().unwrap();
        let caller: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let root = client.open("root", &caller);
        let is_unsampled = vector["link"].as_str().unwrap().starts_with("unsampled");
        assert_eq!(root.is_recorded(), !is_unsampled, "{}", vector["name"]);
    }
}
