//! Google's `generateContent`, by AI Studio and Vertex, streamed as events or as one array; and its embeddings.
//! (@google/genai 3.3, `genai.d.ts`, `index.mjs`.)

use super::answer::{Answer, Part};
use super::conversation::Conversation;
use super::value::{content, elements, index, is_array, is_string, member, pick, quoted, write_member};

pub(super) const INPUT: &[&str] = &[
    "contents",
    "content",
    "systemInstruction",
    "system_instruction",
    "tools",
    "toolConfig",
    "tool_config",
    "cachedContent",
    "requests",
    "instances",
];

pub(super) fn input(body: &[u8], out: &mut Conversation) {
    let [contents, system, snake] = pick(body, "contents systemInstruction system_instruction");
    let system = if system.is_empty() { snake } else { system };
    let parts = member(system, "parts");
    out.message(b"\"system\"", if parts.is_empty() { system } else { parts }, part);
    let mut one = |item: &[u8]| {
        let [role, parts] = pick(item, "role parts");
        out.message(if role.is_empty() { b"\"user\"" } else { role }, if is_string(item) { item } else { parts }, part);
    };
    if is_array(contents) {
        elements(contents, &mut one);
    } else if !contents.is_empty() {
        one(contents);
    }
}

/// A part of a request or of an answer.
fn part(part: &[u8]) -> Part<'_> {
    let [text, thought, call, call_snake, result, result_snake] =
        pick(part, "text thought functionCall function_call functionResponse function_response");
    let call = if call.is_empty() { call_snake } else { call };
    let result = if result.is_empty() { result_snake } else { result };
    if !call.is_empty() {
        let [id, name, arguments] = pick(call, "id name args");
        Part::Call { id, name, arguments }
    } else if !result.is_empty() {
        let [id, name, content] = pick(result, "id name response");
        Part::Result { id, name, content }
    } else if text.is_empty() {
        // A signature belongs to a part that has come.
        let is_signature = !member(part, "thoughtSignature").is_empty()
            && member(part, "inlineData").is_empty()
            && member(part, "executableCode").is_empty();
        if is_signature { Part::None } else { Part::Other(part) }
    } else if thought == b"true" {
        Part::Reasoning(text)
    } else {
        Part::Text(text)
    }
}

/// Reads an answer, or one chunk of it.
pub(super) fn read(value: &[u8], out: &mut Answer) {
    let [model, candidates, usage, id, feedback] =
        pick(value, "modelVersion candidates usageMetadata responseId promptFeedback");
    read_model(model, out);
    out.note("id", id);
    out.usage(usage);
    out.note("traffic_type", member(usage, "trafficType"));
    elements(candidates, &mut |candidate| {
        let [at, content, finish, grounding] = pick(candidate, "index content finishReason groundingMetadata");
        let at = index(at).unwrap_or(0);
        out.choice(at);
        elements(member(content, "parts"), &mut |element| read_part(element, at, out));
        out.finish(at, finish);
        out.note("grounding", grounding);
    });
    let blocked = member(feedback, "blockReason");
    if !blocked.is_empty() {
        out.part(0, 0, Part::Refusal(blocked));
        out.finish(0, blocked);
        out.note("block_reason_message", member(feedback, "blockReasonMessage"));
    }
}

/// Opik prices the name behind the last slash.
fn read_model(model: &[u8], out: &mut Answer) {
    if let Some(name) = content(model).rsplit(|&byte| byte == b'/').next().filter(|name| !name.is_empty()) {
        out.model(&quoted(name));
    }
}

fn read_part(element: &[u8], at: u32, out: &mut Answer) {
    match part(element) {
        Part::Call { id, name, arguments } => {
            let id = if id.is_empty() { b"\"\"" } else { id };
            // Each comes whole, and a new one is a new call.
            out.call(at, None, id, if name.is_empty() { b"\"?\"" } else { name }, arguments);
        }
        Part::Other(value) if !member(value, "inlineData").is_empty() => out.media(at, 0, value),
        part => out.part(at, 0, part),
    }
}

/// Of an embedding the size only.
pub(super) fn read_embeddings(value: &[u8], out: &mut Answer) {
    let [one, many, usage, predictions] = pick(value, "embedding embeddings usageMetadata predictions");
    out.is_embedding = true;
    if !one.is_empty() {
        out.embedding(member(one, "values"));
    }
    elements(many, &mut |element| out.embedding(member(element, "values")));
    elements(predictions, &mut |element| out.embedding(member(member(element, "embeddings"), "values")));
    out.usage(usage);
}

/// The texts to be embedded, as they are.
pub(super) fn embeddings_input(body: &[u8], out: &mut alloc::vec::Vec<u8>) {
    let [content, requests, instances] = pick(body, "content requests instances");
    let input = [content, requests, instances].into_iter().find(|value| !value.is_empty()).unwrap_or(b"");
    write_member(out, b"input", input);
}
