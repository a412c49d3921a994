//! Anthropic's messages. (@anthropic-ai/sdk 1.14, `messages.d.ts`, `MessageStream.js`.)

use super::answer::Kind;
use super::steps::{Cases, Shape, Step, Steps, steps};
use super::value::names;

pub(super) const SHAPE: Shape = Shape { names: ["anthropic", ""], input: INPUT, cases: EVENTS, steps: MESSAGE };

const INPUT: &[u8] = names!("messages system tools tool_choice output_config output_format");

/// Of an event, by its type. An error is read for all formats.
pub(super) const EVENTS: Cases = &[
    (names!("content_block_delta"), steps![("index", Step::Key), ("delta", Step::In(DELTA))]),
    (names!("content_block_start"), steps![("index", Step::Key), ("content_block", Step::Block)]),
    (names!("message_start"), steps![("message", Step::In(MESSAGE))]),
    (names!("message_delta"), steps![("delta", Step::In(END)), ("usage", Step::Counts)]),
    // Bedrock's own counters are there where Anthropic's have not come.
    (names!("message_stop"), steps![("", Step::Terminal), ("amazon-bedrock-invocationMetrics", Step::SpareCounts)]),
];

const DELTA: Steps = steps![
    ("text", Step::Append(Kind::Text)),
    ("thinking", Step::Append(Kind::Reasoning)),
    ("partial_json", Step::Append(Kind::Call)),
    ("citation", Step::Other),
];

const END: Steps = steps![("stop_reason", Step::Finish), ("stop_sequence", Step::Note)];

/// Of an answer in one piece.
pub(super) const MESSAGE: Steps = steps![
    ("model", Step::Model),
    ("id", Step::Note),
    ("usage", Step::Counts),
    ("", Step::In(steps![("service_tier", Step::Note), ("inference_geo", Step::Note), ("speed", Step::Note)])),
    ("content", Step::Blocks),
    ("stop_reason", Step::Finish),
    ("stop_sequence", Step::Note),
];
