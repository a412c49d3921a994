//! JSON values as the text they are: finding members, and copying values without keys, images and audio, which a row
//! must not contain. Next: [`super::conversation`] and [`super::answer`].

use alloc::vec::Vec;

use crate::json::{self, write_number};

use super::tape::{Document, NONE, Token};

/// Appends to a text, out of line: there are hundreds of calls.
pub(super) trait Write {
    /// Appends bytes.
    fn put(&mut self, text: &[u8]);
    /// Appends one byte.
    fn put_byte(&mut self, byte: u8);
}

impl Write for Vec<u8> {
    #[inline(never)]
    fn put(&mut self, text: &[u8]) {
        self.extend_from_slice(text);
    }

    #[inline(never)]
    fn put_byte(&mut self, byte: u8) {
        self.push(byte);
    }
}

/// Makes a table of names from a text with a space between two. A byte with the length stands before each name, so that
/// a name is compared only with names of equal length.
macro_rules! names {
    ($text:expr) => {{
        const TABLE: [u8; $text.len() + 1] = $crate::llm::value::table($text);
        TABLE.as_slice()
    }};
}
pub(super) use names;

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "it runs in the compiler")]
pub(super) const fn table<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    let mut table = [0; N];
    let (mut at, mut length_at) = (0, 0);
    while at < bytes.len() {
        if bytes[at] == b' ' {
            length_at = at + 1;
        } else {
            table[at + 1] = bytes[at];
            table[length_at] += 1;
        }
        at += 1;
    }
    table
}

/// Stands for a name that is not in a table. A number by itself crosses a call in a register.
const NOT_THERE: usize = usize::MAX;

/// The position of a name in a table; [`NOT_THERE`] if it is absent.
#[inline(never)]
pub(super) fn position(table: &[u8], name: &[u8]) -> usize {
    Names(table).position(|known| known == name).unwrap_or(NOT_THERE)
}

/// `true` if a name is in a table.
pub(super) fn is_in(table: &[u8], name: &[u8]) -> bool {
    position(table, name) != NOT_THERE
}

/// The names of a table.
pub(super) struct Names<'a>(pub &'a [u8]);

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&length, rest) = self.0.split_first()?;
        let (name, rest) = rest.split_at_checked(length.into())?;
        self.0 = rest;
        Some(name)
    }
}

/// A value of a document, or no value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    document: &'a Document<'a>,
    at: u32,
}

impl<'a> Value<'a> {
    /// The value that a document is.
    pub fn of(document: &'a Document<'a>) -> Self {
        Self { document, at: 0 }
    }

    /// None, in the same document.
    pub fn none(self) -> Self {
        Self { at: NONE, ..self }
    }

    #[inline]
    fn token(self) -> Token {
        self.document.tokens.get(self.at as usize).copied().unwrap_or_default()
    }

