//! AWS Bedrock: its own `converse`, and `invoke`, whose answer is in the shape of its model's maker.
//! (@aws-sdk/client-bedrock-runtime 3.1164.)

use alloc::vec::Vec;

use super::answer::Kind;
use super::steps::{Cases, Shape, Step, Steps, steps};
use super::value::names;

pub(super) const SHAPE: Shape = Shape { names: ["bedrock", ""], input: INPUT, cases: EVENTS, steps: ANSWER };

const INPUT: &[u8] = names!("messages system toolConfig prompt inputText input tools tool_choice texts");

/// Of an answer of `converse`.
pub(super) const ANSWER: Steps =
    steps![("output", OUTPUT), ("usage", Step::Usage), ("metrics", Step::In(METRICS)), ("stopReason", Step::Finish),];

const OUTPUT: Step = Step::In(steps![("message", Step::In(steps![("content", Step::Blocks)]))]);

const METRICS: Steps = steps![("latencyMs", Step::NoteAs(&"latency_ms"))];

/// Of an event of `converse-stream`, by its name.
pub(super) const EVENTS: Cases = &[
    (names!("contentBlockDelta"), MORE),
    (names!("contentBlockStart"), START),
    (names!("messageStart"), steps![("", Step::Choice)]),
    (names!("messageStop"), steps![("stopReason", Step::Finish)]),
    (names!("metadata"), steps![("", Step::Terminal), ("usage", Step::Usage), ("metrics", Step::In(METRICS))]),
];

const MORE: Steps = steps![("contentBlockIndex", Step::Key), ("delta", Step::In(DELTA))];
const START: Steps = steps![("contentBlockIndex", Step::Key), ("start", Step::Block)];

const DELTA: Steps = steps![
    ("text", Step::Append(Kind::Text)),
    ("toolUse", Step::In(steps![("input", Step::Append(Kind::Call))])),
    ("reasoningContent", Step::In(steps![("text", Step::Append(Kind::Reasoning))])),
];

/// Of an answer of `invoke`, beside what its maker has in it: Llama's, Titan's, Nova's, Mistral's, Cohere's, and Bedrock's
/// own counters.
pub(super) const INVOKED: Steps = steps![
    ("", Step::In(COUNTED)),
    ("generation", Step::Append(Kind::Text)),
    ("outputText", Step::Append(Kind::Text)),
    ("results", Step::Each(RESULT)),
    ("outputs", Step::Each(RESULT)),
    ("generations", Step::Each(RESULT)),
    ("output", OUTPUT),
    ("contentBlockDelta", Step::In(MORE)),
    ("contentBlockStart", Step::In(START)),
    ("messageStop", Step::In(steps![("stopReason", Step::Finish)])),
    ("metadata", Step::In(steps![("usage", Step::Usage)])),
    ("stopReason", Step::Finish),
    ("stop_reason", Step::Finish),
    ("finish_reason", Step::Finish),
    ("amazon-bedrock-invocationMetrics", Step::SpareCounts),
    ("", Step::Terminal),
];

const COUNTED: Steps = steps![
    ("prompt_token_count", Step::CountAs(&"inputTokens")),
    ("generation_token_count", Step::CountAs(&"outputTokens")),
    ("inputTextTokenCount", Step::CountAs(&"inputTokens")),
    ("embedding", Step::Embedding),
    ("embeddings", Step::Embeddings),
];

const RESULT: Steps = steps![
    ("outputText", Step::Append(Kind::Text)),
    ("text", Step::Append(Kind::Text)),
    ("completionReason", Step::Finish),
    ("stop_reason", Step::Finish),
    ("finish_reason", Step::Finish),
];

/// Base64 (RFC 4648 §4) → bytes; ends at the first byte that is not base64.
pub(super) fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0_u32);
    for &byte in text {
        let digit = match byte {
            b'A'..=b'Z' => byte.wrapping_sub(b'A'),
            b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
            b'+' => 62,
            b'/' => 63,
            // A slash may be escaped in JSON.
            b'\\' => continue,
            _ => break,
        };
        bits = (bits << 6) | u32::from(digit);
        count = count.wrapping_add(6);
        if count >= 8 {
            count = count.wrapping_sub(8);
            let [.., byte] = (bits >> count).to_be_bytes();
            out.push(byte);
        }
    }
    out
}
