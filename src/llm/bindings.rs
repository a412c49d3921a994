//! The boundary of the separate module for model calls: a Worker that makes no such calls does not load it.
//!
//! Only numbers cross. Every text goes through one area of memory, the scratch, in which JavaScript writes; what it
//! reads is in the output, whose place it asks for anew each time. Fields of a text are separated by U+001F.
#![allow(clippy::must_use_candidate, reason = "they are called from JavaScript")]
#![allow(missing_docs, reason = "each function is documented where it is called, in js/llm/")]

use alloc::vec::Vec;

use spin::Mutex;
use wasm_bindgen::prelude::wasm_bindgen;

use super::{Budget, Call, Described, Format, Request, Target, fields_of_attributes, otlp_of_rows};
use crate::span::SEPARATOR;

/// Bytes of the scratch. A longer text is staged in several pieces.
const SCRATCH_BYTES: usize = 64 * 1024;
/// A staging area or an output above this is given back after its use.
const MAX_IDLE_BYTES: usize = 64 * 1024;

struct State {
    scratch: Vec<u8>,
    staged: Vec<u8>,
    output: Vec<u8>,
    budget: Budget,
    slots: Vec<Slot>,
}

#[derive(Default)]
struct Slot {
    /// Counts the calls in this slot, so that the handle of an ended call is stale.
    generation: u16,
    call: Option<Call>,
}

/// WebAssembly without threads has one caller at a time; the lock is what safe Rust asks of a static.
static STATE: Mutex<State> = Mutex::new(State {
    scratch: Vec::new(),
    staged: Vec::new(),
    output: Vec::new(),
    budget: Budget::new(),
    slots: Vec::new(),
});

fn with<T>(f: impl FnOnce(&mut State) -> T) -> Option<T> {
    STATE.try_lock().map(|mut state| f(&mut state))
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

#[wasm_bindgen(js_name = outputPointer)]
pub fn output_pointer() -> usize {
    with(|state| state.output.as_ptr().addr()).unwrap_or(0)
}

#[wasm_bindgen(js_name = outputLength)]
pub fn output_length() -> usize {
    with(|state| state.output.len()).unwrap_or(0)
}

/// Puts the first `written` bytes of the scratch behind those that are staged already.
#[wasm_bindgen]
pub fn stage(written: usize) {
    with(|state| {
        let piece = state.scratch.get(..written).unwrap_or_default();
        if state.staged.try_reserve(piece.len()).is_ok() {
            state.staged.extend_from_slice(piece);
        }
    });
}

/// The staged text holds the URL, or `binding:` and the model of Workers AI; then the hosts that the user named and
/// their providers, a line each; then the body, if it is known. Returns a handle, or 0 if this is not a call of a
/// model. The output holds `1` or `0` for a known host, `1` or `0` for a universal request, and the input.
#[wasm_bindgen]
pub fn open(field_bytes: usize) -> u32 {
    with(|state| {
        let request = state.request(0)?;
        let call = Call::open(&mut state.budget, &request, field_bytes);
        state.write_request(&request);
        let free = state.slots.iter().position(|slot| slot.call.is_none());
        let at = free.unwrap_or_else(|| {
            state.slots.push(Slot::default());
            state.slots.len().saturating_sub(1)
        });
        let slot = state.slots.get_mut(at)?;
        slot.generation = slot.generation.wrapping_add(1).max(1);
        slot.call = Some(call);
        Some(u32::from(slot.generation) << 16 | u32::from(u16::try_from(at).ok()?))
    })
    .flatten()
    .unwrap_or(0)
}

/// Reads the request again: with its body, or as the entry of a universal request that has answered. Takes the same
/// staged text as [`open`], and writes the same output. Returns `false` if the body does not belong to a call of a
/// model.
#[wasm_bindgen]
pub fn retarget(handle: u32, step: usize) -> bool {
    with(|state| {
        let request = state.request(step)?;
        state.call(handle)?.retarget(&request);
        state.write_request(&request);
        Some(())
    })
    .flatten()
    .is_some()
}

/// The scratch holds the answer's headers, line by line: a name, its value, the next name, … The useful names are
/// `content-type`, those that begin with `cf-aig-`, and ids of requests.
#[wasm_bindgen]
pub fn answer(handle: u32, status: u16, written: usize) {
    with(|state| {
        let State { scratch, slots, .. } = state;
        let call = call_of(slots, handle)?;
        call.status = status;
        let mut lines = Lines(scratch.get(..written)?);
        while let Some((name, value)) = lines.next().zip(lines.next()) {
            call.header(name, value);
        }
        Some(())
    });
}

/// The scratch has the next bytes of the answer. Gives the sum of 1 when it is complete, 2 when the call has failed, and
/// 4 when the first token has come.
#[wasm_bindgen]
pub fn push(handle: u32, written: usize) -> u8 {
    with(|state| {
        let State { scratch, slots, budget, .. } = state;
        let call = call_of(slots, handle)?;
        call.push(budget, scratch.get(..written).unwrap_or_default());
        Some(u8::from(call.is_complete()) | u8::from(call.has_failed()) << 1 | u8::from(call.has_first_token()) << 2)
    })
    .flatten()
    .unwrap_or(0)
}

/// Ends a call. The output is its record: name, model, provider, output, metadata, usage, cost, class and message of the
/// failure. Gives its length; 0 where the handle is stale.
#[wasm_bindgen]
pub fn finish(handle: u32) -> usize {
    with(|state| {
        let call = state.take(handle)?;
        let record = call.finish(&mut state.budget);
        state.write(&[
            &record.name,
            &record.model,
            &record.provider,
            &record.output,
            &record.metadata,
            &record.usage,
            &record.total_estimated_cost,
            &record.error_type,
            &record.error_message,
        ]);
        Some(state.output.len())
    })
    .flatten()
    .unwrap_or(0)
}

/// Ends a call without a record.
#[wasm_bindgen]
pub fn abandon(handle: u32) {
    with(|state| {
        state.take(handle)?.abandon(&mut state.budget);
        Some(())
    });
}

/// The staged text describes a call, as [`Described::read`] takes it. The output is its provider, input, output and usage.
#[wasm_bindgen]
pub fn describe() {
    with(|state| {
        let described = Described::read(&core::mem::take(&mut state.staged));
        state.write(&[&described.provider, &described.input, &described.output, &described.usage]);
    });
}

/// The staged text has the attributes of a span, as [`fields_of_attributes`] takes them. The output is the fields of its row.
#[wasm_bindgen(js_name = readAttributes)]
pub fn read_attributes() {
    with(|state| {
        let fields = fields_of_attributes(&core::mem::take(&mut state.staged));
        state.write(&[&fields]);
    });
}

/// The staged bytes are a body of rows, as [`otlp_of_rows`] takes it. The output is the request of OTLP.
#[wasm_bindgen(js_name = writeOtlp)]
pub fn write_otlp() {
    with(|state| {
        state.output = otlp_of_rows(&core::mem::take(&mut state.staged));
    });
}

#[wasm_bindgen(js_name = openCalls)]
pub fn open_calls() -> usize {
    with(|state| state.slots.iter().filter(|slot| slot.call.is_some()).count()).unwrap_or(0)
}

/// The lines of a text.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().position(|&byte| byte == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..).unwrap_or_default();
        Some(line)
    }
}

