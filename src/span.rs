//! One recorded operation as a row: the fields of a span (`Span_Write`) or of a trace (`Trace_Write`), checked against
//! the API's rules. A bad entry is left out and counted; the row is kept. Next: [`crate::batch`].
//!
//! Fields are JSON texts, written by `JSON.stringify` or its like, and are copied unchanged. `input`, `output` and
//! `metadata` are trusted to be JSON; every other field is scanned whole.

use alloc::vec::Vec;
use core::fmt;

use crate::id::{ID_CHARS, Id};
use crate::json;
use crate::time::Clock;

/// Between the fields of a row's text. No JSON text has it unescaped (RFC 8259 §7).
pub const SEPARATOR: u8 = 0x1f;

/// Number of fields in a row's text.
pub const FIELDS: usize = 20;

/// Position of [`Fields::usage`] in a row's text, counted from 0.
pub const USAGE: usize = 8;
/// Position of [`Fields::error_message`].
pub const ERROR_MESSAGE: usize = 12;
/// Position of [`Fields::error_traceback`].
pub const ERROR_TRACEBACK: usize = 13;
/// Position of [`Fields::metadata`].
pub const METADATA: usize = 17;
/// Position of [`Fields::input`].
pub const INPUT: usize = 18;
/// Position of [`Fields::output`].
pub const OUTPUT: usize = 19;
// Positions of fields that are named in this file alone.
const NAME: usize = 3;
const TYPE: usize = 4;
const TAGS: usize = 5;
const MODEL: usize = 6;
const PROVIDER: usize = 7;
const TOTAL_ESTIMATED_COST: usize = 9;
const TTFT: usize = 10;
const THREAD_ID: usize = 14;
const PROJECT_NAME: usize = 15;
const ENVIRONMENT: usize = 16;

/// The most tags of a row. Bounds the search for repeats, which compares each tag with all before it: without a bound
/// 100,000 took 12 s. (Opik's `PATCH` takes 50; the limit of its batch route is not known.)
pub const MAX_TAGS: usize = 1000;
/// The longest flattened `usage`, in bytes: a hundred entries of 80 bytes. Flattening repeats the outer names before
/// each inner name, so the output can grow with the square of the input: without a bound, 60 KB used up all memory.
pub const MAX_USAGE_BYTES: usize = 8 * 1024;

/// A message up to this length, in bytes, also replaces a missing traceback.
const MAX_REPEATED_BYTES: usize = 1024;

/// The API model of a row.
///
/// ```
/// use opik_edge::{span::Kind, upload::Upload};
///
/// assert_eq!(Upload::new(Kind::Trace, Vec::new(), Vec::new()).path(), "/v1/private/traces/batch");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `Span_Write`, sent to `POST /v1/private/spans/batch`.
    Span,
    /// `Trace_Write`, sent to `POST /v1/private/traces/batch`.
    Trace,
}

