//! A `wasi:http/service` that knows nothing of tracing. The tests compose tracing around it.
//!
//! | path | answer |
//! |---|---|
//! | `/echo` | the request's body and content type |
//! | `/headers` | the request's headers, a line each |
//! | `/status/N` | the status N |
//! | `/error` | no response, but `internal-error` |
//! | `/trap` | a trap |
//! | `/chunks/N` | N chunks |
//! | `/endless` | chunks until nobody reads them |
//! | `/ask/HOST` | the answer of a model at HOST, by OpenAI's API |
//! | `/ask-stream/HOST` | the same, streamed |
//! | `/fan/N/HOST` | the statuses of N concurrent questions, joined |
//! | `/get/HOST/PATH`, `/post/HOST/PATH` | the answer of another service; a `POST` has the request's body |
//! | `/forward/HOST/PATH` | the same as `/get`, but with all headers of the request |

use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme, Trailers};
use wasip3::wit_bindgen::{FutureReader, FutureWriter, StreamReader, spawn_local};
use wasip3::{wit_future, wit_stream};

wasip3::http::service::export!(Service);

struct Service;

type Failed = Result<Option<Trailers>, ErrorCode>;

impl wasip3::exports::http::handler::Guest for Service {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default().trim_start_matches('/');
        let (route, rest) = path.split_once('/').unwrap_or((path, ""));
        let (host, further) = rest.split_once('/').unwrap_or((rest, ""));
        match route {
            "echo" => {
                let headers = Fields::new();
                let _ = headers.set("content-type", &request.get_headers().get("content-type"));
                let (done, result) = wit_future::new(|| Ok(()));
                let (contents, trailers) = Request::consume_body(request, result);
                Ok(passed_on(200, headers, contents, trailers, done))
            }
            "headers" => {
                let lines = request
                    .get_headers()
                    .copy_all()
                    .into_iter()
                    .flat_map(|(name, value)| [name.as_bytes(), b": ", &value, b"\n"].concat());
                Ok(answer(200, lines.collect()))
            }
            "status" => Ok(answer(rest.parse().unwrap_or(500), rest.into())),
            "error" => Err(ErrorCode::InternalError(Some("the service has failed".into()))),
            "trap" => panic!("a trap"),
            "chunks" => Ok(chunks(rest.parse().unwrap_or(1))),
            "endless" => Ok(chunks(u64::MAX)),
            "ask" => ask(host, false).await,
            "ask-stream" => ask(host, true).await,
            "fan" => {
                let calls: Vec<_> = (0..host.parse().unwrap_or(1_u8))
                    .map(|_| {
                        let further = further.to_owned();
                        spawn_local(async move { status_of(ask(&further, false).await).await })
                    })
                    .collect();
                let mut statuses = Vec::new();
                for call in calls {
                    statuses.push(call.await.unwrap_or_default().to_string());
                }
                Ok(answer(200, statuses.join(" ").into()))
            }
            "get" => send(Method::Get, host, further, Fields::new(), None).await,
            "forward" => send(Method::Get, host, further, request.get_headers().clone(), None).await,
            "post" => {
                let (done, result) = wit_future::new(|| Ok(()));
                let headers = Fields::new();
                let _ = headers.set("content-type", &request.get_headers().get("content-type"));
                let contents = Request::consume_body(request, result);
                let response = send(Method::Post, host, further, headers, Some(contents)).await;
                drop(done);
                response
            }
            _ => Ok(answer(404, b"not found".into())),
        }
    }
}

/// A response with the body of another message, which is held until it has been passed on.
fn passed_on(
    status: u16,
    headers: Fields,
    contents: StreamReader<u8>,
    trailers: FutureReader<Failed>,
    done: FutureWriter<Result<(), ErrorCode>>,
) -> Response {
    let (response, sent) = Response::new(headers, Some(contents), trailers);
    let _ = response.set_status_code(status);
    spawn_local(async move { done.write(sent.await).await });
    response
}

/// A body, and no trailers.
fn body(bytes: Vec<u8>) -> (StreamReader<u8>, FutureReader<Failed>) {
    let (mut writer, reader) = wit_stream::new();
    let (done, trailers) = wit_future::new(|| Ok(None));
    drop(done);
    spawn_local(async move { writer.write_all(bytes).await });
    (reader, trailers)
}

fn answer(status: u16, bytes: Vec<u8>) -> Response {
    let (body, trailers) = body(bytes);
    let (response, _) = Response::new(Fields::new(), Some(body), trailers);
    let _ = response.set_status_code(status);
    response
}

fn chunks(count: u64) -> Response {
    let (mut writer, reader) = wit_stream::new();
    let (done, trailers) = wit_future::new(|| Ok(None));
    drop(done);
    spawn_local(async move {
        for number in 0..count {
            if !writer.write_all(format!("chunk {number}\n").into()).await.is_empty() {
                break;
            }
        }
    });
    Response::new(Fields::new(), Some(reader), trailers).0
}

async fn ask(host: &str, is_streamed: bool) -> Result<Response, ErrorCode> {
    let headers = Fields::new();
    let _ = headers.set("content-type", &["application/json".into()]);
    let extra = if is_streamed { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    let question =
        format!(r#"{{"model":"gpt-4.1-mini","messages":[{{"role":"user","content":"What is a span?"}}]{extra}}}"#);
    send(Method::Post, host, "v1/chat/completions", headers, Some(body(question.into()))).await
}

async fn send(
    method: Method,
    host: &str,
    path: &str,
    headers: Fields,
    body: Option<(StreamReader<u8>, FutureReader<Failed>)>,
) -> Result<Response, ErrorCode> {
    let (contents, trailers) = match body {
        Some((contents, trailers)) => (Some(contents), trailers),
        None => (None, wit_future::new(|| Ok(None)).1),
    };
    let _ = headers.delete("host");
    let (request, sent) = Request::new(headers, contents, trailers, None);
    spawn_local(async move { sent.await });
    let _ = request.set_method(&method);
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some(host));
    let _ = request.set_path_with_query(Some(&["/", path].concat()));
    let received = client::send(request).await?;
    let status = received.get_status_code();
    let headers = Fields::new();
    let _ = headers.set("content-type", &received.get_headers().get("content-type"));
    let (done, result) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Response::consume_body(received, result);
    Ok(passed_on(status, headers, contents, trailers, done))
}

/// The status of a response whose body has been read; 0 without a response.
async fn status_of(response: Result<Response, ErrorCode>) -> u16 {
    let Ok(response) = response else { return 0 };
    let status = response.get_status_code();
    let (_done, result) = wit_future::new(|| Ok(()));
    let (contents, _) = Response::consume_body(response, result);
    contents.collect().await;
    status
}
