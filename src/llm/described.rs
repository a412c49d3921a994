//! A call of a model as the caller's SDK describes it → the fields of its span: provider, messages, answer, tokens. For
//! the AI SDK (js/vercel/), whose telemetry has its own shapes for all of these.

use alloc::vec::Vec;

use super::answer::Kind;
use super::conversation::Conversation;
use super::part::part;
use super::recognise::provider_in_sdk;
use super::tape::{Document, Tape};
use super::usage::Counts;
use super::value::{Value, Write, names, write_member};

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
        for system in system.items().filter(|_| system.is_some()) {
            messages.message(b"system", system.member("content").or(system));
        }
        for message in said.items().filter(|_| said.is_some()) {
            let role = message.member("role");
            messages.message(role.content(), message.member("content").or(message));
        }
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
        answer.assistant();
        // The results of the provider's own tools.
        content.elements().map(part).filter(|part| part.kind != Kind::Result).for_each(|part| answer.part(&part));
        let message = answer.messages();
        if !message.is_empty() {
            let output = &mut described.output;
            output.put(b"{\"choices\":[{\"index\":0,\"message\":");
            output.put(message);
            write_member(output, b"finish_reason", finish);
            output.put(b"}]}");
        }

        let mut counts = Counts::default();
        counts.merge(usage);
        counts.write(&mut described.usage, name, is_embedding.is_true());
        described
    }
}
