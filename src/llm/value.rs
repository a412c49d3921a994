//! JSON values as the text they are: what is picked out of them, and how they are copied without what a row must not
//! have: keys, images, audio. Next: [`super::conversation`] and [`super::answer`].

use alloc::vec::Vec;

use crate::json;

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

/// Whether a name is one of these, with a space between two.
#[inline(never)]
pub(super) fn is_one_of(name: &[u8], names: &str) -> bool {
    names.as_bytes().split(|&byte| byte == b' ').any(|known| known == name)
}

/// Calls `each` with every member of an object. `None` when it is none.
#[inline(never)]
pub(super) fn members<'a>(text: &'a [u8], each: &mut dyn FnMut(&'a [u8], &'a [u8])) -> Option<()> {
    json::for_each_member(text, |name, value| each(content(name), value))
}

/// Calls `each` with every element of an array. `None` when it is none.
#[inline(never)]
pub(super) fn elements<'a>(text: &'a [u8], each: &mut dyn FnMut(&'a [u8])) -> Option<()> {
    json::for_each_element(text, each)
}

/// The values of the members of an object that these names, with a space between two, stand for; in one pass. Empty
/// where one is missing or `null`.
pub(super) fn pick<'a, const N: usize>(text: &'a [u8], names: &str) -> [&'a [u8]; N] {
    let mut values: [&[u8]; N] = [b""; N];
    pick_into(text, names.as_bytes(), &mut values);
    values
}

/// As many as are picked at once.
const MAX_PICKED: usize = 12;

#[inline(never)]
fn pick_into<'a>(text: &'a [u8], names: &[u8], values: &mut [&'a [u8]]) {
    let mut wanted: [&[u8]; MAX_PICKED] = [b""; MAX_PICKED];
    for (slot, name) in wanted.iter_mut().zip(names.split(|&byte| byte == b' ')) {
        *slot = name;
    }
    members(text, &mut |name, value| {
        let at = wanted.iter().take(values.len()).position(|wanted| *wanted == name);
        if let Some(slot) = at.and_then(|at| values.get_mut(at)) {
            *slot = if value == b"null" { b"" } else { value };
        }
    });
}

/// One member of an object; empty where it is missing or `null`.
#[inline(never)]
pub(super) fn member<'a>(text: &'a [u8], name: &str) -> &'a [u8] {
    let [value] = pick(text, name);
    value
}

/// What stands between the quotes of a string, escaped as it is; empty for any other value.
#[inline(never)]
pub(super) fn content(text: &[u8]) -> &[u8] {
    match text {
        [b'"', content @ .., b'"'] => content,
        _ => b"",
    }
}

pub(super) fn is_string(text: &[u8]) -> bool {
    text.first() == Some(&b'"')
}

pub(super) fn is_object(text: &[u8]) -> bool {
    text.first() == Some(&b'{')
}

pub(super) fn is_array(text: &[u8]) -> bool {
    text.first() == Some(&b'[')
}

/// A whole number that is not below zero.
pub(super) fn index(text: &[u8]) -> Option<u32> {
    json::int32(text).and_then(|value| u32::try_from(value).ok())
}

/// Appends a value as the content of a string: that of a string as it is, any other as its text.
#[inline(never)]
pub(super) fn write_content(out: &mut Vec<u8>, value: &[u8]) {
    if is_string(value) {
        out.put(content(value));
    } else {
        write_escaped(out, value);
    }
}

/// Appends any text as the content of a string.
#[inline(never)]
pub(super) fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.put(&[b'\\', byte]),
            // White space between the parts of a value; there is none in its strings.
            0..=0x1f => out.put_byte(b' '),
            _ => out.push(byte),
        }
    }
}

