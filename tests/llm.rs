//! Calls of models: every fixture in tests/vectors/llm, cut at every byte; and what other tools get wrong.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::disallowed_macros,
    reason = "a test that fails should say where"
)]

use opik_edge::llm::{
    Budget, Call, Described, Format, MAX_OPEN_BYTES, MAX_TEXT_BYTES, Record, Request, Target, fields_of_attributes,
    otlp_of_rows, path_suffixes, recognise,
};
use serde_json::{Value, json};

const FIXTURES: &[(&str, &str)] = &[
    ("openai_chat", include_str!("vectors/llm/openai_chat.json")),
    ("openai_responses", include_str!("vectors/llm/openai_responses.json")),
    ("anthropic", include_str!("vectors/llm/anthropic.json")),
    ("gemini", include_str!("vectors/llm/gemini.json")),
    ("workers_ai", include_str!("vectors/llm/workers_ai.json")),
    ("ollama", include_str!("vectors/llm/ollama.json")),
    ("bedrock", include_str!("vectors/llm/bedrock.json")),
    ("embeddings", include_str!("vectors/llm/embeddings.json")),
];

/// A call with its answer.
struct Exchange {
    name: String,
    request: Request,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    expected: Value,
}

/// The observations of an answer: its record, and the facts known before its end.
#[derive(Debug)]
struct Seen {
    record: Value,
    is_complete: bool,
    has_failed: bool,
    has_first_token: bool,
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().map(|line| line.as_str().unwrap()).collect(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The messages of an AWS event stream, of events like `{":event-type": "chunk", "payload": {…}}`.
fn aws_stream(events: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events.as_array().unwrap() {
        let mut headers = Vec::new();
        for (name, value) in event.as_object().unwrap().iter().filter(|(name, _)| name.starts_with(':')) {
            let value = value.as_str().unwrap();
            headers.push(u8::try_from(name.len()).unwrap());
            headers.extend(name.as_bytes());
            headers.push(7);
            headers.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            headers.extend(value.as_bytes());
        }
        let payload = match &event["chunk"] {
            Value::Null => event["payload"].to_string(),
            chunk => json!({ "bytes": base64(chunk.to_string().as_bytes()) }).to_string(),
        };
        let total = 16 + headers.len() + payload.len();
        out.extend(u32::try_from(total).unwrap().to_be_bytes());
        out.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
        out.extend([0; 4]);
        out.extend(headers);
        out.extend(payload.as_bytes());
        out.extend([0; 4]);
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = (bits << 8) | u32::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let digit = DIGITS[((bits >> (18 - 6 * at)) & 63) as usize];
            out.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

fn exchanges() -> Vec<Exchange> {
    let mut all = Vec::new();
    for (file, content) in FIXTURES {
        for fixture in serde_json::from_str::<Vec<Value>>(content).unwrap() {
            let name = format!("{file}: {}", fixture["name"].as_str().unwrap());
            assert!(!fixture["source"].as_str().unwrap().is_empty(), "{name} says where it is from");
            let target = match &fixture["binding"] {
                Value::String(model) => Target::of_binding(model),
                _ => recognise("POST", fixture["url"].as_str().unwrap(), &[])
                    .unwrap_or_else(|| panic!("{name} is not recognised")),
            };
            let headers: Vec<(String, String)> = fixture["headers"]
                .as_object()
                .map(|headers| headers.iter().map(|(name, value)| (name.clone(), text(value))).collect())
                .unwrap_or_default();
            let step = fixture["headers"]["cf-aig-step"].as_str().map_or(0, |step| step.parse().unwrap());
            let request = Request::read(&target, fixture["request"].to_string().as_bytes(), step)
                .unwrap_or_else(|| panic!("the body of {name} does not fit"));
            let body = match &fixture["events"] {
                Value::Null => text(&fixture["answer"]).into_bytes(),
                events => aws_stream(events),
            };
            let status = fixture["status"].as_u64().map_or(200, |status| u16::try_from(status).unwrap());
            all.push(Exchange { name, request, status, headers, body, expected: fixture["expected"].clone() });
        }
    }
    all
}

fn parsed(name: &str, text: &[u8]) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{name}: {error} in {}", String::from_utf8_lossy(text)))
}

fn record_value(name: &str, record: &Record) -> Value {
    json!({
        "model": parsed(name, &record.model),
        "provider": parsed(name, &record.provider),
        "output": parsed(name, &record.output),
        "metadata": parsed(name, &record.metadata),
        "usage": parsed(name, &record.usage),
        "total_estimated_cost": parsed(name, &record.total_estimated_cost),
        "error_type": parsed(name, &record.error_type),
        "error_message": parsed(name, &record.error_message),
    })
}

/// Shows these pieces of an answer to a call.
fn see_raw<'a>(exchange: &Exchange, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Record, bool, bool, bool) {
    let mut budget = Budget::default();
    let mut call = Call::open(&mut budget, &exchange.request, usize::MAX);
    call.answer(exchange.status, exchange.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    for piece in pieces {
        call.push(&mut budget, piece);
    }
    let (is_complete, has_failed, has_first_token) = (call.is_complete(), call.has_failed(), call.has_first_token());
    let record = call.finish(&mut budget);
    assert_eq!(budget.held(), 0, "{}", exchange.name);
    (record, is_complete, has_failed, has_first_token)
}

fn see<'a>(exchange: &Exchange, pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let (record, is_complete, has_failed, has_first_token) = see_raw(exchange, pieces);
    Seen { record: record_value(&exchange.name, &record), is_complete, has_failed, has_first_token }
}

/// A call of a URL, with its answer as server-sent events.
fn streamed(url: &str, request: &Value, events: &[Value]) -> Seen {
    let body = events.iter().fold(String::new(), |body, event| body + &format!("data: {event}\n\n"));
    answered(url, request, "text/event-stream", body.as_bytes())
}

fn answered(url: &str, request: &Value, content_type: &str, body: &[u8]) -> Seen {
    let target = recognise("POST", url, &[]).unwrap();
    let exchange = Exchange {
        name: url.to_string(),
        request: Request::read(&target, request.to_string().as_bytes(), 0).unwrap(),
        status: 200,
        headers: vec![("content-type".to_string(), content_type.to_string())],
        body: Vec::new(),
        expected: Value::Null,
    };
    see(&exchange, [body])
}

const CHAT: &str = "https://api.openai.com/v1/chat/completions";
const RESPONSES: &str = "https://api.openai.com/v1/responses";
const MESSAGES: &str = "https://api.anthropic.com/v1/messages";

fn hi() -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }], "stream": true })
}

