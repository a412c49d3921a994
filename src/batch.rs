//! Ended rows → bounded JSON payloads. Each invocation has its own buffer, reached by a handle that goes stale when the
//! buffer is closed. Next in the flow: [`crate::upload`].

use alloc::vec::Vec;
use core::fmt;

use crate::id::ID_CHARS;
use crate::span::{Fields, Kind, LeftOut, MalformedRow, Period, id_of_row, write_row};
use crate::time::Clock;
use crate::upload::{CLOSING, Upload};

/// Rows in one batch (Opik: `traces` and `spans` of 1 to 1000).
pub const MAX_BATCH_ROWS: usize = 1000;
/// The longest payload, in bytes. The server takes far more; the limit bounds the loss by one failed upload.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of rows that one buffer holds at a time: an eighth of the memory that an instance may have.
pub const MAX_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// A buffer that was last used this long ago is closed, in ms: its invocation was probably killed. No stream lasts
/// longer.
pub const MAX_IDLE_MS: u64 = 60 * 60 * 1000;
/// Buffers open at a time.
pub const MAX_BUFFERS: usize = 1 << 16;

/// The reason for which a row was not kept.
///
/// ```
/// use opik_edge::batch::{Buffer, DropReason};
/// use opik_edge::span::{Fields, Kind, Period};
///
/// # let now_ms = 1_764_000_000_000;
/// # let period = Period { start_ms: now_ms, end_ms: Some(now_ms), updated_ms: now_ms, unfinished: false };
/// let fields = Fields { id: b"019ab5c0-7c01-7a11-9a11-0123456789ab", trace_id: b"019ab5c0-7c00-7a11-8a11-0123456789ab", ..Fields::default() };
/// let mut buffer = Buffer::default();
/// buffer.append(Kind::Span, &fields, period)?;
/// assert_eq!(buffer.append(Kind::Span, &fields, period), Err(DropReason::DuplicateId));
/// # Ok::<(), DropReason>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum DropReason {
    /// The buffer's invocation is over.
    StaleBuffer = 1,
    /// The buffer holds as much as it may, or there is no memory for the row.
    BufferFull,
    /// The row alone is longer than a batch.
    RowTooLarge,
    /// The batch has a row of this id: the API refuses both.
    DuplicateId,
    /// An id is not a UUIDv7, or the text has too few fields.
    MalformedRow,
}

impl DropReason {
    /// Every reason, in the order of [`DropReason::number`].
    pub const ALL: [Self; 5] =
        [Self::StaleBuffer, Self::BufferFull, Self::RowTooLarge, Self::DuplicateId, Self::MalformedRow];

    /// The stable name of the reason.
    ///
    /// ```
    /// # use opik_edge::batch::DropReason;
    /// assert_eq!(DropReason::BufferFull.code(), "buffer_full");
    /// ```
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::StaleBuffer => "stale_buffer",
            Self::BufferFull => "buffer_full",
            Self::RowTooLarge => "row_too_large",
            Self::DuplicateId => "duplicate_id",
            Self::MalformedRow => "malformed_row",
        }
    }

    /// A small number for it, from 1.
    ///
    /// ```
    /// # use opik_edge::batch::DropReason;
    /// assert_eq!(DropReason::ALL.map(DropReason::number), [1, 2, 3, 4, 5]);
    /// ```
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl core::error::Error for DropReason {}

impl From<MalformedRow> for DropReason {
    fn from(_: MalformedRow) -> Self {
        Self::MalformedRow
    }
}

/// A payload in the making.
#[derive(Debug)]
struct Batch {
    body: Vec<u8>,
    first_row_at: usize,
    row_ends: Vec<u32>,
    /// As text, which is sorted as ids are.
    greatest_id: [u8; ID_CHARS],
}

impl Batch {
    fn new(kind: Kind) -> Self {
        let body = opening(kind).to_vec();
        Self { first_row_at: body.len(), body, row_ends: Vec::new(), greatest_id: [0; ID_CHARS] }
    }

