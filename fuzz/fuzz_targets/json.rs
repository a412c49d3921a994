//! Any bytes to the JSON scanner, with serde_json for comparison; and any text as a row.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opik_edge::json;
use opik_edge::span::{FIELDS, Fields, Kind, Period, SEPARATOR, write_row};
use serde_json::Value;

const ID: &[u8] = b"019ab5c0-7c00-7a11-8a11-0123456789ab";

fuzz_target!(|data: &[u8]| {
    scan(data);
    write(data);
});

/// The scanner takes every value that serde takes, and of scalars no other.
fn scan(text: &[u8]) {
    let parsed = serde_json::from_slice::<Value>(text).ok();
    let mut members = 0_usize;
    let is_object = json::for_each_member(text, |name, value| {
        assert!(json::is_string(name) && !value.is_empty());
        members += 1;
    })
    .is_some();
    let is_array = json::for_each_element(text, |element| assert!(!element.is_empty())).is_some();
    let is_utf8 = std::str::from_utf8(text).is_ok();
    let is_bare = text.first().is_some_and(|byte| !byte.is_ascii_whitespace())
        && text.last().is_some_and(|byte| !byte.is_ascii_whitespace());
    if !is_utf8 || !is_bare || depth(text) >= 30 {
        return;
    }
    match &parsed {
        Some(Value::Object(map)) => assert!(is_object && map.len() <= members, "a name may be there twice"),
        Some(Value::Array(_)) => assert!(is_array),
        Some(Value::String(_)) => assert!(json::is_string(text)),
        Some(Value::Number(number)) => {
            assert_eq!(json::is_non_negative_number(text), !text.starts_with(b"-"));
            if let Some(value) = json::int32(text) {
                assert_eq!(number.as_f64(), Some(value.into()));
            }
        }
        // What serde refuses for its meaning: numbers out of range, halves of surrogate pairs.
        None => assert!(json::int32(text).is_none()),
        _ => {}
    }
}

/// At least how deep the brackets of a text are nested.
fn depth(text: &[u8]) -> usize {
    text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count()
}

/// A row is never longer than was made room for, and is JSON where its fields are.
fn write(text: &[u8]) {
    let mut parts: Vec<&[u8]> = text.split(|&byte| byte == SEPARATOR).collect();
    assert_eq!(Fields::from_text(text).is_ok(), parts.len() == FIELDS);
    parts.resize(FIELDS, b"");
    parts[..3].fill(ID);
    let text = parts.join(&SEPARATOR);
    let fields = Fields::from_text(&text).expect("as many as there have to be");
    let period = Period { start_ms: 5, end_ms: Some(1), updated_ms: 3, unfinished: text.len() % 2 == 0 };
    for kind in [Kind::Span, Kind::Trace] {
        let mut out = Vec::new();
        write_row(&mut out, kind, &fields, period).expect("the ids are ids");
        assert!(out.len() <= fields.max_row_bytes(), "{} of {}", out.len(), fields.max_row_bytes());
        let is_json =
            |part: &&[u8]| part.is_empty() || serde_json::from_slice::<&serde_json::value::RawValue>(part).is_ok();
        if parts[3..].iter().all(is_json) && !parts[7].starts_with(b" ") {
            assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&out).is_ok());
        }
    }
}