#[test]
fn every_fixture_gives_its_record() {
    let mut differences = Vec::new();
    for exchange in exchanges() {
        let seen = see(&exchange, [exchange.body.as_slice()]);
        let name = &exchange.name;
        for (field, expected) in exchange.expected.as_object().unwrap() {
            let actual = match field.as_str() {
                "input" => parsed(name, &exchange.request.input),
                "is_complete" => json!(seen.is_complete),
                "has_failed" => json!(seen.has_failed),
                "has_first_token" => json!(seen.has_first_token),
                "metadata" => {
                    // Those that are named.
                    let all = &seen.record["metadata"];
                    let named = expected.as_object().unwrap().keys().map(|key| (key.clone(), all[key].clone()));
                    Value::Object(named.collect())
                }
                field => seen.record[field].clone(),
            };
            if &actual != expected {
                differences.push(format!("{field} of {name}:\n  {actual}\n  is not {expected}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_fixture_cut_at_any_byte_gives_the_same_record() {
    for exchange in exchanges() {
        let whole = see_raw(&exchange, [exchange.body.as_slice()]);
        for at in 0..=exchange.body.len() {
            let (before, behind) = exchange.body.split_at(at);
            assert_eq!(see_raw(&exchange, [before, behind]), whole, "{} at {at}", exchange.name);
        }
        assert_eq!(see_raw(&exchange, exchange.body.chunks(1)), whole, "{} byte by byte", exchange.name);
    }
}

#[test]
fn an_answer_that_ends_anywhere_gives_a_record() {
    for exchange in exchanges() {
        for at in 0..exchange.body.len() {
            let seen = see(&exchange, [&exchange.body[..at]]);
            let is_body = exchange.headers.iter().any(|(_, value)| value.contains("json") || value.contains("html"));
            assert!(is_body || seen.record["metadata"]["opik_edge_llm"].is_null(), "{} at {at}", exchange.name);
        }
    }
}

#[test]
fn a_call_is_recognised_by_its_path_and_its_host() {
    for vector in serde_json::from_str::<Vec<Value>>(include_str!("vectors/llm/recognised.json")).unwrap() {
        let target = recognise("POST", &text(&vector["url"]), &[]);
        let told = target.map(|target| (format!("{:?}", target.format), target.provider, target.model));
        let expected = vector["format"]
            .is_string()
            .then(|| (text(&vector["format"]), text(&vector["provider"]), text(&vector["model"])));
        assert_eq!(told, expected, "{}", vector["url"]);
    }
    assert_eq!(recognise("GET", CHAT, &[]), None);
    assert!(recognise("post", CHAT, &[]).is_some());
    let ollama = recognise("POST", "http://localhost:11434/api/embeddings", &[]).unwrap();
    assert_eq!(ollama.format, Format::Ollama);
}

#[test]
fn the_name_of_a_model_is_decoded_from_the_url() {
    for (segment, model) in [
        ("gr%C3%B6%C3%9Fe%20%E2%82%AC%F0%9F%99%82", "größe €🙂"),
        ("größe", "größe"),
        ("a%FFb%C3c%82d%", "abcd%"),
        ("100%25", "100%"),
    ] {
        let url = format!("https://bedrock-runtime.eu-west-1.amazonaws.com/model/{segment}/converse");
        assert_eq!(recognise("POST", &url, &[]).unwrap().model, model);
    }
    assert_eq!(Target::of_binding("@cf/größe%20🙂").model, "@cf/größe%20🙂");
}

#[test]
fn a_host_that_the_user_names_has_its_provider() {
    let named = [("llm.internal", "openai"), ("localhost:8000", "groq"), ("app.example", "ollama")];
    let provider = |url| recognise("POST", url, &named).map(|target| (target.provider, target.is_known));
    assert_eq!(provider("https://llm.internal/v1/chat/completions"), Some(("openai".to_string(), true)));
    assert_eq!(provider("http://localhost:8000/v1/chat/completions"), Some(("groq".to_string(), true)));
    assert_eq!(provider("http://localhost:9000/v1/chat/completions"), Some(("localhost".to_string(), false)));
    assert_eq!(provider("https://app.example/api/chat"), Some(("ollama".to_string(), true)));
}

#[test]
fn every_suffix_that_is_listed_is_recognised() {
    for suffix in path_suffixes() {
        let model = if suffix.starts_with('/') { "" } else { "m" };
        let url = match suffix {
            "/api/chat" | "/api/generate" | "/api/embed" | "/api/embeddings" => {
                format!("http://localhost:11434{suffix}")
            }
            "/invoke" | "/invoke-with-response-stream" | "/converse" | "/converse-stream" => {
                format!("https://app.example/model/m{suffix}")
            }
            _ => format!("https://app.example/publishers/anthropic/models/{model}{suffix}").replace("//v1", "/v1"),
        };
        assert!(recognise("POST", &url, &[]).is_some(), "{url}");
    }
}

#[test]
fn the_body_of_an_unknown_host_has_to_fit() {
    let cases = [
        ("https://app.example/v1/chat/completions", json!({ "messages": [] }), true),
        ("https://app.example/v1/chat/completions", json!({ "messages": "all" }), false),
        ("https://app.example/v1/chat/completions", json!({ "room": 1 }), false),
        ("https://app.example/responses", json!({ "model": "m", "input": "x" }), true),
        ("https://app.example/responses", json!({ "survey": 1, "input": "x" }), false),
        ("https://app.example/completions", json!({ "model": "m", "prompt": "x" }), true),
        ("https://app.example/completions", json!({ "course": 1 }), false),
        ("https://app.example/embeddings", json!({ "model": "m", "input": ["x"] }), true),
        ("https://app.example/embeddings", json!({ "url": "x" }), false),
        ("https://app.example/v1/messages", json!({ "messages": [] }), true),
        ("https://app.example/v1/messages", json!({ "text": "Hi" }), false),
        ("https://app.example/models/m:generateContent", json!({ "contents": [] }), true),
        ("https://app.example/models/m:generateContent", json!({}), false),
        ("https://api.openai.com/v1/chat/completions", json!({ "anything": 1 }), true),
    ];
    for (url, body, fits) in cases {
        let target = recognise("POST", url, &[]).unwrap();
        assert_eq!(Request::read(&target, body.to_string().as_bytes(), 0).is_some(), fits, "{url} {body}");
    }
}

/// The model, provider and input of a request that a gateway passes on.
fn passed_on(url: &str, body: &Value) -> (String, String) {
    let target = recognise("POST", url, &[]).unwrap();
    let request = Request::read(&target, body.to_string().as_bytes(), 0).unwrap();
    (request.target.provider, String::from_utf8(request.model).unwrap())
}

#[test]
fn the_models_name_tells_the_provider_where_the_url_does_not() {
    let compat = "https://gateway.ai.cloudflare.com/v1/acc/gw/compat/chat/completions";
    let rest = "https://api.cloudflare.com/client/v4/accounts/acc/ai/v1/chat/completions";
    let run = "https://api.cloudflare.com/client/v4/accounts/acc/ai/run";
    let cases = [
        (compat, "anthropic/claude-haiku-4-5", "anthropic"),
        (compat, "google-vertex-ai/google/gemini-2.5-pro", "google_vertexai"),
        (compat, "google-ai-studio/gemini-2.5-pro", "google_ai"),
        (compat, "workers-ai/@cf/meta/llama", "cloudflare"),
        (compat, "custom-x/m", "x"),
        (compat, "dynamic/route", ""),
        (rest, "@cf/meta/llama", "cloudflare"),
        (rest, "openai/gpt-5", "openai"),
        (rest, "dynamic/route", ""),
        (run, "grok/grok-4", "xai"),
    ];
    for (url, model, provider) in cases {
        let body = json!({ "model": model, "messages": [], "input": { "messages": [] } });
        assert_eq!(passed_on(url, &body), (provider.to_string(), format!("\"{model}\"")), "{model}");
    }
    assert_eq!(Target::of_binding("@hf/x/y").provider, "cloudflare");
    assert_eq!(Target::of_binding("anthropic/claude").format, Format::WorkersAi);
}

// Cases that other tools get wrong.

#[test]
fn tokens_of_responses_are_not_swapped() {
    let answer = json!({ "model": "m", "status": "completed", "output": [],
        "usage": { "input_tokens": 100, "output_tokens": 7, "total_tokens": 107 } });
    let seen =
        answered(RESPONSES, &json!({ "model": "m", "input": "Hi" }), "application/json", answer.to_string().as_bytes());
    let usage = &seen.record["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(100), &json!(7), &json!(107))
    );
}

#[test]
fn all_tool_calls_are_kept_with_ids_and_arguments() {
    let call = |value: Value| json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [value] } }] });
    let seen = streamed(
        CHAT,
        &hi(),
        &[
            call(json!({ "index": 0, "id": "a", "function": { "name": "f", "arguments": "{\"x\":" } })),
            call(json!({ "index": 1, "id": "b", "function": { "name": "g", "arguments": "" } })),
            call(json!({ "index": 0, "function": { "arguments": "1}" } })),
            call(json!({ "index": 1, "function": { "arguments": "{}" } })),
            // A new id under a used index is a new call. A call without an index is found by its id; without an id it
            // is the last call.
            call(json!({ "index": 1, "id": "c", "function": { "name": "h", "arguments": "{\"y\":" } })),
            call(json!({ "index": 1, "id": "c", "function": { "arguments": "2" } })),
            call(json!({ "function": { "arguments": "}" } })),
            call(json!({ "id": "a", "function": { "arguments": " " } })),
            call(json!({ "id": "d", "type": "custom", "custom": { "name": "i", "input": "raw" } })),
        ],
    );
    let calls = seen.record["output"]["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
    let calls: Vec<_> = calls
        .iter()
        .map(|call| {
            format!(
                "{} {} {}",
                text(&call["id"]),
                text(&call["function"]["name"]),
                text(&call["function"]["arguments"])
            )
        })
        .collect();
    assert_eq!(calls, ["a f {\"x\":1} ", "b g {}", "c h {\"y\":2}", "d i raw"]);
}

#[test]
fn arguments_of_parallel_anthropic_calls_are_kept_apart() {
    let start = |index, id| {
        json!({ "type": "content_block_start", "index": index,
        "content_block": { "type": "tool_use", "id": id, "name": id, "input": {} } })
    };
    let delta = |index, json| {
        json!({ "type": "content_block_delta", "index": index,
        "delta": { "type": "input_json_delta", "partial_json": json } })
    };
    let seen = streamed(
        MESSAGES,
        &hi(),
        &[start(0, "a"), start(1, "b"), delta(0, "{\"x\""), delta(1, "{\"y\""), delta(0, ":1}"), delta(1, ":2}")],
    );
    let calls = &seen.record["output"]["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls[0]["function"]["arguments"], "{\"x\":1}");
    assert_eq!(calls[1]["function"]["arguments"], "{\"y\":2}");
}

#[test]
fn cached_tokens_are_counted_once() {
    let answer = json!({ "model": "m", "choices": [], "usage": { "prompt_tokens": 17903, "completion_tokens": 1, "total_tokens": 17904,
        "prompt_tokens_details": { "cached_tokens": 17817 } } });
    let seen = answered(CHAT, &hi(), "application/json", answer.to_string().as_bytes());
    assert_eq!(seen.record["usage"]["prompt_tokens"], 17903);
    let answer = json!({ "type": "message", "content": [], "usage": { "input_tokens": 5, "output_tokens": 1,
        "cache_read_input_tokens": 128_955, "cache_creation_input_tokens": 1253 } });
    let seen = answered(MESSAGES, &hi(), "application/json", answer.to_string().as_bytes());
    assert_eq!(seen.record["usage"]["prompt_tokens"], 130_213);
    assert_eq!(seen.record["usage"]["original_usage.input_tokens"], 5);
}

#[test]
fn details_that_are_null_do_not_break_usage() {
    let answer = json!({ "choices": [], "usage": { "prompt_tokens": 1630, "completion_tokens": 117, "total_tokens": 1747,
        "completion_tokens_details": null } });
    let seen = answered(CHAT, &hi(), "application/json", answer.to_string().as_bytes());
    let usage = &seen.record["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(1630), &json!(117), &json!(1747))
    );
}

#[test]
fn the_model_is_that_of_the_answer() {
    let azure = "https://r.openai.azure.com/openai/deployments/my-dep/chat/completions?api-version=1";
    let chunk = |model: &str| json!({ "model": model, "choices": [{ "index": 0, "delta": { "content": "x" } }] });
    let seen = streamed(azure, &json!({ "model": "my-dep", "messages": [] }), &[chunk(""), chunk("gpt-4o-2024-08-06")]);
    assert_eq!(seen.record["model"], "gpt-4o-2024-08-06");
    assert_eq!(seen.record["provider"], "azure");
    let router = "https://openrouter.ai/api/v1/chat/completions";
    let seen =
        streamed(router, &json!({ "model": "openrouter/auto", "messages": [] }), &[chunk("openai/gpt-4.1-mini")]);
    assert_eq!(seen.record["model"], "openai/gpt-4.1-mini");
    // Without an answer, the name is the requested model.
    assert_eq!(streamed(router, &hi(), &[]).record["model"], "m");
}

#[test]
fn a_choice_without_a_delta_and_an_empty_list_are_ignored() {
    let seen = streamed(
        CHAT,
        &hi(),
        &[
            json!({ "choices": [], "prompt_filter_results": [{}] }),
            json!({ "choices": [{ "index": 0 }] }),
            json!({ "choices": [{ "index": 0, "delta": null }] }),
        ],
    );
    assert_eq!(seen.record["output"], Value::Null);
    assert_eq!(seen.record["error_type"], Value::Null);
}

#[test]
fn usage_is_found_wherever_it_hides_and_is_absent_where_none_came() {
    let usage = json!({ "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3 });
    let content = json!({ "choices": [{ "index": 0, "delta": { "content": "x" }, "finish_reason": "stop" }] });
    for chunk in [
        json!({ "usage": usage }),
        json!({ "choices": [], "usage": usage }),
        json!({ "choices": [{ "index": 0, "delta": {}, "usage": usage }] }),
        json!({ "choices": [], "x_groq": { "usage": usage } }),
    ] {
        let seen = streamed(CHAT, &hi(), &[content.clone(), chunk.clone(), json!({ "choices": [], "usage": null })]);
        assert_eq!(seen.record["usage"]["total_tokens"], 3, "{chunk}");
        assert!(seen.is_complete, "{chunk}");
    }
    assert_eq!(streamed(CHAT, &hi(), &[content]).record["usage"], Value::Null);
}

#[test]
fn content_behind_a_finish_reason_counts() {
    let chunk = |text: &str, finish: Value| json!({ "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": finish }] });
    let seen = streamed(CHAT, &hi(), &[chunk("a", json!("stop")), chunk("b", Value::Null)]);
    assert_eq!(seen.record["output"]["choices"][0]["message"]["content"], "ab");
    assert_eq!(seen.record["output"]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn what_came_before_a_cancel_is_kept() {
    let seen = streamed(
        MESSAGES,
        &hi(),
        &[
            json!({ "type": "message_start", "message": { "model": "c", "usage": {
            "input_tokens": 12, "cache_read_input_tokens": 100, "output_tokens": 1 } } }),
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Half" } }),
        ],
    );
    assert!(!seen.is_complete && !seen.has_failed);
    assert_eq!(seen.record["usage"]["prompt_tokens"], 112);
    assert_eq!(seen.record["output"]["choices"][0]["message"]["content"], "Half");
}

#[test]
fn an_answer_of_a_gateways_cache_costs_nothing() {
    for (status, cost) in [("HIT", json!(0)), ("MISS", Value::Null)] {
        let mut budget = Budget::default();
        let target =
            recognise("POST", "https://gateway.ai.cloudflare.com/v1/a/g/openai/chat/completions", &[]).unwrap();
        let mut call = Call::open(&mut budget, &Request::without_body(target), usize::MAX);
        call.answer(200, [("content-type", "application/json"), ("cf-aig-cache-status", status)]);
        let record = call.finish(&mut budget);
        assert_eq!(record_value(status, &record)["total_estimated_cost"], cost);
    }
}

#[test]
fn a_cost_is_taken_only_from_a_provider_that_states_it() {
    let router = "https://openrouter.ai/api/v1/chat/completions";
    let cost = |url, usage: Value| {
        let answer = json!({ "choices": [], "usage": usage }).to_string();
        answered(url, &hi(), "application/json", answer.as_bytes()).record["total_estimated_cost"].clone()
    };
    assert_eq!(cost(router, json!({ "prompt_tokens": 1, "cost": 0.5 })), 0.5);
    assert_eq!(cost(router, json!({ "prompt_tokens": 1, "cost": 0.5, "is_byok": true })), Value::Null);
    assert_eq!(cost(router, json!({ "prompt_tokens": 1, "cost": -1 })), Value::Null);
    assert_eq!(cost(CHAT, json!({ "prompt_tokens": 1, "cost": 0.5 })), Value::Null);
}

#[test]
fn a_stop_behind_the_end_marker_is_an_end() {
    let done = |body: &str| answered(CHAT, &hi(), "text/event-stream", body.as_bytes());
    assert!(done("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: [DONE]\n\n").is_complete);
    assert!(!done("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n").is_complete);
}

#[test]
fn durations_and_what_is_no_int32_stay_out_of_usage() {
    let answer = json!({ "done": true, "response": "x", "total_duration": 5_000_000_000_u64, "prompt_eval_count": 1, "eval_count": 2 });
    let url = "http://localhost:11434/api/generate";
    let seen =
        answered(url, &json!({ "model": "m", "prompt": "x" }), "application/json", answer.to_string().as_bytes());
    let names: Vec<_> = seen.record["usage"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 5, "{names:?}");
    let answer = json!({ "choices": [], "usage": { "prompt_tokens": 5_000_000_000_u64, "completion_tokens": 1, "is_byok": true,
        "time": 0.5, "kind": "x", "list": [1] } });
    let seen = answered(CHAT, &hi(), "application/json", answer.to_string().as_bytes());
    assert_eq!(seen.record["usage"], json!({ "completion_tokens": 1, "original_usage.completion_tokens": 1 }));
}

#[test]
fn the_first_token_is_content_and_not_the_role_or_a_ping() {
    let target = recognise("POST", CHAT, &[]).unwrap();
    let mut budget = Budget::default();
    let mut call = Call::open(&mut budget, &Request::without_body(target), usize::MAX);
    call.answer(200, [("content-type", "text/event-stream")]);
    for quiet in [
        ": ping\n\n",
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"x",
    ] {
        call.push(&mut budget, quiet.as_bytes());
        assert!(!call.has_first_token(), "{quiet}");
    }
    call.push(&mut budget, b"\"}}]}\n\n");
    assert!(call.has_first_token());
    call.abandon(&mut budget);
    assert_eq!(budget.held(), 0);
}

#[test]
fn what_is_no_json_is_said_and_breaks_nothing() {
    for (content_type, body) in [
        ("application/json", "<html>\"x\"</html>"),
        ("application/json", "not json"),
        ("application/json", "[1,2]"),
        ("application/json", "{\"choices\":[}"),
        ("text/event-stream", "data: {\"choices\":\n\n"),
        ("text/event-stream", "data: hello\n\n"),
        ("application/vnd.amazon.eventstream", "AAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        let seen = answered(CHAT, &hi(), content_type, body.as_bytes());
        assert_eq!(seen.record["metadata"]["opik_edge_llm"], "unparsed", "{body}");
        assert_eq!(seen.record["model"], "m", "{body}");
    }
}

#[test]
fn a_part_that_is_missing_leaves_nothing_behind() {
    let whole = json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "new", "x": 1 } });
    let seen = streamed(MESSAGES, &hi(), &[whole, json!({ "type": "content_block_start", "index": 1 })]);
    assert_eq!(seen.record["output"]["choices"][0]["message"]["other"], json!([{ "type": "new", "x": 1 }]));
    let seen = streamed(
        RESPONSES,
        &json!({ "model": "m", "input": "Hi" }),
        &[
            json!({ "type": "response.output_item.done", "output_index": 0 }),
            json!({ "type": "response.output_item.added" }),
        ],
    );
    assert_eq!(seen.record["output"], Value::Null);
    for (url, body) in [
        (
            MESSAGES,
            json!({ "messages": [{}, { "role": "user" }, { "role": "user", "content": [{ "type": "tool_result" }] }] }),
        ),
        (
            RESPONSES,
            json!({ "model": "m", "input": [{}, { "type": "function_call" }, { "role": "user", "content": [{}] }] }),
        ),
        (CHAT, json!({ "messages": [{}, { "content": [{}] }, { "tool_calls": [{}] }] })),
    ] {
        let target = recognise("POST", url, &[]).unwrap();
        let request = Request::read(&target, body.to_string().as_bytes(), 0).unwrap();
        parsed(url, &request.input);
    }
}

#[test]
fn arguments_that_are_streamed_in_parts_are_left_out_and_their_call_is_kept() {
    let url = "https://aiplatform.googleapis.com/v1/publishers/google/models/g:streamGenerateContent";
    let chunk = |call: Value| json!({ "candidates": [{ "content": { "parts": [{ "functionCall": call }] } }] });
    let part = json!({ "partialArgs": [{ "jsonPath": "$.city", "stringValue": "Os" }], "willContinue": true });
    let seen = streamed(
        url,
        &json!({ "contents": [] }),
        &[
            chunk(json!({ "name": "weather", "willContinue": true })),
            chunk(part.clone()),
            chunk(part),
            chunk(json!({})),
        ],
    );
    let calls = seen.record["output"]["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0]["function"], json!({ "name": "weather", "arguments": "{}" }));
}

#[test]
fn values_are_followed_to_a_depth_that_no_answer_has() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("{{\"model\":\"m2\",\"citations\":{open}{close}}}")
    };
    let seen = answered(CHAT, &hi(), "application/json", nested(100).as_bytes());
    assert_eq!(seen.record["model"], "m2");
    for depth in [200, 100_000] {
        let seen = answered(CHAT, &hi(), "application/json", nested(depth).as_bytes());
        assert_eq!(seen.record["metadata"]["opik_edge_llm"], "unparsed", "{depth}");
    }
}

#[test]
fn a_string_that_is_no_json_is_no_answer() {
    let url = "https://gateway.ai.cloudflare.com/v1/a/g/workers-ai/@cf/m";
    for body in ["\"a\u{0}b\"", "\"a\nb\"", "\"a\\x\""] {
        let seen = answered(url, &json!({ "prompt": "x" }), "application/json", body.as_bytes());
        assert_eq!(seen.record["output"], Value::Null, "{body}");
        assert_eq!(seen.record["metadata"]["opik_edge_llm"], "unparsed", "{body}");
    }
}

#[test]
fn a_refusal_in_plain_text_is_the_message_of_the_error() {
    let refused = |status: u16, pieces: &[&[u8]]| {
        let target = recognise("POST", CHAT, &[]).unwrap();
        let exchange = Exchange {
            name: "refused".to_string(),
            request: Request::without_body(target),
            status,
            headers: vec![("content-type".to_string(), "text/plain".to_string())],
            body: Vec::new(),
            expected: Value::Null,
        };
        see(&exchange, pieces.iter().copied()).record["error_message"].clone()
    };
    assert_eq!(refused(503, &[b"upstream connect \"error\"\n, re", b"set\n"]), "upstream connect \"error\" , reset");
    assert_eq!(refused(404, &[b"Gr\xc3", b"\xb6\xff\xc3\xa9\x07"]), "Gr\u{f6}\u{e9} ");
    assert_eq!(text(&refused(500, &["x".repeat(100_000).as_bytes()])).len(), 4096);
    // A page is for people.
    assert_eq!(refused(502, &[b" <!doctype html>Bad gateway"]), Value::Null);
    // The answer of a call that succeeds is not an error.
    assert_eq!(refused(200, &[b"fine"]), Value::Null);
}

#[test]
fn credentials_stay_out_of_the_record() {
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }],
        "mcp_servers": [{ "type": "url", "url": "https://a.example/x?key=SECRET", "authorization_token": "SECRET" }],
        "tools": [
            { "type": "mcp", "headers": { "X-Key": "SECRET" }, "api_key": "SECRET", "server_url": "https://u:SECRET@a.example/@x" },
            { "type": "shell", "environment": { "network_policy": { "domain_secrets": [{ "domain": "a", "value": "SECRET" }] } } },
            { "googleMaps": { "authConfig": { "apiKeyConfig": { "apiKeyString": "SECRET" } } } },
        ],
        "data_sources": [
            { "parameters": { "authentication": { "type": "api_key", "key": "SECRET" } } },
            { "parameters": { "dependency": { "authentication": { "connection_string": "SECRET" } } } },
        ] });
    let target = recognise("POST", "https://api.anthropic.com/v1/messages?key=SECRET", &[]).unwrap();
    let request = Request::read(&target, body.to_string().as_bytes(), 0).unwrap();
    let mut budget = Budget::default();
    let call = Call::open(&mut budget, &request, usize::MAX);
    let record = call.finish(&mut budget);
    let all = format!("{}{:?}", String::from_utf8_lossy(&request.input), record_value("secret", &record));
    assert!(!all.contains("SECRET"), "{all}");
    assert!(all.contains("https://a.example/@x"), "{all}");
}

