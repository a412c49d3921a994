//! The client in JavaScript engines: Node, a page, and a worker of a page. The tests replace `fetch`, inspect its
//! requests and choose the answers. Run by `scripts/check wasm`.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_macros,
    clippy::disallowed_types,
    reason = "a test that fails should say where"
)]

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Function, JSON, Object, Reflect, global};
use opik_edge::client::{Client, Platform, Settings};
use opik_edge::record::SpanType;
use opik_edge::value::Js;
use opik_edge::web::{Opik, Web};
use serde_json::{Value, json};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::Headers;

const TRACE: &str = "019ab5c0-7c00-7a11-8a11-0123456789ab";
const PARENT: &str = "019ab5c0-7c01-7a11-9a11-0123456789ab";

/// Records requests to `host` and answers them with the given statuses, then with 204. Status 0 fails; -1 never
/// answers.
const FETCH: &str = r#"
    const before = globalThis.fetch;
    const made = [];
    globalThis.fetch = (url, init) => {
        if (!String(url).startsWith(`https://${host}/`)) return before(url, init);
        const { method, redirect, signal } = init;
        const request = { url, method, redirect, headers: Object.fromEntries(init.headers), body: new TextDecoder().decode(init.body) };
        made.push(request);
        const status = statuses.shift() ?? 204;
        signal.addEventListener("abort", () => { request.aborted = true; });
        if (status === 0) return Promise.reject(new TypeError("not reached"));
        if (status < 0) return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        return Promise.resolve(new Response(null, { status, headers: { "retry-after": "0" } }));
    };
    return made;
"#;

/// The requests to one host.
struct Made(JsValue);

impl Made {
    fn to(host: &str, statuses: &[i32]) -> Self {
        let statuses = serde_wasm_bindgen::to_value(statuses).unwrap();
        let install = Function::new_with_args("host, statuses", FETCH);
        Self(install.call2(&JsValue::NULL, &host.into(), &statuses).unwrap())
    }

    fn requests(&self) -> Vec<Value> {
        serde_json::from_str(&String::from(JSON::stringify(&self.0).unwrap())).unwrap()
    }

    /// The rows of all requests.
    fn rows(&self) -> Vec<Value> {
        let bodies = self.requests().into_iter().map(|made| made["body"].as_str().unwrap().to_owned());
        let payloads = bodies.map(|body| serde_json::from_str::<Value>(&body).unwrap());
        payloads
            .flat_map(|payload| payload.as_object().unwrap().values().next().unwrap().as_array().unwrap().clone())
            .collect()
    }
}

fn env(members: &[(&str, JsValue)]) -> JsValue {
    let env = Object::new();
    for (name, value) in members {
        Reflect::set(&env, &(*name).into(), value).unwrap();
    }
    env.into()
}

fn request(url: &str, headers: &Headers) -> web_sys::Request {
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_headers(headers);
    web_sys::Request::new_with_str_and_init(url, &init).unwrap()
}

