//! The answer of a model so far, in any format: model, text, tool calls, usage, errors. It is written in the shape that
//! Opik's page renders, `{choices:[{index,message,finish_reason}]}`. Texts are joined as they come, escaped, and never
//! decoded.

use alloc::vec::Vec;

use crate::cut::whole_characters;
use crate::json::write_number;

use super::usage::Counts;
use super::value::{
    Media, Value, Write, length_of_base64, names, quoted, truncated, write_clean, write_comma, write_content,
    write_escaped, write_mark,
};

/// Bytes kept besides text: model, ids, names, reasons.
const SMALL_BYTES: usize = 16 * 1024;
/// The longest of these.
const MAX_SMALL_BYTES: usize = 1024;
/// The longest message of an error.
pub(super) const MAX_MESSAGE_BYTES: usize = 4 * 1024;
/// Bytes of a piece besides its text.
const PIECE_BYTES: usize = 96;
const MAX_CHOICES: usize = 128;
/// OpenAI takes 2,048 texts in one call.
const MAX_EMBEDDINGS: usize = 2048;

/// The kind of a part of a message, in any format; it decides where the part's text goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    Reasoning,
    Refusal,
    /// The text of a spoken answer.
    Transcript,
    /// A call of a tool; its value is the arguments, of which a string has their text.
    Call,
    /// The result of a call, any value.
    Result,
    /// Any other value, as it is.
    Other,
    /// Nothing that a row has.
    Nothing,
}

/// A part of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub kind: Kind,
    pub value: Value<'a>,
    /// The id of a call, or of the call that a result belongs to, and the tool's name.
    pub id: Value<'a>,
    pub name: Value<'a>,
}

impl Part<'_> {
    /// `true` if OpenAI's messages have it beside their content.
    pub fn is_block(&self) -> bool {
        matches!(self.kind, Kind::Reasoning | Kind::Call | Kind::Result)
    }
}

#[derive(Debug)]
struct Piece {
    choice: u32,
    key: u32,
    kind: Kind,
    id: Vec<u8>,
    name: Vec<u8>,
    text: Vec<u8>,
    /// Bytes of text that came.
    read: usize,
}

#[derive(Debug)]
struct Choice {
    index: u32,
    finish: Vec<u8>,
}

/// A failure: its class and its message, as JSON strings.
#[derive(Default, Debug)]
pub(super) struct Failure {
    pub kind: Vec<u8>,
    pub message: Vec<u8>,
}

/// The answer so far.
#[derive(Debug)]
pub(super) struct Answer {
    /// A JSON string, or empty.
    pub model: Vec<u8>,
    pub usage: Counts,
    pub failure: Option<Failure>,
    /// Members of the metadata, each once.
    pub notes: Vec<(&'static [u8], Vec<u8>)>,
    /// An event came behind which nothing matters.
    pub is_terminal: bool,
    /// The framing's own end was seen: later bytes are not part of the answer.
    pub is_done: bool,
    /// A text, a thought or a tool call has begun.
    pub has_content: bool,
    pub is_embedding: bool,
    /// A text was not JSON.
    pub is_unparsed: bool,
    pieces: Vec<Piece>,
    choices: Vec<Choice>,
    embeddings: Vec<u32>,
    room: usize,
    small_room: usize,
    is_cut: bool,
}

impl Answer {
    /// An answer that keeps `room` bytes of text.
    pub fn new(room: usize) -> Self {
        Self {
            model: Vec::new(),
            usage: Counts::default(),
            failure: None,
            notes: Vec::new(),
            is_terminal: false,
            is_done: false,
            has_content: false,
            is_embedding: false,
            is_unparsed: false,
            pieces: Vec::new(),
            choices: Vec::new(),
            embeddings: Vec::new(),
            room,
            small_room: SMALL_BYTES,
            is_cut: false,
        }
    }

    /// Keeps no more than `room` bytes of text from now on.
    pub fn restrict(&mut self, room: usize) {
        self.room = self.room.min(room);
    }

    /// `true` if text was dropped.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether every choice has come to its end, and the tokens are known.
    pub fn is_complete(&self) -> bool {
        !self.usage.is_empty()
            && !self.choices.is_empty()
            && self.choices.iter().all(|choice| !choice.finish.is_empty())
    }

    /// Forgets the message so far: the whole of it comes again.
    pub fn restart(&mut self) {
        self.forget(0..u32::MAX);
        for piece in &self.pieces {
            let names = piece.id.len().wrapping_add(piece.name.len());
            self.small_room = self.small_room.wrapping_add(PIECE_BYTES).wrapping_add(names);
        }
        self.pieces.clear();
        self.choices.clear();
    }

