//! A request's body → input and parameters for the row. Next: [`super::Call`], which reads the answer.

use alloc::string::String;
use alloc::vec::Vec;

use super::conversation::Conversation;
use super::recognise::{Format, Target, author};
use super::value::{
    Write, content, elements, is_array, is_object, is_string, member, members, pick, quoted, write_clean, write_member,
    write_name,
};
use super::{anthropic, bedrock, embeddings, gemini, ollama, openai_chat, openai_responses, workers_ai};
use crate::json::MAX_DEPTH;

/// Longest parameters that are kept until the answer has come.
pub(super) const MAX_METADATA_BYTES: usize = 16 * 1024;

/// A request, read.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it calls; the provider is that of the body's model where only that tells.
    pub target: Target,
    /// The model that is asked for: a JSON string, or empty.
    pub model: Vec<u8>,
    /// `{messages, tools, …}` as JSON; empty where there is no body.
    pub input: Vec<u8>,
    /// The parameters: an object, or empty.
    pub metadata: Vec<u8>,
    /// Whether an answer in pieces is asked for.
    pub is_streaming: bool,
}

/// Members that are put into `messages`, or left out.
const CONVERTED: &[&str] =
    &["messages", "system", "instructions", "systemInstruction", "system_instruction", "contents", "context", "images"];

impl Request {
    /// A call whose body is not known: recorded without input.
    #[must_use]
    pub fn without_body(target: Target) -> Self {
        let mut request = Self {
            model: Vec::new(),
            input: Vec::new(),
            metadata: Vec::new(),
            is_streaming: target.is_streaming,
            target,
        };
        request.name_model(b"");
        request
    }

    /// Reads the body of a call. Of a universal request it reads the entry that has answered, which the answer's header
    /// `cf-aig-step` names (0 until then). `None` where the host is not known and the body is not that of a model's call.
    #[must_use]
    pub fn read(target: &Target, body: &[u8], step: usize) -> Option<Self> {
        let body = body.trim_ascii();
        if target.format == Format::Universal {
            return Some(universal(body, step).unwrap_or_else(|| Self::without_body(target.clone())));
        }
        if !target.is_known && !fits(target.format, body) {
            return None;
        }
        let mut request = Self::without_body(target.clone());
        let [model, inner, stream] = pick(body, "model input stream");
        let body = if target.is_wrapped && is_object(inner) { inner } else { body };
        request.name_model(model);
        request.is_streaming |=
            if target.format == Format::Ollama { stream != b"false" } else { member(body, "stream") == b"true" };
        if is_object(body) {
            request.read_input(body);
            request.read_parameters(body);
        }
        Some(request)
    }

    fn name_model(&mut self, model: &[u8]) {
        let Target { format, is_prefixed, is_wrapped, .. } = self.target;
        if !self.target.model.is_empty() && self.model.is_empty() {
            self.model = quoted(self.target.model.as_bytes());
        } else if is_string(model) && model.len() <= 1024 {
            self.model = model.to_vec();
        }
        let name = core::str::from_utf8(content(&self.model)).unwrap_or_default();
        if is_prefixed || is_wrapped || (format == Format::WorkersAi && self.target.provider.is_empty()) {
            // At `api.cloudflare.com` a name without an author is one of Cloudflare's.
            let provider = String::from(author(name));
            let is_told = !provider.is_empty() || is_wrapped || name.starts_with("dynamic/");
            if is_told {
                self.target.provider = provider;
            }
        }
    }

