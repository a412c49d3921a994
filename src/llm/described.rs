//! A call of a model as the caller's SDK describes it → the fields of its span: provider, messages, answer, tokens. For
//! the AI SDK (js/vercel/), whose telemetry has its own shapes for all of these.

use alloc::vec::Vec;

use super::answer::Kind;
use super::conversation::Conversation;
use super::part::part;
use super::recognise::provider_in_sdk;
use super::tape::{Document, Tape};
use super::usage::Counts;
use super::value::{Value, Write, names, write_comma, write_member};
use crate::json::write_number;

/// A call of a model, from a description of it. Each member is JSON, or empty.
///
/// ```
/// use opik_edge::llm::Described;
///
/// let described = Described::read(
///     br#"{"provider":"google.generative-ai","messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],
///     "content":[{"type":"text","text":"Hello"}],"finishReason":"stop","usage":{"inputTokens":1,"outputTokens":2}}"#,
/// );
/// assert_eq!(described.provider, br#""google_ai""#);
/// assert_eq!(described.input, br#"{"messages":[{"role":"user","content":"Hi"}]}"#);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// The provider by the name that Opik prices: a string.
    pub provider: Vec<u8>,
    /// `{messages, tools, tool_choice}`.
    pub input: Vec<u8>,
    /// `{choices:[…]}`.
    pub output: Vec<u8>,
    /// Token counts by the names that Opik reads.
    pub usage: Vec<u8>,
}

impl Described {
    /// Reads a description: an object with any of `provider`, `system`, `messages`, `tools`, `toolChoice`, `content` (the
    /// parts of the answer), `finishReason`, `usage` and `isEmbedding`. Anything else gives a call without fields.
    ///
    /// ```
    /// use opik_edge::llm::Described;
    ///
    /// let described = Described::read(br#"{"provider":"openai.embedding","isEmbedding":true,"usage":{"prompt_tokens":3}}"#);
    /// assert!(described.usage.starts_with(br#"{"prompt_tokens":3,"completion_tokens":0,"total_tokens":3"#));
    /// assert!(Described::read(b"7").provider.is_empty());
    /// ```
    #[must_use]
    pub fn read(json: &[u8]) -> Self {
        let mut tape = Tape::default();
        let document: Document<'_> = tape.whole(json).unwrap_or_default();
        let [provider, system, said, tools, choice, content, finish, usage, is_embedding] = Value::of(&document)
            .pick(names!("provider system messages tools toolChoice content finishReason usage isEmbedding"));
        let mut described = Self::default();
        let name = provider_in_sdk(provider.content());
        if !name.is_empty() {
            described.provider.put_byte(b'"');
            described.provider.put(name);
            described.provider.put_byte(b'"');
        }

        let mut messages = Conversation::default();
        instruct(&mut messages, system);
        say(&mut messages, said);
        let input = &mut described.input;
        input.put_byte(b'{');
        messages.write(input);
        write_member(input, b"tools", tools);
        write_member(input, b"tool_choice", choice);
        input.put_byte(b'}');
        if input.len() == 2 {
            input.clear();
        }

        let mut answer = Conversation::default();
        if content.is_array() {
            reply(&mut answer, content);
        }
        let output = &mut described.output;
        output.put_byte(b'{');
        write_choice(output, 0, &mut answer, finish);
        if output.len() > 1 {
            output.put(b"]}");
        } else {
            output.clear();
        }

        let mut counts = Counts::default();
        counts.merge(usage);
        counts.write(&mut described.usage, name, is_embedding.is_true());
        described
    }
}

/// Where messages have their content. OpenTelemetry calls it parts.
const CONTENT: &[u8] = names!("content parts");

/// Appends the instructions of a system: a text, a message, or a list of these.
#[inline(never)]
pub(super) fn instruct(messages: &mut Conversation, given: Value<'_>) {
    for one in given.items().filter(|_| given.is_some()) {
        messages.message(b"system", one.any(CONTENT).or(one));
    }
}

/// Appends messages: a text, a message, or a list of these.
#[inline(never)]
pub(super) fn say(messages: &mut Conversation, given: Value<'_>) {
    for message in given.items().filter(|_| given.is_some()) {
        if is_openai(message) {
            messages.openai(message);
        } else {
            messages.message(message.member("role").content(), message.any(CONTENT).or(message));
        }
    }
}

/// The assistant's message: a message, a list of its parts, or a text.
#[inline(never)]
pub(super) fn reply(said: &mut Conversation, given: Value<'_>) {
    if is_openai(given) {
        said.openai(given);
        return;
    }
    said.assistant();
    let content = given.any(CONTENT).or(given);
    if content.is_array() {
        // The results of the provider's own tools stand beside the answer.
        content.elements().map(part).filter(|part| part.kind != Kind::Result).for_each(|part| said.part(&part));
    } else {
        said.content(content);
    }
}

#[inline(never)]
fn is_openai(message: Value<'_>) -> bool {
    message.any(names!("tool_calls tool_call_id")).is_some()
}

/// Appends a choice to `{`, or to choices before it, unless it says nothing.
#[inline(never)]
pub(super) fn write_choice(out: &mut Vec<u8>, index: usize, said: &mut Conversation, finish: Value<'_>) {
    let message = said.messages();
    if message.is_empty() {
        return;
    }
    if out.len() == 1 {
        out.put(b"\"choices\":[");
    }
    write_comma(out);
    out.put(b"{\"index\":");
    write_number(out, index as u64);
    out.put(b",\"message\":");
    out.put(message);
    write_member(out, b"finish_reason", finish);
    out.put_byte(b'}');
}
