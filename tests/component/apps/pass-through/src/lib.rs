//! A middleware that only passes requests on, for benchmarks.

use wasip3::http::types::{ErrorCode, Request, Response};

mod bindings {
    #![allow(missing_docs)]
    wit_bindgen::generate!({
        path: "../../../../component/wit",
        inline: "package opik:imports; world imports { import wasi:http/handler@0.3.2; }",
        world: "opik:imports/imports",
        with: {
            "wasi:http/types@0.3.2": wasip3::http::types,
            "wasi:http/handler@0.3.2": generate,
            "wasi:clocks/types@0.3.2": wasip3::clocks::types,
        },
    });
}

wasip3::http::service::export!(PassThrough);

struct PassThrough;

impl wasip3::exports::http::handler::Guest for PassThrough {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        bindings::wasi::http::handler::handle(request).await
    }
}
