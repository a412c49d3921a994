//! Records one request in few calls, for a Rust program: from the caller's headers to the uploads, with serde values as
//! fields. Needs the feature `serde`. It is built on the other modules, which stay usable without it. Like them it does
//! no I/O: the caller passes time and random bytes, and sends the uploads.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;

use serde::Serialize;

use crate::batch::{Buffer, DropReason, Limits};
use crate::context::Context;
use crate::cut::Cutter;
use crate::headers::{self, Incoming, Spelling, Warning};
use crate::id::{ID_CHARS, Id, IdGenerator, RANDOM_BYTES};
use crate::json::{for_each_element, is_non_negative_number, is_string, is_value};
use crate::span::{FIELDS, Fields, Kind, Period, SEPARATOR};
use crate::upload::Upload;
use crate::w3c::{Link, Parent};

/// Random bytes for one id, from the platform's cryptographic source. Use them once.
///
/// ```
/// use opik_edge::record::Random;
///
/// let random: Random = [7; 12]; // `crypto.getRandomValues`, the `getrandom` crate …
/// assert_eq!(random.len(), opik_edge::id::RANDOM_BYTES);
/// ```
pub type Random = [u8; RANDOM_BYTES];

/// The spans of one request, under the caller's span or in a new trace.
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
/// Tasks of one request that run concurrently can share it in a `RefCell` or a `Mutex`: its methods never wait.
#[derive(Debug)]
pub struct Recorder {
    warning: Option<Warning>,
    link: Link,
    ids: IdGenerator,
    buffer: Buffer,
    project_name: Vec<u8>,
    environment: Vec<u8>,
    thread_id: Vec<u8>,
}

impl Recorder {
    /// Begins a recording and its root span at `now_ms` (ms since 1970). The root opens under the caller's span if
    /// `incoming` names a trace, otherwise in a new trace, whose row is written together with the root's. The row of a
    /// caller's trace is never written. The ids of a trace context whose span is not Opik's are in the root's metadata, as
    /// `w3c.trace_id` and `w3c.parent_id`.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// let incoming = Incoming::from_pairs([("opik_trace_id", "019ab5c0-7c00-7a11-8a11-0123456789ab")]);
    /// let (recorder, root) = Recorder::open(&incoming, "GET /", 1_764_000_000_000, [[7; 12], [8; 12]]);
    /// assert_eq!(root.trace_id().to_string(), "019ab5c0-7c00-7a11-8a11-0123456789ab");
    /// assert_eq!(recorder.warning(), None);
    /// ```
    pub fn open(incoming: &Incoming<'_>, name: &str, now_ms: u64, random: [Random; 2]) -> (Self, Span) {
        let [for_trace, for_root] = random;
        let mut ids = IdGenerator::new();
        let mint = || Ok::<_, Infallible>(ids.mint_with(now_ms, for_trace));
        let Ok((context, warning)) = Context::open_with(incoming, now_ms, mint);
        let (trace_id, parent_id) = (context.trace_id(), context.parent_id());
        let mut root =
            Span::new(ids.mint_with(now_ms, for_root), trace_id, parent_id, name, now_ms, !context.is_joined());
        if context.link() == Link::Foreign
            && let Some(parent) = Parent::of(incoming)
        {
            root.metadata(&Members(&[("w3c.trace_id", parent.trace_id()), ("w3c.parent_id", parent.parent_id())]));
        }
        let recorder = Self {
            warning,
            link: context.link(),
            ids,
            buffer: Buffer::new(Limits::default()),
            project_name: Vec::new(),
            environment: Vec::new(),
            thread_id: Vec::new(),
        };
        (recorder, root)
    }

    /// The warning about the incoming headers, if there is a problem in them.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// let incoming = Incoming::from_pairs([("opik_trace_id", "42")]);
    /// let (recorder, _root) = Recorder::open(&incoming, "GET /", 1_764_000_000_000, [[7; 12], [8; 12]]);
    /// assert_eq!(recorder.warning().map(|warning| warning.code()), Some("trace_not_uuid"));
    /// ```
    #[must_use]
    pub fn warning(&self) -> Option<Warning> {
        self.warning
    }

