//! AWS Bedrock: its own `converse`, and `invoke`, whose answer is in the shape of its model's maker.
//! (@aws-sdk/client-bedrock-runtime 3.1164.)

use alloc::vec::Vec;

use super::answer::{Answer, Kind};
use super::part::part;
use super::tape::Tape;
use super::value::{Value, names, position};
use super::workers_ai;

pub(super) const INPUT: &[u8] = names!("messages system toolConfig prompt inputText input tools tool_choice texts");

/// Reads an answer of `converse`.
pub(super) fn read(value: Value<'_>, out: &mut Answer) {
    let parts = value.member("output").member("message").member("content");
    for (at, block) in (0..).zip(parts.elements()) {
        out.part(0, at, part(block));
    }
    read_metadata(value, out);
    if parts.is_some() {
        out.finish(0, value.member("stopReason"));
    }
}

fn read_metadata(value: Value<'_>, out: &mut Answer) {
    out.usage(value.member("usage"));
    out.note(b"latency_ms", value.member("metrics").member("latencyMs"));
}

/// Reads an event of `converse-stream`, by its name.
pub(super) fn read_event(name: &[u8], value: Value<'_>, out: &mut Answer) {
    let [at, start, delta] = value.pick(names!("contentBlockIndex start delta"));
    let at = at.index().unwrap_or(0);
    match position(names!("contentBlockDelta contentBlockStart messageStart messageStop metadata"), name) {
        Some(0) => {
            let [text, call, reasoning] = delta.pick(names!("text toolUse reasoningContent"));
            out.append(0, Kind::Text, at, text);
            out.append(0, Kind::Call, at, call.member("input"));
            out.append(0, Kind::Reasoning, at, reasoning.member("text"));
        }
        Some(1) => {
            let mut part = part(start);
            part.value = part.value.none();
            out.part(0, at, part);
        }
        Some(2) => out.choice(0),
        Some(3) => out.finish(0, value.member("stopReason")),
        Some(_) => {
            read_metadata(value, out);
            out.is_terminal = true;
        }
        None => {}
    }
}

/// Reads an answer of `invoke`, or what an event of it has in base64.
pub(super) fn read_invoked(value: Value<'_>, out: &mut Answer) {
    let bytes = value.member("bytes").content();
    if !bytes.is_empty() {
        let text = decode(bytes);
        let mut tape = Tape::default();
        if let Some(document) = tape.whole(&text) {
            read_model(Value::of(&document), out);
        }
        return;
    }
    read_model(value, out);
}

fn read_model(value: Value<'_>, out: &mut Answer) {
    let [generation, results, stop, metrics] =
        value.pick(names!("generation results stop_reason amazon-bedrock-invocationMetrics"));
    workers_ai::read(value, out);
    // Llama and Titan.
    out.append(0, Kind::Text, 0, generation);
    out.append(0, Kind::Text, 0, value.member("outputText"));
    for result in results.elements() {
        out.append(0, Kind::Text, 0, result.member("outputText"));
        out.finish(0, result.member("completionReason"));
    }
    if generation.is_some() {
        out.finish(0, stop);
    }
    if out.usage.is_empty() {
        out.usage.take(value, names!("prompt_token_count generation_token_count"), names!("inputTokens outputTokens"));
        out.usage.merge(metrics);
    }
    out.is_terminal |= metrics.is_some();
}

/// Base64 (RFC 4648 §4) → bytes; ends at the first byte that is none.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0_u32);
    for &byte in text {
        let digit = match byte {
            b'A'..=b'Z' => byte.wrapping_sub(b'A'),
            b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
            b'+' => 62,
            b'/' => 63,
            // A slash may be escaped in JSON.
            b'\\' => continue,
            _ => break,
        };
        bits = (bits << 6) | u32::from(digit);
        count = count.wrapping_add(6);
        if count >= 8 {
            count = count.wrapping_sub(8);
            let [.., byte] = (bits >> count).to_be_bytes();
            out.push(byte);
        }
    }
    out
}