#[wasm_bindgen_test]
async fn a_request_joins_its_caller_and_hands_the_trace_on() {
    let made = Made::to("joined.test", &[503, 0]);
    let opik = Opik::from_env(&env(&[
        ("OPIK_URL_OVERRIDE", "https://joined.test/api/".into()),
        ("OPIK_API_KEY", "the-key".into()),
        ("OPIK_PROJECT_NAME", 7.into()),
    ]));
    let mut headers = Headers::new().unwrap();
    headers.set("Opik-Trace-Id", TRACE).unwrap();
    headers.set("Opik-Parent-Span-Id", PARENT).unwrap();
    let mut root = opik.open_request(&request("https://shop.test/ask?token=secret#part", &headers));
    let delivered = root.delivered();
    root.input(&Js(&env(&[("question", "What is a span?".into()), ("asked", js_sys::Date::new(&0.into()).into())])));
    let result: Result<(), String> = root
        .run("llm", async |span| {
            span.kind(SpanType::Llm);
            span.inject(&mut headers);
            Err("500 from the model".to_owned())
        })
        .await;
    assert!(result.is_err());
    drop(root);
    let report = delivered.await;
    assert_eq!((report.sent, report.retried, report.requests), (2, 2, 3), "{report:?}");

    let requests = made.requests();
    assert_eq!(requests[0]["url"], "https://joined.test/api/v1/private/spans/batch");
    assert_eq!((&requests[0]["method"], &requests[0]["redirect"]), (&json!("POST"), &json!("manual")));
    let sent = json!({ "content-type": "application/json", "authorization": "the-key", "comet-workspace": "default" });
    assert_eq!(requests[0]["headers"], sent);
    let rows = made.rows();
    let [llm, root] = &rows[4..] else { unreachable!("{rows:?}") };
    assert_eq!(
        (&root["name"], &root["trace_id"], &root["parent_span_id"]),
        (&json!("POST /ask"), &json!(TRACE), &json!(PARENT))
    );
    assert_eq!(root["input"], json!({ "question": "What is a span?", "asked": "1970-01-01T00:00:00.000Z" }));
    assert_eq!(root["project_name"], "Default Project", "a number is no name");
    assert_eq!(llm["error_info"]["exception_type"], "alloc::String");
    for name in ["opik_parent_span_id", "opik-parent-span-id"] {
        assert_eq!(json!(headers.get(name).unwrap()), llm["id"], "{name}");
    }
    assert!(!format!("{requests:?}").contains("secret"));
}

#[wasm_bindgen_test]
async fn without_a_caller_it_begins_a_trace() {
    let made = Made::to("begun.test", &[]);
    let root = Opik::for_relay("https://begun.test/relay")
        .open_request(&request("https://shop.test", &Headers::new().unwrap()));
    let trace = root.trace_id().to_string();
    let is_done = Rc::new(Cell::new(false));
    let (delivered, place) = (root.delivered(), Rc::clone(&is_done));
    spawn_local(async move {
        delivered.await;
        place.set(true);
    });
    drop(root);
    while !is_done.get() {
        Web.sleep(1).await;
    }
    assert_eq!(made.rows().iter().map(|row| row["name"].as_str().unwrap()).collect::<Vec<_>>(), ["POST /"; 2]);
    let ids: Vec<_> = made.rows().iter().map(|row| row.get("trace_id").unwrap_or(&row["id"]).clone()).collect();
    assert_eq!(ids, [json!(trace), json!(trace)]);
    assert_eq!(made.requests()[0]["url"], "https://begun.test/relay");
    assert_eq!(
        made.requests()[0]["headers"],
        json!({ "content-type": "application/json" }),
        "all that a relay lets pass"
    );
    assert!(made.rows().iter().all(|row| row.get("project_name").is_none()), "the project is the relay's");
}

#[wasm_bindgen_test]
async fn a_request_that_nobody_waits_for_is_broken_off() {
    let made = Made::to("silent.test", &[-1]);
    let settings = Settings { url: "https://silent.test".into(), ..Settings::default() };
    let root = Client::new(Web, settings).begin("root");
    drop(root.begin("step"));
    let report = root.flush(20).await;
    assert_eq!((report.kept, report.requests), (1, 1));
    assert_eq!(made.requests()[0]["aborted"], true);
    assert_eq!(root.flush(10_000).await.sent, 1);
}

#[wasm_bindgen_test]
async fn the_platform_is_that_of_javascript() {
    let (one, other) = (Web.random(), Web.random());
    assert_ne!(one, other);
    let clock = js_sys::Date::now();
    assert!(Web.now_ms().abs_diff(format!("{clock:.0}").parse().unwrap()) < 60_000);
    // A dropped timer is cleared.
    drop(Web.sleep(u64::MAX));
    let promise: js_sys::Promise = Reflect::get(&global(), &"Promise".into())
        .and_then(|promise| {
            Reflect::get(&promise, &"resolve".into())?.unchecked_into::<Function>().call1(&promise, &7.into())
        })
        .unwrap()
        .unchecked_into();
    assert_eq!(JsFuture::from(promise).await.unwrap(), JsValue::from(7));
    Web.sleep(0).await;
    Web.warn("a test says so");
}
