//! Removes secrets from recorded values, by the names of their members, and from paths.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Replaces the values of members with one of these names, at any depth of `text`, which is JSON.
pub(super) fn redacted(text: &[u8], names: &[String]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte == b'"') {
        let (before, from) = rest.split_at(at);
        let (string, behind) = from.split_at(string_end(from));
        out.extend_from_slice(before);
        out.extend_from_slice(string);
        rest = behind;
        let space = behind.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if behind.get(space) == Some(&b':') && names.iter().any(|name| is_named(string, name)) {
            out.extend_from_slice(b":\"[redacted]\"");
            let value = behind.get(space.saturating_add(1)..).unwrap_or_default();
            rest = value.get(value_end(value)..).unwrap_or_default();
        }
    }
    out.extend_from_slice(rest);
    out
}

/// `true` if `string`, which is JSON, is this name, in any case and in any spelling: `"\u0074oken"` is `token`.
fn is_named(string: &[u8], name: &str) -> bool {
    let inner = string.get(1..string.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains(&b'\\') {
        return inner.eq_ignore_ascii_case(name.as_bytes());
    }
    let mut wanted = name.chars();
    core::str::from_utf8(inner).is_ok_and(|text| {
        char::decode_utf16(Units { text, low: None })
            .all(|found| found.is_ok_and(|found| wanted.next().is_some_and(|next| next.eq_ignore_ascii_case(&found))))
    }) && wanted.next().is_none()
}

/// The UTF-16 units that a JSON string stands for (RFC 8259 §7), from the text between its quotes.
struct Units<'a> {
    text: &'a str,
    /// The second unit of a character.
    low: Option<u16>,
}

impl Iterator for Units<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if let Some(low) = self.low.take() {
            return Some(low);
        }
        let mut chars = self.text.chars();
        let mut found = chars.next()?;
        if found == '\\' {
            found = match chars.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let (digits, rest) = chars.as_str().split_at_checked(4)?;
                    self.text = rest;
                    return u16::from_str_radix(digits, 16).ok();
                }
                itself => itself,
            };
        }
        self.text = chars.as_str();
        let mut units = [0; 2];
        if let [_, low] = found.encode_utf16(&mut units) {
            self.low = Some(*low);
        }
        units.first().copied()
    }
}

/// The length of the string at the beginning of `text`, with its quotes.
fn string_end(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let closing = text.iter().skip(1).position(|&byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    closing.map_or(text.len(), |at| at.saturating_add(2))
}

/// The length of the value at the beginning of `text`, which ends before a comma or a bracket that closes its parent.
fn value_end(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0_usize, 0_usize);
    while let Some(&byte) = text.get(at) {
        let mut length = 1;
        match byte {
            b'"' => length = string_end(text.get(at..).unwrap_or_default()),
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at = at.saturating_add(length);
    }
    text.len()
}

/// The path with `*` in place of each segment that a pattern hides. A pattern begins with `/`, and fits every path below
/// it; its segments are texts, or `*` for a segment to hide.
pub(super) fn shown<'a>(path: &'a str, patterns: &[String]) -> Cow<'a, str> {
    let fits = |pattern: &&String| {
        let mut segments = path.split('/');
        pattern.split('/').all(|part| segments.next().is_some_and(|segment| part == "*" || part == segment))
    };
    let mut path = Cow::Borrowed(path);
    for pattern in patterns.iter().filter(|pattern| pattern.starts_with('/')).filter(fits) {
        let mut parts = pattern.split('/');
        let hidden: Vec<_> =
            path.split('/').map(|segment| if parts.next() == Some("*") { "*" } else { segment }).collect();
        path = Cow::Owned(hidden.join("/"));
    }
    path
}
