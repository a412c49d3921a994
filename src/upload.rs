//! A payload as one HTTP request, and the meaning of its response: the rows are sent, to be sent again later or in
//! halves, or lost for a reason. The module does no I/O; the caller passes the time and random bits.

use alloc::vec::Vec;

use crate::json::digits;
use crate::span::Kind;
use crate::time::parse_http_date;

/// The method of every upload.
pub const METHOD: &str = "POST";

/// The most attempts for one upload. In a Worker the deadline of 30 s usually comes first.
pub const MAX_ATTEMPTS: u32 = 10;
/// The wait before the second attempt, in ms, unless the server names a wait. Each further wait is twice as long.
pub const FIRST_BACKOFF_MS: u64 = 500;
/// The longest wait that the server did not ask for.
pub const MAX_BACKOFF_MS: u64 = 16_000;

/// Closes a payload.
pub(crate) const CLOSING: &[u8] = b"]}";

/// One request: `POST <base URL><path>` with `body`.
///
/// ```
/// use opik_edge::{span::Kind, upload::{METHOD, Upload}};
///
/// let upload = Upload::new(Kind::Span, br#"{"spans":[{"a":1},{"b":2}]}"#.to_vec(), vec![17, 25]);
/// let url = format!("https://www.comet.com/opik/api{}", upload.path());
/// assert_eq!((METHOD, url.as_str()), ("POST", "https://www.comet.com/opik/api/v1/private/spans/batch"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    kind: Kind,
    body: Vec<u8>,
    row_ends: Vec<u32>,
}

impl Upload {
    /// A request that carries the rows in `body`, each of which ends where `row_ends` says.
    ///
    /// ```
    /// # use opik_edge::{span::Kind, upload::Upload};
    /// let upload = Upload::new(Kind::Span, br#"{"spans":[{"a":1},{"b":2}]}"#.to_vec(), vec![17, 25]);
    /// assert_eq!(upload.rows(), 2);
    /// ```
    #[must_use]
    pub fn new(kind: Kind, body: Vec<u8>, row_ends: Vec<u32>) -> Self {
        Self { kind, body, row_ends }
    }

