//! Google's `generateContent`, by AI Studio and Vertex, streamed as events or as one array; and its embeddings.
//! (@google/genai 3.3, `genai.d.ts`, `index.mjs`.)

use super::answer::{Answer, Kind};
use super::part::{part, text};
use super::value::{Value, names};

pub(super) const INPUT: &[u8] = names!(
    "contents content systemInstruction system_instruction tools toolConfig tool_config cachedContent requests instances"
);

/// Reads an answer, or one chunk of it.
pub(super) fn read(value: Value<'_>, out: &mut Answer) {
    let [model, candidates, usage, feedback] =
        value.pick(names!("modelVersion candidates usageMetadata promptFeedback"));
    // Opik prices the name behind the last slash.
    out.model(model.content().rsplit(|&byte| byte == b'/').next().unwrap_or_default());
    out.notes(value, names!("responseId"), names!("id"));
    out.usage(usage);
    out.notes(usage, names!("trafficType"), names!("traffic_type"));
    for candidate in candidates.elements() {
        let [at, content, finish] = candidate.pick(names!("index content finishReason"));
        let at = at.index().unwrap_or(0);
        out.choice(at);
        content.member("parts").elements().for_each(|element| read_part(element, at, out));
        out.finish(at, finish);
        out.notes(candidate, names!("groundingMetadata"), names!("grounding"));
    }
    let blocked = feedback.member("blockReason");
    if blocked.is_some() {
        out.part(0, 0, text(Kind::Refusal, blocked));
        out.finish(0, blocked);
        out.notes(feedback, names!("blockReasonMessage"), names!("block_reason_message"));
    }
}

fn read_part(element: Value<'_>, at: u32, out: &mut Answer) {
    let part = part(element);
    if part.kind == Kind::Call {
        // Each comes whole, and a new one is a new call.
        out.new_call(at, part);
    } else if element.member("inlineData").is_some() {
        out.media(at, 0, element);
    } else {
        out.part(at, 0, part);
    }
}

/// Of an embedding the size only.
pub(super) fn read_embeddings(value: Value<'_>, out: &mut Answer) {
    let [one, many, usage, predictions] = value.pick(names!("embedding embeddings usageMetadata predictions"));
    out.is_embedding = true;
    if one.is_some() {
        out.embedding(one.member("values"));
    }
    many.elements().for_each(|element| out.embedding(element.member("values")));
    predictions.elements().for_each(|element| out.embedding(element.member("embeddings").member("values")));
    out.usage(usage);
}
