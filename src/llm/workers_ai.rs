//! Workers AI, by REST and by its binding. An answer is in the shape of its model, whoever made that; so it is told by
//! what it has. (@cloudflare/workers-types 5, workers-ai-provider 4.)

use super::answer::{Answer, Kind, Part};
use super::conversation::openai_call;
use super::value::{content, elements, index, is_array, is_object, is_string, member, pick};
use super::{anthropic, gemini, openai_chat, openai_responses};

pub(super) const INPUT: &[&str] = &[
    "messages",
    "prompt",
    "input",
    "text",
    "contents",
    "requests",
    "tools",
    "functions",
    "tool_choice",
    "response_format",
    "instructions",
    "system",
    "image",
    "audio",
    "lora",
];

/// Reads an answer, or one event of it.
pub(super) fn read(value: &[u8], out: &mut Answer) {
    if is_string(value) {
        out.append(0, Kind::Text, 0, value);
        return;
    }
    let [result, success, state, model] = pick(value, "result success state model");
    if success == b"false" {
        out.error(value);
        return;
    }
    if !result.is_empty() && (!success.is_empty() || !state.is_empty()) {
        out.model(model);
        read(result, out);
        return;
    }
    let [choices, output, candidates, response, calls, usage, shape, data, kind, request] =
        pick(value, "choices output candidates response tool_calls usage shape data type request_id");
    let kind = content(kind);
    if !choices.is_empty() {
        openai_chat::read(value, out);
    } else if is_array(output) || kind.starts_with(b"response.") {
        openai_responses::read(value, out);
    } else if !candidates.is_empty() {
        gemini::read(value, out);
    } else if kind.starts_with(b"message") || kind.starts_with(b"content_block") {
        anthropic::read(value, out);
    } else if is_array(data) && !shape.is_empty() {
        elements(data, &mut |embedding| out.embedding(embedding));
        out.usage(usage);
    } else {
        if !response.is_empty() && !is_object(response) {
            append_text(response, out);
        } else if is_object(response) {
            out.append(0, Kind::Text, 0, response);
        }
        elements(calls, &mut |element| {
            if let Part::Call { id, name, arguments } = openai_call(element) {
                out.call(0, index(member(element, "index")), id, name, arguments);
            }
        });
        out.usage(usage);
        out.note("request_id", request);
        for name in ["text", "description", "transcription"] {
            out.append(0, Kind::Text, 0, member(value, name));
        }
        out.error(value);
    }
}

fn append_text(value: &[u8], out: &mut Answer) {
    out.choice(0);
    out.append(0, Kind::Text, 0, value);
}
