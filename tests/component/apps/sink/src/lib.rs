//! Takes every upload, for benchmarks: it reads the body and answers 204.

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_future;

wasip3::http::service::export!(Sink);

struct Sink;

impl wasip3::exports::http::handler::Guest for Sink {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let (done, result) = wit_future::new(|| Ok(()));
        let (contents, _) = Request::consume_body(request, result);
        contents.collect().await;
        drop(done);
        let (response, _) = Response::new(Fields::new(), None, wit_future::new(|| Ok(None)).1);
        let _ = response.set_status_code(204);
        Ok(response)
    }
}
