//! Opens the root span of each request before the request goes to the service, and ends it with the response. The component
//! `tracer` keeps the span.
//!
//! While a request is open, its instance takes no other. So a call that the service makes belongs to the request that is open.
//! The host serves further requests with further instances.

use opik_shared::{Passed, copy_request, copy_response, is_preflight, with_trace_headers};
use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::spawn_local;
use wit_bindgen::{backpressure_dec, backpressure_inc};

use bindings::exports::wasi::http::handler::Guest;
use bindings::opik::tracing::requests::{Ending, Root};
use bindings::wasi::http::handler;

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
        world: "opik:tracing/handler",
        with: {
            "wasi:http/types@0.3.2": wasip3::http::types,
            "wasi:clocks/types@0.3.2": wasip3::clocks::types,
        },
        generate_all,
    });
    export!(Handler with_types_in self);

    use super::Handler;
}

/// Keeps other requests out of this instance while it exists.
struct Turn;

impl Turn {
    fn begin() -> Self {
        backpressure_inc();
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        backpressure_dec();
    }
}

struct Handler;

impl Guest for Handler {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        if is_preflight(&request) {
            return handler::handle(request).await;
        }
        let turn = Turn::begin();
        let root = Root::open(&request).await;
        let request = match root.headers() {
            Some(set) => {
                let headers = with_trace_headers(&request.get_headers(), &set);
                copy_request(request, headers, |_| {}).await
            }
            None => request,
        };
        match handler::handle(request).await {
            Ok(response) => {
                root.answered(&response);
                let (response, passing) = copy_response(response, |_| {}).await;
                spawn_local(async move {
                    let ending = match passing.await {
                        Passed::Whole => Ending::Sent,
                        Passed::Failed(code) => Ending::Failed(code),
                        Passed::Stopped(_) => Ending::Cancelled,
                    };
                    end(root, ending, turn).await;
                });
                Ok(response)
            }
            Err(code) => {
                spawn_local(end(root, Ending::Failed(code.clone()), turn));
                Err(code)
            }
        }
    }
}

/// Ends the root before this task is suspended, and so before the next request.
async fn end(root: Root, ending: Ending, turn: Turn) {
    drop(turn);
    Root::end(root, ending).await;
}
