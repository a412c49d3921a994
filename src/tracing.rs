//! A layer for the crate `tracing`, which records its spans. Needs the feature `tracing`.
//!
//! A span of `tracing` becomes a span in Opik, under its parent in `tracing`, across tasks and threads. A span without
//! a parent begins a trace, unless [`open_under`] gives it a parent. Fields are recorded by their names; the last
//! present field of a line counts:
//!
//! | `tracing` | here |
//! |---|---|
//! | `gen_ai.input.messages`, `input` | input: a text that is a JSON object or array as that |
//! | `gen_ai.output.messages`, `output` | output, likewise |
//! | `gen_ai.request.model`, `gen_ai.response.model`, `model` | model |
//! | `gen_ai.provider.name`, `gen_ai.system`, `provider` | provider |
//! | `gen_ai.operation.name` | metadata, and the type: `tool` for `execute_tool`, `llm` for what a model does |
//! | `kind`: `general`, `tool`, `llm`, `guardrail` | type |
//! | `gen_ai.usage.input_tokens`, `gen_ai.usage.output_tokens` | usage: `prompt_tokens`, `completion_tokens` |
//! | `usage.…`, with the names of [`Span::usage`] | usage |
//! | `ttft` (ms), `total_estimated_cost` (US dollars) | the same |
//! | `error`, as an error or a text, and `error.type` | error |
//! | any other | metadata |
//!
//! An event of the level `ERROR` sets the error of its span. Other events are ignored.
#![expect(clippy::disallowed_macros, reason = "not in the npm build")]

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::error::Error;
use core::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::client::{Active, Client, Platform, Root};
use crate::record::{Span, SpanType};

/// Records spans of `tracing` with a client.
///
/// ```
/// use opik_edge::client::{Client, Platform};
/// use opik_edge::tracing::OpikLayer;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// fn subscriber<P: Platform + Send + Sync + 'static>(client: Client<P>) -> impl tracing::Subscriber {
///     let layer = OpikLayer::new(client, |root| {
///         let delivered = root.delivered(); // to be spawned: `spawn_local`, `tokio::spawn`
///         drop(delivered);
///     });
///     tracing_subscriber::registry().with(layer)
/// }
/// ```
///
/// Filter out the spans of your platform's HTTP client: otherwise each delivery records new spans, which cause the next
/// delivery.
pub struct OpikLayer<P, F> {
    client: Client<P>,
    on_root: F,
}

impl<P: Platform + Send + Sync + 'static, F: Fn(&Root<P>) + Send + Sync + 'static> OpikLayer<P, F> {
    /// A layer that records with `client`. `on_root` receives each new root and must have it
    /// [`delivered`](Root::delivered).
    ///
    /// ```
    /// use opik_edge::{client::{Client, Platform}, tracing::OpikLayer};
    ///
    /// fn layer<P: Platform + Send + Sync + 'static>(client: Client<P>) {
    ///     let layer = OpikLayer::new(client, |root| drop(root.delivered())); // spawn the future
    /// }
    /// ```
    pub fn new(client: Client<P>, on_root: F) -> Self {
        Self { client, on_root }
    }
}

impl<P, F> fmt::Debug for OpikLayer<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpikLayer").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Moves a span of `tracing` under a span of this crate, such as the root of a joined request. The span must have no
/// parent and no children yet. Without an [`OpikLayer`] nothing happens.
///
/// ```
/// use opik_edge::client::{Platform, Root};
/// use opik_edge::tracing::open_under;
/// use tracing::Instrument;
///
/// async fn handle<P: Platform + Send + Sync + 'static>(root: &Root<P>) {
///     let span = tracing::info_span!("handle");
///     open_under(&span, root);
///     async { tracing::info_span!("within").in_scope(|| {}) }.instrument(span).await;
/// }
/// ```
pub fn open_under<P: Platform + Send + Sync + 'static>(span: &tracing::Span, parent: &Active<P>) {
    span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let mut extensions = span.extensions_mut();
        let before = extensions.get_mut::<Node<P>>()?;
        let before = core::mem::replace(&mut before.active, parent.begin(span.name()));
        drop(extensions);
        before.discard();
        Some(())
    });
}

/// Sorted by name, whatever order the maps of `serde_json` have.
type Fields = BTreeMap<String, Value>;

/// The data of one span of `tracing`.
struct Node<P: Platform> {
    active: Active<P>,
    fields: Fields,
}

