//! Bytes of one JSON text → the same text with long strings cut and long arrays of numbers counted. So an answer of any
//! length is held in bounded memory, and its usage at the end is still read. Next: [`super::framing`].

use alloc::vec::Vec;

use crate::cut::whole_characters;
use crate::json::{find_either, write_number};

use super::tape::count_commas;
use super::value::{Write, write_mark};

/// Bytes kept of a string once the text is too long: enough for any name, id and reason.
const SHORT_BYTES: usize = 128;
/// Bytes that short strings can take beyond the limit.
const SHORT_TEXT_BYTES: usize = 512 * 1024;
/// Capacity kept between two texts, in bytes.
const MAX_IDLE_BYTES: usize = 16 * 1024;
/// The longest escape, which is a pair.
const MAX_ESCAPES_BYTES: usize = 12;
/// Numbers kept of an array. Every embedding is longer.
const MAX_NUMBERS: u32 = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Outside,
    String,
    /// In an escape sequence; the number is how many of its bytes are missing, and 0 directly behind the backslash.
    Escape(u8),
}

/// Holds one text.
#[derive(Debug)]
pub(super) struct Sieve {
    out: Vec<u8>,
    limit: usize,
    at: At,
    depth: u32,
    string_at: usize,
    string_read: usize,
    escape: [u8; 6],
    escape_length: usize,
    /// The innermost array, while it holds only numbers: the position of its first number, and how many commas it has.
    numbers: Option<(usize, u32)>,
    /// The held bytes are unchanged so far.
    is_raw: bool,
    /// More came than can be held.
    is_full: bool,
}

impl Sieve {
    /// A sieve that keeps about `limit` bytes, and short strings beyond that.
    pub fn new(limit: usize) -> Self {
        Self {
            out: Vec::new(),
            limit,
            at: At::Outside,
            depth: 0,
            string_at: 0,
            string_read: 0,
            escape: [0; 6],
            escape_length: 0,
            numbers: None,
            is_raw: true,
            is_full: false,
        }
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.out.capacity()
    }

    /// Keeps no long string from now on.
    pub fn restrict(&mut self, limit: usize) {
        self.limit = self.limit.min(limit);
    }

    /// The text; `None` if too much of it had to be kept.
    pub fn text(&mut self) -> Option<&[u8]> {
        if self.is_raw && count_commas(&self.out) >= MAX_NUMBERS as usize {
            self.settle();
        }
        (!self.is_full).then_some(&self.out)
    }

    /// Whether a text goes through as it is: one of which nothing has come yet, and that has no long string or array.
    pub fn leaves(&self, text: &[u8]) -> bool {
        self.out.is_empty() && self.has_room(text) && count_commas(text) < MAX_NUMBERS as usize
    }

    /// `true` if the held text stays short with these bytes behind it.
    fn has_room(&self, bytes: &[u8]) -> bool {
        let length = self.out.len().wrapping_add(bytes.len()).wrapping_add(MAX_ESCAPES_BYTES);
        self.is_raw && length <= self.limit
    }

    /// Takes the next bytes of a text whose end is known otherwise. As long as it is short nothing needs to be cut.
    pub fn hold(&mut self, bytes: &[u8]) {
        if self.has_room(bytes) {
            self.out.put(bytes);
            return;
        }
        self.settle();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, _) = self.push(rest);
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Cuts the bytes that were held unchanged.
    fn settle(&mut self) {
        if core::mem::take(&mut self.is_raw) {
            let raw = core::mem::take(&mut self.out);
            self.hold(&raw);
        }
    }

    /// Begins a new text.
    pub fn clear(&mut self) {
        if self.out.capacity() > MAX_IDLE_BYTES {
            self.out = Vec::new();
        }
        self.out.clear();
        if !self.is_raw {
            let out = core::mem::take(&mut self.out);
            *self = Self { out, ..Self::new(self.limit) };
        }
    }

