//! A payload as one HTTP request, and what its response means. Sends nothing itself.

use alloc::vec::Vec;

use crate::span::Kind;

/// The method of every upload.
pub const METHOD: &str = "POST";

/// One request: `POST <base URL><path>` with `body`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    kind: Kind,
    rows: u32,
    body: Vec<u8>,
}

impl Upload {
    /// A request that carries `rows` rows in `body`.
    #[must_use]
    pub fn new(kind: Kind, rows: u32, body: Vec<u8>) -> Self {
        Self { kind, rows, body }
    }

    /// Appended to the base URL of the API (`https://www.comet.com/opik/api`).
    #[must_use]
    pub fn path(&self) -> &'static str {
        match self.kind {
            Kind::Span => "/v1/private/spans/batch",
            Kind::Trace => "/v1/private/traces/batch",
        }
    }

    /// How many rows are in the body: 1 to 1000.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The body: `{"spans":[…]}` or `{"traces":[…]}` in UTF-8.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The headers of every upload. The key is sent raw, never as `Bearer`, and not at all when it is empty.
pub fn request_headers<'a>(api_key: &'a [u8], workspace: &'a [u8]) -> impl Iterator<Item = (&'static str, &'a [u8])> {
    let all: [(_, &[u8]); 3] =
        [("content-type", b"application/json"), ("authorization", api_key), ("comet-workspace", workspace)];
    all.into_iter().filter(|(_, value)| !value.is_empty())
}

/// What a response means for the rows of its request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// They are stored.
    Sent,
    /// They are lost.
    Drop(Reason),
}

/// Why the rows of a request are lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// No response: not reached, or too slow.
    NetworkError,
    /// 3xx. A redirect is never followed: the key would travel with it.
    Redirected,
    /// 400, 422: the API refuses at least one row, and with it the whole batch.
    Rejected,
    /// 401, 403: the key or the workspace is wrong.
    Unauthorized,
    /// 402: the account's quota is used up.
    QuotaExceeded,
    /// 404, 405: there is no Opik API at this URL.
    NotFound,
    /// 408.
    Timeout,
    /// 413.
    PayloadTooLarge,
    /// 429.
    RateLimited,
    /// 5xx.
    ServerError,
    /// Any other status.
    UnexpectedStatus,
}

impl Reason {
    /// The stable name of the reason.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NetworkError => "network_error",
            Self::Redirected => "redirected",
            Self::Rejected => "rejected",
            Self::Unauthorized => "unauthorized",
            Self::QuotaExceeded => "quota_exceeded",
            Self::NotFound => "not_found",
            Self::Timeout => "timeout",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::UnexpectedStatus => "unexpected_status",
        }
    }
}

/// The verdict on an HTTP status; 0 stands for no response at all.
#[must_use]
pub fn verdict(status: u16) -> Verdict {
    Verdict::Drop(match status {
        // 409: the rows are there already.
        200..=299 | 409 => return Verdict::Sent,
        0 => Reason::NetworkError,
        300..=399 => Reason::Redirected,
        400 | 422 => Reason::Rejected,
        401 | 403 => Reason::Unauthorized,
        402 => Reason::QuotaExceeded,
        404 | 405 => Reason::NotFound,
        408 => Reason::Timeout,
        413 => Reason::PayloadTooLarge,
        429 => Reason::RateLimited,
        500..=599 => Reason::ServerError,
        _ => Reason::UnexpectedStatus,
    })
}
