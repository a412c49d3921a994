//! Spans: when they end, what they have, and what travels on.

use std::fmt;

use opik_edge::client::{Answer, Client, Extract, Platform, Request, Settings};
use opik_edge::record::SpanType;
use serde_json::{Value, json};

use crate::fake::{Fake, Made, Reply};

const TRACE: &str = "019ab5c0-7c00-7a11-8a11-0123456789ab";
const PARENT: &str = "019ab5c0-7c01-7a11-9a11-0123456789ab";
const CALLER: [(&str, &str); 2] = [("Opik-Trace-Id", TRACE), ("Opik-Parent-Span-Id", PARENT)];

fn settings() -> Settings {
    Settings {
        url: "http://opik.test/api/".into(),
        api_key: "the-key".into(),
        workspace: "team".into(),
        ..Settings::default()
    }
}

fn client(fake: &Fake) -> Client<Fake> {
    Client::new(fake.clone(), settings())
}

/// The row of this name.
fn row(requests: &[Made], path: &str, name: &str) -> Value {
    let rows = requests.iter().filter(|made| made.url.ends_with(path)).flat_map(Made::rows);
    let found: Vec<_> = rows.filter(|row| row["name"] == name).collect();
    assert_eq!(found.len(), 1, "{name}");
    found[0].clone()
}

#[derive(Debug)]
struct NotFound(u16);

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from the model", self.0)
    }
}

#[test]
fn a_recording_is_one_tree() {
    let fake = Fake::new();
    let root = client(&fake).open("POST /ask", &CALLER);
    let delivered = root.delivered();
    let mut outer = root.begin("outer");
    outer.kind(SpanType::Tool);
    let inner = outer.begin("inner");
    let mut headers = vec![("OPIK_TRACE_ID".to_owned(), "the caller's".to_owned())];
    inner.inject(&mut headers);
    fake.advance(5);
    drop(outer); // a parent may end before its child
    drop(root);
    drop(inner);
    let report = fake.run(delivered);
    assert_eq!((report.sent, report.requests), (3, 1), "the trace's row is the caller's");

    let requests = fake.requests();
    let [root, outer, inner] = ["POST /ask", "outer", "inner"].map(|name| row(&requests, "/spans/batch", name));
    assert_eq!((&root["trace_id"], &root["parent_span_id"]), (&json!(TRACE), &json!(PARENT)));
    assert_eq!((&outer["parent_span_id"], &outer["type"]), (&root["id"], &json!("tool")));
    assert_eq!((&inner["parent_span_id"], &inner["trace_id"]), (&outer["id"], &json!(TRACE)));
    assert_eq!(headers.len(), 4, "{headers:?}");
    for name in ["opik_trace_id", "opik-trace-id"] {
        assert!(headers.contains(&(name.into(), TRACE.into())), "{name}");
    }
    for name in ["opik_parent_span_id", "opik-parent-span-id"] {
        assert!(headers.contains(&(name.into(), inner["id"].as_str().unwrap().into())), "{name}");
    }
    assert_eq!(requests[0].url, "http://opik.test/api/v1/private/spans/batch");
    for header in [("authorization", "the-key"), ("comet-workspace", "team"), ("content-type", "application/json")] {
        assert!(requests[0].headers.contains(&(header.0, header.1.into())), "{header:?}");
    }
}

#[test]
fn an_error_is_the_spans_and_goes_on() {
    let fake = Fake::new();
    let mut root = client(&fake).begin("root");
    let delivered = root.delivered();
    let result = fake.run(async move {
        let result = root
            .run("llm", async |span| {
                span.model("m");
                span.run("fetch", async |_| Err::<(), _>(NotFound(404))).await
            })
            .await;
        if let Err(error) = &result {
            root.error("worker::Error", &error.to_string());
        }
        result
    });
    assert_eq!(result.unwrap_err().0, 404);
    fake.run(delivered);
    let requests = fake.requests();
    for name in ["llm", "fetch"] {
        let error = &row(&requests, "/spans/batch", name)["error_info"];
        assert_eq!(
            (&error["exception_type"], &error["message"]),
            (&json!("client::NotFound"), &json!("404 from the model"))
        );
    }
    for path in ["/spans/batch", "/traces/batch"] {
        assert_eq!(row(&requests, path, "root")["error_info"]["exception_type"], "worker::Error");
    }
}

