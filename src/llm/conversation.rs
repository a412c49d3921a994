//! A request's messages in the shape that Opik's page renders, `{messages:[{role,content,tool_calls}]}`, whatever their
//! format. Images and audio are left as their type and size.

use alloc::vec::Vec;

use super::answer::{Kind, Part};
use super::part::{call, part, text};
use super::value::{
    Media, Value, Write, names, position, write_clean, write_comma, write_content, write_escaped, write_member,
    write_name, write_url,
};
use crate::json::write_number;

/// Collects messages.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// The messages that are complete, with commas.
    out: Vec<u8>,
    message: Message,
    calls: usize,
}

/// The message that is being read; without a role there is no message.
#[derive(Debug, Default)]
struct Message {
    role: Vec<u8>,
    /// With commas.
    parts: Vec<u8>,
    /// The last text, the content of a string.
    text: Vec<u8>,
    /// Number of text parts, and of other parts.
    texts: usize,
    others: usize,
    reasoning: Vec<u8>,
    /// With commas.
    calls: Vec<u8>,
}

impl Conversation {
    /// Begins a message.
    #[inline(never)]
    pub fn begin(&mut self, role: &[u8]) {
        self.end();
        self.message.role.put(opik_role(role));
    }

    /// Goes on with the assistant's message, or begins one.
    pub fn assistant(&mut self) {
        if self.message.role != b"assistant" {
            self.begin(b"assistant");
        }
    }

    /// Adds a part to the current message.
    #[inline(never)]
    pub fn part(&mut self, part: &Part<'_>) {
        let message = &mut self.message;
        match part.kind {
            // Mistral's thoughts have parts.
            Kind::Reasoning if part.value.is_array() => {
                part.value.elements().for_each(|inner| message.reasoning.put(inner.member("text").content()));
            }
            Kind::Reasoning => message.reasoning.put(part.value.content()),
            Kind::Call => write_call(&mut message.calls, part, &mut self.calls),
            Kind::Result => write_result(&mut self.out, part),
            Kind::Other if part.value.is_some() => {
                message.others = message.others.wrapping_add(1);
                write_comma(&mut message.parts);
                write_part(&mut message.parts, part.value);
            }
            Kind::Other | Kind::Nothing => {}
            Kind::Text | Kind::Refusal | Kind::Transcript => {
                message.texts = message.texts.wrapping_add(1);
                message.text.clear();
                write_content(&mut message.text, part.value);
                write_comma(&mut message.parts);
                message.parts.put(b"{\"type\":\"text\",\"text\":\"");
                message.parts.put(&message.text);
                message.parts.put(b"\"}");
            }
        }
    }

    /// Writes the current message, unless it is empty, and begins the next one.
    #[inline(never)]
    pub fn end(&mut self) {
        let message = core::mem::take(&mut self.message);
        if message.role.is_empty()
            || (message.parts.is_empty() && message.calls.is_empty() && message.reasoning.is_empty())
        {
            return;
        }
        let out = &mut self.out;
        write_comma(out);
        out.put(b"{\"role\":\"");
        out.put(&message.role);
        out.put(b"\",\"content\":");
        let (before, content, behind): (&[u8], &[u8], &[u8]) = if message.texts == 1 && message.others == 0 {
            (b"\"", &message.text, b"\"")
        } else if message.parts.is_empty() {
            (b"", b"null", b"")
        } else {
            (b"[", &message.parts, b"]")
        };
        out.put(before);
        out.put(content);
        out.put(behind);
        if !message.reasoning.is_empty() {
            out.put(b",\"reasoning_content\":\"");
            out.put(&message.reasoning);
            out.put_byte(b'"');
        }
        if !message.calls.is_empty() {
            out.put(b",\"tool_calls\":[");
            out.put(&message.calls);
            out.put_byte(b']');
        }
        out.put_byte(b'}');
    }

    /// Appends a message with one content, unless the content is absent.
    #[inline(never)]
    pub fn message(&mut self, role: &[u8], content: Value<'_>) {
        if content.is_some() {
            self.begin(role);
            self.content(content);
            self.end();
        }
    }

