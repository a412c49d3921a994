//! The platform that a client runs on.

use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;

use crate::record::Random;

/// The platform of a [`Client`](super::Client): clock, random bytes, requests, timers and warnings.
///
/// Its futures may belong to any async runtime. A client is `Send` if its platform and the futures of the platform are.
///
/// ```
/// use opik_edge::client::{Answer, Client, Extract, Platform, Request, Settings};
///
/// struct Printed;
///
/// impl Platform for Printed {
///     fn now_ms(&self) -> u64 {
///         1_764_000_000_000
///     }
///     fn random(&self) -> [u8; 12] {
///         [7; 12] // never so: from the platform's cryptographic source
///     }
///     async fn post(&self, request: Request<'_>) -> Option<Answer> {
///         println!("{} {}", request.url, String::from_utf8_lossy(request.body));
///         Some(Answer { status: 204, headers: Vec::new() })
///     }
///     async fn sleep(&self, _ms: u64) {}
///     fn warn(&self, message: &str) {
///         eprintln!("{message}");
///     }
/// }
///
/// let settings = Settings { url: "http://127.0.0.1:5173/api".into(), ..Settings::default() };
/// let client = Client::new(Printed, settings);
/// let root = client.begin("nightly");
/// let delivered = root.delivered();
/// drop(root.begin("step"));
/// drop(root);
/// let report = pollster::block_on(delivered);
/// assert_eq!((report.sent, report.requests), (3, 2)); // the trace's row; the rows of the root and of the step
/// ```
pub trait Platform {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Random bytes from the platform's cryptographic source.
    fn random(&self) -> Random;

    /// Sends a request and returns the answer, or `None` without an answer. It must not follow redirects, which would
    /// receive the key: it returns their status. Dropping the future must interrupt the request.
    fn post(&self, request: Request<'_>) -> impl Future<Output = Option<Answer>>;

    /// Ends after `ms` milliseconds.
    fn sleep(&self, ms: u64) -> impl Future<Output = ()>;

    /// Receives a sentence for the developer: rows that are lost, headers that were refused.
    fn warn(&self, message: &str);
}

/// One request: a `POST`.
///
/// ```
/// use opik_edge::client::Request;
///
/// fn length(request: &Request<'_>) -> usize {
///     assert!(request.headers.contains(&("content-type", "application/json".to_owned())));
///     request.body.len()
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// Absolute.
    pub url: &'a str,
    /// Names in lower case, and values. The API key is among them.
    pub headers: Vec<(&'static str, String)>,
    /// JSON in UTF-8, at most [`Settings::max_body_bytes`](super::Settings::max_body_bytes).
    pub body: &'a [u8],
}

/// The answer to a [`Request`], without its body.
///
/// ```
/// let answer = opik_edge::client::Answer { status: 429, headers: vec![("Retry-After".into(), "2".into())] };
/// assert_eq!(answer.status, 429);
/// ```
#[derive(Clone, Default, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names, in any case and order, and values.
    pub headers: Vec<(String, String)>,
}
