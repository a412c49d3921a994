//! Repeats the core's work for a request: `opik-edge-instructions PART TIMES`. It depends on no clock, on no chance and
//! on no machine, so that its instructions can be counted.

use std::env::args;
use std::hint::black_box;

use opik_edge::batch::{Buffer, Limits};
use opik_edge::context::Context;
use opik_edge::cut::Cutter;
use opik_edge::headers::{Incoming, Spelling, outgoing};
use opik_edge::id::{ID_CHARS, Id, IdGenerator};
use opik_edge::span::{Fields, Kind, Period};
use opik_edge::upload::{Attempt, verdict};

/// Payload.
const WORDS: &str = match str::from_utf8(&[b'w'; 300 * 1024]) {
    Ok(words) => words,
    Err(_) => "",
};
/// After the caller's ids were made: one from the future is refused.
const NOW: u64 = 1_800_000_000_000;
const TRACE: &str = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const CALLER: &str = "01a20612-0bcc-794c-8aba-f81361854650";

fn main() {
    let [part, times] = &args().skip(1).collect::<Vec<_>>()[..] else { panic!("PART TIMES") };
    let times: usize = times.parse().expect("a number");
    let run: fn(&mut IdGenerator) = match part.as_str() {
        "headers" => headers,
        "edge" => edge,
        "many" => many,
        "cut" => cut,
        "verdict" => verdicts,
        _ => panic!("no such part: {part}"),
    };
    let mut ids = IdGenerator::default();
    ids.refill(&[7; 2048]);
    for _ in 0..times {
        run(&mut ids);
    }
}

/// An id; of the same bytes again, when they are used up.
fn mint(ids: &mut IdGenerator) -> Id {
    if let Some(id) = ids.mint(NOW) {
        return id;
    }
    ids.refill(&[7; 2048]);
    ids.mint(NOW).expect("random bytes")
}

/// The caller's headers in, a span's out.
fn headers(ids: &mut IdGenerator) {
    let incoming = black_box(Incoming::new([TRACE.as_bytes(), CALLER.as_bytes(), b"", b"", b"", b"", b"", b""]));
    let (context, _) = Context::open(&incoming, NOW, ids).expect("a joined trace needs no random bytes");
    let span = mint(ids);
    for (name, id) in outgoing(context.trace_id(), span, Spelling::Both) {
        black_box((name, id.encode(&mut [0; ID_CHARS])));
    }
}

/// A root and three children with 7 KB of payload, as one upload.
fn edge(ids: &mut IdGenerator) {
    rows(ids, &[1200, 3200, 2400, 100]);
}

/// A thousand small rows.
fn many(ids: &mut IdGenerator) {
    rows(ids, &[10; 1000]);
}

fn rows(ids: &mut IdGenerator, payloads: &[usize]) {
    let mut buffer = Buffer::new(Limits::default());
    for &bytes in payloads {
        let (text, output_at) = row(mint(ids), bytes);
        let fields = Fields::from_text(black_box(text.as_bytes()), output_at).expect("the fields of a row");
        let period = Period { start_ms: NOW, end_ms: Some(NOW), updated_ms: NOW, unfinished: false };
        buffer.append(Kind::Span, &fields, period).expect("room");
    }
    assert_eq!(buffer.take().map(|upload| black_box(upload).rows() as usize), Some(payloads.len()));
    assert!(buffer.take().is_none());
}

/// A row as JavaScript passes it, with an output of `bytes` bytes, and the position of the output.
fn row(id: Id, bytes: usize) -> (String, usize) {
    let mut row = String::with_capacity(bytes + 512);
    let mut buffer = [0; ID_CHARS];
    let id = std::str::from_utf8(id.encode(&mut buffer)).expect("ASCII");
    for field in [id, TRACE, CALLER, "\"llm\"", "\"llm\"", "[\"a\",\"b\"]"] {
        row.push_str(field);
        row.push('\u{1f}');
    }
    row.push_str("\"gpt-4.1-mini\"\u{1f}\"openai\"\u{1f}{\"total_tokens\":598}");
    row.push_str("\u{1f}\u{1f}\u{1f}\u{1f}\u{1f}\u{1f}\u{1f}\"bench\"\u{1f}\u{1f}\u{1f}{\"n\":1}\u{1f}");
    let output_at = row.len();
    row.push_str("{\"text\":\"");
    row.push_str(&WORDS[..bytes]);
    row.push_str("\"}");
    (row, output_at)
}

/// A row of 300 KB that is cut to 100 KB, in the pieces in which it crosses.
fn cut(ids: &mut IdGenerator) {
    let (text, _) = row(mint(ids), 300 * 1024);
    let mut cutter = Cutter::new();
    cutter.begin(100 * 1024, 200 * 1024);
    for piece in text.as_bytes().chunks(64 * 1024) {
        cutter.push(black_box(piece)).expect("memory");
    }
    assert_eq!(black_box(cutter.finish().expect("memory")).1, 1);
}

/// Reads answers: the rows were taken, or refused for now.
fn verdicts(_: &mut IdGenerator) {
    let attempt =
        Attempt { number: 1, rows: 4, is_compressed: false, now_ms: NOW, deadline_ms: NOW + 28_000, random: 12_345 };
    let headers: [(&[u8], &[u8]); 2] = [(b"content-type", b"application/json"), (b"retry-after", b"2")];
    for status in [204, 429, 503] {
        black_box(verdict(black_box(status), headers, &attempt));
    }
}
