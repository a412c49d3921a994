//! One request's recording in few calls, for a Rust program: from the caller's headers to the uploads, with serde
//! values as fields. With the feature `serde`. Stands on all the other modules, which stay usable without it; like
//! them it is given time and random bytes, and sends nothing.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::convert::Infallible;

use serde::Serialize;

use crate::batch::{Buffer, DropReason, Limits};
use crate::context::Context;
use crate::cut::Cutter;
use crate::headers::{self, Incoming, Spelling, Warning};
use crate::id::{ID_CHARS, Id, IdGenerator, RANDOM_BYTES};
use crate::span::{FIELDS, Fields, Kind, Period, SEPARATOR};
use crate::upload::Upload;

/// Random bytes for one id, from the platform's cryptographic source; used for nothing else.
pub type Random = [u8; RANDOM_BYTES];

/// The spans of one request, under the caller's span or in a trace of their own.
///
/// ```
/// use opik_edge::{headers::Incoming, record::Recorder};
///
/// let now = 1_764_000_000_000; // ms since 1970
/// let random = [[7; 12], [8; 12]]; // from the platform's cryptographic source
/// let (mut recorder, root) = Recorder::open(&Incoming::default(), "nightly", now, random);
/// let mut step = recorder.begin(&root, "fetch", now, [9; 12]);
/// step.error("Timeout", "no answer within 10 s");
/// recorder.end(step, now + 10_000)?;
/// recorder.end(root, now + 10_001)?;
///
/// let paths = [recorder.take(), recorder.take(), recorder.take()].map(|upload| upload.map(|upload| upload.path()));
/// assert_eq!(paths, [Some("/v1/private/traces/batch"), Some("/v1/private/spans/batch"), None]);
/// # Ok::<(), opik_edge::batch::DropReason>(())
/// ```
///
/// Where tasks of one request run at the same time, share it in a `RefCell` or a `Mutex`: no call of it waits.
#[derive(Debug)]
pub struct Recorder {
    warning: Option<Warning>,
    ids: IdGenerator,
    buffer: Buffer,
    project_name: Vec<u8>,
    environment: Vec<u8>,
    thread_id: Vec<u8>,
}

impl Recorder {
    /// Begins a recording at `now_ms` (ms since 1970), and its root span: under the caller's span if `incoming` names
    /// one, else in a new trace, whose row is written with the root's. The row of a caller's trace is never written.
    pub fn open(incoming: &Incoming<'_>, name: &str, now_ms: u64, random: [Random; 2]) -> (Self, Span) {
        let [for_trace, for_root] = random;
        let mut ids = IdGenerator::new();
        let mint = || Ok::<_, Infallible>(ids.mint_with(now_ms, for_trace));
        let Ok((context, warning)) = Context::open_with(incoming, now_ms, mint);
        let (trace_id, parent_id) = (context.trace_id(), context.parent_id());
        let root = Span::new(ids.mint_with(now_ms, for_root), trace_id, parent_id, name, now_ms, !context.is_joined());
        let recorder = Self {
            warning,
            ids,
            buffer: Buffer::new(Limits::default()),
            project_name: Vec::new(),
            environment: Vec::new(),
            thread_id: Vec::new(),
        };
        (recorder, root)
    }

    /// What the incoming headers deserve to be told of.
    #[must_use]
    pub fn warning(&self) -> Option<Warning> {
        self.warning
    }

    /// The project of every row that ends from now on (`project_name`; `Default Project` where there is none). It does
    /// not travel with the headers: give it the caller's.
    pub fn project_name(&mut self, name: &str) -> &mut Self {
        self.project_name = json(name);
        self
    }

    /// The environment of every row that ends from now on (`environment`).
    pub fn environment(&mut self, name: &str) -> &mut Self {
        self.environment = json(name);
        self
    }

    /// The conversation that a trace of our own belongs to (`thread_id`). The caller's trace has its own.
    pub fn thread_id(&mut self, id: &str) -> &mut Self {
        self.thread_id = json(id);
        self
    }

