//! A request's recording, from the caller's headers to the rows of its uploads.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_macros,
    clippy::disallowed_types,
    reason = "a test that fails should say where"
)]

use std::collections::BTreeMap;

use opik_edge::batch::DropReason;
use opik_edge::headers::{Incoming, Spelling};
use opik_edge::record::{Field, FieldError, Random, Recorder, Span, SpanType};
use opik_edge::upload::Upload;
use serde_json::{Value, json};

const NOW: u64 = 1_764_000_000_000;
const TRACE: &str = "019ab5c0-7c00-7a11-8a11-0123456789ab";
const PARENT: &str = "019ab5c0-7c01-7a11-9a11-0123456789ab";
/// The worst there are: the ids have to differ all the same.
const RANDOM: Random = [0; 12];

fn joined() -> (Recorder, Span) {
    let incoming = Incoming::from_pairs([("Opik-Trace-Id", TRACE), ("Opik-Parent-Span-Id", PARENT)]);
    Recorder::open(&incoming, "GET /", NOW, [RANDOM; 2])
}

fn begun() -> (Recorder, Span) {
    Recorder::open(&Incoming::default(), "GET /", NOW, [RANDOM; 2])
}

/// The rows of an upload, each of which has to be what `row_ends` says.
fn rows(upload: &Upload) -> Vec<Value> {
    let payload: Value = serde_json::from_slice(upload.body()).unwrap();
    let rows = payload.as_object().unwrap().values().next().unwrap().as_array().unwrap().clone();
    let mut from = upload.body().iter().position(|&byte| byte == b'[').unwrap() + 1;
    for (row, &end) in rows.iter().zip(upload.row_ends()) {
        let end = usize::try_from(end).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&upload.body()[from..end]).unwrap(), *row);
        from = end + 1;
    }
    assert_eq!(rows.len(), upload.row_ends().len());
    rows
}

/// The only row of one span that `set` has been given.
fn written(set: impl FnOnce(&mut Span)) -> Value {
    let (mut recorder, mut root) = joined();
    set(&mut root);
    recorder.end(root, NOW + 1).unwrap();
    rows(&recorder.take().unwrap()).remove(0)
}

#[test]
fn a_callers_trace_gets_spans_only() {
    let (mut recorder, root) = joined();
    recorder.project_name("chat").environment("test").thread_id("not ours to say");
    let call = recorder.begin(&root, "llm", NOW + 1, RANDOM);
    let sent: Vec<_> = call.headers(Spelling::Underscore).map(|(name, id)| (name, id.to_string())).collect();
    let call_id = call.id().to_string();
    assert_eq!(sent, [("opik_trace_id", TRACE.to_owned()), ("opik_parent_span_id", call_id.clone())]);
    recorder.end(call, NOW + 2).unwrap();
    let root_id = root.id().to_string();
    recorder.end(root, NOW + 3).unwrap();

    let upload = recorder.take().unwrap();
    assert_eq!(recorder.take(), None);
    assert_eq!(upload.path(), "/v1/private/spans/batch");
    let [call, root] = rows(&upload).try_into().unwrap();
    for row in [&call, &root] {
        assert_eq!(
            (&row["trace_id"], &row["project_name"], &row["environment"]),
            (&json!(TRACE), &json!("chat"), &json!("test"))
        );
    }
    assert_eq!((&call["id"], &call["parent_span_id"]), (&json!(call_id), &json!(root_id)));
    assert_eq!((&root["id"], &root["parent_span_id"]), (&json!(root_id), &json!(PARENT)));
    assert_eq!(
        (&call["start_time"], &call["end_time"]),
        (&json!("2025-11-24T16:00:00.001Z"), &json!("2025-11-24T16:00:00.002Z"))
    );
}

