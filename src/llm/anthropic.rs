//! Anthropic's messages. (@anthropic-ai/sdk 1.14, `messages.d.ts`, `MessageStream.js`.)

use super::answer::{Answer, Kind};
use super::part::{part, text as part_of};
use super::value::{Value, names, position};

pub(super) const INPUT: &[u8] = names!("messages system tools tool_choice output_config output_format");
const NOTES: &[u8] = names!("id stop_sequence");
const USAGE_NOTES: &[u8] = names!("service_tier inference_geo speed");

/// Reads an answer, or one event of a stream.
pub(super) fn read(value: Value<'_>, out: &mut Answer) {
    let [kind, message, at, block, delta, usage, metrics] =
        value.pick(names!("type message index content_block delta usage amazon-bedrock-invocationMetrics"));
    let at = at.index().unwrap_or(0);
    let kind = kind.content();
    let kinds =
        names!("content_block_delta message_start content_block_start message_delta message_stop error message");
    match position(kinds, kind) {
        Some(0) => {
            let [text, thinking, json, citation] = delta.pick(names!("text thinking partial_json citation"));
            out.append(0, Kind::Text, at, text);
            out.append(0, Kind::Reasoning, at, thinking);
            out.append(0, Kind::Call, at, json);
            out.part(0, at, part_of(Kind::Other, citation));
        }
        Some(1) => read_message(message, out),
        Some(2) => {
            let mut part = part(block);
            // Its arguments come piece by piece, and `{}` stands for those that come not at all.
            if part.kind == Kind::Call {
                part.value = part.value.none();
            }
            out.part(0, at, part);
        }
        Some(3) => {
            out.finish(0, delta.member("stop_reason"));
            out.note(b"stop_sequence", delta.member("stop_sequence"));
            out.usage.merge(usage);
        }
        Some(4) => {
            out.is_terminal = true;
            // Bedrock's own counters, where Anthropic's have not come.
            if out.usage.is_empty() {
                out.usage.merge(metrics);
            }
        }
        Some(6) => read_message(value, out),
        None if kind.is_empty() => read_message(value, out),
        // An error is read for all formats.
        _ => {}
    }
}

fn read_message(message: Value<'_>, out: &mut Answer) {
    let [model, blocks, stop, usage] = message.pick(names!("model content stop_reason usage"));
    out.model(model.content());
    out.notes(message, NOTES, NOTES);
    out.usage.merge(usage);
    out.notes(usage, USAGE_NOTES, USAGE_NOTES);
    for (at, block) in (0..).zip(blocks.elements()) {
        out.part(0, at, part(block));
    }
    if blocks.is_some() {
        out.finish(0, stop);
    }
}
