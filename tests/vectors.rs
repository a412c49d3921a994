//! The golden vectors: what the core accepts and what that means, what it rejects and why. JavaScript reads the
//! same files.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test that fails should say where"
)]

use opik_edge::context::Context;
use opik_edge::headers::{Incoming, Spelling, outgoing};
use opik_edge::id::{Id, IdGenerator};
use opik_edge::span::{self, FIELDS, Fields, Kind, Period, SEPARATOR, write_row};
use opik_edge::time::{Clock, parse_http_date};
use opik_edge::upload::{Attempt, Reason, Verdict, pause_ms, refused_window_ms, request_headers, verdict};
use opik_edge::w3c::{self, Link};
use serde_json::{Value, from_str};

fn vectors(text: &str) -> Vec<Value> {
    from_str(text).unwrap()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_default()
}

fn generator() -> IdGenerator {
    let mut ids = IdGenerator::new();
    ids.refill(&[0x5a; 64]);
    ids
}

/// The context that a vector's headers give, and the code of its warning.
fn open(vector: &Value) -> (Context, &'static str) {
    let given = vector["given"].as_object().unwrap();
    let pairs = given.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
    let now_ms = vector["now_ms"].as_u64().unwrap();
    let (context, warning) = Context::open(&Incoming::from_pairs(pairs), now_ms, &mut generator()).unwrap();
    (context, warning.map_or("", |warning| warning.code()))
}

#[test]
fn accepted_headers_join_the_trace_they_name() {
    let file: Value = from_str(include_str!("vectors/headers.json")).unwrap();
    for vector in file["accepted"].as_array().unwrap() {
        let (context, warning) = open(vector);
        let name = text(vector, "name");
        assert!(context.is_joined(), "{name}");
        assert_eq!(context.trace_id().to_string(), text(vector, "trace_id"), "{name}");
        assert_eq!(context.parent_id().map_or(String::new(), |id| id.to_string()), text(vector, "parent_id"), "{name}");
        assert_eq!(warning, text(vector, "warning"), "{name}");
    }
}

#[test]
fn rejected_headers_begin_a_trace_and_give_one_reason() {
    let file: Value = from_str(include_str!("vectors/headers.json")).unwrap();
    for vector in file["rejected"].as_array().unwrap() {
        let (context, warning) = open(vector);
        let name = text(vector, "name");
        assert!(!context.is_joined(), "{name}");
        assert_eq!(context.trace_id().timestamp_ms(), vector["now_ms"].as_u64().unwrap(), "{name}");
        assert_eq!(context.parent_id(), None, "{name}");
        assert_eq!(warning, text(vector, "reason"), "{name}");
    }
}

#[test]
fn no_headers_begin_a_trace_in_silence() {
    for incoming in [Incoming::default(), Incoming::from_pairs([("opik_trace_id", " "), ("host", "x")])] {
        let (context, warning) = Context::open(&incoming, 1, &mut generator()).unwrap();
        assert!(!context.is_joined());
        assert_eq!(warning, None);
    }
}

#[test]
fn outgoing_headers_are_spelled_as_asked() {
    for vector in vectors(include_str!("vectors/outgoing.json")) {
        let spelling = match text(&vector, "spelling") {
            "both" => Spelling::Both,
            "underscore" => Spelling::Underscore,
            "hyphen" => Spelling::Hyphen,
            other => panic!("{other}"),
        };
        let expected = vector["headers"].as_object().unwrap();
        let trace_id = Id::parse("019ab5c0-7c00-7a11-8a11-0123456789ab").unwrap();
        let span_id = Id::parse("019ab5c0-7c01-7a11-9a11-0123456789ab").unwrap();
        let written: Vec<_> = outgoing(trace_id, span_id, spelling).collect();
        assert_eq!(written.len(), expected.len());
        for (name, id) in written {
            assert_eq!(id.to_string(), expected[name].as_str().unwrap());
        }
    }
}