/// The fields of a row, as JSON texts; an absent field is empty.
///
/// ```
/// use opik_edge::span::Fields;
///
/// let fields = Fields {
///     id: b"019ab5c0-7c01-7a11-9a11-0123456789ab",
///     trace_id: b"019ab5c0-7c00-7a11-8a11-0123456789ab",
///     name: b"\"search\"",
///     kind: b"\"tool\"",
///     output: br#"{"hits":3}"#,
///     ..Fields::default()
/// };
/// assert!(fields.input.is_empty());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Fields<'a> {
    /// The row's id: a UUIDv7, not quoted.
    pub id: &'a [u8],
    /// The trace of a span: a UUIDv7, not quoted.
    pub trace_id: &'a [u8],
    /// The parent of a span: a UUIDv7, not quoted. Empty at the root of a trace.
    pub parent_span_id: &'a [u8],
    /// A string.
    pub name: &'a [u8],
    /// `"general"` (also when absent), `"tool"`, `"llm"` or `"guardrail"`. Spans only.
    pub kind: &'a [u8],
    /// An array of strings; each is kept once, [`MAX_TAGS`] at most.
    pub tags: &'a [u8],
    /// A string. Spans only.
    pub model: &'a [u8],
    /// A string. Spans only.
    pub provider: &'a [u8],
    /// An object of int32 counts; nested objects are flattened with dots, [`MAX_USAGE_BYTES`] at most. Spans only.
    pub usage: &'a [u8],
    /// A number ≥ 0, in US dollars. Spans only.
    pub total_estimated_cost: &'a [u8],
    /// A number ≥ 0, in milliseconds.
    pub ttft: &'a [u8],
    /// A string: the class of the thrown error (`error_info.exception_type`).
    pub error_type: &'a [u8],
    /// A string (`error_info.message`).
    pub error_message: &'a [u8],
    /// A string (`error_info.traceback`).
    pub error_traceback: &'a [u8],
    /// A string. Traces only.
    pub thread_id: &'a [u8],
    /// A string.
    pub project_name: &'a [u8],
    /// A string.
    pub environment: &'a [u8],
    /// Any value; a value that is not an object is wrapped as `{"metadata":…}`.
    pub metadata: &'a [u8],
    /// Any value; a value that is not an object is wrapped as `{"input":…}`.
    pub input: &'a [u8],
    /// Any value; a value that is not an object is wrapped as `{"output":…}`.
    pub output: &'a [u8],
}

/// When an operation took place, in ms since 1970, and whether it came to its end.
///
/// ```
/// use opik_edge::span::Period;
///
/// let begun = 1_764_000_000_000;
/// let period = Period { start_ms: begun, end_ms: Some(begun + 250), updated_ms: begun + 250, unfinished: false };
/// assert_eq!(period.end_ms, Some(1_764_000_000_250));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// When it began (`start_time`).
    pub start_ms: u64,
    /// When it ended (`end_time`); not before the start. `None` while it is still going on.
    pub end_ms: Option<u64>,
    /// The time of writing (`last_updated_at`); not before the start and the end. Of two rows with one id, Opik keeps
    /// the row with the later time.
    pub updated_ms: u64,
    /// Its invocation ended first: marked as `"opik_edge_unfinished":true` in the metadata.
    pub unfinished: bool,
}

/// The row cannot be written: an id is not a UUIDv7, or the text has too few fields.
///
/// ```
/// use opik_edge::span::{Fields, MalformedRow};
///
/// assert_eq!(Fields::from_text(b"one field", 0), Err(MalformedRow));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedRow;

impl fmt::Display for MalformedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id that is not a UUIDv7, or too few fields")
    }
}

impl core::error::Error for MalformedRow {}

impl<'a> Fields<'a> {
    /// Reads a row's text as JavaScript passes it: the fields above in their order, with a [`SEPARATOR`] between two.
    /// The last field, `output`, begins at `output_at` or later. Pass 0 if its position is unknown: `input` is then
    /// searched for its end.
    ///
    /// # Errors
    /// [`MalformedRow`] when there are fewer fields.
    ///
    /// ```
    /// # use opik_edge::span::{FIELDS, Fields, SEPARATOR};
    /// let mut texts = [b"".as_slice(); FIELDS];
    /// texts[0] = b"019ab5c0-7c01-7a11-9a11-0123456789ab";
    /// texts[3] = b"\"search\"";
    /// let text = texts.join(&SEPARATOR);
    /// assert_eq!(Fields::from_text(&text, 0)?.name, b"\"search\"");
    /// # Ok::<(), opik_edge::span::MalformedRow>(())
    /// ```
    pub fn from_text(text: &'a [u8], output_at: usize) -> Result<Self, MalformedRow> {
        let mut all = [text; FIELDS];
        let [fields @ .., input, output] = &mut all;
        let mut rest = text;
        for field in fields {
            (*field, rest) = split_at_separator(rest, 0)?;
        }
        let input_at = text.len().saturating_sub(rest.len());
        (*input, *output) = split_at_separator(rest, output_at.saturating_sub(input_at.saturating_add(1)))?;
        #[rustfmt::skip]
        let [
            id, trace_id, parent_span_id, name, kind, tags, model, provider, usage, total_estimated_cost, ttft, error_type,
            error_message, error_traceback, thread_id, project_name, environment, metadata, input, output,
        ] = all;
        #[rustfmt::skip]
        let fields = Self {
            id, trace_id, parent_span_id, name, kind, tags, model, provider, usage, total_estimated_cost, ttft, error_type,
            error_message, error_traceback, thread_id, project_name, environment, metadata, input, output,
        };
        Ok(fields)
    }
}

