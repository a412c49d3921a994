//! OpenAI's chat completions and completions, and what hundreds of hosts have made of them: Azure, Groq, Mistral,
//! OpenRouter, DeepSeek, xAI, Perplexity, vLLM. (openai 7.57, `chat/completions.d.ts`, `completions.d.ts`; groq-sdk 1.6;
//! @mistralai/mistralai 2.7; @openrouter/sdk 1.3.)

use super::answer::Kind;
use super::steps::{Shape, Step, Steps, steps};
use super::value::names;

pub(super) const CHAT: Shape = Shape { names: ["openai", "openai_chat"], input: INPUT, cases: &[], steps: ANSWER };

pub(super) const COMPLETIONS: Shape = Shape { names: ["openai", "openai_completions"], ..CHAT };

const INPUT: &[u8] = names!("messages prompt suffix tools tool_choice functions function_call response_format");

/// Of an answer, or of one chunk of it.
pub(super) const ANSWER: Steps = steps![
    ("model", Step::Model),
    ("id", Step::Note),
    ("system_fingerprint", Step::Note),
    ("service_tier", Step::Note),
    ("provider", Step::NoteAs(&"served_by")),
    ("citations", Step::Note),
    ("x_groq", Step::In(steps![("usage", Step::Usage), ("error", Step::Failure)])),
    ("usage", Step::Usage),
    ("choices", Step::Each(CHOICE)),
];

const CHOICE: Steps = steps![
    ("index", Step::Index),
    ("usage", Step::Usage),
    ("text", Step::Append(Kind::Text)),
    ("message", Step::Choice),
    ("", Step::In(MESSAGE)),
    ("delta", Step::Choice),
    ("", Step::In(MESSAGE)),
    ("finish_reason", Step::Finish),
];

/// Members of a message or of a part.
pub(super) const MESSAGE: Steps = steps![
    ("content", Step::Content),
    ("images", Step::Content),
    ("reasoning_content", Step::Thought),
    ("reasoning", Step::Thought),
    ("thinking", Step::Thought),
    ("refusal", Step::Append(Kind::Refusal)),
    ("tool_calls", Step::Calls),
    ("function_call", Step::Function),
    ("annotations", Step::Note),
    ("executed_tools", Step::Note),
    ("audio", Step::In(steps![("id", Step::AudioId), ("transcript", Step::Append(Kind::Transcript))])),
];