    /// The kind of its rows.
    ///
    /// ```
    /// # use opik_edge::{span::Kind, upload::Upload};
    /// let upload = Upload::new(Kind::Span, br#"{"spans":[{"a":1},{"b":2}]}"#.to_vec(), vec![17, 25]);
    /// assert_eq!(upload.kind(), Kind::Span);
    /// ```
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Appended to the base URL of the API (`https://www.comet.com/opik/api`).
    ///
    /// ```
    /// # use opik_edge::{span::Kind, upload::Upload};
    /// let upload = Upload::new(Kind::Span, br#"{"spans":[{"a":1},{"b":2}]}"#.to_vec(), vec![17, 25]);
    /// assert_eq!(upload.path(), "/v1/private/spans/batch");
    /// ```
    #[must_use]
    pub fn path(&self) -> &'static str {
        match self.kind {
            Kind::Span => "/v1/private/spans/batch",
            Kind::Trace => "/v1/private/traces/batch",
        }
    }

    /// The number of rows in the body: 1 to 1000.
    ///
    /// ```
    /// # use opik_edge::{span::Kind, upload::Upload};
    /// let upload = Upload::new(Kind::Span, br#"{"spans":[{"a":1},{"b":2}]}"#.to_vec(), vec![17, 25]);
    /// assert_eq!(upload.rows(), 2);
    /// ```
    #[must_use]
    pub fn rows(&self) -> u32 {
        u32::try_from(self.row_ends.len()).unwrap_or(u32::MAX)
    }

    /// The position of the end of each row in the body; a comma or the end of the payload follows. The first row begins
    /// behind the body's first `[`.
    ///
    /// ```
    /// # use opik_edge::{span::Kind, upload::Upload};
    /// let upload = Upload::new(Kind::Span, br#"{"spans":[{"a":1},{"b":2}]}"#.to_vec(), vec![17, 25]);
    /// assert_eq!(&upload.body()[10..17], br#"{"a":1}"#);
    /// assert_eq!(upload.row_ends(), [17, 25]);
    /// ```
    #[must_use]
    pub fn row_ends(&self) -> &[u32] {
        &self.row_ends
    }

    /// The same rows in two requests, for a [`Verdict::Split`]; `None` when there is only one.
    ///
    /// ```
    /// # use opik_edge::{span::Kind, upload::Upload};
    /// let upload = Upload::new(Kind::Span, br#"{"spans":[{"a":1},{"b":2},{"c":3}]}"#.to_vec(), vec![17, 25, 33]);
    /// let (first, second) = upload.halves().unwrap();
    /// assert_eq!(first.body(), br#"{"spans":[{"a":1}]}"#);
    /// assert_eq!(second.body(), br#"{"spans":[{"b":2},{"c":3}]}"#);
    /// assert!(first.halves().is_none());
    /// ```
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        let (first, second) = self.row_ends.split_at_checked(self.row_ends.len() / 2)?;
        let opening = self.body.iter().position(|&byte| byte == b'[')?.saturating_add(1);
        let middle = usize::try_from(*first.last()?).ok()?;
        Some((self.part(opening, opening, first)?, self.part(opening, middle.saturating_add(1), second)?))
    }

    /// A payload of the rows from `from` to the last of `row_ends`.
    fn part(&self, opening: usize, from: usize, row_ends: &[u32]) -> Option<Self> {
        let to = usize::try_from(*row_ends.last()?).ok()?;
        let body = [self.body.get(..opening)?, self.body.get(from..to)?, CLOSING].concat();
        let moved = u32::try_from(from.checked_sub(opening)?).ok()?;
        Some(Self::new(self.kind, body, row_ends.iter().map(|end| end.saturating_sub(moved)).collect()))
    }

    /// Appends the rows of another request of the same kind, if the two fit into `max_rows` and `max_bytes`; otherwise
    /// returns that request.
    #[cfg(feature = "client")]
    pub(crate) fn append(&mut self, other: Self, max_rows: usize, max_bytes: usize) -> Option<Self> {
        let opening = other.body.iter().position(|&byte| byte == b'[').map_or(0, |at| at.saturating_add(1));
        let (Some(rows), Some(end)) = (other.body.get(opening..), self.body.len().checked_sub(CLOSING.len())) else {
            return Some(other);
        };
        let fits = self.row_ends.len().saturating_add(other.row_ends.len()) <= max_rows
            && end.saturating_add(1).saturating_add(rows.len()) <= max_bytes;
        if self.kind != other.kind || !fits {
            return Some(other);
        }
        self.body.truncate(end);
        self.body.push(b',');
        let from = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
        self.body.extend_from_slice(rows);
        let opening = u32::try_from(opening).unwrap_or(u32::MAX);
        let moved = other.row_ends.iter().map(|row_end| row_end.saturating_sub(opening).saturating_add(from));
        self.row_ends.extend(moved);
        None
    }

    /// The body: `{"spans":[…]}` or `{"traces":[…]}` in UTF-8.
    ///
    /// ```
    /// # use opik_edge::{span::Kind, upload::Upload};
    /// let upload = Upload::new(Kind::Span, br#"{"spans":[{"a":1},{"b":2}]}"#.to_vec(), vec![17, 25]);
    /// assert!(upload.body().starts_with(br#"{"spans":["#));
    /// ```
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The headers of every upload. The key is sent raw, never as `Bearer`, and not at all when it is empty.
///
/// ```
/// # use opik_edge::upload::request_headers;
/// let headers: Vec<_> = request_headers(b"the key", b"", false).collect();
/// assert_eq!(headers, [("content-type", b"application/json".as_slice()), ("authorization", b"the key")]);
/// ```
pub fn request_headers<'a>(
    api_key: &'a [u8],
    workspace: &'a [u8],
    is_compressed: bool,
) -> impl Iterator<Item = (&'static str, &'a [u8])> {
    let encoding: &[u8] = if is_compressed { b"gzip" } else { b"" };
    let all: [(_, &[u8]); 4] = [
        ("content-type", b"application/json"),
        ("content-encoding", encoding),
        ("authorization", api_key),
        ("comet-workspace", workspace),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty())
}

/// One try to send an upload, as the verdict on it needs to know it.
///
/// ```
/// use opik_edge::upload::{Attempt, Reason, Verdict, verdict};
///
/// let now_ms = 1_764_000_000_000;
/// let attempt = Attempt { number: 1, rows: 2, is_compressed: false, now_ms, deadline_ms: now_ms + 10_000, random: 0 };
/// let late = Attempt { now_ms: now_ms + 10_000, ..attempt };
/// assert_eq!(verdict(503, [], &late), Verdict::Defer(Reason::ServerError));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Counts from 1.
    pub number: u32,
    /// The number of rows in the request.
    pub rows: u32,
    /// `true` if the body was compressed.
    pub is_compressed: bool,
    /// When the response came, in ms since 1970.
    pub now_ms: u64,
    /// When the last attempt may begin at the latest, in ms since 1970.
    pub deadline_ms: u64,
    /// Random bits, which spread the attempts of many senders.
    pub random: u32,
}

