//! Calls of models: a request and the bytes of its answer → the fields of a span of type `llm`: model, provider,
//! messages, answer, tool calls, tokens, cost, error. A state machine without I/O: the caller passes the chunks of the
//! answer as they come, cut anywhere.
//!
//! The files are listed in the order in which data flows. `recognise` finds the called model API by the URL, and
//! `request` reads the body into a `conversation`. `framing` takes an answer apart, through a `sieve` that bounds its
//! memory. A `tape` holds the positions of the values in a text. Each format has a file with tables; `steps` follows
//! them to read values into an `answer`, and `part` classifies parts of messages in any format. `usage` translates
//! token counts into Opik's names. A call that an SDK describes needs only the last three: `described`, and `attributes` reads
//! OpenTelemetry's description, which `otlp` writes. No file builds a tree.
//!
//! ```
//! use opik_edge::llm::{Budget, Call, Request, recognise};
//!
//! let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("no model")?;
//! let body = br#"{"model":"gpt-4.1-mini","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
//! let request = Request::read(&target, body, 0).ok_or("no call of a model")?;
//! assert_eq!(request.input, br#"{"messages":[{"role":"user","content":"Hi"}]}"#);
//!
//! let mut budget = Budget::default();
//! let mut call = Call::open(&mut budget, &request, usize::MAX);
//! call.answer(200, [("content-type", "text/event-stream")]);
//! call.push(&mut budget, b"data: {\"model\":\"gpt-4.1-mini-2025-04-14\",\"choices\":[{\"delta\":{\"con");
//! call.push(&mut budget, b"tent\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
//! assert!(call.is_complete());
//!
//! let record = call.finish(&mut budget);
//! assert_eq!(record.model, br#""gpt-4.1-mini-2025-04-14""#);
//! assert_eq!(record.provider, br#""openai""#);
//! # Ok::<(), &str>(())
//! ```

#![expect(clippy::struct_excessive_bools, reason = "independent facts about an answer")]

use alloc::string::String;
use alloc::vec::Vec;

mod answer;
mod attributes;
mod conversation;
mod described;
mod framing;
mod otlp;
mod part;
mod recognise;
mod request;
mod sieve;
mod steps;
mod tape;
mod usage;
mod value;

mod anthropic;
mod bedrock;
mod embeddings;
mod gemini;
mod ollama;
mod openai_chat;
mod openai_responses;
mod workers_ai;

#[cfg(feature = "npm-llm")]
pub mod bindings;

pub use attributes::fields_of_attributes;
pub use described::Described;
pub use otlp::otlp_of_rows;
pub use recognise::{Format, GATEWAY_HOST, PATH_PARTS, Target, path_suffixes, recognise};
pub use request::Request;

use crate::json;

use answer::{Answer, MAX_MESSAGE_BYTES};
use framing::{Event, Framing};
use recognise::string;
use steps::{Position, Shape, steps_of, take};
use tape::Tape;
use value::{Names, Value, Write, cut, names, position, quoted, trim, write_name};

/// Headers of an answer that are read, and under which names all but the first two are noted.
const HEADERS: &[u8] = names!(
    "content-type x-amzn-errortype cf-aig-cache-status cf-aig-log-id cf-aig-gateway-id cf-aig-step cf-aig-run-id x-request-id request-id x-amzn-requestid"
);
const HEADER_NOTES: &[u8] = names!(
    "cf_aig_cache_status cf_aig_log_id cf_aig_gateway_id cf_aig_step cf_aig_run_id request_id request_id request_id"
);

/// Text that is kept of one call.
pub const MAX_TEXT_BYTES: usize = 256 * 1024;
/// Bytes held by all open calls together.
pub const MAX_OPEN_BYTES: usize = 16 * 1024 * 1024;
/// Bytes counted for a call that has read nothing yet. They bound the number of open calls.
const OPEN_BYTES: usize = 1024;

/// The bytes held by all open calls. There is one budget for each instance: open and finish every call with the same
/// budget.
///
/// ```
/// use opik_edge::llm::Budget;
///
/// assert_eq!(Budget::new().held(), 0);
/// ```
#[derive(Debug, Default)]
pub struct Budget {
    held: usize,
    /// Positions in the text that is being read. Calls share it, because only one text is read at a time.
    tape: Tape,
}

