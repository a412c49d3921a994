//! What a model has answered so far, whatever its format: model, text, tool calls, usage, errors; and the shape in which
//! Opik's page renders it, `{choices:[{index,message,finish_reason}]}`. Texts are joined as they come, escaped, and are
//! never decoded.

use alloc::vec::Vec;

use crate::cut::whole_characters;
use crate::json::{MAX_DEPTH, write_number};

use super::usage::Counts;
use super::value::{
    Media, Write, content, elements, index, is_array, is_object, is_string, pick, quoted, write_clean, write_comma,
    write_content, write_escaped, write_name, write_string,
};

/// What is kept beside text: model, ids, names, reasons.
const SMALL_BYTES: usize = 16 * 1024;
/// The longest of these.
const MAX_SMALL_BYTES: usize = 1024;
/// The longest message of an error.
const MAX_MESSAGE_BYTES: usize = 4 * 1024;
/// What a piece takes beside its text.
const PIECE_BYTES: usize = 96;
const MAX_CHOICES: usize = 128;
/// OpenAI takes 2,048 texts in one call.
const MAX_EMBEDDINGS: usize = 2048;

/// What a part of a message is, in any format.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    /// A string.
    Text(&'a [u8]),
    /// A string.
    Reasoning(&'a [u8]),
    /// A string.
    Refusal(&'a [u8]),
    /// Strings; the arguments are any value, where they are a string it has their text.
    Call { id: &'a [u8], name: &'a [u8], arguments: &'a [u8] },
    /// The result of a call; its content is any value.
    Result { id: &'a [u8], name: &'a [u8], content: &'a [u8] },
    /// Anything else.
    Other(&'a [u8]),
    /// Nothing.
    None,
}

/// Where a text goes to in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    Reasoning,
    Refusal,
    /// What a spoken answer says.
    Transcript,
    Call,
    /// A value, as it is.
    Other,
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
#[derive(Debug)]
pub(super) struct Failure {
    pub kind: Vec<u8>,
    pub message: Vec<u8>,
}

/// What has come so far.
#[derive(Debug)]
pub(super) struct Answer {
    /// A JSON string, or empty.
    pub model: Vec<u8>,
    pub usage: Counts,
    pub failure: Option<Failure>,
    /// Members of the metadata, each once.
    pub notes: Vec<(&'static str, Vec<u8>)>,
    /// An event came behind which nothing matters.
    pub is_terminal: bool,
    /// The framing's own end was seen: what comes after it is no part of the answer.
    pub is_done: bool,
    /// A text, a thought or a tool call has begun.
    pub has_content: bool,
    pub is_embedding: bool,
    /// A text that is no JSON.
    pub is_unparsed: bool,
    pieces: Vec<Piece>,
    choices: Vec<Choice>,
    embeddings: Vec<u32>,
    room: usize,
    small_room: usize,
    is_cut: bool,
}

impl Answer {
    /// One that keeps `room` bytes of text.
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

    /// Whether text is missing.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether every choice has come to its end, and the tokens are known.
    pub fn is_complete(&self) -> bool {
        !self.usage.is_empty()
            && !self.choices.is_empty()
            && self.choices.iter().all(|choice| !choice.finish.is_empty())
    }

    /// Forgets what the model has said: what comes next is the whole of it.
    pub fn restart(&mut self) {
        for piece in core::mem::take(&mut self.pieces) {
            self.give_back(&piece);
        }
        self.choices.clear();
    }

    fn give_back(&mut self, piece: &Piece) {
        self.room = self.room.saturating_add(piece.text.len());
        self.small_room = self.small_room.saturating_add(
            PIECE_BYTES.saturating_add(piece.id.len()).saturating_add(piece.name.len()).min(SMALL_BYTES),
        );
    }

    /// Takes the first model that is named.
    #[inline(never)]
    pub fn model(&mut self, value: &[u8]) {
        if self.model.is_empty() && is_string(value) && !content(value).is_empty() && value.len() <= MAX_SMALL_BYTES {
            self.model = value.to_vec();
        }
    }

    /// Takes the usage that came last.
    #[inline(never)]
    pub fn usage(&mut self, value: &[u8]) {
        if is_object(value) {
            self.usage.clear();
            self.usage.merge(value);
        }
    }

    /// Notes a member of the answer, once.
    #[inline(never)]
    pub fn note(&mut self, name: &'static str, value: &[u8]) {
        let is_known = self.notes.iter().any(|(known, _)| *known == name);
        if value.is_empty() || value == b"\"\"" || is_known || !self.take_small(name.len().saturating_add(value.len()))
        {
            return;
        }
        let mut clean = Vec::new();
        write_clean(&mut clean, name.as_bytes(), value, MAX_DEPTH);
        self.notes.push((name, clean));
    }

    /// Notes a text as a string.
    pub fn note_text(&mut self, name: &'static str, text: &[u8]) {
        self.note(name, &quoted(text));
    }

    fn take_small(&mut self, bytes: usize) -> bool {
        let left = (bytes <= MAX_SMALL_BYTES).then(|| self.small_room.checked_sub(bytes)).flatten();
        self.small_room = left.unwrap_or(self.small_room);
        left.is_some()
    }

    /// A copy of a string, or of the text of another value, if there is room for it.
    fn small(&mut self, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if !value.is_empty() && self.take_small(value.len()) {
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

    /// Takes why a choice came to its end; a string, anything else is none.
    #[inline(never)]
    pub fn finish(&mut self, index: u32, reason: &[u8]) {
        self.choice(index);
        if content(reason).is_empty() {
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
    pub fn append(&mut self, choice: u32, kind: Kind, key: u32, value: &[u8]) {
        let is_text = is_string(value);
        if value.is_empty() || value == b"\"\"" || value == b"null" {
            return;
        }
        self.has_content = true;
        let Some(at) = self.find(choice, kind, key).or_else(|| self.begin(choice, kind, key)) else { return };
        let room = self.room;
        let Some(piece) = self.pieces.get_mut(at) else { return };
        let from = piece.text.len();
        let is_whole = piece.read == from;
        let mut escaped = Vec::new();
        let text = if is_text {
            content(value)
        } else {
            write_escaped(&mut escaped, value);
            &escaped
        };
        piece.read = piece.read.saturating_add(text.len());
        if is_whole {
            piece.text.put(whole_escapes(text, room));
        }
        let piece_cut = piece.read != piece.text.len();
        self.room = room.saturating_sub(piece.text.len().saturating_sub(from));
        self.is_cut |= piece_cut;
    }

    /// A tool call's name, id, and more of its arguments. `key` is its index; a new id under it is a new call.
    #[inline(never)]
    pub fn call(&mut self, choice: u32, key: Option<u32>, id: &[u8], name: &[u8], arguments: &[u8]) {
        let has_id = !content(id).is_empty();
        let calls = |piece: &Piece| piece.choice == choice && piece.kind == Kind::Call;
        let found = match key {
            Some(key) => self.find(choice, Kind::Call, key),
            None if has_id => self.pieces.iter().rposition(|piece| calls(piece) && piece.id == content(id)),
            // One without an index and an id goes on with the last, unless it has a name of its own.
            None if content(name).is_empty() => self.pieces.iter().rposition(calls),
            None => None,
        };
        let is_other = |piece: &Piece| has_id && !piece.id.is_empty() && piece.id != content(id);
        let found = found.filter(|&at| !self.pieces.get(at).is_some_and(is_other));
        if found.is_none() && !has_id && content(name).is_empty() && (arguments.is_empty() || arguments == b"\"\"") {
            return;
        }
        let key =
            key.or_else(|| found.and_then(|at| self.pieces.get(at)).map(|piece| piece.key)).unwrap_or_else(|| {
                // Behind all that are there.
                self.pieces
                    .iter()
                    .filter(|piece| calls(piece))
                    .map(|piece| piece.key.saturating_add(1))
                    .max()
                    .unwrap_or(0)
            });
        let Some(at) = found.or_else(|| self.begin(choice, Kind::Call, key)) else { return };
        self.has_content = true;
        let (id, name) = {
            let Some(piece) = self.pieces.get(at) else { return };
            let (needs_id, needs_name) = (piece.id.is_empty(), piece.name.is_empty());
            (if needs_id { self.small(id) } else { Vec::new() }, if needs_name { self.small(name) } else { Vec::new() })
        };
        if let Some(piece) = self.pieces.get_mut(at) {
            if !id.is_empty() {
                piece.id = id;
            }
            if !name.is_empty() {
                piece.name = name;
            }
        }
        self.append(choice, Kind::Call, key, arguments);
    }

    /// Takes a part of a message that came whole, or begins one; further text goes to the same `key`.
    #[inline(never)]
    pub fn part(&mut self, choice: u32, key: u32, part: Part<'_>) {
        match part {
            Part::Text(text) => self.append(choice, Kind::Text, key, text),
            Part::Reasoning(text) => self.append(choice, Kind::Reasoning, key, text),
            Part::Refusal(text) => self.append(choice, Kind::Refusal, key, text),
            Part::Call { id, name, arguments } => self.call(choice, Some(key), id, name, arguments),
            Part::Result { content, .. } => self.other(choice, key, content),
            Part::Other(value) => self.other(choice, key, value),
            Part::None => {}
        }
    }

    /// A value of no kind that Opik renders is kept whole or not at all.
    #[inline(never)]
    fn other(&mut self, choice: u32, key: u32, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        let mut clean = Vec::new();
        write_clean(&mut clean, b"", value, MAX_DEPTH);
        self.has_content = true;
        if clean.len() > self.room {
            self.is_cut = true;
            return;
        }
        if let Some(at) = self.begin(choice, Kind::Other, key)
            && let Some(piece) = self.pieces.get_mut(at)
        {
            self.room = self.room.saturating_sub(clean.len());
            piece.read = clean.len();
            piece.text = clean;
        }
    }

    /// Drops what stands under this key: what comes next replaces it.
    pub fn forget(&mut self, choice: u32, keys: core::ops::Range<u32>) {
        for piece in core::mem::take(&mut self.pieces) {
            if piece.choice == choice && keys.contains(&piece.key) {
                self.give_back(&piece);
            } else {
                self.pieces.push(piece);
            }
        }
    }

    /// Notes the size of an embedding: an array of numbers, or a string of base64 with four bytes for each.
    pub fn embedding(&mut self, value: &[u8]) {
        self.is_embedding = true;
        self.has_content = true;
        let mut count = 0_u32;
        if is_string(value) {
            let text = content(value);
            let bytes = truncated(text).unwrap_or_else(|| {
                let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
                u32::try_from(text.len().saturating_sub(padding)).unwrap_or(0)
            });
            count = bytes.saturating_mul(3) / 16;
        } else {
            elements(value, &mut |element| {
                count = truncated(content(element)).unwrap_or_else(|| count.saturating_add(1));
            });
        }
        if self.embeddings.len() < MAX_EMBEDDINGS {
            self.embeddings.push(count);
        }
    }

    /// The failure that an answer or an event tells of, if it does: `{"error":{…}}`, `{"error":"…"}`,
    /// `{"errors":[{…}]}`, or a message beside a type.
    #[inline(never)]
    pub fn error(&mut self, value: &[u8]) -> bool {
        let [error, errors] = pick(value, "error errors");
        let mut first: &[u8] = b"";
        for list in [error, errors] {
            if is_array(list) && first.is_empty() {
                elements(list, &mut |element| {
                    if first.is_empty() {
                        first = element;
                    }
                });
            }
        }
        let error = if is_array(error) || error.is_empty() { first } else { error };
        if error.is_empty() || error == b"false" {
            return false;
        }
        self.fail_with(error);
        true
    }

    /// Takes the failure that `error` describes: an object with a type, a code and a message, or a message.
    pub fn fail_with(&mut self, error: &[u8]) {
        let [kind, status, code, message, capital, detail] = pick(error, "type status code message Message detail");
        // `error` is what tells an error from other events, and not its class.
        let kind = if kind == b"\"error\"" { b"" } else { kind };
        let kind =
            [kind, status, code].into_iter().find(|kind| is_string(kind) || index(kind).is_some()).unwrap_or(b"");
        let message = [message, capital, detail].into_iter().find(|text| !text.is_empty()).unwrap_or(b"");
        let message = if is_object(error) { message } else { error };
        self.fail(kind, message);
    }

    /// Takes the first failure's class and message.
    #[inline(never)]
    pub fn fail(&mut self, kind: &[u8], message: &[u8]) {
        let known = self.failure.get_or_insert_with(|| Failure { kind: Vec::new(), message: Vec::new() });
        if known.kind.is_empty() && !kind.is_empty() && kind.len() <= MAX_SMALL_BYTES {
            write_string(&mut known.kind, kind);
        }
        if known.message.is_empty() && !message.is_empty() {
            let mut text = Vec::new();
            write_content(&mut text, message);
            known.message.put_byte(b'"');
            known.message.put(whole_escapes(&text, MAX_MESSAGE_BYTES));
            known.message.put_byte(b'"');
        }
    }

    /// Appends the output; nothing where nothing came.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.is_embedding {
            out.put(b"{\"embeddings\":[");
            for (index, &dimensions) in self.embeddings.iter().enumerate() {
                out.put(if index == 0 { b"{\"index\":" } else { b",{\"index\":" });
                write_number(out, index as u64);
                out.put(b",\"dimensions\":");
                write_number(out, dimensions.into());
                out.put_byte(b'}');
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
                from = choice.index.saturating_add(1);
            }
            out.put(b"]}");
        }
    }

    fn write_choice(&self, out: &mut Vec<u8>, choice: &Choice) {
        let of =
            |kind: Kind| self.pieces.iter().filter(move |piece| piece.choice == choice.index && piece.kind == kind);
        let write_text = |out: &mut Vec<u8>, name: &[u8], kind: Kind| {
            if of(kind).next().is_some() {
                write_name(out, name);
                out.put_byte(b'"');
                of(kind).for_each(|piece| piece.write_text(out));
                out.put_byte(b'"');
            }
        };
        write_name_less(out, b"{\"index\":");
        write_number(out, choice.index.into());
        out.put(b",\"message\":{\"role\":\"assistant\"");
        if of(Kind::Text).next().is_none() {
            out.put(b",\"content\":null");
        }
        write_text(out, b"content", Kind::Text);
        write_text(out, b"reasoning_content", Kind::Reasoning);
        write_text(out, b"refusal", Kind::Refusal);
        if of(Kind::Call).next().is_some() {
            out.put(b",\"tool_calls\":[");
            for (index, piece) in of(Kind::Call).enumerate() {
                piece.write_call(out, index);
            }
            out.put_byte(b']');
        }
        if let Some(piece) = of(Kind::Transcript).next() {
            out.put(b",\"audio\":{\"id\":\"");
            out.put(&piece.id);
            out.put(b"\",\"transcript\":\"");
            piece.write_text(out);
            out.put(b"\"}");
        }
        if of(Kind::Other).next().is_some() {
            out.put(b",\"other\":[");
            for piece in of(Kind::Other) {
                write_name_less(out, &piece.text);
            }
            out.put_byte(b']');
        }
        out.put_byte(b'}');
        if !choice.finish.is_empty() {
            out.put(b",\"finish_reason\":\"");
            out.put(&choice.finish);
            out.put_byte(b'"');
        }
        out.put_byte(b'}');
    }

    /// Notes the id of a spoken answer.
    pub fn audio_id(&mut self, choice: u32, id: &[u8]) {
        if content(id).is_empty() {
            return;
        }
        let at = self.find(choice, Kind::Transcript, 0).or_else(|| self.begin(choice, Kind::Transcript, 0));
        let id = self.small(id);
        if let Some(piece) = at.and_then(|at| self.pieces.get_mut(at)).filter(|piece| piece.id.is_empty()) {
            piece.id = id;
        }
    }

    /// Notes an image or a sound that came, by type and size.
    pub fn media(&mut self, choice: u32, key: u32, part: &[u8]) {
        if let Some(media) = Media::in_part(part) {
            let mut text = Vec::new();
            text.put_byte(b'"');
            media.write(&mut text);
            text.put_byte(b'"');
            self.other(choice, key, &text);
        }
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        let pieces = self.pieces.iter().map(|piece| piece.text.capacity().saturating_add(PIECE_BYTES));
        pieces.fold(0, usize::saturating_add)
    }
}

impl Piece {
    fn write_text(&self, out: &mut Vec<u8>) {
        out.put(without_half(&self.text));
        if self.read > self.text.len() {
            out.put("… [opik_truncated: ".as_bytes());
            write_number(out, self.read as u64);
            out.put(b" bytes]");
        }
    }

    fn write_call(&self, out: &mut Vec<u8>, index: usize) {
        write_name_less(out, b"{\"id\":\"");
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
        self.write_text(out);
        out.put(b"\"}}");
    }
}

/// Appends an element or an opening, behind a comma where it is not the first.
fn write_name_less(out: &mut Vec<u8>, text: &[u8]) {
    write_comma(out);
    out.put(text);
}

/// How long a text was that says it was cut, or how many numbers it stands for.
fn truncated(text: &[u8]) -> Option<u32> {
    const MARK: &[u8] = b"[opik_truncated: ";
    let at = text.windows(MARK.len()).rposition(|window| window == MARK)?;
    let digits = text.get(at.saturating_add(MARK.len())..)?.split(|byte| !byte.is_ascii_digit()).next()?;
    index(digits)
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
    let mut at = kept.iter().take(window).rposition(|&byte| byte != b'\\').map_or(0, |at| at.saturating_add(1));
    while at < kept.len() {
        let length = match (kept.get(at), kept.get(at.saturating_add(1))) {
            (Some(b'\\'), Some(b'u')) => 6,
            (Some(b'\\'), _) => 2,
            _ => 1,
        };
        let next = at.saturating_add(length);
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