fn call_of(slots: &mut [Slot], handle: u32) -> Option<&mut Call> {
    let [high, low] = [handle >> 16, handle & 0xffff];
    let slot = slots.get_mut(low as usize)?;
    if u32::from(slot.generation) == high { slot.call.as_mut() } else { None }
}

impl State {
    fn call(&mut self, handle: u32) -> Option<&mut Call> {
        call_of(&mut self.slots, handle)
    }

    fn take(&mut self, handle: u32) -> Option<Call> {
        self.call(handle)?;
        self.slots.get_mut((handle & 0xffff) as usize)?.call.take()
    }

    /// The request in the staged text, which it uses up.
    #[inline(never)]
    fn request(&mut self, step: usize) -> Option<Request> {
        let staged = core::mem::take(&mut self.staged);
        let mut fields = staged.splitn(3, |&byte| byte == SEPARATOR);
        let (url, named, body) = (fields.next()?, fields.next()?, fields.next()?);
        let target = match url.strip_prefix(b"binding:") {
            Some(model) => Target::of_model(model),
            None => Target::of_url(url, &mut |host| {
                let mut lines = Lines(named);
                core::iter::from_fn(|| lines.next().zip(lines.next()))
                    .find(|(name, _)| *name == host)
                    .map(|(_, provider)| provider)
            })?,
        };
        if body.is_empty() { Some(Request::without_body(target)) } else { Request::read(&target, body, step) }
    }

    fn write_request(&mut self, request: &Request) {
        let flag = |is: bool| if is { b"1".as_slice() } else { b"0" };
        let target = &request.target;
        self.write(&[flag(target.is_known), flag(target.format == Format::Universal), &request.input]);
    }

    fn write(&mut self, fields: &[&[u8]]) {
        if self.output.capacity() > MAX_IDLE_BYTES {
            self.output = Vec::new();
        }
        self.output.clear();
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                self.output.push(SEPARATOR);
            }
            self.output.extend_from_slice(field);
        }
    }
}