/// The meaning of a response for the rows of its request.
///
/// ```
/// use opik_edge::upload::{Attempt, Reason, Verdict, verdict};
///
/// let now_ms = 1_764_000_000_000;
/// let attempt = Attempt { number: 1, rows: 2, is_compressed: false, now_ms, deadline_ms: now_ms + 10_000, random: 0 };
/// assert_eq!(verdict(401, [], &attempt), Verdict::Stop(Reason::Unauthorized));
/// assert_eq!(verdict(400, [], &attempt), Verdict::Split(Reason::Rejected));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// They are stored.
    Sent,
    /// Send the same request again, after a wait.
    Retry {
        /// The wait, in ms.
        after_ms: u64,
        /// Why.
        reason: Reason,
    },
    /// Send the same request again without compression, and all later requests too.
    Plain,
    /// Again in two halves: it is not all of them that are refused.
    Split(Reason),
    /// They are lost.
    Drop(Reason),
    /// The deadline comes before the next attempt. A caller that lives longer can keep the rows.
    Defer(Reason),
    /// These rows and all later ones cannot be delivered until somebody changes the settings or the account.
    Stop(Reason),
}

/// The reason for which rows were not delivered.
///
/// ```
/// use opik_edge::upload::Reason;
///
/// assert_eq!(Reason::QuotaExceeded.code(), "quota_exceeded");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// No response: not reached, or too slow.
    NetworkError,
    /// 3xx. A redirect is never followed: the key would travel with it.
    Redirected,
    /// 400, 422: the API refuses the row.
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
    /// 425 (a relay): the row is from another time, by the clock of the receiver.
    ClockSkew,
    /// 429.
    RateLimited,
    /// 5xx.
    ServerError,
    /// Any other status.
    UnexpectedStatus,
}

impl Reason {
    /// The stable name of the reason.
    ///
    /// ```
    /// # use opik_edge::upload::Reason;
    /// assert_eq!(Reason::NetworkError.code(), "network_error");
    /// ```
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
            Self::ClockSkew => "clock_skew",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::UnexpectedStatus => "unexpected_status",
        }
    }
}

/// The verdict on a response: `status` is its HTTP status, or 0 if there was no response. `headers` have names in lower
/// case and are sorted by name, as `fetch` returns them.
///
/// ```
/// use opik_edge::upload::{Attempt, Reason, Verdict, verdict};
///
/// let now_ms = 1_764_000_000_000;
/// let attempt = Attempt { number: 1, rows: 2, is_compressed: false, now_ms, deadline_ms: now_ms + 10_000, random: 0 };
/// let headers = [(b"retry-after".as_slice(), b"2".as_slice())];
/// assert_eq!(verdict(429, headers, &attempt), Verdict::Retry { after_ms: 2000, reason: Reason::RateLimited });
/// assert_eq!(verdict(204, [], &attempt), Verdict::Sent);
/// ```
pub fn verdict<'a, H>(status: u16, headers: H, attempt: &Attempt) -> Verdict
where
    H: IntoIterator<Item = (&'a [u8], &'a [u8])>,
{
    let again = |reason| retry(reason, wait_asked_for(headers.into_iter(), attempt), attempt);
    let split = |reason| if attempt.rows > 1 { Verdict::Split(reason) } else { Verdict::Drop(reason) };
    match status {
        // 409: the backend has these rows.
        200..=299 | 409 => Verdict::Sent,
        0 => again(Reason::NetworkError),
        408 => again(Reason::Timeout),
        429 => again(Reason::RateLimited),
        500..=599 => again(Reason::ServerError),
        // The API validates a batch as a whole: one bad row is refused with all others.
        400 | 422 => split(Reason::Rejected),
        413 => split(Reason::PayloadTooLarge),
        425 => split(Reason::ClockSkew),
        415 if attempt.is_compressed => Verdict::Plain,
        300..=399 => Verdict::Stop(Reason::Redirected),
        401 | 403 => Verdict::Stop(Reason::Unauthorized),
        402 => Verdict::Stop(Reason::QuotaExceeded),
        404 | 405 => Verdict::Stop(Reason::NotFound),
        _ => Verdict::Drop(Reason::UnexpectedStatus),
    }
}

fn retry(reason: Reason, asked_ms: Option<u64>, attempt: &Attempt) -> Verdict {
    let after_ms = match asked_ms {
        // Spreads senders that got the same answer.
        Some(ms) => ms.saturating_add(part_of((ms / 10).min(1000), attempt.random)),
        None => backoff_ms(attempt.number, attempt.random),
    };
    if attempt.number >= MAX_ATTEMPTS || attempt.now_ms.saturating_add(after_ms) >= attempt.deadline_ms {
        return Verdict::Defer(reason);
    }
    Verdict::Retry { after_ms, reason }
}

/// Doubles with each attempt; half of it is random ("equal jitter").
fn backoff_ms(number: u32, random: u32) -> u64 {
    let doublings = number.saturating_sub(1).min(16);
    let half = FIRST_BACKOFF_MS.saturating_mul(1 << doublings).min(MAX_BACKOFF_MS) / 2;
    half.saturating_add(part_of(half, random))
}

