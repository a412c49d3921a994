//! Bytes as they come, cut anywhere → one JSON text after another: server-sent events (WHATWG HTML §9.2.6), values one
//! after another (one body, NDJSON, an array), AWS event streams. Next: the format that reads the texts.

use alloc::vec::Vec;

use crate::json::find_either;

use super::sieve::Sieve;
use super::tape::Tape;
use super::value::{Names, Value, Write, cut, names, position, trim};

/// Types of answers that come in pieces.
const TYPES: &[u8] = names!(
    "text/event-stream application/vnd.amazon.eventstream application/x-ndjson application/ndjson application/jsonl application/json-seq"
);
/// Longest name of an event or of a header that is kept.
const MAX_NAME_BYTES: usize = 64;
/// Longest headers of an AWS message; its own limit is 128 KB.
const MAX_HEADERS_BYTES: usize = 4 * 1024;

/// One text of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    /// Its name, if the framing has names.
    pub name: &'a [u8],
    pub is_exception: bool,
    /// `None` where it was too long.
    pub text: Option<&'a [u8]>,
    /// `None` where the text is not JSON.
    pub value: Option<Value<'a>>,
}

#[derive(Debug)]
enum Kind {
    /// Known by the first byte.
    Unknown,
    Events(Line),
    Values(Values),
    Aws(Frame),
    /// Not what it says it is.
    Broken,
}

/// Where in a line of an event stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Name,
    /// Behind the colon, where one space is skipped.
    Colon,
    Data,
    Event,
    Ignored,
}

#[derive(Clone, Copy, Debug)]
enum Values {
    Between,
    Inside,
    /// A line that is not JSON.
    Skipped,
}

#[derive(Clone, Copy, Debug)]
enum Frame {
    Prelude,
    Headers { length: usize, payload: usize },
    Payload(usize),
    Checksum(usize),
}

/// Takes a stream apart.
#[derive(Debug)]
pub(super) struct Framing {
    kind: Kind,
    sieve: Sieve,
    /// Name of the field, or the prelude and headers of a message.
    small: Vec<u8>,
    name: Vec<u8>,
    is_exception: bool,
    has_data: bool,
    after_return: bool,
    is_blank: bool,
    /// The framing was guessed from the first byte.
    is_guessed: bool,
    /// The bytes do not have the stated type.
    is_mislabeled: bool,
    has_text: bool,
    /// Several texts come one after another.
    pub is_stream: bool,
}

impl Framing {
    /// A framing that is recognised by the first byte.
    pub fn new(limit: usize, is_stream: bool) -> Self {
        Self {
            kind: Kind::Unknown,
            sieve: Sieve::new(limit),
            small: Vec::new(),
            name: Vec::new(),
            is_exception: false,
            has_data: false,
            after_return: false,
            is_blank: true,
            is_guessed: false,
            is_mislabeled: false,
            has_text: false,
            is_stream,
        }
    }

    /// Takes the answer's content type, which tells more.
    pub fn content_type(&mut self, text: &[u8]) {
        let name = trim(cut(text, b";").0);
        let found = Names(TYPES).position(|known| known.eq_ignore_ascii_case(name));
        self.is_stream |= found.is_some();
        self.kind = match found {
            Some(0) => Kind::Events(Line::Name),
            Some(1) => Kind::Aws(Frame::Prelude),
            _ => Kind::Unknown,
        };
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.sieve.held()
    }

    /// Keeps no long strings from now on.
    pub fn restrict(&mut self, limit: usize) {
        self.sieve.restrict(limit);
    }

    /// `true` if the bytes fit no known framing.
    pub fn is_broken(&self) -> bool {
        matches!(self.kind, Kind::Broken) || self.is_mislabeled || (self.is_guessed && !self.has_text)
    }

