//! A client for Rust programs: spans that end when they are dropped, and a delivery with retries. Needs the feature
//! `client`. It needs no async runtime: it runs on any [`Platform`]. It is built on [`crate::record`], which stays
//! usable without it.
//!
//! ```
//! use opik_edge::client::{Client, Inject, Platform};
//! use opik_edge::record::SpanType;
//! use serde_json::{Value, json};
//!
//! async fn handle<P: Platform>(client: &Client<P>, headers: &[(&str, &str)], question: &str) -> Result<Value, String> {
//!     let mut root = client.open("POST /ask", headers);
//!     let delivered = root.delivered(); // for `waitUntil`, or a spawner
//!     root.input(question);
//!     let answer = root
//!         .run("llm", async |span| {
//!             span.kind(SpanType::Llm).model("gpt-4.1-mini").input(question);
//!             let mut outgoing = Vec::new();
//!             span.inject(&mut outgoing);
//!             let answer = ask(question, outgoing).await?; // the span records an error
//!             span.output(&answer);
//!             Ok::<_, String>(answer)
//!         })
//!         .await;
//!     drop(root);
//!     delivered.await;
//!     answer
//! }
//!
//! async fn ask(question: &str, headers: Vec<(String, String)>) -> Result<Value, String> {
//! #   drop(headers);
//!     Ok(json!({ "content": question }))
//! }
//! ```

mod carrier;
mod delivery;
mod joint;
mod platform;
mod redact;
mod settings;

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Display};
use core::future::{Future, poll_fn};
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use carrier::{Extract, Inject};
pub use delivery::Report;
pub use platform::{Answer, Platform, Request};
pub use settings::{DEFAULT_URL, Propagation, Settings};

use carrier::Caller;
use delivery::{Destination, Rows, deliver};
use joint::{Waiting, deliver_waiting};

use crate::batch::{Limits, MAX_BUFFER_BYTES};
use crate::headers::{self, Claim, Incoming, Spelling};
use crate::record::{Members, Recorder, Span};
use crate::upload::Upload;
use crate::w3c::{self, Link};

/// The longest time that the last delivery of a recording takes, in ms: a Worker has 30 s after its response.
///
/// ```
/// assert!(opik_edge::client::DELIVERY_MS < 30_000);
/// ```
pub const DELIVERY_MS: u64 = 28_000;

/// Opens recordings and delivers them. Clones share their state: the settings, and a pause after failures of the
/// backend.
///
/// ```
/// use opik_edge::client::{Client, Platform};
///
/// async fn handle<P: Platform>(client: &Client<P>, headers: &[(String, String)]) {
///     let root = client.open("GET /users", headers);
///     let delivered = root.delivered();
///     drop(root);
///     delivered.await;
/// }
/// ```
pub struct Client<P>(Arc<Inner<P>>);

struct Inner<P> {
    platform: P,
    settings: Settings,
    destination: Mutex<Destination>,
    waiting: Mutex<Waiting>,
    has_refused: AtomicBool,
}

impl<P: Platform> Client<P> {
    /// A client with these settings. If they have a [`problem`](Settings::problem), the client warns about it and sends
    /// nothing.
    ///
    /// ```
    /// use opik_edge::client::{Client, Platform, Settings};
    ///
    /// fn client<P: Platform>(platform: P) -> Client<P> {
    ///     Client::new(platform, Settings::from_env(|name| std::env::var(name).ok()))
    /// }
    /// ```
    pub fn new(platform: P, mut settings: Settings) -> Self {
        if let Some(problem) = settings.problem()
            && !settings.is_disabled
        {
            platform.warn(&["nothing is traced: ", problem].concat());
            settings.is_disabled = true;
        }
        Self(Arc::new(Inner {
            platform,
            settings,
            destination: Mutex::default(),
            waiting: Mutex::default(),
            has_refused: AtomicBool::default(),
        }))
    }

