//! OpenAI's responses. Its last event has the whole answer; what comes before it matters where the stream ends early.
//! (openai 7.57, `responses/responses.d.ts`.)

use super::answer::{Answer, Kind};
use super::conversation::Conversation;
use super::part::{part, text};
use super::value::{Value, names, position};

pub(super) const INPUT: &[u8] =
    names!("input instructions tools tool_choice previous_response_id conversation prompt text reasoning");

const NOTES: &[u8] = names!("id service_tier previous_response_id");

/// Pieces of one item stand under keys of their own.
const ITEM_KEYS: u32 = 1024;

/// An item of a conversation that a request goes on with.
pub(super) fn input_item(item: Value<'_>, out: &mut Conversation) {
    if item.is_string() {
        out.message(b"user", item);
        return;
    }
    let [kind, role, content] = item.pick(names!("type role content"));
    match kind.content() {
        b"message" | b"" => {
            if role.content() == b"assistant" {
                out.assistant();
            } else {
                out.begin(role.content());
            }
            out.content(content);
        }
        b"reasoning" => {
            out.assistant();
            thoughts(item, &mut |thought| out.part(text(Kind::Reasoning, thought)));
        }
        _ => {
            let part = part(item);
            if part.kind == Kind::Result {
                out.end();
            } else {
                out.assistant();
            }
            out.part(part);
        }
    }
}

/// The texts of a reasoning item.
fn thoughts<'a>(item: Value<'a>, each: &mut dyn FnMut(Value<'a>)) {
    let lists: [Value; 2] = item.pick(names!("summary content"));
    for part in lists.into_iter().flat_map(Value::elements) {
        each(part.member("text"));
    }
}

/// The events that have a piece of a text; what the others mean stands behind them.
const EVENTS: &[u8] = names!(
    "response.output_text.delta response.refusal.delta response.reasoning_summary_text.delta response.reasoning_text.delta response.function_call_arguments.delta response.custom_tool_call_input.delta response.mcp_call_arguments.delta response.output_item.added response.output_item.done response.completed response.incomplete response.failed error"
);

/// Reads an answer, or one event of a stream.
pub(super) fn read(value: Value<'_>, out: &mut Answer) {
    let [kind, response, item, delta, output_index, part_index, summary_index] =
        value.pick(names!("type response item delta output_index content_index summary_index"));
    let item_key = output_index.index().unwrap_or(0).saturating_mul(ITEM_KEYS);
    let inner = part_index.or(summary_index).index().unwrap_or(0).min(ITEM_KEYS.saturating_sub(1));
    let (kind, key) = match position(EVENTS, kind.content()) {
        Some(0) => (Kind::Text, inner),
        Some(1) => (Kind::Refusal, inner),
        Some(2 | 3) => (Kind::Reasoning, inner),
        Some(4..=6) => (Kind::Call, 0),
        Some(7) => return read_item(item, item_key, out, true),
        Some(8) => {
            out.forget(0, item_key..item_key.saturating_add(ITEM_KEYS));
            return read_item(item, item_key, out, false);
        }
        Some(9..=11) => {
            read_response(response, out);
            out.is_terminal = true;
            return;
        }
        Some(_) => {
            if !out.error(value) {
                out.fail(value.member("code").content(), value.member("message").content());
            }
            return;
        }
        None => return read_response(response.or(value), out),
    };
    out.append(0, kind, item_key.saturating_add(key), delta);
}

fn read_item(item: Value<'_>, key: u32, out: &mut Answer, is_new: bool) {
    match item.member("type").content() {
        b"message" => {
            for (at, element) in (key..).zip(item.member("content").elements()) {
                out.part(0, at, part(element));
            }
            out.choice(0);
        }
        b"reasoning" => thoughts(item, &mut |thought| out.append(0, Kind::Reasoning, key, thought)),
        _ => {
            let part = part(item);
            // What is only announced comes again.
            if part.kind == Kind::Call || !is_new {
                out.part(0, key, part);
            }
        }
    }
}

fn read_response(response: Value<'_>, out: &mut Answer) {
    let [model, output, usage, status, details] = response.pick(names!("model output usage status incomplete_details"));
    out.model(model.content());
    out.notes(response, NOTES, NOTES);
    out.usage(usage);
    if output.elements().next().is_some() {
        out.restart();
        for (at, item) in (0..).zip(output.elements()) {
            read_item(item, ITEM_KEYS.saturating_mul(at), out, false);
        }
    }
    match status.content() {
        b"in_progress" | b"" => {}
        b"incomplete" => out.finish(0, details.member("reason").or(status)),
        // Those that run in the background have not answered yet.
        b"queued" => out.note(b"status", status),
        _ => out.finish(0, status),
    }
    out.error(response);
}
