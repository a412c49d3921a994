//! A request's body → input and parameters for the row. Next: [`super::Call`], which reads the answer.

use alloc::vec::Vec;

use super::conversation::Conversation;
use super::part::part;
use super::recognise::{Format, Target, author, decoded};
use super::tape::{Document, Tape};
use super::value::{Names, Value, Write, is_in, names, quoted, write_member};

/// The longest parameters that are kept until the answer comes, in bytes.
pub(super) const MAX_METADATA_BYTES: usize = 16 * 1024;

/// A request, read.
///
/// ```
/// use opik_edge::llm::{Request, recognise};
///
/// let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
/// let body = br#"{"model":"gpt-4.1-mini","temperature":0,"messages":[]}"#;
/// let request = Request::read(&target, body, 0).ok_or("a call of a model")?;
/// assert_eq!(request.model, br#""gpt-4.1-mini""#);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    /// The called API; its provider comes from the body's model if the URL does not name it.
    pub target: Target,
    /// The model that is asked for: a JSON string, or empty.
    pub model: Vec<u8>,
    /// `{messages, tools, …}` as JSON; empty where there is no body.
    pub input: Vec<u8>,
    /// The parameters: an object, or empty.
    pub metadata: Vec<u8>,
}

/// Members that are put into `messages`, or left out.
const CONVERTED: &[u8] =
    names!("messages system instructions systemInstruction system_instruction contents context images");

impl Request {
    /// A call whose body is not known: recorded without input.
    ///
    /// ```
    /// # use opik_edge::llm::{Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// assert!(Request::without_body(target).input.is_empty());
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn without_body(target: Target) -> Self {
        let mut request = Self { model: Vec::new(), input: Vec::new(), metadata: Vec::new(), target };
        request.name_model(Value::of(&Document::default()));
        request
    }

    /// Reads the body of a call. For a universal request, `step` selects the entry that has answered: the answer's
    /// header `cf-aig-step`, or 0 before the answer. Returns `None` if the host is unknown and the body does not fit
    /// its format.
    ///
    /// ```
    /// # use opik_edge::llm::{Request, recognise};
    /// // An unknown host counts where the body is one of a model's call.
    /// let target = recognise("POST", "https://llm.internal/v1/chat/completions", &[]).ok_or("a model")?;
    /// assert!(Request::read(&target, br#"{"model":"m","messages":[]}"#, 0).is_some());
    /// assert!(Request::read(&target, br#"{"chat":7}"#, 0).is_none());
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn read(target: &Target, body: &[u8], step: usize) -> Option<Self> {
        let mut tape = Tape::default();
        let document = tape.whole(body).unwrap_or_default();
        Self::of(target, Value::of(&document), step)
    }

    fn of(target: &Target, body: Value<'_>, step: usize) -> Option<Self> {
        if target.format == Format::Universal {
            return Some(universal(body, step).unwrap_or_else(|| Self::without_body(target.clone())));
        }
        if !target.is_known && !fits(target.format, body) {
            return None;
        }
        let mut request = Self::without_body(target.clone());
        let [model, inner] = body.pick(names!("model input"));
        let body = if target.is_wrapped && inner.is_object() { inner } else { body };
        request.name_model(model);
        if body.is_object() {
            request.read_body(body);
        }
        Some(request)
    }

    #[inline(never)]
    fn name_model(&mut self, model: Value<'_>) {
        let Target { format, is_prefixed, is_wrapped, .. } = self.target;
        if !self.target.model.is_empty() && self.model.is_empty() {
            self.model = quoted(self.target.model.as_bytes());
        } else if model.is_string() && model.text().len() <= 1024 {
            self.model = model.text().to_vec();
        }
        let name = super::value::content(&self.model);
        if is_prefixed || is_wrapped || (format == Format::WorkersAi && self.target.provider.is_empty()) {
            // At `api.cloudflare.com` a name without an author is one of Cloudflare's.
            let provider = author(name);
            if !provider.is_empty() || is_wrapped || name.starts_with(b"dynamic/") {
                self.target.provider = decoded(provider);
            }
        }
    }

