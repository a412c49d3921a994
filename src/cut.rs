//! A row's text → a text within its limits. Each cut leaves a note of the original size. The text stays JSON: strings
//! are cut between characters, and a field that is still too long is replaced by a marker in Opik's shape. The cutter
//! works piece by piece, so its memory is bounded by the limits and not by the text. Next in the flow:
//! [`crate::span::Fields`].

use alloc::collections::TryReserveError;
use alloc::vec::Vec;
use core::ops::Range;

use crate::json::{find_either, write_number};
use crate::span::{ERROR_MESSAGE, ERROR_TRACEBACK, FIELDS, INPUT, METADATA, OUTPUT, SEPARATOR};

/// The longest base64 string that is kept, in bytes. Base64 is an image or a sound, which no reader of a trace can use.
/// (Opik's Python SDK removes base64 of more than 256,000 bytes.)
pub const MAX_BASE64_BYTES: usize = 64 * 1024;
/// The longest prefix of a data URL, up to its base64.
const URL_HEAD_BYTES: usize = 128;
/// Bytes of a replaced field that its marker shows.
pub const PREVIEW_BYTES: usize = 1024;

/// The limit that a text exceeds.
///
/// ```
/// use opik_edge::cut::{Beyond, Cutter};
///
/// let mut cutter = Cutter::new();
/// cutter.begin(4096, 16_384);
/// cutter.push(format!("\"{}\"", "a b ".repeat(2000)).as_bytes())?;
/// cutter.finish()?;
/// assert_eq!(cutter.first_cut(), Some((0, Beyond::Field)));
/// # Ok::<(), std::collections::TryReserveError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beyond {
    /// The limit of one field, or of one string in it.
    Field,
    /// The limit of the row.
    Row,
    /// [`MAX_BASE64_BYTES`].
    Base64,
}

/// Where in a JSON text the cutter is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// Between strings.
    Outside,
    /// Inside one.
    String,
    /// Behind a backslash, with this many bytes of the escape still to come; 0 before the first of them.
    Escape(u8),
    /// In a field of which no more is kept.
    Overflow,
}

/// Cuts one row's text.
///
/// ```
/// use opik_edge::{cut::Cutter, span::{FIELDS, SEPARATOR}};
///
/// let mut fields = vec![String::new(); FIELDS];
/// fields[FIELDS - 1] = format!("\"{}\"", "long ".repeat(1000)); // the output
/// let text = fields.join(&char::from(SEPARATOR).to_string());
///
/// let mut cutter = Cutter::new();
/// cutter.begin(4096, 16_384);
/// cutter.push(text.as_bytes())?;
/// let (row, cuts) = cutter.finish()?;
/// assert_eq!(cuts, 1);
/// assert!(row.ends_with("… [opik_truncated: 5000 bytes]\"".as_bytes()));
/// # Ok::<(), std::collections::TryReserveError>(())
/// ```
#[derive(Debug)]
pub struct Cutter {
    field_bytes: usize,
    row_bytes: usize,
    /// `true` while the text is scanned. Scanning begins only when the text is long enough to need a cut.
    is_reading: bool,
    out: Vec<u8>,
    /// The fields that have ended: where each is in `out`, and how long it was.
    fields: [(usize, usize); FIELDS],
    count: usize,
    /// The position of the current field in `out`, and the bytes of it that have been read.
    field_at: usize,
    field_read: usize,
    at: At,
    /// The position of the current string in `out`, behind its quote, and the bytes of it that have been read.
    string_at: usize,
    string_read: usize,
    /// The current escape. An escape is kept whole or dropped whole.
    escape: [u8; 6],
    escape_length: usize,
    cuts: u32,
    first_cut: Option<(usize, Beyond)>,
}

