//! A request's messages in the shape that Opik's page renders, `{messages:[{role,content,tool_calls}]}`, whatever their
//! format. Images and audio are left as their type and size.

use alloc::vec::Vec;

use super::answer::Part;
use super::value::{
    Media, Write, content, elements, is_array, is_object, is_one_of, is_string, member, members, pick, without_query,
    write_clean, write_comma, write_content, write_member, write_name, write_string,
};
use crate::json::{MAX_DEPTH, write_number};

/// Collects messages.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// The messages that are complete, with commas.
    out: Vec<u8>,
    /// The message of now; without a role there is none.
    role: Vec<u8>,
    parts: Vec<u8>,
    /// How many parts there are that are not text.
    others: usize,
    texts: usize,
    reasoning: Vec<u8>,
    calls: Vec<u8>,
    count: usize,
}

impl Conversation {
    /// Begins a message, in the role that a string names.
    pub fn begin(&mut self, role: &[u8]) {
        self.end();
        self.role = opik_role(content(role)).to_vec();
    }

    /// Goes on with the assistant's message, or begins one.
    pub fn assistant(&mut self) {
        if self.role != b"assistant" {
            self.begin(b"\"assistant\"");
        }
    }

    /// Takes a part of the message of now.
    pub fn part(&mut self, part: Part<'_>) {
        match part {
            Part::Text(text) | Part::Refusal(text) => {
                self.texts = self.texts.saturating_add(1);
                self.text_part(text);
            }
            Part::Reasoning(text) => self.reasoning.put(content(text)),
            Part::Call { id, name, arguments } => self.call(id, name, arguments),
            Part::Result { id, name, content } => self.result(id, name, content),
            Part::None | Part::Other(b"") => {}
            Part::Other(value) => {
                self.others = self.others.saturating_add(1);
                write_comma(&mut self.parts);
                write_part(&mut self.parts, value);
            }
        }
    }

    fn text_part(&mut self, text: &[u8]) {
        write_comma(&mut self.parts);
        self.parts.put(b"{\"type\":\"text\",\"text\":");
        write_string(&mut self.parts, text);
        self.parts.put_byte(b'}');
    }

    fn call(&mut self, id: &[u8], name: &[u8], arguments: &[u8]) {
        let out = &mut self.calls;
        write_comma(out);
        out.put(b"{\"id\":\"");
        if content(id).is_empty() {
            out.put(b"call_");
            write_number(out, self.count as u64);
        }
        self.count = self.count.saturating_add(1);
        write_content(out, id);
        out.put(b"\",\"type\":\"function\",\"function\":{\"name\":\"");
        out.put(content(name));
        out.put(b"\",\"arguments\":");
        write_string(out, if arguments.is_empty() { b"{}" } else { arguments });
        out.put(b"}}");
    }

    /// Results are messages of their own, before the rest of the message that they came in.
    fn result(&mut self, id: &[u8], name: &[u8], value: &[u8]) {
        let out = &mut self.out;
        write_comma(out);
        out.put(b"{\"role\":\"tool\"");
        write_member(out, b"tool_call_id", id);
        write_member(out, b"name", name);
        write_name(out, b"content");
        if is_array(value) {
            let mut texts = Vec::new();
            let mut are_texts = true;
            elements(value, &mut |part| {
                let text = member(part, "text");
                are_texts &= is_string(text);
                texts.put(content(text));
            });
            if are_texts {
                out.put_byte(b'"');
                out.append(&mut texts);
                out.put_byte(b'"');
            } else {
                out.put_byte(b'[');
                elements(value, &mut |part| {
                    write_comma(out);
                    write_part(out, part);
                });
                out.put_byte(b']');
            }
        } else if is_string(value) {
            write_clean(out, b"content", value, MAX_DEPTH);
        } else {
            let mut clean = Vec::new();
            write_clean(&mut clean, b"content", value, MAX_DEPTH);
            write_string(out, if value.is_empty() { b"\"\"" } else { &clean });
        }
        out.put_byte(b'}');
    }

    /// Ends the message of now, if there is something in it.
    pub fn end(&mut self) {
        let role = core::mem::take(&mut self.role);
        let mut parts = core::mem::take(&mut self.parts);
        let mut calls = core::mem::take(&mut self.calls);
        let mut reasoning = core::mem::take(&mut self.reasoning);
        let (texts, others) = (core::mem::take(&mut self.texts), core::mem::take(&mut self.others));
        if role.is_empty() || (parts.is_empty() && calls.is_empty() && reasoning.is_empty()) {
            return;
        }
        let out = &mut self.out;
        write_comma(out);
        out.put(b"{\"role\":\"");
        out.put(&role);
        out.put(b"\",\"content\":");
        if texts == 1 && others == 0 {
            out.put(member(&parts, "text"));
        } else if parts.is_empty() {
            out.put(b"null");
        } else {
            out.put_byte(b'[');
            out.append(&mut parts);
            out.put_byte(b']');
        }
        if !reasoning.is_empty() {
            out.put(b",\"reasoning_content\":\"");
            out.append(&mut reasoning);
            out.put_byte(b'"');
        }
        if !calls.is_empty() {
            out.put(b",\"tool_calls\":[");
            out.append(&mut calls);
            out.put_byte(b']');
        }
        out.put_byte(b'}');
    }