    /// The text of the value; empty if there is no value.
    #[inline(never)]
    pub fn text(self) -> &'a [u8] {
        let Token { start, end, .. } = self.token();
        self.document.text.get(start as usize..end as usize).unwrap_or_default()
    }

    #[inline(never)]
    fn first(self) -> u8 {
        let Token { start, end, .. } = self.token();
        self.document.text.get(start as usize).filter(|_| end > 0).copied().unwrap_or(0)
    }

    /// The text between the quotes of a string, still escaped; empty for any other value.
    #[inline(never)]
    pub fn content(self) -> &'a [u8] {
        content(self.text())
    }

    /// `true` if there is no value.
    pub fn is_none(self) -> bool {
        self.at == NONE
    }

    pub fn is_some(self) -> bool {
        !self.is_none()
    }

    pub fn is_string(self) -> bool {
        self.first() == b'"'
    }

    pub fn is_object(self) -> bool {
        self.first() == b'{'
    }

    pub fn is_array(self) -> bool {
        self.first() == b'['
    }

    /// None for `null`.
    pub fn unless_null(self) -> Self {
        if self.first() == b'n' { self.none() } else { self }
    }

    pub fn is_null(self) -> bool {
        self.first() == b'n'
    }

    pub fn is_true(self) -> bool {
        self.text() == b"true"
    }

    pub fn is_false(self) -> bool {
        self.text() == b"false"
    }

    /// A whole number that is not below zero.
    #[inline(never)]
    pub fn index(self) -> Option<u32> {
        json::int32(self.text()).and_then(|value| u32::try_from(value).ok())
    }

    /// This one, or where there is none the other.
    pub fn or(self, other: Self) -> Self {
        if self.is_none() { other } else { self }
    }

    /// The members of an object with the names of a table. A member that is `null` counts as absent.
    pub fn pick<const N: usize>(self, table: &[u8]) -> [Self; N] {
        let mut values = [self.none(); N];
        self.pick_into(table, &mut values);
        values
    }

    #[inline(never)]
    fn pick_into(self, table: &[u8], values: &mut [Self]) {
        for (name, value) in self.members() {
            if let Some(slot) = values.get_mut(position(table, name)) {
                *slot = value.unless_null();
            }
        }
    }

    /// The first of the members under the names of a table that is there.
    #[inline(never)]
    pub fn any(self, table: &[u8]) -> Self {
        Names(table).map(|name| self.get(name)).find(|value| value.is_some()).unwrap_or(self.none())
    }

    /// One member of an object.
    pub fn member(self, name: &str) -> Self {
        self.get(name.as_bytes())
    }

    /// One member of an object.
    #[inline(never)]
    pub fn get(self, name: &[u8]) -> Self {
        for (known, value) in self.members() {
            if known == name && !value.is_null() {
                return value;
            }
        }
        self.none()
    }

    /// The members of an object.
    pub fn members(self) -> Members<'a> {
        Members(self.inner(b'{'))
    }

    /// The elements of an array.
    pub fn elements(self) -> Elements<'a> {
        self.inner(b'[')
    }

    /// The elements of an array, or the one value that this is.
    pub fn items(self) -> Elements<'a> {
        if self.is_array() { self.elements() } else { Elements { next: self, end: self.at.wrapping_add(1) } }
    }

    #[inline(never)]
    fn inner(self, opening: u8) -> Elements<'a> {
        let end = if self.first() == opening { self.token().next } else { 0 };
        Elements { next: Self { at: self.at.wrapping_add(1), ..self }, end }
    }
}

/// The values of an array.
pub(super) struct Elements<'a> {
    next: Value<'a>,
    /// The token behind them.
    end: u32,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    #[inline(never)]
    fn next(&mut self) -> Option<Value<'a>> {
        let value = self.next;
        if value.at >= self.end {
            return None;
        }
        self.next.at = value.token().next;
        Some(value)
    }
}

/// The names and values of an object.
pub(super) struct Members<'a>(Elements<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], Value<'a>);

    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        let Elements { next: name, end } = self.0;
        if name.at >= end {
            return None;
        }
        let value = Value { at: name.at.wrapping_add(1), ..name };
        self.0.next.at = value.token().next;
        let Token { start, end, .. } = name.token();
        Some((name.document.text.get(start.wrapping_add(1) as usize..end.wrapping_sub(1) as usize)?, value))
    }
}

/// The text between the quotes of a string, still escaped; empty for any other value.
pub(super) fn content(text: &[u8]) -> &[u8] {
    match text {
        [b'"', content @ .., b'"'] => content,
        _ => b"",
    }
}

/// Appends a value as the content of a string: a string's own content, or the text of any other value.
#[inline(never)]
pub(super) fn write_content(out: &mut Vec<u8>, value: Value<'_>) {
    if value.is_string() {
        out.put(value.content());
    } else {
        write_escaped(out, value.text());
    }
}

/// Appends any text as the content of a string.
#[inline(never)]
pub(super) fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.put_byte(b'\\');
        }
        // White space between the parts of a value; there is none in its strings.
        out.put_byte(byte.max(b' '));
    }
}

/// The text that the content of a string stands for. Characters beyond ASCII stay escaped: in JSON they mean the same.
#[inline(never)]
pub(super) fn unescaped(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = content;
    while let [first, behind @ ..] = rest {
        rest = behind;
        let (b'\\', [escape, behind @ ..]) = (first, behind) else {
            out.put_byte(*first);
            continue;
        };
        rest = behind;
        let byte = match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            // Neither of them may stand in JSON.
            b'b' | b'f' => 0,
            b'u' => {
                if let [b'0', b'0', high @ b'0'..=b'7', low, behind @ ..] = behind {
                    rest = behind;
                    let low = char::from(*low).to_digit(16).and_then(|low| u8::try_from(low).ok()).unwrap_or(0);
                    high.wrapping_sub(b'0').wrapping_mul(16) | low
                } else {
                    out.put_byte(b'\\');
                    b'u'
                }
            }
            byte => *byte,
        };
        out.put_byte(byte);
    }
    out
}

