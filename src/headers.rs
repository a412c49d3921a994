//! Trace headers: the claims of incoming headers, and the outgoing headers that hand a context on.
//!
//! Follows Opik's strict reader (`opik.integrations.otel`), and tolerates the changes that servers and proxies make to
//! header names with underscores. Only ids are read from a header. Next: [`crate::context`].

use crate::id::{Id, ParseError};

/// Names the caller's trace, as the official SDKs spell it.
pub const OPIK_TRACE_ID_HEADER: &str = "opik_trace_id";
/// Names the caller's current span, as the official SDKs spell it.
pub const OPIK_PARENT_SPAN_ID_HEADER: &str = "opik_parent_span_id";
/// The twin of [`OPIK_TRACE_ID_HEADER`] that survives servers which drop underscores (nginx, gunicorn …).
pub const HYPHEN_TRACE_ID_HEADER: &str = "opik-trace-id";
/// The twin of [`OPIK_PARENT_SPAN_ID_HEADER`].
pub const HYPHEN_PARENT_SPAN_ID_HEADER: &str = "opik-parent-span-id";

/// The longest header value that is looked at. Room for a few joined repeats of one id.
pub const MAX_VALUE_BYTES: usize = 256;
/// An id may be this far ahead of our clock, in ms. The backend refuses references into the future.
pub const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;

/// The raw values of the four headers, unchanged; an absent header is empty.
///
/// ```
/// use opik_edge::headers::Incoming;
///
/// let incoming = Incoming { trace_hyphen: b"019ab5c0-7c00-7a11-8a11-0123456789ab", ..Incoming::default() };
/// assert!(incoming.parent.is_empty());
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct Incoming<'a> {
    /// Value of `opik_trace_id`.
    pub trace: &'a [u8],
    /// Value of `opik_parent_span_id`.
    pub parent: &'a [u8],
    /// Value of `opik-trace-id`.
    pub trace_hyphen: &'a [u8],
    /// Value of `opik-parent-span-id`.
    pub parent_hyphen: &'a [u8],
}

impl<'a> Incoming<'a> {
    /// Picks the headers out of all of a request's, in any case. Of repeated names the last value stays.
    ///
    /// ```
    /// # use opik_edge::headers::Incoming;
    /// let incoming = Incoming::from_pairs([("Accept", "*/*"), ("Opik-Trace-Id", "019ab5c0-7c00-7a11-8a11-0123456789ab")]);
    /// assert_eq!(incoming.trace_hyphen, b"019ab5c0-7c00-7a11-8a11-0123456789ab");
    /// ```
    pub fn from_pairs(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut found = Self::default();
        for (name, value) in pairs {
            let place = match name {
                _ if name.eq_ignore_ascii_case(OPIK_TRACE_ID_HEADER) => &mut found.trace,
                _ if name.eq_ignore_ascii_case(OPIK_PARENT_SPAN_ID_HEADER) => &mut found.parent,
                _ if name.eq_ignore_ascii_case(HYPHEN_TRACE_ID_HEADER) => &mut found.trace_hyphen,
                _ if name.eq_ignore_ascii_case(HYPHEN_PARENT_SPAN_ID_HEADER) => &mut found.parent_hyphen,
                _ => continue,
            };
            *place = value.as_bytes();
        }
        found
    }
}

/// The caller's trace, and its current span if the headers name a span.
///
/// ```
/// use opik_edge::headers::{Incoming, read};
///
/// let incoming = Incoming::from_pairs([("opik_trace_id", "019ab5c0-7c00-7a11-8a11-0123456789ab")]);
/// let (claim, _) = read(&incoming, 1_764_000_000_000);
/// assert_eq!(claim.map(|claim| claim.parent_id), Some(None)); // a trace, and no span
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The caller's trace.
    pub trace_id: Id,
    /// The caller's current span: the parent of our first one.
    pub parent_id: Option<Id>,
}

