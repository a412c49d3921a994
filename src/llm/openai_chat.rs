//! OpenAI's chat completions and completions, and what hundreds of hosts have made of them: Azure, Groq, Mistral,
//! OpenRouter, DeepSeek, xAI, Perplexity, vLLM. (openai 7.57, `chat/completions.d.ts`, `completions.d.ts`; groq-sdk 1.6;
//! @mistralai/mistralai 2.7; @openrouter/sdk 1.3.)

use super::answer::{Answer, Kind, Part};
use super::conversation::{Conversation, openai_call};
use super::value::{content, elements, index, is_array, is_one_of, is_string, member, pick};

/// Of the request, what goes into the input beside the messages.
pub(super) const INPUT: &[&str] =
    &["messages", "prompt", "suffix", "tools", "tool_choice", "functions", "function_call", "response_format"];

/// A part of a prompt, of which only text is known.
pub(super) fn part(value: &[u8]) -> Part<'_> {
    Part::Other(value)
}

pub(super) fn input(body: &[u8], out: &mut Conversation) {
    let [messages, prompt] = pick(body, "messages prompt");
    elements(messages, &mut |message| out.openai(message));
    if is_array(prompt) {
        elements(prompt, &mut |prompt| out.message(b"\"user\"", prompt, part));
    } else {
        out.message(b"\"user\"", prompt, part);
    }
}

/// Reads an answer, or one chunk of it.
pub(super) fn read(value: &[u8], out: &mut Answer) {
    let [model, choices, usage, groq, id, fingerprint, tier, provider, citations] =
        pick(value, "model choices usage x_groq id system_fingerprint service_tier provider citations");
    out.model(model);
    out.note("id", id);
    out.note("system_fingerprint", fingerprint);
    out.note("service_tier", tier);
    out.note("served_by", provider);
    out.note("citations", citations);
    out.usage(member(groq, "usage"));
    out.usage(usage);
    elements(choices, &mut |choice| read_choice(choice, out));
    if !groq.is_empty() {
        out.error(groq);
    }
}

fn read_choice(choice: &[u8], out: &mut Answer) {
    let [at, delta, message, text, finish, usage] = pick(choice, "index delta message text finish_reason usage");
    if delta.is_empty() && message.is_empty() && text.is_empty() && finish.is_empty() && usage.is_empty() {
        return;
    }
    let at = index(at).unwrap_or(0);
    out.usage(usage);
    out.append(at, Kind::Text, 0, text);
    read_message(if message.is_empty() { delta } else { message }, at, out);
    out.finish(at, finish);
}

/// Reads a message or a part of one.
pub(super) fn read_message(message: &[u8], at: u32, out: &mut Answer) {
    let [text, refusal, reasoning, other_reasoning, calls, call, audio, thinking] =
        pick(message, "content refusal reasoning_content reasoning tool_calls function_call audio thinking");
    out.choice(at);
    if is_array(text) {
        elements(text, &mut |part| read_part(part, at, out));
    } else if !text.is_empty() {
        out.append(at, Kind::Text, 0, text);
    }
    let reasoning = [reasoning, other_reasoning, thinking].into_iter().find(|text| is_string(text)).unwrap_or(b"");
    out.append(at, Kind::Reasoning, 0, reasoning);
    out.append(at, Kind::Refusal, 0, refusal);
    elements(calls, &mut |element| {
        if let Part::Call { id, name, arguments } = openai_call(element) {
            out.call(at, index(member(element, "index")), id, name, arguments);
        }
    });
    let [name, arguments] = pick(call, "name arguments");
    if !call.is_empty() {
        out.call(at, Some(0), b"", name, arguments);
    }
    let [audio_id, transcript] = pick(audio, "id transcript");
    out.audio_id(at, audio_id);
    out.append(at, Kind::Transcript, 0, transcript);
}

/// Reads a part of a content that is no string (Mistral).
fn read_part(part: &[u8], at: u32, out: &mut Answer) {
    let [kind, text, thinking] = pick(part, "type text thinking");
    match content(kind) {
        word if is_one_of(word, "text output_text") => out.append(at, Kind::Text, 0, text),
        word if is_one_of(word, "thinking") && is_array(thinking) => {
            elements(thinking, &mut |part| out.append(at, Kind::Reasoning, 0, member(part, "text")));
        }
        word if is_one_of(word, "thinking") => out.append(at, Kind::Reasoning, 0, thinking),
        word if is_one_of(word, "image_url") => out.media(at, 0, part),
        _ => out.part(at, 0, Part::Other(part)),
    }
}
