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

/// The headers to read, in lower case: Opik's two in each spelling, then the two of W3C Trace Context.
///
/// ```
/// use opik_edge::headers::NAMES;
///
/// assert_eq!(NAMES[..2], ["opik_trace_id", "opik_parent_span_id"]);
/// ```
pub const NAMES: [&str; 8] = [
    OPIK_TRACE_ID_HEADER,
    OPIK_PARENT_SPAN_ID_HEADER,
    HYPHEN_TRACE_ID_HEADER,
    HYPHEN_PARENT_SPAN_ID_HEADER,
    "x-opik-trace-id",
    "x-opik-parent-span-id",
    "traceparent",
    "tracestate",
];

/// The values of the headers, without white space around them; an absent header is empty.
///
/// ```
/// use opik_edge::headers::Incoming;
///
/// let incoming = Incoming::from_pairs([("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]);
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct Incoming<'a> {
    /// Trimmed.
    pub(crate) values: [&'a [u8]; NAMES.len()],
}

impl<'a> Incoming<'a> {
    /// The headers with these values, in the order of [`NAMES`].
    ///
    /// ```
    /// # use opik_edge::headers::{Incoming, read};
    /// let incoming = Incoming::new([b"", b"", b"42", b"", b"", b"", b"", b""]);
    /// assert!(read(&incoming, 1_764_000_000_000).1.is_some()); // a warning about `opik-trace-id`
    /// ```
    #[must_use]
    pub fn new(values: [&'a [u8]; NAMES.len()]) -> Self {
        Self { values: values.map(<[u8]>::trim_ascii) }
    }

    /// Picks the headers out of all of a request's, in any case. Of repeated names the last value stays. A repeated
    /// `traceparent` counts as invalid; several `tracestate` have to be joined by commas before (RFC 9110 §5.3).
    ///
    /// ```
    /// # use opik_edge::headers::Incoming;
    /// let incoming = Incoming::from_pairs([("Accept", "*/*"), ("Opik-Trace-Id", "019ab5c0-7c00-7a11-8a11-0123456789ab")]);
    /// assert!(opik_edge::headers::read(&incoming, 1_764_000_000_000).0.is_some());
    /// ```
    pub fn from_pairs(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut found = Self::default();
        for (name, value) in pairs {
            for (known, place) in NAMES.iter().zip(&mut found.values) {
                if known.eq_ignore_ascii_case(name) {
                    let is_second = *known == "traceparent" && !place.is_empty();
                    *place = if is_second { b"," } else { value.as_bytes().trim_ascii() };
                }
            }
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
    /// The spellings differ: underscores are taken first, then hyphens.
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
    let (mut claim, mut warning) = (None, None);
    let [trace, parent, trace_hyphen, parent_hyphen, trace_x, parent_x, ..] = incoming.values;
    for (trace, parent) in [(trace, parent), (trace_hyphen, parent_hyphen), (trace_x, parent_x)] {
        let refused = match (read_id(trace, now_ms), read_id(parent, now_ms)) {
            (Ok(Some(trace_id)), parent_id) => {
                let next = Claim { trace_id, parent_id: parent_id.unwrap_or_default() };
                if claim.is_none() {
                    claim = Some(next);
                    warning = parent_id.err().map(Warning::Parent).or(warning);
                } else if claim != Some(next) {
                    warning = Some(Warning::ConflictingSpellings);
                }
                continue;
            }
            (Ok(None), Ok(None)) => continue,
            (Ok(None), _) => Warning::ParentWithoutTrace,
            (Err(reason), _) => Warning::Trace(reason),
        };
        if claim.is_none() && warning.is_none() {
            warning = Some(refused);
        }
    }
    (claim, warning)
}

/// One id of a trimmed value, also as `v,v`: gunicorn with `--header-map dangerous` joins the two spellings so. `None` if the value is empty.
pub(crate) fn read_id(value: &[u8], now_ms: u64) -> Result<Option<Id>, Reason> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(Reason::TooLong);
    }
    let mut id = None;
    if value.is_empty() {
        return Ok(id);
    }
    let mut parts = Some(value);
    while let Some(part) = next_part(&mut parts, b',') {
        let next = Id::parse_ascii(part)?;
        if *id.get_or_insert(next) != next {
            return Err(Reason::Unequal);
        }
    }
    if id.is_some_and(|id| id.timestamp_ms() > now_ms.saturating_add(MAX_AHEAD_MS)) {
        return Err(Reason::InTheFuture);
    }
    Ok(id)
}

/// Takes the text up to the next `separator` out of `rest`, and returns it without the white space around it.
#[inline(never)]
pub(crate) fn next_part<'a>(rest: &mut Option<&'a [u8]>, separator: u8) -> Option<&'a [u8]> {
    let text = (*rest)?;
    let end = text.iter().position(|&byte| byte == separator);
    *rest = end.and_then(|end| text.get(end.wrapping_add(1)..));
    Some(text.get(..end.unwrap_or(text.len()))?.trim_ascii())
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