/// The reason for which a value was refused.
///
/// ```
/// use opik_edge::headers::{Incoming, Reason, Warning, read};
///
/// let incoming = Incoming::from_pairs([("opik_trace_id", "42")]);
/// assert_eq!(read(&incoming, 1_764_000_000_000), (None, Some(Warning::Trace(Reason::NotUuid))));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// More than [`MAX_VALUE_BYTES`].
    TooLong,
    /// Several different ids, joined by commas.
    Unequal,
    /// Not a UUID.
    NotUuid,
    /// A UUID of another version.
    NotVersion7,
    /// More than [`MAX_AHEAD_MS`] ahead of our clock.
    InTheFuture,
}

/// A problem in the headers of a request; at most one is reported for each request.
///
/// ```
/// use opik_edge::headers::{Incoming, Warning, read};
///
/// let incoming = Incoming::from_pairs([("opik_parent_span_id", "019ab5c0-7c01-7a11-9a11-0123456789ab")]);
/// assert_eq!(read(&incoming, 1_764_000_000_000), (None, Some(Warning::ParentWithoutTrace)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Warning {
    /// A parent span without a trace: both are ignored.
    ParentWithoutTrace,
    /// The trace was refused, and the parent not looked at.
    Trace(Reason),
    /// The parent was refused; the trace is kept.
    Parent(Reason),
    /// The two spellings differ: the one with underscores was taken.
    ConflictingSpellings,
}

impl Warning {
    /// The stable name of the cause.
    ///
    /// ```
    /// # use opik_edge::headers::{Reason, Warning};
    /// assert_eq!(Warning::Trace(Reason::TooLong).code(), "trace_too_long");
    /// ```
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ParentWithoutTrace => "parent_without_trace",
            Self::ConflictingSpellings => "conflicting_spellings",
            Self::Trace(Reason::TooLong) => "trace_too_long",
            Self::Trace(Reason::Unequal) => "trace_unequal",
            Self::Trace(Reason::NotUuid) => "trace_not_uuid",
            Self::Trace(Reason::NotVersion7) => "trace_not_version_7",
            Self::Trace(Reason::InTheFuture) => "trace_in_the_future",
            Self::Parent(Reason::TooLong) => "parent_too_long",
            Self::Parent(Reason::Unequal) => "parent_unequal",
            Self::Parent(Reason::NotUuid) => "parent_not_uuid",
            Self::Parent(Reason::NotVersion7) => "parent_not_version_7",
            Self::Parent(Reason::InTheFuture) => "parent_in_the_future",
        }
    }
}

/// The result of reading the headers of one spelling.
enum Reading {
    Absent,
    Refused(Warning),
    Claimed(Claim, Option<Warning>),
}

/// Reads incoming headers at the time `now_ms` (ms since 1970). Both ids come from one spelling. A valid id wins over a
/// refused id, and underscores win over hyphens. Returns at most one warning.
///
/// ```
/// use opik_edge::headers::{Incoming, read};
///
/// let incoming = Incoming::from_pairs([
///     ("opik_trace_id", "019ab5c0-7c00-7a11-8a11-0123456789ab"),
///     ("opik_parent_span_id", "019ab5c0-7c01-7a11-9a11-0123456789ab"),
/// ]);
/// let (claim, warning) = read(&incoming, 1_764_000_000_000);
/// assert_eq!(claim.map(|claim| claim.trace_id.to_string()).as_deref(), Some("019ab5c0-7c00-7a11-8a11-0123456789ab"));
/// assert_eq!(warning, None);
/// ```
#[must_use]
pub fn read(incoming: &Incoming<'_>, now_ms: u64) -> (Option<Claim>, Option<Warning>) {
    let underscore = read_spelling(incoming.trace, incoming.parent, now_ms);
    let hyphen = read_spelling(incoming.trace_hyphen, incoming.parent_hyphen, now_ms);
    match (underscore, hyphen) {
        (Reading::Claimed(first, _), Reading::Claimed(second, _)) if first != second => {
            (Some(first), Some(Warning::ConflictingSpellings))
        }
        (Reading::Claimed(claim, warning), _) | (Reading::Absent, Reading::Claimed(claim, warning)) => {
            (Some(claim), warning)
        }
        (Reading::Refused(refused), Reading::Claimed(claim, warning)) => (Some(claim), warning.or(Some(refused))),
        (Reading::Refused(warning), _) | (Reading::Absent, Reading::Refused(warning)) => (None, Some(warning)),
        (Reading::Absent, Reading::Absent) => (None, None),
    }
}