#[test]
fn a_schema_may_name_its_properties_like_credentials() {
    let properties = json!({ "headers": { "type": "object" }, "api_key": { "type": "string", "default": "none" } });
    let tool = json!({ "type": "function", "function": { "name": "f", "parameters": { "type": "object", "properties": properties } } });
    let target = recognise("POST", CHAT, &[]).unwrap();
    let body = json!({ "model": "m", "messages": [], "tools": [tool] });
    let input = parsed(CHAT, &Request::read(&target, body.to_string().as_bytes(), 0).unwrap().input);
    assert_eq!(input["tools"][0], tool);
}

#[test]
fn addresses_lose_their_query_and_sounds_their_bytes_under_any_name() {
    let parts = json!([
        { "type": "document_url", "document_url": "https://a.example/d.pdf?sig=SECRET" },
        { "type": "video_url", "video_url": { "url": "https://a.example/v.mp4?sig=SECRET" } },
        { "type": "input_audio", "input_audio": "U0VDUkVU".repeat(20) },
    ]);
    let target = recognise("POST", "https://api.mistral.ai/v1/chat/completions", &[]).unwrap();
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": parts }] });
    let input = parsed(CHAT, &Request::read(&target, body.to_string().as_bytes(), 0).unwrap().input);
    let content = &input["messages"][0]["content"];
    assert_eq!(content[0]["document_url"], "https://a.example/d.pdf");
    assert_eq!(content[1]["video_url"]["url"], "https://a.example/v.mp4");
    assert_eq!(content[2]["text"], "[base64, 120 bytes]");
}