#[test]
fn ids_are_read_and_normalised_or_refused() {
    let file: Value = from_str(include_str!("vectors/ids.json")).unwrap();
    for vector in file["accepted"].as_array().unwrap() {
        let id = Id::parse(text(vector, "text")).unwrap();
        assert_eq!(id.to_string(), text(vector, "id"));
        assert_eq!(id.timestamp_ms(), vector["timestamp_ms"].as_u64().unwrap());
    }
    for vector in file["rejected"].as_array().unwrap() {
        let error = Id::parse(text(vector, "text")).unwrap_err();
        assert_eq!(error.to_string(), text(vector, "reason"), "{}", text(vector, "name"));
    }
}

#[test]
fn times_are_rfc_3339() {
    // One for all, which remembers the date of the one before.
    let mut clock = Clock::default();
    for vector in vectors(include_str!("vectors/times.json")) {
        assert_eq!(clock.rfc3339(vector["ms"].as_u64().unwrap()), text(&vector, "text").as_bytes());
    }
}

#[test]
fn http_dates_are_read_in_their_fixed_form() {
    for (text, ms) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777_000)),
        ("Thu, 29 Feb 2024 23:59:60 GMT", Some(1_709_251_200_000)),
        ("Wed, 31 Dec 1969 23:59:59 GMT", None),
        ("Sun, 06 Nov 1994 08:49:3x GMT", None),
        ("Sun, 06 nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ("Sun Nov  6 08:49:37 1994", None),
        ("", None),
    ] {
        assert_eq!(parse_http_date(text.as_bytes()), ms, "{text}");
    }
}

#[test]
fn a_sample_is_read_from_the_end_of_an_id() {
    let id = |tail: &str| Id::parse(&["019ab5c0-7c00-7a11-8a11-", tail].concat()).unwrap();
    let half = 1 << 52;
    assert!(id("ffffffffff7f").is_sampled(half));
    assert!(!id("000000000080").is_sampled(half));
    assert!(id("ffffffffffff").is_sampled(1 << 53));
    assert!(!id("000000000000").is_sampled(0));
}

/// The names of the fields, in the order of their text.
const ORDER: [&str; FIELDS] = [
    "id",
    "trace_id",
    "parent_span_id",
    "name",
    "kind",
    "tags",
    "model",
    "provider",
    "usage",
    "total_estimated_cost",
    "ttft",
    "error_type",
    "error_message",
    "error_traceback",
    "thread_id",
    "project_name",
    "environment",
    "metadata",
    "input",
    "output",
];

#[test]
fn rows_are_complete_and_leave_out_what_the_api_refuses() {
    let mut clock = Clock::default();
    for vector in vectors(include_str!("vectors/rows.json")) {
        let name = text(&vector, "name");
        let parts: Vec<&str> = ORDER.iter().map(|field| text(&vector["fields"], field)).collect();
        let row_text = parts.join(char::from(SEPARATOR).to_string().as_str());
        let output_at = row_text.len() - text(&vector["fields"], "output").len();
        let fields = Fields::from_text(row_text.as_bytes(), 0).unwrap();
        assert_eq!(fields, Fields::from_text(row_text.as_bytes(), output_at).unwrap(), "{name}");
        let kind = if text(&vector, "kind") == "span" { Kind::Span } else { Kind::Trace };
        let period = Period {
            start_ms: vector["start_ms"].as_u64().unwrap(),
            end_ms: vector["end_ms"].as_u64(),
            updated_ms: vector["updated_ms"].as_u64().or(vector["end_ms"].as_u64()).unwrap(),
            unfinished: vector["unfinished"].as_bool().unwrap_or(false),
        };
        let mut out = Vec::new();
        let left_out = write_row(&mut out, &mut clock, kind, &fields, period).unwrap();
        let row = String::from_utf8(out).unwrap();
        assert_eq!(row, text(&vector, "row"), "{name}");
        assert_eq!(u64::from(left_out.count), vector["left_out"].as_u64().unwrap(), "{name}");
        assert!(from_str::<Value>(&row).is_ok(), "{name}");
    }
}

