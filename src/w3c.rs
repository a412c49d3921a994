//! W3C Trace Context Level 2 and W3C Baggage: reads a caller's `traceparent` and `tracestate`, and writes the headers of a
//! call. A section without the name of a specification is one of Trace Context.
//!
//! Our services find each other's spans by our member of `tracestate`, `opik=<trace id><span id>`, also across services
//! that know nothing of Opik. [`crate::headers`] reads Opik's own headers, which come first; next: [`crate::context`].

use alloc::string::String;

use crate::headers::{self, Claim, Incoming};
use crate::id::{ID_CHARS, Id};
use crate::lines::Lines;

/// The most members of a `tracestate` (§3.3.1.1).
const MAX_MEMBERS: usize = 32;
/// The longest key and the longest value of a member, in characters (§3.3.1.3).
const MAX_CHARS: usize = 256;
/// Room for the members of others, in bytes. With ours, a `baggage` then has at most 8192, beyond which it may be cut
/// (Baggage §3.3.2) and many readers refuse it. A `tracestate` may be cut beyond 512 (§3.3.1.5).
const MAX_OTHERS_BYTES: usize = 8192 - 128;
/// A trace that began longer ago than this, in ms, is not joined by its id alone: by default Opik refuses older ids.
const MAX_AGE_MS: u64 = 24 * 60 * 60 * 1000;

/// The length of a `traceparent` of version 00 (§3.2.2).
const PARENT_CHARS: usize = 55;
/// A bit for each place of a `traceparent`: hyphens, digits of the version, of the trace id, of the parent id.
const HYPHENS: u64 = 1 << 2 | 1 << 35 | 1 << 52 | 1 << 55;
const VERSION: u64 = 0b11;
const TRACE_ID: u64 = (1 << 35) - (1 << 3);
const PARENT_ID: u64 = (1 << 52) - (1 << 36);

/// A valid `traceparent`.
///
/// ```
/// use opik_edge::w3c::Parent;
///
/// let parent = Parent::read(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").ok_or("invalid")?;
/// assert_eq!(parent.trace_id(), "0af7651916cd43dd8448eb211c80319c");
/// assert_eq!(parent.parent_id(), "b7ad6b7169203331");
/// assert_eq!(parent.flags(), 1); // sampled
/// assert_eq!(Parent::read(b"00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01"), None); // upper case
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parent<'a>(&'a [u8; PARENT_CHARS]);

impl<'a> Parent<'a> {
    /// Reads a `traceparent` (§3.2.2), also of a higher version (§3.2.4). White space around it is allowed.
    ///
    /// ```
    /// # use opik_edge::w3c::Parent;
    /// assert!(Parent::read(b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").is_some());
    /// assert!(Parent::read(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").is_none());
    /// ```
    #[must_use]
    pub fn read(value: &'a [u8]) -> Option<Self> {
        Self::of_trimmed(value.trim_ascii())
    }

    /// The caller's span, if its `traceparent` is valid.
    ///
    /// ```
    /// # use opik_edge::{headers::Incoming, w3c::Parent};
    /// let incoming = Incoming::from_pairs([("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]);
    /// assert_eq!(Parent::of(&incoming).map(Parent::parent_id), Some("b7ad6b7169203331"));
    /// ```
    #[must_use]
    pub fn of(incoming: &Incoming<'a>) -> Option<Self> {
        let [.., traceparent, _] = incoming.values;
        Self::of_trimmed(traceparent)
    }

    fn of_trimmed(value: &'a [u8]) -> Option<Self> {
        // The places of digits other than 0.
        let mut digits = 0_u64;
        for (at, &byte) in value.iter().take(PARENT_CHARS + 1).enumerate() {
            let is_hyphen = HYPHENS >> at & 1 == 1;
            match byte {
                b'-' if is_hyphen => {}
                b'0'..=b'9' | b'a'..=b'f' if !is_hyphen => digits |= u64::from(byte != b'0') << at,
                _ => return None,
            }
        }
        // Only a higher version goes on behind the flags.
        let is_too_long = digits & VERSION == 0 && value.len() > PARENT_CHARS;
        if is_too_long || value.starts_with(b"ff") || digits & TRACE_ID == 0 || digits & PARENT_ID == 0 {
            return None;
        }
        value.first_chunk().map(Self)
    }

