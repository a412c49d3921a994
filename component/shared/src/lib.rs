//! The parts that all components share: their allocator, and messages of `wasi:http` that pass through them. A copy of a message
//! has other headers, and tells when it has passed.

use core::future::{Future, poll_fn};
use core::task::Poll;

use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response};
use wasip3::wit_bindgen::{StreamReader, StreamResult, StreamWriter};
use wasip3::{spawn_local, wit_future, wit_stream};

/// The allocator of every component: smaller than the default of std.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

/// The most bytes of a body that are held while they pass.
const CHUNK_BYTES: usize = 64 * 1024;

/// `true` for a browser's question before its request.
#[must_use]
pub fn is_preflight(request: &Request) -> bool {
    let headers = request.get_headers();
    matches!(request.get_method(), Method::Options)
        && headers.has("origin")
        && headers.has("access-control-request-method")
}

/// The names of Opik's headers, in every spelling.
const OPIK_HEADERS: [&str; 6] = [
    "opik_trace_id",
    "opik_parent_span_id",
    "opik-trace-id",
    "opik-parent-span-id",
    "x-opik-trace-id",
    "x-opik-parent-span-id",
];

/// A copy of the headers with these trace headers, and without Opik's others. A trace context stays, unless it is set.
#[must_use]
pub fn with_trace_headers(headers: &Fields, set: &[(String, String)]) -> Fields {
    let copy = headers.clone();
    for name in OPIK_HEADERS {
        _ = copy.delete(name);
    }
    for (name, value) in set {
        _ = copy.set(name, &[value.clone().into_bytes()]);
    }
    copy
}

/// A copy of `request` with these headers. `see` sees each chunk of the body just before it is passed on.
pub async fn copy_request(request: Request, headers: Fields, see: impl FnMut(&[u8]) + 'static) -> Request {
    let (method, scheme) = (request.get_method(), request.get_scheme());
    let (authority, path) = (request.get_authority(), request.get_path_with_query());
    let options = request.get_options().map(|options| options.clone());
    let (done, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, result);
    let (contents, passing) = begin(body, see).await;
    spawn_local(passing);
    let (copy, sent) = Request::new(headers, contents, trailers, options);
    // Nothing of them is refused, since they come from a request.
    _ = copy.set_method(&method);
    _ = copy.set_scheme(scheme.as_ref());
    _ = copy.set_authority(authority.as_deref());
    _ = copy.set_path_with_query(path.as_deref());
    spawn_local(async move { done.write(sent.await).await });
    copy
}

/// How a body has passed.
#[derive(Debug)]
pub enum Passed {
    /// Whole.
    Whole,
    /// Its source has failed.
    Failed(ErrorCode),
    /// Its reader stopped after this many bytes.
    Stopped(u64),
}

/// A copy of `response`, and a future that passes its body on: it has to be polled, and returns how the body has passed. `see`
/// sees each chunk just before it is passed on.
///
/// The host says that a response has been sent as soon as it has its headers, so only who passes the bytes on knows their end.
pub async fn copy_response(
    response: Response,
    see: impl FnMut(&[u8]) + 'static,
) -> (Response, impl Future<Output = Passed>) {
    let (status, headers) = (response.get_status_code(), response.get_headers().clone());
    let has_length = headers.has("content-length");
    let (done, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(response, result);
    let (contents, passing) = begin(body, see).await;
    let (end, copied) = wit_future::new(|| Ok(None));
    let (copy, sent) = Response::new(headers, contents, copied);
    _ = copy.set_status_code(status);
    let passing = async move {
        let passed = passing.await;
        let passed = if let Err(bytes) = passed {
            Passed::Stopped(bytes)
        } else {
            let trailers = trailers.await;
            let passed = trailers.as_ref().err().map_or(Passed::Whole, |code| Passed::Failed(code.clone()));
            if !matches!(trailers, Ok(None)) {
                spawn_local(async move { end.write(trailers).await });
            }
            passed
        };
        // Only a body of a wrong length fails in the host. Other reports might never come: the host waits for the outcome of the
        // request, and a service may report this outcome as the request's. Not before now: the host interrupts a body whose
        // message is done with.
        if has_length {
            spawn_local(async move { done.write(sent.await).await });
        }
        passed
    };
    (copy, passing)
}

/// Begins to pass a body on. Returns the body for the copy, and the rest of the work.
///
/// The copy of a message without a body has no body either: an empty body would have other headers. The host ends the first read at
/// once if there is no body. Otherwise the first chunk waits for a reader of the copy.
async fn begin(
    mut body: StreamReader<u8>,
    see: impl FnMut(&[u8]) + 'static,
) -> (Option<StreamReader<u8>>, impl Future<Output = Result<(), u64>>) {
    let (mut writer, reader) = wit_stream::new();
    let mut passing = Box::pin(async move { pass_on(&mut body, &mut writer, see).await });
    let first = poll_fn(|context| Poll::Ready(passing.as_mut().poll(context))).await;
    let reader = first.is_pending().then_some(reader);
    let rest = async move {
        match first {
            Poll::Ready(passed) => passed,
            Poll::Pending => passing.await,
        }
    };
    (reader, rest)
}

/// Passes on the bytes of `from`, each chunk as it comes, after `see` has seen it. Holds one chunk at a time.
async fn pass_on(
    from: &mut StreamReader<u8>,
    to: &mut StreamWriter<u8>,
    mut see: impl FnMut(&[u8]),
) -> Result<(), u64> {
    let mut passed = 0_u64;
    let mut buffer = Vec::with_capacity(CHUNK_BYTES);
    loop {
        let (result, bytes) = from.read(buffer).await;
        if bytes.is_empty() && result == StreamResult::Dropped {
            return Ok(());
        }
        see(&bytes);
        passed = passed.saturating_add(bytes.len() as u64);
        let left = to.write_all(bytes).await;
        if !left.is_empty() {
            return Err(passed.saturating_sub(left.len() as u64));
        }
        buffer = left;
    }
}