#[test]
fn an_image_beyond_every_bound_is_left_as_its_size() {
    let image = "iVBOR".repeat(100 * 1024);
    let expected = format!("[base64, {} bytes]", image.len() * 3 / 4);
    let answer = json!({ "model": "m", "status": "completed", "output": [
        { "type": "image_generation_call", "id": "i", "result": image },
        { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Hi" }] },
    ] });
    let seen =
        answered(RESPONSES, &json!({ "model": "m", "input": "x" }), "application/json", answer.to_string().as_bytes());
    let message = &seen.record["output"]["choices"][0]["message"];
    assert_eq!(message["other"][0]["result"], json!(expected));
    assert_eq!(message["content"], "Hi");

    let url = "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent";
    let part = json!({ "inlineData": { "mimeType": "image/png", "data": image } });
    let answer = json!({ "candidates": [{ "content": { "parts": [part] } }] });
    let seen = answered(url, &json!({ "contents": [] }), "application/json", answer.to_string().as_bytes());
    let other = &seen.record["output"]["choices"][0]["message"]["other"];
    assert_eq!(other[0], json!(expected.replace("base64", "image/png")));
}

// Cases without a fixture.

#[test]
fn a_host_of_ip_6_is_one_with_its_brackets() {
    let target = |url, named: &[(&str, &str)]| recognise("POST", url, named).map(|target| target.provider);
    assert_eq!(target("http://[::1]:11434/api/chat", &[]), Some("ollama".to_string()));
    assert_eq!(target("http://[::1]:8080/v1/chat/completions", &[]), Some("[::1]".to_string()));
    assert_eq!(target("http://[::1]:8080/v1/chat/completions", &[("[::1]", "openai")]), Some("openai".to_string()));
    assert_eq!(target("http://[::1]/v1/responses", &[("[::1]", "openai")]), Some("openai".to_string()));
}

#[test]
fn an_invoked_model_of_an_unknown_host_needs_a_body_that_fits() {
    let target = recognise("POST", "https://app.example/model/m/invoke", &[]).unwrap();
    for (body, fits) in [
        (json!({ "order": 1 }), false),
        (json!({ "messages": [] }), true),
        (json!({ "prompt": "x" }), true),
        (json!({ "inputText": "x" }), true),
    ] {
        assert_eq!(Request::read(&target, body.to_string().as_bytes(), 0).is_some(), fits, "{body}");
    }
}

#[test]
fn a_text_that_begins_like_a_data_url_is_a_text() {
    let input = |content: &str| {
        let target = recognise("POST", CHAT, &[]).unwrap();
        let body = json!({ "messages": [{ "role": "user", "content": content }] });
        let input = Request::read(&target, body.to_string().as_bytes(), 0).unwrap().input;
        text(&parsed(CHAT, &input)["messages"][0]["content"])
    };
    for same in ["data: 1, 2, 3", "data:a,b", "data: see https://a.example/x, please"] {
        assert_eq!(input(same), same);
    }
    assert_eq!(input("data:image/png;base64,AAAA"), "[image/png, 3 bytes]");
    assert_eq!(input("data:;base64,AAAA"), "[, 3 bytes]");
}

#[test]
fn an_image_that_is_a_list_of_bytes_is_left_as_its_size() {
    let target = Target::of_binding("@cf/llava-hf/llava-1.5-7b-hf");
    let body = json!({ "prompt": "What is it?", "image": [137, 80, 78, 71], "audio": [1, 2, 3] });
    let input = Request::read(&target, body.to_string().as_bytes(), 0).unwrap().input;
    let input = parsed("image", &input);
    assert_eq!((&input["image"], &input["audio"]), (&json!("[image, 4 bytes]"), &json!("[audio, 3 bytes]")));
}

#[test]
fn json_that_says_it_is_an_event_stream_is_read_and_said() {
    for body in [
        "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"x\"}}]}",
        "\u{feff}{\"choices\":[{\"index\":0,\"message\":{\"content\":\"x\"}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n{\"choices\":[]}\n",
    ] {
        let seen = answered(CHAT, &hi(), "text/event-stream", body.as_bytes());
        assert_eq!(seen.record["output"]["choices"][0]["message"]["content"], "x", "{body}");
        assert_eq!(seen.record["metadata"]["opik_edge_llm"], "unparsed", "{body}");
    }
    let seen = answered(CHAT, &hi(), "text/event-stream", b"{\"error\":{\"type\":\"t\",\"message\":\"m\"}}");
    assert_eq!((&seen.record["error_type"], &seen.record["error_message"]), (&json!("t"), &json!("m")));
}

#[test]
fn an_event_is_told_by_its_type_and_not_by_a_name_that_all_have() {
    let body = "event: message\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n";
    let seen = answered(MESSAGES, &hi(), "text/event-stream", body.as_bytes());
    assert_eq!(seen.record["output"]["choices"][0]["message"]["content"], "x");
}

#[test]
fn code_of_an_interpreter_is_kept_where_the_stream_ends_early() {
    let delta =
        |text: &str| json!({ "type": "response.code_interpreter_call_code.delta", "output_index": 0, "delta": text });
    let seen = streamed(RESPONSES, &json!({ "model": "m", "input": "Hi" }), &[delta("print("), delta("1)")]);
    let call = &seen.record["output"]["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], "print(1)");
}

#[test]
fn a_thought_that_is_empty_under_one_name_comes_under_the_other() {
    let delta = json!({ "choices": [{ "index": 0, "delta": { "reasoning_content": "", "reasoning": "Hm" } }] });
    let seen = streamed(CHAT, &hi(), &[delta]);
    assert_eq!(seen.record["output"]["choices"][0]["message"]["reasoning_content"], "Hm");
}

#[test]
fn the_class_of_an_error_is_its_type_or_its_code_and_never_the_status_in_it() {
    let error = json!({ "error": { "message": "filtered", "type": null, "param": "prompt", "code": "content_filter", "status": 400 } });
    let seen = answered(CHAT, &hi(), "application/json", error.to_string().as_bytes());
    assert_eq!(seen.record["error_type"], "content_filter");
    let error = json!({ "error": { "message": "up", "code": 502 } });
    let seen = answered(CHAT, &hi(), "application/json", error.to_string().as_bytes());
    assert_eq!(seen.record["error_type"], "502");
}

#[test]
fn a_failure_that_says_nothing_of_itself_is_a_failure() {
    let body = "data: {\"choices\":[]}\n\nevent: error\ndata: boom\n\n";
    assert!(answered(CHAT, &hi(), "text/event-stream", body.as_bytes()).has_failed);
    let rest = "https://api.cloudflare.com/client/v4/accounts/a/ai/run/@cf/meta/llama";
    let body = json!({ "result": null, "success": false, "errors": [], "messages": [] });
    let seen = answered(rest, &json!({ "prompt": "x" }), "application/json", body.to_string().as_bytes());
    assert!(seen.has_failed);
    assert_eq!(seen.record["error_type"], "Error");
}

#[test]
fn a_line_of_a_stream_without_an_end_takes_time_by_its_length_only() {
    let target = recognise("POST", CHAT, &[]).unwrap();
    let mut budget = Budget::default();
    let mut call = Call::open(&mut budget, &Request::without_body(target), usize::MAX);
    call.answer(200, [("content-type", "text/event-stream")]);
    // It would take hours if each byte were to look for the end of the line.
    call.push(&mut budget, "x".repeat(1 << 24).as_bytes());
    call.push(&mut budget, b"\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n");
    let record = record_value("long line", &call.finish(&mut budget));
    assert_eq!(record["output"]["choices"][0]["message"]["content"], "x");
}

#[test]
fn workers_ai_translates_and_sums_up() {
    for name in ["translated_text", "summary"] {
        let mut answer = serde_json::Map::new();
        answer.insert(name.to_string(), json!("x"));
        let body = json!({ "result": answer, "success": true, "errors": [], "messages": [] });
        let rest = "https://api.cloudflare.com/client/v4/accounts/a/ai/run/@cf/m";
        let seen = answered(rest, &json!({ "text": "y" }), "application/json", body.to_string().as_bytes());
        assert_eq!(seen.record["output"]["choices"][0]["message"]["content"], "x", "{name}");
    }
}

#[test]
fn what_workers_ai_answers_without_a_text_is_kept_without_its_bytes() {
    let rest = "https://api.cloudflare.com/client/v4/accounts/a/ai/run/@cf/m";
    let labels = json!([{ "label": "POSITIVE", "score": 0.9 }, { "label": "NEGATIVE", "score": 0.1 }]);
    for (result, expected) in [
        (json!({ "image": "iVBOR".repeat(40) }), json!([{ "image": "[base64, 150 bytes]" }])),
        (json!({ "audio": "UklGR".repeat(40) }), json!([{ "audio": "[base64, 150 bytes]" }])),
        (labels.clone(), json!([labels])),
    ] {
        let body = json!({ "result": result, "success": true, "errors": [], "messages": [] });
        let seen = answered(rest, &json!({ "prompt": "y" }), "application/json", body.to_string().as_bytes());
        assert_eq!(seen.record["output"]["choices"][0]["message"]["other"], expected, "{body}");
    }
    // The binding's answer is the result alone.
    let mut budget = Budget::default();
    let request = Request::without_body(Target::of_binding("@cf/m"));
    let mut call = Call::open(&mut budget, &request, usize::MAX);
    call.push(&mut budget, labels.to_string().as_bytes());
    let output = parsed("labels", &call.finish(&mut budget).output);
    assert_eq!(output["choices"][0]["message"]["other"], labels);
}

#[test]
fn an_image_beside_a_text_is_kept_as_its_size() {
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } });
    let answer = json!({ "choices": [{ "index": 0, "message": { "content": "Look", "images": [image] } }] });
    let seen = answered(CHAT, &hi(), "application/json", answer.to_string().as_bytes());
    let message = &seen.record["output"]["choices"][0]["message"];
    assert_eq!((&message["content"], &message["other"]), (&json!("Look"), &json!(["[image/png, 3 bytes]"])));
}