    /// Takes the next piece and calls `each` with every text that is complete.
    pub fn push(&mut self, bytes: &[u8], tape: &mut Tape, each: &mut dyn FnMut(Event<'_>)) {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            let taken = match self.kind {
                Kind::Unknown => self.sniff(first),
                Kind::Events(line) => {
                    let whole =
                        if self.is_blank && !self.after_return { self.whole_line(rest, tape, each) } else { None };
                    whole.unwrap_or_else(|| self.events(line, rest, tape, each))
                }
                Kind::Values(values) => self.values(values, rest, tape, each),
                Kind::Aws(frame) => self.aws(frame, rest, tape, each),
                Kind::Broken => return,
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Ends the stream; the remaining bytes can be a text.
    pub fn finish(&mut self, tape: &mut Tape, each: &mut dyn FnMut(Event<'_>)) {
        if let Kind::Events(line) = self.kind {
            self.end_line(line, tape, each);
            self.dispatch(tape, each);
        }
    }

    /// `true` until an event stream has its first field.
    fn has_nothing(&self) -> bool {
        !self.has_text && !self.has_data && self.name.is_empty()
    }

    /// Hands on a text, or what the sieve has kept of it.
    #[inline(never)]
    fn hand_on(&mut self, text: Option<&[u8]>, tape: &mut Tape, each: &mut dyn FnMut(Event<'_>)) {
        let text = text.or(self.sieve.text()).map(trim);
        let document = text.and_then(|text| tape.whole(text));
        let value = document.as_ref().map(Value::of);
        each(Event { name: &self.name, is_exception: self.is_exception, text, value });
        self.sieve.clear();
    }

    /// Takes a line that lies whole in this piece, if it is the name of an event or all of its data, where that lies.
    fn whole_line(&mut self, rest: &[u8], tape: &mut Tape, each: &mut dyn FnMut(Event<'_>)) -> Option<usize> {
        let value = rest.strip_prefix(b"data:").or(rest.strip_prefix(b"event:"))?;
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let (value, behind) = value.split_at_checked(find_either(value, b'\n', b'\r')?)?;
        let mut behind = behind.strip_prefix(b"\n").or(behind.strip_prefix(b"\r\n"))?;
        if rest.starts_with(b"e") {
            self.name.clear();
            self.name.put(value.get(..MAX_NAME_BYTES).unwrap_or(value));
        } else {
            behind = behind.strip_prefix(b"\n").or(behind.strip_prefix(b"\r\n"))?;
            if self.has_data || !self.sieve.leaves(value) {
                return None;
            }
            self.has_text = true;
            self.hand_on(Some(value), tape, each);
            self.name.clear();
        }
        rest.len().checked_sub(behind.len())
    }

    fn sniff(&mut self, byte: u8) -> usize {
        match byte {
            // White space, or the mark that a text of UTF-8 may begin with.
            b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => return 1,
            b'{' | b'[' | b'"' => self.kind = Kind::Values(Values::Between),
            _ => {
                self.is_stream = true;
                self.kind = Kind::Events(Line::Name);
            }
        }
        self.is_guessed = true;
        0
    }

    fn values(&mut self, values: Values, rest: &[u8], tape: &mut Tape, each: &mut dyn FnMut(Event<'_>)) -> usize {
        let Some(&byte) = rest.first() else { return 0 };
        let (next, taken) = match (values, byte) {
            (Values::Between, b'{' | b'"') => match self.whole_value(rest, tape, each) {
                Some(length) => (Values::Between, length),
                None => (Values::Inside, 0),
            },
            // An array is taken apart.
            (Values::Between, b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' | 0x1e) | (Values::Skipped, b'\n') => {
                (Values::Between, 1)
            }
            (Values::Between | Values::Skipped, _) => (Values::Skipped, 1),
            (Values::Inside, _) => {
                let (taken, is_end) = self.sieve.push(rest);
                if is_end {
                    self.has_text = true;
                    self.hand_on(None, tape, each);
                }
                (if is_end { Values::Between } else { Values::Inside }, taken)
            }
        };
        self.kind = Kind::Values(next);
        taken
    }

    /// Takes a value that lies whole in this piece, where it lies.
    fn whole_value(&mut self, rest: &[u8], tape: &mut Tape, each: &mut dyn FnMut(Event<'_>)) -> Option<usize> {
        let (document, length) = tape.read(rest)?;
        let text = rest.get(..length).filter(|text| self.sieve.leaves(text))?;
        self.has_text = true;
        each(Event { name: b"", is_exception: false, text: Some(text), value: Some(Value::of(&document)) });
        Some(length)
    }

    fn events(&mut self, line: Line, rest: &[u8], tape: &mut Tape, each: &mut dyn FnMut(Event<'_>)) -> usize {
        let Some(&byte) = rest.first() else { return 0 };
        if core::mem::take(&mut self.after_return) && byte == b'\n' {
            return 1;
        }
        if matches!(byte, b'\n' | b'\r') {
            self.after_return = byte == b'\r';
            self.end_line(line, tape, each);
            return 1;
        }
        // A name is read byte by byte, so its line is not searched for an end at each of them.
        let end = if line == Line::Name { 0 } else { find_either(rest, b'\n', b'\r').unwrap_or(rest.len()) };
        let text = rest.get(..end).unwrap_or_default();
        let (next, taken) = match line {
            // No field begins so: it is JSON, whatever its type says, unless there have been fields.
            Line::Name if matches!(byte, b'{' | b'[') && self.is_blank && self.has_nothing() => {
                self.is_mislabeled = true;
                self.kind = Kind::Values(Values::Between);
                return 0;
            }
            // The mark that a text of UTF-8 may begin with stands before the first name, and is in none.
            Line::Name if matches!(byte, 0xef | 0xbb | 0xbf) => return 1,
            Line::Name if byte == b':' => (Line::Colon, 1),
            Line::Name => {
                if self.small.len() < MAX_NAME_BYTES {
                    self.small.put_byte(byte);
                }
                (Line::Name, 1)
            }
            Line::Colon => {
                let line = self.begin_value();
                (line, usize::from(byte == b' '))
            }
            Line::Data => {
                self.sieve.hold(text);
                (line, end)
            }
            Line::Event => {
                let room = MAX_NAME_BYTES.saturating_sub(self.name.len());
                self.name.put(text.get(..room).unwrap_or(text));
                (line, end)
            }
            Line::Ignored => (line, end),
        };
        self.is_blank = false;
        self.kind = Kind::Events(next);
        taken
    }

    /// The target for the value of a field, by the field's name.
    fn begin_value(&mut self) -> Line {
        let line = match position(names!("data event"), &self.small) {
            0 => {
                if core::mem::replace(&mut self.has_data, true) {
                    self.sieve.hold(b"\n");
                }
                Line::Data
            }
            1 => {
                self.name.clear();
                Line::Event
            }
            _ => Line::Ignored,
        };
        self.small.clear();
        line
    }

    fn end_line(&mut self, line: Line, tape: &mut Tape, each: &mut dyn FnMut(Event<'_>)) {
        let is_blank = core::mem::replace(&mut self.is_blank, true);
        // A field without a value has no colon either.
        if line == Line::Colon || (line == Line::Name && !is_blank) {
            self.begin_value();
        }
        self.small.clear();
        self.kind = Kind::Events(Line::Name);
        if is_blank {
            self.dispatch(tape, each);
        }
    }

    fn dispatch(&mut self, tape: &mut Tape, each: &mut dyn FnMut(Event<'_>)) {
        if core::mem::take(&mut self.has_data) {
            self.has_text = true;
            self.hand_on(None, tape, each);
        }
        self.name.clear();
    }

    fn aws(&mut self, frame: Frame, rest: &[u8], tape: &mut Tape, each: &mut dyn FnMut(Event<'_>)) -> usize {
        let (next, taken) = match frame {
            Frame::Prelude => {
                let taken = self.collect(12, rest);
                (if self.small.len() < 12 { frame } else { self.prelude() }, taken)
            }
            Frame::Headers { length, payload } => {
                let taken = self.collect(length, rest);
                if self.small.len() < length {
                    (frame, taken)
                } else {
                    self.headers();
                    (Frame::Payload(payload), taken)
                }
            }
            Frame::Payload(left) => {
                let piece = rest.get(..left).unwrap_or(rest);
                let taken = piece.len();
                if taken == left && self.sieve.leaves(piece) {
                    self.hand_on(Some(piece), tape, each);
                    self.kind = Kind::Aws(Frame::Checksum(4));
                    return taken;
                }
                self.sieve.hold(piece);
                let left = left.saturating_sub(taken);
                if left == 0 {
                    self.hand_on(None, tape, each);
                }
                (if left == 0 { Frame::Checksum(4) } else { Frame::Payload(left) }, taken)
            }
            Frame::Checksum(left) => {
                let taken = left.min(rest.len());
                let left = left.saturating_sub(taken);
                (if left == 0 { Frame::Prelude } else { Frame::Checksum(left) }, taken)
            }
        };
        if matches!(self.kind, Kind::Aws(_)) {
            self.kind = Kind::Aws(next);
        }
        taken
    }

    /// Collects up to `length` bytes; gives how many it took.
    fn collect(&mut self, length: usize, rest: &[u8]) -> usize {
        let taken = length.saturating_sub(self.small.len()).min(rest.len());
        self.small.put(rest.get(..taken).unwrap_or_default());
        taken
    }

    fn prelude(&mut self) -> Frame {
        let mut numbers = self.small.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes) as usize);
        let (total, length) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        self.small.clear();
        self.name.clear();
        self.is_exception = false;
        let payload = total.checked_sub(16).and_then(|rest| rest.checked_sub(length));
        match payload {
            Some(payload) if length <= MAX_HEADERS_BYTES => Frame::Headers { length, payload },
            _ => {
                self.kind = Kind::Broken;
                Frame::Prelude
            }
        }
    }

    /// Reads the name of the event from the headers. Reading stops at the first header that is not a string.
    fn headers(&mut self) {
        let headers = core::mem::take(&mut self.small);
        let mut rest = headers.as_slice();
        while let Some((name, value, behind)) = header(rest) {
            match position(names!(":message-type :event-type :exception-type :error-code"), name) {
                0 => self.is_exception = value != b"event",
                1..=3 => self.name.put(value.get(..MAX_NAME_BYTES).unwrap_or(value)),
                _ => {}
            }
            rest = behind;
        }
    }
}

/// The first header's name and value, and the rest.
fn header(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&length, rest) = text.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let (kind, rest) = rest.split_first()?;
    let (length, rest) = if *kind == 7 { rest.split_first_chunk::<2>()? } else { return None };
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((name, value, rest))
}