    /// Makes room for a row of at most `row_bytes`, its comma and the end of the payload. Without room the row is
    /// refused: an allocation that fails would end the instance, and with it the rows of every other invocation.
    fn make_room(&mut self, row_bytes: usize) -> Result<(), DropReason> {
        let bytes = row_bytes.saturating_add(1).saturating_add(CLOSING.len());
        let reserved = self.body.try_reserve(bytes).and_then(|()| self.row_ends.try_reserve(1));
        reserved.map_err(|_| DropReason::BufferFull)
    }

    /// `true` if a row has this id. Most ids are greater than all before them, so one comparison is enough.
    fn has(&self, id: &[u8]) -> bool {
        let mut row_at = self.first_row_at;
        id <= self.greatest_id.as_slice()
            && self.row_ends.iter().any(|&end| {
                let is_same = id_of_row(&self.body, row_at) == id;
                row_at = (end as usize).saturating_add(1); // behind a comma
                is_same
            })
    }

    /// Counts the row that begins at `row_at` and ends the body.
    fn note(&mut self, row_at: usize) {
        if let Some((id, _)) = id_of_row(&self.body, row_at).split_first_chunk()
            && *id > self.greatest_id
        {
            self.greatest_id = *id;
        }
        self.row_ends.push(u32::try_from(self.body.len()).unwrap_or(u32::MAX));
    }

    /// Full, or taken.
    fn is_closed(&self) -> bool {
        self.row_ends.len() >= MAX_BATCH_ROWS || self.body.is_empty()
    }
}

fn opening(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Span => b"{\"spans\":[",
        Kind::Trace => b"{\"traces\":[",
    }
}

/// Upper limits of a buffer, in bytes.
///
/// ```
/// use opik_edge::batch::{Buffer, Limits};
///
/// // A queue takes messages of 128 KB.
/// let limits = Limits { batch_bytes: 120_000, ..Limits::default() };
/// assert_eq!(Buffer::new(limits).limits().row_bytes, 90_000);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Of all rows that it holds at a time; at most [`MAX_BUFFER_BYTES`].
    pub buffer_bytes: usize,
    /// Of one payload; at most [`MAX_BATCH_BYTES`]. A queue takes less than Opik does.
    pub batch_bytes: usize,
    /// Of one field's text, before it is cut.
    pub field_bytes: usize,
    /// Of one row's text, before its longest fields are replaced. At most three quarters of a payload, which leaves
    /// room for the rest of the row.
    pub row_bytes: usize,
}

impl Limits {
    /// Returns these limits, each moved to the nearest possible value.
    ///
    /// ```
    /// # use opik_edge::batch::{Limits, MAX_BATCH_BYTES};
    /// let limits = Limits { batch_bytes: usize::MAX, ..Limits::default() };
    /// assert_eq!(limits.bounded().batch_bytes, MAX_BATCH_BYTES);
    /// ```
    #[must_use]
    #[expect(clippy::manual_clamp, reason = "its panic, which cannot happen, brings a kilobyte of formatting along")]
    pub fn bounded(self) -> Self {
        let batch_bytes = self.batch_bytes.max(32 * 1024).min(MAX_BATCH_BYTES);
        let row_bytes = self.row_bytes.max(16 * 1024).min(batch_bytes.saturating_sub(batch_bytes / 4));
        Self {
            buffer_bytes: self.buffer_bytes.max(batch_bytes).min(MAX_BUFFER_BYTES),
            batch_bytes,
            field_bytes: self.field_bytes.max(4 * 1024).min(row_bytes),
            row_bytes,
        }
    }
}

/// 1 MB a field is a prompt of some 250,000 tokens, more than any model reads; 2 MB a row hold a prompt and its answer.
impl Default for Limits {
    fn default() -> Self {
        Self {
            buffer_bytes: MAX_BUFFER_BYTES,
            batch_bytes: MAX_BATCH_BYTES,
            field_bytes: 1024 * 1024,
            row_bytes: 2 * 1024 * 1024,
        }
    }
}

