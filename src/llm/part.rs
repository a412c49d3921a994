//! A part of a message, in any format → what it is. Makers name the same things alike, and where they do not, no name means
//! two things; so one table does for all. Next: [`super::conversation`] and [`super::answer`].

use super::answer::{Kind, Part};
use super::value::{Value, names, position};

/// The types that tell what a part is.
const TYPES: &[u8] = names!(
    "text input_text output_text thinking refusal redacted_thinking tool_use server_tool_use mcp_tool_use function_call mcp_call custom_tool_call tool_result function_call_output custom_tool_call_output reasoning tool-call tool-result tool_call tool_call_response"
);
/// The kind of each type above.
const KINDS: [Kind; 20] = [
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Reasoning,
    Kind::Refusal,
    Kind::Nothing,
    Kind::Call,
    Kind::Call,
    Kind::Call,
    Kind::Call,
    Kind::Call,
    Kind::Call,
    Kind::Result,
    Kind::Result,
    Kind::Result,
    Kind::Reasoning,
    Kind::Call,
    Kind::Result,
    Kind::Call,
    Kind::Result,
];

/// Classifies a part of a message, or an item of a conversation.
#[inline(never)]
pub(super) fn part(value: Value<'_>) -> Part<'_> {
    let kind = value.member("type");
    if kind.is_none() {
        return untyped(value);
    }
    match KINDS.get(position(TYPES, kind.content())) {
        Some(Kind::Call) => call(value),
        Some(Kind::Result) => result(value),
        Some(&kind) => {
            let name = match kind {
                Kind::Reasoning => "thinking",
                Kind::Refusal => "refusal",
                _ => "text",
            };
            text(kind, value.member(name).or(value.any(names!("text content"))))
        }
        None => text(Kind::Other, value),
    }
}

/// A part that is recognised by the name of its member (Google, Bedrock).
fn untyped(value: Value<'_>) -> Part<'_> {
    let [said, thought, google_call, snake_call, tool_use, google_result, snake_result, tool_result, reasoning] = value.pick(
        names!("text thought functionCall function_call toolUse functionResponse function_response toolResult reasoningContent"),
    );
    let called = google_call.or(snake_call).or(tool_use);
    let given = google_result.or(snake_result).or(tool_result);
    if called.is_some() {
        call(called)
    } else if given.is_some() {
        result(given)
    } else if reasoning.is_some() {
        text(Kind::Reasoning, reasoning.member("reasoningText").or(reasoning).member("text"))
    } else if said.is_some() {
        text(if thought.is_true() { Kind::Reasoning } else { Kind::Text }, said)
    } else {
        // A signature belongs to a part that has come.
        let is_signature =
            value.member("thoughtSignature").is_some() && value.any(names!("inlineData executableCode")).is_none();
        text(if is_signature { Kind::Nothing } else { Kind::Other }, value)
    }
}

/// A part that holds only a value.
pub(super) fn text(kind: Kind, value: Value<'_>) -> Part<'_> {
    Part { kind, value, id: value.none(), name: value.none() }
}

fn named<'a>(kind: Kind, value: Value<'a>, inner: Value<'a>) -> Part<'a> {
    let id = value.any(names!("call_id tool_use_id toolUseId toolCallId id"));
    Part { kind, value: inner, id, name: value.any(names!("name toolName")) }
}

/// A call of a tool. OpenAI's chat nests its name and arguments in another member.
#[inline(never)]
pub(super) fn call(value: Value<'_>) -> Part<'_> {
    let inner = value.any(names!("function custom"));
    let arguments = inner.or(value).any(names!("arguments input args"));
    let mut part = named(Kind::Call, value, arguments);
    part.name = inner.member("name").or(part.name);
    part
}

fn result(value: Value<'_>) -> Part<'_> {
    let output = value.any(names!("content response output result"));
    // The AI SDK says beside the value whether it is a text, an error, …
    let inner = if value.member("toolCallId").is_some() { output.member("value").or(output) } else { output };
    named(Kind::Result, value, inner)
}
