//! OpenAI's chat completions and completions, and what hundreds of hosts have made of them: Azure, Groq, Mistral,
//! OpenRouter, DeepSeek, xAI, Perplexity, vLLM. (openai 7.57, `chat/completions.d.ts`, `completions.d.ts`; groq-sdk 1.6;
//! @mistralai/mistralai 2.7; @openrouter/sdk 1.3.)

use super::answer::{Answer, Kind, Part};
use super::part::{call, part};
use super::value::{Value, names};

/// Of the request, what goes into the input.
pub(super) const INPUT: &[u8] =
    names!("messages prompt suffix tools tool_choice functions function_call response_format");

/// Reads an answer, or one chunk of it.
pub(super) fn read(value: Value<'_>, out: &mut Answer) {
    let [model, choices, usage, groq] = value.pick(names!("model choices usage x_groq"));
    out.model(model.content());
    out.notes(
        value,
        names!("id system_fingerprint service_tier provider citations"),
        names!("id system_fingerprint service_tier served_by citations"),
    );
    out.usage(groq.member("usage"));
    out.usage(usage);
    choices.elements().for_each(|choice| read_choice(choice, out));
    if groq.is_some() {
        out.error(groq);
    }
}

fn read_choice(choice: Value<'_>, out: &mut Answer) {
    let [at, delta, message, text, finish, usage] = choice.pick(names!("index delta message text finish_reason usage"));
    let message = message.or(delta);
    if message.or(text).or(finish).or(usage).is_none() {
        return;
    }
    let at = at.index().unwrap_or(0);
    out.usage(usage);
    out.append(at, Kind::Text, 0, text);
    read_message(message, at, out);
    out.finish(at, finish);
}

/// Reads a message or a part of one.
#[inline(never)]
pub(super) fn read_message(message: Value<'_>, at: u32, out: &mut Answer) {
    let [text, refusal, reasoning, other_reasoning, thinking, calls, function, audio] =
        message.pick(names!("content refusal reasoning_content reasoning thinking tool_calls function_call audio"));
    out.choice(at);
    if text.is_array() {
        text.elements().for_each(|part| read_part(part, at, out));
    } else {
        out.append(at, Kind::Text, 0, text);
    }
    let reasoning = [reasoning, other_reasoning, thinking].into_iter().find(|text| text.is_string());
    out.append(at, Kind::Reasoning, 0, reasoning.unwrap_or(message.none()));
    out.append(at, Kind::Refusal, 0, refusal);
    read_calls(calls, at, out);
    if function.is_some() {
        out.call(at, Some(0), Part { id: function.none(), ..call(function) });
    }
    out.audio_id(at, audio.member("id"));
    out.append(at, Kind::Transcript, 0, audio.member("transcript"));
}

/// Reads tool calls or parts of them.
pub(super) fn read_calls(calls: Value<'_>, at: u32, out: &mut Answer) {
    for element in calls.elements() {
        out.call(at, element.member("index").index(), call(element));
    }
}

/// Reads a part of a content that is no string (Mistral).
fn read_part(element: Value<'_>, at: u32, out: &mut Answer) {
    let part = part(element);
    if part.kind == Kind::Reasoning && part.value.is_array() {
        for thought in part.value.elements() {
            out.append(at, Kind::Reasoning, 0, thought.member("text"));
        }
    } else if part.kind == Kind::Other && element.member("image_url").is_some() {
        out.media(at, 0, element);
    } else {
        out.part(at, 0, part);
    }
}
