//! OpenAI's responses. Its last event has the whole answer; what comes before it matters where the stream ends early.
//! (openai 7.57, `responses/responses.d.ts`.)

use super::answer::{Answer, Kind, Part};
use super::conversation::Conversation;
use super::value::{content, elements, index, is_array, is_one_of, is_string, member, pick};

pub(super) const INPUT: &[&str] = &[
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "previous_response_id",
    "conversation",
    "prompt",
    "text",
    "reasoning",
];

/// Pieces of one item stand under keys of their own.
const ITEM_KEYS: u32 = 1024;

pub(super) fn input(body: &[u8], out: &mut Conversation) {
    let [instructions, input] = pick(body, "instructions input");
    out.message(b"\"system\"", instructions, part);
    if is_array(input) {
        elements(input, &mut |item| input_item(item, out));
        out.end();
    } else {
        out.message(b"\"user\"", input, part);
    }
}

fn input_item(item: &[u8], out: &mut Conversation) {
    if is_string(item) {
        out.message(b"\"user\"", item, part);
        return;
    }
    let [kind, role, text, call_id, output] = pick(item, "type role content call_id output");
    match content(kind) {
        b"message" | b"" => {
            if content(role) == b"assistant" {
                out.assistant();
            } else {
                out.begin(role);
            }
            out.content(text, part);
        }
        word if is_one_of(word, "function_call_output custom_tool_call_output") => {
            out.end();
            out.part(Part::Result { id: call_id, name: b"", content: output });
        }
        word if is_one_of(word, "reasoning") => {
            out.assistant();
            read_reasoning(item, &mut |text| out.part(Part::Reasoning(text)));
        }
        _ => {
            out.assistant();
            out.part(part(item));
        }
    }
}

fn read_reasoning<'a>(item: &'a [u8], each: &mut dyn FnMut(&'a [u8])) {
    let [summary, text] = pick(item, "summary content");
    for list in [summary, text] {
        elements(list, &mut |part| each(member(part, "text")));
    }
}

/// A part of a message, or an item.
fn part(part: &[u8]) -> Part<'_> {
    let [kind, text, refusal, id, call_id, name, arguments, input] =
        pick(part, "type text refusal id call_id name arguments input");
    let id = if call_id.is_empty() { id } else { call_id };
    match content(kind) {
        word if is_one_of(word, "input_text output_text text") => Part::Text(text),
        word if is_one_of(word, "refusal") => Part::Refusal(refusal),
        word if is_one_of(word, "function_call mcp_call") => Part::Call { id, name, arguments },
        word if is_one_of(word, "custom_tool_call") => Part::Call { id, name, arguments: input },
        _ => Part::Other(part),
    }
}

/// Reads an answer, or one event of a stream.
pub(super) fn read(value: &[u8], out: &mut Answer) {
    let [kind, response, item, delta, output_index, part_index, summary_index] =
        pick(value, "type response item delta output_index content_index summary_index");
    let item_key = index(output_index).unwrap_or(0).saturating_mul(ITEM_KEYS);
    let inner = index(part_index).or(index(summary_index)).unwrap_or(0);
    let key = item_key.saturating_add(inner.min(ITEM_KEYS.saturating_sub(1)));
    let kind_text = match content(kind) {
        word if is_one_of(word, "response.output_text.delta") => Kind::Text,
        word if is_one_of(word, "response.refusal.delta") => Kind::Refusal,
        word if is_one_of(word, "response.reasoning_summary_text.delta response.reasoning_text.delta") => {
            Kind::Reasoning
        }
        name if is_one_of(
            name,
            "response.function_call_arguments.delta response.custom_tool_call_input.delta response.mcp_call_arguments.delta",
        ) =>
        {
            Kind::Call
        }
        word if is_one_of(word, "response.output_item.added") => return read_item(item, item_key, out, true),
        word if is_one_of(word, "response.output_item.done") => {
            out.forget(0, item_key..item_key.saturating_add(ITEM_KEYS));
            return read_item(item, item_key, out, false);
        }
        word if is_one_of(word, "response.completed response.incomplete response.failed") => {
            read_response(response, out);
            out.is_terminal = true;
            return;
        }
        word if is_one_of(word, "error") => {
            if !out.error(value) {
                out.fail(member(value, "code"), member(value, "message"));
            }
            return;
        }
        _ => return read_response(if response.is_empty() { value } else { response }, out),
    };
    out.append(0, kind_text, if kind_text == Kind::Call { item_key } else { key }, delta);
}

fn read_item(item: &[u8], key: u32, out: &mut Answer, is_new: bool) {
    let [kind, parts] = pick(item, "type content");
    match content(kind) {
        word if is_one_of(word, "message") => {
            let mut at = key;
            elements(parts, &mut |element| {
                out.part(0, at, part(element));
                at = at.saturating_add(1);
            });
            out.choice(0);
        }
        word if is_one_of(word, "reasoning") => {
            read_reasoning(item, &mut |text| out.append(0, Kind::Reasoning, key, text));
        }
        word if is_one_of(word, "function_call custom_tool_call mcp_call") => out.part(0, key, part(item)),
        // What is only announced comes again.
        _ if is_new => {}
        _ => out.part(0, key, Part::Other(item)),
    }
}

fn read_response(response: &[u8], out: &mut Answer) {
    let [model, id, output, usage, status, details, tier, previous] =
        pick(response, "model id output usage status incomplete_details service_tier previous_response_id");
    out.model(model);
    out.note("id", id);
    out.note("service_tier", tier);
    out.note("previous_response_id", previous);
    out.usage(usage);
    let mut count = 0_u32;
    elements(output, &mut |_| count = count.saturating_add(1));
    if count > 0 {
        out.restart();
        let mut key = 0_u32;
        elements(output, &mut |item| {
            read_item(item, key, out, false);
            key = key.saturating_add(ITEM_KEYS);
        });
    }
    match content(status) {
        b"in_progress" | b"" => {}
        word if is_one_of(word, "incomplete") => {
            let reason = member(details, "reason");
            out.finish(0, if reason.is_empty() { status } else { reason });
        }
        // Those that run in the background have not answered yet.
        word if is_one_of(word, "queued") => out.note("status", status),
        _ => out.finish(0, status),
    }
    out.error(response);
}