#[test]
fn messages_are_told_by_their_shape_where_a_format_has_those_of_several_makers() {
    let tool_calls = json!([{ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } }]);
    let expected = json!([
        { "role": "user", "content": "x" },
        { "role": "assistant", "content": null, "tool_calls": tool_calls },
        { "role": "tool", "tool_call_id": "c", "content": "r" },
    ]);
    let openai = json!([
        { "role": "user", "content": "x" },
        { "role": "assistant", "content": null, "tool_calls": tool_calls },
        { "role": "tool", "tool_call_id": "c", "content": "r" },
    ]);
    let anthropic = json!([
        { "role": "user", "content": "x" },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "c", "name": "f", "input": {} }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c", "content": "r" }] },
    ]);
    for url in [
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/invoke",
        "https://api.cloudflare.com/client/v4/accounts/a/ai/run/anthropic/claude-haiku-4-5",
    ] {
        for messages in [&openai, &anthropic] {
            let target = recognise("POST", url, &[]).unwrap();
            let body = json!({ "messages": messages });
            let input = parsed(url, &Request::read(&target, body.to_string().as_bytes(), 0).unwrap().input);
            assert_eq!(input["messages"], expected, "{url} {messages}");
        }
    }
    // Mistral's thoughts are parts with parts.
    let thought = json!({ "type": "thinking", "thinking": [{ "type": "text", "text": "Hm" }] });
    let body = json!({ "model": "m", "messages": [{ "role": "assistant", "content": [thought, { "type": "text", "text": "x" }] }] });
    let target = recognise("POST", "https://api.mistral.ai/v1/chat/completions", &[]).unwrap();
    let input = parsed("mistral", &Request::read(&target, body.to_string().as_bytes(), 0).unwrap().input);
    assert_eq!(input["messages"], json!([{ "role": "assistant", "content": "x", "reasoning_content": "Hm" }]));
}

