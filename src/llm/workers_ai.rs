//! Workers AI, by REST and by its binding. Each model has the answer shape of its maker, so the shape is recognised by
//! its members. (@cloudflare/workers-types 5, workers-ai-provider 4.)

use super::answer::{Answer, Kind};
use super::steps::{Position, Shape, Step, Steps, steps, steps_of, take};
use super::value::{Value, names};
use super::{anthropic, gemini, openai_chat, openai_responses};

pub(super) const SHAPE: Shape = Shape { names: ["workers-ai", ""], input: INPUT, cases: &[], steps: ANSWER };

pub(super) const UNIVERSAL: Shape = Shape { names: ["ai-gateway", ""], ..SHAPE };

const INPUT: &[u8] = names!(
    "messages prompt input text contents requests tools functions tool_choice response_format instructions system image audio lora"
);

/// Reads an answer, or one event of it, by `otherwise` if it is in no maker's shape.
pub(super) fn read(value: Value<'_>, otherwise: Steps, out: &mut Answer) {
    let [result, success, state] = value.pick(names!("result success state"));
    // The failure itself is read for all formats.
    if success.is_false() {
        out.failure.get_or_insert_default();
        return;
    }
    if result.is_some() && success.or(state).is_some() {
        out.model(value.member("model").content());
        read_shape(result, otherwise, out);
    } else {
        read_shape(value, otherwise, out);
    }
}

fn read_shape(value: Value<'_>, otherwise: Steps, out: &mut Answer) {
    let [choices, output, candidates, shape, kind] = value.pick(names!("choices output candidates shape type"));
    let kind = kind.content();
    let steps = if choices.is_some() {
        openai_chat::ANSWER
    } else if output.is_array() || kind.starts_with(b"response.") {
        steps_of(openai_responses::EVENTS, kind).unwrap_or(openai_responses::ANSWER)
    } else if candidates.is_some() {
        gemini::ANSWER
    } else if kind.starts_with(b"message") || kind.starts_with(b"content_block") {
        steps_of(anthropic::EVENTS, kind).unwrap_or(anthropic::MESSAGE)
    } else if shape.is_some() {
        steps![("data", Step::Embeddings), ("usage", Step::Usage)]
    } else if value.is_string() {
        steps![("", Step::Append(Kind::Text))]
    } else if value.any(ANSWER.0).is_some() {
        ANSWER
    } else {
        otherwise
    };
    take(steps, value, Position::default(), out);
}

/// An image, a sound, labels: kept as it is, without its bytes.
pub(super) const OTHER: Steps = steps![("", Step::Other)];

/// Of an answer in Workers AI's own shape.
const ANSWER: Steps = steps![
    ("response", Step::Choice),
    ("", Step::Append(Kind::Text)),
    ("text", Step::Append(Kind::Text)),
    ("description", Step::Append(Kind::Text)),
    ("transcription", Step::Append(Kind::Text)),
    ("translated_text", Step::Append(Kind::Text)),
    ("summary", Step::Append(Kind::Text)),
    ("tool_calls", Step::Calls),
    ("usage", Step::Usage),
    ("request_id", Step::Note),
];
