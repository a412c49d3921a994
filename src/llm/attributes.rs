//! Attributes of an OpenTelemetry span → the fields of an Opik row, by one table: for each field its attributes, the first
//! that is present counts. The way back, which writes the first of each, is [`super::otlp`]. The names come
//! from OpenTelemetry's conventions for generative AI, AI SDK 5 and 6, `OpenInference`, `OpenLLMetry`, Logfire and Opik's own
//! endpoint.

use alloc::vec::Vec;

use super::answer::{Kind, write_embedding};
use super::conversation::Conversation;
use super::described::{instruct, reply, say, write_choice};
use super::part::{call, text};
use super::recognise::{pairs, provider_in_sdk};
use super::tape::{Document, Tape};
use super::usage::Counts;
use super::value::{
    Names, Value, Write, cut, cut_last, is_in, names, trim, unescaped, write_clean, write_comma, write_member,
    write_name,
};
use crate::id::Id;
use crate::json::int32;

pub(super) const OPERATION: &[u8] = names!("gen_ai.operation.name ai.operationId openinference.span.kind");
pub(super) const MODEL: &[u8] = names!(
    "gen_ai.response.model ai.response.model gen_ai.request.model ai.model.id llm.model_name embedding.model_name"
);
pub(super) const PROVIDER: &[u8] =
    names!("gen_ai.provider.name gen_ai.system ai.model.provider llm.provider llm.system");
pub(super) const COST: &[u8] = names!("gen_ai.usage.cost");
/// In seconds.
pub(super) const FIRST_CHUNK: &[u8] = names!("gen_ai.response.time_to_first_chunk");
/// In milliseconds.
const TTFT: &[u8] = names!("ai.response.msToFirstChunk ai.stream.msToFirstChunk");
const THREAD: &[u8] = names!("thread_id gen_ai.conversation.id ai.telemetry.metadata.threadId session.id");
pub(super) const TAGS: &[u8] = names!("opik.tags ai.telemetry.metadata.tags tag.tags");
/// The ids of a row.
pub(super) const IDS: [(&[u8], &[u8]); 3] = [
    (b"trace_id", names!("opik.trace_id")),
    (b"parent_span_id", names!("opik.parent_span_id")),
    (b"id", names!("opik.span_id")),
];
const SYSTEM: &[u8] = names!("gen_ai.system_instructions");
const MESSAGES: &[u8] = names!("gen_ai.input.messages ai.prompt.messages gen_ai.prompt ai.prompt");
const TOOLS: &[u8] = names!("gen_ai.tool.definitions ai.prompt.tools");
const TOOL_CHOICE: &[u8] = names!("ai.prompt.toolChoice");
/// An input other than messages.
pub(super) const INPUT: &[u8] =
    names!("input input.value gen_ai.tool.call.arguments ai.toolCall.args ai.values ai.value ai.documents");
const ANSWER: &[u8] = names!("gen_ai.output.messages gen_ai.completion");
const SAID: &[u8] = names!("ai.response.text ai.response.object");
const THOUGHT: &[u8] = names!("ai.response.reasoning");
const CALLS: &[u8] = names!("ai.response.toolCalls");
const FINISH: &[u8] = names!("gen_ai.response.finish_reasons ai.response.finishReason");
/// An output other than an answer.
pub(super) const OUTPUT: &[u8] = names!("output output.value gen_ai.tool.call.result ai.toolCall.result");
/// JSON of vectors.
const VECTORS: &[u8] = names!("ai.embeddings ai.embedding");
const RANKING: &[u8] = names!("ai.ranking");
const ANSWER_ID: &[u8] = names!("gen_ai.response.id ai.response.id");
const CALL_ID: &[u8] = names!("gen_ai.tool.call.id ai.toolCall.id");
/// The span says the first two itself. The third may repeat the answer; its counts are read. Queries may hold keys.
const LEFT_OUT: &[u8] = names!("operation.name resource.name ai.response.providerMetadata url.query");