impl Budget {
    /// A budget without any open call.
    ///
    /// ```
    /// # use opik_edge::llm::Budget;
    /// static BUDGET: std::sync::Mutex<Budget> = std::sync::Mutex::new(Budget::new());
    /// assert!(BUDGET.lock().is_ok_and(|budget| budget.held() == 0));
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { held: 0, tape: Tape::new() }
    }

    /// Bytes that are held.
    ///
    /// ```
    /// # use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// # let request = Request::without_body(target);
    /// let mut budget = Budget::new();
    /// let call = Call::open(&mut budget, &request, usize::MAX);
    /// assert!(budget.held() > 0);
    /// call.abandon(&mut budget);
    /// assert_eq!(budget.held(), 0);
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    fn left(&self) -> usize {
        MAX_OPEN_BYTES.saturating_sub(self.held)
    }

    fn change(&mut self, from: usize, to: usize) {
        self.held = self.held.saturating_sub(from).saturating_add(to);
    }
}

/// A call whose answer is being read.
///
/// ```
/// use opik_edge::llm::{Budget, Call, Request, recognise};
///
/// let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
/// let request = Request::without_body(target);
/// let mut budget = Budget::new();
/// let mut call = Call::open(&mut budget, &request, usize::MAX);
/// call.answer(200, [("content-type", "application/json")]);
/// call.push(&mut budget, br#"{"model":"m","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}"#);
/// let record = call.finish(&mut budget);
/// assert_eq!(record.name, br#""chat m""#);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug)]
pub struct Call {
    format: Format,
    provider: String,
    requested: Vec<u8>,
    metadata: Vec<u8>,
    framing: Framing,
    answer: Answer,
    status: u16,
    is_cached: bool,
    has_text: bool,
    /// The beginning of a refusal, which may be plain text.
    refusal: Vec<u8>,
    held: usize,
}

/// The result of a call, each field as JSON text; an absent field is empty.
///
/// ```
/// use opik_edge::llm::Record;
///
/// assert!(Record::default().usage.is_empty());
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// A string: the operation and the model, `chat gpt-4.1-mini`.
    pub name: Vec<u8>,
    /// A string: the answer's model, or the request's if the answer names no model.
    pub model: Vec<u8>,
    /// A string: Opik's name of the provider, or the host.
    pub provider: Vec<u8>,
    /// `{choices:[{index,message,finish_reason}]}` or `{embeddings:[{index,dimensions}]}`.
    pub output: Vec<u8>,
    /// An object: the request's parameters and further facts of the answer.
    pub metadata: Vec<u8>,
    /// An object of counts by Opik's names.
    pub usage: Vec<u8>,
    /// A number, in US dollars: the provider's statement, or 0 if the answer comes from a gateway's cache; otherwise
    /// empty.
    pub total_estimated_cost: Vec<u8>,
    /// A string: the class of the failure, if the call has failed.
    pub error_type: Vec<u8>,
    /// A string: its message.
    pub error_message: Vec<u8>,
}

impl Call {
    /// Begins to read the answer to a request. Keeps at most `field_bytes` of its text, and at most [`MAX_TEXT_BYTES`].
    /// Keeps no text if the open calls hold [`MAX_OPEN_BYTES`].
    ///
    /// ```
    /// # use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// # let request = Request::without_body(target);
    /// let mut budget = Budget::new();
    /// let call = Call::open(&mut budget, &request, usize::MAX);
    /// assert!(!call.is_complete());
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn open(budget: &mut Budget, request: &Request, field_bytes: usize) -> Self {
        let has_text = budget.left() > 0;
        let limit = if has_text { field_bytes.min(MAX_TEXT_BYTES) } else { 0 };
        let mut call = Self {
            format: request.target.format,
            provider: request.target.provider.clone(),
            requested: request.model.clone(),
            metadata: if has_text { request.metadata.clone() } else { Vec::new() },
            framing: Framing::new(limit, request.target.is_streaming),
            answer: Answer::new(limit),
            status: 0,
            is_cached: false,
            has_text,
            refusal: Vec::new(),
            held: 0,
        };
        call.account(budget);
        call
    }

