//! The platform of WASI 0.3 for [`crate::client`]: WebAssembly components that trace themselves. Needs the feature `wasi`.
//! Compiles for every target; runs in a host of components.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::sync::OnceLock;

use wasip3::cli::{environment, stderr};
use wasip3::clocks::{monotonic_clock, system_clock};
use wasip3::http::client;
use wasip3::http::types::{self, ErrorCode, Fields, Method, Scheme};
use wasip3::random::random::get_random_bytes;
use wasip3::{spawn_local, wit_future, wit_stream};

use crate::client::{Active, Answer, Client, Extract, Inject, Platform, Request, Root, Settings};
use crate::id::RANDOM_BYTES;
use crate::record::{Members, Random};

const NS_PER_MS: u64 = 1_000_000;

/// A client in a component.
///
/// ```no_run
/// use opik_edge::wasi::Opik;
/// use wasip3::http::types::{ErrorCode, Request, Response};
///
/// async fn handle(request: Request) -> Result<Response, ErrorCode> {
///     let mut root = Opik::from_env().open_request(&request);
///     root.flush_behind();
///     root.input("everything that ends until here is delivered behind the response");
///     answer(request).await
/// }
/// # async fn answer(_: Request) -> Result<Response, ErrorCode> { Err(ErrorCode::LoopDetected) }
/// ```
pub type Opik = Client<Wasi>;

/// The platform of WASI 0.3: its clocks, random bytes, `wasi:http/client` and the standard error.
///
/// ```no_run
/// use opik_edge::{client::{Client, Settings}, wasi::Wasi};
///
/// let client = Client::new(Wasi, Settings { api_key: "my-key".into(), ..Settings::default() });
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct Wasi;

impl Client<Wasi> {
    /// The client of this instance, with settings from `wasi:cli/environment`, as [`Settings::from_env`] reads them once.
    /// Every call returns the same client.
    ///
    /// ```no_run
    /// let root = opik_edge::wasi::Opik::from_env().begin("nightly");
    /// root.flush_behind();
    /// ```
    #[must_use]
    pub fn from_env() -> Self {
        static OPIK: OnceLock<Opik> = OnceLock::new();
        OPIK.get_or_init(|| {
            let variables = environment::get_environment();
            let get = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            Self::new(Wasi, Settings::from_env(get))
        })
        .clone()
    }

    /// Begins the recording of a request: under the caller's span if the headers name a trace, otherwise in a new
    /// trace. The root's name is the method and the path: `POST /ask`. Its input is the method and the URL without its
    /// query.
    ///
    /// ```no_run
    /// # use opik_edge::wasi::Opik;
    /// fn handle(request: &wasip3::http::types::Request) {
    ///     let root = Opik::from_env().open_request(request);
    ///     root.flush_behind();
    /// }
    /// ```
    pub fn open_request(&self, request: &types::Request) -> Root<Wasi> {
        let Asked { method, path, url, .. } = self.asked(request);
        let mut root = self.open(&[&method, " ", &path].concat(), &request.get_headers());
        if root.is_recorded() {
            root.input(&Members(&[("method", &method), ("url", &url)]));
        }
        root
    }

    /// Begins the span of a call that the component is about to make. Its name is the method, the host and the path: `POST
    /// api.example/ask`. Its input is the method and the URL without its query.
    ///
    /// ```no_run
    /// # use opik_edge::{client::Active, wasi::{Opik, Wasi}};
    /// use wasip3::http::{client, types::{ErrorCode, Request, Response}};
    ///
    /// async fn send(parent: &Active<Wasi>, request: Request) -> Result<Response, ErrorCode> {
    ///     let mut span = Opik::from_env().begin_call(parent, &request);
    ///     let result = client::send(request).await;
    ///     span.answered(result.as_ref());
    ///     result
    /// }
    /// ```
    pub fn begin_call(&self, parent: &Active<Wasi>, request: &types::Request) -> Active<Wasi> {
        let Asked { method, host, path, url } = self.asked(request);
        let mut span = parent.begin(&[&method, " ", &host, &path].concat());
        if span.is_recorded() {
            span.input(&Members(&[("method", &method), ("url", &url)]));
        }
        span
    }

    fn asked(&self, request: &types::Request) -> Asked {
        let target = request.get_path_with_query().unwrap_or_default();
        let path = target.split(['?', '#']).next().filter(|path| !path.is_empty()).unwrap_or("/");
        let path = self.shown(path).into_owned();
        let authority = request.get_authority().unwrap_or_default();
        let host = String::from(authority.rsplit('@').next().unwrap_or_default());
        let scheme = match request.get_scheme() {
            Some(Scheme::Https) => "https",
            _ => "http",
        };
        let url = if host.is_empty() { path.clone() } else { [scheme, "://", &host, &path].concat() };
        Asked { method: name_of(&request.get_method()).into_owned(), host, path, url }
    }
}

/// The recorded parts of a request.
struct Asked {
    method: String,
    /// Without user name and password.
    host: String,
    path: String,
    url: String,
}

