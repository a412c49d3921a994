//! Embeddings in OpenAI's shape. A vector tells a reader of a trace nothing: of each its size is kept.
//! (openai 7.57, `embeddings.d.ts`; the SDK asks for base64.)

use super::answer::Answer;
use super::value::{elements, member, pick};

pub(super) const INPUT: &[&str] = &["input"];

/// Reads an answer.
pub(super) fn read(value: &[u8], out: &mut Answer) {
    let [model, data, usage, id] = pick(value, "model data usage id");
    out.is_embedding = true;
    out.model(model);
    out.note("id", id);
    elements(data, &mut |element| out.embedding(member(element, "embedding")));
    out.usage(usage);
}