/// The parts before and behind the first [`SEPARATOR`] at `from` or later.
fn split_at_separator(text: &[u8], from: usize) -> Result<(&[u8], &[u8]), MalformedRow> {
    let behind = text.get(from..).ok_or(MalformedRow)?;
    // Most fields are not there.
    let at = if behind.first() == Some(&SEPARATOR) { Some(0) } else { json::find_either(behind, SEPARATOR, SEPARATOR) };
    let at = at.ok_or(MalformedRow)?.saturating_add(from);
    let (before, separated) = text.split_at_checked(at).ok_or(MalformedRow)?;
    Ok((before, separated.get(1..).unwrap_or_default()))
}

impl Fields<'_> {
    /// At least as many bytes as [`write_row`] appends for these fields.
    ///
    /// ```
    /// # use opik_edge::{span::{Fields, Kind, Period, write_row}, time::Clock};
    /// let fields = Fields {
    ///     id: b"019ab5c0-7c01-7a11-9a11-0123456789ab",
    ///     trace_id: b"019ab5c0-7c00-7a11-8a11-0123456789ab",
    ///     name: b"\"search\"",
    ///     ..Fields::default()
    /// };
    /// let now_ms = 1_764_000_000_000;
    /// let period = Period { start_ms: now_ms, end_ms: Some(now_ms), updated_ms: now_ms, unfinished: false };
    /// let mut row = Vec::new();
    /// let left_out = write_row(&mut row, &mut Clock::default(), Kind::Span, &fields, period)?.count;
    /// assert!(row.len() <= fields.max_row_bytes());
    /// # assert_eq!(left_out, 0);
    /// # Ok::<(), opik_edge::span::MalformedRow>(())
    /// ```
    #[must_use]
    pub fn max_row_bytes(&self) -> usize {
        /// Names, ids, times and the values that are filled in: 553 bytes with every field present (measured), doubled.
        const FRAME: usize = 1024;
        let Self { name, kind, input, output, metadata, tags, model, provider, .. } = self;
        let Self { total_estimated_cost, ttft, error_type, error_message, error_traceback, .. } = self;
        let Self { thread_id, project_name, environment, .. } = self;
        #[rustfmt::skip]
        let written = [
            name, kind, input, output, metadata, tags, model, provider, total_estimated_cost, ttft, error_type,
            error_message, error_traceback, thread_id, project_name, environment,
        ];
        let usage = if self.usage.is_empty() { 0 } else { MAX_USAGE_BYTES };
        written.iter().fold(FRAME.saturating_add(MAX_REPEATED_BYTES).saturating_add(usage), |bytes, text| {
            bytes.saturating_add(text.len())
        })
    }
}

/// A member's name behind another member: `,"name":`, or, for [`Writer::quoted`], with the quote that opens its value.
/// In one piece, since each append is a call out of the module.
macro_rules! member {
    ($name:literal) => {
        concat!(",\"", $name, "\":").as_bytes()
    };
    ($name:literal, quoted) => {
        concat!(",\"", $name, "\":\"").as_bytes()
    };
}

const OPENING: &[u8] = b"{\"id\":\"";

/// The id of the row that begins at `row_at`, as [`write_row`] has written it.
pub(crate) fn id_of_row(rows: &[u8], row_at: usize) -> &[u8] {
    rows.get(row_at.saturating_add(OPENING.len())..).and_then(|row| row.get(..ID_CHARS)).unwrap_or_default()
}