    /// 32 hex digits in lower case, not all of them 0 (§3.2.2.3).
    ///
    /// ```
    /// # use opik_edge::w3c::Parent;
    /// let parent = Parent::read(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    /// assert_eq!(parent.map(|parent| parent.trace_id().len()), Some(32));
    /// ```
    #[must_use]
    pub fn trace_id(self) -> &'a str {
        core::str::from_utf8(self.trace()).unwrap_or_default()
    }

    /// The caller's span: 16 hex digits in lower case, not all of them 0 (§3.2.2.4).
    ///
    /// ```
    /// # use opik_edge::w3c::Parent;
    /// let parent = Parent::read(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    /// assert_eq!(parent.map(|parent| parent.parent_id().len()), Some(16));
    /// ```
    #[must_use]
    pub fn parent_id(self) -> &'a str {
        core::str::from_utf8(self.span()).unwrap_or_default()
    }

    /// The flags that Level 2 defines (§3.2.2.5): 1 is `sampled`, 2 is `random`. The others count as 0.
    ///
    /// ```
    /// # use opik_edge::w3c::Parent;
    /// let parent = Parent::read(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff");
    /// assert_eq!(parent.map(|parent| parent.flags()), Some(3));
    /// ```
    #[must_use]
    pub fn flags(self) -> u8 {
        let digit = self.0[54];
        digit.wrapping_add(if digit > b'9' { 9 } else { 0 }) & 3
    }

    fn trace(self) -> &'a [u8] {
        &self.0[3..35]
    }

    fn span(self) -> &'a [u8] {
        &self.0[36..52]
    }
}

/// The meaning of the trace context of a caller without Opik headers.
///
/// ```
/// use opik_edge::{context::Context, headers::Incoming, id::IdGenerator, w3c::Link};
///
/// let traceparent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
/// let mut ids = IdGenerator::new();
/// ids.refill(&[7; 12]);
/// let (context, _) = Context::open(&Incoming::from_pairs([traceparent]), 1_764_000_000_000, &mut ids).ok_or("random")?;
/// assert_eq!(context.link(), Link::Unsampled);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Link {
    /// It has no meaning beyond the ids: it is missing or invalid, or the caller's span is the parent.
    #[default]
    None = 0,
    /// The caller's span is not Opik's. Its ids belong in the metadata, as `w3c.trace_id` and `w3c.parent_id`.
    Foreign = 1,
    /// The caller is not sampled: nothing is to be recorded, and its headers go on unchanged.
    Unsampled = 2,
    /// The same, without its `tracestate`, which is invalid.
    UnsampledAlone = 3,
}

/// The Opik trace that a trace context names, at the time `now_ms`.
pub(crate) fn read(incoming: &Incoming<'_>, now_ms: u64) -> (Option<Claim>, Link) {
    let [.., traceparent, tracestate] = incoming.values;
    // §3.3: without a valid `traceparent` the `tracestate` is not looked at, and not the other way round.
    let Some(parent) = Parent::of_trimmed(traceparent) else { return (None, Link::None) };
    let ours = pass_on(tracestate, false, &mut Lines::new(&mut []));
    if parent.flags() & 1 == 0 {
        return (None, if ours.is_some() { Link::Unsampled } else { Link::UnsampledAlone });
    }
    let id = |text| headers::read_id(text, now_ms).unwrap_or_default();
    if let Some((trace, span)) = ours.and_then(|ours| ours.split_at_checked(32))
        && let (Some(trace_id), parent_id @ Some(_)) = (id(trace), id(span))
    {
        let link = if span.ends_with(parent.span()) { Link::None } else { Link::Foreign };
        return (Some(Claim { trace_id, parent_id }), link);
    }
    let young = id(parent.trace()).filter(|id| id.timestamp_ms().saturating_add(MAX_AGE_MS) >= now_ms);
    (young.map(|trace_id| Claim { trace_id, parent_id: None }), Link::Foreign)
}