    /// Drops the text under these keys: its replacement comes next.
    #[inline(never)]
    pub fn forget(&mut self, keys: core::ops::Range<u32>) {
        for piece in self.pieces.iter_mut().filter(|piece| keys.contains(&piece.key)) {
            self.room = self.room.wrapping_add(piece.text.len());
            piece.text = Vec::new();
            piece.kind = Kind::Nothing;
        }
    }

    /// Takes the first model that is named; `name` is the content of a string.
    #[inline(never)]
    pub fn model(&mut self, name: &[u8]) {
        if self.model.is_empty() && !name.is_empty() && name.len() <= MAX_SMALL_BYTES {
            self.model.put_byte(b'"');
            self.model.put(name);
            self.model.put_byte(b'"');
        }
    }

    /// Takes the usage that came last.
    #[inline(never)]
    pub fn usage(&mut self, value: Value<'_>) {
        if value.is_object() {
            self.usage.clear();
            self.usage.merge(value);
        }
    }

    /// Notes a member of the answer, once.
    #[inline(never)]
    pub fn note(&mut self, name: &'static [u8], value: Value<'_>) {
        let text = value.text();
        if text.len() <= 2 && (value.is_none() || text == b"\"\"") || self.has_note(name) {
            return;
        }
        if self.take_small(name.len().wrapping_add(text.len())) {
            let mut clean = Vec::new();
            write_clean(&mut clean, name, value);
            self.notes.push((name, clean));
        }
    }

    /// Notes a text as a string.
    #[inline(never)]
    pub fn note_text(&mut self, name: &'static [u8], text: &[u8]) {
        if !text.is_empty() && !self.has_note(name) && self.take_small(name.len().wrapping_add(text.len())) {
            self.notes.push((name, quoted(text)));
        }
    }

    /// `true` if there is a note of this name.
    pub fn has_note(&self, name: &[u8]) -> bool {
        self.notes.iter().any(|(known, _)| *known == name)
    }

    fn take_small(&mut self, bytes: usize) -> bool {
        let left = (bytes <= MAX_SMALL_BYTES).then(|| self.small_room.checked_sub(bytes)).flatten();
        self.small_room = left.unwrap_or(self.small_room);
        left.is_some()
    }

    /// A copy of a string, or of the text of another value, if there is room for it.
    #[inline(never)]
    fn small(&mut self, value: Value<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        if value.is_some() && self.take_small(value.text().len()) {
            write_content(&mut out, value);
        }
        out
    }

    /// Notes that a choice exists.
    #[inline(never)]
    pub fn choice(&mut self, index: u32) {
        if !self.choices.iter().any(|choice| choice.index == index) && self.choices.len() < MAX_CHOICES {
            self.choices.push(Choice { index, finish: Vec::new() });
        }
    }

    /// Takes the reason for which a choice ended, if it is a string.
    #[inline(never)]
    pub fn finish(&mut self, index: u32, reason: Value<'_>) {
        self.choice(index);
        if reason.content().is_empty() {
            return;
        }
        let reason = self.small(reason);
        if let Some(choice) = self.choices.iter_mut().find(|choice| choice.index == index) {
            choice.finish = reason;
        }
    }

    fn find(&self, choice: u32, kind: Kind, key: u32) -> Option<usize> {
        self.pieces.iter().rposition(|piece| piece.choice == choice && piece.kind == kind && piece.key == key)
    }

    fn begin(&mut self, choice: u32, kind: Kind, key: u32) -> Option<usize> {
        self.choice(choice);
        if !self.take_small(PIECE_BYTES) {
            // Names and reasons matter more than the order in which text and thoughts alternate.
            self.is_cut = true;
            return None;
        }
        self.pieces.push(Piece { choice, key, kind, id: Vec::new(), name: Vec::new(), text: Vec::new(), read: 0 });
        self.pieces.len().checked_sub(1)
    }