#[test]
fn embeddings_of_an_invoked_model_are_counted() {
    let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/invoke";
    for (answer, dimensions) in [
        (json!({ "embedding": [0.1, 0.2, 0.3], "inputTextTokenCount": 5 }), vec![3]),
        (json!({ "embeddings": [[0.1, 0.2], [0.3, 0.4]], "inputTextTokenCount": 5 }), vec![2, 2]),
    ] {
        let seen = answered(url, &json!({ "inputText": "y" }), "application/json", answer.to_string().as_bytes());
        let found = seen.record["output"]["embeddings"].as_array().unwrap();
        let found: Vec<_> = found.iter().map(|embedding| embedding["dimensions"].as_u64().unwrap()).collect();
        assert_eq!(found, dimensions, "{answer}");
        let usage = &seen.record["usage"];
        assert_eq!((&usage["prompt_tokens"], &usage["total_tokens"]), (&json!(5), &json!(5)), "{answer}");
    }
}

#[test]
fn an_invoked_model_answers_in_the_shape_of_its_maker() {
    let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/invoke";
    for (answer, finish) in [
        (
            json!({ "output": { "message": { "role": "assistant", "content": [{ "text": "x" }] } }, "stopReason": "end_turn" }),
            "end_turn",
        ),
        (json!({ "outputs": [{ "text": "x", "stop_reason": "stop" }] }), "stop"),
        (json!({ "generations": [{ "text": "x", "finish_reason": "COMPLETE" }] }), "COMPLETE"),
        (json!({ "text": "x", "finish_reason": "COMPLETE" }), "COMPLETE"),
        (json!({ "results": [{ "outputText": "x", "completionReason": "FINISH" }] }), "FINISH"),
        (json!({ "generation": "x", "stop_reason": "stop" }), "stop"),
    ] {
        let seen = answered(url, &json!({ "prompt": "y" }), "application/json", answer.to_string().as_bytes());
        let choice = &seen.record["output"]["choices"][0];
        assert_eq!(
            (&choice["message"]["content"], &choice["finish_reason"]),
            (&json!("x"), &json!(finish)),
            "{answer}"
        );
    }
    let events = json!([
        { ":event-type": "chunk", "chunk": { "messageStart": { "role": "assistant" } } },
        { ":event-type": "chunk", "chunk": { "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "text": "He" } } } },
        { ":event-type": "chunk", "chunk": { "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "text": "llo" } } } },
        { ":event-type": "chunk", "chunk": { "messageStop": { "stopReason": "end_turn" } } },
        { ":event-type": "chunk", "chunk": { "metadata": { "usage": { "inputTokens": 1, "outputTokens": 2 } } } },
    ]);
    let url = format!("{url}-with-response-stream");
    let seen = answered(&url, &json!({ "messages": [] }), "application/vnd.amazon.eventstream", &aws_stream(&events));
    let choice = &seen.record["output"]["choices"][0];
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!("Hello"), &json!("end_turn")));
    assert_eq!(seen.record["usage"]["total_tokens"], 3);
}

#[test]
fn a_candidate_that_is_blocked_says_why_it_has_no_text() {
    let url = "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent";
    let message = |candidate: Value| {
        let answer = json!({ "candidates": [candidate] }).to_string();
        answered(url, &json!({ "contents": [] }), "application/json", answer.as_bytes()).record["output"]["choices"][0]
            ["message"]
            .clone()
    };
    let blocked = message(json!({ "finishReason": "SAFETY", "index": 0 }));
    assert_eq!(blocked, json!({ "role": "assistant", "content": null, "refusal": "SAFETY" }));
    let cut = message(json!({ "content": { "parts": [{ "text": "x" }] }, "finishReason": "SAFETY" }));
    assert_eq!(cut, json!({ "role": "assistant", "content": "x" }));
    let empty = message(json!({ "finishReason": "MAX_TOKENS" }));
    assert_eq!(empty, json!({ "role": "assistant", "content": null }));
}

#[test]
fn what_stands_beside_a_message_is_in_the_metadata() {
    let message = json!({ "content": "x", "annotations": [{ "type": "url_citation" }], "executed_tools": [{ "type": "search" }] });
    let answer = json!({ "choices": [{ "index": 0, "message": message }] }).to_string();
    let metadata = answered(CHAT, &hi(), "application/json", answer.as_bytes()).record["metadata"].clone();
    assert_eq!(metadata["annotations"], json!([{ "type": "url_citation" }]));
    assert_eq!(metadata["executed_tools"], json!([{ "type": "search" }]));
}

#[test]
fn cached_tokens_of_openai_s_shape_are_priced_by_the_rules_of_their_provider() {
    let usage = json!({ "input_tokens": 10, "output_tokens": 2, "total_tokens": 12, "input_tokens_details": { "cached_tokens": 4 } });
    let of = |model: &str| {
        let url = "https://api.cloudflare.com/client/v4/accounts/a/ai/v1/responses";
        let answer = json!({ "output": [], "usage": usage }).to_string();
        let seen = answered(url, &json!({ "model": model, "input": "x" }), "application/json", answer.as_bytes());
        let usage = seen.record["usage"].clone();
        let named = ["prompt_tokens", "original_usage.input_tokens", "cache_read_input_tokens"];
        named.map(|name| usage[name].as_u64())
    };
    assert_eq!(of("anthropic/claude-haiku-4-5"), [Some(10), Some(6), Some(4)]);
    assert_eq!(of("google/gemini-2.5-pro"), [Some(10), Some(10), Some(4)]);
    assert_eq!(of("openai/gpt-5"), [Some(10), Some(10), None]);
}

#[test]
fn arguments_that_come_with_the_start_of_a_call_are_kept() {
    let start = json!({ "type": "content_block_start", "index": 0,
        "content_block": { "type": "tool_use", "id": "t", "name": "n", "input": { "x": 1 } } });
    let seen = streamed(MESSAGES, &hi(), &[start]);
    let call = &seen.record["output"]["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], "{\"x\":1}");
}

// Bounds.

#[test]
fn the_text_of_a_call_is_bounded_and_says_so() {
    let target = recognise("POST", CHAT, &[]).unwrap();
    for (field_bytes, limit) in [(usize::MAX, MAX_TEXT_BYTES), (1000, 1000)] {
        let mut budget = Budget::default();
        let mut call = Call::open(&mut budget, &Request::without_body(target.clone()), field_bytes);
        call.answer(200, [("content-type", "text/event-stream")]);
        let text = "é\\n".repeat(50);
        for _ in 0..4000 {
            call.push(
                &mut budget,
                format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n").as_bytes(),
            );
        }
        call.push(&mut budget, b"data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n");
        assert!(budget.held() < limit * 2 + 64 * 1024, "{}", budget.held());
        let record = record_value("bounded", &call.finish(&mut budget));
        let content = record["output"]["choices"][0]["message"]["content"].as_str().unwrap();
        assert!(content.len() <= limit && content.len() > limit / 2, "{}", content.len());
        assert!(content.ends_with("… [opik_truncated: 800000 bytes]"));
        assert_eq!(record["metadata"]["opik_edge_llm"], "cut");
        assert_eq!(record["usage"]["prompt_tokens"], 1);
    }
}

#[test]
fn a_text_near_its_limits_is_the_same_however_it_is_cut() {
    let target = recognise("POST", CHAT, &[]).unwrap();
    let numbers = |count: usize| json!(vec![1; count]);
    for value in
        [numbers(63), numbers(64), numbers(65), numbers(200), json!("é\\u00e9\"".repeat(40)), json!("x".repeat(990))]
    {
        for field_bytes in [0, 100, 400, 1000, 1024, usize::MAX] {
            let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
                let mut budget = Budget::default();
                let mut call = Call::open(&mut budget, &Request::without_body(target.clone()), field_bytes);
                call.answer(200, [("content-type", "text/event-stream")]);
                pieces.for_each(|piece| call.push(&mut budget, piece));
                call.finish(&mut budget)
            };
            let event = json!({ "citations": value, "choices": [{ "delta": { "content": value } }], "model": "m" });
            let body = format!("data: {event}\n\n");
            let whole = read(&mut core::iter::once(body.as_bytes()));
            assert_eq!(parsed("whole", &whole.model), "m", "{event}");
            for size in [1, 7, 100, 500] {
                assert_eq!(read(&mut body.as_bytes().chunks(size)), whole, "{size} {field_bytes} {event}");
            }
        }
    }
}

#[test]
fn an_answer_in_one_body_is_bounded_and_keeps_its_usage() {
    let text = "é".repeat(5_000_000);
    let answer = format!(
        "{{\"model\":\"m\",\"choices\":[{{\"index\":0,\"message\":{{\"content\":\"{text}\"}},\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":1}}}}"
    );
    let target = recognise("POST", CHAT, &[]).unwrap();
    let mut budget = Budget::default();
    let mut call = Call::open(&mut budget, &Request::without_body(target), usize::MAX);
    call.answer(200, [("content-type", "application/json")]);
    for chunk in answer.as_bytes().chunks(10_007) {
        call.push(&mut budget, chunk);
        assert!(budget.held() < 4 * MAX_TEXT_BYTES, "{}", budget.held());
    }
    let record = record_value("one body", &call.finish(&mut budget));
    assert!(
        record["output"]["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .ends_with("… [opik_truncated: 10000000 bytes]")
    );
    assert_eq!(record["output"]["choices"][0]["finish_reason"], "stop");
    assert_eq!(record["usage"]["prompt_tokens"], 1);
}

