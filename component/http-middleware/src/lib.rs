//! Traces the service behind it: a span for each request, under the caller's span or in a new trace. The service gets our
//! span as its caller. Bodies pass through unchanged, and no more than a chunk is held.

use opik_edge::client::Root;
use opik_edge::wasi::{Opik, Wasi};
use opik_shared::{Passed, copy_response, is_preflight, with_trace_headers};
use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Method, Request, Response};
use wasip3::{spawn_local, wit_future};

use bindings::wasi::http::handler;

/// The import that `wasip3` does not have.
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
        inline: "package opik:imports; world imports { import wasi:http/handler@0.3.2; }",
        world: "opik:imports/imports",
        with: {
            "wasi:http/types@0.3.2": wasip3::http::types,
            "wasi:http/handler@0.3.2": generate,
            "wasi:clocks/types@0.3.2": wasip3::clocks::types,
        },
    });
}

struct Middleware;

impl Guest for Middleware {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let opik = Opik::from_env();
        if opik.is_disabled() || is_preflight(&request) {
            return handler::handle(request).await;
        }
        let mut root = opik.open_request(&request);
        let request = with_caller(request, &root);
        if !root.is_recorded() {
            return handler::handle(request).await;
        }
        root.flush_behind();
        let result = handler::handle(request).await;
        root.answered(result.as_ref());
        Ok(until_sent(result?, root).await)
    }
}

wasip3::http::service::export!(Middleware);

/// The request with `root` as its caller, or without a caller if `root` is not in the sample.
fn with_caller(request: Request, root: &Root<Wasi>) -> Request {
    let given = request.get_headers();
    let headers = if root.is_recorded() {
        let mut headers = given.clone();
        root.inject(&mut headers); // replaces all of the caller's
        headers
    } else {
        with_trace_headers(&given, &[])
    };
    drop(given);
    let (method, scheme) = (request.get_method(), request.get_scheme());
    let (authority, path) = (request.get_authority(), request.get_path_with_query());
    let options = request.get_options();
    let has_body = headers.has("content-length")
        || headers.has("transfer-encoding")
        || !matches!(method, Method::Get | Method::Head | Method::Options | Method::Delete);
    let (received, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, result);
    let (request, sent) = Request::new(headers, Some(body), trailers, options);
    // Nothing of them is refused, since they come from a request.
    _ = request.set_method(&method);
    _ = request.set_scheme(scheme.as_ref());
    _ = request.set_authority(authority.as_deref());
    _ = request.set_path_with_query(path.as_deref());
    // A task for each request costs as much as all of the rest, and without a body there is no outcome to report.
    if has_body {
        drop(spawn_local(async move {
            _ = received.write(sent.await).await;
        }));
    }
    request
}

/// The same response; `root` ends when its body has been passed on.
async fn until_sent(response: Response, mut root: Root<Wasi>) -> Response {
    let (response, passing) = copy_response(response, |_| {}).await;
    drop(spawn_local(async move {
        match passing.await {
            Passed::Whole => {}
            Passed::Failed(code) => root.answered(Err(&code)),
            Passed::Stopped(bytes) => root.stop(bytes),
        }
    }));
    response
}
