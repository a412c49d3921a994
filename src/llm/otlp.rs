//! Rows of spans → a request of OTLP/JSON, for any collector (OTLP 1.5, `opentelemetry/proto/collector/trace/v1`). [`super::attributes`]
//! has the names of attributes, and reads them back.

use alloc::vec::Vec;

use super::attributes::{
    COST, COUNTS_OF_ROWS, FIRST_CHUNK, IDS, INPUT, MODEL, OPERATION, OUTPUT, PROVIDER, TAGS, number, shifted,
};
use super::recognise::{OTEL_NAMES, pairs};
use super::tape::{Document, Tape};
use super::value::{Names, Value, Write, cut, is_in, names, position, write_comma, write_content, write_name};
use crate::json::{digits, write_number};
use crate::time::parse_rfc3339;

/// Operations that the names of spans of models begin with.
const OPERATIONS: &[u8] = names!("chat text_completion generate_content embeddings");
/// Fields of an error, and the attributes of OpenTelemetry's event for it.
const ERROR: &[u8] = names!("exception_type exception.type message exception.message traceback exception.stacktrace");

/// A body of rows, `{"spans":[…]}`, as a request of OTLP. Each ended span is a span there. Its trace id has the 128 bits of the
/// row's, its own id the last 64 of the row's. Attributes have the whole ids, as Opik's endpoint reads them. Input and output
/// are JSON texts. The project becomes the name of the service. Empty if no row has ended.
///
/// ```
/// use opik_edge::llm::otlp_of_rows;
///
/// let request = otlp_of_rows(
///     br#"{"spans":[{"id":"019ab5c0-7c01-7a11-9a11-0123456789ab","trace_id":"019ab5c0-7c00-7a11-8a11-0123456789ab",
///     "name":"work","type":"general","start_time":"2025-11-24T16:00:00.000Z","end_time":"2025-11-24T16:00:00.250Z"}]}"#,
/// );
/// let start = br#""startTimeUnixNano":"1764000000000000000""#;
/// assert!(request.windows(start.len()).any(|text| text == start));
/// ```
#[must_use]
pub fn otlp_of_rows(body: &[u8]) -> Vec<u8> {
    let mut tape = Tape::default();
    let document: Document<'_> = tape.whole(body).unwrap_or_default();
    let rows = Value::of(&document).member("spans");
    let mut spans = Vec::new();
    rows.elements().for_each(|row| write_span(&mut spans, row));
    if spans.is_empty() {
        return spans;
    }
    let mut out = Vec::from(b"{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    let project = rows.elements().map(|row| row.member("project_name").content()).find(|name| !name.is_empty());
    write_attribute(&mut out, b"service.name", b"", &|out| write_text(out, project.unwrap_or(b"opik-edge")));
    out.put(b"]},\"scopeSpans\":[{\"scope\":{\"name\":\"opik-edge\"},\"spans\":[");
    out.put(&spans);
    out.put(b"]}]}]}");
    out
}

fn write_span(out: &mut Vec<u8>, row: Value<'_>) {
    let [start, end, name, kind, model, provider, usage, cost, ttft, tags, metadata, input, output, error] =
        row.pick(names!("start_time end_time name type model provider usage total_estimated_cost ttft tags metadata input output error_info"));
    let times = (parse_rfc3339(start.content()), parse_rfc3339(end.content()));
    let (Some(start), Some(end)) = times else { return };
    write_comma(out);
    out.put(b"{\"traceId\":\"");
    write_hex(out, row.member("trace_id"), 0);
    out.put(b"\",\"spanId\":\"");
    write_hex(out, row.member("id"), 16);
    out.put(b"\",\"parentSpanId\":\"");
    write_hex(out, row.member("parent_span_id"), 16);
    out.put(b"\",\"name\":\"");
    out.put(name.content());
    let kind = position(names!("llm tool"), kind.content());
    // A client, or internal.
    out.put(if kind == 0 { b"\",\"kind\":3" } else { b"\",\"kind\":1" });
    for (name, ms) in [(b"startTimeUnixNano".as_slice(), start), (b"endTimeUnixNano", end)] {
        write_name(out, name);
        out.put_byte(b'"');
        write_number(out, ms);
        out.put(b"000000\"");
    }
    out.put(b",\"attributes\":[");
    for (name, names) in IDS {
        write_field(out, names, row.get(name));
    }
    let (first, _) = cut(name.content(), b" ");
    let operation: &[u8] = match kind {
        0 if is_in(OPERATIONS, first) => first,
        0 => b"chat",
        1 => b"execute_tool",
        _ => b"",
    };
    if !operation.is_empty() {
        write_attribute(out, first_of(OPERATION), b"", &|out| write_text(out, operation));
    }
    write_field(out, MODEL, model);
    if provider.is_some() {
        let own = provider.content();
        let known = pairs(OTEL_NAMES).find(|(_, name)| *name == own).map_or(own, |(name, _)| name);
        write_attribute(out, first_of(PROVIDER), b"", &|out| write_text(out, known));
    }
    for (name, count) in usage.members() {
        let standard = pairs(COUNTS_OF_ROWS).find(|(own, _)| *own == name).map_or(name, |(_, standard)| standard);
        write_attribute(out, b"gen_ai.usage.", standard, &|out| write_value(out, count));
    }
    write_field(out, COST, cost);
    let seconds = shifted(number(ttft), false);
    if !seconds.is_empty() {
        write_attribute(out, first_of(FIRST_CHUNK), b"", &|out| {
            out.put(b"\"doubleValue\":");
            out.put(&seconds);
        });
    }
    write_field(out, TAGS, tags);
    for (name, value) in metadata.members() {
        write_attribute(out, b"opik.metadata.", name, &|out| write_value(out, value));
    }
    write_field(out, INPUT, input);
    write_field(out, OUTPUT, output);
    out.put_byte(b']');
    if error.is_some() {
        out.put(b",\"status\":{\"code\":2,\"message\":\"");
        out.put(error.member("message").content());
        out.put(b"\"},\"events\":[{\"name\":\"exception\",\"timeUnixNano\":\"");
        write_number(out, end);
        out.put(b"000000\",\"attributes\":[");
        for (name, attribute) in pairs(ERROR) {
            let value = error.get(name);
            if value.is_some() {
                write_attribute(out, attribute, b"", &|out| write_value(out, value));
            }
        }
        out.put(b"]}]");
    }
    out.put_byte(b'}');
}

/// The name that a field is written with.
fn first_of(names: &'static [u8]) -> &'static [u8] {
    Names(names).next().unwrap_or_default()
}

/// Appends the hex digits of an id, from one of them on.
fn write_hex(out: &mut Vec<u8>, id: Value<'_>, from: usize) {
    id.content().iter().filter(|byte| byte.is_ascii_hexdigit()).skip(from).for_each(|&byte| out.put_byte(byte));
}

#[inline(never)]
fn write_field(out: &mut Vec<u8>, names: &'static [u8], value: Value<'_>) {
    if value.is_some() {
        write_attribute(out, first_of(names), b"", &|out| write_value(out, value));
    }
}

/// Appends an attribute, whose name has two parts.
#[inline(never)]
fn write_attribute(out: &mut Vec<u8>, name: &[u8], rest: &[u8], write: &dyn Fn(&mut Vec<u8>)) {
    write_comma(out);
    out.put(b"{\"key\":\"");
    out.put(name);
    out.put(rest);
    out.put(b"\",\"value\":{");
    write(out);
    out.put(b"}}");
}

#[inline(never)]
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.put(b"\"stringValue\":\"");
    out.put(text);
    out.put_byte(b'"');
}

/// Appends any value: a list of texts as a list, an object or another list as its JSON text.
#[inline(never)]
fn write_value(out: &mut Vec<u8>, value: Value<'_>) {
    let text = value.text();
    if value.is_array() && value.elements().all(Value::is_string) {
        out.put(b"\"arrayValue\":{\"values\":[");
        for element in value.elements() {
            write_comma(out);
            out.put_byte(b'{');
            write_text(out, element.content());
            out.put_byte(b'}');
        }
        out.put(b"]}");
    } else if matches!(text, [b'"' | b'{' | b'[' | b'n', ..]) {
        out.put(b"\"stringValue\":\"");
        write_content(out, value);
        out.put_byte(b'"');
    } else if matches!(text, [b't' | b'f', ..]) {
        out.put(b"\"boolValue\":");
        out.put(text);
    } else if digits(text.strip_prefix(b"-").unwrap_or(text)).is_some_and(|number| i64::try_from(number).is_ok()) {
        out.put(b"\"intValue\":\"");
        out.put(text);
        out.put_byte(b'"');
    } else {
        out.put(b"\"doubleValue\":");
        out.put(text);
    }
}
