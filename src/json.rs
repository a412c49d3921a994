//! JSON without a tree: a scanner for small fields with checked content (tags, usage, numbers). Large values are copied
//! as text.

use alloc::vec::Vec;

/// How deep the scanner follows nested values.
pub const MAX_DEPTH: u32 = 32;

/// The position of the first byte that is `one` or `other`. Looks at eight bytes at a time, since most searched texts
/// are long.
pub(crate) fn find_either(text: &[u8], one: u8, other: u8) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    // Of the bytes of a word that are 0 the first one has its high bit set, and none before it (Warren, Hacker's Delight, 6-1).
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (ones, others) = (u64::from_le_bytes([one; 8]), u64::from_le_bytes([other; 8]));
    let (words, rest) = text.as_chunks();
    for (index, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        let found = zeros(word ^ ones) | zeros(word ^ others);
        if found != 0 {
            return Some(index.wrapping_mul(8).wrapping_add(found.trailing_zeros() as usize / 8));
        }
    }
    let at = rest.iter().position(|&byte| byte == one || byte == other)?;
    Some(words.len().wrapping_mul(8).wrapping_add(at))
}

/// `true` if `text` is exactly one JSON string (RFC 8259 §7).
///
/// ```
/// # use opik_edge::json::is_string;
/// assert!(is_string(br#""two\nlines""#));
/// assert!(!is_string(b"two lines"));
/// ```
#[must_use]
pub fn is_string(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.string().is_some() && scanner.is_at_end()
}

/// `true` if `text` is exactly one JSON number (RFC 8259 §6) that is not below zero.
///
/// ```
/// # use opik_edge::json::is_non_negative_number;
/// assert!(is_non_negative_number(b"1.5e3"));
/// assert!(!is_non_negative_number(b"-1") && !is_non_negative_number(b"01"));
/// ```
#[must_use]
pub fn is_non_negative_number(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    !text.starts_with(b"-") && scanner.number().is_some() && scanner.is_at_end()
}

/// The value of a JSON integer of 32 bits with sign; `None` for a fraction, an exponent or any other text.
///
/// ```
/// # use opik_edge::json::int32;
/// assert_eq!(int32(b"-12"), Some(-12));
/// assert_eq!(int32(b"1.0"), None);
/// assert_eq!(int32(b"2147483648"), None); // i32::MAX + 1
/// ```
#[must_use]
pub fn int32(text: &[u8]) -> Option<i32> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if matches!(digits, [] | [b'0', _, ..]) {
        return None;
    }
    // Counts downwards: the range reaches further below zero than above.
    let negative = digits.iter().try_fold(0_i32, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))?;
        value.checked_mul(10)?.checked_sub(i32::from(digit))
    })?;
    if is_negative { Some(negative) } else { negative.checked_neg() }
}

/// The value of one decimal digit or more, if it fits.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))?;
        value.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Appends a whole number in decimal.
pub(crate) fn write_number(out: &mut Vec<u8>, mut value: u64) {
    let from = out.len();
    loop {
        out.push(b'0'.saturating_add(u8::try_from(value % 10).unwrap_or(0)));
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.get_mut(from..).unwrap_or_default().reverse();
}

/// Calls `each` with the name (in its quotes) and the value of every member of the object `text`.
/// `None` when it is not one well-formed object in outline.
///
/// ```
/// # use opik_edge::json::for_each_member;
/// let mut members = Vec::new();
/// for_each_member(br#"{"a": 1, "b": [2]}"#, |name, value| members.push((name, value))).ok_or("an object")?;
/// assert_eq!(members, [(b"\"a\"".as_slice(), b"1".as_slice()), (b"\"b\"", b"[2]")]);
/// # Ok::<(), &str>(())
/// ```
pub fn for_each_member<'a>(text: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
    let mut scanner = Scanner::new(text);
    scanner.sequence(b'{', b'}', &mut |scanner| {
        let name = scanner.string()?;
        scanner.blank();
        scanner.take(b':')?;
        scanner.blank();
        each(name, scanner.value(MAX_DEPTH)?);
        Some(())
    })?;
    scanner.is_at_end().then_some(())
}

/// Calls `each` with every element of the array `text`. `None` when it is not one well-formed array in outline.
///
/// ```
/// # use opik_edge::json::for_each_element;
/// let mut elements = Vec::new();
/// for_each_element(br#"["a", 2]"#, |element| elements.push(element)).ok_or("an array")?;
/// assert_eq!(elements, [b"\"a\"".as_slice(), b"2"]);
/// # Ok::<(), &str>(())
/// ```
pub fn for_each_element<'a>(text: &'a [u8], mut each: impl FnMut(&'a [u8])) -> Option<()> {
    let mut scanner = Scanner::new(text);
    scanner.sequence(b'[', b']', &mut |scanner| {
        each(scanner.value(MAX_DEPTH)?);
        Some(())
    })?;
    scanner.is_at_end().then_some(())
}

/// `true` if `text` is exactly one JSON value (RFC 8259) that is nested at most [`MAX_DEPTH`] deep, without white space around it.
#[cfg(feature = "serde")]
pub(crate) fn is_value(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.value(MAX_DEPTH).is_some() && scanner.is_at_end()
}

/// A position in a text. Every method moves it behind the bytes that it has read.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at = self.at.saturating_add(1);
        }
    }

    /// Everything read since `from`.
    fn since(&self, from: usize) -> Option<&'a [u8]> {
        self.text.get(from..self.at)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let from = self.at;
        self.take(b'"')?;
        loop {
            match self.next()? {
                b'"' => return self.since(from),
                b'\\' => self.escape()?,
                0..=0x1f => return None,
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => (0..4).try_for_each(|_| self.next()?.is_ascii_hexdigit().then_some(())),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<&'a [u8]> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.next();
        }
        if self.peek() == Some(b'0') {
            self.next();
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.next();
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.next();
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.next();
            }
            self.digits()?;
        }
        self.since(from)
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.next();
        }
        (self.at > from).then_some(())
    }

    /// Any value that is nested at most `depth` deep.
    fn value(&mut self, depth: u32) -> Option<&'a [u8]> {
        let from = self.at;
        let inner = depth.checked_sub(1)?;
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' => self.sequence(b'{', b'}', &mut |scanner| {
                scanner.string()?;
                scanner.blank();
                scanner.take(b':')?;
                scanner.blank();
                scanner.value(inner).map(|_| ())
            }),
            b'[' => self.sequence(b'[', b']', &mut |scanner| scanner.value(inner).map(|_| ())),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number().map(|_| ()),
        }?;
        self.since(from)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        word.iter().try_for_each(|&byte| self.take(byte))
    }

    /// `open item, item … close`, with white space anywhere between.
    fn sequence(&mut self, open: u8, close: u8, item: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(open)?;
        self.blank();
        if self.peek() == Some(close) {
            self.next();
            return Some(());
        }
        loop {
            self.blank();
            item(self)?;
            self.blank();
            match self.next()? {
                b',' => {}
                byte => return (byte == close).then_some(()),
            }
        }
    }
}
