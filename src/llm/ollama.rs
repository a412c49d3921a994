//! Ollama's own chat, completions and embeddings, a JSON text a line. Its durations are in nanoseconds, too large for
//! Opik's usage: they go into the metadata. (ollama 0.6.)

use super::answer::{Answer, Kind};
use super::openai_chat::read_message;
use super::value::{Value, names};

pub(super) const INPUT: &[u8] = names!("messages prompt suffix system template input images tools format context");
const COUNTS: &[u8] = names!("prompt_eval_count eval_count");
const DURATIONS: &[u8] = names!("total_duration load_duration prompt_eval_duration eval_duration");

/// Reads an answer, or one line of it.
pub(super) fn read(value: Value<'_>, out: &mut Answer) {
    let [model, message, response, thinking, done, reason, one, many] =
        value.pick(names!("model message response thinking done done_reason embedding embeddings"));
    out.model(model.content());
    if message.is_some() {
        read_message(message, 0, out);
    }
    out.append(0, Kind::Text, 0, response);
    out.append(0, Kind::Reasoning, 0, thinking);
    many.elements().for_each(|embedding| out.embedding(embedding));
    if one.is_some() {
        out.embedding(one);
    }
    if done.is_true() || out.is_embedding {
        out.usage.take(value, COUNTS, COUNTS);
        out.notes(value, DURATIONS, DURATIONS);
    }
    if done.is_true() {
        out.finish(0, reason);
        out.is_terminal = true;
    }
}