/// Appends the complete row to `out`, its times written by `clock`. Returns how many entries were left out.
///
/// # Errors
/// [`MalformedRow`] when an id is not a UUIDv7; `out` is then unchanged.
///
/// ```
/// use opik_edge::{span::{Fields, Kind, Period, write_row}, time::Clock};
///
/// let fields = Fields {
///     id: b"019ab5c0-7c01-7a11-9a11-0123456789ab",
///     trace_id: b"019ab5c0-7c00-7a11-8a11-0123456789ab",
///     name: b"\"search\"",
///     ..Fields::default()
/// };
/// let now_ms = 1_764_000_000_000;
/// let period = Period { start_ms: now_ms, end_ms: Some(now_ms), updated_ms: now_ms, unfinished: false };
/// let mut row = Vec::new();
/// let left_out = write_row(&mut row, &mut Clock::default(), Kind::Span, &fields, period)?;
/// assert_eq!(left_out.count, 0);
/// assert!(row.starts_with(br#"{"id":"019ab5c0-7c01-7a11-9a11-0123456789ab","trace_id":"#));
/// # Ok::<(), opik_edge::span::MalformedRow>(())
/// ```
pub fn write_row(
    out: &mut Vec<u8>,
    clock: &mut Clock,
    kind: Kind,
    fields: &Fields<'_>,
    period: Period,
) -> Result<LeftOut, MalformedRow> {
    let (mut id_buffer, mut trace_buffer, mut parent_buffer) = ([0; ID_CHARS], [0; ID_CHARS], [0; ID_CHARS]);
    let id = encoded(fields.id, &mut id_buffer)?;
    let trace_id = encoded(fields.trace_id, &mut trace_buffer)?;
    let parent_id = match fields.parent_span_id {
        b"" => None,
        text => Some(encoded(text, &mut parent_buffer)?),
    };
    let mut row = Writer { out, clock, left_out: LeftOut::default() };
    row.quoted(OPENING, id);
    if kind == Kind::Span {
        row.quoted(member!("trace_id", quoted), trace_id);
        if let Some(parent_id) = parent_id {
            row.quoted(member!("parent_span_id", quoted), parent_id);
        }
    }
    row.string(PROJECT_NAME, member!("project_name"), fields.project_name);
    row.string(NAME, member!("name"), fields.name);
    if kind == Kind::Span {
        row.span_type(fields.kind);
    }
    let end_ms = period.end_ms.map(|end_ms| end_ms.max(period.start_ms));
    row.time(member!("start_time", quoted), period.start_ms);
    if let Some(end_ms) = end_ms {
        row.time(member!("end_time", quoted), end_ms);
    }
    row.time(member!("last_updated_at", quoted), period.updated_ms.max(end_ms.unwrap_or(period.start_ms)));
    row.object(member!("input"), fields.input);
    row.object(member!("output"), fields.output);
    row.metadata(fields.metadata, period.unfinished);
    row.tags(fields.tags);
    if kind == Kind::Span {
        row.string(MODEL, member!("model"), fields.model);
        row.string(PROVIDER, member!("provider"), fields.provider);
        row.usage(fields.usage);
        row.number(TOTAL_ESTIMATED_COST, member!("total_estimated_cost"), fields.total_estimated_cost);
    } else {
        row.string(THREAD_ID, member!("thread_id"), fields.thread_id);
    }
    row.number(TTFT, member!("ttft"), fields.ttft);
    row.error_info(fields);
    row.string(ENVIRONMENT, member!("environment"), fields.environment);
    row.value(member!("source"), b"\"sdk\"");
    row.out.push(b'}');
    Ok(row.left_out)
}

/// An id in its written form, from any accepted form. JavaScript passes its ids in the written form.
fn encoded<'a>(text: &'a [u8], buffer: &'a mut [u8; ID_CHARS]) -> Result<&'a [u8], MalformedRow> {
    if Id::is_encoded(text) {
        return Ok(text);
    }
    let id = Id::parse_ascii(text).map_err(|_| MalformedRow)?;
    Ok(id.encode(buffer))
}

const UNFINISHED: &[u8] = b"{\"opik_edge_unfinished\":true";

