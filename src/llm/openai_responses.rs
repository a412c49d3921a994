//! OpenAI's responses. The last event holds the whole answer; earlier events matter if the stream ends early. (openai
//! 7.57, `responses/responses.d.ts`.)

use super::answer::Kind;
use super::steps::{Cases, Shape, Step, Steps, steps};
use super::value::names;

/// Of an event that has a piece of a text.
macro_rules! piece {
    ($kind:expr) => {
        steps![
            ("output_index", Step::ItemKey),
            ("content_index", Step::InnerKey),
            ("summary_index", Step::InnerKey),
            ("delta", Step::Append($kind)),
        ]
    };
}

pub(super) const SHAPE: Shape =
    Shape { names: ["openai", "openai_responses"], input: INPUT, cases: EVENTS, steps: ANSWER };

const INPUT: &[u8] =
    names!("input instructions tools tool_choice previous_response_id conversation prompt text reasoning");

/// Of an event, by its type.
pub(super) const EVENTS: Cases = &[
    (names!("response.output_text.delta"), piece!(Kind::Text)),
    (names!("response.refusal.delta"), piece!(Kind::Refusal)),
    (names!("response.reasoning_summary_text.delta response.reasoning_text.delta"), piece!(Kind::Reasoning)),
    (
        names!(
            "response.function_call_arguments.delta response.custom_tool_call_input.delta response.mcp_call_arguments.delta response.code_interpreter_call_code.delta"
        ),
        piece!(Kind::Call),
    ),
    (names!("response.output_item.added"), steps![("output_index", Step::ItemKey), ("item", Step::NewItem)]),
    (names!("response.output_item.done"), steps![("output_index", Step::ItemKey), ("item", Step::Item)]),
    (
        names!("response.completed response.incomplete response.failed"),
        steps![("response", Step::In(RESPONSE)), ("", Step::Terminal)],
    ),
    (names!("error"), steps![("", Step::Failure)]),
];

/// Of an answer in one piece, or any other event.
pub(super) const ANSWER: Steps = steps![("", Step::In(RESPONSE)), ("response", Step::In(RESPONSE))];

const RESPONSE: Steps = steps![
    // A stream begins with the name that was asked for.
    ("model", Step::LastModel),
    ("id", Step::Note),
    ("service_tier", Step::Note),
    ("previous_response_id", Step::Note),
    ("usage", Step::Usage),
    ("output", Step::Items),
    ("status", Step::Status),
    ("incomplete_details", Step::In(steps![("reason", Step::Finish)])),
    ("error", Step::Failure),
];
