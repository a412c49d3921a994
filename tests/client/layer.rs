//! The layer for `tracing`: the spans that it records.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use opik_edge::client::{Answer, Client, Platform, Report, Request, Root, Settings};
use opik_edge::tracing::{OpikLayer, open_under};
use serde_json::{Value, json};
use tracing::{Dispatch, Instrument, dispatcher, error, info, info_span, warn};
use tracing_subscriber::layer::SubscriberExt;

/// A platform for several threads. Its clock counts its calls.
#[derive(Clone, Default)]
struct Kept {
    clock: Arc<AtomicU64>,
    rows: Arc<Mutex<Vec<Value>>>,
}

impl Platform for Kept {
    fn now_ms(&self) -> u64 {
        1_800_000_000_000 + self.clock.fetch_add(1, Ordering::Relaxed)
    }
    fn random(&self) -> [u8; 12] {
        [7; 12]
    }
    async fn post(&self, request: Request<'_>) -> Option<Answer> {
        let body: Value = serde_json::from_slice(request.body).unwrap();
        if let Some(spans) = body["spans"].as_array() {
            self.rows.lock().unwrap().extend(spans.iter().cloned());
        }
        Some(Answer { status: 204, headers: Vec::new() })
    }
    async fn sleep(&self, _: u64) {
        std::future::pending::<()>().await;
    }
    fn warn(&self, message: &str) {
        panic!("{message}");
    }
}

type Task = Pin<Box<dyn Future<Output = Report> + Send>>;

/// A subscriber with the layer, and its output.
struct Traced {
    kept: Kept,
    client: Client<Kept>,
    delivered: Arc<Mutex<Vec<Task>>>,
    dispatch: Dispatch,
}

impl Traced {
    fn new() -> Self {
        let (kept, delivered) = (Kept::default(), Arc::<Mutex<Vec<Task>>>::default());
        let client = Client::new(kept.clone(), Settings { url: "http://opik.test".into(), ..Settings::default() });
        let tasks = Arc::clone(&delivered);
        let on_root = move |root: &Root<Kept>| tasks.lock().unwrap().push(Box::pin(root.delivered()));
        let layer = OpikLayer::new(client.clone(), on_root);
        Self { kept, client, delivered, dispatch: Dispatch::new(tracing_subscriber::registry().with(layer)) }
    }

    /// Delivers all roots and returns the rows of their spans.
    fn rows(&self) -> Vec<Value> {
        for task in self.delivered.lock().unwrap().drain(..) {
            pollster::block_on(task);
        }
        self.kept.rows.lock().unwrap().clone()
    }

    fn row(&self, name: &str) -> Value {
        let rows = self.rows();
        let found: Vec<_> = rows.iter().filter(|row| row["name"] == name).collect();
        assert_eq!(found.len(), 1, "{name} in {rows:?}");
        found[0].clone()
    }
}

/// Is pending once.
async fn turn() {
    let mut was_polled = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut was_polled, true) { Poll::Ready(()) } else { Poll::Pending })
        .await;
}

#[test]
fn fields_go_where_they_belong() {
    let traced = Traced::new();
    dispatcher::with_default(&traced.dispatch, || {
        let span = info_span!(
            "llm",
            kind = "llm",
            "gen_ai.response.model" = "answered",
            "gen_ai.request.model" = "asked",
            "gen_ai.system" = "openai",
            input = r#"[{"role":"user"}]"#,
            output = tracing::field::Empty,
            "usage.total_tokens" = 51,
            "gen_ai.usage.input_tokens" = 42_u64,
            "gen_ai.usage.output_tokens" = 9_u64,
            ttft = 120,
            total_estimated_cost = 0.25,
            temperature = 0.5,
            is_cached = false,
            tenant = ?Some("a"),
        );
        span.record("output", "not {json");
        span.in_scope(|| info!("no field of it"));
        drop(span);
        drop(info_span!("tool", "gen_ai.operation.name" = "execute_tool", kind = "of another kind"));
        drop(info_span!("chat", "gen_ai.operation.name" = "chat"));
        drop(info_span!("agent", "gen_ai.operation.name" = "invoke_agent"));
    });
    let llm = traced.row("llm");
    assert_eq!((&llm["type"], &llm["model"], &llm["provider"]), (&json!("llm"), &json!("answered"), &json!("openai")));
    assert_eq!(
        (&llm["input"], &llm["output"]),
        (&json!({ "input": [{ "role": "user" }] }), &json!({ "output": "not {json" }))
    );
    assert_eq!(llm["usage"], json!({ "total_tokens": 51, "prompt_tokens": 42, "completion_tokens": 9 }));
    assert_eq!((&llm["ttft"], &llm["total_estimated_cost"]), (&json!(120), &json!(0.25)));
    assert_eq!(llm["metadata"], json!({ "temperature": 0.5, "is_cached": false, "tenant": "Some(\"a\")" }));
    assert!(llm.get("error_info").is_none());
    let tool = traced.row("tool");
    assert_eq!(tool["type"], "tool");
    assert_eq!(tool["metadata"], json!({ "gen_ai.operation.name": "execute_tool", "kind": "of another kind" }));
    assert_eq!(traced.row("chat")["type"], "llm");
    assert!(traced.row("agent").get("type").is_none_or(|kind| kind == "general"));
}