/// All attributes that do not become metadata.
const KNOWN: [&[u8]; 27] = [
    OPERATION,
    MODEL,
    PROVIDER,
    COST,
    FIRST_CHUNK,
    TTFT,
    THREAD,
    TAGS,
    IDS[0].1,
    IDS[1].1,
    IDS[2].1,
    SYSTEM,
    MESSAGES,
    TOOLS,
    TOOL_CHOICE,
    INPUT,
    ANSWER,
    SAID,
    THOUGHT,
    CALLS,
    FINISH,
    OUTPUT,
    VECTORS,
    RANKING,
    ANSWER_ID,
    CALL_ID,
    LEFT_OUT,
];

/// The beginnings of the names of token counts. The first beginning that gives counts is taken, because an SDK repeats its counts.
const COUNTS: &[u8] = names!("ai.usage. gen_ai.usage. llm.token_count.");
/// Counts of rows, each before its name in OpenTelemetry. The others have the same name behind `gen_ai.usage.`.
pub(super) const COUNTS_OF_ROWS: &[u8] = names!("prompt_tokens input_tokens completion_tokens output_tokens");
/// Names of counts, each before the name that it has elsewhere.
const COUNT_NAMES: &[u8] = names!(
    "tokens prompt_tokens promptTokens prompt_tokens completionTokens completion_tokens prompt prompt_tokens completion completion_tokens total total_tokens"
);
/// The beginnings of the names of attributes that belong to the input, and to the output.
const INPUT_PARTS: &[u8] =
    names!("gen_ai.prompt. llm.input_messages. traceloop.entity.input tool.parameters request_data all_messages");
const OUTPUT_PARTS: &[u8] = names!(
    "gen_ai.completion. llm.output_messages. traceloop.entity.output ai.response.files retrieval.documents. response_data"
);
/// Headers may hold keys. The texts of vectors are the input.
const LEFT_OUT_PARTS: &[u8] = names!("ai.request.headers. http.request.header. embedding.embeddings.");
/// The beginnings that names in metadata lose.
const NAMESPACES: &[u8] = names!("opik.metadata. ai.telemetry.metadata. gen_ai.request.");

const LLM_OPERATIONS: &[u8] = names!("chat text_completion generate_content embeddings LLM EMBEDDING");
const TOOL_OPERATIONS: &[u8] = names!("execute_tool ai.toolCall TOOL");

/// The attributes of a span, `{name: value}`, as the fields of its row: an object with `type` and any of `model`, `provider`,
/// `usage`, `total_estimated_cost`, `ttft`, `thread_id`, `tags`, `trace_id`, `parent_span_id`, `id`, `input`, `output` and
/// `metadata`. Values that are JSON texts are read as JSON. Messages get the shape that Opik's page renders. Attributes that no
/// field is known for become metadata. Ids are there if they are UUIDv7. Model, provider and tokens are fields of type `llm`
/// only, because a call's sum would be counted again.
///
/// ```
/// use opik_edge::llm::fields_of_attributes;
///
/// let fields = fields_of_attributes(
///     br#"{"gen_ai.operation.name":"chat","gen_ai.provider.name":"gcp.gemini","gen_ai.request.model":"gemini-2.5-flash",
///     "gen_ai.input.messages":"[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\"}]}]","peer":"a"}"#,
/// );
/// assert_eq!(
///     fields,
///     br#"{"type":"llm","model":"gemini-2.5-flash","provider":"google_ai","input":{"messages":[{"role":"user","content":"Hi"}]},"metadata":{"peer":"a"}}"#
/// );
/// ```
#[must_use]
pub fn fields_of_attributes(json: &[u8]) -> Vec<u8> {
    let mut tape = Tape::default();
    let document: Document<'_> = tape.whole(json).unwrap_or_default();
    let given = Value::of(&document);
    let operation = given.any(OPERATION);
    let (model, provider) = (given.any(MODEL), given.any(PROVIDER));
    let kind = kind_of(operation.content(), given);
    let mut metadata = Vec::from(b"{");
    let mut out = Vec::from(b"{");
    write_text(&mut out, b"type", kind);
    if kind == b"llm" {
        // AI SDK's names have capitals inside, OpenLLMetry's at the beginning.
        let name = provider_in_sdk(provider.content()).to_ascii_lowercase();
        let name = provider_in_sdk(&name);
        write_text(&mut out, b"model", model.content());
        write_text(&mut out, b"provider", name);
        let mut usage = Vec::new();
        let is_embedding = given.any(VECTORS).is_some() || is_in(names!("embeddings EMBEDDING"), operation.content());
        if !write_counts_of_row(&mut usage, given) {
            counts(given).write(&mut usage, name, is_embedding);
        }
        write_raw(&mut out, b"usage", &usage);
        write_raw(&mut out, b"total_estimated_cost", number(given.any(COST)));
        let seconds = shifted(number(given.any(FIRST_CHUNK)), true);
        let ttft = number(given.any(TTFT));
        write_raw(&mut out, b"ttft", if ttft.is_empty() { &seconds } else { ttft });
    } else {
        if kind == b"general" {
            write_member(&mut metadata, b"operation", operation);
        }
        write_member(&mut metadata, b"provider", provider);
        write_member(&mut metadata, b"model", model);
    }
    let thread = given.any(THREAD);
    let thread_id = if thread.index().is_some() { thread.text() } else { thread.content() };
    write_text(&mut out, b"thread_id", thread_id);
    write_tags(&mut out, given.any(TAGS));
    for (name, names) in IDS {
        let id = given.any(names).content().to_ascii_lowercase();
        if Id::is_encoded(&id) {
            write_text(&mut out, name, &id);
        }
    }
    write_object(&mut out, b"input", &input(given));
    let answer = output(given);
    if !answer.starts_with(b"{\"choices\"") {
        write_member(&mut metadata, b"finish_reason", given.any(FINISH));
    }
    write_object(&mut out, b"output", &answer);
    write_metadata(&mut metadata, given);
    metadata.put_byte(b'}');
    write_object(&mut out, b"metadata", &metadata);
    out.put_byte(b'}');
    out
}

