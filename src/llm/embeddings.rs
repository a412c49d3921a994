//! Embeddings in OpenAI's shape. A vector tells a reader of a trace nothing: of each its size is kept.
//! (openai 7.57, `embeddings.d.ts`; the SDK asks for base64.)

use super::answer::Answer;
use super::value::{Value, names};

pub(super) const INPUT: &[u8] = names!("input");

/// Reads an answer.
pub(super) fn read(value: Value<'_>, out: &mut Answer) {
    let [model, data, usage] = value.pick(names!("model data usage"));
    out.is_embedding = true;
    out.model(model.content());
    out.notes(value, names!("id"), names!("id"));
    data.elements().for_each(|element| out.embedding(element.member("embedding")));
    out.usage(usage);
}