#[test]
fn a_trace_of_our_own_gets_a_row_like_its_root() {
    let (mut recorder, mut root) = begun();
    recorder.thread_id("t-1");
    root.input(&json!({ "question": "?" })).output("!").tags(&["a", "b", "a"]).ttft(5).error("Timeout", "too slow");
    root.metadata(&json!({ "release": 3 }));
    let child = recorder.begin(&root, "tool", NOW, RANDOM);
    recorder.end(child, NOW).unwrap();
    let trace_id = root.trace_id().to_string();
    recorder.end(root, NOW + 1).unwrap();

    let upload = recorder.take().unwrap();
    assert_eq!((upload.path(), upload.rows()), ("/v1/private/traces/batch", 1));
    let trace = rows(&upload).remove(0);
    assert_eq!((&trace["id"], &trace["thread_id"], &trace["ttft"]), (&json!(trace_id), &json!("t-1"), &Value::Null));
    let [child, root] = rows(&recorder.take().unwrap()).try_into().unwrap();
    for field in ["name", "input", "output", "metadata", "tags", "error_info", "start_time", "end_time"] {
        assert_eq!(trace[field], root[field], "{field}");
        assert_ne!(trace[field], Value::Null, "{field}");
    }
    assert_eq!((&root["trace_id"], root.get("parent_span_id")), (&json!(trace_id), None));
    assert_eq!((&child["trace_id"], &child["parent_span_id"]), (&json!(trace_id), &root["id"]));
    assert_eq!((&root["tags"], &root["ttft"], child.get("ttft")), (&json!(["a", "b"]), &json!(5), None));
}

#[test]
fn ids_are_sorted_while_the_clock_stands() {
    let (mut recorder, root) = begun();
    let mut before = root.id();
    assert!(root.trace_id() < before);
    for _ in 0..10_000 {
        let next = recorder.begin(&root, "x", NOW, RANDOM).id();
        assert!(before < next);
        before = next;
    }
}

#[test]
fn headers_that_were_refused_are_told_of() {
    let incoming = Incoming::from_pairs([("opik_trace_id", "garbage")]);
    let (recorder, root) = Recorder::open(&incoming, "GET /", NOW, [RANDOM; 2]);
    assert_eq!(recorder.warning().map(opik_edge::headers::Warning::code), Some("trace_not_uuid"));
    assert_eq!(root.trace_id().timestamp_ms(), NOW);
    assert_eq!(joined().0.warning(), None);
}

#[test]
fn every_field_of_a_span_has_its_place() {
    let row = written(|span| {
        span.kind(SpanType::Llm).model("gpt-4.1-mini").provider("openai").total_estimated_cost(0.25).ttft(120);
        span.usage(&json!({ "total_tokens": 51, "details": { "cached": 2 } })).error("Refused", "");
    });
    for (field, value) in [
        ("type", json!("llm")),
        ("name", json!("GET /")),
        ("model", json!("gpt-4.1-mini")),
        ("provider", json!("openai")),
        ("total_estimated_cost", json!(0.25)),
        ("ttft", json!(120)),
        ("usage", json!({ "total_tokens": 51, "details.cached": 2 })),
        ("error_info", json!({ "exception_type": "Refused", "traceback": "no traceback" })),
    ] {
        assert_eq!(row[field], value, "{field}");
    }
    for (kind, name) in [(SpanType::General, "general"), (SpanType::Tool, "tool"), (SpanType::Guardrail, "guardrail")] {
        assert_eq!(written(|span| _ = span.kind(kind))["type"], name);
    }
    assert_eq!(written(|_| ())["type"], "general");
    assert_eq!(written(|span| _ = span.input("first").input(&2))["input"], json!({ "input": 2 }), "the last counts");
}

#[test]
fn what_the_api_refuses_is_left_out_and_counted() {
    let (mut recorder, mut root) = joined();
    root.usage(&json!({ "total_tokens": 1, "seconds": 0.5, "huge": 1_u64 << 40 })).total_estimated_cost(-1.0);
    assert_eq!(recorder.end(root, NOW), Ok(3));
    assert_eq!(rows(&recorder.take().unwrap())[0]["usage"], json!({ "total_tokens": 1 }));
}

#[test]
fn what_json_can_not_say_is_said_so() {
    let no_key = BTreeMap::from([([1, 2], "x")]);
    assert_eq!(
        written(|span| _ = span.input(&no_key))["input"],
        json!({
            "input": "[unserializable: key must be a string]"
        })
    );
    assert_eq!(written(|span| _ = span.output(&[f64::NAN, 1.5]))["output"], json!({ "output": [null, 1.5] }));
    let hostile = "\u{0}\u{1f}\"\\\u{2028}😀";
    assert_eq!(written(|span| _ = span.input(hostile).model(hostile))["input"]["input"], hostile);
}