#[test]
fn an_event_of_the_level_error_is_the_spans() {
    let traced = Traced::new();
    dispatcher::with_default(&traced.dispatch, || {
        info_span!("outer").in_scope(|| {
            info_span!("inner").in_scope(|| {
                warn!("not so bad");
                let cause: Box<dyn std::error::Error> = "12x".parse::<u32>().unwrap_err().into();
                error!(error = &*cause, "error.type" = "ParseIntError", "no number");
            });
            info_span!("text", error = "told by a field").in_scope(|| {});
        });
        error!("of no span");
    });
    let error = &traced.row("inner")["error_info"];
    assert_eq!(error["exception_type"], "ParseIntError");
    assert_eq!(error["message"], "no number: invalid digit found in string");
    assert_eq!(traced.row("text")["error_info"]["exception_type"], "Error");
    assert!(traced.row("outer").get("error_info").is_none());
}

#[test]
fn nesting_follows_the_tasks() {
    let traced = Traced::new();
    let step = async |name: &'static str| {
        turn().await;
        async {
            turn().await;
            drop(info_span!("leaf", task = name));
        }
        .instrument(info_span!("step", task = name))
        .await;
        turn().await;
    };
    dispatcher::with_default(&traced.dispatch, || {
        let mut one = Box::pin(step("one").instrument(info_span!("task one")));
        let mut other = Box::pin(step("other").instrument(info_span!("task other")));
        let mut context = Context::from_waker(Waker::noop());
        // Turn by turn on one thread.
        loop {
            let (first, second) = (one.as_mut().poll(&mut context), other.as_mut().poll(&mut context));
            if first.is_ready() && second.is_ready() {
                break;
            }
        }
        // And from thread to thread.
        let span = info_span!("task thread");
        let (inner, dispatch) = (span.clone(), traced.dispatch.clone());
        let thread = std::thread::spawn(move || {
            dispatcher::with_default(&dispatch, || {
                inner.in_scope(|| drop(info_span!("step", task = "thread")));
            });
        });
        thread.join().unwrap();
    });
    let rows = traced.rows();
    for task in ["one", "other", "thread"] {
        let root = traced.row(&format!("task {task}"));
        let of = |name: &str| rows.iter().find(|row| row["name"] == name && row["metadata"]["task"] == task);
        assert!(root.get("parent_span_id").is_none());
        let step = of("step").unwrap();
        assert_eq!((&step["parent_span_id"], &step["trace_id"]), (&root["id"], &root["trace_id"]), "{task}");
        if let Some(leaf) = of("leaf") {
            assert_eq!((&leaf["parent_span_id"], &leaf["trace_id"]), (&step["id"], &root["trace_id"]), "{task}");
        }
    }
    assert_eq!(rows.len(), 8);
}

#[test]
fn a_request_is_joined() {
    let traced = Traced::new();
    let trace = "019ab5c0-7c00-7a11-8a11-0123456789ab";
    let root = traced.client.open("POST /ask", &[("opik_trace_id", trace)]);
    let delivered = root.delivered();
    let root_id = root.id().to_string();
    dispatcher::with_default(&traced.dispatch, || {
        let span = info_span!("handle", tenant = "a");
        open_under(&span, &root);
        span.in_scope(|| info_span!("within").in_scope(|| {}));
    });
    drop(root);
    assert_eq!(pollster::block_on(delivered).sent, 3);
    let (handle, within) = (traced.row("handle"), traced.row("within"));
    assert_eq!((&handle["trace_id"], &handle["parent_span_id"]), (&json!(trace), &json!(root_id)));
    assert_eq!(handle["metadata"], json!({ "tenant": "a" }));
    assert_eq!((&within["trace_id"], &within["parent_span_id"]), (&json!(trace), &handle["id"]));
    assert_eq!(traced.rows().len(), 3, "nothing is left of the trace that it would have begun");
}

#[test]
fn without_the_layer_nothing_happens() {
    let traced = Traced::new();
    let others = tracing_subscriber::registry();
    let root = traced.client.begin("root");
    let delivered = root.delivered();
    dispatcher::with_default(&Dispatch::new(others), || open_under(&info_span!("handle"), &root));
    open_under(&tracing::Span::none(), &root);
    drop(root);
    assert_eq!(pollster::block_on(delivered).sent, 2);
}
