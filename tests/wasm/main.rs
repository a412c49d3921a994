//! The boundary, in a real engine: what js/platform/core.ts calls, called as it calls it. The rows are read back by the
//! engine's own JSON parser. Run by `scripts/check wasm`.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "a test that fails should say where; JavaScript's numbers are f64"
)]

#[cfg(feature = "serde-wasm-bindgen")]
mod value;

use js_sys::{JSON, JsString, Reflect, Uint8Array};
use opik_edge::bindings::{
    append, close_buffer, context, drop_reason, is_sampled, mint, open_buffer, open_buffers, pause, push, refill,
    request_headers, scratch_length, scratch_pointer, take, taken_kind, taken_length, taken_pointer, taken_row_ends,
    trace_context, verdict, verdict_reason, verdict_wait,
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
    #[serde(default)] // a marker has no bytes of the given text
    text: String,
}

/// The memory behind an address, as JavaScript sees it. Each use makes a new view, since growing the memory detaches
/// views.
fn memory(at: usize, length: usize) -> Uint8Array {
    let buffer = Reflect::get(&wasm_bindgen::memory(), &"buffer".into()).unwrap();
    let (at, length) = (u32::try_from(at).unwrap(), u32::try_from(length).unwrap());
    Uint8Array::new_with_byte_offset_and_length(&buffer, at, length)
}

/// The bytes that the core wrote into the scratch.
fn read(length: usize) -> String {
    read_behind(0, length)
}

/// The bytes that the core wrote behind a question of `written` bytes.
fn read_behind(written: usize, length: usize) -> String {
    String::from_utf8(memory(scratch_pointer() + written, length).to_vec()).unwrap()
}

/// Like `TextEncoder.encodeInto`, piece by piece: writes straight into the memory behind the pointer.
fn write(text: &[u8]) -> usize {
    let mut pieces = text.chunks(scratch_length()).peekable();
    while let Some(piece) = pieces.next() {
        memory(scratch_pointer(), piece.len()).copy_from(piece);
        if pieces.peek().is_none() {
            return piece.len();
        }
        push(0.0, usize::MAX, piece.len());
    }
    0
}