    /// Begins a recording and its root span: under the caller's span if `caller` names a trace, otherwise in a new
    /// trace. A caller that the settings do not trust is named in the metadata of the new trace, as
    /// `opik_edge_untrusted`.
    ///
    /// ```
    /// # use opik_edge::client::{Client, Platform, Root};
    /// fn begin<P: Platform>(client: &Client<P>, headers: &[(String, String)]) -> Root<P> {
    ///     client.open("POST /ask", headers)
    /// }
    /// ```
    pub fn open(&self, name: &str, caller: &(impl Extract + ?Sized)) -> Root<P> {
        let Inner { platform, settings, .. } = &*self.0;
        let caller = Caller::of(caller, settings.propagation.w3c);
        let now_ms = platform.now_ms();
        let (mut claim, _) = headers::read(&caller.incoming(), now_ms);
        let refused = if settings.trusts_callers { None } else { claim.take() };
        let incoming = if settings.trusts_callers { caller.incoming() } else { Incoming::default() };
        let (mut recorder, mut span) = Recorder::open(&incoming, name, now_ms, [platform.random(), platform.random()]);
        recorder.limit(Limits {
            buffer_bytes: MAX_BUFFER_BYTES,
            batch_bytes: settings.max_body_bytes,
            ..Limits::default()
        });
        if !settings.project_name.is_empty() {
            recorder.project_name(&settings.project_name);
        }
        if !settings.environment.is_empty() {
            recorder.environment(&settings.environment);
        }
        if let Some(warning) = recorder.warning() {
            platform.warn(&["trace headers: ", warning.code()].concat());
        }
        if let Some(refused) = refused {
            let ids = [Some(("traceId", refused.trace_id)), refused.parent_id.map(|id| ("spanId", id))];
            let ids: Vec<_> = ids.into_iter().flatten().map(|(name, id)| (name, id.to_string())).collect();
            span.metadata(&Members(&[("opik_edge_untrusted", Members(&ids))]));
            if !self.0.has_refused.swap(true, Ordering::Relaxed) {
                platform.warn("a caller is not trusted, so its requests begin traces (OPIK_EDGE_TRUST)");
            }
        }
        let link = recorder.link();
        let is_sampled =
            link < Link::Unsampled && (!span.begins_trace() || span.trace_id().is_sampled(settings.share()));
        let [.., traceparent, tracestate] = incoming.values;
        let came: [&[u8]; 2] = match link {
            Link::None if !is_sampled => [b"", b""], // the `traceparent` is invalid
            Link::UnsampledAlone => [traceparent, b""],
            _ => [traceparent, tracestate],
        };
        let [.., refused_parent, _] = caller.incoming().values;
        let refused_parent = if settings.trusts_callers { b"" } else { refused_parent };
        let state = State { recorder, open: 1, has_ended: false, waiting: Vec::new() };
        let recording = Arc::new(Recording {
            rows: Rows::new(Arc::clone(&self.0)),
            claim,
            came: came.map(|value| String::from_utf8_lossy(value).into_owned()),
            refused_parent: String::from_utf8_lossy(refused_parent).into_owned(),
            is_recorded: is_sampled && !settings.is_disabled,
            state: Mutex::new(state),
        });
        Root(Active { recording, span, is_root: true, is_kept: true })
    }

    /// Begins a recording in a new trace.
    ///
    /// ```
    /// # use opik_edge::client::{Client, Platform};
    /// async fn nightly<P: Platform>(client: &Client<P>) {
    ///     let root = client.begin("nightly");
    ///     let delivered = root.delivered();
    ///     drop(root.begin("step"));
    ///     drop(root);
    ///     delivered.await;
    /// }
    /// ```
    pub fn begin(&self, name: &str) -> Root<P> {
        self.open(name, &[("", ""); 0])
    }