/// Entries that [`write_row`] leaves out of a row, because the Opik API would refuse the whole batch for them.
///
/// ```
/// use opik_edge::{span::{Fields, Kind, Period, USAGE, write_row}, time::Clock};
///
/// let fields = Fields {
///     id: b"019ab5c0-7c01-7a11-9a11-0123456789ab",
///     trace_id: b"019ab5c0-7c00-7a11-8a11-0123456789ab",
///     usage: br#"{"prompt_tokens":"12","completion_tokens":"5"}"#,
///     ..Fields::default()
/// };
/// let period = Period { start_ms: 0, end_ms: None, updated_ms: 0, unfinished: false };
/// let left_out = write_row(&mut Vec::new(), &mut Clock::default(), Kind::Span, &fields, period)?;
/// assert_eq!((left_out.count, left_out.fields), (2, 1 << USAGE));
/// # Ok::<(), opik_edge::span::MalformedRow>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// The number of entries.
    pub count: u32,
    /// Their fields: a bit for each position in [`Fields`].
    pub fields: u32,
}

impl LeftOut {
    fn add(&mut self, position: usize, count: u32) {
        self.count = self.count.saturating_add(count);
        self.fields |= u32::from(count > 0) << position;
    }
}

/// Writes the members of one row.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    clock: &'a mut Clock,
    left_out: LeftOut,
}

impl Writer<'_> {
    fn value(&mut self, member: &[u8], text: &[u8]) {
        self.out.extend_from_slice(member);
        self.out.extend_from_slice(text);
    }

    /// `member` ends with a quote.
    fn quoted(&mut self, member: &[u8], text: &[u8]) {
        self.value(member, text);
        self.out.push(b'"');
    }

    fn time(&mut self, member: &[u8], ms: u64) {
        self.out.extend_from_slice(member);
        self.out.extend_from_slice(self.clock.rfc3339(ms));
        self.out.push(b'"');
    }

    /// A field that `accepts` its text, or is absent.
    fn checked(&mut self, position: usize, member: &[u8], text: &[u8], accepts: fn(&[u8]) -> bool) {
        if is_absent(text) {
        } else if accepts(text) {
            self.value(member, text);
        } else {
            self.left_out.add(position, 1);
        }
    }

    fn string(&mut self, position: usize, member: &[u8], text: &[u8]) {
        self.checked(position, member, text, json::is_string);
    }

    fn number(&mut self, position: usize, member: &[u8], text: &[u8]) {
        self.checked(position, member, text, json::is_non_negative_number);
    }

    fn span_type(&mut self, text: &[u8]) {
        let known = matches!(text, b"\"general\"" | b"\"tool\"" | b"\"llm\"" | b"\"guardrail\"");
        self.left_out.add(TYPE, u32::from(!known && !is_absent(text)));
        self.value(member!("type"), if known { text } else { b"\"general\"" });
    }

    /// The schema takes objects, arrays of objects and strings; an object suits every reader.
    fn object(&mut self, member: &[u8], text: &[u8]) {
        if is_absent(text) {
        } else if text.first() == Some(&b'{') {
            self.value(member, text);
        } else {
            self.out.extend_from_slice(member);
            self.out.push(b'{');
            self.value(without_comma(member), text);
            self.out.push(b'}');
        }
    }

    fn metadata(&mut self, text: &[u8], unfinished: bool) {
        let member = member!("metadata");
        if !unfinished {
            self.object(member, text);
            return;
        }
        self.out.extend_from_slice(member);
        self.out.extend_from_slice(UNFINISHED);
        if let [b'{', members @ ..] = text {
            let members = members.trim_ascii();
            if members != b"}" {
                self.out.push(b',');
            }
            self.out.extend_from_slice(members);
        } else {
            if !is_absent(text) {
                self.value(member, text);
            }
            self.out.push(b'}');
        }
    }

    fn tags(&mut self, text: &[u8]) {
        let mut kept: Vec<&[u8]> = Vec::new();
        let mut left_out = 0_u32;
        let scanned = json::for_each_element(text, |element| {
            if element.first() != Some(&b'"') {
                left_out = left_out.saturating_add(1);
            } else if !kept.contains(&element) {
                if kept.len() < MAX_TAGS {
                    kept.push(element);
                } else {
                    left_out = left_out.saturating_add(1);
                }
            }
        });
        if scanned.is_none() {
            self.left_out.add(TAGS, u32::from(!is_absent(text)));
            return;
        }
        self.left_out.add(TAGS, left_out);
        if kept.is_empty() {
            return;
        }
        self.out.extend_from_slice(member!("tags"));
        for (index, tag) in kept.iter().enumerate() {
            self.out.push(if index == 0 { b'[' } else { b',' });
            self.out.extend_from_slice(tag);
        }
        self.out.push(b']');
    }

    fn usage(&mut self, text: &[u8]) {
        if is_absent(text) {
            return;
        }
        let mut counts = Vec::new();
        let mut left_out = 0;
        if flatten_usage(text, &mut Vec::new(), &mut counts, &mut left_out, json::MAX_DEPTH).is_none() {
            self.left_out.add(USAGE, 1);
            return;
        }
        self.left_out.add(USAGE, left_out);
        if !counts.is_empty() {
            self.out.extend_from_slice(member!("usage"));
            self.out.push(b'{');
            self.out.append(&mut counts);
            self.out.push(b'}');
        }
    }

    fn error_info(&mut self, fields: &Fields<'_>) {
        let [kind, message, traceback] = [fields.error_type, fields.error_message, fields.error_traceback]
            .map(|text| if json::is_string(text) && text != b"\"\"" { text } else { b"" });
        if is_absent(fields.error_type) && message.is_empty() && traceback.is_empty() {
            return;
        }
        self.out.extend_from_slice(member!("error_info"));
        self.out.push(b'{');
        self.value(without_comma(member!("exception_type")), if kind.is_empty() { b"\"Error\"" } else { kind });
        if !message.is_empty() {
            self.value(member!("message"), message);
        }
        // The schema refuses an empty traceback.
        self.value(
            member!("traceback"),
            match (traceback, message) {
                (b"", message) if (1..=MAX_REPEATED_BYTES).contains(&message.len()) => message,
                (b"", _) => b"\"no traceback\"",
                (traceback, _) => traceback,
            },
        );
        self.out.push(b'}');
    }
}