/// The rows of one invocation.
///
/// ```
/// use opik_edge::batch::Buffer;
/// use opik_edge::span::{Fields, Kind, Period};
///
/// # let now_ms = 1_764_000_000_000;
/// # let period = Period { start_ms: now_ms, end_ms: Some(now_ms), updated_ms: now_ms, unfinished: false };
/// let fields = Fields { id: b"019ab5c0-7c01-7a11-9a11-0123456789ab", trace_id: b"019ab5c0-7c00-7a11-8a11-0123456789ab", ..Fields::default() };
/// let mut buffer = Buffer::default();
/// buffer.append(Kind::Span, &fields, period)?;
/// let upload = buffer.take().ok_or("an upload")?;
/// assert_eq!((upload.rows(), upload.path()), (1, "/v1/private/spans/batch"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default, Debug)]
pub struct Buffer {
    traces: Vec<Batch>,
    spans: Vec<Batch>,
    clock: Clock,
    bytes: usize,
    limits: Limits,
}

impl Buffer {
    /// An empty buffer with these limits, or the nearest that are possible.
    ///
    /// ```
    /// # use opik_edge::batch::{Buffer, Limits, MAX_BUFFER_BYTES};
    /// let buffer = Buffer::new(Limits { buffer_bytes: usize::MAX, ..Limits::default() });
    /// assert_eq!(buffer.limits().buffer_bytes, MAX_BUFFER_BYTES);
    /// ```
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits: limits.bounded(), ..Self::default() }
    }

    /// The limits of this buffer, after [`Limits::bounded`].
    ///
    /// ```
    /// # use opik_edge::batch::{Buffer, Limits};
    /// assert_eq!(Buffer::new(Limits::default()).limits(), Limits::default());
    /// ```
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Appends one row. Returns its entries that were left out.
    ///
    /// # Errors
    /// A [`DropReason`] when the row is not kept; the others are as they were.
    ///
    /// ```
    /// # use opik_edge::{batch::Buffer, span::{Fields, Kind, Period}};
    /// # let now_ms = 1_764_000_000_000;
    /// # let period = Period { start_ms: now_ms, end_ms: Some(now_ms), updated_ms: now_ms, unfinished: false };
    /// let fields = Fields {
    ///     id: b"019ab5c0-7c01-7a11-9a11-0123456789ab",
    ///     trace_id: b"019ab5c0-7c00-7a11-8a11-0123456789ab",
    ///     ttft: b"-5", // not a time
    ///     ..Fields::default()
    /// };
    /// let left_out = Buffer::default().append(Kind::Span, &fields, period)?;
    /// assert_eq!(left_out.count, 1); // the row is kept, without `ttft`
    /// # Ok::<(), opik_edge::batch::DropReason>(())
    /// ```
    pub fn append(&mut self, kind: Kind, fields: &Fields<'_>, period: Period) -> Result<LeftOut, DropReason> {
        let batches = match kind {
            Kind::Span => &mut self.spans,
            Kind::Trace => &mut self.traces,
        };
        if batches.last().is_none_or(Batch::is_closed) {
            batches.push(Batch::new(kind));
        }
        let Some(batch) = batches.last_mut() else {
            return Err(DropReason::BufferFull);
        };
        batch.make_room(fields.max_row_bytes())?;
        let before = batch.body.len();
        if !batch.row_ends.is_empty() {
            batch.body.push(b',');
        }
        let row_at = batch.body.len();
        let written = write_row(&mut batch.body, &mut self.clock, kind, fields, period);
        let row_bytes = batch.body.len().saturating_sub(row_at);
        let refused = match &written {
            Err(MalformedRow) => Some(DropReason::MalformedRow),
            Ok(_) if batch.has(id_of_row(&batch.body, row_at)) => Some(DropReason::DuplicateId),
            Ok(_) if row_bytes > self.limits.batch_bytes.saturating_sub(frame_bytes(kind)) => {
                Some(DropReason::RowTooLarge)
            }
            Ok(_) if self.bytes.saturating_add(row_bytes) > self.limits.buffer_bytes => Some(DropReason::BufferFull),
            Ok(_) => None,
        };
        if let Some(reason) = refused {
            batch.body.truncate(before);
            return Err(reason);
        }
        let left_out = written?;
        if batch.body.len().saturating_add(CLOSING.len()) > self.limits.batch_bytes {
            let mut next = Batch::new(kind);
            let room = next.make_room(row_bytes);
            if room.is_ok() {
                next.body.extend_from_slice(batch.body.get(row_at..).unwrap_or_default());
            }
            batch.body.truncate(before);
            room?;
            next.note(next.first_row_at);
            batches.push(next);
        } else {
            batch.note(row_at);
        }
        self.bytes = self.bytes.saturating_add(row_bytes);
        Ok(left_out)
    }

    /// Takes out the next payload, traces first; `None` when the buffer is empty.
    ///
    /// ```
    /// # use opik_edge::batch::Buffer;
    /// assert_eq!(Buffer::default().take(), None);
    /// ```
    pub fn take(&mut self) -> Option<Upload> {
        for (kind, batches) in [(Kind::Trace, &mut self.traces), (Kind::Span, &mut self.spans)] {
            if let Some(batch) = batches.iter_mut().find(|batch| !batch.row_ends.is_empty()) {
                let row_ends = core::mem::take(&mut batch.row_ends);
                let rows = row_ends.len();
                let mut body = core::mem::take(&mut batch.body);
                let row_bytes = body.len().saturating_sub(opening(kind).len()).saturating_sub(rows.saturating_sub(1));
                self.bytes = self.bytes.saturating_sub(row_bytes);
                body.extend_from_slice(CLOSING);
                return Some(Upload::new(kind, body, row_ends));
            }
            batches.clear();
        }
        None
    }
}

