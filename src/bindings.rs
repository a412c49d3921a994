//! The boundary: the only file that knows JavaScript exists. js/platform/core.ts is its one caller.
//!
//! Only numbers cross. Every text and every byte goes through one area of memory, the scratch. JavaScript writes there
//! and passes the length; in the other direction the core returns the length. JavaScript reads payloads in place.
#![expect(
    clippy::disallowed_types,
    reason = "JavaScript has only f64: times in ms and handles, both whole and below 2^53"
)]
#![allow(clippy::too_many_arguments, reason = "only numbers cross the boundary, no structs")]
#![allow(clippy::must_use_candidate, reason = "they are called from JavaScript")]
#![allow(missing_docs, reason = "each function is documented where it is called, in js/platform/core.ts")]

use alloc::vec::Vec;

use spin::Mutex;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::batch::{Buffer, Buffers, DropReason, Handle, Limits};
use crate::context::Context;
use crate::cut::Cutter;
use crate::headers::{Incoming, NAMES, Warning, next_part};
use crate::id::{ID_CHARS, Id, IdGenerator};
use crate::lines::Lines;
use crate::span::{Fields, Kind, LeftOut, Period};
use crate::upload::{self, Attempt, Upload, Verdict};
use crate::w3c;

/// Bytes of the scratch. A longer text crosses in several pieces.
const SCRATCH_BYTES: usize = 64 * 1024;
/// A staging area above this is given back after its row.
const MAX_IDLE_STAGING_BYTES: usize = 256 * 1024;

struct State {
    ids: IdGenerator,
    buffers: Buffers,
    /// Allocated once, at the first `scratchPointer`: JavaScript keeps its address.
    scratch: Vec<u8>,
    /// The text of a row that is longer than the scratch.
    cutter: Cutter,
    /// The entries that the row appended last goes without.
    left_out: LeftOut,
    /// `true` once the cutter has taken the first pieces of a text.
    is_staged: bool,
    /// There was no memory for the text that is being staged.
    is_staging_refused: bool,
    /// The upload that JavaScript is fetching.
    taken: Option<Upload>,
    /// The verdict that JavaScript is asking about.
    verdict: Verdict,
}

/// WebAssembly without threads has one caller at a time; safe Rust requires the lock for a static.
static STATE: Mutex<State> = Mutex::new(State {
    ids: IdGenerator::new(),
    buffers: Buffers::new(),
    scratch: Vec::new(),
    cutter: Cutter::new(),
    left_out: LeftOut { count: 0, fields: 0 },
    is_staged: false,
    is_staging_refused: false,
    taken: None,
    verdict: Verdict::Sent,
});