    /// The meaning of the caller's trace context: [`Link::Unsampled`] and above ask that nothing is recorded.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder, w3c::Link};
    /// let incoming = Incoming::from_pairs([("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]);
    /// let (recorder, _root) = Recorder::open(&incoming, "GET /", 1_764_000_000_000, [[7; 12], [8; 12]]);
    /// assert_eq!(recorder.link(), Link::Foreign);
    /// ```
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// The project of every row that ends from now on (`project_name`; Opik's `Default Project` if unset). Trace
    /// headers do not carry the project: use the same name as the caller.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// recorder.project_name("shop");
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""project_name":"shop""#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn project_name(&mut self, name: &str) -> &mut Self {
        self.project_name = json(name);
        self
    }

    /// The environment of every row that ends from now on (`environment`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// recorder.environment("production");
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""environment":"production""#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn environment(&mut self, name: &str) -> &mut Self {
        self.environment = json(name);
        self
    }

    /// The conversation of a new trace (`thread_id`). A joined trace keeps its caller's.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// recorder.thread_id("chat-7");
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""thread_id":"chat-7""#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn thread_id(&mut self, id: &str) -> &mut Self {
        self.thread_id = json(id);
        self
    }

    /// Sets the limits of an empty recording.
    #[cfg(feature = "client")]
    pub(crate) fn limit(&mut self, limits: Limits) {
        self.buffer = Buffer::new(limits);
    }

    /// Begins a span under `parent`, at `now_ms` (ms since 1970).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// let step = recorder.begin(&root, "fetch", now_ms + 5, [9; 12]);
    /// assert_eq!(step.trace_id(), root.trace_id());
    /// recorder.end(step, now_ms + 10)?;
    /// recorder.end(root, now_ms + 20)?;
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn begin(&mut self, parent: &Span, name: &str, now_ms: u64, random: Random) -> Span {
        Span::new(self.ids.mint_with(now_ms, random), parent.trace_id, Some(parent.id), name, now_ms, false)
    }

    /// Ends a span at `now_ms` (ms since 1970) and writes its row. The root of a new trace also writes the trace's row,
    /// with the root's name, input, output, metadata, tags and error. Returns the number of entries that were left out
    /// of the row: counts that are not int32, a negative cost. A cut text ends with a note of its original size.
    ///
    /// # Errors
    /// A [`DropReason`] when a row is not kept. All others are.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// assert_eq!(recorder.end(root, now_ms + 20)?, 0);
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "a span ends once, and cannot be changed afterwards")]
    pub fn end(&mut self, span: Span, now_ms: u64) -> Result<u32, DropReason> {
        self.write(&span, now_ms)
    }

    /// Like [`Recorder::end`], for a caller that drops the span afterwards.
    pub(crate) fn write(&mut self, span: &Span, now_ms: u64) -> Result<u32, DropReason> {
        let period = Period { start_ms: span.start_ms, end_ms: Some(now_ms), updated_ms: now_ms, unfinished: false };
        let left_out = self.append(Kind::Span, span, period);
        if span.is_own_root {
            self.append(Kind::Trace, span, period)?;
        }
        left_out
    }

    /// Takes out the next payload of ended spans, traces first; `None` when there is none left.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// recorder.end(root, now_ms + 20)?;
    /// let paths = [recorder.take(), recorder.take()].map(|upload| upload.map(|upload| upload.path()));
    /// assert_eq!(paths, [Some("/v1/private/traces/batch"), Some("/v1/private/spans/batch")]);
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn take(&mut self) -> Option<Upload> {
        self.buffer.take()
    }

    fn append(&mut self, kind: Kind, span: &Span, period: Period) -> Result<u32, DropReason> {
        let limits = self.buffer.limits();
        let mut cutter = Cutter::new();
        cutter.begin(limits.field_bytes, limits.row_bytes);
        cutter.push(&self.row_text(kind, span)).map_err(|_| DropReason::BufferFull)?;
        let (text, _) = cutter.finish().map_err(|_| DropReason::BufferFull)?;
        Ok(self.buffer.append(kind, &Fields::from_text(text, 0)?, period)?.count)
    }

    /// The row as [`Fields::from_text`] reads it.
    fn row_text(&self, kind: Kind, span: &Span) -> Vec<u8> {
        let (mut id, mut trace_id, mut parent_id) = ([0; ID_CHARS], [0; ID_CHARS], [0; ID_CHARS]);
        let (own_id, ttft) = match kind {
            Kind::Span => (span.id, span.ttft.as_slice()),
            Kind::Trace => (span.trace_id, b"".as_slice()),
        };
        let fields: [&[u8]; FIELDS] = [
            own_id.encode(&mut id),
            span.trace_id.encode(&mut trace_id),
            span.parent_id.map_or(b"", |id| id.encode(&mut parent_id)),
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
///
/// ```
/// use opik_edge::record::SpanType;
///
/// assert_eq!(SpanType::default(), SpanType::General);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SpanType {
    /// Any other operation.
    #[default]
    General,
    /// A tool, or a retrieval.
    Tool,
    /// A call of a language model.
    Llm,
    /// A check of an input or an output.
    Guardrail,
}

/// A span that has begun. It is written by [`Recorder::end`], and not at all when it is dropped: end it before an early
/// return.
///
/// Setting a field again replaces it. A value that cannot be written as JSON is recorded as `"[unserializable: …]"`.
///
/// ```
/// use opik_edge::{headers::Incoming, record::{Recorder, SpanType}};
///
/// let now_ms = 1_764_000_000_000;
/// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "answer", now_ms, [[7; 12], [8; 12]]);
/// root.kind(SpanType::Llm).model("gpt-4.1-mini").provider("openai").input("What is a trace?");
/// recorder.end(root, now_ms + 900)?;
/// # Ok::<(), opik_edge::batch::DropReason>(())
/// ```
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
    /// Replaces the JSON of its values.
    #[cfg(feature = "client")]
    pub(crate) fn rewrite(&mut self, rewritten: impl Fn(&[u8]) -> Vec<u8>) {
        for value in [&mut self.input, &mut self.output, &mut self.metadata] {
            *value = rewritten(value);
        }
    }

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
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// let step = recorder.begin(&root, "fetch", now_ms, [9; 12]);
    /// assert!(step.id() > root.id());
    /// # drop(step);
    /// ```
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// The id of its trace.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// let (_, root) = Recorder::open(&Incoming::default(), "GET /", 1_764_000_000_000, [[7; 12], [8; 12]]);
    /// assert_eq!(root.trace_id().timestamp_ms(), 1_764_000_000_000);
    /// ```
    #[must_use]
    pub fn trace_id(&self) -> Id {
        self.trace_id
    }

    /// The headers that let the next service open its spans under this one: name and value. Set, never append: a
    /// forwarded request carries the caller's.
    ///
    /// ```
    /// # use opik_edge::{headers::{Incoming, Spelling}, record::Recorder};
    /// let (_, root) = Recorder::open(&Incoming::default(), "GET /", 1_764_000_000_000, [[7; 12], [8; 12]]);
    /// let names: Vec<_> = root.headers(Spelling::Underscore).map(|(name, _)| name).collect();
    /// assert_eq!(names, ["opik_trace_id", "opik_parent_span_id"]);
    /// ```
    pub fn headers(&self, spelling: Spelling) -> impl Iterator<Item = (&'static str, Id)> + use<> {
        headers::outgoing(self.trace_id, self.id, spelling)
    }

    /// The kind of operation (`type`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.kind(opik_edge::record::SpanType::Llm);
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""type":"llm""#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn kind(&mut self, kind: SpanType) -> &mut Self {
        self.kind = match kind {
            SpanType::General => b"\"general\"",
            SpanType::Tool => b"\"tool\"",
            SpanType::Llm => b"\"llm\"",
            SpanType::Guardrail => b"\"guardrail\"",
        };
        self
    }

    /// The input: any value. A value that is not an object is sent as `{"input":…}` (`input`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.input(&["a", "b"]);
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""input":{"input":["a","b"]}"#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn input<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        self.input = json(value);
        self
    }

    /// The output: any value. A value that is not an object is sent as `{"output":…}` (`output`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.output(&std::collections::BTreeMap::from([("hits", 3)]));
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""output":{"hits":3}"#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn output<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        self.output = json(value);
        self
    }

    /// Further information: a struct or a map (`metadata`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.metadata(&std::collections::BTreeMap::from([("region", "eu")]));
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""metadata":{"region":"eu"}"#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn metadata<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        self.metadata = json(value);
        self
    }

    /// Its tags; each is kept once (`tags`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.tags(&["nightly", "eu"]);
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""tags":["nightly","eu"]"#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn tags(&mut self, tags: &[&str]) -> &mut Self {
        self.tags = json(tags);
        self
    }

    /// The model called (`model`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.model("gpt-4.1-mini");
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""model":"gpt-4.1-mini""#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn model(&mut self, name: &str) -> &mut Self {
        self.model = json(name);
        self
    }

    /// The model's provider: `openai`, `anthropic`, `google_ai`, … (`provider`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.provider("openai");
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""provider":"openai""#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn provider(&mut self, name: &str) -> &mut Self {
        self.provider = json(name);
        self
    }

    /// Token counts: a struct or a map of int32, preferably `prompt_tokens`, `completion_tokens` and `total_tokens`.
    /// Nested counts are flattened with dots, and other values are left out (`usage`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.usage(&std::collections::BTreeMap::from([("total_tokens", 14)]));
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""usage":{"total_tokens":14}"#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn usage<T: Serialize + ?Sized>(&mut self, counts: &T) -> &mut Self {
        self.usage = json(counts);
        self
    }

    /// The cost in US dollars, ≥ 0 (`total_estimated_cost`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.total_estimated_cost(0.002);
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""total_estimated_cost":0.002"#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    #[expect(clippy::disallowed_types, reason = "dollars have fractions, and this is not in the npm build")]
    pub fn total_estimated_cost(&mut self, dollars: f64) -> &mut Self {
        self.total_estimated_cost = json(&dollars);
        self
    }

    /// Milliseconds to the first token (`ttft`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.ttft(120);
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""ttft":120"#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn ttft(&mut self, ms: u64) -> &mut Self {
        self.ttft = json(&ms);
        self
    }

    /// Sets a field whose value is JSON text already.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::{Field, FieldError, Recorder}};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.set(Field::Usage, r#"{"prompt_tokens":5}"#)?;
    /// assert_eq!(root.set(Field::Tags, r#""urgent""#), Err(FieldError::WrongType));
    /// assert_eq!(root.set(Field::Input, "{question}"), Err(FieldError::InvalidJson));
    /// # recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""usage":{"prompt_tokens":5}"#), "{rows}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The text is not JSON, or not of the field's type. The field then keeps its value.
    pub fn set(&mut self, field: Field, json: &str) -> Result<(), FieldError> {
        let text = json.trim_matches([' ', '\t', '\n', '\r']).as_bytes();
        if !is_value(text) {
            return Err(FieldError::InvalidJson);
        }
        let (slot, is_fit) = match field {
            Field::Input => (&mut self.input, true),
            Field::Output => (&mut self.output, true),
            Field::Metadata => (&mut self.metadata, text.starts_with(b"{")),
            Field::Tags => (&mut self.tags, are_strings(text)),
            Field::Model => (&mut self.model, is_string(text)),
            Field::Provider => (&mut self.provider, is_string(text)),
            Field::Usage => (&mut self.usage, text.starts_with(b"{")),
            Field::TotalEstimatedCost => (&mut self.total_estimated_cost, is_non_negative_number(text)),
            Field::Ttft => (&mut self.ttft, is_non_negative_number(text)),
        };
        if !is_fit {
            return Err(FieldError::WrongType);
        }
        *slot = text.to_vec();
        Ok(())
    }

    /// Makes the span a call of a model: sets its type, its name, and all fields that the request and the record have.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// use opik_edge::llm::{Budget, Call, Request, recognise};
    /// # let now_ms = 1_764_000_000_000;
    /// # let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    ///
    /// let target = recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).ok_or("no model")?;
    /// let request = Request::read(&target, br#"{"model":"gpt-4.1-mini","prompt":"Hi"}"#, 0).ok_or("no call")?;
    /// let mut budget = Budget::new();
    /// let mut call = Call::open(&mut budget, &request, usize::MAX);
    /// call.answer(200, [("content-type", "application/json")]);
    /// call.push(&mut budget, br#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#);
    ///
    /// let mut span = recorder.begin(&root, "POST api.openai.com/v1/chat/completions", now_ms, [9; 12]);
    /// span.model_call(&request, call.finish(&mut budget)); // "chat gpt-4.1-mini"
    /// # recorder.end(span, now_ms + 20)?;
    /// # recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""name":"chat gpt-4.1-mini""#) && rows.contains(r#""input":{"messages""#), "{rows}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "llm")]
    pub fn model_call(&mut self, request: &crate::llm::Request, record: crate::llm::Record) -> &mut Self {
        self.kind(SpanType::Llm);
        self.name = record.name;
        self.model = record.model;
        self.provider = record.provider;
        self.input.clone_from(&request.input);
        self.output = record.output;
        self.metadata = record.metadata;
        self.usage = record.usage;
        self.total_estimated_cost = record.total_estimated_cost;
        if !record.error_type.is_empty() {
            self.error_type = record.error_type;
            self.error_message = record.error_message;
        }
        self
    }

    /// `true` for the root of a trace that began here.
    #[cfg(feature = "client")]
    pub(crate) fn begins_trace(&self) -> bool {
        self.is_own_root
    }

    /// Adds a member to the metadata, which are an object or absent: a name that needs no escapes, and JSON.
    #[cfg(feature = "client")]
    pub(crate) fn add_metadata(&mut self, name: &str, json: &str) {
        let members = self.metadata.strip_suffix(b"}").unwrap_or(b"{");
        let comma = if members.trim_ascii_end() == b"{" { "" } else { "," };
        self.metadata = [members, comma.as_bytes(), b"\"", name.as_bytes(), b"\":", json.as_bytes(), b"}"].concat();
    }

    /// Marks the span as failed, with the class of the error and its message (`error_info`).
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, record::Recorder};
    /// # let now_ms = 1_764_000_000_000;
    /// let (mut recorder, mut root) = Recorder::open(&Incoming::default(), "GET /", now_ms, [[7; 12], [8; 12]]);
    /// root.error("Timeout", "no answer within 10 s");
    /// recorder.end(root, now_ms + 20)?;
    /// # let rows = String::from_utf8(recorder.take().unwrap().body().to_vec()).unwrap() + std::str::from_utf8(recorder.take().unwrap().body()).unwrap();
    /// # assert!(rows.contains(r#""exception_type":"Timeout""#), "{rows}");
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn error(&mut self, kind: &str, message: &str) -> &mut Self {
        self.error_type = json(kind);
        self.error_message = json(message);
        self
    }
}

