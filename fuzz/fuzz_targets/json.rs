//! Any bytes to the JSON scanner, compared with serde_json; and any text as a row. A `RawValue` is checked only for its
//! grammar, as the scanner checks it. So the two must agree exactly on text that is UTF-8, without white space around
//! it, and not nested too deep.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opik_edge::json;
use opik_edge::span::{FIELDS, Fields, Kind, Period, SEPARATOR, write_row};
use opik_edge::time::Clock;
use serde_json::value::RawValue;

const ID: &[u8] = b"019ab5c0-7c00-7a11-8a11-0123456789ab";

fuzz_target!(|data: &[u8]| {
    scan(data);
    write(data);
});

/// The scanner takes what serde takes and nothing else, and hands on every part of it.
fn scan(text: &[u8]) {
    let mut members = Vec::new();
    let is_object = json::for_each_member(text, |name, value| members.push([name, value].join(&b':'))).is_some();
    let mut elements = Vec::new();
    let is_array = json::for_each_element(text, |element| elements.push(element)).is_some();
    let is_bare =
        !text.first().is_some_and(u8::is_ascii_whitespace) && !text.last().is_some_and(u8::is_ascii_whitespace);
    if std::str::from_utf8(text).is_err() || !is_bare || depth(text) >= 30 {
        return;
    }
    let is_json = is_json(text);
    let begins_with = |bytes: &[u8]| is_json && text.first().is_some_and(|byte| bytes.contains(byte));
    assert_eq!(is_object, begins_with(b"{"));
    assert_eq!(is_array, begins_with(b"["));
    assert_eq!(json::is_string(text), begins_with(b"\""));
    assert_eq!(json::is_non_negative_number(text), begins_with(b"0123456789"));
    if is_object {
        assert_eq!(compact(&[b"{", &*members.join(&b','), b"}"].concat()), compact(text));
    }
    if is_array {
        assert!(elements.iter().all(|element| is_exactly_json(element)));
        assert_eq!(compact(&[b"[", &*elements.join(&b','), b"]"].concat()), compact(text));
    }
    let integer = serde_json::from_slice::<i32>(text).ok();
    // Serde reads -0 as a fraction.
    assert_eq!(json::int32(text), if text == b"-0" { Some(0) } else { integer });
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok()
}

fn is_exactly_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok_and(|value| value.get().as_bytes() == text)
}

/// At least how deep the brackets of a text are nested.
fn depth(text: &[u8]) -> usize {
    text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count()
}

/// A JSON text without the white space that means nothing.
fn compact(text: &[u8]) -> Vec<u8> {
    let (mut in_string, mut is_escaped) = (false, false);
    let mut kept = text.to_vec();
    kept.retain(|&byte| {
        if !is_escaped && byte == b'"' {
            in_string = !in_string;
        }
        is_escaped = in_string && !is_escaped && byte == b'\\';
        in_string || !byte.is_ascii_whitespace()
    });
    kept
}

/// A row is never longer than was made room for, and is JSON where its fields are.
fn write(text: &[u8]) {
    // The last field takes the remaining text.
    let mut parts: Vec<&[u8]> = text.splitn(FIELDS, |&byte| byte == SEPARATOR).collect();
    assert_eq!(Fields::from_text(text, 0).is_ok(), parts.len() == FIELDS);
    parts.resize(FIELDS, b"");
    parts[..3].fill(ID);
    write_all(&parts, false);
    // One field that is not JSON is not to keep the others from being tried.
    for part in &mut parts[3..] {
        if !is_json(part) {
            *part = b"";
        }
    }
    write_all(&parts, true);
}

fn write_all(parts: &[&[u8]], are_json: bool) {
    let text = parts.join(&SEPARATOR);
    let fields = Fields::from_text(&text, 0).expect("as many as there have to be");
    for (kind, unfinished) in [(Kind::Span, false), (Kind::Span, true), (Kind::Trace, false), (Kind::Trace, true)] {
        let mut out = Vec::new();
        let period = Period { start_ms: 5, end_ms: Some(1), updated_ms: 3, unfinished };
        write_row(&mut out, &mut Clock::default(), kind, &fields, period).expect("the ids are ids");
        assert!(out.len() <= fields.max_row_bytes(), "{} of {}", out.len(), fields.max_row_bytes());
        assert!(!are_json || is_exactly_json(&out), "{}", String::from_utf8_lossy(&out));
    }
}