/// Runs `f` on the state. `None` if the core is entered from within itself, which js/platform/core.ts never does.
fn with<T>(f: impl FnOnce(&mut State) -> T) -> Option<T> {
    STATE.try_lock().map(|mut state| f(&mut state))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates; NaN is 0")]
fn to_u64(number: f64) -> u64 {
    number as u64
}

#[expect(clippy::cast_precision_loss, reason = "handles are below 2^48, times and waits too")]
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[wasm_bindgen]
pub fn refill(written: usize) {
    with(|state| state.ids.refill(state.scratch.get(..written).unwrap_or_default()));
}

#[wasm_bindgen]
pub fn mint(now_ms: f64) -> usize {
    with(|state| Some(state.ids.mint(to_u64(now_ms))?).map(|id| state.lines().id(Some(id)).end()))
        .flatten()
        .unwrap_or(0)
}

#[wasm_bindgen]
pub fn context(written: usize, now_ms: f64) -> usize {
    with(|state| {
        let incoming = Incoming { values: values(state.scratch.get(..written)?) };
        let (context, warning) = Context::open(&incoming, to_u64(now_ms), &mut state.ids)?;
        let origin = if context.is_joined() { b"joined" as &[u8] } else { b"begun" };
        let first_span = state.ids.mint(to_u64(now_ms))?;
        let mut lines = state.lines();
        lines.id(Some(context.trace_id())).id(context.parent_id()).id(Some(first_span));
        let link = [context.link() as u8 | b'0'];
        Some(lines.line(origin).line(warning.map_or("", Warning::code).as_bytes()).line(&link).end())
    })
    .flatten()
    .unwrap_or(0)
}

/// Its answer stands behind the question in the scratch.
#[wasm_bindgen(js_name = traceContext)]
pub fn trace_context(written: usize) -> usize {
    with(|state| {
        let (given, free) = state.scratch.split_at_mut_checked(written)?;
        let mut lines = Lines::new(free);
        w3c::write(values(given), &mut lines);
        Some(lines.end())
    })
    .flatten()
    .unwrap_or(0)
}

/// `share` is in 2⁻⁵³.
#[wasm_bindgen(js_name = isSampled)]
pub fn is_sampled(written: usize, share: f64) -> bool {
    with(|state| {
        let id = Id::parse_ascii(state.scratch.get(..written).unwrap_or_default());
        id.is_ok_and(|id| id.is_sampled(to_u64(share)))
    })
    .unwrap_or(false)
}

#[wasm_bindgen(js_name = openBuffer)]
pub fn open_buffer(now_ms: f64, buffer_bytes: usize, batch_bytes: usize, row_bytes: usize, field_bytes: usize) -> f64 {
    let limits = Limits { buffer_bytes, batch_bytes, field_bytes, row_bytes };
    let handle = with(|state| state.buffers.open(to_u64(now_ms), limits)).flatten();
    handle.map_or(0.0, |handle| to_f64(handle.to_number()))
}

#[wasm_bindgen(js_name = closeBuffer)]
pub fn close_buffer(handle: f64) {
    with(|state| state.buffers.close(Handle::from_number(to_u64(handle))));
}

#[wasm_bindgen(js_name = openBuffers)]
pub fn open_buffers() -> u32 {
    with(|state| u32::try_from(state.buffers.count()).unwrap_or(u32::MAX)).unwrap_or(0)
}

#[wasm_bindgen(js_name = scratchPointer)]
pub fn scratch_pointer() -> usize {
    with(|state| {
        state.scratch.resize(SCRATCH_BYTES, 0);
        state.scratch.as_ptr().addr()
    })
    .unwrap_or(0)
}

#[wasm_bindgen(js_name = scratchLength)]
pub fn scratch_length() -> usize {
    SCRATCH_BYTES
}

/// `room` is the number of bytes that the row's trace can still take.
#[wasm_bindgen]
pub fn push(handle: f64, room: usize, written: usize) {
    with(|state| state.stage(Handle::from_number(to_u64(handle)), room, written));
}

/// `end_ms` is negative for an open operation; `output_at` is as for [`Fields::from_text`]. Returns the negative number
/// of a [`DropReason`]; otherwise the sum of 1 when an entry was left out, 2 when a text was cut, and four times the
/// number of text bytes that were kept.
#[wasm_bindgen]
pub fn append(
    handle: f64,
    kind: u8,
    start_ms: f64,
    end_ms: f64,
    updated_ms: f64,
    unfinished: bool,
    room: usize,
    output_at: usize,
    written: usize,
) -> i32 {
    let kind = if kind == 0 { Kind::Span } else { Kind::Trace };
    let end_ms = (end_ms >= 0.0).then(|| to_u64(end_ms));
    let period = Period { start_ms: to_u64(start_ms), end_ms, updated_ms: to_u64(updated_ms), unfinished };
    let handle = Handle::from_number(to_u64(handle));
    match with(|state| state.append(handle, kind, period, room, output_at, written))
        .unwrap_or(Err(DropReason::StaleBuffer))
    {
        Ok(Appended { left_out, cuts, bytes }) => {
            i32::from(left_out.count > 0) | i32::from(cuts > 0) << 1 | i32::try_from(bytes << 2).unwrap_or_default()
        }
        Err(reason) => i32::from(reason.number()).wrapping_neg(),
    }
}

/// The fields of which the row appended last goes without an entry: a bit for each position.
#[wasm_bindgen(js_name = leftOut)]
pub fn left_out() -> u32 {
    with(|state| state.left_out.fields).unwrap_or(0)
}

/// The first cut of the row that was appended last: the position of its field, plus 32 times the limit that it exceeded.
/// The limits are 0 for a field, 1 for the row or its trace, 2 for base64.
#[wasm_bindgen(js_name = firstCut)]
pub fn first_cut() -> usize {
    with(|state| state.cutter.first_cut()).flatten().map_or(0, |(index, beyond)| index | (beyond as usize) << 5)
}

#[wasm_bindgen(js_name = dropReason)]
pub fn drop_reason(code: i32) -> usize {
    let reason = DropReason::ALL.iter().find(|reason| i32::from(reason.number()).wrapping_neg() == code);
    with(|state| state.lines().line(reason.map_or("", |reason| reason.code()).as_bytes()).end()).unwrap_or(0)
}

#[wasm_bindgen]
pub fn take(handle: f64) -> u32 {
    let handle = Handle::from_number(to_u64(handle));
    with(|state| {
        state.taken = state.buffers.get(handle, 0).and_then(Buffer::take);
        state.taken.as_ref().map_or(0, Upload::rows)
    })
    .unwrap_or(0)
}

/// 0 for spans, 1 for traces, as in [`append`].
#[wasm_bindgen(js_name = takenKind)]
pub fn taken_kind() -> u8 {
    with(|state| u8::from(state.taken.as_ref().is_some_and(|upload| upload.kind() == Kind::Trace))).unwrap_or(0)
}

#[wasm_bindgen(js_name = takenPointer)]
pub fn taken_pointer() -> usize {
    with(|state| state.taken.as_ref().map_or(0, |upload| upload.body().as_ptr().addr())).unwrap_or(0)
}

#[wasm_bindgen(js_name = takenLength)]
pub fn taken_length() -> usize {
    with(|state| state.taken.as_ref().map_or(0, |upload| upload.body().len())).unwrap_or(0)
}

#[wasm_bindgen(js_name = takenRowEnds)]
pub fn taken_row_ends() -> usize {
    with(|state| state.taken.as_ref().map_or(0, |upload| upload.row_ends().as_ptr().addr())).unwrap_or(0)
}

#[wasm_bindgen(js_name = requestHeaders)]
pub fn request_headers(is_compressed: bool, written: usize) -> usize {
    with(|state| {
        let (given, free) = state.scratch.split_at_mut_checked(written)?;
        let [api_key, workspace, ..] = values(given);
        let mut lines = Lines::new(free);
        for (name, value) in upload::request_headers(api_key, workspace, is_compressed) {
            lines.line(name.as_bytes()).line(value);
        }
        Some(lines.end())
    })
    .flatten()
    .unwrap_or(0)
}

/// The scratch has the response's headers: a name, its value, the next name, … line by line.
#[wasm_bindgen]
pub fn verdict(
    status: u16,
    number: u32,
    rows: u32,
    is_compressed: bool,
    now_ms: f64,
    deadline_ms: f64,
    random: u32,
    written: usize,
) -> u8 {
    let attempt =
        Attempt { number, rows, is_compressed, now_ms: to_u64(now_ms), deadline_ms: to_u64(deadline_ms), random };
    with(|state| {
        let text = state.scratch.get(..written).unwrap_or_default();
        let mut lines = text.split(|&byte| byte == b'\n');
        let headers = core::iter::from_fn(move || Some((lines.next()?, lines.next()?)));
        state.verdict = upload::verdict(status, headers, &attempt);
        match state.verdict {
            Verdict::Sent => 0,
            Verdict::Retry { .. } => 1,
            Verdict::Plain => 2,
            Verdict::Split(_) => 3,
            Verdict::Drop(_) => 4,
            Verdict::Defer(_) => 5,
            Verdict::Stop(_) => 6,
        }
    })
    .unwrap_or(4)
}

#[wasm_bindgen(js_name = verdictReason)]
pub fn verdict_reason() -> usize {
    with(|state| {
        let code = match state.verdict {
            Verdict::Sent | Verdict::Plain => "",
            Verdict::Retry { reason, .. }
            | Verdict::Split(reason)
            | Verdict::Drop(reason)
            | Verdict::Defer(reason)
            | Verdict::Stop(reason) => reason.code(),
        };
        state.lines().line(code.as_bytes()).end()
    })
    .unwrap_or(0)
}

#[wasm_bindgen(js_name = verdictWait)]
pub fn verdict_wait() -> f64 {
    with(|state| if let Verdict::Retry { after_ms, .. } = state.verdict { to_f64(after_ms) } else { 0.0 })
        .unwrap_or(0.0)
}

/// The scratch has the refusal's body. Returns 0 if the request was refused for another reason.
#[wasm_bindgen(js_name = refusedWindow)]
pub fn refused_window(status: u16, preset_ms: f64, written: usize) -> f64 {
    with(|state| {
        let message = state.scratch.get(..written).unwrap_or_default();
        upload::refused_window_ms(status, message, to_u64(preset_ms))
    })
    .flatten()
    .map_or(0.0, to_f64)
}

#[wasm_bindgen]
pub fn pause(failures: u32, was_stopped: bool, random: u32) -> f64 {
    to_f64(upload::pause_ms(failures, was_stopped, random))
}

/// The lines of a text, of which missing ones are empty.
#[inline(never)]
fn values(text: &[u8]) -> [&[u8]; NAMES.len()] {
    let mut lines = Some(text);
    core::array::from_fn(|_| next_part(&mut lines, b'\n').unwrap_or_default())
}

impl Lines<'_> {
    fn line(&mut self, text: &[u8]) -> &mut Self {
        self.put(text).put(b"\n")
    }

    fn id(&mut self, id: Option<Id>) -> &mut Self {
        let mut buffer = [0; ID_CHARS];
        self.line(id.map_or(b"", |id| id.encode(&mut buffer)))
    }

    /// Number of bytes to read.
    fn end(&self) -> usize {
        self.at
    }
}