    /// Adds the content of the current message: a string, a part, or a list of these.
    #[inline(never)]
    pub fn content(&mut self, value: Value<'_>) {
        let mut one = |value: Value<'_>| {
            if value.is_string() {
                self.part(&text(Kind::Text, value));
            } else if value.is_object() {
                self.part(&part(value));
            }
        };
        one(value);
        value.elements().for_each(one);
    }

    /// An item of a response that a request goes on with.
    #[inline(never)]
    pub fn item(&mut self, item: Value<'_>) {
        if item.is_string() {
            self.message(b"user", item);
            return;
        }
        let [kind, role, content, summary] = item.pick(names!("type role content summary"));
        match position(names!("message reasoning"), kind.content()) {
            2.. if !kind.content().is_empty() => {
                let part = part(item);
                if part.kind == Kind::Result {
                    self.end();
                } else {
                    self.assistant();
                }
                self.part(&part);
            }
            0 | 2.. => {
                if role.content() == b"assistant" {
                    self.assistant();
                } else {
                    self.begin(role.content());
                }
                self.content(content);
            }
            _ => {
                self.assistant();
                for thought in summary.elements().chain(content.elements()) {
                    self.part(&text(Kind::Reasoning, thought.member("text")));
                }
            }
        }
    }

    /// Appends a message in OpenAI's shape. It is copied without secrets and binary data, and without parts that Opik
    /// does not render.
    #[inline(never)]
    pub fn openai(&mut self, message: Value<'_>) {
        if !message.is_object() {
            self.message(b"user", message);
            return;
        }
        self.end();
        let out = &mut self.out;
        write_comma(out);
        out.put_byte(b'{');
        for (name, value) in message.members() {
            if name == b"role" {
                write_name(out, name);
                out.put_byte(b'"');
                out.put(opik_role(value.content()));
                out.put_byte(b'"');
            } else if name == b"content" && value.is_array() {
                write_name(out, name);
                write_parts(out, value);
            } else if name == b"tool_calls" {
                let (mut calls, mut count) = (Vec::new(), 0);
                for element in value.elements() {
                    write_call(&mut calls, &call(element), &mut count);
                }
                if !calls.is_empty() {
                    write_name(out, name);
                    out.put_byte(b'[');
                    out.put(&calls);
                    out.put_byte(b']');
                }
            } else if name == b"content" || !value.is_null() {
                write_member(out, name, value);
            }
        }
        out.put_byte(b'}');
    }

    /// The messages, with commas.
    pub fn messages(&mut self) -> &[u8] {
        self.end();
        &self.out
    }

    /// Appends `"messages":[…]`, unless it would be empty.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        let messages = self.messages();
        if !messages.is_empty() {
            write_name(out, b"messages");
            out.put_byte(b'[');
            out.put(messages);
            out.put_byte(b']');
        }
    }
}

/// Appends a call of a tool; `count` is how many came before it.
#[inline(never)]
fn write_call(out: &mut Vec<u8>, part: &Part<'_>, count: &mut usize) {
    write_comma(out);
    out.put(b"{\"id\":\"");
    if part.id.content().is_empty() {
        out.put(b"call_");
        write_number(out, *count as u64);
    }
    *count = count.wrapping_add(1);
    write_content(out, part.id);
    out.put(b"\",\"type\":\"function\",\"function\":{\"name\":\"");
    out.put(part.name.content());
    out.put(b"\",\"arguments\":\"");
    if part.value.is_none() {
        out.put(b"{}");
    }
    write_content(out, part.value);
    out.put(b"\"}}");
}

/// Appends the result of a call as a separate message, before the rest of the message that contained it.
#[inline(never)]
fn write_result(out: &mut Vec<u8>, part: &Part<'_>) {
    let value = part.value;
    write_comma(out);
    out.put(b"{\"role\":\"tool\"");
    write_member(out, b"tool_call_id", part.id);
    write_member(out, b"name", part.name);
    write_name(out, b"content");
    if value.is_array() && !value.elements().all(|part| part.member("text").is_string()) {
        write_parts(out, value);
    } else if value.is_string() {
        write_clean(out, b"content", value);
    } else {
        out.put_byte(b'"');
        for part in value.elements() {
            out.put(part.member("text").content());
        }
        if !value.is_array() {
            let mut clean = Vec::new();
            write_clean(&mut clean, b"content", value);
            write_escaped(out, &clean);
        }
        out.put_byte(b'"');
    }
    out.put_byte(b'}');
}

/// The name that Opik's page has for a role.
fn opik_role(role: &[u8]) -> &[u8] {
    match position(names!("developer model"), role) {
        0 => b"system",
        1 => b"assistant",
        _ if role.is_empty() => b"user",
        _ => role,
    }
}

fn write_parts(out: &mut Vec<u8>, parts: Value<'_>) {
    out.put_byte(b'[');
    for part in parts.elements() {
        write_comma(out);
        write_part(out, part);
    }
    out.put_byte(b']');
}

/// Appends a part of a message other than text: an image as its address, or as its type and size.
#[inline(never)]
fn write_part(out: &mut Vec<u8>, part: Value<'_>) {
    if let Some(media) = Media::in_part(part) {
        out.put(b"{\"type\":\"text\",\"text\":\"");
        media.write(out);
        out.put(b"\"}");
        return;
    }
    let image = part.any(names!("image_url source fileData file_data image"));
    let address = image.any(names!("url fileUri file_uri")).or(image).content();
    if address.is_empty() {
        write_clean(out, b"", part);
    } else {
        out.put(b"{\"type\":\"image_url\",\"image_url\":{\"url\":\"");
        write_url(out, address);
        out.put(b"\"}}");
    }
}
