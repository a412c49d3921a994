//! The boundary: the only file that knows JavaScript exists. js/core.ts is its one caller.
//!
//! Only numbers cross. Every text and every byte goes through one area of memory, the scratch: JavaScript writes
//! there and says how much, or is told how much there is to read. Payloads are read where they lie.
#![expect(
    clippy::disallowed_types,
    reason = "JavaScript has only f64: times in ms and handles, both whole and below 2^53"
)]
#![allow(clippy::must_use_candidate, reason = "they are called from JavaScript")]
#![allow(missing_docs, reason = "each function is documented where it is called, in js/core.ts")]

use alloc::vec::Vec;

use spin::Mutex;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::batch::{Buffer, Buffers, DropReason, Handle, MAX_BATCH_BYTES};
use crate::context::Context;
use crate::headers::{Incoming, Warning};
use crate::id::{ID_CHARS, Id, IdGenerator};
use crate::span::{Fields, Kind, Period};
use crate::upload::{self, Upload, Verdict};

/// Bytes of the scratch. A longer text crosses in several pieces.
const SCRATCH_BYTES: usize = 64 * 1024;
/// More than a row may have: a text beyond this is refused without being kept.
const MAX_STAGED_BYTES: usize = MAX_BATCH_BYTES;
/// A staging area above this is given back after its row.
const MAX_IDLE_STAGING_BYTES: usize = 256 * 1024;

struct State {
    ids: IdGenerator,
    buffers: Buffers,
    /// Allocated once, at the first `scratchPointer`: JavaScript keeps its address.
    scratch: Vec<u8>,
    /// The pieces of a text that is longer than the scratch.
    staging: Vec<u8>,
    /// Why the text that is being staged will not be kept.
    staging_refused: Option<DropReason>,
    /// The upload that JavaScript is fetching.
    taken: Option<Upload>,
}

/// WebAssembly without threads has one caller at a time; the lock is what safe Rust asks of a static.
static STATE: Mutex<State> = Mutex::new(State {
    ids: IdGenerator::new(),
    buffers: Buffers::new(),
    scratch: Vec::new(),
    staging: Vec::new(),
    staging_refused: None,
    taken: None,
});

/// Runs `f` on the state. `None` if the core is entered from within itself, which js/core.ts never does.
fn with<T>(f: impl FnOnce(&mut State) -> T) -> Option<T> {
    STATE.try_lock().map(|mut state| f(&mut state))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates; NaN is 0")]
fn to_u64(number: f64) -> u64 {
    number as u64
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
        let mut values = state.scratch.get(..written)?.split(|&byte| byte == b'\n');
        let mut next = || values.next().unwrap_or_default();
        let incoming = Incoming { trace: next(), parent: next(), trace_hyphen: next(), parent_hyphen: next() };
        let (context, warning) = Context::open(&incoming, to_u64(now_ms), &mut state.ids)?;
        let origin = if context.is_joined() { "joined" } else { "begun" };
        let lines = state.lines().id(Some(context.trace_id())).id(context.parent_id());
        Some(lines.line(origin).line(warning.map_or("", Warning::code)).end())
    })
    .flatten()
    .unwrap_or(0)
}