impl<P: Platform> Node<P> {
    /// Writes the fields to the span and ends it.
    fn end(mut self) {
        let mut metadata = Map::new();
        let mut usage = Map::new();
        let class = self.fields.remove("error.type").as_ref().map_or_else(|| "Error".to_owned(), text);
        if let Some(message) = self.fields.remove("error") {
            self.active.error(&class, &text(&message));
        }
        for (name, value) in self.fields {
            write(&mut self.active, &mut usage, &mut metadata, name, value);
        }
        if !usage.is_empty() {
            self.active.usage(&usage);
        }
        if !metadata.is_empty() {
            self.active.metadata(&metadata);
        }
    }
}

/// Writes one field to its place in the span.
fn write(
    span: &mut Span,
    usage: &mut Map<String, Value>,
    metadata: &mut Map<String, Value>,
    name: String,
    value: Value,
) {
    match name.as_str() {
        "input" | "gen_ai.input.messages" => _ = span.input(&parsed(value)),
        "output" | "gen_ai.output.messages" => _ = span.output(&parsed(value)),
        "model" | "gen_ai.request.model" | "gen_ai.response.model" => _ = span.model(&text(&value)),
        "provider" | "gen_ai.provider.name" | "gen_ai.system" => _ = span.provider(&text(&value)),
        "kind" if kind(&value).is_some() => _ = span.kind(kind(&value).unwrap_or_default()),
        "gen_ai.operation.name" => {
            match value.as_str() {
                Some("execute_tool") => _ = span.kind(SpanType::Tool),
                Some("chat" | "text_completion" | "generate_content" | "embeddings") => _ = span.kind(SpanType::Llm),
                _ => {}
            }
            metadata.insert(name, value);
        }
        "gen_ai.usage.input_tokens" => _ = usage.insert("prompt_tokens".into(), value),
        "gen_ai.usage.output_tokens" => _ = usage.insert("completion_tokens".into(), value),
        "ttft" if value.is_u64() => _ = span.ttft(value.as_u64().unwrap_or_default()),
        "total_estimated_cost" if value.is_number() => {
            _ = span.total_estimated_cost(value.as_f64().unwrap_or_default());
        }
        other => match other.strip_prefix("usage.") {
            Some(count) => _ = usage.insert(count.to_owned(), value),
            None => _ = metadata.insert(name, value),
        },
    }
}

fn kind(value: &Value) -> Option<SpanType> {
    match value.as_str()? {
        "general" => Some(SpanType::General),
        "tool" => Some(SpanType::Tool),
        "llm" => Some(SpanType::Llm),
        "guardrail" => Some(SpanType::Guardrail),
        _ => None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Parses a text that is a JSON object or array; other values stay unchanged.
fn parsed(value: Value) -> Value {
    match value.as_str().map(serde_json::from_str::<Value>) {
        Some(Ok(inner)) if inner.is_object() || inner.is_array() => inner,
        _ => value,
    }
}

/// Collects fields by name. A later value replaces an earlier value.
struct Keep<'a>(&'a mut Fields);

impl Keep<'_> {
    fn keep(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Keep<'_> {
    #[expect(clippy::disallowed_types, reason = "a program may say floats, and this is not in the npm build")]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value);
    }
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.keep(field, value.to_string());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, alloc::format!("{value:?}"));
    }
}

impl<S, P, F> Layer<S> for OpikLayer<P, F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    P: Platform + Send + Sync + 'static,
    F: Fn(&Root<P>) + Send + Sync + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::new();
        attributes.record(&mut Keep(&mut fields));
        let parent = span.parent();
        let active =
            parent.and_then(|parent| parent.extensions().get::<Node<P>>().map(|node| node.active.begin(span.name())));
        let active = active.unwrap_or_else(|| {
            let root = self.client.begin(span.name());
            (self.on_root)(&root);
            root.into_active()
        });
        span.extensions_mut().insert(Node { active, fields });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(node) = span.extensions_mut().get_mut::<Node<P>>() {
            values.record(&mut Keep(&mut node.fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let Some(span) = context.event_span(event) else { return };
        let mut fields = Fields::new();
        event.record(&mut Keep(&mut fields));
        let said: alloc::vec::Vec<String> =
            ["message", "error"].iter().filter_map(|name| fields.get(*name)).map(text).collect();
        if let Some(node) = span.extensions_mut().get_mut::<Node<P>>() {
            node.fields.insert("error".into(), said.join(": ").into());
            if let Some(class) = fields.remove("error.type") {
                node.fields.insert("error.type".into(), class);
            }
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let node = context.span(&id).and_then(|span| span.extensions_mut().remove::<Node<P>>());
        // Ends the span without a lock: the platform may warn, and may use `tracing` for that.
        if let Some(node) = node {
            node.end();
        }
    }
}
