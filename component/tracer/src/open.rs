//! The requests that are being served, and the spans that the service makes: whose a call is.

use std::cell::RefCell;
use std::ops::DerefMut;
use std::rc::{Rc, Weak};

use opik_edge::client::{Active, Platform, Root};
use opik_edge::context::Context;
use opik_edge::headers::Incoming;
use opik_edge::record::{Field, FieldError, SpanType};
use opik_edge::wasi::Wasi;
use wasip3::http::types::{Fields, Request, Response};

use crate::STATE;
use crate::bindings::exports::opik::tracing::requests::{self, Ending, GuestRoot};
use crate::bindings::exports::opik::tracing::spans::{self, GuestSpan};

/// A span that calls and further spans can belong to.
pub type Parent = Rc<RefCell<dyn DerefMut<Target = Active<Wasi>>>>;

/// A span that the service has begun.
type Shared = RefCell<Box<Active<Wasi>>>;

/// The open requests and the open spans of the service.
#[derive(Default)]
pub struct Registry {
    roots: RefCell<Vec<Weak<RefCell<Root<Wasi>>>>>,
    spans: RefCell<Vec<Weak<Shared>>>,
}

/// The living ones.
fn living<T>(list: &RefCell<Vec<Weak<T>>>) -> Vec<Rc<T>> {
    let mut list = list.borrow_mut();
    list.retain(|entry| entry.strong_count() > 0);
    list.iter().filter_map(Weak::upgrade).collect()
}

impl Registry {
    /// The root of the only request that is open.
    fn only(&self) -> Option<Parent> {
        match living(&self.roots).as_slice() {
            [root] => Some(Rc::clone(root) as Parent),
            _ => None,
        }
    }

    /// The span that a call with these headers belongs to: the open span that they name, or the root of the only request that is
    /// open. It is never guessed.
    pub fn parent_of(&self, headers: &Fields) -> Option<Parent> {
        let pairs = headers.copy_all();
        let texts = pairs.iter().filter_map(|(name, value)| Some((name.as_str(), core::str::from_utf8(value).ok()?)));
        let joined = Context::open_with(&Incoming::from_pairs(texts), Wasi.now_ms(), || Err(()));
        let named = joined.ok().and_then(|(context, _)| context.parent_id());
        let is_named = |parent: &Parent| named == Some(parent.borrow().id());
        let roots = living(&self.roots).into_iter().map(|root| root as Parent);
        let spans = living(&self.spans).into_iter().map(|span| span as Parent);
        roots.chain(spans).find(is_named).or_else(|| self.only())
    }
}

/// The root span of a request that is being served.
pub struct OpenRoot {
    /// `None` if tracing is switched off.
    root: Option<Rc<RefCell<Root<Wasi>>>>,
    /// The W3C headers of the request.
    came: Vec<(String, String)>,
}

impl OpenRoot {
    fn change(&self, change: impl FnOnce(&mut Root<Wasi>)) {
        if let Some(root) = &self.root {
            change(&mut root.borrow_mut());
        }
    }
}

impl GuestRoot for OpenRoot {
    async fn open(request: &Request) -> requests::Root {
        let root = STATE.with(|state| {
            let root = (!state.opik.is_disabled()).then(|| Rc::new(RefCell::new(state.opik.open_request(request))))?;
            state.open.roots.borrow_mut().push(Rc::downgrade(&root));
            Some(root)
        });
        let headers = request.get_headers();
        let value =
            |name: &str| String::from_utf8(headers.get(name).join(&b',')).ok().filter(|value| !value.is_empty());
        let came = ["traceparent", "tracestate", "baggage"].map(|name| Some((name.to_owned(), value(name)?)));
        requests::Root::new(Self { root, came: came.into_iter().flatten().collect() })
    }

    fn headers(&self) -> Option<Vec<(String, String)>> {
        let mut headers = self.came.clone();
        self.root.as_ref()?.borrow().inject(&mut headers);
        Some(headers)
    }

    fn answered(&self, response: &Response) {
        self.change(|root| root.answered(Ok(response)));
    }

    async fn end(this: requests::Root, ending: Ending) {
        let mut this: Self = this.into_inner();
        this.change(|root| match &ending {
            Ending::Sent => {}
            Ending::Failed(code) => root.answered(Err(code)),
            Ending::Cancelled => root.cancel(),
        });
        let Some(root) = this.root.take() else { return };
        let delivered = root.borrow().delivered_jointly();
        drop(root);
        delivered.await;
    }
}

/// A span of the service's own; `None` if it records nothing.
pub struct OpenSpan(Option<Rc<Shared>>);

impl OpenSpan {
    fn under(parent: Option<&Active<Wasi>>, name: &str) -> spans::Span {
        let span = parent.map(|parent| Rc::new(RefCell::new(Box::new(parent.begin(name)))));
        if let Some(span) = &span {
            STATE.with(|state| state.open.spans.borrow_mut().push(Rc::downgrade(span)));
        }
        spans::Span::new(Self(span))
    }

    fn recorded<T>(&self, read: impl FnOnce(&Active<Wasi>) -> T) -> Option<T> {
        let span = self.0.as_ref()?.borrow();
        span.is_recorded().then(|| read(&span))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Active<Wasi>) -> T) -> Option<T> {
        self.0.as_ref().map(|span| change(&mut span.borrow_mut()))
    }
}

impl GuestSpan for OpenSpan {
    fn begin(name: String) -> spans::Span {
        let parent = STATE.with(|state| state.open.only());
        Self::under(parent.as_ref().map(|parent| parent.borrow()).as_ref().map(|parent| &***parent), &name)
    }

    fn begin_child(&self, name: String) -> spans::Span {
        Self::under(self.0.as_ref().map(|span| span.borrow()).as_deref().map(|span| &**span), &name)
    }

    fn is_recorded(&self) -> bool {
        self.recorded(|_| ()).is_some()
    }

    fn trace_id(&self) -> String {
        self.recorded(|span| span.trace_id().to_string()).unwrap_or_default()
    }

    fn id(&self) -> String {
        self.recorded(|span| span.id().to_string()).unwrap_or_default()
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        self.change(|span| span.inject(&mut headers));
        headers
    }

    fn set_kind(&self, kind: spans::Kind) {
        self.change(|span| {
            span.kind(match kind {
                spans::Kind::General => SpanType::General,
                spans::Kind::Tool => SpanType::Tool,
                spans::Kind::Llm => SpanType::Llm,
                spans::Kind::Guardrail => SpanType::Guardrail,
            });
        });
    }

    fn set(&self, field: spans::Field, value: String) -> Result<(), spans::FieldError> {
        let field = match field {
            spans::Field::Input => Field::Input,
            spans::Field::Output => Field::Output,
            spans::Field::Metadata => Field::Metadata,
            spans::Field::Tags => Field::Tags,
            spans::Field::Model => Field::Model,
            spans::Field::Provider => Field::Provider,
            spans::Field::Usage => Field::Usage,
            spans::Field::TotalEstimatedCost => Field::TotalEstimatedCost,
            spans::Field::Ttft => Field::Ttft,
        };
        self.change(|span| span.set(field, &value)).unwrap_or(Ok(())).map_err(|error| match error {
            FieldError::InvalidJson => spans::FieldError::InvalidJson,
            FieldError::WrongType => spans::FieldError::WrongType,
        })
    }

    fn fail(&self, kind: String, message: String) {
        self.change(|span| {
            span.error(&kind, &message);
        });
    }
}
