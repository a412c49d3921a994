//! Ollama's own chat, completions and embeddings, a JSON text a line. Its durations are in nanoseconds, too large for
//! Opik's usage: they go into the metadata. (ollama 0.6.)

use super::answer::Kind;
use super::openai_chat::MESSAGE;
use super::steps::{Shape, Step, Steps, steps};
use super::value::names;

pub(super) const SHAPE: Shape = Shape { names: ["ollama", ""], input: INPUT, cases: &[], steps: ANSWER };

const INPUT: &[u8] = names!("messages prompt suffix system template input images tools format context");

/// Of an answer, or of one line of it.
pub(super) const ANSWER: Steps = steps![
    ("model", Step::Model),
    ("message", Step::Choice),
    ("", Step::In(MESSAGE)),
    ("response", Step::Append(Kind::Text)),
    ("thinking", Step::Append(Kind::Reasoning)),
    ("embeddings", Step::Embeddings),
    ("embedding", Step::Embedding),
    ("prompt_eval_count", Step::Count),
    ("eval_count", Step::Count),
    ("total_duration", Step::Note),
    ("load_duration", Step::Note),
    ("prompt_eval_duration", Step::Note),
    ("eval_duration", Step::Note),
    ("done_reason", Step::Finish),
    ("done", Step::TerminalIfTrue),
];