    /// Appends to a text; `value` is a string or, of the arguments of a call, any value.
    #[inline(never)]
    pub fn append(&mut self, choice: u32, kind: Kind, key: u32, value: Value<'_>) {
        let raw = value.text();
        if matches!(raw, b"" | b"\"\"" | b"null") {
            return;
        }
        self.has_content = true;
        let Some(at) = self.find(choice, kind, key).or_else(|| self.begin(choice, kind, key)) else { return };
        let room = self.room;
        let Some(piece) = self.pieces.get_mut(at) else { return };
        let from = piece.text.len();
        let is_whole = piece.read == from;
        let mut escaped = Vec::new();
        let text = if value.is_string() {
            value.content()
        } else {
            write_escaped(&mut escaped, raw);
            &escaped
        };
        piece.read = piece.read.wrapping_add(text.len());
        if is_whole {
            piece.text.put(whole_escapes(text, room));
        }
        let piece_cut = piece.read != piece.text.len();
        self.room = room.saturating_sub(piece.text.len().saturating_sub(from));
        self.is_cut |= piece_cut;
    }

    /// A tool call's name, id, and more of its arguments. `key` is its index; a new id under it is a new call.
    #[inline(never)]
    pub fn call(&mut self, choice: u32, key: Option<u32>, part: &Part<'_>) {
        let (id, name) = (part.id.content(), part.name.content());
        let (mut by_key, mut by_id, mut last, mut next_key) = (None, None, None, 0);
        for (at, piece) in self.pieces.iter().enumerate() {
            if piece.choice == choice && piece.kind == Kind::Call {
                last = Some(at);
                next_key = next_key.max(piece.key.wrapping_add(1));
                if key == Some(piece.key) {
                    by_key = last;
                }
                if piece.id == id {
                    by_id = last;
                }
            }
        }
        let found = match key {
            Some(_) => by_key,
            None if !id.is_empty() => by_id,
            // A piece without index and id continues the last call, unless it has a name.
            None if name.is_empty() => last,
            None => None,
        };
        let known = found.and_then(|at| self.pieces.get(at));
        let is_other = known.is_some_and(|piece| !id.is_empty() && !piece.id.is_empty() && piece.id != id);
        // A new call comes after all others.
        let key = key.or(known.map(|piece| piece.key)).unwrap_or(next_key);
        let found = if is_other { None } else { found };
        let is_empty = id.is_empty() && name.is_empty() && matches!(part.value.text(), b"" | b"\"\"");
        if found.is_none() && is_empty {
            return;
        }
        let Some(at) = found.or_else(|| self.begin(choice, Kind::Call, key)) else { return };
        self.has_content = true;
        let needs = |text: fn(&Piece) -> &Vec<u8>| self.pieces.get(at).is_some_and(|piece| text(piece).is_empty());
        let (needs_id, needs_name) = (needs(|piece| &piece.id), needs(|piece| &piece.name));
        if needs_id {
            let id = self.small(part.id);
            self.set(at, id, |piece| &mut piece.id);
        }
        if needs_name {
            let name = self.small(part.name);
            self.set(at, name, |piece| &mut piece.name);
        }
        self.append(choice, Kind::Call, key, part.value);
    }

    /// A tool call that came whole: the next piece begins another call.
    pub fn new_call(&mut self, choice: u32, part: &Part<'_>) {
        let calls = self.pieces.iter().filter(|piece| piece.choice == choice && piece.kind == Kind::Call);
        let key = calls.map(|piece| piece.key.wrapping_add(1)).max().unwrap_or(0);
        self.call(choice, Some(key), part);
    }

    fn set(&mut self, at: usize, text: Vec<u8>, slot: fn(&mut Piece) -> &mut Vec<u8>) {
        if let Some(piece) = self.pieces.get_mut(at) {
            *slot(piece) = text;
        }
    }

    /// Takes a part of a message that came whole, or begins one; further text goes to the same `key`.
    #[inline(never)]
    pub fn part(&mut self, choice: u32, key: u32, part: &Part<'_>) {
        match part.kind {
            Kind::Call => self.call(choice, Some(key), part),
            Kind::Result | Kind::Other => self.other(choice, key, part.value),
            Kind::Nothing => {}
            kind => self.append(choice, kind, key, part.value),
        }
    }

    /// A value of no kind that Opik renders is kept whole or not at all.
    #[inline(never)]
    fn other(&mut self, choice: u32, key: u32, value: Value<'_>) {
        if value.is_none() {
            return;
        }
        let mut clean = Vec::new();
        write_clean(&mut clean, b"", value);
        self.keep_other(choice, key, clean);
    }

    fn keep_other(&mut self, choice: u32, key: u32, text: Vec<u8>) {
        self.has_content = true;
        if text.len() > self.room {
            self.is_cut = true;
        } else if let Some(at) = self.begin(choice, Kind::Other, key)
            && let Some(piece) = self.pieces.get_mut(at)
        {
            self.room = self.room.saturating_sub(text.len());
            piece.read = text.len();
            piece.text = text;
        }
    }