    fn read_input(&mut self, body: &[u8]) {
        let mut messages = Conversation::default();
        let format = self.target.format;
        let known = known(format);
        match format {
            Format::OpenAiResponses => openai_responses::input(body, &mut messages),
            Format::Anthropic => anthropic::input(body, &mut messages),
            Format::Gemini => gemini::input(body, &mut messages),
            Format::BedrockConverse => bedrock::input(body, &mut messages),
            Format::BedrockInvoke => {
                // Anthropic's bodies have their parts told by type.
                anthropic::input(body, &mut messages);
                messages.message(b"\"user\"", member(body, "prompt"), openai_chat::part);
                messages.message(b"\"user\"", member(body, "inputText"), openai_chat::part);
            }
            Format::WorkersAi if !member(body, "contents").is_empty() => gemini::input(body, &mut messages),
            Format::WorkersAi if !member(body, "input").is_empty() => openai_responses::input(body, &mut messages),
            Format::OpenAiChat | Format::OpenAiCompletions | Format::WorkersAi | Format::Ollama => {
                let system = member(body, "system");
                messages.message(b"\"system\"", system, openai_chat::part);
                openai_chat::input(body, &mut messages);
            }
            Format::OpenAiEmbeddings | Format::GeminiEmbeddings | Format::Universal => {}
        }
        let out = &mut self.input;
        out.put_byte(b'{');
        messages.write(out);
        let has_messages = out.len() > 1;
        if format == Format::GeminiEmbeddings {
            gemini::embeddings_input(body, out);
        } else {
            members(body, &mut |name, value| {
                let is_known = known.iter().any(|known| known.as_bytes() == name);
                let is_converted = CONVERTED.iter().any(|converted| converted.as_bytes() == name)
                    || (has_messages && matches!(name, b"input" | b"inputText"))
                    || (name == b"prompt" && !is_object(value));
                if is_known && !is_converted && value != b"null" {
                    write_member(out, name, value);
                }
            });
        }
        out.put_byte(b'}');
    }

    fn read_parameters(&mut self, body: &[u8]) {
        let known = known(self.target.format);
        let out = &mut self.metadata;
        out.put_byte(b'{');
        members(body, &mut |name, value| {
            let before = out.len();
            let is_known = name == b"model" || known.iter().any(|known| known.as_bytes() == name);
            if !is_known && value != b"null" && value.len() <= MAX_METADATA_BYTES {
                write_name(out, name);
                write_clean(out, name, value, MAX_DEPTH);
            }
            if out.len() > MAX_METADATA_BYTES {
                out.truncate(before);
            }
        });
        out.put_byte(b'}');
    }
}

/// The members of a body that are input and not parameters.
fn known(format: Format) -> &'static [&'static str] {
    match format {
        Format::OpenAiChat | Format::OpenAiCompletions => openai_chat::INPUT,
        Format::OpenAiResponses => openai_responses::INPUT,
        Format::OpenAiEmbeddings => embeddings::INPUT,
        Format::Anthropic => anthropic::INPUT,
        Format::Gemini | Format::GeminiEmbeddings => gemini::INPUT,
        Format::BedrockConverse | Format::BedrockInvoke => bedrock::INPUT,
        Format::Ollama => ollama::INPUT,
        Format::WorkersAi | Format::Universal => workers_ai::INPUT,
    }
}

/// Whether a body is one of this format's, so that a path of an application is not taken for a model's.
fn fits(format: Format, body: &[u8]) -> bool {
    let [model, messages, prompt, input, contents, requests] =
        pick(body, "model messages prompt input contents requests");
    match format {
        // Azure's deployments are named by the path.
        Format::OpenAiChat => is_array(messages) || (!prompt.is_empty() && is_string(model)),
        Format::Anthropic | Format::BedrockConverse => is_array(messages),
        Format::OpenAiCompletions => !prompt.is_empty() && is_string(model),
        Format::OpenAiResponses => is_string(model) && (!input.is_empty() || !prompt.is_empty()),
        Format::OpenAiEmbeddings => is_string(model) && !input.is_empty(),
        Format::Gemini => !contents.is_empty(),
        Format::GeminiEmbeddings => is_array(requests) || !member(body, "content").is_empty(),
        Format::Ollama => is_string(model),
        Format::BedrockInvoke | Format::WorkersAi | Format::Universal => is_object(body),
    }
}

/// The entry of a universal request that has answered. Its headers have keys in them, and are not read.
fn universal(body: &[u8], step: usize) -> Option<Request> {
    let mut entry: &[u8] = if is_object(body) { body } else { b"" };
    let mut at = 0_usize;
    elements(body, &mut |element| {
        if at == step {
            entry = element;
        }
        at = at.saturating_add(1);
    });
    let [slug, endpoint, query] = pick(entry, "provider endpoint query");
    let text = |value| core::str::from_utf8(content(value)).ok();
    let target = Target::of_slug(text(slug)?, text(endpoint)?)?;
    Request::read(&target, query, 0)
}