    /// The path as it is recorded: `*` stands in place of each segment that [`Settings::redact`] hides.
    ///
    /// ```
    /// # use opik_edge::client::{Client, Platform};
    /// fn name<P: Platform>(client: &Client<P>, path: &str) -> String {
    ///     format!("GET {}", client.shown(path)) // GET /reset/* for the pattern /reset/*
    /// }
    /// ```
    #[must_use]
    pub fn shown<'a>(&self, path: &'a str) -> Cow<'a, str> {
        redact::shown(path, &self.0.settings.redact)
    }

    /// `true` if nothing is sent, by the settings or because of a problem in them. The caller's ids are still handed on.
    ///
    /// ```
    /// # use opik_edge::client::{Client, Platform};
    /// fn is_worth_reading<P: Platform>(client: &Client<P>) -> bool {
    ///     !client.is_disabled()
    /// }
    /// ```
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.0.settings.is_disabled
    }
}

impl<P> Inner<P> {
    fn destination(&self) -> MutexGuard<'_, Destination> {
        self.destination.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Clone for Client<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P> fmt::Debug for Client<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.settings).finish()
    }
}

/// The recording of one root.
struct Recording<P: Platform> {
    /// Its uploads that are neither delivered nor lost.
    rows: Rows<P>,
    /// The ids of a trusted caller, which a disabled client hands on.
    claim: Option<Claim>,
    /// The trusted caller's `traceparent` and `tracestate`.
    came: [String; 2],
    /// The `traceparent` of a caller that is not trusted, which the headers of a forwarded request still have.
    refused_parent: String,
    /// `false` for a disabled client, and for a trace that is not in the sample.
    is_recorded: bool,
    state: Mutex<State>,
}

struct State {
    recorder: Recorder,
    /// The number of open spans, including the root.
    open: u32,
    /// `true` after the end of the root.
    has_ended: bool,
    /// Wakers of tasks that wait for the root or for all spans to end.
    waiting: Vec<Waker>,
}