/// Appends the mark behind a cut text, with the original number of bytes.
#[inline(never)]
pub(super) fn write_mark(out: &mut Vec<u8>, bytes: usize) {
    out.put("… [opik_truncated: ".as_bytes());
    write_number(out, bytes as u64);
    out.put(b" bytes]");
}

/// The original length of a text with a mark of a cut, or the count of numbers that the mark replaces.
pub(super) fn truncated(text: &[u8]) -> Option<u32> {
    let (_, before) = cut_last(text, b' ');
    let (digits, mark) = cut_last(before, b' ');
    let is_mark = cut_last(mark, b'[').0 == b"opik_truncated:";
    json::int32(digits).filter(|_| is_mark).and_then(|count| u32::try_from(count).ok())
}

/// The number of digits of a base64 text.
#[inline(never)]
pub(super) fn length_of_base64(text: &[u8]) -> usize {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    truncated(text).map_or(text.len().saturating_sub(padding), |bytes| bytes as usize)
}

/// Any text as a string.
#[inline(never)]
pub(super) fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_byte(b'"');
    write_escaped(&mut out, text);
    out.put_byte(b'"');
    out
}

/// Appends `"name":`, behind a comma where it is not the first.
#[inline(never)]
pub(super) fn write_name(out: &mut Vec<u8>, name: &[u8]) {
    write_comma(out);
    out.put_byte(b'"');
    out.put(name);
    out.put(b"\":");
}

/// Appends a comma unless it is at the beginning of something.
#[inline(never)]
pub(super) fn write_comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{' | b'[' | b',')) {
        out.put_byte(b',');
    }
}

/// Appends a member whose value is copied by [`write_clean`], unless it is absent.
#[inline(never)]
pub(super) fn write_member(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) {
    if value.is_some() {
        write_name(out, name);
        write_clean(out, name, value);
    }
}

/// Members whose strings are credentials, at any depth.
const SECRETS: &[u8] = names!(
    "authorization cookie set-cookie authorization_token api_key apiKey access_token headers authentication authConfig apiAuth domain_secrets"
);

/// Appends the value of the member `name` without the parts that a row must not contain. Binary data, which can be a
/// list of bytes (Workers AI), is replaced by its type and size; a URL loses its query; a credential is dropped.
#[inline(never)]
pub(super) fn write_clean(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) {
    match value.first() {
        b'"' => write_clean_string(out, name, value),
        b'[' if is_in(names!("image audio"), name) && value.elements().all(|byte| byte.index().is_some()) => {
            out.put_byte(b'"');
            Media { kind: name, bytes: value.elements().count() }.write(out);
            out.put_byte(b'"');
        }
        b'[' => {
            out.put_byte(b'[');
            for element in value.elements() {
                write_comma(out);
                write_clean(out, name, element);
            }
            out.put_byte(b']');
        }
        // In a schema, names stand for types.
        b'{' if name != b"properties" => {
            let is_secret = is_in(SECRETS, name);
            out.put_byte(b'{');
            for (inner, value) in value.members() {
                write_name(out, inner);
                write_clean(out, if is_secret { name } else { inner }, value);
            }
            out.put_byte(b'}');
        }
        _ => out.put(value.text()),
    }
}

fn write_clean_string(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) {
    let text = value.content();
    out.put_byte(b'"');
    if is_in(SECRETS, name) {
        out.put(b"[left out]");
    } else if let Some(media) = Media::of_string(name, text) {
        media.write(out);
    } else if is_in(names!("url Url uri Uri"), last(name, 3)) || is_in(names!("data image"), name) {
        write_url(out, text);
    } else {
        out.put(text);
    }
    out.put_byte(b'"');
}

/// A URL up to its query, which may have a key in it.
pub(super) fn without_query(text: &[u8]) -> &[u8] {
    cut(text, b"?#").0
}