    /// Notes the size of an embedding: an array of numbers, or a string of base64 with four bytes for each.
    #[inline(never)]
    pub fn embedding(&mut self, value: Value<'_>) {
        self.is_embedding = true;
        self.has_content = true;
        let mut count = 0_u32;
        if value.is_string() {
            let digits = length_of_base64(value.content());
            count = u32::try_from(digits.saturating_mul(3) / 16).unwrap_or(0);
        } else {
            for element in value.elements() {
                count = truncated(element.content()).unwrap_or(count.saturating_add(1));
            }
        }
        if self.embeddings.len() < MAX_EMBEDDINGS {
            self.embeddings.push(count);
        }
    }

    /// The failure that an answer or an event tells of, if it does: `{"error":{…}}`, `{"error":"…"}`,
    /// `{"errors":[{…}]}`, or a message beside a type.
    #[inline(never)]
    pub fn error(&mut self, value: Value<'_>) -> bool {
        let [error, errors] = value.pick(names!("error errors"));
        let error = if error.is_array() || error.is_none() {
            error.elements().chain(errors.elements()).next().unwrap_or(value.none())
        } else {
            error
        };
        if error.is_none() || error.is_false() {
            return false;
        }
        self.fail_with(error);
        true
    }

    /// Takes the failure that `error` describes: an object with a type, a code and a message, or a message.
    #[inline(never)]
    pub fn fail_with(&mut self, error: Value<'_>) {
        let [kind, status, code] = error.pick(names!("type status code"));
        // `error` is what tells an error from other events, and not its class; a status that is a number is the answer's.
        let is_class = |kind: &Value<'_>| kind.is_string() && kind.content() != b"error";
        let kind = [kind, status].into_iter().find(is_class).unwrap_or(code);
        let message = if error.is_object() { error.any(names!("message Message detail")) } else { error };
        let (mut class, mut text) = (Vec::new(), Vec::new());
        write_content(&mut class, kind);
        write_content(&mut text, message);
        self.fail(&class, &text);
    }

    /// Takes the first failure's class and message, contents of strings.
    #[inline(never)]
    pub fn fail(&mut self, kind: &[u8], message: &[u8]) {
        let known = self.failure.get_or_insert_default();
        for (slot, text, limit) in
            [(&mut known.kind, kind, MAX_SMALL_BYTES), (&mut known.message, message, MAX_MESSAGE_BYTES)]
        {
            if slot.is_empty() && !text.is_empty() {
                slot.put_byte(b'"');
                slot.put(whole_escapes(text, limit));
                slot.put_byte(b'"');
            }
        }
    }

    /// Appends the output; nothing where nothing came.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.is_embedding {
            out.put(b"{\"embeddings\":[");
            for (index, &dimensions) in self.embeddings.iter().enumerate() {
                write_embedding(out, index, dimensions as usize);
            }
            out.put(b"]}");
        } else if !self.choices.is_empty() {
            out.put(b"{\"choices\":[");
            let mut from = 0;
            // There are few, and mostly one.
            while let Some(choice) =
                self.choices.iter().filter(|choice| choice.index >= from).min_by_key(|choice| choice.index)
            {
                self.write_choice(out, choice);
                from = choice.index.wrapping_add(1);
            }
            out.put(b"]}");
        }
    }

    fn write_choice(&self, out: &mut Vec<u8>, choice: &Choice) {
        write_comma(out);
        out.put(b"{\"index\":");
        write_number(out, choice.index.into());
        out.put(b",\"message\":{\"role\":\"assistant\"");
        for (kind, before, behind) in PARTS {
            let mut pieces =
                self.pieces.iter().filter(|piece| piece.choice == choice.index && piece.kind == kind).enumerate();
            let mut next = pieces.next();
            if next.is_none() {
                if kind == Kind::Text {
                    out.put(b",\"content\":null");
                }
                continue;
            }
            out.put(before.as_bytes());
            while let Some((index, piece)) = next {
                piece.write(out, index);
                next = pieces.next();
            }
            out.put(behind.as_bytes());
        }
        out.put_byte(b'}');
        if !choice.finish.is_empty() {
            out.put(b",\"finish_reason\":\"");
            out.put(&choice.finish);
            out.put_byte(b'"');
        }
        out.put_byte(b'}');
    }

    /// Takes the reason for which a choice has no text, unless there is a reason already.
    pub fn refuse(&mut self, choice: u32, reason: Value<'_>) {
        if !self.pieces.iter().any(|piece| piece.choice == choice && piece.kind == Kind::Text) {
            self.append(choice, Kind::Refusal, 0, reason);
        }
    }

    /// Notes the id of a spoken answer.
    pub fn audio_id(&mut self, choice: u32, id: Value<'_>) {
        if id.content().is_empty() {
            return;
        }
        let at = self.find(choice, Kind::Transcript, 0).or_else(|| self.begin(choice, Kind::Transcript, 0));
        if let Some(at) = at
            && self.pieces.get(at).is_some_and(|piece| piece.id.is_empty())
        {
            let id = self.small(id);
            self.set(at, id, |piece| &mut piece.id);
        }
    }

    /// Notes an image or a sound that came, by type and size.
    pub fn media(&mut self, choice: u32, key: u32, part: Value<'_>) {
        if let Some(media) = Media::in_part(part) {
            let mut text = Vec::new();
            text.put_byte(b'"');
            media.write(&mut text);
            text.put_byte(b'"');
            self.keep_other(choice, key, text);
        }
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        let pieces = self.pieces.iter().map(|piece| piece.text.capacity().saturating_add(PIECE_BYTES));
        pieces.fold(0, usize::saturating_add)
    }
}