#[test]
fn what_is_too_long_is_cut_and_a_row_of_one_id_is_kept_once() {
    let row = written(|span| _ = span.input(&"long text ".repeat(300_000)));
    let kept = row["input"]["input"].as_str().unwrap();
    assert!(kept.ends_with("… [opik_truncated: 3000000 bytes]") && kept.len() < 600_000);

    let (mut recorder, root) = begun();
    let other = Recorder::open(&Incoming::default(), "GET /", NOW, [RANDOM; 2]).1;
    recorder.end(root, NOW).unwrap();
    assert_eq!(recorder.end(other, NOW), Err(DropReason::DuplicateId));
}

#[test]
fn halves_have_all_rows_between_them() {
    let (mut recorder, root) = joined();
    for n in 0..1001_u32 {
        let child = recorder.begin(&root, &n.to_string(), NOW, RANDOM);
        recorder.end(child, NOW).unwrap();
    }
    let whole = recorder.take().unwrap();
    assert_eq!((whole.rows(), recorder.take().unwrap().rows()), (1000, 1));
    let names = |upload: &Upload| rows(upload).into_iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
    let mut open = vec![whole.clone()];
    let mut single = Vec::new();
    while let Some(upload) = open.pop() {
        match upload.halves() {
            Some((first, second)) => {
                assert_eq!([names(&first), names(&second)].concat(), names(&upload));
                assert_eq!(first.path(), upload.path());
                open.extend([second, first]);
            }
            None => single.extend(names(&upload)),
        }
    }
    assert_eq!(single, names(&whole));
}

/// The table of [`Field`]: each with a value of every type of JSON, and the values that it takes.
#[test]
fn a_field_takes_json_of_its_type() {
    let values =
        ["null", "true", "7", "-7", "1.5e3", "\"text\"", "[]", "[\"a\", \"b\"]", "[\"a\", 7]", "{}", "{\"a\": [1]}"];
    let objects = ["{}", "{\"a\": [1]}"];
    let table: [(Field, &str, &[&str]); 9] = [
        (Field::Input, "input", &values),
        (Field::Output, "output", &values),
        (Field::Metadata, "metadata", &objects),
        (Field::Tags, "tags", &["[]", "[\"a\", \"b\"]"]),
        (Field::Model, "model", &["\"text\""]),
        (Field::Provider, "provider", &["\"text\""]),
        (Field::Usage, "usage", &objects),
        (Field::TotalEstimatedCost, "total_estimated_cost", &["7", "1.5e3"]),
        (Field::Ttft, "ttft", &["7", "1.5e3"]),
    ];
    for (field, name, taken) in table {
        for value in values {
            let mut result = Ok(());
            let row = written(|span| result = span.set(field, &format!(" {value}\n")));
            let expected = if taken.contains(&value) { Ok(()) } else { Err(FieldError::WrongType) };
            assert_eq!(result, expected, "{name} {value}");
            if expected.is_err() {
                assert_eq!(row.get(name), None, "{name} {value}");
            } else if name != "usage" && value != "null" && (name, value) != ("tags", "[]") {
                let value: Value = serde_json::from_str(value).unwrap();
                let wrapped = json!({ name: value });
                assert!(row[name] == value || row[name] == wrapped, "{name} {row}");
            }
        }
        for text in ["", " ", "{", "[1,]", "{a:1}", "'text'", "\"a", "01", "NaN", "1 2", "\"\u{1f}\"", "nul", "\u{a0}7"]
        {
            assert_eq!(written_result(field, text), Err(FieldError::InvalidJson), "{name} {text}");
        }
    }
}

fn written_result(field: Field, text: &str) -> Result<(), FieldError> {
    let mut result = Ok(());
    written(|span| result = span.set(field, text));
    result
}

#[test]
fn a_refused_value_leaves_the_earlier_one() {
    let row = written(|span| {
        span.set(Field::Model, "\"first\"").unwrap();
        assert!(span.set(Field::Model, "7").is_err());
    });
    assert_eq!(row["model"], "first");
}
