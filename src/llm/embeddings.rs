//! Embeddings in OpenAI's shape. A vector tells a reader of a trace nothing: of each its size is kept.
//! (openai 7.57, `embeddings.d.ts`; the SDK asks for base64.)

use super::steps::{Shape, Step, Steps, steps};
use super::value::names;

pub(super) const SHAPE: Shape =
    Shape { names: ["openai", "openai_embeddings"], input: INPUT, cases: &[], steps: ANSWER };

const INPUT: &[u8] = names!("input");

/// Of an answer.
pub(super) const ANSWER: Steps = steps![
    ("model", Step::Model),
    ("id", Step::Note),
    ("data", Step::Each(steps![("embedding", Step::Embedding)])),
    ("usage", Step::Usage),
];
