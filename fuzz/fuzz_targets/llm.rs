//! Any bytes as the answer of a model in any framing, cut anywhere, as a request's body and URL, as attributes of a span and as
//! rows. The result is
//! JSON, the same for every cut, and the held memory is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opik_edge::llm::{
    Budget, Call, MAX_TEXT_BYTES, Record, Request, Target, fields_of_attributes, otlp_of_rows, recognise,
};
use serde_json::Value;
use serde_json::value::RawValue;

const URLS: &[&str] = &[
    "https://api.openai.com/v1/chat/completions",
    "https://api.openai.com/v1/completions",
    "https://api.openai.com/v1/responses",
    "https://api.openai.com/v1/embeddings",
    "https://api.anthropic.com/v1/messages",
    "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent",
    "https://generativelanguage.googleapis.com/v1beta/models/m:batchEmbedContents",
    "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse-stream",
    "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/invoke-with-response-stream",
    "http://localhost:11434/api/chat",
    "https://gateway.ai.cloudflare.com/v1/a/g/workers-ai/@cf/m",
    "https://gateway.ai.cloudflare.com/v1/a/g",
    "https://api.cloudflare.com/client/v4/accounts/a/ai/run",
];
const CONTENT_TYPES: &[&str] =
    &["text/event-stream", "application/json", "application/x-ndjson", "application/vnd.amazon.eventstream", ""];
/// Text that is kept, so that short inputs are cut as well.
const FIELD_BYTES: usize = 4096;

fuzz_target!(|input: (u8, u8, u8, bool, &[u8])| {
    let (url, content_type, cut, is_refused, bytes) = input;
    let url = URLS[usize::from(url) % URLS.len()];
    let content_type = CONTENT_TYPES[usize::from(content_type) % CONTENT_TYPES.len()];
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = recognise("POST", text, &[]);
        let _ = Target::of_binding(text);
    }
    let target = recognise("POST", url, &[]).expect("it calls a model");
    let request = Request::read(&target, bytes, usize::from(cut)).expect("the host is known");
    let is_json = serde_json::from_slice::<Value>(bytes).is_ok();
    for text in [&request.input, &request.metadata, &request.model] {
        // A text that is not JSON can be read in part; text taken from it is JSON nevertheless.
        if is_json && !text.is_empty() {
            serde_json::from_slice::<&RawValue>(text).expect("it is JSON");
        }
    }
    let fields = fields_of_attributes(bytes);
    let request_of_otlp = otlp_of_rows(bytes);
    if is_json {
        serde_json::from_slice::<&RawValue>(&fields).expect("it is JSON");
        assert!(request_of_otlp.is_empty() || serde_json::from_slice::<&RawValue>(&request_of_otlp).is_ok());
    }
    let status = if is_refused { 500 } else { 200 };
    let whole = read(&request, status, content_type, &[bytes]);
    let (before, behind) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert_eq!(read(&request, status, content_type, &[before, behind]), whole);
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&request, status, content_type, &pieces), whole);
    if is_json || std::str::from_utf8(bytes).is_ok() && content_type != CONTENT_TYPES[3] {
        for text in [&whole.output, &whole.usage, &whole.total_estimated_cost, &whole.error_type, &whole.error_message]
        {
            assert!(text.is_empty() || serde_json::from_slice::<&RawValue>(text).is_ok(), "{whole:?}");
        }
    }
});

fn read(request: &Request, status: u16, content_type: &str, pieces: &[&[u8]]) -> Record {
    let mut budget = Budget::default();
    let mut call = Call::open(&mut budget, request, FIELD_BYTES);
    call.answer(status, [("content-type", content_type)]);
    for piece in pieces {
        call.push(&mut budget, piece);
        assert!(budget.held() <= 8 * MAX_TEXT_BYTES, "{}", budget.held());
    }
    let _ = (call.is_complete(), call.has_failed(), call.has_first_token());
    let record = call.finish(&mut budget);
    assert_eq!(budget.held(), 0);
    record
}
