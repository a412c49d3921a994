//! The boundary, in a real engine: what js/core.ts calls, called as it calls it. The rows are read back by the
//! engine's own JSON parser. Run by `scripts/check wasm`.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "a test that fails should say where; JavaScript's numbers are f64"
)]

use js_sys::{JSON, JsString, Reflect, Uint8Array};
use opik_edge::bindings::{
    append, close_buffer, context, drop_reason, mint, open_buffer, open_buffers, push, refill, request_headers,
    scratch_length, scratch_pointer, take, taken_body, taken_path, verdict,
};
use opik_edge::span::FIELDS;
use serde::Deserialize;
use wasm_bindgen_test::wasm_bindgen_test;

const NOW: f64 = 1_764_000_000_000.0;
const TRACE: &str = "019ab5c0-7c00-7a11-8a11-0123456789ab";
const PARENT: &str = "019ab5c0-7c01-7a11-9a11-0123456789ab";

#[derive(Deserialize)]
struct Payload {
    spans: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    trace_id: String,
    input: Input,
    start_time: String,
}

#[derive(Deserialize)]
struct Input {
    text: String,
}

fn random_bytes() {
    let bytes: Vec<u8> = (0..2048_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    refill(&bytes);
}

/// The text of a span's row, with an input.
fn row_text(id: &str, text: &str) -> String {
    let input = JSON::stringify(&JsString::from(text)).unwrap();
    let mut fields = vec![String::new(); FIELDS];
    fields[0] = id.into();
    fields[1] = TRACE.into();
    fields[5] = format!("{{\"text\":{}}}", String::from(input));
    fields.join("\u{1f}")
}

/// What `TextEncoder.encodeInto` does, piece by piece: straight into the memory behind the pointer.
fn write(text: &str) -> usize {
    let mut pieces = text.as_bytes().chunks(scratch_length()).peekable();
    while let Some(piece) = pieces.next() {
        let at = u32::try_from(scratch_pointer()).unwrap();
        // A view of its own for each piece: `push` may grow the memory, which detaches the one before.
        let buffer = Reflect::get(&wasm_bindgen::memory(), &"buffer".into()).unwrap();
        Uint8Array::new(&buffer).subarray(at, at + u32::try_from(piece.len()).unwrap()).copy_from(piece);
        if pieces.peek().is_none() {
            return piece.len();
        }
        push(piece.len());
    }
    0
}

#[wasm_bindgen_test]
fn ids_of_one_millisecond_are_strictly_increasing() {
    random_bytes();
    let mut before = mint(NOW).unwrap();
    for _ in 0..10_000 {
        let id = mint(NOW).unwrap_or_else(|| {
            random_bytes();
            mint(NOW).unwrap()
        });
        assert!(before < id, "{before} {id}");
        before = id;
    }
}

#[wasm_bindgen_test]
fn an_empty_pool_asks_for_more() {
    refill(&[]);
    assert_eq!(mint(NOW), None);
    assert_eq!(context("", NOW), None);
}

#[wasm_bindgen_test]
fn a_context_comes_line_by_line() {
    random_bytes();
    let joined = context(&format!("{TRACE}\n{PARENT}"), NOW).unwrap();
    assert_eq!(joined, format!("{TRACE}\n{PARENT}\njoined\n\n"));
    let hyphens = context(&format!("\n\n{TRACE}\n{PARENT}"), NOW).unwrap();
    assert_eq!(hyphens, joined);
    let begun = context("garbage", NOW).unwrap();
    assert!(begun.ends_with("\n\nbegun\ntrace_not_uuid\n"), "{begun}");
}

#[wasm_bindgen_test]
fn a_row_crosses_in_pieces_and_leaves_as_bytes() {
    random_bytes();
    let buffer = open_buffer(NOW);
    for text in ["a€😀\"\\\n\u{1f}", &"€uro".repeat(50_000)] {
        let id = mint(NOW).unwrap();
        let written = write(&row_text(&id, text));
        assert_eq!(append(buffer, 0, NOW, NOW, false, written), 0);
        assert_eq!(take(buffer), 1);
        assert_eq!(taken_path(), "/v1/private/spans/batch");
        let body = String::from_utf8(taken_body()).unwrap();
        let payload: Payload = serde_wasm_bindgen::from_value(JSON::parse(&body).unwrap()).unwrap();
        assert_eq!(payload.spans[0].id, id);
        assert_eq!(payload.spans[0].trace_id, TRACE);
        assert_eq!(payload.spans[0].input.text, text);
        assert_eq!(payload.spans[0].start_time, "2025-11-24T16:00:00.000Z");
    }
    assert_eq!(take(buffer), 0);
    assert!(taken_body().is_empty());
    close_buffer(buffer);
}

#[wasm_bindgen_test]
fn what_is_not_kept_has_a_reason() {
    random_bytes();
    let buffer = open_buffer(NOW);
    let open = open_buffers();
    let written = write("not a row");
    assert_eq!(drop_reason(append(buffer, 0, NOW, NOW, false, written)), "malformed_row");
    let written = write(&row_text(&mint(NOW).unwrap(), &"x".repeat(5_000_000)));
    assert_eq!(drop_reason(append(buffer, 0, NOW, NOW, false, written)), "row_too_large");
    let written = write(&row_text(&mint(NOW).unwrap(), "after a long one"));
    assert_eq!(append(buffer, 0, NOW, NOW, false, written), 0);
    close_buffer(buffer);
    assert_eq!(open_buffers(), open - 1);
    let written = write(&row_text(&mint(NOW).unwrap(), "late"));
    assert_eq!(drop_reason(append(buffer, 0, NOW, NOW, false, written)), "stale_buffer");
    for hostile in [f64::NAN, f64::INFINITY, -1.0, 0.0, 0.5, 2_f64.powi(60)] {
        assert_eq!(take(hostile), 0);
        close_buffer(hostile);
    }
}

#[wasm_bindgen_test]
fn requests_and_verdicts_are_plain_texts() {
    assert_eq!(request_headers("key", ""), "content-type\napplication/json\nauthorization\nkey\n");
    assert_eq!(verdict(204), "");
    assert_eq!(verdict(0), "network_error");
}