/// The headers `traceparent`, `tracestate` and `baggage` of a call in the span `span_id`, in this order. `incoming` has the
/// trusted headers that came in, `own` the values that the call has already, "" if it has no value.
///
/// A `traceparent` of the call's own stays, unless it is the caller's, as in a forwarded request. The parent id is the last
/// half of the span's id, which is never zero, since the variant of a UUID (RFC 9562 §4.1) stands there. The flag `random`
/// (§3.2.2.5.2) is not set for our trace ids, because they end in 42 random bits and not in 56.
///
/// ```
/// use opik_edge::{headers::Incoming, id::Id, w3c::outgoing};
///
/// let trace_id = Id::parse("019ab5c0-7c00-7a11-8a11-0123456789ab")?;
/// let span_id = Id::parse("019ab5c0-7c01-7a11-9a11-0123456789ab")?;
/// let incoming = Incoming::from_pairs([
///     ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
///     ("tracestate", "congo=t61rcWkgMzE"),
/// ]);
/// let [traceparent, tracestate, _] = outgoing(&incoming, ["", "", ""], trace_id, span_id);
/// assert_eq!(traceparent, "00-0af7651916cd43dd8448eb211c80319c-9a110123456789ab-01");
/// assert_eq!(tracestate, "opik=019ab5c07c007a118a110123456789ab019ab5c07c017a119a110123456789ab,congo=t61rcWkgMzE");
/// # Ok::<(), opik_edge::id::ParseError>(())
/// ```
#[must_use]
pub fn outgoing(incoming: &Incoming<'_>, own: [&str; 3], trace_id: Id, span_id: Id) -> [String; 3] {
    let [.., traceparent, tracestate] = incoming.values;
    let [own_parent, own_state, own_baggage] = own.map(|value| value.trim().as_bytes());
    let mut ids = [[0; ID_CHARS]; 2];
    for (id, text) in [trace_id, span_id].into_iter().zip(&mut ids) {
        id.encode(text);
    }
    let values = [ids.as_flattened(), own_parent, own_state, own_baggage, traceparent, tracestate, &[], &[]]
        .map(<[u8]>::trim_ascii);
    // Room for the given values, and for ours.
    let mut area = alloc::vec![0; values.iter().fold(256, |sum, value| value.len().saturating_add(sum))];
    let mut lines = Lines::new(&mut area);
    write(values, &mut lines);
    let end = lines.at;
    let mut rest = area.get(..end);
    core::array::from_fn(|_| {
        String::from_utf8_lossy(headers::next_part(&mut rest, b'\n').unwrap_or_default()).into_owned()
    })
}

/// Writes what [`outgoing`] describes, a line for each header. The ids come as one text, with hyphens.
pub(crate) fn write(values: [&[u8]; 8], out: &mut Lines<'_>) {
    let [given, own, own_state, own_baggage, came, came_state, ..] = values;
    let mut ids = [0; 64];
    let digits = given.iter().filter(|&&byte| byte != b'-');
    for (slot, &digit) in ids.iter_mut().zip(digits) {
        *slot = digit;
    }
    let parent = Parent::of_trimmed(came);
    let mut state = own_state;
    if own.is_empty() || own == came {
        let trace_id = parent.map_or(&ids[..32], Parent::trace);
        let flags = [b'0' | parent.map_or(1, Parent::flags)];
        state = if parent.is_some() { came_state } else { &[] };
        for piece in [b"00-", trace_id, b"-", &ids[48..], b"-0", &flags] {
            out.put(piece);
        }
    } else {
        out.put(own);
    }
    out.put(b"\nopik=").put(&ids);
    pass_on(state, false, out);
    let (trace_id, span_id) = given.split_at_checked(ID_CHARS).unwrap_or_default();
    out.put(b"\nopik.trace_id=").put(trace_id).put(b",opik.span_id=").put(span_id);
    pass_on(own_baggage, true, out);
    out.put(b"\n");
}

/// Appends the members of `list`, each behind a comma, without ours. Returns the value of our first, or nothing;
/// `None` for an invalid `tracestate`, which is then left out. A `baggage` is not checked.
fn pass_on<'a>(list: &'a [u8], is_baggage: bool, out: &mut Lines<'_>) -> Option<&'a [u8]> {
    let begin = out.at;
    let mut first: &[u8] = &[];
    let mut count = 0_usize;
    let mut members = Some(list);
    while let Some(member) = headers::next_part(&mut members, b',') {
        if member.is_empty() {
            continue;
        }
        // §3.3.1.3: the place of the equals sign is the key's length.
        let mut key = 0;
        let mut is_valid = true;
        for (at, byte) in member.iter().enumerate() {
            is_valid &= match byte {
                b'a'..=b'z' | b'0'..=b'9' => true,
                b'_' | b'-' | b'*' | b'/' | b'@' => at > 0,
                b'=' => at > 0 && core::mem::replace(&mut key, at) == 0,
                b' '..=b'~' => key > 0,
                _ => false,
            };
        }
        count = count.wrapping_add(1);
        let value = member.len().wrapping_sub(key).wrapping_sub(2);
        is_valid &= key.wrapping_sub(1) < MAX_CHARS && value < MAX_CHARS && count <= MAX_MEMBERS;
        if !is_valid && !is_baggage {
            out.at = begin;
            return None;
        }
        let is_full = count == MAX_MEMBERS && first.is_empty() && !is_baggage;
        let room = MAX_OTHERS_BYTES.wrapping_add(begin).wrapping_sub(out.at);
        // Opik's OpenTelemetry processors read the ids in a baggage.
        if is_baggage && (member.starts_with(b"opik.trace_id") || member.starts_with(b"opik.span_id")) {
            continue;
        }
        if let (false, Some(value)) = (is_baggage, member.strip_prefix(b"opik=")) {
            if first.is_empty() {
                first = value;
            }
        } else if !is_full && member.len() < room {
            out.put(b",").put(member);
        }
    }
    Some(first)
}
