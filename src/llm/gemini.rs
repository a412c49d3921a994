//! Google's `generateContent`, by AI Studio and Vertex, streamed as events or as one array; and its embeddings.
//! (@google/genai 3.3, `genai.d.ts`, `index.mjs`.)

use super::answer::Kind;
use super::steps::{Shape, Step, Steps, steps};
use super::value::names;

pub(super) const SHAPE: Shape = Shape { names: ["genai", ""], input: INPUT, cases: &[], steps: ANSWER };

pub(super) const OF_EMBEDDINGS: Shape = Shape { steps: EMBEDDINGS, ..SHAPE };

const INPUT: &[u8] =
    names!("contents content systemInstruction system_instruction tools toolConfig tool_config cachedContent requests");

/// Of an answer, or of one chunk of it. Opik prices the name of the model behind the last slash.
pub(super) const ANSWER: Steps = steps![
    ("modelVersion", Step::ModelPath),
    ("responseId", Step::NoteAs(&"id")),
    ("usageMetadata", Step::Usage),
    ("", Step::In(steps![("trafficType", Step::NoteAs(&"traffic_type"))])),
    ("candidates", Step::Each(CANDIDATE)),
    ("promptFeedback", Step::In(FEEDBACK)),
];

const CANDIDATE: Steps = steps![
    ("index", Step::Index),
    ("content", Step::Choice),
    // Arguments that are streamed (`partialArgs`) are left out: the call is there, by its name.
    ("", Step::In(steps![("parts", Step::Content)])),
    ("finishReason", Step::Finish),
    ("", Step::Blocked),
    ("groundingMetadata", Step::NoteAs(&"grounding")),
];

const FEEDBACK: Steps = steps![
    ("blockReason", Step::Append(Kind::Refusal)),
    ("", Step::Finish),
    ("blockReasonMessage", Step::NoteAs(&"block_reason_message")),
];

/// Of an embedding the size only.
const EMBEDDINGS: Steps =
    steps![("embedding", Step::In(VALUES)), ("embeddings", Step::Each(VALUES)), ("usageMetadata", Step::Usage),];

const VALUES: Steps = steps![("values", Step::Embedding)];
