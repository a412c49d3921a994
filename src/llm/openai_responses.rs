//! OpenAI's responses. Its last event has the whole answer; what comes before it matters where the stream ends early.
//! (openai 7.57, `responses/responses.d.ts`.)

use super::answer::Kind;
use super::steps::{Cases, Step, Steps};
use super::value::names;

/// Of an event that has a piece of a text.
macro_rules! piece {
    ($kind:expr) => {
        &[
            ("output_index", Step::ItemKey),
            ("content_index", Step::InnerKey),
            ("summary_index", Step::InnerKey),
            ("delta", Step::Append($kind)),
        ]
    };
}

/// Of the request, what goes into the input.
pub(super) const INPUT: &[u8] =
    names!("input instructions tools tool_choice previous_response_id conversation prompt text reasoning");

/// Of an event, by its type.
pub(super) const EVENTS: Cases = &[
    (names!("response.output_text.delta"), piece!(Kind::Text)),
    (names!("response.refusal.delta"), piece!(Kind::Refusal)),
    (names!("response.reasoning_summary_text.delta response.reasoning_text.delta"), piece!(Kind::Reasoning)),
    (
        names!(
            "response.function_call_arguments.delta response.custom_tool_call_input.delta response.mcp_call_arguments.delta"
        ),
        piece!(Kind::Call),
    ),
    (names!("response.output_item.added"), &[("output_index", Step::ItemKey), ("item", Step::NewItem)]),
    (names!("response.output_item.done"), &[("output_index", Step::ItemKey), ("item", Step::Item)]),
    (
        names!("response.completed response.incomplete response.failed"),
        &[("response", Step::In(RESPONSE)), ("", Step::Terminal)],
    ),
    (names!("error"), &[("", Step::Failure)]),
];

/// Of an answer in one piece, or any other event.
pub(super) const ANSWER: Steps = &[("", Step::In(RESPONSE)), ("response", Step::In(RESPONSE))];

const RESPONSE: Steps = &[
    ("model", Step::Model),
    ("id", Step::Note("id")),
    ("service_tier", Step::Note("service_tier")),
    ("previous_response_id", Step::Note("previous_response_id")),
    ("usage", Step::Usage),
    ("output", Step::Items),
    ("status", Step::Status),
    ("incomplete_details", Step::In(&[("reason", Step::Finish)])),
    ("error", Step::Failure),
];