    /// Replaces the request: with a body that became known late, or with the entry of a universal request that has
    /// answered (header `cf-aig-step`).
    ///
    /// ```
    /// # use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// # let request = Request::without_body(target);
    /// let mut budget = Budget::new();
    /// let mut call = Call::open(&mut budget, &request, usize::MAX);
    /// let late = Request::read(&request.target, br#"{"model":"m","messages":[]}"#, 0).ok_or("a call of a model")?;
    /// call.retarget(&late);
    /// assert_eq!(call.finish(&mut budget).model, br#""m""#);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn retarget(&mut self, request: &Request) {
        self.format = request.target.format;
        self.provider.clone_from(&request.target.provider);
        self.requested.clone_from(&request.model);
        if self.has_text {
            self.metadata.clone_from(&request.metadata);
        }
    }

    /// Takes the answer's status (0 for a binding) and its headers; names are in lower case. Unknown headers are
    /// ignored. Call it before the first chunk.
    ///
    /// ```
    /// # use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// # let request = Request::without_body(target);
    /// let mut budget = Budget::new();
    /// let mut call = Call::open(&mut budget, &request, usize::MAX);
    /// call.answer(200, [("x-request-id", "r1")]);
    /// let metadata = call.finish(&mut budget).metadata;
    /// assert!(metadata.windows(4).any(|text| text == br#""r1""#));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn answer<'a>(&mut self, status: u16, headers: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.status = status;
        for (name, value) in headers {
            self.header(name.as_bytes(), value.as_bytes());
        }
    }

    /// Takes one header of an answer whose status is known.
    #[inline(never)]
    fn header(&mut self, name: &[u8], value: &[u8]) {
        match position(HEADERS, name) {
            0 => self.framing.content_type(value),
            // A colon and further text can follow the name.
            1 if self.status >= 400 => {
                self.answer.fail(cut(value, b":").0, b"");
            }
            at @ 2.. => {
                self.is_cached |= at == 2 && value.eq_ignore_ascii_case(b"HIT");
                if let Some(name) = Names(HEADER_NOTES).nth(at.wrapping_sub(2)) {
                    self.answer.note_text(name, value);
                }
            }
            _ => {}
        }
    }

    /// Takes the next bytes of the answer, cut anywhere.
    ///
    /// ```
    /// # use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// # let request = Request::without_body(target);
    /// let mut budget = Budget::new();
    /// let mut call = Call::open(&mut budget, &request, usize::MAX);
    /// call.answer(200, [("content-type", "text/event-stream")]);
    /// call.push(&mut budget, b"data: [DO");
    /// call.push(&mut budget, b"NE]\n\n");
    /// assert!(call.is_complete());
    /// # Ok::<(), &str>(())
    /// ```
    pub fn push(&mut self, budget: &mut Budget, bytes: &[u8]) {
        let Self { framing, answer, format, status, refusal, .. } = self;
        if *status >= 400 {
            let room = MAX_MESSAGE_BYTES.saturating_sub(refusal.len());
            refusal.put(bytes.get(..room).unwrap_or(bytes));
        }
        // Bytes held by other calls are not available.
        let left = budget.left();
        if left < MAX_TEXT_BYTES {
            framing.restrict(left);
            answer.restrict(left);
        }
        framing.push(bytes, &mut budget.tape, &mut |event| read(*format, *status, event, answer));
        self.account(budget);
    }

    fn account(&mut self, budget: &mut Budget) {
        let held = if self.has_text {
            let parts = [OPEN_BYTES, self.metadata.len(), self.refusal.len(), self.framing.held(), self.answer.held()];
            parts.into_iter().fold(0, usize::saturating_add)
        } else {
            0
        };
        budget.change(self.held, held);
        self.held = held;
    }

    /// `true` once the answer is complete, so that a consumer who stops now has missed nothing. Either a terminal event
    /// was seen, or all choices are finished and the usage is known.
    ///
    /// ```
    /// # use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// # let request = Request::without_body(target);
    /// let mut budget = Budget::new();
    /// let mut call = Call::open(&mut budget, &request, usize::MAX);
    /// call.answer(200, [("content-type", "text/event-stream")]);
    /// call.push(&mut budget, b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n");
    /// assert!(!call.is_complete());
    /// call.push(&mut budget, b"data: [DONE]\n\n");
    /// assert!(call.is_complete());
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.answer.is_terminal || self.answer.is_complete()
    }

    /// `true` if the call has failed, by its status or by an event of its answer.
    ///
    /// ```
    /// # use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// # let request = Request::without_body(target);
    /// let mut budget = Budget::new();
    /// let mut call = Call::open(&mut budget, &request, usize::MAX);
    /// call.answer(429, []);
    /// assert!(call.has_failed());
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.status >= 400 || self.answer.failure.is_some()
    }

    /// `true` once text, a thought or a tool call has begun in a streamed answer: the time to the first token is over.
    ///
    /// ```
    /// # use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// # let request = Request::without_body(target);
    /// let mut budget = Budget::new();
    /// let mut call = Call::open(&mut budget, &request, usize::MAX);
    /// call.answer(200, [("content-type", "text/event-stream")]);
    /// call.push(&mut budget, b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n");
    /// assert!(call.has_first_token());
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn has_first_token(&self) -> bool {
        self.framing.is_stream && self.answer.has_content
    }

    /// Ends the call at any point of its answer, and returns its record.
    ///
    /// ```
    /// # use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// # let request = Request::without_body(target);
    /// let mut budget = Budget::new();
    /// let mut call = Call::open(&mut budget, &request, usize::MAX);
    /// call.answer(500, []);
    /// assert_eq!(call.finish(&mut budget).error_type, br#""HTTP 500""#);
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn finish(mut self, budget: &mut Budget) -> Record {
        let Self { framing, answer, format, status, .. } = &mut self;
        let was_unparsed = answer.is_unparsed;
        framing.finish(&mut budget.tape, &mut |event| read(*format, *status, event, answer));
        // The last event may have been cut short.
        answer.is_unparsed = was_unparsed || framing.is_broken();
        budget.change(self.held, 0);
        self.record(&mut budget.tape)
    }

    /// Ends the call without a record.
    ///
    /// ```
    /// # use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("a model")?;
    /// # let request = Request::without_body(target);
    /// let mut budget = Budget::new();
    /// let call = Call::open(&mut budget, &request, usize::MAX);
    /// call.abandon(&mut budget);
    /// assert_eq!(budget.held(), 0);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn abandon(self, budget: &mut Budget) {
        budget.change(self.held, 0);
    }

    fn record(&self, tape: &mut Tape) -> Record {
        let answer = &self.answer;
        let mut record = Record::default();
        let model = if answer.model.is_empty() { &self.requested } else { &answer.model };
        record.model.clone_from(model);
        record.name = self.name(if self.requested.is_empty() { model } else { &self.requested });
        if !self.provider.is_empty() {
            record.provider = quoted(self.provider.as_bytes());
        }
        answer.write(&mut record.output);
        let is_embedding = answer.is_embedding;
        answer.usage.write(&mut record.usage, self.provider.as_bytes(), is_embedding);
        if self.is_cached {
            record.total_estimated_cost.put_byte(b'0');
        } else if self.provider == "openrouter" {
            record.total_estimated_cost.put(answer.usage.cost());
        }
        self.write_error(&mut record);
        self.write_metadata(&mut record.metadata, tape);
        record
    }

    /// As OpenTelemetry names spans of models: `{gen_ai.operation.name} {gen_ai.request.model}`.
    fn name(&self, model: &[u8]) -> Vec<u8> {
        let mut name = Vec::from(b"\"");
        name.put(self.format.operation().as_bytes());
        let model = value::content(model);
        if !model.is_empty() {
            name.put_byte(b' ');
            name.put(model);
        }
        name.put_byte(b'"');
        name
    }

    fn write_error(&self, record: &mut Record) {
        if !self.has_failed() {
            return;
        }
        if let Some(failure) = &self.answer.failure {
            record.error_type.clone_from(&failure.kind);
            record.error_message.clone_from(&failure.message);
        }
        let refusal = trim(&self.refusal);
        if record.error_message.is_empty() && self.answer.is_unparsed && !matches!(refusal, [] | [b'<', ..]) {
            record.error_message = quoted(string(refusal).as_bytes());
        }
        if record.error_type.is_empty() {
            if self.status >= 400 {
                record.error_type.put(b"\"HTTP ");
                json::write_number(&mut record.error_type, self.status.into());
                record.error_type.put_byte(b'"');
            } else {
                record.error_type.put(b"\"Error\"");
            }
        }
    }

    fn write_metadata(&self, out: &mut Vec<u8>, tape: &mut Tape) {
        let [created_from, kind] = self.format.shape().names;
        // Opik's own SDKs name these two by their SDK.
        let created_from = match self.provider.as_str() {
            "groq" => "groq",
            "mistral" => "mistral",
            _ => created_from,
        };
        let incident = match () {
            () if !self.has_text => "no_text",
            () if self.answer.is_cut() => "cut",
            () if self.answer.is_unparsed => "unparsed",
            () => "",
        };
        let own = [("created_from", created_from), ("type", kind), ("opik_edge_llm", incident)];
        out.put_byte(b'{');
        for (name, value) in own {
            if !value.is_empty() {
                write_name(out, name.as_bytes());
                out.put(&quoted(value.as_bytes()));
            }
        }
        for (name, value) in &self.answer.notes {
            write_name(out, name);
            out.put(value);
        }
        let document = tape.whole(&self.metadata).unwrap_or_default();
        for (name, value) in Value::of(&document).members() {
            if !own.iter().any(|(own, _)| own.as_bytes() == name) && !self.answer.has_note(name) {
                write_name(out, name);
                out.put(value.text());
            }
        }
        out.put_byte(b'}');
    }
}