impl Cutter {
    /// A cutter without a text.
    ///
    /// ```
    /// # use opik_edge::cut::Cutter;
    /// assert_eq!(Cutter::new().finish()?, (b"".as_slice(), 0));
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            field_bytes: 0,
            row_bytes: 0,
            is_reading: false,
            out: Vec::new(),
            fields: [(0, 0); FIELDS],
            count: 0,
            field_at: 0,
            field_read: 0,
            at: At::Outside,
            string_at: 0,
            string_read: 0,
            escape: [0; 6],
            escape_length: 0,
            cuts: 0,
            first_cut: None,
        }
    }

    /// Begins a text. `field_bytes` limits each field, and half of it each string: the neighbours of a long string are
    /// kept. `row_bytes` limits the whole text: while the text is longer, its longest field is replaced.
    ///
    /// ```
    /// # use opik_edge::cut::Cutter;
    /// let mut cutter = Cutter::new();
    /// for row in [b"first", b"other"] {
    ///     cutter.begin(4096, 16_384);
    ///     cutter.push(row)?;
    ///     assert_eq!(cutter.finish()?, (row.as_slice(), 0));
    /// }
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    pub fn begin(&mut self, field_bytes: usize, row_bytes: usize) {
        let mut out = core::mem::take(&mut self.out);
        out.clear();
        *self = Self { field_bytes, row_bytes, out, ..Self::new() };
    }

    /// Takes the next piece of the text. Pieces end between two characters, or at the text's end.
    ///
    /// # Errors
    /// When there is no memory for it; the text is then lost.
    ///
    /// ```
    /// # use opik_edge::cut::Cutter;
    /// let mut cutter = Cutter::new();
    /// cutter.begin(4096, 16_384);
    /// cutter.push(b"\"one ")?;
    /// cutter.push(b"string\"")?;
    /// assert_eq!(cutter.finish()?, (b"\"one string\"".as_slice(), 0));
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    pub fn push(&mut self, piece: &[u8]) -> Result<(), TryReserveError> {
        if !self.is_reading {
            if self.out.len().saturating_add(piece.len()) <= (self.field_bytes / 2).min(self.row_bytes) {
                self.out.try_reserve(piece.len())?;
                self.out.extend_from_slice(piece);
                return Ok(());
            }
            self.read_kept()?;
        }
        self.read(piece)
    }

    /// Begins to scan with the pieces that were kept unread.
    fn read_kept(&mut self) -> Result<(), TryReserveError> {
        self.is_reading = true;
        let kept = core::mem::take(&mut self.out);
        self.read(&kept)
    }

    fn read(&mut self, piece: &[u8]) -> Result<(), TryReserveError> {
        // Room for the piece and two markers.
        self.out.try_reserve(piece.len().saturating_add(2 * (PREVIEW_BYTES + 256)))?;
        let mut rest = piece;
        while let Some(&first) = rest.first() {
            let taken = match self.at {
                At::Outside => self.outside(rest),
                At::String => self.string(rest),
                At::Escape(left) => self.escape(first, left),
                At::Overflow => self.overflow(rest),
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// The text within its limits, and how many cuts were made.
    ///
    /// # Errors
    /// When there is no memory for it.
    ///
    /// ```
    /// # use opik_edge::cut::Cutter;
    /// let mut cutter = Cutter::new();
    /// cutter.begin(4096, 16_384);
    /// cutter.push(format!("\"{}\"", "a b ".repeat(2000)).as_bytes())?;
    /// let (text, cuts) = cutter.finish()?;
    /// assert!(text.len() < 4096 && cuts == 1);
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    pub fn finish(&mut self) -> Result<(&[u8], u32), TryReserveError> {
        if !self.is_reading && may_have_base64(&self.out) {
            self.read_kept()?;
        }
        if self.is_reading {
            self.end_field();
            self.fit_row();
        }
        Ok((&self.out, self.cuts))
    }

    /// The position of the first field that was cut, from 0, and the limit that it exceeded; `None` without a cut.
    ///
    /// ```
    /// # use opik_edge::cut::{Beyond, Cutter};
    /// let mut cutter = Cutter::new();
    /// cutter.begin(4096, 16_384);
    /// cutter.push(format!("\"{}\"", "a b ".repeat(2000)).as_bytes())?;
    /// cutter.finish()?;
    /// assert_eq!(cutter.first_cut(), Some((0, Beyond::Field)));
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    #[must_use]
    pub fn first_cut(&self) -> Option<(usize, Beyond)> {
        self.first_cut
    }

    /// Frees the memory if it is larger than `bytes`.
    ///
    /// ```
    /// # use opik_edge::cut::Cutter;
    /// let mut cutter = Cutter::new();
    /// cutter.begin(1 << 20, 1 << 20);
    /// cutter.push(&[b' '; 100_000])?;
    /// cutter.shrink(64 * 1024); // after a long row
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    pub fn shrink(&mut self, bytes: usize) {
        if self.out.capacity() > bytes {
            self.out = Vec::new();
        }
    }

    fn outside(&mut self, rest: &[u8]) -> usize {
        let run = find_either(rest, b'"', SEPARATOR).unwrap_or(rest.len());
        self.out.extend_from_slice(rest.get(..run).unwrap_or_default());
        self.field_read = self.field_read.saturating_add(run);
        match rest.get(run) {
            Some(b'"') => {
                self.out.push(b'"');
                self.field_read = self.field_read.saturating_add(1);
                self.at = At::String;
                self.string_at = self.out.len();
                self.string_read = 0;
            }
            Some(_) => self.separate(),
            None => {}
        }
        self.check_field();
        run.saturating_add(1).min(rest.len())
    }

    fn string(&mut self, rest: &[u8]) -> usize {
        let run = find_either(rest, b'"', b'\\').unwrap_or(rest.len());
        self.keep_characters(rest.get(..run).unwrap_or_default());
        match rest.get(run) {
            Some(b'"') => self.end_string(),
            Some(_) => {
                self.at = At::Escape(0);
                self.escape_length = 0;
                self.escape_byte(b'\\');
            }
            None => {}
        }
        run.saturating_add(1).min(rest.len())
    }

    fn escape(&mut self, byte: u8, left: u8) -> usize {
        self.escape_byte(byte);
        let left = if left == 0 && byte == b'u' { 4 } else { left.saturating_sub(1) };
        self.at = At::Escape(left);
        if left == 0 {
            self.at = At::String;
            let (escape, length) = (self.escape, self.escape_length);
            self.keep_whole(escape.get(..length).unwrap_or_default());
        }
        1
    }

    fn escape_byte(&mut self, byte: u8) {
        if let Some(slot) = self.escape.get_mut(self.escape_length) {
            *slot = byte;
            self.escape_length = self.escape_length.saturating_add(1);
        }
    }

    fn overflow(&mut self, rest: &[u8]) -> usize {
        let run = find_either(rest, SEPARATOR, SEPARATOR).unwrap_or(rest.len());
        self.field_read = self.field_read.saturating_add(run);
        if run < rest.len() {
            self.separate();
        }
        run.saturating_add(1).min(rest.len())
    }

    /// Bytes that the current string can still take.
    fn string_room(&self) -> usize {
        (self.field_bytes / 2).saturating_sub(self.out.len().saturating_sub(self.string_at))
    }

    /// `true` while the current string is complete so far.
    fn is_whole(&self) -> bool {
        self.out.len().saturating_sub(self.string_at) == self.string_read
    }

    fn keep_characters(&mut self, run: &[u8]) {
        if self.is_whole() {
            let kept = whole_characters(run, self.string_room());
            self.out.extend_from_slice(kept);
        }
        self.string_read = self.string_read.saturating_add(run.len());
        self.field_read = self.field_read.saturating_add(run.len());
    }

    fn keep_whole(&mut self, escape: &[u8]) {
        // Room for a second one: the two halves of a surrogate pair stay together.
        if self.is_whole() && self.string_room() >= 12 {
            self.out.extend_from_slice(escape);
        }
        self.string_read = self.string_read.saturating_add(escape.len());
        self.field_read = self.field_read.saturating_add(escape.len());
    }

    fn end_string(&mut self) {
        let read = self.string_read;
        if read > MAX_BASE64_BYTES
            && let Some(from) = base64_from(self.out.get(self.string_at..).unwrap_or_default())
        {
            self.out.truncate(self.string_at.saturating_add(from));
            self.out.extend_from_slice(b"[opik_truncated: base64, ");
            self.write_size(read, Beyond::Base64);
        } else if !self.is_whole() {
            self.out.extend_from_slice("… [opik_truncated: ".as_bytes());
            self.write_size(read, Beyond::Field);
        }
        self.out.push(b'"');
        self.field_read = self.field_read.saturating_add(1);
        self.at = At::Outside;
        self.check_field();
    }

    fn write_size(&mut self, bytes: usize, beyond: Beyond) {
        write_number(&mut self.out, bytes as u64);
        self.out.extend_from_slice(b" bytes]");
        self.count_cut(self.count, beyond);
    }

    fn count_cut(&mut self, index: usize, beyond: Beyond) {
        self.cuts = self.cuts.saturating_add(1);
        self.first_cut.get_or_insert((index, beyond));
    }

    /// Keeps no more of a field that has become too long.
    fn check_field(&mut self) {
        if self.out.len().saturating_sub(self.field_at) > self.field_bytes {
            self.at = At::Overflow;
        }
    }

    fn separate(&mut self) {
        self.end_field();
        self.out.push(SEPARATOR);
        self.field_at = self.out.len();
        self.field_read = 0;
        self.at = At::Outside;
    }

    fn end_field(&mut self) {
        let index = self.count;
        self.count = index.saturating_add(1);
        let Some(field) = self.fields.get_mut(index) else { return };
        *field = (self.field_at, self.field_read);
        if self.at == At::Overflow {
            self.replace(index, self.field_at..self.out.len(), Beyond::Field);
        }
    }

    /// Replaces the longest of the large fields until the row fits, or until no large field remains.
    fn fit_row(&mut self) {
        while self.out.len() > self.row_bytes {
            let ranges =
                (0..self.count.min(FIELDS)).filter(|&index| is_large(index)).map(|index| (index, self.range(index)));
            let Some((index, range)) = ranges.max_by_key(|(_, range)| range.len()) else { return };
            if range.len() <= PREVIEW_BYTES.saturating_mul(2).saturating_add(256) {
                return;
            }
            self.replace(index, range, Beyond::Row);
        }
    }

    /// Where a field that has ended is.
    fn range(&self, index: usize) -> Range<usize> {
        let from = self.fields.get(index).map_or(0, |(from, _)| *from);
        let next = index.saturating_add(1);
        let to = if next < self.count.min(FIELDS) {
            self.fields.get(next).map_or(from, |(at, _)| at.saturating_sub(1))
        } else {
            self.out.len()
        };
        from..to
    }

    /// Puts a marker in place of a field.
    fn replace(&mut self, index: usize, range: Range<usize>, beyond: Beyond) {
        let read = self.fields.get(index).map_or(0, |(_, read)| *read);
        let mut marker = Vec::new();
        if is_value(index) {
            marker.extend_from_slice(b"{\"opik_truncated\":true,\"original_bytes\":");
            write_number(&mut marker, read as u64);
            marker.extend_from_slice(b",\"preview\":\"");
            let text = self.out.get(range.clone()).unwrap_or_default();
            for &byte in whole_characters(text, PREVIEW_BYTES) {
                match byte {
                    b'"' | b'\\' => marker.extend_from_slice(&[b'\\', byte]),
                    0..=0x1f => marker.push(b' '),
                    _ => marker.push(byte),
                }
            }
            marker.extend_from_slice(b"\"}");
        } else if is_large(index) {
            marker.extend_from_slice(b"\"[opik_truncated: ");
            write_number(&mut marker, read as u64);
            marker.extend_from_slice(b" bytes]\"");
        }
        let shorter = range.len().saturating_sub(marker.len());
        marker.extend_from_slice(self.out.get(range.end..).unwrap_or_default());
        self.out.truncate(range.start);
        self.out.append(&mut marker);
        for (from, _) in self.fields.iter_mut().take(self.count).skip(index.saturating_add(1)) {
            *from = from.saturating_sub(shorter);
        }
        self.count_cut(index, beyond);
    }
}

impl Default for Cutter {
    fn default() -> Self {
        Self::new()
    }
}

/// `true` for fields that hold any JSON value.
fn is_value(index: usize) -> bool {
    matches!(index, METADATA | INPUT | OUTPUT)
}

/// `true` for fields that can be replaced to make a row fit.
fn is_large(index: usize) -> bool {
    is_value(index) || matches!(index, ERROR_MESSAGE | ERROR_TRACEBACK)
}

/// The start of `text` that is at most `limit` bytes long and ends between two characters of UTF-8.
pub(crate) fn whole_characters(text: &[u8], limit: usize) -> &[u8] {
    let mut end = limit.min(text.len());
    while end > 0 && text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

/// `true` if `text` might hold a base64 string that is too long. Such a string contains at least one of these pieces
/// whole. In other text the first few bytes of a piece usually decide.
fn may_have_base64(text: &[u8]) -> bool {
    const PIECE_BYTES: usize = (MAX_BASE64_BYTES - URL_HEAD_BYTES) / 2;
    text.chunks_exact(PIECE_BYTES).any(is_base64)
}

fn is_base64(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'))
}

/// The position where base64 begins, if `text` is base64 with or without the head of a data URL (RFC 2397).
fn base64_from(text: &[u8]) -> Option<usize> {
    const MARK: &[u8] = b";base64,";
    let head = text.get(..URL_HEAD_BYTES).unwrap_or(text);
    let is_url = head.starts_with(b"data:");
    let mark = is_url.then(|| head.windows(MARK.len()).position(|window| window == MARK)).flatten();
    let from = mark.map_or(0, |at| at.saturating_add(MARK.len()));
    is_base64(text.get(from..)?).then_some(from)
}