    /// A message of one text, unless that is empty; the text is a string or parts that have one.
    pub fn message(&mut self, role: &[u8], text: &[u8], part: fn(&[u8]) -> Part<'_>) {
        if text.is_empty() {
            return;
        }
        self.begin(role);
        self.content(text, part);
        self.end();
    }

    /// The content of the message of now: a string, or parts, each told by `part`.
    pub fn content(&mut self, value: &[u8], part: fn(&[u8]) -> Part<'_>) {
        if is_array(value) {
            elements(value, &mut |element| {
                self.part(if is_string(element) { Part::Text(element) } else { part(element) });
            });
        } else if is_string(value) {
            self.part(Part::Text(value));
        } else if is_object(value) {
            self.part(part(value));
        }
    }

    /// A message in OpenAI's shape, which is kept as it is, but for what a row must not have and what Opik does not
    /// render.
    pub fn openai(&mut self, message: &[u8]) {
        self.end();
        let out = &mut self.out;
        write_comma(out);
        if !is_object(message) {
            out.put(b"{\"role\":\"user\",\"content\":");
            write_string(out, message);
            out.put_byte(b'}');
            return;
        }
        out.put_byte(b'{');
        members(message, &mut |name, value| match name {
            word if is_one_of(word, "role") => {
                write_name(out, name);
                out.put_byte(b'"');
                out.put(opik_role(content(value)));
                out.put_byte(b'"');
            }
            word if is_one_of(word, "content") && is_array(value) => {
                write_name(out, name);
                out.put_byte(b'[');
                elements(value, &mut |part| {
                    write_comma(out);
                    write_part(out, part);
                });
                out.put_byte(b']');
            }
            word if is_one_of(word, "tool_calls") => {
                let mut calls = Self::default();
                elements(value, &mut |call| calls.part(openai_call(call)));
                if !calls.calls.is_empty() {
                    write_name(out, name);
                    out.put_byte(b'[');
                    out.append(&mut calls.calls);
                    out.put_byte(b']');
                }
            }
            _ if value == b"null" && name != b"content" => {}
            _ => write_member(out, name, value),
        });
        out.put_byte(b'}');
    }

    /// Appends `"messages":[…]`, unless there are none.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        self.end();
        if !self.out.is_empty() {
            write_name(out, b"messages");
            out.put_byte(b'[');
            out.append(&mut self.out);
            out.put_byte(b']');
        }
    }
}

/// The tool call that is in an element of `tool_calls`.
pub(super) fn openai_call(call: &[u8]) -> Part<'_> {
    let [id, function, custom, name, arguments] = pick(call, "id function custom name arguments");
    let [inner_name, inner_arguments] = pick(function, "name arguments");
    let [custom_name, input] = pick(custom, "name input");
    let name = [inner_name, custom_name, name].into_iter().find(|name| !name.is_empty()).unwrap_or(b"");
    let arguments = [inner_arguments, input, arguments].into_iter().find(|text| !text.is_empty()).unwrap_or(b"");
    Part::Call { id, name, arguments }
}

/// The name that Opik's page has for a role.
fn opik_role(role: &[u8]) -> &[u8] {
    match role {
        word if is_one_of(word, "developer") => b"system",
        word if is_one_of(word, "model") => b"assistant",
        b"" => b"user",
        role => role,
    }
}

/// Appends a part of a message that is no text of a model: an image by its address, or as its type and size.
fn write_part(out: &mut Vec<u8>, part: &[u8]) {
    if let Some(media) = Media::in_part(part) {
        out.put(b"{\"type\":\"text\",\"text\":\"");
        media.write(out);
        out.put(b"\"}");
        return;
    }
    if let Some(address) = image_address(part) {
        out.put(b"{\"type\":\"image_url\",\"image_url\":{\"url\":\"");
        out.put(without_query(address));
        out.put(b"\"}}");
        return;
    }
    write_clean(out, b"", part, MAX_DEPTH);
}

/// The address of an image, in any format.
fn image_address(part: &[u8]) -> Option<&[u8]> {
    let [image, source, file, snake] = pick(part, "image_url source fileData file_data");
    let nested = [member(image, "url"), member(source, "url"), member(file, "fileUri"), member(snake, "file_uri")];
    let found = nested.into_iter().find(|text| is_string(text)).unwrap_or(image);
    (!content(found).is_empty()).then(|| content(found))
}