    /// The format says which members are input; their meaning is the same in all formats.
    fn read_body(&mut self, body: Value<'_>) {
        let mut messages = Conversation::default();
        let format = self.target.format;
        let known = format.shape().input;
        let are_texts = matches!(format, Format::OpenAiEmbeddings | Format::GeminiEmbeddings | Format::Universal);
        let table =
            names!("system instructions systemInstruction system_instruction messages contents prompt inputText input");
        let mut values: [Value; 9] = if are_texts { [body.none(); 9] } else { body.pick(table) };
        for (name, value) in Names(table).zip(&mut values) {
            if !is_in(known, name) {
                *value = value.none();
            }
        }
        let [system, instructions, google_system, snake_system, said, contents, prompt, text, input] = values;
        let system = system.or(instructions).or(google_system).or(snake_system);
        messages.message(b"system", system.member("parts").or(system));
        // Messages in OpenAI's shape stay as they are. Some formats have messages of several makers.
        let is_openai =
            matches!(format, Format::OpenAiChat | Format::OpenAiCompletions | Format::WorkersAi | Format::Ollama);
        for message in said.elements() {
            let content = message.member("content");
            let has_blocks = || content.elements().any(|element| part(element).is_block());
            if message.any(names!("tool_calls tool_call_id")).is_some() || (is_openai && !has_blocks()) {
                messages.openai(message);
            } else {
                messages.message(message.member("role").content(), content);
            }
        }
        for item in contents.items() {
            messages.message(item.member("role").content(), if item.is_string() { item } else { item.member("parts") });
        }
        for text in prompt.items().chain(text.items()).filter(|text| !text.is_object()) {
            messages.message(b"user", text);
        }
        // In any other format, `input` is text for an embedding.
        if matches!(format, Format::OpenAiResponses | Format::WorkersAi) {
            input.items().for_each(|item| messages.item(item));
        }
        let (input, metadata) = (&mut self.input, &mut self.metadata);
        input.put_byte(b'{');
        messages.write(input);
        let has_messages = input.len() > 1;
        if format == Format::GeminiEmbeddings {
            write_member(input, b"input", body.any(names!("content requests")));
        }
        metadata.put_byte(b'{');
        for (name, value) in body.members().filter(|(_, value)| !value.is_null()) {
            if is_in(known, name) {
                let is_converted = is_in(CONVERTED, name)
                    || (has_messages && is_in(names!("input inputText"), name))
                    || (name == b"prompt" && !value.is_object())
                    || format == Format::GeminiEmbeddings;
                if !is_converted {
                    write_member(input, name, value);
                }
            } else if name != b"model" && value.text().len() <= MAX_METADATA_BYTES {
                let before = metadata.len();
                write_member(metadata, name, value);
                if metadata.len() > MAX_METADATA_BYTES {
                    metadata.truncate(before);
                }
            }
        }
        input.put_byte(b'}');
        metadata.put_byte(b'}');
    }
}

/// `true` if a body fits this format. Otherwise the path belongs to some other application.
fn fits(format: Format, body: Value<'_>) -> bool {
    // The body must name a model if `is_named`, and must have a member of the table. Azure's deployments are named by
    // the path.
    let (is_named, table) = match format {
        Format::OpenAiChat if body.member("messages").is_none() => (true, names!("prompt")),
        Format::OpenAiChat | Format::Anthropic | Format::BedrockConverse => (false, names!("messages")),
        Format::OpenAiCompletions => (true, names!("prompt")),
        Format::OpenAiResponses => (true, names!("input prompt")),
        Format::OpenAiEmbeddings => (true, names!("input")),
        Format::Gemini => (false, names!("contents")),
        Format::GeminiEmbeddings => (false, names!("requests content")),
        Format::Ollama => (true, names!("model")),
        Format::BedrockInvoke => (false, names!("messages prompt inputText")),
        Format::WorkersAi | Format::Universal => return body.is_object(),
    };
    let is_list = |name: &str| body.member(name).is_none() || body.member(name).is_array();
    (!is_named || body.member("model").is_string())
        && body.any(table).is_some()
        && is_list("messages")
        && is_list("requests")
}

/// The entry of a universal request that has answered. Its headers have keys in them, and are not read.
fn universal(body: Value<'_>, step: usize) -> Option<Request> {
    let entry = body.elements().nth(step).unwrap_or(body);
    let [slug, endpoint, query] = entry.pick(names!("provider endpoint query"));
    let target = Target::of_slug(slug.content(), endpoint.content())?;
    Request::of(&target, query, 0)
}