/// Appends a value as a string.
#[inline(never)]
pub(super) fn write_string(out: &mut Vec<u8>, value: &[u8]) {
    out.put_byte(b'"');
    write_content(out, value);
    out.put_byte(b'"');
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

/// Appends a member whose value is copied by [`write_clean`], unless that is empty.
#[inline(never)]
pub(super) fn write_member(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if !value.is_empty() {
        write_name(out, name);
        write_clean(out, name, value, json::MAX_DEPTH);
    }
}

/// Appends the value of the member `name` without what a row must not have: of binary data only type and size are
/// left, of a URL not its query, of a credential nothing.
#[inline(never)]
pub(super) fn write_clean(out: &mut Vec<u8>, name: &[u8], value: &[u8], depth: u32) {
    let inner = depth.saturating_sub(1);
    match value.first() {
        Some(b'"') => write_clean_string(out, name, value),
        Some(b'[') => {
            out.put_byte(b'[');
            elements(value, &mut |element| {
                write_comma(out);
                write_clean(out, name, element, inner);
            });
            out.put_byte(b']');
        }
        Some(b'{') => {
            let are_headers = name == b"headers";
            out.put_byte(b'{');
            members(value, &mut |name, value| {
                write_name(out, name);
                write_clean(out, if are_headers { b"authorization" } else { name }, value, inner);
            });
            out.put_byte(b'}');
        }
        _ => out.put(value),
    }
}

fn write_clean_string(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let text = content(value);
    if is_credential(name) {
        out.put(b"\"[left out]\"");
    } else if let Some(media) = Media::of_string(name, text) {
        out.put_byte(b'"');
        media.write(out);
        out.put_byte(b'"');
    } else if is_address(name) {
        out.put_byte(b'"');
        out.put(without_query(text));
        out.put_byte(b'"');
    } else {
        out.put(value);
    }
}

fn is_credential(name: &[u8]) -> bool {
    is_one_of(name, "authorization authorization_token api_key apiKey access_token")
}

fn is_address(name: &[u8]) -> bool {
    is_one_of(name, "url uri image_url file_url fileUri file_uri server_url s3Location")
}

/// A URL up to its query, which may have a key in it.
pub(super) fn without_query(text: &[u8]) -> &[u8] {
    text.split(|&byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

/// Strings shorter than this are not binary data, whatever their name.
const MIN_BINARY_BYTES: usize = 64;

/// What is left of an image, a sound or a document.
#[derive(Clone, Copy)]
pub(super) struct Media<'a> {
    pub kind: &'a [u8],
    pub bytes: usize,
}

impl<'a> Media<'a> {
    fn of_base64(kind: &'a [u8], text: &[u8]) -> Self {
        let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
        Self { kind, bytes: text.len().saturating_sub(padding).saturating_mul(3) / 4 }
    }

    /// A data URL anywhere, or base64 in a member that has nothing else.
    fn of_string(name: &[u8], text: &'a [u8]) -> Option<Self> {
        if let Some(url) = text.strip_prefix(b"data:") {
            let comma = url.iter().position(|&byte| byte == b',')?;
            let head = url.get(..comma)?;
            let kind = head.split(|&byte| byte == b';').next().unwrap_or_default();
            return Some(Self::of_base64(kind, url.get(comma.saturating_add(1)..)?));
        }
        let is_binary = is_one_of(name, "data bytes b64_json file_data result image images audio encrypted_content")
            && text.len() >= MIN_BINARY_BYTES
            && text
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\'));
        is_binary.then(|| Self::of_base64(b"base64", text))
    }

    /// The first that is in a part of a message, with the type that stands beside it.
    pub fn in_part(part: &'a [u8]) -> Option<Self> {
        Self::within(part, b"", json::MAX_DEPTH)
    }

    fn within(value: &'a [u8], kind: &'a [u8], depth: u32) -> Option<Self> {
        let inner = depth.checked_sub(1)?;
        let beside: [_; 4] = pick(value, "mimeType mime_type media_type format");
        let beside = beside.into_iter().map(content).find(|text| !text.is_empty()).unwrap_or(kind);
        let mut found = None;
        members(value, &mut |name, value| {
            if found.is_some() {
            } else if is_object(value) {
                let kind = if beside.is_empty() { name } else { beside };
                found = Self::within(value, kind, inner);
            } else if is_string(value) {
                let text = content(value);
                found = match Self::of_string(name, text) {
                    Some(Self { kind: b"base64", bytes }) if !beside.is_empty() => Some(Self { kind: beside, bytes }),
                    None if is_one_of(name, "data bytes file_data") => Some(Self::of_base64(beside, text)),
                    other => other,
                };
            }
        });
        found
    }

    pub fn write(self, out: &mut Vec<u8>) {
        out.put_byte(b'[');
        out.put(self.kind);
        out.put(b", ");
        json::write_number(out, self.bytes as u64);
        out.put(b" bytes]");
    }
}