impl<P: Platform> Recording<P> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> &Inner<P> {
        &self.rows.client
    }

    /// Calls `each` with the uploads of all spans that have ended, the oldest first.
    fn take(&self, mut each: impl FnMut(Upload)) {
        let mut state = self.state();
        while let Some(upload) = state.recorder.take() {
            each(upload);
        }
    }

    async fn deliver(&self, until_ms: u64, is_last: bool) -> Report {
        self.take(|upload| self.rows.keep(upload));
        deliver(&self.rows, until_ms, is_last).await
    }

    /// Delivers the rows of ended spans: of this root alone, or together with others.
    async fn deliver_last(&self, is_joint: bool) -> Report {
        if is_joint {
            self.take(|upload| self.client().add(upload));
            return deliver_waiting(&self.rows.client).await;
        }
        self.deliver(self.client().platform.now_ms().saturating_add(DELIVERY_MS), true).await
    }

    /// Waits until the root has ended, then delivers; again when the last span has ended, if spans were open.
    async fn deliver_ended(&self, is_joint: bool) -> Report {
        self.until(|state| state.has_ended).await;
        let is_done = self.state().open == 0;
        let mut report = self.deliver_last(is_joint).await;
        if !is_done {
            self.until(|state| state.open == 0).await;
            report.add(self.deliver_last(is_joint).await);
        }
        report
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        poll_fn(|context| {
            let mut state = self.state();
            if is_so(&state) {
                return Poll::Ready(());
            }
            state.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl<P: Platform> Drop for Recording<P> {
    fn drop(&mut self) {
        self.take(|upload| self.rows.keep(upload));
    }
}

/// `2 rows are lost`.
fn lost(rows: u32) -> String {
    [rows.to_string().as_str(), if rows == 1 { " row is lost" } else { " rows are lost" }].concat()
}

/// The root span of a recording. It ends when it is dropped.
///
/// ```
/// use opik_edge::client::{Client, Platform, Report};
///
/// async fn nightly<P: Platform>(client: &Client<P>) -> Report {
///     let mut root = client.begin("nightly");
///     let delivered = root.delivered();
///     root.input("everything");
///     drop(root.begin("step"));
///     drop(root);
///     delivered.await
/// }
/// ```
#[must_use = "a span ends when it is dropped"]
pub struct Root<P: Platform>(Active<P>);

impl<P: Platform> Root<P> {
    /// Waits until the root has ended, then delivers all rows within [`DELIVERY_MS`]. Spans that end after the root are
    /// delivered when the last of them has ended. Pass the future to `waitUntil` or a spawner at the beginning: then an
    /// early return does not lose the trace. Rows that are neither awaited here nor flushed are lost, with a warning.
    ///
    /// ```
    /// # use opik_edge::client::{Client, Platform};
    /// fn handle<P: Platform + 'static>(client: &Client<P>, spawn: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()>>>)) {
    ///     let root = client.begin("request");
    ///     let delivered = root.delivered();
    ///     spawn(Box::pin(async {
    ///         delivered.await;
    ///     }));
    /// }
    /// ```
    pub fn delivered(&self) -> impl Future<Output = Report> + use<P> {
        let recording = Arc::clone(&self.0.recording);
        async move { recording.deliver_ended(false).await }
    }

    /// Like [`Root::delivered`], together with the other roots of the client that are delivered so: only one delivery is
    /// under way at a time. It begins 100 ms after a root has ended, and takes along those that end until then. The report is
    /// empty if another root's delivery takes these rows. Use it where an instance serves many requests.
    ///
    /// ```
    /// # use opik_edge::client::{Client, Platform};
    /// async fn handle<P: Platform>(client: &Client<P>) {
    ///     let root = client.begin("request");
    ///     let delivered = root.delivered_jointly();
    ///     drop(root);
    ///     delivered.await;
    /// }
    /// ```
    pub fn delivered_jointly(&self) -> impl Future<Output = Report> + use<P> {
        let recording = Arc::clone(&self.0.recording);
        async move { recording.deliver_ended(true).await }
    }

    /// Delivers the rows of all spans that have ended, within `timeout_ms`. Undelivered rows are kept for the next
    /// flush. Use it for long recordings: each has 40 requests, four of them reserved for its end.
    ///
    /// ```
    /// # use opik_edge::client::{Platform, Root};
    /// async fn checkpoint<P: Platform>(root: &Root<P>) -> bool {
    ///     root.flush(10_000).await.kept == 0
    /// }
    /// ```
    pub fn flush(&self, timeout_ms: u64) -> impl Future<Output = Report> + use<P> {
        let recording = Arc::clone(&self.0.recording);
        async move {
            recording.client().destination().probe();
            let until_ms = recording.client().platform.now_ms().saturating_add(timeout_ms);
            recording.deliver(until_ms, false).await
        }
    }

    /// The project of every row that ends from now on; overrides the settings.
    ///
    /// ```
    /// # use opik_edge::client::{Platform, Root};
    /// fn name<P: Platform>(root: &mut Root<P>) {
    ///     root.project_name("chat").thread_id("conversation-7").input("What is a span?");
    /// }
    /// ```
    pub fn project_name(&mut self, name: &str) -> &mut Self {
        self.0.recording.state().recorder.project_name(name);
        self
    }

    /// The conversation of a new trace (`thread_id`). A joined trace keeps its own.
    ///
    /// ```
    /// # use opik_edge::client::{Platform, Root};
    /// fn name<P: Platform>(root: &mut Root<P>) {
    ///     root.thread_id("conversation-7");
    /// }
    /// ```
    pub fn thread_id(&mut self, id: &str) -> &mut Self {
        self.0.recording.state().recorder.thread_id(id);
        self
    }
}

#[cfg(feature = "tracing")]
impl<P: Platform> Root<P> {
    /// The root as a plain span.
    pub(crate) fn into_active(self) -> Active<P> {
        self.0
    }
}

impl<P: Platform> Deref for Root<P> {
    type Target = Active<P>;

    fn deref(&self) -> &Active<P> {
        &self.0
    }
}

impl<P: Platform> DerefMut for Root<P> {
    fn deref_mut(&mut self) -> &mut Active<P> {
        &mut self.0
    }
}

impl<P: Platform> fmt::Debug for Root<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Root").field(&self.0.span).finish()
    }
}

/// An open span. It ends when it is dropped, with an error if the thread panics. Its fields are set with the methods of
/// [`Span`].
///
/// ```
/// use opik_edge::client::{Active, Platform};
/// use opik_edge::record::SpanType;
///
/// fn retrieve<P: Platform>(parent: &Active<P>) {
///     let mut span = parent.begin("retrieve");
///     span.kind(SpanType::Tool).input("What is a span?").output(&["A part of a trace."]);
/// } // the span ends here
/// ```
#[must_use = "a span ends when it is dropped"]
pub struct Active<P: Platform> {
    recording: Arc<Recording<P>>,
    span: Span,
    is_root: bool,
    /// `false` if no row is written.
    is_kept: bool,
}

impl<P: Platform> Active<P> {
    /// Begins a child span.
    ///
    /// ```
    /// # use opik_edge::client::{Active, Platform};
    /// fn look_up<P: Platform>(parent: &Active<P>) {
    ///     let mut span = parent.begin("look up");
    ///     span.input("a name").output("a number");
    /// }
    /// ```
    pub fn begin(&self, name: &str) -> Self {
        let platform = &self.recording.client().platform;
        let (now_ms, random) = (platform.now_ms(), platform.random());
        let mut state = self.recording.state();
        state.open = state.open.saturating_add(1);
        let span = state.recorder.begin(&self.span, name, now_ms, random);
        drop(state);
        Self { recording: Arc::clone(&self.recording), span, is_root: false, is_kept: true }
    }

    /// Runs `work` in a child span, which ends when `work` returns or is cancelled. An error is recorded in the span
    /// and returned.
    ///
    /// ```
    /// # use opik_edge::client::{Active, Platform};
    /// async fn look_up<P: Platform>(parent: &Active<P>, name: &str) -> Result<u32, std::num::ParseIntError> {
    ///     parent.run("look up", async |span| {
    ///         span.input(name);
    ///         name.parse()
    ///     }).await
    /// }
    /// ```
    ///
    /// # Errors
    /// The error of `work`.
    pub async fn run<T, E: Display>(
        &self,
        name: &str,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut span = self.begin(name);
        let result = work(&mut span).await;
        if let Err(error) = &result {
            span.fail(error);
        }
        result
    }

    /// Records an error: the crate and the name of its type (`worker::Error`), and its message. [`Span::error`] takes
    /// another name.
    ///
    /// ```
    /// # use opik_edge::client::{Active, Platform};
    /// fn parse<P: Platform>(span: &mut Active<P>, text: &str) {
    ///     if let Err(error) = text.parse::<u32>() {
    ///         span.fail(&error); // core::ParseIntError: invalid digit found in string
    ///     }
    /// }
    /// ```
    pub fn fail<E: Display>(&mut self, error: &E) {
        self.span.error(&type_name::<E>(), &error.to_string());
    }

    /// `false` if nothing of this recording is sent: the client is disabled, or the trace is not in the sample.
    ///
    /// ```
    /// # use opik_edge::client::{Active, Platform};
    /// fn record<P: Platform>(span: &mut Active<P>, value: impl FnOnce() -> String) {
    ///     if span.is_recorded() {
    ///         span.input(&value());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.recording.is_recorded
    }

    /// Ends the span without a row.
    #[cfg(feature = "tracing")]
    pub(crate) fn discard(mut self) {
        self.is_kept = false;
    }

    /// Notes that the work was given up before its end, in the metadata as `opik_edge_cancelled`.
    ///
    /// ```
    /// # use opik_edge::client::{Active, Platform};
    /// fn hung_up<P: Platform>(span: &mut Active<P>) {
    ///     span.cancel();
    /// }
    /// ```
    pub fn cancel(&mut self) {
        self.span.add_metadata("opik_edge_cancelled", "true");
    }

    /// Notes that the consumer of a stream stopped reading after `bytes` bytes, in the metadata as
    /// `opik_edge_stopped_reading`.
    ///
    /// ```
    /// # use opik_edge::client::{Active, Platform};
    /// fn hung_up<P: Platform>(span: &mut Active<P>, sent: u64) {
    ///     span.stop(sent);
    /// }
    /// ```
    pub fn stop(&mut self, bytes: u64) {
        self.span.add_metadata("opik_edge_stopped_reading", &bytes.to_string());
    }

    /// Sets the headers that let the next service open its spans under this span. [`Settings::propagation`] names them;
    /// Opik's are set in both spellings. A trace that is not in the sample sets only the trace context that came in.
    ///
    /// ```
    /// # use opik_edge::client::{Active, Platform};
    /// fn headers<P: Platform>(span: &Active<P>) -> Vec<(String, String)> {
    ///     let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    ///     span.inject(&mut headers);
    ///     headers
    /// }
    /// ```
    pub fn inject(&self, headers: &mut impl Inject) {
        let Recording { claim, is_recorded, .. } = &*self.recording;
        let Propagation { opik, w3c, baggage } = self.recording.client().settings.propagation;
        let ids = if *is_recorded {
            Some((self.span.trace_id(), self.span.id()))
        } else {
            // This span has no row that a child could refer to.
            claim.and_then(|claim| Some((claim.trace_id, claim.parent_id?)))
        };
        if opik && let Some((trace_id, span_id)) = ids {
            for (name, id) in headers::outgoing(trace_id, span_id, Spelling::Both) {
                headers.set(name, &id.to_string());
            }
        }
        if w3c || baggage {
            self.inject_context(headers);
        }
    }

    fn inject_context(&self, headers: &mut impl Inject) {
        let Recording { came, refused_parent, is_recorded, .. } = &*self.recording;
        let Propagation { w3c, baggage: has_baggage, .. } = self.recording.client().settings.propagation;
        let names = ["traceparent", "tracestate", "baggage"];
        let mut own = names.map(|name| String::from_utf8_lossy(&headers.value(name).unwrap_or_default()).into_owned());
        if own[0] == *refused_parent {
            own[0].clear(); // its `tracestate` is then not used
        }
        let [parent, state, baggage] = if *is_recorded {
            let own = own.each_ref().map(String::as_str);
            let came = [("traceparent", came[0].as_str()), ("tracestate", came[1].as_str())];
            w3c::outgoing(&Incoming::from_pairs(came), own, self.span.trace_id(), self.span.id())
        } else if own[0].is_empty() {
            let [parent, state] = came.clone();
            [parent, state, String::new()]
        } else {
            return;
        };
        let is_written = [w3c, w3c, has_baggage];
        for ((name, value), is_written) in names.into_iter().zip([parent, state, baggage]).zip(is_written) {
            if is_written && !value.is_empty() {
                headers.set(name, &value);
            }
        }
    }
}

