//! Ollama's own chat, completions and embeddings, a JSON text a line. Its durations are in nanoseconds, too large for
//! Opik's usage: they go into the metadata. (ollama 0.6.)

use super::answer::{Answer, Kind};
use super::openai_chat::read_message;
use super::value::{Write, elements, is_array, pick};

pub(super) const INPUT: &[&str] =
    &["messages", "prompt", "suffix", "system", "template", "input", "images", "tools", "format", "context"];

/// Reads an answer, or one line of it.
pub(super) fn read(value: &[u8], out: &mut Answer) {
    let [model, message, response, thinking, done, reason, prompt, completion] =
        pick(value, "model message response thinking done done_reason prompt_eval_count eval_count");
    out.model(model);
    if !message.is_empty() {
        read_message(message, 0, out);
    }
    out.append(0, Kind::Text, 0, response);
    out.append(0, Kind::Reasoning, 0, thinking);
    let [many, one] = pick(value, "embeddings embedding");
    elements(many, &mut |embedding| out.embedding(embedding));
    if is_array(one) {
        out.embedding(one);
    }
    if done == b"true" || (!prompt.is_empty() && out.is_embedding) {
        let mut usage = alloc::vec::Vec::new();
        usage.put_byte(b'{');
        super::value::write_member(&mut usage, b"prompt_eval_count", prompt);
        super::value::write_member(&mut usage, b"eval_count", completion);
        usage.put_byte(b'}');
        out.usage(&usage);
        let [total, load, prompting, answering] =
            pick(value, "total_duration load_duration prompt_eval_duration eval_duration");
        out.note("total_duration", total);
        out.note("load_duration", load);
        out.note("prompt_eval_duration", prompting);
        out.note("eval_duration", answering);
    }
    if done == b"true" {
        out.finish(0, reason);
        out.is_terminal = true;
    }
}