#[test]
fn a_row_with_fewer_fields_is_malformed() {
    for count in [0, 1, FIELDS - 1] {
        let row_text = vec![SEPARATOR; count.saturating_sub(1)];
        assert!(Fields::from_text(&row_text, 0).is_err(), "{count}");
    }
    let whole = [SEPARATOR; FIELDS - 1];
    assert!(Fields::from_text(&whole, whole.len()).is_ok());
    assert!(Fields::from_text(&whole, whole.len() + 1).is_err(), "its output is said to begin behind its end");
    assert!(Fields::from_text(&whole, usize::MAX).is_err());
}

#[test]
fn a_row_whose_ids_are_not_ids_is_malformed_and_writes_nothing() {
    let good: &[u8] = b"019ab5c0-7c00-7a11-8a11-0123456789ab";
    let bad: &[u8] = b"\",\"x\":\"";
    let period = Period { start_ms: 0, end_ms: None, updated_ms: 0, unfinished: false };
    for (id, trace_id, parent_span_id) in [(bad, good, good), (good, bad, good), (good, good, bad)] {
        let mut out = Vec::new();
        let fields = Fields { id, trace_id, parent_span_id, ..Fields::default() };
        assert!(write_row(&mut out, &mut Clock::default(), Kind::Span, &fields, period).is_err());
        assert!(out.is_empty());
    }
}

#[test]
fn a_response_is_a_verdict() {
    let file: Value = from_str(include_str!("vectors/verdicts.json")).unwrap();
    for vector in file["verdicts"].as_array().unwrap() {
        let given = |key: &str| vector["attempt"].get(key).unwrap_or(&file["defaults"][key]).as_u64().unwrap();
        let small = |key: &str| u32::try_from(given(key)).unwrap();
        let attempt = Attempt {
            number: small("number"),
            rows: small("rows"),
            is_compressed: vector["attempt"]["is_compressed"].as_bool().unwrap_or(false),
            now_ms: given("now_ms"),
            deadline_ms: given("deadline_ms"),
            random: small("random"),
        };
        let mut headers: Vec<(String, &str)> = vector["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap()))
            .collect();
        headers.sort();
        let status = u16::try_from(vector["status"].as_u64().unwrap()).unwrap();
        let (name, reason, wait_ms) =
            match verdict(status, headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), &attempt) {
                Verdict::Sent => ("sent", None, None),
                Verdict::Retry { after_ms, reason } => ("retry", Some(reason), Some(after_ms)),
                Verdict::Plain => ("plain", None, None),
                Verdict::Split(reason) => ("split", Some(reason), None),
                Verdict::Drop(reason) => ("drop", Some(reason), None),
                Verdict::Defer(reason) => ("defer", Some(reason), None),
                Verdict::Stop(reason) => ("stop", Some(reason), None),
                other => panic!("{other:?}"),
            };
        assert_eq!(name, text(vector, "verdict"), "{vector}");
        assert_eq!(reason.map_or("", Reason::code), text(vector, "reason"), "{vector}");
        assert_eq!(wait_ms, vector["wait_ms"].as_u64(), "{vector}");
    }
    for vector in file["pauses"].as_array().unwrap() {
        let small = |key: &str| u32::try_from(vector[key].as_u64().unwrap()).unwrap();
        let was_stopped = vector["was_stopped"].as_bool().unwrap_or(false);
        assert_eq!(
            pause_ms(small("failures"), was_stopped, small("random")),
            vector["ms"].as_u64().unwrap(),
            "{vector}"
        );
    }
    for vector in file["windows"].as_array().unwrap() {
        let status = u16::try_from(vector["status"].as_u64().unwrap()).unwrap();
        let window_ms = refused_window_ms(status, text(vector, "message").as_bytes(), 24 * 60 * 60 * 1000);
        assert_eq!(window_ms.unwrap_or(0), vector["ms"].as_u64().unwrap(), "{vector}");
    }
}