/// Appends a URL without its user and its query, which may have a key in them.
#[inline(never)]
pub(super) fn write_url(out: &mut Vec<u8>, url: &[u8]) {
    let (scheme, rest) = cut(without_query(url), b":");
    // A slash may be escaped in JSON.
    let slashes = rest.iter().take_while(|byte| matches!(byte, b':' | b'/' | b'\\')).count();
    let (slashes, rest) = rest.split_at_checked(slashes).unwrap_or_default();
    let (authority, path) = cut(rest, b"/\\");
    for part in [scheme, slashes, cut_last(authority, b'@').0, path] {
        out.put(part);
    }
}

/// The last bytes of a text.
fn last(text: &[u8], bytes: usize) -> &[u8] {
    text.get(text.len().saturating_sub(bytes)..).unwrap_or_default()
}

/// Splits a text before the first byte that is one of these.
#[inline(never)]
pub(super) fn cut<'a>(text: &'a [u8], stops: &[u8]) -> (&'a [u8], &'a [u8]) {
    let is_stop = |byte: &u8| stops.iter().any(|stop| stop == byte);
    let at = text.iter().position(is_stop).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or_default()
}

/// The text behind the last byte equal to this, and the text before it.
#[inline(never)]
pub(super) fn cut_last(text: &[u8], stop: u8) -> (&[u8], &[u8]) {
    let at = text.iter().rposition(|&byte| byte == stop).map_or(0, |at| at.wrapping_add(1));
    let (before, last) = text.split_at_checked(at).unwrap_or_default();
    (last, before.get(..at.wrapping_sub(1)).unwrap_or_default())
}

/// A text without the white space around it.
#[inline(never)]
pub(super) fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// Strings shorter than this are not binary data, whatever their name.
const MIN_BINARY_BYTES: usize = 64;

/// The description that replaces an image, a sound or a document.
#[derive(Clone, Copy)]
pub(super) struct Media<'a> {
    pub kind: &'a [u8],
    pub bytes: usize,
}

impl<'a> Media<'a> {
    fn of_base64(kind: &'a [u8], text: &[u8]) -> Self {
        Self { kind, bytes: length_of_base64(text).saturating_mul(3) / 4 }
    }

    /// A data URL anywhere, or base64 in a member that has nothing else.
    fn of_string(name: &[u8], text: &'a [u8]) -> Option<Self> {
        if let Some(url) = text.strip_prefix(b"data:") {
            let (head, body) = cut(url, b",");
            let kind = cut(head, b";").0;
            // A text may begin with that word.
            let has = |text: &[u8], byte| !cut(text, &[byte]).1.is_empty();
            if !has(kind, b'/') && !head.ends_with(b";base64") || has(head, b' ') {
                return None;
            }
            return Some(Self::of_base64(kind, body.get(1..)?));
        }
        // A mark of a cut may stand behind it.
        let start = cut(text, "…".as_bytes()).0;
        let is_binary = is_in(
            names!("data bytes b64_json file_data result image images audio input_audio encrypted_content"),
            name,
        ) && start.len() >= MIN_BINARY_BYTES
            && start
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\'));
        is_binary.then(|| Self::of_base64(b"base64", text))
    }

    /// The first that is in a part of a message, with the type that stands beside it.
    pub fn in_part(part: Value<'a>) -> Option<Self> {
        Self::within(part, b"")
    }

    fn within(value: Value<'a>, kind: &'a [u8]) -> Option<Self> {
        let beside = value.any(names!("mimeType mime_type mediaType media_type format")).content();
        let beside = if beside.is_empty() { kind } else { beside };
        value.members().find_map(|(name, value)| {
            if value.is_object() {
                return Self::within(value, if beside.is_empty() { name } else { beside });
            }
            let text = value.content();
            match Self::of_string(name, text) {
                Some(Self { kind: b"base64", bytes }) if !beside.is_empty() => Some(Self { kind: beside, bytes }),
                // A URL, or a note in place of bytes.
                None if text.starts_with(b"http") || text.starts_with(b"[") => None,
                None if value.is_string()
                    && (is_in(names!("data bytes file_data"), name) || name == b"content" && !beside.is_empty()) =>
                {
                    Some(Self::of_base64(beside, text))
                }
                found => found,
            }
        })
    }

    pub fn write(self, out: &mut Vec<u8>) {
        out.put_byte(b'[');
        out.put(self.kind);
        out.put(b", ");
        write_number(out, self.bytes as u64);
        out.put(b" bytes]");
    }
}