fn read_spelling(trace: &[u8], parent: &[u8], now_ms: u64) -> Reading {
    let trace = trace.trim_ascii();
    let parent = parent.trim_ascii();
    if trace.is_empty() {
        return if parent.is_empty() { Reading::Absent } else { Reading::Refused(Warning::ParentWithoutTrace) };
    }
    let trace_id = match read_id(trace, now_ms) {
        Ok(id) => id,
        Err(reason) => return Reading::Refused(Warning::Trace(reason)),
    };
    let (parent_id, warning) = match read_id(parent, now_ms) {
        Ok(id) => (Some(id), None),
        Err(_) if parent.is_empty() => (None, None),
        Err(reason) => (None, Some(Warning::Parent(reason))),
    };
    Reading::Claimed(Claim { trace_id, parent_id }, warning)
}

/// One id, also as `v,v`: gunicorn with `--header-map dangerous` joins the two spellings so.
fn read_id(value: &[u8], now_ms: u64) -> Result<Id, Reason> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(Reason::TooLong);
    }
    let mut parts = value.split(|&byte| byte == b',').map(|part| Id::parse_ascii(part.trim_ascii()));
    let id = parts.next().unwrap_or(Err(ParseError::NotUuid))?;
    for part in parts {
        if part? != id {
            return Err(Reason::Unequal);
        }
    }
    if id.timestamp_ms() > now_ms.saturating_add(MAX_AHEAD_MS) {
        return Err(Reason::InTheFuture);
    }
    Ok(id)
}

impl From<ParseError> for Reason {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::NotUuid => Self::NotUuid,
            ParseError::NotVersion7 => Self::NotVersion7,
        }
    }
}

/// How outgoing header names are written.
///
/// ```
/// use opik_edge::headers::{Spelling, outgoing};
/// # let id = opik_edge::id::Id::parse("019ab5c0-7c00-7a11-8a11-0123456789ab")?;
///
/// let names: Vec<_> = outgoing(id, id, Spelling::Hyphen).map(|(name, _)| name).collect();
/// assert_eq!(names, ["opik-trace-id", "opik-parent-span-id"]);
/// # Ok::<(), opik_edge::id::ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Spelling {
    /// Underscores and hyphens: the only way that survives every common server.
    #[default]
    Both,
    /// Only the official names.
    Underscore,
    /// Only the hyphenated twins.
    Hyphen,
}

/// The headers that let the next service open its spans under `span_id`: name and value. Always both ids, since
/// the official Python reader breaks on one.
///
/// ```
/// use opik_edge::{headers::{Spelling, outgoing}, id::Id};
///
/// let trace_id = Id::parse("019ab5c0-7c00-7a11-8a11-0123456789ab")?;
/// let span_id = Id::parse("019ab5c0-7c01-7a11-9a11-0123456789ab")?;
/// let lines: Vec<_> = outgoing(trace_id, span_id, Spelling::Underscore).map(|(name, id)| format!("{name}: {id}")).collect();
/// assert_eq!(lines, [
///     "opik_trace_id: 019ab5c0-7c00-7a11-8a11-0123456789ab",
///     "opik_parent_span_id: 019ab5c0-7c01-7a11-9a11-0123456789ab",
/// ]);
/// # Ok::<(), opik_edge::id::ParseError>(())
/// ```
pub fn outgoing(trace_id: Id, span_id: Id, spelling: Spelling) -> impl Iterator<Item = (&'static str, Id)> {
    let all = [
        (OPIK_TRACE_ID_HEADER, trace_id),
        (OPIK_PARENT_SPAN_ID_HEADER, span_id),
        (HYPHEN_TRACE_ID_HEADER, trace_id),
        (HYPHEN_PARENT_SPAN_ID_HEADER, span_id),
    ];
    let (skipped, taken) = match spelling {
        Spelling::Both => (0, 4),
        Spelling::Underscore => (0, 2),
        Spelling::Hyphen => (2, 2),
    };
    all.into_iter().skip(skipped).take(taken)
}