#[test]
fn an_early_return_and_a_future_that_is_dropped_end_their_spans() {
    let fake = Fake::new();
    let root = client(&fake).begin("root");
    let delivered = root.delivered();
    let hanging = root.run("hangs", async |_| {
        std::future::pending::<()>().await;
        Ok::<_, NotFound>(())
    });
    let mut hanging = Box::pin(hanging);
    assert!(hanging.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
    drop(hanging);
    drop(root);
    assert_eq!(fake.run(delivered).sent, 3);
    let hangs = row(&fake.requests(), "/spans/batch", "hangs");
    assert!(hangs["end_time"].is_string() && hangs.get("error_info").is_none(), "{hangs}");
}

#[test]
fn a_panic_is_an_error_of_every_span_that_it_passes() {
    let fake = Fake::new();
    let root = client(&fake).begin("root");
    let delivered = root.delivered();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let (_root, _step) = (root.begin("step"), root);
        panic!("as it may happen");
    }));
    assert!(result.is_err());
    assert_eq!(fake.run(delivered).sent, 3);
    for name in ["root", "step"] {
        assert_eq!(row(&fake.requests(), "/spans/batch", name)["error_info"]["exception_type"], "panic", "{name}");
    }
}

#[test]
fn spans_that_outlive_their_root_are_delivered_when_they_end() {
    let fake = Fake::new();
    let root = client(&fake).begin("root");
    let late = root.begin("late");
    let delivered = root.delivered();
    drop(root);
    fake.spawn(async move {
        assert_eq!(delivered.await.sent, 3);
    });
    fake.advance(50_000);
    assert_eq!(fake.requests().len(), 2, "the root does not wait");
    drop(late);
    assert_eq!(fake.advance(0), 0);
    assert_eq!(fake.requests()[2].names(), ["late"]);
}

#[test]
fn what_nobody_delivers_is_told_of() {
    let fake = Fake::new();
    let client = client(&fake);
    drop(client.open("GET /", &CALLER).begin("step"));
    assert_eq!(fake.warnings(), ["2 rows are lost: nobody waited for the delivery"]);
    assert!(fake.requests().is_empty());
}