#[wasm_bindgen(js_name = openBuffer)]
pub fn open_buffer(now_ms: f64) -> f64 {
    let handle = with(|state| state.buffers.open(to_u64(now_ms))).flatten();
    #[expect(clippy::cast_precision_loss, reason = "a handle is below 2^48")]
    handle.map_or(0.0, |handle| handle.to_number() as f64)
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

#[wasm_bindgen]
pub fn push(written: usize) {
    with(|state| state.stage(written));
}

#[wasm_bindgen]
pub fn append(handle: f64, kind: u8, start_ms: f64, end_ms: f64, unfinished: bool, written: usize) -> i32 {
    let kind = if kind == 0 { Kind::Span } else { Kind::Trace };
    let period = Period { start_ms: to_u64(start_ms), end_ms: to_u64(end_ms), unfinished };
    let handle = Handle::from_number(to_u64(handle));
    match with(|state| state.append(handle, kind, period, written)).unwrap_or(Err(DropReason::StaleBuffer)) {
        Ok(left_out) => i32::try_from(left_out).unwrap_or(i32::MAX),
        Err(reason) => i32::from(reason.number()).wrapping_neg(),
    }
}

#[wasm_bindgen(js_name = dropReason)]
pub fn drop_reason(code: i32) -> usize {
    let reason = DropReason::ALL.iter().find(|reason| i32::from(reason.number()).wrapping_neg() == code);
    with(|state| state.lines().line(reason.map_or("", |reason| reason.code())).end()).unwrap_or(0)
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

#[wasm_bindgen(js_name = takenPath)]
pub fn taken_path() -> usize {
    with(|state| {
        let path = state.taken.as_ref().map_or("", Upload::path);
        state.lines().line(path).end()
    })
    .unwrap_or(0)
}

#[wasm_bindgen(js_name = takenPointer)]
pub fn taken_pointer() -> usize {
    with(|state| state.taken.as_ref().map_or(0, |upload| upload.body().as_ptr().addr())).unwrap_or(0)
}

#[wasm_bindgen(js_name = takenLength)]
pub fn taken_length() -> usize {
    with(|state| state.taken.as_ref().map_or(0, |upload| upload.body().len())).unwrap_or(0)
}

#[wasm_bindgen(js_name = requestHeaders)]
pub fn request_headers(written: usize) -> usize {
    with(|state| {
        let given = state.scratch.get(..written)?.to_vec();
        let mut values = given.split(|&byte| byte == b'\n');
        let (api_key, workspace) = (values.next().unwrap_or_default(), values.next().unwrap_or_default());
        let lines = upload::request_headers(api_key, workspace)
            .fold(state.lines(), |lines, (name, value)| lines.line(name).bytes(value));
        Some(lines.end())
    })
    .flatten()
    .unwrap_or(0)
}

#[wasm_bindgen]
pub fn verdict(status: u16) -> usize {
    let reason = match upload::verdict(status) {
        Verdict::Sent => return 0,
        Verdict::Drop(reason) => reason.code(),
    };
    with(|state| state.lines().line(reason).end()).unwrap_or(0)
}

/// Writes lines into the scratch, for JavaScript to read.
struct Lines<'a> {
    scratch: &'a mut [u8],
    at: usize,
}

impl Lines<'_> {
    fn line(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn bytes(mut self, text: &[u8]) -> Self {
        for &byte in text.iter().chain(b"\n") {
            if let Some(slot) = self.scratch.get_mut(self.at) {
                *slot = byte;
                self.at = self.at.saturating_add(1);
            }
        }
        self
    }

    fn id(self, id: Option<Id>) -> Self {
        let mut buffer = [0; ID_CHARS];
        self.line(id.map_or("", |id| id.encode(&mut buffer)))
    }

    /// How many bytes there are to read.
    fn end(self) -> usize {
        self.at
    }
}

impl State {
    fn lines(&mut self) -> Lines<'_> {
        Lines { scratch: &mut self.scratch, at: 0 }
    }

    /// Moves the first `written` bytes of the scratch behind the staged ones.
    fn stage(&mut self, written: usize) {
        if self.staging_refused.is_some() {
        } else if self.staging.len().saturating_add(written) > MAX_STAGED_BYTES {
            self.staging_refused = Some(DropReason::RowTooLarge);
        } else if self.staging.try_reserve(written).is_err() {
            self.staging_refused = Some(DropReason::BufferFull);
        } else {
            self.staging.extend_from_slice(self.scratch.get(..written).unwrap_or_default());
        }
    }

    fn append(&mut self, handle: Handle, kind: Kind, period: Period, written: usize) -> Result<u32, DropReason> {
        let is_staged = !self.staging.is_empty() || self.staging_refused.is_some();
        if is_staged {
            self.stage(written);
        }
        let text = if is_staged { &self.staging } else { self.scratch.get(..written).unwrap_or_default() };
        let result = if let Some(reason) = self.staging_refused.take() {
            Err(reason)
        } else {
            let buffer = self.buffers.get(handle, period.end_ms).ok_or(DropReason::StaleBuffer);
            buffer.and_then(|buffer| buffer.append(kind, &Fields::from_text(text)?, period))
        };
        self.staging.clear();
        if self.staging.capacity() > MAX_IDLE_STAGING_BYTES {
            self.staging = Vec::new();
        }
        result
    }
}