    /// Takes bytes up to the end of a value at depth 0, or all. Gives how many, and whether that end was reached.
    pub fn push(&mut self, bytes: &[u8]) -> (usize, bool) {
        self.is_raw = false;
        let mut taken = 0_usize;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let (step, is_end) = match self.at {
                At::Outside => self.outside(rest),
                At::String => self.string(rest),
                At::Escape(left) => (self.escape(rest, left), false),
            };
            taken = taken.wrapping_add(step);
            if is_end {
                return (taken, true);
            }
        }
        (taken, false)
    }

    fn outside(&mut self, rest: &[u8]) -> (usize, bool) {
        // Most bytes between strings have no meaning here.
        let run =
            rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',')).unwrap_or(rest.len());
        self.keep_outside(rest.get(..run).unwrap_or_default());
        let Some(&byte) = rest.get(run) else { return (run, false) };
        let taken = run.wrapping_add(1);
        let mut is_end = false;
        match byte {
            b'"' => {
                self.numbers = None;
                self.keep_outside(&[byte]);
                self.at = At::String;
                self.string_at = self.out.len();
                self.string_read = 0;
                return (taken, false);
            }
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                self.keep_outside(&[byte]);
                self.numbers = (byte == b'[').then_some((self.out.len(), 0));
                return (taken, false);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                is_end = self.depth == 0;
                if let Some((from, commas)) = self.numbers.take()
                    && commas >= MAX_NUMBERS
                {
                    self.out.truncate(from);
                    self.keep(b"\"[opik_truncated: ");
                    if !self.is_full {
                        write_number(&mut self.out, u64::from(commas).wrapping_add(1));
                    }
                    self.keep(b" numbers]\"");
                }
            }
            b',' => {
                if let Some((from, commas)) = &mut self.numbers {
                    *commas = commas.saturating_add(1);
                    if *commas >= MAX_NUMBERS {
                        self.out.truncate(*from);
                        return (taken, false);
                    }
                }
            }
            _ => {}
        }
        self.keep_outside(&[byte]);
        (taken, is_end)
    }

    /// Keeps the bytes between strings.
    fn keep_outside(&mut self, bytes: &[u8]) {
        if self.out.len().wrapping_add(bytes.len()) > self.limit.wrapping_add(SHORT_TEXT_BYTES) {
            self.is_full = true;
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !self.is_full {
            self.out.put(bytes);
        }
    }

    fn string(&mut self, rest: &[u8]) -> (usize, bool) {
        let run = find_either(rest, b'"', b'\\').unwrap_or(rest.len());
        let bytes = rest.get(..run).unwrap_or_default();
        if self.is_whole() {
            let kept = whole_characters(bytes, self.string_room());
            self.keep(kept);
        }
        self.string_read = self.string_read.wrapping_add(run);
        let mut is_end = false;
        match rest.get(run) {
            Some(b'"') => {
                if !self.is_whole() {
                    self.drop_part_of_character();
                    if !self.is_full {
                        write_mark(&mut self.out, self.string_read);
                    }
                }
                self.keep(b"\"");
                self.at = At::Outside;
                is_end = self.depth == 0;
            }
            Some(_) => {
                self.at = At::Escape(0);
                self.escape = [b'\\'; 6];
                self.escape_length = 1;
            }
            None => {}
        }
        (run.wrapping_add(1).min(rest.len()), is_end)
    }

    fn escape(&mut self, rest: &[u8], left: u8) -> usize {
        let Some(&byte) = rest.first() else { return 0 };
        if let Some(slot) = self.escape.get_mut(self.escape_length) {
            *slot = byte;
            self.escape_length = self.escape_length.wrapping_add(1);
        }
        let left = if left == 0 && byte == b'u' { 4 } else { left.saturating_sub(1) };
        self.at = At::Escape(left);
        if left == 0 {
            self.at = At::String;
            // Room for a second one: the two halves of a surrogate pair stay together.
            if self.is_whole() && self.string_room() >= MAX_ESCAPES_BYTES {
                let (escape, length) = (self.escape, self.escape_length);
                self.keep(escape.get(..length).unwrap_or_default());
            }
            self.string_read = self.string_read.wrapping_add(self.escape_length);
        }
        1
    }

    /// The bytes of a character may have come in two pieces, the second one of which had no room.
    fn drop_part_of_character(&mut self) {
        let string = self.out.get(self.string_at..).unwrap_or_default();
        let behind = string.iter().rev().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count();
        let first = string.len().checked_sub(behind.wrapping_add(1)).and_then(|at| string.get(at));
        let bytes = match first {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..) => 4,
            _ => 0,
        };
        if bytes > behind.wrapping_add(1) {
            self.out.truncate(self.out.len().saturating_sub(behind.wrapping_add(1)));
        }
    }

    fn is_whole(&self) -> bool {
        self.out.len().saturating_sub(self.string_at) == self.string_read
    }

    /// Bytes that the current string can still take.
    fn string_room(&self) -> usize {
        let short = SHORT_BYTES.saturating_sub(self.string_read);
        self.limit.saturating_sub(self.out.len()).max(short)
    }
}