impl Root<Wasi> {
    /// Delivers the root and its spans when they have ended, behind the response: the instance lives until then. One
    /// delivery at a time is under way, see [`Root::delivered_jointly`]. Call it at the beginning, within a task of the
    /// component: then an early return does not lose the trace.
    ///
    /// ```no_run
    /// # use opik_edge::wasi::Opik;
    /// let root = Opik::from_env().begin("nightly");
    /// root.flush_behind();
    /// ```
    pub fn flush_behind(&self) {
        drop(spawn_local(self.delivered_jointly()));
    }
}

impl Active<Wasi> {
    /// Records how a request was answered: the status as output, or the error.
    ///
    /// ```no_run
    /// # use opik_edge::wasi::Opik;
    /// # use wasip3::http::types::{ErrorCode, Request, Response};
    /// async fn handle(request: Request) -> Result<Response, ErrorCode> {
    ///     let mut root = Opik::from_env().open_request(&request);
    ///     root.flush_behind();
    ///     let result = answer(request).await;
    ///     root.answered(result.as_ref());
    ///     result
    /// }
    /// # async fn answer(_: Request) -> Result<Response, ErrorCode> { Err(ErrorCode::LoopDetected) }
    /// ```
    pub fn answered(&mut self, result: Result<&types::Response, &ErrorCode>) {
        match result {
            Ok(response) => {
                self.output(&Members(&[("status", response.get_status_code())]));
            }
            Err(code) => {
                let text = code.to_string();
                self.error("wasi:http/error-code", text.strip_prefix("ErrorCode::").unwrap_or(&text));
            }
        }
    }
}

/// The method as it is in a request line.
fn name_of(method: &Method) -> Cow<'_, str> {
    Cow::Borrowed(match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    })
}

impl Platform for Wasi {
    fn now_ms(&self) -> u64 {
        let now = system_clock::now();
        let ms = u64::from(now.nanoseconds) / NS_PER_MS;
        u64::try_from(now.seconds).unwrap_or_default().saturating_mul(1000).saturating_add(ms)
    }

    fn random(&self) -> Random {
        let mut random = Random::default();
        for (slot, byte) in random.iter_mut().zip(get_random_bytes(RANDOM_BYTES as u64)) {
            *slot = byte;
        }
        random
    }

    async fn post(&self, request: Request<'_>) -> Option<Answer> {
        post(&request).await.ok()
    }

    fn sleep(&self, ms: u64) -> impl Future<Output = ()> {
        monotonic_clock::wait_for(ms.saturating_mul(NS_PER_MS))
    }

    fn warn(&self, message: &str) {
        let line = ["opik-edge: ", message, "\n"].concat();
        let (mut writer, reader) = wit_stream::new();
        let written = stderr::write_via_stream(reader);
        drop(spawn_local(async move {
            writer.write_all(line.into_bytes()).await;
            drop(writer);
            _ = written.await;
        }));
    }
}

async fn post(request: &Request<'_>) -> Result<Answer, ErrorCode> {
    let refused = |()| ErrorCode::HttpRequestUriInvalid;
    let (scheme, rest) = match request.url.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some((_, rest)) => (Scheme::Https, rest),
        None => return Err(refused(())),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let headers = Fields::new();
    let length = request.body.len().to_string();
    let all = request.headers.iter().map(|(name, value)| (*name, value)).chain([("content-length", &length)]);
    for (name, value) in all {
        headers.append(name, value.as_bytes()).map_err(|_| refused(()))?;
    }

    let (mut body, contents) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (outgoing, _sent) = types::Request::new(headers, Some(contents), no_trailers, None);
    outgoing.set_method(&Method::Post).map_err(refused)?;
    outgoing.set_scheme(Some(&scheme)).map_err(refused)?;
    outgoing.set_authority(Some(authority)).map_err(refused)?;
    outgoing.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(refused)?;
    let write = async {
        body.write_all(request.body.to_vec()).await;
        drop(body);
        drop(trailers);
    };
    let response = while_writing(client::send(outgoing), write).await?;
    Ok(Answer { status: response.get_status_code(), headers: pairs(&response.get_headers()) })
}

/// The result of `work`; polls `write` until then.
async fn while_writing<T>(work: impl Future<Output = T>, write: impl Future<Output = ()>) -> T {
    let (mut work, mut write) = (pin!(work), pin!(write));
    let mut is_written = false;
    poll_fn(|context| {
        is_written = is_written || write.as_mut().poll(context).is_ready();
        match work.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(value),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn pairs(headers: &Fields) -> Vec<(String, String)> {
    let texts = |(name, value): (String, Vec<u8>)| Some((name, String::from_utf8(value).ok()?));
    headers.copy_all().into_iter().filter_map(texts).collect()
}

impl Extract for Fields {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let values = self.get(name);
        (!values.is_empty()).then(|| Cow::Owned(values.join(&b','))) // the reader takes equal values for one
    }
}

impl Inject for Fields {
    fn set(&mut self, name: &'static str, value: &str) {
        // Immutable headers stay unchanged.
        _ = Self::set(self, name, &[value.as_bytes().to_vec()]);
    }
}