/// A random part of `whole`.
fn part_of(whole: u64, random: u32) -> u64 {
    whole.saturating_mul(u64::from(random)) >> 32
}

/// The longest wait that the response asks for: `RateLimit-Reset` (seconds, Opik), `Retry-After` (seconds or a date,
/// RFC 9110 §10.2.3), or the time of an Opik bucket that has less room than there are rows.
fn wait_asked_for<'a>(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>, attempt: &Attempt) -> Option<u64> {
    let mut longest = None;
    let mut room: (&[u8], u64) = (b"", 0);
    for (name, value) in headers {
        let value = value.trim_ascii();
        let number = digits(value);
        let wait = if name == b"ratelimit-reset" || name == b"retry-after" {
            let date = || Some(parse_http_date(value)?.saturating_sub(attempt.now_ms));
            number.map(|seconds| seconds.saturating_mul(1000)).or_else(date)
        } else if name.ends_with(b"-remaining-limit") {
            room = (name, number.unwrap_or(0));
            None
        } else if let Some(bucket) = name.strip_suffix(b"-ttl-millis") {
            let has_room = room.0 == bucket && room.1 >= attempt.rows.into();
            number.filter(|_| bucket.ends_with(b"-remaining-limit") && !has_room)
        } else {
            None
        };
        longest = longest.max(wait);
    }
    longest
}

/// The window of ids, in ms, when a request was refused because an id's time is outside of it (400 with `too_old` or
/// `too_far_future`, for all rows of the request). Reads the window from `message`, the response body; otherwise
/// returns `preset_ms`. `None` if the request was refused for another reason.
///
/// ```
/// # use opik_edge::upload::refused_window_ms;
/// let message = br#"{"code":400,"message":"Invalid UUID for id","details":"outside window '12 hours', reason 'too_old'"}"#;
/// assert_eq!(refused_window_ms(400, message, 86_400_000), Some(43_200_000));
/// assert_eq!(refused_window_ms(400, b"too_old", 86_400_000), Some(86_400_000));
/// assert_eq!(refused_window_ms(400, b"no version 7 UUID", 86_400_000), None);
/// ```
#[must_use]
pub fn refused_window_ms(status: u16, message: &[u8], preset_ms: u64) -> Option<u64> {
    if status != 400 {
        return None;
    }
    let reason = behind(message, b"too_")?;
    if !reason.starts_with(b"old") && !reason.starts_with(b"far_future") {
        return None;
    }
    Some(behind(message, b"window").and_then(hours).map_or(preset_ms, |hours| u64::from(hours).wrapping_mul(3_600_000)))
}

/// The text behind the first `word` of `text`.
fn behind<'a>(mut text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    loop {
        if let Some(rest) = text.strip_prefix(word) {
            return Some(rest);
        }
        (_, text) = text.split_first()?;
    }
}

/// The first number of `text` with its unit, in hours: `24h`, `24 hours`, `PT24H`, `1 day`. `None` outside of the range
/// that Opik accepts for `uuidValidation.window`: 12 hours to 45 days.
fn hours(text: &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for byte in text {
        let unit = match byte {
            b'0'..=b'9' => {
                number = number.saturating_mul(10).saturating_add(u32::from(byte & 15));
                continue;
            }
            b'h' | b'H' if number > 0 => 1,
            b'd' | b'D' if number > 0 => 24,
            b' ' => continue,
            _ if number > 0 => return None,
            _ => continue,
        };
        return Some(number.saturating_mul(unit)).filter(|hours| (12..=1080).contains(hours));
    }
    None
}

/// Consecutive failed uploads after which sending pauses.
pub const MAX_FAILURES: u32 = 3;
/// The first pause, in ms; each further failure doubles it.
pub const FIRST_PAUSE_MS: u64 = 30_000;
/// The longest of these pauses.
pub const MAX_PAUSE_MS: u64 = 600_000;

/// The pause after `failures` consecutive failed uploads, in ms: a circuit breaker. It is 0 below [`MAX_FAILURES`],
/// unless the last verdict was [`Verdict::Stop`]. Half of it is random.
///
/// ```
/// # use opik_edge::upload::{FIRST_PAUSE_MS, MAX_FAILURES, pause_ms};
/// assert_eq!(pause_ms(MAX_FAILURES - 1, false, u32::MAX), 0);
/// assert_eq!(pause_ms(MAX_FAILURES, false, 0), FIRST_PAUSE_MS / 2);
/// ```
#[must_use]
pub fn pause_ms(failures: u32, was_stopped: bool, random: u32) -> u64 {
    let Some(doublings) = failures.checked_sub(MAX_FAILURES).or(was_stopped.then_some(0)) else { return 0 };
    let half = FIRST_PAUSE_MS.saturating_mul(1 << doublings.min(16)).min(MAX_PAUSE_MS) / 2;
    half.saturating_add(part_of(half, random))
}