    /// Begins a span under `parent`, at `now_ms` (ms since 1970).
    pub fn begin(&mut self, parent: &Span, name: &str, now_ms: u64, random: Random) -> Span {
        Span::new(self.ids.mint_with(now_ms, random), parent.trace_id, Some(parent.id), name, now_ms, false)
    }

    /// Ends a span at `now_ms` (ms since 1970) and writes its row. With the root of a trace of our own the trace's row
    /// is written too, which has the root's name, input, output, metadata, tags and error. Returns how many entries
    /// were left out of the row: counts that are no int32, a cost below zero. What was cut says so where it stands.
    ///
    /// # Errors
    /// A [`DropReason`] when a row is not kept. All others are.
    #[expect(clippy::needless_pass_by_value, reason = "a span ends once, and can not be written to afterwards")]
    pub fn end(&mut self, span: Span, now_ms: u64) -> Result<u32, DropReason> {
        let period = Period { start_ms: span.start_ms, end_ms: Some(now_ms), updated_ms: now_ms, unfinished: false };
        let left_out = self.append(Kind::Span, &span, period);
        if span.is_own_root {
            self.append(Kind::Trace, &span, period)?;
        }
        left_out
    }

    /// Takes out the next payload of ended spans, traces first; `None` when there is none left.
    pub fn take(&mut self) -> Option<Upload> {
        self.buffer.take()
    }

    fn append(&mut self, kind: Kind, span: &Span, period: Period) -> Result<u32, DropReason> {
        let limits = self.buffer.limits();
        let mut cutter = Cutter::new();
        cutter.begin(limits.field_bytes, limits.row_bytes);
        cutter.push(&self.row_text(kind, span)).map_err(|_| DropReason::BufferFull)?;
        let (text, _) = cutter.finish().map_err(|_| DropReason::BufferFull)?;
        self.buffer.append(kind, &Fields::from_text(text, 0)?, period)
    }

    /// The row as [`Fields::from_text`] reads it.
    fn row_text(&self, kind: Kind, span: &Span) -> Vec<u8> {
        let (mut id, mut trace_id, mut parent_id) = ([0; ID_CHARS], [0; ID_CHARS], [0; ID_CHARS]);
        let (own_id, ttft) = match kind {
            Kind::Span => (span.id, span.ttft.as_slice()),
            Kind::Trace => (span.trace_id, b"".as_slice()),
        };
        let fields: [&[u8]; FIELDS] = [
            own_id.encode(&mut id).as_bytes(),
            span.trace_id.encode(&mut trace_id).as_bytes(),
            span.parent_id.map_or(b"", |id| id.encode(&mut parent_id).as_bytes()),
            &span.name,
            span.kind,
            &span.tags,
            &span.model,
            &span.provider,
            &span.usage,
            &span.total_estimated_cost,
            ttft,
            &span.error_type,
            &span.error_message,
            b"",
            &self.thread_id,
            &self.project_name,
            &self.environment,
            &span.metadata,
            &span.input,
            &span.output,
        ];
        fields.join(&SEPARATOR)
    }
}

/// The kinds of span that Opik knows (`type` of `Span_Write`).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SpanType {
    /// Anything else.
    #[default]
    General,
    /// A tool, or a retrieval.
    Tool,
    /// A call of a language model.
    Llm,
    /// A check of what goes in or comes out.
    Guardrail,
}

/// A span that has begun. It is written by [`Recorder::end`], and not at all when it is dropped: end it before an early
/// return.
///
/// Setting a field again replaces it. In place of a value that can not be written as JSON the row says why:
/// `"[unserializable: …]"`.
#[must_use = "a span is written when it is ended"]
#[derive(Debug)]
pub struct Span {
    id: Id,
    trace_id: Id,
    parent_id: Option<Id>,
    start_ms: u64,
    is_own_root: bool,
    kind: &'static [u8],
    name: Vec<u8>,
    input: Vec<u8>,
    output: Vec<u8>,
    metadata: Vec<u8>,
    tags: Vec<u8>,
    model: Vec<u8>,
    provider: Vec<u8>,
    usage: Vec<u8>,
    total_estimated_cost: Vec<u8>,
    ttft: Vec<u8>,
    error_type: Vec<u8>,
    error_message: Vec<u8>,
}