#[inline(never)]
fn kind_of(operation: &[u8], given: Value<'_>) -> &'static [u8] {
    let is_model_call = cut_last(operation, b'.').0.starts_with(b"do") && operation.starts_with(b"ai.");
    if is_in(LLM_OPERATIONS, operation) || is_model_call {
        b"llm"
    } else if is_in(TOOL_OPERATIONS, operation) {
        b"tool"
    } else if !operation.is_empty() {
        b"general"
    } else if given.any(names!("gen_ai.tool.call.arguments gen_ai.tool.call.result")).is_some()
        || given.member("traceloop.span.kind").content() == b"tool"
    {
        b"tool"
    } else if given.any(MODEL).is_some() || given.any(PROVIDER).is_some() {
        b"llm"
    } else {
        b"general"
    }
}

/// Appends the counts of a row that went through OTLP, and tells whether there are any.
#[inline(never)]
fn write_counts_of_row(out: &mut Vec<u8>, given: Value<'_>) -> bool {
    let prefix = names!("gen_ai.usage.");
    let is_own = |(name, _): (&[u8], Value<'_>)| name.starts_with(b"gen_ai.usage.original_usage.");
    if !given.members().any(is_own) {
        return false;
    }
    out.put_byte(b'{');
    for (name, count) in given.members() {
        let Some(name) = behind(prefix, name) else { continue };
        if int32(count.text()).is_some() {
            write_name(out, pairs(COUNTS_OF_ROWS).find(|(_, known)| *known == name).map_or(name, |(own, _)| own));
            out.put(count.text());
        }
    }
    out.put_byte(b'}');
    true
}

#[inline(never)]
fn counts(given: Value<'_>) -> Counts {
    let mut counts = Counts::default();
    // The AI SDK has the counts that Anthropic prices only here.
    let details = given.member("ai.response.providerMetadata");
    parsed(details, &mut |details| counts.merge(details.member("anthropic").member("usage")));
    for prefix in Names(COUNTS) {
        if !counts.is_empty() {
            break;
        }
        for (name, value) in given.members() {
            if let Some(name) = name.strip_prefix(prefix) {
                counts
                    .count(pairs(COUNT_NAMES).find(|(known, _)| *known == name).map_or(name, |(_, name)| name), value);
            }
        }
    }
    counts
}

#[inline(never)]
fn input(given: Value<'_>) -> Vec<u8> {
    let mut out = Vec::from(b"{");
    let mut messages = Conversation::default();
    parsed(given.any(SYSTEM), &mut |value| instruct(&mut messages, value));
    parsed(given.any(MESSAGES), &mut |value| {
        let [system, said, prompt] = value.pick(names!("system messages prompt"));
        instruct(&mut messages, system);
        say(&mut messages, said.or(prompt).or(value));
    });
    messages.write(&mut out);
    write_parsed_member(&mut out, b"tools", given.any(TOOLS));
    write_parsed_member(&mut out, b"tool_choice", given.any(TOOL_CHOICE));
    write_whole(&mut out, b"input", given.any(INPUT));
    write_members(&mut out, INPUT_PARTS, given);
    out.put_byte(b'}');
    out
}

#[inline(never)]
fn output(given: Value<'_>) -> Vec<u8> {
    let mut out = Vec::from(b"{");
    let finish = given.any(FINISH);
    let reason = |index| finish.items().nth(index).unwrap_or(finish);
    let mut index = 0;
    parsed(given.any(ANSWER), &mut |answer| {
        for message in answer.items().filter(|_| answer.is_some()) {
            let mut said = Conversation::default();
            reply(&mut said, message);
            write_choice(&mut out, index, &mut said, message.member("finish_reason").or(reason(index)));
            index = index.wrapping_add(1);
        }
    });
    if index == 0 {
        let mut said = Conversation::default();
        said.assistant();
        said.part(&text(Kind::Reasoning, given.any(THOUGHT)));
        if given.any(SAID).is_some() {
            said.part(&text(Kind::Text, given.any(SAID)));
        }
        parsed(given.any(CALLS), &mut |calls| calls.elements().for_each(|one| said.part(&call(one))));
        write_choice(&mut out, 0, &mut said, reason(0));
    }
    if out.len() > 1 {
        out.put_byte(b']');
    }
    write_whole(&mut out, b"output", given.any(OUTPUT));
    let vectors = given.any(VECTORS);
    if vectors.is_some() {
        write_name(&mut out, b"embeddings");
        out.put_byte(b'[');
        for (index, vector) in vectors.items().enumerate() {
            write_embedding(&mut out, index, vector.content().split(|&byte| byte == b',').count());
        }
        out.put_byte(b']');
    }
    write_parsed_member(&mut out, b"ranking", given.any(RANKING));
    write_members(&mut out, OUTPUT_PARTS, given);
    out.put_byte(b'}');
    out
}

#[inline(never)]
fn write_metadata(out: &mut Vec<u8>, given: Value<'_>) {
    write_member(out, b"id", given.any(ANSWER_ID));
    write_member(out, b"tool_call_id", given.any(CALL_ID));
    for (name, value) in given.members() {
        let is_field = KNOWN.iter().any(|names| is_in(names, name))
            || [COUNTS, INPUT_PARTS, OUTPUT_PARTS, LEFT_OUT_PARTS].iter().any(|names| behind(names, name).is_some());
        if !is_field && !value.is_null() {
            let name = behind(NAMESPACES, name).unwrap_or(name);
            // The last word tells whether it is a URL or a credential.
            let last = if is_in(names!("url.full http.target"), name) { b"url" } else { cut_last(name, b'.').0 };
            write_name(out, name);
            write_parsed(out, last, value);
        }
    }
}

/// The rest of a name that begins with one of these.
#[inline(never)]
fn behind<'a>(beginnings: &[u8], name: &'a [u8]) -> Option<&'a [u8]> {
    Names(beginnings).find_map(|beginning| name.strip_prefix(beginning))
}