/// An object of these members. A map would add 8 KB to a component.
pub(crate) struct Members<'a, V>(pub(crate) &'a [(&'a str, V)]);

impl<V: Serialize> Serialize for Members<'_, V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A field of a span that takes JSON text: see [`Span::set`].
///
/// ```
/// # use opik_edge::record::{Field, Span};
/// fn found(span: &mut Span, documents: &str) {
///     if let Err(error) = span.set(Field::Output, documents) {
///         eprintln!("the documents are not recorded: {error}");
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// Any value.
    Input,
    /// Any value.
    Output,
    /// An object.
    Metadata,
    /// An array of strings.
    Tags,
    /// A string.
    Model,
    /// A string.
    Provider,
    /// An object of integers.
    Usage,
    /// A number that is not negative, in US dollars.
    TotalEstimatedCost,
    /// A number that is not negative, in milliseconds.
    Ttft,
}

/// The reason why [`Span::set`] refuses a text.
///
/// ```
/// assert_eq!(opik_edge::record::FieldError::InvalidJson.to_string(), "the text is not JSON");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldError {
    /// The text is not JSON.
    InvalidJson,
    /// The field takes JSON of another type.
    WrongType,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidJson => "the text is not JSON",
            Self::WrongType => "the field takes JSON of another type",
        })
    }
}

impl core::error::Error for FieldError {}

fn are_strings(text: &[u8]) -> bool {
    let mut are = true;
    for_each_element(text, |element| are &= is_string(element)).is_some() && are
}

/// The JSON text of `value`. Floats that are not finite are `null`.
fn json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| json(&["[unserializable: ", &error.to_string(), "]"].concat()))
}