#[test]
fn an_event_without_an_end_is_bounded() {
    for piece in ["1", " ", "[", "\"", "{\"a\":\"", "\\u00e9", "[1,", "\n", ":"] {
        for content_type in ["text/event-stream", "application/json"] {
            let target = recognise("POST", CHAT, &[]).unwrap();
            let mut budget = Budget::default();
            let mut call = Call::open(&mut budget, &Request::without_body(target), usize::MAX);
            call.answer(200, [("content-type", content_type)]);
            call.push(&mut budget, b"data: {\"x\":\"");
            for _ in 0..100 {
                call.push(&mut budget, piece.repeat(40_000 / piece.len()).as_bytes());
                assert!(budget.held() < 8 * MAX_TEXT_BYTES, "{piece}: {}", budget.held());
            }
            call.abandon(&mut budget);
        }
    }
}

#[test]
fn two_thousand_embeddings_are_counted_and_not_held() {
    let vector = "A".repeat(2048);
    let data: Vec<_> = (0..2048).map(|index| json!({ "index": index, "embedding": vector })).collect();
    let answer = json!({ "data": data, "usage": { "prompt_tokens": 9, "total_tokens": 9 } }).to_string();
    let seen = answered(
        "https://api.openai.com/v1/embeddings",
        &json!({ "model": "m", "input": "x" }),
        "application/json",
        answer.as_bytes(),
    );
    let sizes = seen.record["output"]["embeddings"].as_array().unwrap().clone();
    assert_eq!(sizes.len(), 2048);
    assert!(sizes.iter().all(|embedding| embedding["dimensions"] == 384));
    assert_eq!(seen.record["usage"]["prompt_tokens"], 9);
}

#[test]
fn all_open_calls_together_are_bounded_and_a_new_one_keeps_what_is_short() {
    let target = recognise("POST", CHAT, &[]).unwrap();
    let request = Request::without_body(target);
    let mut budget = Budget::default();
    let mut open = Vec::new();
    let text = "x".repeat(1000);
    while budget.held() < MAX_OPEN_BYTES {
        let mut call = Call::open(&mut budget, &request, usize::MAX);
        call.answer(200, [("content-type", "text/event-stream")]);
        for _ in 0..200 {
            call.push(
                &mut budget,
                format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n").as_bytes(),
            );
        }
        open.push(call);
        assert!(budget.held() <= MAX_OPEN_BYTES + 2 * MAX_TEXT_BYTES, "{}", budget.held());
    }
    let mut call = Call::open(&mut budget, &request, usize::MAX);
    call.answer(200, [("content-type", "text/event-stream")]);
    call.push(
        &mut budget,
        b"data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"secret\",\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":1}}\n\n",
    );
    assert!(call.is_complete());
    let record = record_value("lean", &call.finish(&mut budget));
    assert_eq!(record["metadata"]["opik_edge_llm"], "no_text");
    assert_eq!(record["model"], "m");
    assert_eq!(record["usage"]["prompt_tokens"], 1);
    let choice = &record["output"]["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "f");
    assert!(!record.to_string().contains("secret"));
    for call in open {
        call.abandon(&mut budget);
    }
    assert_eq!(budget.held(), 0);
}

/// The fields that a description gives, as JSON.
fn described(description: &Value) -> Value {
    let Described { provider, input, output, usage } = Described::read(description.to_string().as_bytes());
    let value = |json: &[u8]| if json.is_empty() { Value::Null } else { serde_json::from_slice(json).unwrap() };
    json!({ "provider": value(&provider), "input": value(&input), "output": value(&output), "usage": value(&usage) })
}

#[test]
fn providers_of_the_ai_sdk_have_the_names_that_opik_prices() {
    for (name, provider) in [
        ("openai.chat", "openai"),
        ("openai.responses", "openai"),
        ("azure.chat", "azure"),
        ("azure-openai.chat", "azure"),
        ("anthropic.messages", "anthropic"),
        ("google.generative-ai", "google_ai"),
        ("google.vertex.chat", "google_vertexai"),
        ("vertex.anthropic.messages", "anthropic_vertexai"),
        ("googleVertex.anthropic.messages", "anthropic_vertexai"),
        ("amazon-bedrock", "bedrock"),
        ("bedrock.anthropic.messages", "bedrock"),
        ("mistral.chat", "mistral"),
        ("groq.chat", "groq"),
        ("xai.responses", "xai"),
        ("fireworks.chat", "fireworks_ai"),
        ("togetherai.chat", "together"),
        ("moonshotai.chat", "moonshot"),
        ("workersai.chat", "cloudflare"),
        ("openrouter", "openrouter"),
        ("mine.chat", "mine"),
    ] {
        assert_eq!(described(&json!({ "provider": name }))["provider"], provider, "{name}");
    }
    for nothing in [json!({}), json!({ "provider": "" }), json!({ "provider": 7 }), json!([]), json!(7)] {
        assert_eq!(described(&nothing), json!({ "provider": null, "input": null, "output": null, "usage": null }));
    }
}