fn random_bytes() {
    let bytes: Vec<u8> = (0..2048_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    refill(write(&bytes));
}

fn minted() -> String {
    let mut length = mint(NOW);
    if length == 0 {
        random_bytes();
        length = mint(NOW);
    }
    read(length).trim_end().to_owned()
}

/// The text of a span's row, with an input.
fn row_text(id: &str, text: &str) -> String {
    let input = JSON::stringify(&JsString::from(text)).unwrap();
    let mut fields = vec![String::new(); FIELDS];
    fields[0] = id.into();
    fields[1] = TRACE.into();
    fields[18] = format!("{{\"text\":{}}}", String::from(input));
    fields.join("\u{1f}")
}

#[wasm_bindgen_test]
fn ids_of_one_millisecond_are_strictly_increasing() {
    let mut before = minted();
    for _ in 0..10_000 {
        let id = minted();
        assert!(before < id, "{before} {id}");
        before = id;
    }
}

#[wasm_bindgen_test]
fn a_trace_context_stands_behind_its_question() {
    let written = write([TRACE, PARENT, "\n\n\nuser=7"].concat().as_bytes());
    let lines = read_behind(written, trace_context(written));
    let [parent, state, baggage, ""] = lines.split('\n').collect::<Vec<_>>()[..] else { panic!("{lines}") };
    let (trace, span) = (TRACE.replace('-', ""), PARENT.replace('-', ""));
    assert_eq!(parent, format!("00-{trace}-{}-01", &span[16..]));
    assert_eq!(state, format!("opik={trace}{span}"));
    assert_eq!(baggage, format!("opik.trace_id={TRACE},opik.span_id={PARENT},user=7"));
}

#[wasm_bindgen_test]
fn an_empty_pool_asks_for_more() {
    refill(0);
    assert_eq!(mint(NOW), 0);
    assert_eq!(context(0, NOW), 0);
}

#[wasm_bindgen_test]
fn a_context_comes_line_by_line() {
    let of = |incoming: String| {
        random_bytes();
        read(context(write(incoming.as_bytes()), NOW))
    };
    for incoming in [format!("{TRACE}\n{PARENT}"), format!("\n\n{TRACE}\n{PARENT}")] {
        let joined = of(incoming);
        let [trace_id, parent_id, span_id, "joined", "", "0", ""] = joined.split('\n').collect::<Vec<_>>()[..] else {
            panic!("{joined}")
        };
        assert_eq!((trace_id, parent_id), (TRACE, PARENT));
        assert!(span_id < minted().as_str(), "{span_id} is new");
    }
    let begun = of("garbage".to_owned());
    let [trace_id, "", span_id, "begun", "trace_not_uuid", "0", ""] = begun.split('\n').collect::<Vec<_>>()[..] else {
        panic!("{begun}")
    };
    assert!(trace_id < span_id);
}

/// The flags that `append` returns beside the bytes: an entry was left out, a text was cut.
const FLAGS: i32 = 3;
const CUT: i32 = 2;

#[wasm_bindgen_test]
fn a_row_crosses_in_pieces_and_leaves_as_bytes() {
    let buffer = open_buffer(NOW, 8 << 20, 4 << 20, 2 << 20, 1 << 20);
    for text in ["a€😀\"\\\n\u{1f}", &"€uro".repeat(50_000)] {
        let id = minted();
        let row = row_text(&id, text);
        // The position of the absent output as JavaScript passes it: in UTF-16 units.
        let output_at = row.encode_utf16().count();
        let kept = append(buffer, 0, NOW, NOW, NOW, false, usize::MAX, output_at, write(row.as_bytes()));
        assert_eq!(kept & FLAGS, 0);
        assert!(usize::try_from(kept >> 2).unwrap() >= text.len(), "the bytes that were kept are told");
        assert_eq!(take(buffer), 1);
        assert_eq!(taken_kind(), 0);
        let body = String::from_utf8(memory(taken_pointer(), taken_length()).to_vec()).unwrap();
        let payload: Payload = serde_wasm_bindgen::from_value(JSON::parse(&body).unwrap()).unwrap();
        assert_eq!(payload.spans[0].id, id);
        assert_eq!(payload.spans[0].trace_id, TRACE);
        assert_eq!(payload.spans[0].input.text, text);
        assert_eq!(payload.spans[0].start_time, "2025-11-24T16:00:00.000Z");
    }
    assert_eq!(take(buffer), 0);
    assert_eq!(taken_length(), 0, "the last body is given back");
    close_buffer(buffer);
}

#[wasm_bindgen_test]
fn what_is_not_kept_has_a_reason() {
    let buffer = open_buffer(NOW, 8 << 20, 4 << 20, 2 << 20, 1 << 20);
    let open = open_buffers();
    let reason =
        |text: &str| read(drop_reason(append(buffer, 0, NOW, NOW, NOW, false, usize::MAX, 0, write(text.as_bytes()))));
    assert_eq!(reason("not a row"), "malformed_row\n");
    let row = row_text(&minted(), "its output is said to begin behind its end");
    let code = append(buffer, 0, NOW, NOW, NOW, false, usize::MAX, usize::MAX, write(row.as_bytes()));
    assert_eq!(read(drop_reason(code)), "malformed_row\n");
    let written = write(row_text(&minted(), "after a long one").as_bytes());
    assert_eq!(append(buffer, 0, NOW, NOW, NOW, false, usize::MAX, 0, written) & FLAGS, 0);
    close_buffer(buffer);
    assert_eq!(open_buffers(), open - 1);
    assert_eq!(reason(&row_text(&minted(), "late")), "stale_buffer\n");
    for hostile in [f64::NAN, f64::INFINITY, -1.0, 0.0, 0.5, 2_f64.powi(60)] {
        assert_eq!(take(hostile), 0);
        close_buffer(hostile);
    }
}

#[wasm_bindgen_test]
fn lengths_beyond_the_scratch_are_harmless() {
    random_bytes();
    refill(usize::MAX);
    assert_eq!(mint(NOW), 0, "nothing was handed over");
    assert_eq!(context(usize::MAX, NOW), 0);
    assert_eq!(request_headers(false, usize::MAX), 0);
    assert_eq!(trace_context(usize::MAX), 0);
    push(0.0, usize::MAX, usize::MAX);
    assert_eq!(
        read(drop_reason(append(0.0, 0, NOW, NOW, NOW, false, usize::MAX, usize::MAX, usize::MAX))),
        "stale_buffer\n"
    );
}

#[wasm_bindgen_test]
fn requests_and_verdicts_are_lines() {
    let written = write(b"key\n");
    let headers = read_behind(written, request_headers(true, written));
    assert_eq!(headers, "content-type\napplication/json\ncontent-encoding\ngzip\nauthorization\nkey\n");
    let asked =
        |status, headers: &str| verdict(status, 1, 10, false, NOW, NOW + 30_000.0, 0, write(headers.as_bytes()));
    assert_eq!(asked(204, ""), 0);
    assert_eq!(read(verdict_reason()), "\n");
    assert_eq!(asked(429, "date\nnow\nretry-after\n7"), 1);
    assert_eq!((read(verdict_reason()).as_str(), verdict_wait()), ("rate_limited\n", 7000.0));
    assert_eq!(asked(401, ""), 6);
    assert_eq!(read(verdict_reason()), "unauthorized\n");
    assert_eq!(pause(3, false, 0), 15_000.0);
}

#[wasm_bindgen_test]
fn what_is_too_long_is_cut_and_where_the_rows_end_is_told() {
    let buffer = open_buffer(NOW, 8 << 20, 4 << 20, 2 << 20, 1 << 20);
    let long = row_text(&minted(), &"long text ".repeat(300_000));
    assert_eq!(append(buffer, 0, NOW, NOW, NOW, false, usize::MAX, 0, write(long.as_bytes())) & FLAGS, CUT);
    let short = row_text(&minted(), &"short text ".repeat(3000));
    let kept = append(buffer, 0, NOW, NOW, NOW, false, 0, 0, write(short.as_bytes()));
    assert_eq!(kept & FLAGS, CUT, "its trace has no room");
    assert_eq!(append(buffer, 0, NOW, -1.0, NOW, true, 0, 0, write(row_text(&minted(), "x").as_bytes())) & FLAGS, 0);
    assert_eq!(take(buffer), 3);
    let body = String::from_utf8(memory(taken_pointer(), taken_length()).to_vec()).unwrap();
    assert!(body.contains("… [opik_truncated: 3000000 bytes]") && body.contains("\"original_bytes\":33011"));
    let ends: Vec<usize> = memory(taken_row_ends(), 12)
        .to_vec()
        .chunks(4)
        .map(|bytes| usize::try_from(u32::from_le_bytes(bytes.try_into().unwrap())).unwrap())
        .collect();
    let mut from = "{\"spans\":[".len();
    for end in ends {
        let row: Row = serde_wasm_bindgen::from_value(JSON::parse(&body[from..end]).unwrap()).unwrap();
        assert_eq!(row.trace_id, TRACE);
        from = end + 1;
    }
    assert_eq!(&body[from - 1..], "]}");
    close_buffer(buffer);
}

#[wasm_bindgen_test]
fn a_sample_is_drawn_from_the_id() {
    let written = write(TRACE.as_bytes());
    assert!(
        is_sampled(written, 2_f64.powi(53)) && !is_sampled(written, 0.0) && !is_sampled(usize::MAX, 2_f64.powi(53))
    );
}