/// A kept row: entries left out, texts cut, and bytes of the given text that remain.
struct Appended {
    left_out: LeftOut,
    cuts: u32,
    bytes: usize,
}

impl State {
    fn lines(&mut self) -> Lines<'_> {
        Lines::new(&mut self.scratch)
    }

    /// Hands the first `written` bytes of the scratch to the cutter.
    fn stage(&mut self, handle: Handle, room: usize, written: usize) {
        if !self.is_staged {
            let limits = self.buffers.get(handle, 0).map(|buffer| buffer.limits()).unwrap_or_default();
            self.cutter.begin(limits.field_bytes, limits.row_bytes.min(room));
            self.is_staged = true;
        }
        let piece = self.scratch.get(..written).unwrap_or_default();
        self.is_staging_refused = self.is_staging_refused || self.cutter.push(piece).is_err();
    }

    fn append(
        &mut self,
        handle: Handle,
        kind: Kind,
        period: Period,
        room: usize,
        output_at: usize,
        written: usize,
    ) -> Result<Appended, DropReason> {
        let touched_ms = period.updated_ms;
        let limits = self.buffers.get(handle, touched_ms).map(|buffer| buffer.limits()).unwrap_or_default();
        if self.is_staged || written > limits.field_bytes.min(room) {
            self.stage(handle, room, written);
        }
        let is_staged = core::mem::take(&mut self.is_staged);
        let is_refused = core::mem::take(&mut self.is_staging_refused);
        let text = match (is_refused, is_staged) {
            (true, _) => Err(DropReason::BufferFull),
            (_, true) => self.cutter.finish().map_err(|_| DropReason::BufferFull),
            (_, false) => Ok((self.scratch.get(..written).unwrap_or_default(), 0)),
        };
        let result = text.and_then(|(text, cuts)| {
            let buffer = self.buffers.get(handle, touched_ms).ok_or(DropReason::StaleBuffer)?;
            // A cut moves everything behind it.
            let fields = Fields::from_text(text, if cuts > 0 { 0 } else { output_at })?;
            let left_out = buffer.append(kind, &fields, period)?;
            self.left_out = left_out;
            Ok(Appended { left_out, cuts, bytes: text.len() })
        });
        self.cutter.shrink(MAX_IDLE_STAGING_BYTES);
        result
    }
}
