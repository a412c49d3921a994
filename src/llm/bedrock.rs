//! AWS Bedrock: its own `converse`, and `invoke`, whose answer is in the shape of its model's maker.
//! (@aws-sdk/client-bedrock-runtime 3.1164.)

use alloc::vec::Vec;

use super::answer::{Answer, Kind, Part};
use super::conversation::Conversation;
use super::value::{Write, content, elements, index, is_object, is_one_of, member, pick};
use super::workers_ai;

pub(super) const INPUT: &[&str] =
    &["messages", "system", "toolConfig", "prompt", "inputText", "input", "tools", "tool_choice", "texts"];

pub(super) fn input(body: &[u8], out: &mut Conversation) {
    let [messages, system] = pick(body, "messages system");
    out.message(b"\"system\"", system, part);
    elements(messages, &mut |message| {
        let [role, parts] = pick(message, "role content");
        out.message(role, parts, part);
    });
}

/// A block of a request or of an answer.
fn part(block: &[u8]) -> Part<'_> {
    let [text, call, result, reasoning] = pick(block, "text toolUse toolResult reasoningContent");
    if !call.is_empty() {
        let [id, name, arguments] = pick(call, "toolUseId name input");
        Part::Call { id, name, arguments }
    } else if !result.is_empty() {
        let [id, content] = pick(result, "toolUseId content");
        Part::Result { id, name: b"", content }
    } else if !reasoning.is_empty() {
        let [inner, text] = pick(reasoning, "reasoningText text");
        Part::Reasoning(if inner.is_empty() { text } else { member(inner, "text") })
    } else if text.is_empty() {
        Part::Other(block)
    } else {
        Part::Text(text)
    }
}

/// Reads an answer of `converse`.
pub(super) fn read(value: &[u8], out: &mut Answer) {
    let [output, stop, usage, metrics] = pick(value, "output stopReason usage metrics");
    let parts = member(member(output, "message"), "content");
    let mut at = 0_u32;
    elements(parts, &mut |block| {
        out.part(0, at, part(block));
        at = at.saturating_add(1);
    });
    out.usage(usage);
    out.note("latency_ms", member(metrics, "latencyMs"));
    if !parts.is_empty() {
        out.finish(0, stop);
    }
}

/// Reads an event of `converse-stream`, by its name.
pub(super) fn read_event(name: &[u8], value: &[u8], out: &mut Answer) {
    let [at, start, delta] = pick(value, "contentBlockIndex start delta");
    let at = index(at).unwrap_or(0);
    match name {
        word if is_one_of(word, "messageStart") => out.choice(0),
        word if is_one_of(word, "contentBlockStart") => {
            if let Part::Call { id, name, .. } = part(start) {
                out.call(0, Some(at), id, name, b"");
            }
        }
        word if is_one_of(word, "contentBlockDelta") => {
            let [text, call, reasoning] = pick(delta, "text toolUse reasoningContent");
            out.append(0, Kind::Text, at, text);
            out.append(0, Kind::Call, at, member(call, "input"));
            out.append(0, Kind::Reasoning, at, member(reasoning, "text"));
        }
        word if is_one_of(word, "messageStop") => out.finish(0, member(value, "stopReason")),
        word if is_one_of(word, "metadata") => {
            let [usage, metrics] = pick(value, "usage metrics");
            out.usage(usage);
            out.note("latency_ms", member(metrics, "latencyMs"));
            out.is_terminal = true;
        }
        _ => {}
    }
}

/// Reads an answer of `invoke`, or what an event of it has in base64.
pub(super) fn read_invoked(value: &[u8], out: &mut Answer) {
    let bytes = content(member(value, "bytes"));
    if !bytes.is_empty() {
        let decoded = decode(bytes);
        if is_object(&decoded) {
            read_invoked(&decoded, out);
        }
        return;
    }
    let [generation, output, results, stop, metrics, prompt, answer] = pick(
        value,
        "generation outputText results stop_reason amazon-bedrock-invocationMetrics prompt_token_count generation_token_count",
    );
    workers_ai::read(value, out);
    // Llama and Titan.
    out.append(0, Kind::Text, 0, generation);
    out.append(0, Kind::Text, 0, output);
    elements(results, &mut |result| {
        let [text, reason] = pick(result, "outputText completionReason");
        out.append(0, Kind::Text, 0, text);
        out.finish(0, reason);
    });
    if !generation.is_empty() {
        out.finish(0, stop);
    }
    if !prompt.is_empty() && out.usage.is_empty() {
        let mut usage = Vec::new();
        usage.put_byte(b'{');
        super::value::write_member(&mut usage, b"inputTokens", prompt);
        super::value::write_member(&mut usage, b"outputTokens", answer);
        usage.put_byte(b'}');
        out.usage(&usage);
    }
    if is_object(metrics) {
        if out.usage.is_empty() {
            out.usage(metrics);
        }
        out.is_terminal = true;
    }
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