/// The members of a message, in their order: the kind of their pieces, and the text around them.
const PARTS: [(Kind, &str, &str); 6] = [
    (Kind::Text, ",\"content\":\"", "\""),
    (Kind::Reasoning, ",\"reasoning_content\":\"", "\""),
    (Kind::Refusal, ",\"refusal\":\"", "\""),
    (Kind::Call, ",\"tool_calls\":[", "]"),
    (Kind::Transcript, ",\"audio\":{", "}"),
    (Kind::Other, ",\"other\":[", "]"),
];

impl Piece {
    fn write(&self, out: &mut Vec<u8>, index: usize) {
        let mut behind: &[u8] = b"";
        match self.kind {
            Kind::Call => {
                write_comma(out);
                out.put(b"{\"id\":\"");
                if self.id.is_empty() {
                    out.put(b"call_");
                    write_number(out, index as u64);
                }
                out.put(&self.id);
                out.put(b"\",\"type\":\"function\",\"function\":{\"name\":\"");
                out.put(&self.name);
                out.put(b"\",\"arguments\":\"");
                if self.read == 0 {
                    out.put(b"{}");
                }
                behind = b"\"}}";
            }
            Kind::Transcript => {
                out.put(b"\"id\":\"");
                out.put(&self.id);
                out.put(b"\",\"transcript\":\"");
                behind = b"\"";
            }
            Kind::Other => write_comma(out),
            _ => {}
        }
        out.put(without_half(&self.text));
        if self.read > self.text.len() {
            write_mark(out, self.read);
        }
        out.put(behind);
    }
}

/// Without the first half of a pair of escapes whose second half has not come.
fn without_half(text: &[u8]) -> &[u8] {
    let Some((before, [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..])) =
        text.split_at_checked(text.len().saturating_sub(6))
    else {
        return text;
    };
    let is_escaped = before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1;
    if is_escaped { text } else { before }
}

/// The start of a string's content that is at most `limit` bytes long and ends neither within a character nor within
/// an escape or a pair of them.
fn whole_escapes(text: &[u8], limit: usize) -> &[u8] {
    if text.len() <= limit {
        return text;
    }
    let kept = whole_characters(text, limit);
    let window = kept.len().saturating_sub(12);
    let mut end = kept.len();
    // An escape is at most six bytes long, and a pair has two.
    let mut at = kept.iter().take(window).rposition(|&byte| byte != b'\\').map_or(0, |at| at.wrapping_add(1));
    while at < kept.len() {
        let length = match (kept.get(at), kept.get(at.wrapping_add(1))) {
            (Some(b'\\'), Some(b'u')) => 6,
            (Some(b'\\'), _) => 2,
            _ => 1,
        };
        let next = at.wrapping_add(length);
        let is_high =
            matches!(text.get(at..next), Some([b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..]));
        if next > kept.len() || (is_high && next >= kept.len()) {
            end = at;
            break;
        }
        at = next;
    }
    kept.get(..end).unwrap_or_default()
}

/// Appends a vector as its dimensions.
#[inline(never)]
pub(super) fn write_embedding(out: &mut Vec<u8>, index: usize, dimensions: usize) {
    write_comma(out);
    out.put(b"{\"index\":");
    write_number(out, index as u64);
    out.put(b",\"dimensions\":");
    write_number(out, dimensions as u64);
    out.put_byte(b'}');
}