#[test]
fn messages_of_the_ai_sdk_have_the_shape_that_opiks_page_renders() {
    let call = json!({ "type": "tool-call", "toolCallId": "a", "toolName": "weather", "input": { "city": "Oslo" } });
    let result = |output: Value| {
        json!({ "role": "tool", "content": [
            { "type": "tool-result", "toolCallId": "a", "toolName": "weather", "output": output },
        ] })
    };
    let image = json!({ "role": "user", "content": [
        { "type": "text", "text": "What is it?" },
        { "type": "image", "image": "https://images.example/a.png?key=secret" },
        { "type": "file", "mediaType": "image/png", "data": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk" },
    ] });
    let said = described(&json!({
        "system": "Be kind",
        "messages": [
            { "role": "user", "content": "Hi" },
            image,
            { "role": "assistant", "content": [{ "type": "reasoning", "text": "Hm" }, { "type": "text", "text": "Let me see" }, call] },
            result(json!({ "type": "json", "value": { "degrees": 7 } })),
            result(json!({ "type": "text", "value": "fine" })),
            result(json!({ "degrees": 7 })),
        ],
        "content": [{ "type": "text", "text": "Fine" }, call, { "type": "tool-result", "toolCallId": "a", "output": 1 }],
        "finishReason": "tool-calls",
    }));
    let called = json!([{ "id": "a", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Oslo\"}" } }]);
    let tool = |content: &str| json!({ "role": "tool", "tool_call_id": "a", "name": "weather", "content": content });
    assert_eq!(
        said["input"]["messages"],
        json!([
            { "role": "system", "content": "Be kind" },
            { "role": "user", "content": "Hi" },
            { "role": "user", "content": [
                { "type": "text", "text": "What is it?" },
                { "type": "image_url", "image_url": { "url": "https://images.example/a.png" } },
                { "type": "text", "text": "[image/png, 45 bytes]" },
            ] },
            { "role": "assistant", "content": "Let me see", "reasoning_content": "Hm", "tool_calls": called },
            tool("{\"degrees\":7}"),
            tool("fine"),
            tool("{\"degrees\":7}"),
        ])
    );
    assert_eq!(
        said["output"],
        json!({ "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": "Fine", "tool_calls": called },
            "finish_reason": "tool-calls",
        }] })
    );
    let prompt =
        described(&json!({ "messages": "Hi", "tools": [{ "name": "weather" }], "toolChoice": { "type": "auto" } }));
    assert_eq!(
        prompt["input"],
        json!({
            "messages": [{ "role": "user", "content": "Hi" }],
            "tools": [{ "name": "weather" }],
            "tool_choice": { "type": "auto" },
        })
    );
}

#[test]
fn tokens_of_the_ai_sdk_have_the_names_that_opik_prices() {
    let counts = json!({
        "inputTokens": 17, "outputTokens": 5, "totalTokens": 22,
        "inputTokenDetails.cacheReadTokens": 4, "outputTokenDetails": { "reasoningTokens": 2 },
    });
    let usage = |provider: &str| described(&json!({ "provider": provider, "usage": counts }))["usage"].clone();
    for (name, count) in [
        ("prompt_tokens", 17),
        ("completion_tokens", 5),
        ("total_tokens", 22),
        ("reasoning_tokens", 2),
        ("cache_read_input_tokens", 4),
    ] {
        for provider in ["openai.chat", "anthropic.messages", "google.generative-ai", "mine.chat"] {
            assert_eq!(usage(provider)[name], count, "{name} of {provider}");
        }
    }
    // Anthropic's calculator adds cached tokens to this counter.
    assert_eq!(usage("anthropic.messages")["original_usage.input_tokens"], 13);
    assert_eq!(usage("openai.chat")["original_usage.input_tokens"], Value::Null);
    let raw = json!({ "input_tokens": 5, "cache_read_input_tokens": 100, "output_tokens": 7 });
    let anthropic = described(&json!({ "provider": "anthropic.messages", "usage": raw }))["usage"].clone();
    assert_eq!([&anthropic["prompt_tokens"], &anthropic["original_usage.input_tokens"]], [105, 5]);
}

#[test]
fn attributes_of_open_telemetry_have_the_fields_of_the_vectors() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/attributes.json")).unwrap();
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        assert!(!vector["source"].as_str().unwrap().is_empty(), "{name} says where it is from");
        let fields = fields_of_attributes(vector["attributes"].to_string().as_bytes());
        assert_eq!(parsed(name, &fields), vector["fields"], "{name}");
    }
}

/// The attributes of a span of OTLP, in the form of OpenTelemetry's SDK.
fn attributes_of(span: &Value) -> Value {
    let value = |value: &Value| {
        let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "intValue" => value.as_str().unwrap().parse::<i64>().unwrap().into(),
            "arrayValue" => {
                value["values"].as_array().unwrap().iter().map(|value| value["stringValue"].clone()).collect()
            }
            _ => value.clone(),
        }
    };
    let attributes = span["attributes"].as_array().unwrap().iter();
    attributes.map(|one| (one["key"].as_str().unwrap().to_owned(), value(&one["value"]))).collect()
}

#[test]
fn rows_as_otlp_are_as_the_vectors_say_and_are_read_back() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/otlp.json")).unwrap();
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let body = vector["body"].as_str().unwrap().as_bytes();
        let row = &parsed(name, body)["spans"][0];
        let request = parsed(name, &otlp_of_rows(body));
        assert_eq!(request, vector["otlp"], "{name}");
        if request.is_null() {
            continue;
        }
        let attributes = attributes_of(&request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]);
        let fields = parsed(name, &fields_of_attributes(attributes.to_string().as_bytes()));
        for (member, value) in fields.as_object().unwrap() {
            let mut expected = row[member].clone();
            if member == "metadata" {
                expected["none"] = "null".into();
            }
            assert_eq!(*value, expected, "{name}: {member}");
        }
    }
}

/// All values in a JSON value, itself included.
fn values_in<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    found.push(value);
    match value {
        Value::Array(values) => values.iter().for_each(|value| values_in(value, found)),
        Value::Object(members) => members.values().for_each(|value| values_in(value, found)),
        _ => {}
    }
}

#[test]
fn any_value_of_any_attribute_and_of_any_field_gives_json() {
    let attributes: Value = serde_json::from_str(include_str!("vectors/attributes.json")).unwrap();
    let rows: Value = serde_json::from_str(include_str!("vectors/otlp.json")).unwrap();
    let bodies: Vec<Value> =
        rows.as_array().unwrap().iter().map(|row| parsed("row", row["body"].as_str().unwrap().as_bytes())).collect();
    let mut values = Vec::new();
    values_in(&attributes, &mut values);
    for body in &bodies {
        values_in(body, &mut values);
    }
    let odd: Vec<Value> =
        [r"\", r#"""#, r#"{"a":"\u0022"}"#, "[[[[", "\u{8}[]", "[\"\n\"]", "[1]]", "-1", "1e9"].map(Value::from).into();
    values.extend(&odd);
    let mut texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.extend(["1e300", "-0.5", "0.00001", "123456789012345678901234567890", "1E-7"].map(String::from));
    texts.sort();
    texts.dedup();

    let mut names: Vec<&str> = Vec::new();
    for vector in attributes.as_array().unwrap() {
        names.extend(vector["attributes"].as_object().unwrap().keys().map(String::as_str));
    }
    names.sort_unstable();
    names.dedup();
    let mut fields: Vec<&str> =
        bodies.iter().flat_map(|body| body["spans"][0].as_object().unwrap().keys()).map(String::as_str).collect();
    fields.sort_unstable();
    fields.dedup();
    for text in &texts {
        for name in &names {
            let given = format!(r#"{{"gen_ai.operation.name":"chat","{name}":{text}}}"#);
            assert!(parsed(&given, &fields_of_attributes(given.as_bytes()))["type"].is_string(), "{given}");
        }
        for field in &fields {
            let times = r#""start_time":"2025-11-24T16:00:00.000Z","end_time":"2025-11-24T16:00:00.250Z""#;
            let given = format!(r#"{{"spans":[{{{times},"type":"llm","{field}":{text}}}]}}"#);
            parsed(&given, &otlp_of_rows(given.as_bytes()));
        }
    }
    for text in ["", "7", "[]", "{", "nul", r#"{"a":1"#] {
        assert_eq!(fields_of_attributes(text.as_bytes()), br#"{"type":"general"}"#, "{text}");
        assert!(otlp_of_rows(text.as_bytes()).is_empty(), "{text}");
    }
}