#[test]
fn a_delivery_that_is_dropped_midway_loses_nothing() {
    let fake = Fake::new();
    let root = client(&fake).open("root", &CALLER);
    drop(root.begin("step"));
    fake.answer([Reply { after_ms: 1_000, ..Reply::of(204) }], Reply::of(204));
    let mut flushing = Box::pin(root.flush(10_000));
    assert!(flushing.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
    drop(flushing);
    let report = fake.run(root.flush(10_000));
    assert_eq!((report.sent, report.retried, report.requests), (1, 1, 1));
}

#[test]
fn garbled_headers_begin_a_trace_and_are_told_of() {
    let fake = Fake::new();
    let root = client(&fake).open("GET /", &[("opik_trace_id", "garbage")]);
    assert_ne!(root.trace_id().to_string(), TRACE);
    assert_eq!(fake.warnings(), ["trace headers: trace_not_uuid"]);
}

#[test]
fn a_client_that_is_disabled_hands_the_callers_ids_on() {
    for wrong in [
        Settings { is_disabled: true, ..settings() },
        Settings { url: "ftp://opik.test".into(), ..settings() },
        Settings { url: "http://me:secret@opik.test".into(), ..settings() },
        Settings { url: "http://www.comet.com/opik/api".into(), ..settings() },
        Settings { url: "https://www.comet.com./opik/api".into(), api_key: String::new(), ..settings() },
        Settings { api_key: "key\nx: y".into(), ..settings() },
        Settings { workspace: "Grüße".into(), ..settings() },
        Settings { environment: "x".repeat(151), ..settings() },
    ] {
        let fake = Fake::new();
        let warned = usize::from(!wrong.is_disabled);
        let client = Client::new(fake.clone(), wrong);
        assert_eq!(fake.warnings().len(), warned, "{:?}", fake.warnings());
        let root = client.open("GET /", &CALLER);
        let delivered = root.delivered();
        let mut headers = Vec::new();
        root.begin("step").inject(&mut headers);
        let [.., parent] = &headers[..] else { panic!("{headers:?}") };
        assert_eq!(parent.1, PARENT);
        let mut none = Vec::new();
        client.begin("no caller").inject(&mut none);
        assert!(none.is_empty(), "{none:?}");
        drop(root);
        assert_eq!(fake.run(delivered).requests, 0);
        assert_eq!((fake.requests().len(), fake.warnings().len()), (0, warned));
    }
}

#[test]
fn settings_come_from_variables() {
    let given = |name: &str| {
        let value = match name {
            "OPIK_URL_OVERRIDE" => "https://opik.test/api//?x#y",
            "OPIK_API_KEY" => " the-key\n",
            "OPIK_WORKSPACE" => "",
            "OPIK_ENVIRONMENT" => "staging",
            "OPIK_TRACK_DISABLE" => "off",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let settings = Settings::from_env(given);
    assert_eq!((settings.api_key.as_str(), settings.workspace.as_str()), ("the-key", "default"));
    assert_eq!((settings.project_name.as_str(), settings.is_disabled), ("Default Project", false));
    assert_eq!(settings.problem(), None);
    assert!(!format!("{settings:?}").contains("the-key"));
    assert!(Settings::from_env(|name| (name == "OPIK_TRACK_DISABLE").then(|| "True".to_owned())).is_disabled);

    let fake = Fake::new();
    let mut root = Client::new(fake.clone(), settings).begin("root");
    root.project_name("of the root").thread_id("conversation").input("hello");
    let delivered = root.delivered();
    drop(root);
    fake.run(delivered);
    let requests = fake.requests();
    assert_eq!(requests[0].url, "https://opik.test/api/v1/private/traces/batch");
    let trace = row(&requests, "/traces/batch", "root");
    assert_eq!(trace["project_name"], "of the root");
    assert_eq!((&trace["thread_id"], &trace["environment"]), (&json!("conversation"), &json!("staging")));
}

#[test]
fn repeated_headers_are_joined() {
    let headers = vec![("opik_trace_id", "first"), ("OPIK_TRACE_ID", "last")];
    assert_eq!(headers.value("opik_trace_id").unwrap(), b"first,last".as_slice());
    assert_eq!(headers.value("opik-trace-id"), None);
}

/// A platform of many threads.
struct Threads;

impl Platform for Threads {
    fn now_ms(&self) -> u64 {
        0
    }
    fn random(&self) -> [u8; 12] {
        [0; 12]
    }
    async fn post(&self, _: Request<'_>) -> Option<Answer> {
        None
    }
    async fn sleep(&self, _: u64) {}
    fn warn(&self, _: &str) {}
}

#[test]
fn where_the_platform_may_change_threads_so_may_all_that_it_carries() {
    fn sent<T: Send + 'static>(value: T) -> T {
        std::thread::spawn(move || value).join().unwrap()
    }
    let root = sent(Client::new(Threads, settings())).begin("root");
    drop(sent(root.flush(0)));
    let delivered = sent(root.delivered());
    drop(sent(root));
    assert_eq!(pollster::block_on(delivered).dropped.len(), 1);
}

#[cfg(feature = "http")]
#[test]
fn the_headers_of_the_crate_http_carry_a_trace() {
    let mut headers = http::HeaderMap::new();
    headers.append("opik_trace_id", http::HeaderValue::from_static(TRACE));
    headers.append("opik_trace_id", http::HeaderValue::from_static(TRACE));
    headers.insert("opik_parent_span_id", http::HeaderValue::from_static(PARENT));
    let fake = Fake::new();
    let root = client(&fake).open("GET /", &headers);
    assert_eq!(root.trace_id().to_string(), TRACE);
    root.inject(&mut headers);
    assert_eq!(headers.get_all("opik_trace_id").iter().count(), 1, "set, and not appended");
    assert_eq!(headers["opik-parent-span-id"], root.id().to_string());
    opik_edge::client::Inject::set(&mut headers, "opik_trace_id", "no\nvalue");
    assert_eq!(headers["opik_trace_id"], TRACE, "what is no value of a header is none");
}
