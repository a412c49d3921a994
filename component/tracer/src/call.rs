//! A call of the service: its span, its headers, and the bytes that pass. A call of a model is read as it passes.

use std::cell::RefCell;
use std::mem::take;
use std::rc::Rc;

use opik_edge::client::{Active, Platform};
use opik_edge::llm::{self, Target, recognise};
use opik_edge::wasi::Wasi;
use opik_shared::{Passed, copy_request, copy_response, with_trace_headers};
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::spawn_local;

use crate::{STATE, State};

/// The longest body of a request that is read.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Sends a call of the service.
pub async fn send(request: Request) -> Result<Response, ErrorCode> {
    let Some((mut call, headers)) = STATE.with(|state| Call::begin(state, &request)) else {
        return client::send(request).await;
    };
    let body = call.target.is_some().then(|| Rc::clone(&call.body));
    let see = move |bytes: &[u8]| {
        if let Some(body) = &body {
            body.borrow_mut().push(bytes);
        }
    };
    match client::send(copy_request(request, headers, see).await).await {
        Ok(response) => {
            call.answered(&response);
            let call = Rc::new(RefCell::new(call));
            let seeing = Rc::clone(&call);
            let (response, passing) = copy_response(response, move |bytes| seeing.borrow_mut().chunk(bytes)).await;
            spawn_local(async move {
                let passed = passing.await;
                call.borrow_mut().ended(passed);
            });
            Ok(response)
        }
        Err(code) => {
            call.ended(Passed::Failed(code.clone()));
            Err(code)
        }
    }
}

/// The body of a request, as far as it has passed.
#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Captured {
    fn push(&mut self, bytes: &[u8]) {
        self.is_too_long |= self.bytes.len().saturating_add(bytes.len()) > MAX_BODY_BYTES;
        if self.is_too_long {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

/// A call that is under way. Its span ends when it is dropped.
struct Call {
    span: Active<Wasi>,
    target: Option<Target>,
    started_ms: u64,
    body: Rc<RefCell<Captured>>,
    model: Option<Model>,
    has_ended: bool,
}

/// A model's answer that is being read.
struct Model {
    request: llm::Request,
    call: llm::Call,
    ttft: Option<u64>,
}

/// `true` if the host is one of those that the environment names, with its port or without.
fn is_named(authority: &str, named: &[(&str, &str)]) -> bool {
    let authority = authority.to_ascii_lowercase();
    let host = authority.rsplit_once(':').map_or("", |(host, _)| host);
    named.iter().any(|(name, _)| *name == authority || *name == host)
}

impl Call {
    /// Begins the span of a call, and returns the headers that the call is to have. `None` if it is not known whose call it is.
    fn begin(state: &State, request: &Request) -> Option<(Self, Fields)> {
        let given = request.get_headers();
        let parent = state.open.parent_of(&given)?; // none is open if tracing is switched off
        let scheme = if matches!(request.get_scheme(), Some(Scheme::Http)) { "http" } else { "https" };
        let authority = request.get_authority().unwrap_or_default();
        let target = request.get_path_with_query().unwrap_or_default();
        let path = target.split(['?', '#']).next().filter(|path| !path.is_empty()).unwrap_or("/");

        let named: Vec<_> = state.providers.iter().map(|(host, name)| (host.as_str(), name.as_str())).collect();
        let method = if matches!(request.get_method(), Method::Post) { "POST" } else { "" };
        let target = recognise(method, &[scheme, "://", &authority, path].concat(), &named);
        let is_model = target.as_ref().is_some_and(|target| target.is_known) && !is_named(&authority, &named);

        let span = state.opik.begin_call(&parent.borrow(), request);
        let mut headers = with_trace_headers(&given, &[]);
        // A service may hand on the context that it got, which is this trace's.
        let ours = ["opik=", &span.trace_id().to_string().replace('-', "")].concat();
        if state.has_w3c && headers.get("tracestate").iter().any(|state| state.starts_with(ours.as_bytes())) {
            _ = headers.delete("traceparent");
            _ = headers.delete("tracestate");
        }
        if state.targets.have(scheme, &authority, path, is_model) {
            span.inject(&mut headers);
        }
        let target = target.filter(|_| span.is_recorded());
        let started_ms = Wasi.now_ms();
        let call = Self { span, target, started_ms, body: Rc::default(), model: None, has_ended: false };
        Some((call, headers))
    }

    /// The request to the model, if the call goes to a model.
    fn request(&mut self, step: usize) -> Option<llm::Request> {
        let target = self.target.take()?;
        let Captured { bytes, is_too_long } = take(&mut *self.body.borrow_mut());
        if bytes.is_empty() || is_too_long {
            return target.is_known.then(|| llm::Request::without_body(target));
        }
        llm::Request::read(&target, &bytes, step)
    }

    fn answered(&mut self, response: &Response) {
        let status = response.get_status_code();
        self.span.answered(Ok(response));
        if status >= 400 {
            self.span.error("HttpError", &status.to_string());
        }
        let pairs = response.get_headers().copy_all();
        let pairs: Vec<_> = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_ascii_lowercase(), String::from_utf8(value).ok()?)))
            .collect();
        let step = pairs.iter().find(|(name, _)| name == "cf-aig-step").and_then(|(_, value)| value.parse().ok());
        let Some(request) = self.request(step.unwrap_or(0)) else { return };
        let mut call = STATE.with(|state| llm::Call::open(&mut state.budget.borrow_mut(), &request, usize::MAX));
        call.answer(status, pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        self.model = Some(Model { request, call, ttft: None });
    }

    fn chunk(&mut self, bytes: &[u8]) {
        let Some(Model { call, ttft, .. }) = &mut self.model else { return };
        STATE.with(|state| call.push(&mut state.budget.borrow_mut(), bytes));
        if ttft.is_none() && call.has_first_token() {
            *ttft = Some(Wasi.now_ms().saturating_sub(self.started_ms));
        }
    }

    /// Writes the result of the call.
    fn ended(&mut self, passed: Passed) {
        if core::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let mut is_settled = false;
        if let Some(Model { request, call, ttft }) = self.model.take() {
            is_settled = call.is_complete() || call.has_failed();
            let record = STATE.with(|state| call.finish(&mut state.budget.borrow_mut()));
            self.span.model_call(&request, record);
            if let Some(ttft) = ttft {
                self.span.ttft(ttft);
            }
        } else if let Some(request) = self.request(0) {
            // The call has no answer.
            let record = STATE.with(|state| {
                let budget = &mut *state.budget.borrow_mut();
                llm::Call::open(budget, &request, usize::MAX).finish(budget)
            });
            self.span.model_call(&request, record);
        }
        match passed {
            Passed::Failed(code) => self.span.answered(Err(&code)),
            // The consumer of a stream stops after the last chunk that matters.
            Passed::Stopped(bytes) if !is_settled => self.span.stop(bytes),
            Passed::Whole | Passed::Stopped(_) => {}
        }
    }
}

impl Drop for Call {
    /// The service gave the call up before its answer.
    fn drop(&mut self) {
        if !self.has_ended {
            self.ended(Passed::Whole);
            self.span.cancel();
        }
    }
}