impl Format {
    fn shape(self) -> &'static Shape {
        match self {
            Self::OpenAiChat => &openai_chat::CHAT,
            Self::OpenAiCompletions => &openai_chat::COMPLETIONS,
            Self::OpenAiResponses => &openai_responses::SHAPE,
            Self::OpenAiEmbeddings => &embeddings::SHAPE,
            Self::Anthropic => &anthropic::SHAPE,
            Self::Gemini => &gemini::SHAPE,
            Self::GeminiEmbeddings => &gemini::OF_EMBEDDINGS,
            Self::BedrockConverse | Self::BedrockInvoke => &bedrock::SHAPE,
            Self::Ollama => &ollama::SHAPE,
            Self::WorkersAi => &workers_ai::SHAPE,
            Self::Universal => &workers_ai::UNIVERSAL,
        }
    }
}

/// Reads one text of an answer.
#[inline(never)]
fn read(format: Format, status: u16, event: Event<'_>, answer: &mut Answer) {
    if event.text == Some(b"[DONE]") {
        answer.is_terminal = true;
        answer.is_done = true;
    }
    // Later events are not part of the answer.
    if answer.is_done {
        return;
    }
    if event.is_exception {
        answer.fail(event.name, b"");
    }
    // A string is an answer of Workers AI; in other formats it is a fragment of a text that is not JSON.
    let is_it = |value: &Value<'_>| value.is_object() || (value.is_string() && format == Format::WorkersAi);
    let Some(value) = event.value.filter(is_it) else {
        answer.is_unparsed |= !event.is_exception && event.text != Some(b"");
        if event.name == b"error" {
            answer.fail(b"", b"");
        }
        return;
    };
    if event.is_exception || status >= 400 || event.name == b"error" {
        if !answer.error(value) {
            answer.fail_with(value);
        }
        return;
    }
    answer.is_embedding |= matches!(format, Format::OpenAiEmbeddings | Format::GeminiEmbeddings);
    let [kind, error, errors] = value.pick(names!("type error errors"));
    // Gateways leave the name of an event out, or give all of them one name.
    let kind = if kind.content().is_empty() { event.name } else { kind.content() };
    // These formats, and entries whose format is unknown, are recognised by the members of the answer.
    if matches!(format, Format::WorkersAi | Format::Universal | Format::BedrockInvoke) {
        read_shape(format, value, answer);
    } else {
        let Shape { cases, steps, .. } = format.shape();
        take(steps_of(cases, kind).unwrap_or(steps), value, Position::default(), answer);
    }
    if error.or(errors).is_some() {
        answer.error(value);
    }
}

/// Reads a text in the shape of any maker. Bedrock encodes it in base64.
fn read_shape(format: Format, value: Value<'_>, answer: &mut Answer) {
    let decoded = bedrock::decode(value.member("bytes").content());
    let mut tape = Tape::new();
    let document = tape.whole(&decoded);
    let value = document.as_ref().map_or(value, Value::of);
    if format == Format::BedrockInvoke {
        workers_ai::read(value, &(&[], &[]), answer);
        take(bedrock::INVOKED, value, Position::default(), answer);
    } else {
        workers_ai::read(value, workers_ai::OTHER, answer);
    }
}
