//! One JSON text → the positions of its values, found in one pass. Picking values out of it reads nothing twice, at any
//! depth. Next: [`super::value`].
#![expect(clippy::inline_always, reason = "nearly all time goes into these loops, and the module is compiled for size")]

use alloc::vec::Vec;

use super::value::trim;

/// How deep values are followed. More than any tool's schema, and less than the stack.
const MAX_DEPTH: u32 = 128;
/// Tokens that are kept room for between two texts.
const MAX_IDLE_TOKENS: usize = 4096;
/// Stands for a token that is not there.
pub(super) const NONE: u32 = u32::MAX;

/// A value or a name.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Token {
    /// Where it begins and ends in the text.
    pub start: u32,
    /// While it is open, what it lies in.
    pub end: u32,
    /// The token behind this value and everything in it. The value of a name is the token behind the name.
    pub next: u32,
}

/// The tokens of one text after another.
#[derive(Default, Debug)]
pub(super) struct Tape {
    tokens: Vec<Token>,
}

/// A text with its tokens.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Document<'a> {
    pub text: &'a [u8],
    pub tokens: &'a [Token],
}

impl Tape {
    pub const fn new() -> Self {
        Self { tokens: Vec::new() }
    }

    /// Reads the first value of a text, which can have others behind it, and returns its length as well. `None` if the
    /// value is not well-formed (RFC 8259) or not complete.
    pub fn read<'a>(&'a mut self, text: &'a [u8]) -> Option<(Document<'a>, usize)> {
        if self.tokens.capacity() > MAX_IDLE_TOKENS {
            self.tokens = Vec::new();
        }
        self.tokens.clear();
        let mut scan = Scan { text, at: 0, tokens: &mut self.tokens, open: NONE };
        scan.value()?;
        let length = scan.at;
        Some((Document { text, tokens: &self.tokens }, length))
    }

    /// Reads a text that is one value, with white space around it.
    pub fn whole<'a>(&'a mut self, text: &'a [u8]) -> Option<Document<'a>> {
        let text = trim(text);
        let (document, length) = self.read(text)?;
        (length == text.len()).then_some(document)
    }
}

/// A position in a text.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    tokens: &'a mut Vec<Token>,
    /// The innermost array or object that has not ended.
    open: u32,
}

#[inline(always)]
fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}

impl Scan<'_> {
    fn value(&mut self) -> Option<()> {
        let mut depth = 0_u32;
        let mut closing = 0_u8;
        loop {
            let byte = self.blank()?;
            match byte {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth = depth.checked_add(1).filter(|depth| *depth <= MAX_DEPTH)?;
                    let token = Token { start: narrow(self.at), end: self.open, next: 0 };
                    self.open = narrow(self.tokens.len());
                    self.tokens.push(token);
                    self.at = self.at.wrapping_add(1);
                    closing = byte.wrapping_add(2);
                    let first = self.blank()?;
                    if first != closing {
                        if byte == b'{' {
                            self.name()?;
                        }
                        continue;
                    }
                }
                _ => self.word(byte)?,
            }
            // Behind a value.
            while depth > 0 {
                let byte = self.blank()?;
                self.at = self.at.wrapping_add(1);
                if byte == b',' {
                    if closing == b'}' {
                        self.blank()?;
                        self.name()?;
                    }
                    break;
                }
                if byte != closing {
                    return None;
                }
                let next = narrow(self.tokens.len());
                let token = self.tokens.get_mut(self.open as usize)?;
                self.open = token.end;
                token.end = narrow(self.at);
                token.next = next;
                depth = depth.wrapping_sub(1);
                if let Some(around) = self.tokens.get(self.open as usize) {
                    closing = self.text.get(around.start as usize)?.wrapping_add(2);
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// The first byte that is not white space.
    #[inline(always)]
    fn blank(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at = self.at.wrapping_add(1);
        }
    }

    #[inline(always)]
    fn leaf(&mut self, start: usize) {
        let next = narrow(self.tokens.len()).wrapping_add(1);
        self.tokens.push(Token { start: narrow(start), end: narrow(self.at), next });
    }

    fn name(&mut self) -> Option<()> {
        if *self.text.get(self.at)? != b'"' {
            return None;
        }
        self.string()?;
        let byte = self.blank()?;
        self.at = self.at.wrapping_add(1);
        (byte == b':').then_some(())
    }

    fn string(&mut self) -> Option<()> {
        let start = self.at;
        self.at = self.at.wrapping_add(1);
        loop {
            self.at = self.at.wrapping_add(find_special(self.text.get(self.at..)?)?);
            let byte = *self.text.get(self.at)?;
            self.at = self.at.wrapping_add(1);
            match byte {
                b'"' => break,
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
        self.leaf(start);
        Some(())
    }

    fn escape(&mut self) -> Option<()> {
        let byte = *self.text.get(self.at)?;
        self.at = self.at.wrapping_add(1);
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let end = self.at.wrapping_add(4);
                let digits = self.text.get(self.at..end)?;
                self.at = end;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    /// A number or one of the three words.
    fn word(&mut self, first: u8) -> Option<()> {
        let start = self.at;
        let word: &[u8] = match first {
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            _ => {
                self.number()?;
                b""
            }
        };
        if !self.text.get(self.at..)?.starts_with(word) {
            return None;
        }
        self.at = self.at.wrapping_add(word.len());
        self.leaf(start);
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        self.skip(b"-");
        if !self.skip(b"0") {
            self.digits()?;
        }
        if self.skip(b".") {
            self.digits()?;
        }
        if self.skip(b"eE") {
            self.skip(b"+-");
            self.digits()?;
        }
        Some(())
    }

    /// Skips one byte, if it is one of these.
    fn skip(&mut self, bytes: &[u8]) -> bool {
        let found = self.text.get(self.at).is_some_and(|byte| bytes.iter().any(|known| known == byte));
        self.at = self.at.wrapping_add(usize::from(found));
        found
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at = self.at.wrapping_add(count);
        (count > 0).then_some(())
    }
}

const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

/// Of the bytes of a word that are below a limit of at most 0x80 the first one has its high bit set, and none before it
/// (Warren, Hacker's Delight, 6-1).
#[inline(always)]
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(u64::from_le_bytes([limit; 8])) & !word & HIGH
}

/// The position of the first byte that ends a run within a string: a quote, a backslash, or a byte that a string must
/// not contain.
#[inline(always)]
fn find_special(text: &[u8]) -> Option<usize> {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    let (words, rest) = text.as_chunks();
    for (index, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        let quote = below(word ^ u64::from_le_bytes([b'"'; 8]), 1);
        let backslash = below(word ^ u64::from_le_bytes([b'\\'; 8]), 1);
        let found = quote | backslash | below(word, 0x20);
        if found != 0 {
            return Some(index.wrapping_mul(8).wrapping_add(found.trailing_zeros() as usize / 8));
        }
    }
    let at = rest.iter().position(is_special)?;
    Some(words.len().wrapping_mul(8).wrapping_add(at))
}

/// The number of commas in a text, or more.
#[inline(never)]
pub(super) fn count_commas(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks();
    let in_word = |bytes: &[u8; 8]| below(u64::from_le_bytes(*bytes) ^ u64::from_le_bytes([b','; 8]), 1).count_ones();
    words.iter().fold(rest.len(), |sum, bytes| sum.wrapping_add(in_word(bytes) as usize))
}