#[test]
fn a_request_has_the_raw_key_or_none() {
    let with_key: Vec<_> = request_headers(b"key", b"team", false).collect();
    let content_type = ("content-type", b"application/json".as_slice());
    assert_eq!(with_key, [content_type, ("authorization", b"key"), ("comet-workspace", b"team")]);
    let without: Vec<_> = request_headers(b"", b"", true).collect();
    assert_eq!(without, [content_type, ("content-encoding", b"gzip")]);
}

#[test]
fn fields_stand_where_their_names_say() {
    let text = (0..FIELDS).map(|at| at.to_string()).collect::<Vec<_>>().join("\u{1f}");
    let fields = Fields::from_text(text.as_bytes(), 0).unwrap();
    let places = [
        (span::ERROR_MESSAGE, fields.error_message),
        (span::ERROR_TRACEBACK, fields.error_traceback),
        (span::METADATA, fields.metadata),
        (span::INPUT, fields.input),
        (span::OUTPUT, fields.output),
    ];
    for (at, field) in places {
        assert_eq!(at.to_string().as_bytes(), field);
    }
}

/// The values of headers, in the order of `NAMES`, from names in any case.
fn values_of(given: &Value) -> Vec<(&str, &str)> {
    given.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
}

#[test]
fn a_trace_context_is_read_by_the_rules_of_its_level() {
    let file: Value = from_str(include_str!("vectors/w3c.json")).unwrap();
    for vector in file["in"].as_array().unwrap() {
        let name = ["§", text(vector, "section"), " ", text(vector, "name")].concat();
        let now_ms = vector["now_ms"].as_u64().or(file["now_ms"].as_u64()).unwrap();
        let incoming = Incoming::from_pairs(values_of(&vector["given"]));
        let (context, warning) = Context::open(&incoming, now_ms, &mut generator()).unwrap();
        let link = match text(vector, "link") {
            "none" => Link::None,
            "foreign" => Link::Foreign,
            "unsampled" => Link::Unsampled,
            "unsampled_alone" => Link::UnsampledAlone,
            other => panic!("{other}"),
        };
        let joined = if context.is_joined() { context.trace_id().to_string() } else { String::new() };
        assert_eq!(joined, text(vector, "trace_id"), "{name}");
        assert_eq!(
            context.parent_id().map(|id| id.to_string()).unwrap_or_default(),
            text(vector, "parent_id"),
            "{name}"
        );
        assert_eq!(context.link(), link, "{name}");
        assert_eq!(warning.map_or("", |warning| warning.code()), text(vector, "warning"), "{name}");
    }
}

#[test]
fn a_trace_context_goes_on_by_the_rules_of_its_level() {
    let file: Value = from_str(include_str!("vectors/w3c.json")).unwrap();
    let [trace_id, span_id] = ["trace_id", "span_id"].map(|key| Id::parse(text(&file, key)).unwrap());
    for vector in file["out"].as_array().unwrap() {
        let name = ["§", text(vector, "section"), " ", text(vector, "name")].concat();
        let incoming = Incoming::from_pairs(values_of(&vector["incoming"]));
        let own = ["traceparent", "tracestate", "baggage"].map(|name| text(&vector["own"], name));
        let [traceparent, tracestate, baggage] = w3c::outgoing(&incoming, own, trace_id, span_id);
        assert_eq!(traceparent, text(vector, "traceparent"), "{name}");
        assert_eq!(tracestate, text(vector, "tracestate"), "{name}");
        assert!(vector["baggage"].is_null() || baggage == text(vector, "baggage"), "{name}: {baggage}");
    }
}