/// Bytes of a payload besides its rows and their commas.
fn frame_bytes(kind: Kind) -> usize {
    opening(kind).len().saturating_add(CLOSING.len())
}

/// Names a buffer: a slot, and how often the slot has been given out. Never valid again after its buffer is closed.
///
/// ```
/// use opik_edge::batch::{Buffers, Handle, Limits};
///
/// let mut buffers = Buffers::new();
/// let handle = buffers.open(1_764_000_000_000, Limits::default()).ok_or("a buffer")?;
/// let number = handle.to_number(); // for a caller that has numbers only
/// assert!(buffers.get(Handle::from_number(number), 1_764_000_000_000).is_some());
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle {
    slot: u16,
    generation: u32,
}

impl Handle {
    /// The handle as a number below 2⁴⁸, and never 0.
    ///
    /// ```
    /// # use opik_edge::batch::Handle;
    /// assert_eq!(Handle::from_number(0x1_0007).to_number(), 0x1_0007);
    /// ```
    #[must_use]
    pub fn to_number(self) -> u64 {
        (u64::from(self.generation) << 16) | u64::from(self.slot)
    }

    /// The handle with this number. Every number makes a handle; most of them name no buffer.
    ///
    /// ```
    /// # use opik_edge::batch::{Buffers, Handle};
    /// assert!(Buffers::new().get(Handle::from_number(7), 0).is_none());
    /// ```
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        let slot = u16::try_from(number & 0xffff).unwrap_or_default();
        Self { slot, generation: u32::try_from(number >> 16).unwrap_or_default() }
    }
}

#[derive(Debug)]
struct Slot {
    /// Counts from 1; a slot whose count has run out is not given out again.
    generation: u32,
    touched_ms: u64,
    buffer: Option<Buffer>,
}