/// Calls `read` with a value, or with what it holds if it is a JSON text of more than a word.
#[inline(never)]
fn parsed(value: Value<'_>, read: &mut dyn FnMut(Value<'_>)) {
    if matches!(value.content(), [b'{' | b'[', ..] | [b'\\', b'"', ..]) {
        let text = unescaped(value.content());
        if let Some(document) = Tape::default().whole(&text) {
            read(Value::of(&document));
            return;
        }
    }
    read(value);
}

/// Appends a value, with JSON in place of JSON texts.
#[inline(never)]
fn write_parsed(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) {
    if value.is_array() {
        out.put_byte(b'[');
        for element in value.elements() {
            write_comma(out);
            parsed(element, &mut |element| write_clean(out, name, element));
        }
        out.put_byte(b']');
    } else {
        parsed(value, &mut |value| write_clean(out, name, value));
    }
}

#[inline(never)]
fn write_parsed_member(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) {
    if value.is_some() {
        write_name(out, name);
        write_parsed(out, name, value);
    }
}

/// Appends the members of an object, or any other value under its name. Behind other members an object has its name too.
#[inline(never)]
fn write_whole(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) {
    let is_first = out.len() == 1;
    parsed(value, &mut |inner| {
        if inner.is_object() && is_first {
            inner.members().for_each(|(name, value)| {
                write_name(out, name);
                write_clean(out, name, value);
            });
        } else {
            write_parsed_member(out, name, inner);
        }
    });
}

