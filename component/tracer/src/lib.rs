//! Records the calls of a service, and keeps the spans of its requests. The host's `wasi:http/client` is behind it, so its own
//! uploads are not recorded.
//!
//! `open` has the requests that are being served and the spans that the service makes. `call` follows a call of the service, and
//! `targets` says which calls get trace headers.

use std::cell::RefCell;

use opik_edge::client::{Platform, Settings};
use opik_edge::llm::Budget;
use opik_edge::wasi::{Opik, Wasi};
use wasip3::http::types::{ErrorCode, Request, Response};

use open::{OpenRoot, OpenSpan, Registry};
use targets::Targets;

mod call;
mod open;
mod targets;

mod bindings {
    #![allow(
        unsafe_code,
        missing_docs,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        reason = "generated"
    )]
    wit_bindgen::generate!({
        path: "../wit",
        world: "opik:tracing/tracer",
        with: {
            "wasi:cli/environment@0.3.2": wasip3::cli::environment,
            "wasi:cli/stderr@0.3.2": wasip3::cli::stderr,
            "wasi:cli/types@0.3.2": wasip3::cli::types,
            "wasi:clocks/types@0.3.2": wasip3::clocks::types,
            "wasi:clocks/monotonic-clock@0.3.2": wasip3::clocks::monotonic_clock,
            "wasi:clocks/system-clock@0.3.2": wasip3::clocks::system_clock,
            "wasi:random/random@0.3.2": wasip3::random::random,
            "wasi:http/types@0.3.2": wasip3::http::types,
            "wasi:http/client@0.3.2": wasip3::http::client,
        },
        generate_all,
    });
    export!(Tracer with_types_in self);

    use super::Tracer;
}

/// The state of an instance.
struct State {
    opik: Opik,
    /// `true` with the setting `w3c`.
    has_w3c: bool,
    targets: Targets,
    /// Hosts of models and their providers, beside those that the reader knows.
    providers: Vec<(String, String)>,
    open: Registry,
    budget: RefCell<Budget>,
}

thread_local! {
    static STATE: State = State::from_environment();
}

impl State {
    fn from_environment() -> Self {
        let variables = wasip3::cli::environment::get_environment();
        let get = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let settings = Settings::from_env(get);
        let targets = Targets::read(get("OPIK_EDGE_PROPAGATE_TO").as_deref(), &settings.url);
        let providers = get("OPIK_EDGE_PROVIDERS").unwrap_or_default();
        let has_w3c = settings.propagation.w3c;
        let opik = Opik::new(Wasi, settings);
        Self {
            has_w3c,
            targets: targets.unwrap_or_else(|target| {
                Wasi.warn(
                    &["OPIK_EDGE_PROPAGATE_TO: expected an origin or https://*.suffix instead of ", &target].concat(),
                );
                Targets::none()
            }),
            providers: providers
                .split(',')
                .filter_map(|entry| entry.split_once('='))
                .map(|(host, provider)| (host.trim().to_ascii_lowercase(), provider.trim().into()))
                .collect(),
            opik,
            open: Registry::default(),
            budget: RefCell::default(),
        }
    }
}

struct Tracer;

impl bindings::exports::wasi::http::client::Guest for Tracer {
    async fn send(request: Request) -> Result<Response, ErrorCode> {
        call::send(request).await
    }
}

impl bindings::exports::opik::tracing::spans::Guest for Tracer {
    type Span = OpenSpan;
}

impl bindings::exports::opik::tracing::requests::Guest for Tracer {
    type Root = OpenRoot;
}