impl Span {
    fn new(id: Id, trace_id: Id, parent_id: Option<Id>, name: &str, start_ms: u64, is_own_root: bool) -> Self {
        Self {
            id,
            trace_id,
            parent_id,
            start_ms,
            is_own_root,
            kind: b"",
            name: json(name),
            input: Vec::new(),
            output: Vec::new(),
            metadata: Vec::new(),
            tags: Vec::new(),
            model: Vec::new(),
            provider: Vec::new(),
            usage: Vec::new(),
            total_estimated_cost: Vec::new(),
            ttft: Vec::new(),
            error_type: Vec::new(),
            error_message: Vec::new(),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// The id of its trace.
    #[must_use]
    pub fn trace_id(&self) -> Id {
        self.trace_id
    }

    /// The headers that let the next service open its spans under this one: name and value. Set, never append: a
    /// forwarded request carries the caller's.
    pub fn headers(&self, spelling: Spelling) -> impl Iterator<Item = (&'static str, Id)> + use<> {
        headers::outgoing(self.trace_id, self.id, spelling)
    }

    /// What kind of operation it is (`type`).
    pub fn kind(&mut self, kind: SpanType) -> &mut Self {
        self.kind = match kind {
            SpanType::General => b"\"general\"",
            SpanType::Tool => b"\"tool\"",
            SpanType::Llm => b"\"llm\"",
            SpanType::Guardrail => b"\"guardrail\"",
        };
        self
    }

    /// What went in: any value; what is not an object is sent as `{"input":…}` (`input`).
    pub fn input<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        self.input = json(value);
        self
    }

    /// What came out: any value; what is not an object is sent as `{"output":…}` (`output`).
    pub fn output<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        self.output = json(value);
        self
    }

    /// What else is to be known: a struct or a map (`metadata`).
    pub fn metadata<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        self.metadata = json(value);
        self
    }

    /// Its tags; each is kept once (`tags`).
    pub fn tags(&mut self, tags: &[&str]) -> &mut Self {
        self.tags = json(tags);
        self
    }

    /// The model called (`model`).
    pub fn model(&mut self, name: &str) -> &mut Self {
        self.model = json(name);
        self
    }

    /// The model's provider: `openai`, `anthropic`, `google_ai`, … (`provider`).
    pub fn provider(&mut self, name: &str) -> &mut Self {
        self.provider = json(name);
        self
    }

    /// Token counts: a struct or a map of int32, at best `prompt_tokens`, `completion_tokens` and `total_tokens`.
    /// Nested ones are flattened with dots; what is no int32 is left out (`usage`).
    pub fn usage<T: Serialize + ?Sized>(&mut self, counts: &T) -> &mut Self {
        self.usage = json(counts);
        self
    }

    /// What it cost, in US dollars, ≥ 0 (`total_estimated_cost`).
    #[expect(clippy::disallowed_types, reason = "dollars have fractions, and this is not in the npm build")]
    pub fn total_estimated_cost(&mut self, dollars: f64) -> &mut Self {
        self.total_estimated_cost = json(&dollars);
        self
    }

    /// Milliseconds to the first token (`ttft`).
    pub fn ttft(&mut self, ms: u64) -> &mut Self {
        self.ttft = json(&ms);
        self
    }

    /// That it failed: the class of the error, and what it says (`error_info`).
    pub fn error(&mut self, kind: &str, message: &str) -> &mut Self {
        self.error_type = json(kind);
        self.error_message = json(message);
        self
    }
}

/// The JSON text of `value`. Floats that are not finite are `null`.
fn json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| json(&["[unserializable: ", &error.to_string(), "]"].concat()))
}