/// Appends the attributes whose names begin with one of these.
#[inline(never)]
fn write_members(out: &mut Vec<u8>, beginnings: &[u8], given: Value<'_>) {
    for (name, value) in given.members().filter(|(name, _)| behind(beginnings, name).is_some()) {
        write_parsed_member(out, name, value);
    }
}

/// Appends a member with an object that is written up to its end, unless it is empty.
#[inline(never)]
fn write_object(out: &mut Vec<u8>, name: &[u8], object: &[u8]) {
    if object.len() > 2 {
        write_raw(out, name, object);
    }
}

/// Appends a member, unless its JSON is empty.
#[inline(never)]
fn write_raw(out: &mut Vec<u8>, name: &[u8], json: &[u8]) {
    if !json.is_empty() {
        write_name(out, name);
        out.put(json);
    }
}

/// Appends a member with a text that is escaped already, unless it is empty.
#[inline(never)]
fn write_text(out: &mut Vec<u8>, name: &[u8], text: &[u8]) {
    if !text.is_empty() {
        write_name(out, name);
        out.put_byte(b'"');
        out.put(text);
        out.put_byte(b'"');
    }
}

/// Appends tags: a list of texts, its JSON, or a text with commas.
#[inline(never)]
fn write_tags(out: &mut Vec<u8>, tags: Value<'_>) {
    let mut list = Vec::from(b"[");
    parsed(tags, &mut |tags| {
        // Opik refuses rows that have a tag twice.
        let mut seen: Vec<&[u8]> = Vec::new();
        for tag in tags.items() {
            let mut rest = tag.content();
            while !rest.is_empty() {
                let (one, behind) = if tags.is_array() { (rest, b"".as_slice()) } else { cut(rest, b",") };
                rest = behind.get(1..).unwrap_or_default();
                let one = trim(one);
                if !one.is_empty() && !seen.contains(&one) {
                    seen.push(one);
                    write_comma(&mut list);
                    list.put_byte(b'"');
                    list.put(one);
                    list.put_byte(b'"');
                }
            }
        }
    });
    list.put_byte(b']');
    write_object(out, b"tags", &list);
}

/// The text of a number that is not below zero; empty for any other value.
#[inline(never)]
pub(super) fn number(value: Value<'_>) -> &[u8] {
    Some(value.text()).filter(|text| matches!(text, [b'0'..=b'9', ..])).unwrap_or_default()
}

/// A decimal number with its point three places further, to the right for milliseconds of seconds, else to the left; nothing for
/// one with an exponent.
#[inline(never)]
pub(super) fn shifted(number: &[u8], is_right: bool) -> Vec<u8> {
    let (whole, fraction) = cut(number, b".");
    let mut digits = Vec::from(b"000");
    digits.put(whole);
    let point = if is_right { digits.len().wrapping_add(3) } else { whole.len() };
    digits.put(fraction.get(1..).unwrap_or_default());
    digits.put(b"000");
    let mut out = Vec::new();
    if whole.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return out;
    }
    let (before, behind) = digits.split_at_checked(point).unwrap_or_default();
    let is_zero = |digit: &&u8| **digit == b'0';
    let zeros = before.iter().take_while(is_zero).count().min(before.len().saturating_sub(1));
    out.put(before.get(zeros..).unwrap_or_default());
    let behind = behind.get(..behind.len().saturating_sub(behind.iter().rev().take_while(is_zero).count()));
    if let Some(behind @ [_, ..]) = behind {
        out.put_byte(b'.');
        out.put(behind);
    }
    out
}