/// A member without its comma, for the first place in an object.
fn without_comma(member: &[u8]) -> &[u8] {
    member.get(1..).unwrap_or_default()
}

fn is_absent(text: &[u8]) -> bool {
    text.is_empty() || text == b"null"
}

/// Appends `"a.b":1,"c":2` to `counts` for the object `text`; `prefix` is the path to it, without quotes.
fn flatten_usage(
    text: &[u8],
    prefix: &mut Vec<u8>,
    counts: &mut Vec<u8>,
    left_out: &mut u32,
    depth: u32,
) -> Option<()> {
    let inner = depth.checked_sub(1)?;
    json::for_each_member(text, |name, value| {
        let [b'"', name @ .., b'"'] = name else { return };
        if value.first() == Some(&b'{') {
            let length = prefix.len();
            prefix.extend_from_slice(name);
            prefix.push(b'.');
            if flatten_usage(value, prefix, counts, left_out, inner).is_none() {
                *left_out = left_out.saturating_add(1);
            }
            prefix.truncate(length);
        } else if json::int32(value).is_some() && fits(counts, prefix, name, value) {
            if !counts.is_empty() {
                counts.push(b',');
            }
            counts.push(b'"');
            counts.extend_from_slice(prefix);
            counts.extend_from_slice(name);
            counts.extend_from_slice(b"\":");
            counts.extend_from_slice(value);
        } else if value != b"null" {
            *left_out = left_out.saturating_add(1);
        }
    })
}

/// `true` if one more `,"prefix.name":value` keeps the usage within [`MAX_USAGE_BYTES`].
fn fits(counts: &[u8], prefix: &[u8], name: &[u8], value: &[u8]) -> bool {
    let punctuation = 4;
    [counts, prefix, name, value].iter().fold(punctuation, |bytes: usize, text| bytes.saturating_add(text.len()))
        <= MAX_USAGE_BYTES
}
