//! Workers AI, by REST and by its binding. An answer is in the shape of its model, whoever made that; so it is told by
//! what it has. (@cloudflare/workers-types 5, workers-ai-provider 4.)

use super::answer::{Answer, Kind};
use super::openai_chat::read_calls;
use super::value::{Value, names};
use super::{anthropic, gemini, openai_chat, openai_responses};

pub(super) const INPUT: &[u8] = names!(
    "messages prompt input text contents requests tools functions tool_choice response_format instructions system image audio lora"
);

/// Reads an answer, or one event of it.
pub(super) fn read(value: Value<'_>, out: &mut Answer) {
    let [result, success, state, model] = value.pick(names!("result success state model"));
    // What has failed is read for all formats.
    if success.is_false() {
        return;
    }
    if result.is_some() && success.or(state).is_some() {
        out.model(model.content());
        return read_shape(result, out);
    }
    read_shape(value, out);
}

fn read_shape(value: Value<'_>, out: &mut Answer) {
    let [choices, output, candidates, response, calls, usage, shape, data, kind, said] =
        value.pick(names!("choices output candidates response tool_calls usage shape data type text"));
    let kind = kind.content();
    if choices.is_some() {
        openai_chat::read(value, out);
    } else if output.is_array() || kind.starts_with(b"response.") {
        openai_responses::read(value, out);
    } else if candidates.is_some() {
        gemini::read(value, out);
    } else if kind.starts_with(b"message") || kind.starts_with(b"content_block") {
        anthropic::read(value, out);
    } else {
        if data.is_array() && shape.is_some() {
            data.elements().for_each(|embedding| out.embedding(embedding));
        } else if value.is_string() {
            out.append(0, Kind::Text, 0, value);
        }
        if response.is_some() {
            out.choice(0);
        }
        for text in [response, said, value.member("description"), value.member("transcription")] {
            out.append(0, Kind::Text, 0, text);
        }
        read_calls(calls, 0, out);
        out.usage(usage);
        out.notes(value, names!("request_id"), names!("request_id"));
        out.error(value);
    }
}