/// All buffers that are open.
///
/// ```
/// use opik_edge::batch::{Buffers, Limits};
///
/// let now_ms = 1_764_000_000_000;
/// let mut buffers = Buffers::new();
/// let handle = buffers.open(now_ms, Limits::default()).ok_or("a buffer")?;
/// buffers.close(handle);
/// assert!(buffers.get(handle, now_ms).is_none()); // the handle is stale
/// # Ok::<(), &str>(())
/// ```
#[derive(Default, Debug)]
pub struct Buffers {
    slots: Vec<Slot>,
}

impl Buffers {
    /// No buffers yet.
    ///
    /// ```
    /// # use opik_edge::batch::Buffers;
    /// assert_eq!(Buffers::new().count(), 0);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// Opens a buffer at `now_ms`, and closes those untouched for [`MAX_IDLE_MS`]: an invocation may be killed
    /// without a word. `None` when [`MAX_BUFFERS`] are open.
    ///
    /// ```
    /// # use opik_edge::batch::{Buffers, Limits, MAX_IDLE_MS};
    /// let mut buffers = Buffers::new();
    /// buffers.open(0, Limits::default()).ok_or("a buffer")?;
    /// buffers.open(MAX_IDLE_MS + 1, Limits::default()).ok_or("a buffer")?; // closes the first
    /// assert_eq!(buffers.count(), 1);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn open(&mut self, now_ms: u64, limits: Limits) -> Option<Handle> {
        let mut free = None;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if now_ms > slot.touched_ms.saturating_add(MAX_IDLE_MS) {
                slot.buffer = None;
            }
            if free.is_none() && slot.buffer.is_none() && slot.generation < u32::MAX {
                free = Some(index);
            }
        }
        let index = free.unwrap_or(self.slots.len());
        let number = u16::try_from(index).ok()?;
        if index == self.slots.len() {
            self.slots.push(Slot { generation: 0, touched_ms: now_ms, buffer: None });
        }
        let slot = self.slots.get_mut(index)?;
        slot.generation = slot.generation.saturating_add(1);
        slot.touched_ms = now_ms;
        slot.buffer = Some(Buffer::new(limits));
        Some(Handle { slot: number, generation: slot.generation })
    }

    /// The buffer of `handle`, touched at `now_ms`; `None` when it is closed.
    ///
    /// ```
    /// # use opik_edge::batch::{Buffers, Limits};
    /// let mut buffers = Buffers::new();
    /// let handle = buffers.open(0, Limits::default()).ok_or("a buffer")?;
    /// let buffer = buffers.get(handle, 10).ok_or("the same buffer")?;
    /// assert!(buffer.take().is_none());
    /// # Ok::<(), &str>(())
    /// ```
    pub fn get(&mut self, handle: Handle, now_ms: u64) -> Option<&mut Buffer> {
        let slot = self.slots.get_mut(usize::from(handle.slot))?;
        if slot.generation != handle.generation {
            return None;
        }
        slot.touched_ms = slot.touched_ms.max(now_ms);
        slot.buffer.as_mut()
    }

    /// Closes a buffer and drops its remaining rows. A stale handle does nothing.
    ///
    /// ```
    /// # use opik_edge::batch::{Buffers, Limits};
    /// let mut buffers = Buffers::new();
    /// let handle = buffers.open(0, Limits::default()).ok_or("a buffer")?;
    /// buffers.close(handle);
    /// buffers.close(handle); // nothing
    /// assert_eq!(buffers.count(), 0);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn close(&mut self, handle: Handle) {
        if let Some(slot) = self.slots.get_mut(usize::from(handle.slot))
            && slot.generation == handle.generation
        {
            slot.buffer = None;
        }
    }

    /// Number of open buffers.
    ///
    /// ```
    /// # use opik_edge::batch::{Buffers, Limits};
    /// let mut buffers = Buffers::new();
    /// buffers.open(0, Limits::default()).ok_or("a buffer")?;
    /// assert_eq!(buffers.count(), 1);
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.buffer.is_some()).count()
    }
}