impl<P: Platform> Deref for Active<P> {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

impl<P: Platform> DerefMut for Active<P> {
    fn deref_mut(&mut self) -> &mut Span {
        &mut self.span
    }
}

impl<P: Platform> Drop for Active<P> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.span.error("panic", "the thread panicked while the span was open");
        }
        let Inner { platform, settings, .. } = self.recording.client();
        let now_ms = platform.now_ms();
        let is_kept = self.is_kept && self.recording.is_recorded;
        if is_kept && !settings.redact.is_empty() {
            self.span.rewrite(|text| redact::redacted(text, &settings.redact));
        }
        let mut state = self.recording.state();
        let written = if is_kept { state.recorder.write(&self.span, now_ms) } else { Ok(0) };
        state.open = state.open.saturating_sub(1);
        state.has_ended |= self.is_root;
        let waiting = core::mem::take(&mut state.waiting);
        drop(state);
        if let Err(reason) = written {
            platform.warn(&["a span is lost: ", reason.code()].concat());
        }
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<P: Platform> fmt::Debug for Active<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Active").field(&self.span).finish()
    }
}

/// The crate and the name of a type, without the modules between them, which are mostly private. Types that are not
/// paths stay unchanged.
fn type_name<T>() -> String {
    let whole = core::any::type_name::<T>();
    match (whole.split_once("::"), whole.rsplit_once("::")) {
        (Some((krate, _)), Some((_, name)))
            if whole.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte)) =>
        {
            [krate, "::", name].concat()
        }
        _ => whole.into(),
    }
}
