//! Anthropic's messages. (@anthropic-ai/sdk 1.14, `messages.d.ts`, `MessageStream.js`.)

use super::answer::{Answer, Kind, Part};
use super::conversation::Conversation;
use super::value::{content, elements, index, is_object, is_one_of, member, pick};

pub(super) const INPUT: &[&str] = &["messages", "system", "tools", "tool_choice", "output_config", "output_format"];

pub(super) fn input(body: &[u8], out: &mut Conversation) {
    let [messages, system] = pick(body, "messages system");
    out.message(b"\"system\"", system, part);
    elements(messages, &mut |message| {
        let [role, text] = pick(message, "role content");
        out.message(role, text, part);
    });
}

/// A block of a request or of an answer.
fn part(block: &[u8]) -> Part<'_> {
    let [kind, text, thinking, id, name, input, use_id, value] =
        pick(block, "type text thinking id name input tool_use_id content");
    match content(kind) {
        word if is_one_of(word, "text") => Part::Text(text),
        word if is_one_of(word, "thinking") => Part::Reasoning(thinking),
        word if is_one_of(word, "redacted_thinking") => Part::None,
        word if is_one_of(word, "tool_use server_tool_use mcp_tool_use") => Part::Call { id, name, arguments: input },
        word if is_one_of(word, "tool_result") => Part::Result { id: use_id, name: b"", content: value },
        _ => Part::Other(block),
    }
}

/// Reads an answer, or one event of a stream.
pub(super) fn read(value: &[u8], out: &mut Answer) {
    let [kind, message, at, block, delta, usage, metrics] =
        pick(value, "type message index content_block delta usage amazon-bedrock-invocationMetrics");
    let at = index(at).unwrap_or(0);
    match content(kind) {
        word if is_one_of(word, "message_start") => read_message(message, out),
        word if is_one_of(word, "content_block_start") => match part(block) {
            // Its arguments come piece by piece, and `{}` stands for those that come not at all.
            Part::Call { id, name, .. } => out.call(0, Some(at), id, name, b""),
            part => out.part(0, at, part),
        },
        word if is_one_of(word, "content_block_delta") => read_delta(delta, at, out),
        word if is_one_of(word, "message_delta") => {
            out.finish(0, member(delta, "stop_reason"));
            out.note("stop_sequence", member(delta, "stop_sequence"));
            out.usage.merge(usage);
        }
        word if is_one_of(word, "message_stop") => {
            out.is_terminal = true;
            // Bedrock's own counters, where Anthropic's have not come.
            if out.usage.is_empty() {
                out.usage.merge(metrics);
            }
        }
        word if is_one_of(word, "error") => {
            out.error(value);
        }
        b"message" | b"" => {
            read_message(value, out);
        }
        _ => {}
    }
}

fn read_message(message: &[u8], out: &mut Answer) {
    let [model, id, blocks, stop, sequence, usage] = pick(message, "model id content stop_reason stop_sequence usage");
    out.model(model);
    out.note("id", id);
    if is_object(usage) {
        out.usage.merge(usage);
        let [tier, geo, speed] = pick(usage, "service_tier inference_geo speed");
        out.note("service_tier", tier);
        out.note("inference_geo", geo);
        out.note("speed", speed);
    }
    let mut at = 0_u32;
    elements(blocks, &mut |block| {
        out.part(0, at, part(block));
        at = at.saturating_add(1);
    });
    if !blocks.is_empty() {
        out.finish(0, stop);
    }
    out.note("stop_sequence", sequence);
}

fn read_delta(delta: &[u8], at: u32, out: &mut Answer) {
    let [text, thinking, json, citation] = pick(delta, "text thinking partial_json citation");
    out.append(0, Kind::Text, at, text);
    out.append(0, Kind::Reasoning, at, thinking);
    out.append(0, Kind::Call, at, json);
    if !citation.is_empty() {
        out.part(0, at, Part::Other(citation));
    }
}
