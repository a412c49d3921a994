//! Properties that hold for any input.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::disallowed_macros,
    clippy::disallowed_types,
    reason = "a test that fails should say where, and has no budget of bytes"
)]

use std::collections::{BTreeSet, HashSet};

use opik_edge::batch::{
    Buffer, Buffers, DropReason, Handle, Limits, MAX_BATCH_BYTES, MAX_BATCH_ROWS, MAX_BUFFER_BYTES, MAX_IDLE_MS,
};
use opik_edge::context::Context;
use opik_edge::cut::{Cutter, MAX_BASE64_BYTES};
use opik_edge::headers::{Incoming, NAMES, read};
use opik_edge::id::{Id, IdGenerator, MAX_BEHIND_MS};
use opik_edge::json;
use opik_edge::span::{FIELDS, Fields, Kind, MAX_TAGS, MAX_USAGE_BYTES, Period, SEPARATOR, write_row};
use opik_edge::time::{Clock, MAX_MS};
use opik_edge::w3c::{self, Link, Parent};
use proptest::prelude::*;
use serde_json::Value;

const PERIOD: Period = Period {
    start_ms: 1_764_000_000_000,
    end_ms: Some(1_764_000_000_001),
    updated_ms: 1_764_000_000_001,
    unfinished: false,
};

/// Random bytes that are the same in every run.
fn random_bytes(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn generator() -> IdGenerator {
    let mut ids = IdGenerator::new();
    ids.refill(&random_bytes(4096));
    ids
}

fn mint(ids: &mut IdGenerator, now_ms: u64) -> Id {
    ids.mint(now_ms).unwrap_or_else(|| {
        ids.refill(&random_bytes(4096));
        ids.mint(now_ms).unwrap()
    })
}

#[test]
fn ten_thousand_ids_of_one_frozen_millisecond_are_sorted_and_carry_its_time() {
    let mut ids = generator();
    let minted: Vec<Id> = (0..10_000).map(|_| mint(&mut ids, 1_764_000_000_000)).collect();
    assert!(minted.is_sorted_by(|a, b| a < b));
    assert!(minted.iter().all(|id| id.timestamp_ms() == 1_764_000_000_000));
}

#[test]
fn ids_stay_sorted_where_the_counter_carries_into_its_next_bit() {
    // The counter lies in two parts of the id; a seed just below a power of two makes the next id carry.
    for bit in 1..31_u32 {
        let mut pool = random_bytes(64);
        let seed = ((1_u32 << bit) - 1) << 1; // the generator leaves out the lowest bit, and draws from the end
        pool.extend(seed.to_be_bytes());
        let mut ids = IdGenerator::new();
        ids.refill(&pool);
        let (before, after) = (ids.mint(1).unwrap(), ids.mint(1).unwrap());
        assert!(before < after, "bit {bit}: {before} {after}");
    }
}

#[test]
fn the_scanner_refuses_what_json_refuses() {
    for text in ["01", "-01", "00", "-", "", "+1", "1.0", "1e3", "2147483648", "-2147483649"] {
        assert_eq!(json::int32(text.as_bytes()), None, "{text}");
    }
    for (text, value) in [("0", 0), ("-0", 0), ("2147483647", i32::MAX), ("-2147483648", i32::MIN)] {
        assert_eq!(json::int32(text.as_bytes()), Some(value), "{text}");
    }
    for text in ["\"\n\"", "\"\u{1f}\"", "\"\\x\"", "\"\\u12g4\"", "\"", "\"a", "\"a\"b", " \"a\""] {
        assert!(!json::is_string(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn a_generator_without_random_bytes_mints_nothing() {
    assert_eq!(IdGenerator::new().mint(1), None);
}

/// A valid `traceparent`, and a valid `tracestate` of others.
fn trace_context() -> impl Strategy<Value = (String, String)> {
    let parent = "(00|[0-9a-e][0-9a-f])-[0-9a-f]{31}[1-9]-[0-9a-f]{15}[1-9]-[0-9a-f]{2}";
    (
        parent,
        prop::collection::vec("[a-z0-9][a-z0-9_*/@-]{0,20}x=[!-+.-<>-~]{1,20}", 0..32)
            .prop_map(|members| members.join(",")),
    )
}

proptest! {
    #[test]
    fn ids_sort_by_creation_whatever_the_clock_does_within_a_minute(
        start_ms in 0..2_u64.pow(47),
        clock in prop::collection::vec(0..=MAX_BEHIND_MS, 1..200),
    ) {
        let mut ids = generator();
        let mut latest = 0;
        let mut before: Option<Id> = None;
        for offset_ms in clock {
            let now_ms = start_ms + offset_ms;
            let id = mint(&mut ids, now_ms);
            latest = latest.max(now_ms);
            prop_assert!(before.is_none_or(|before| before < id && before.to_string() < id.to_string()));
            prop_assert_eq!(id.timestamp_ms(), latest, "never ahead of the greatest clock seen");
            before = Some(id);
        }
    }

    #[test]
    fn an_id_is_never_more_than_a_minute_ahead_of_the_clock(
        clock in prop::collection::vec(prop_oneof![0..2_u64.pow(48), 0..300_000_u64], 1..200),
    ) {
        let mut ids = generator();
        let mut all = BTreeSet::new();
        let mut last_ms = 0;
        for now_ms in clock {
            let id = mint(&mut ids, now_ms);
            let expected = if last_ms > now_ms && last_ms - now_ms <= MAX_BEHIND_MS { last_ms } else { now_ms };
            prop_assert_eq!(id.timestamp_ms(), expected);
            prop_assert!(all.insert(id), "{} was there before", id);
            last_ms = expected;
        }
    }

    #[test]
    fn what_is_written_is_read_again(now_ms in 0..2_u64.pow(48), random in prop::collection::vec(any::<u8>(), 32)) {
        let mut ids = IdGenerator::new();
        ids.refill(&random);
        let id = ids.mint(now_ms).unwrap();
        let text = id.to_string();
        prop_assert_eq!(Id::parse(&text), Ok(id));
        prop_assert_eq!(Id::parse(&text.to_uppercase()), Ok(id));
        prop_assert_eq!(Id::parse(&text.replace('-', "")), Ok(id));
        prop_assert_eq!(id.timestamp_ms(), now_ms);
    }

    #[test]
    fn any_header_bytes_give_a_context(
        trace in prop::collection::vec(any::<u8>(), 0..300),
        parent in prop::collection::vec(any::<u8>(), 0..300),
        trace_hyphen in "[0-9a-f,\\- ]{0,80}",
        parent_hyphen in ".{0,80}",
        now_ms in any::<u64>(),
    ) {
        let incoming = Incoming::new([&trace, &parent, trace_hyphen.as_bytes(), parent_hyphen.as_bytes(), b"", b"", b"", b""]);
        let (context, _) = Context::open(&incoming, now_ms, &mut generator()).unwrap();
        prop_assert_eq!(context.is_joined(), read(&incoming, now_ms).0.is_some());
    }

    #[test]
    fn what_is_sent_is_joined_in_every_spelling_and_mix(
        random in prop::collection::vec(any::<u8>(), 64),
        now_ms in 300_000..MAX_MS,
        mix in 1..16_u8,
        came in trace_context(),
    ) {
        let mut ids = IdGenerator::new();
        ids.refill(&random);
        let (trace_id, span_id) = (ids.mint(now_ms).unwrap(), ids.mint(now_ms).unwrap());
        let (trace, span) = (trace_id.to_string(), span_id.to_string());
        let came = Incoming::from_pairs([("traceparent", came.0.as_str()), ("tracestate", came.1.as_str())]);
        let [traceparent, tracestate, _] = w3c::outgoing(&came, ["", "", ""], trace_id, span_id);
        let sent = NAMES.chunks(2).zip([[&trace, &span], [&trace, &span], [&trace, &span], [&traceparent, &tracestate]]);
        let pairs: Vec<_> = sent
            .enumerate()
            .filter(|(index, _)| mix >> index & 1 == 1)
            .flat_map(|(_, (names, values))| names.iter().copied().zip(values.map(String::as_str)))
            .collect();
        let (context, warning) = Context::open(&Incoming::from_pairs(pairs.iter().copied()), now_ms, &mut generator()).unwrap();
        let is_sampled = Parent::read(traceparent.as_bytes()).unwrap().flags() & 1 == 1;
        prop_assert_eq!(warning, None);
        if mix == 8 && !is_sampled {
            prop_assert_eq!(context.link(), Link::Unsampled);
        } else {
            prop_assert!(context.is_joined());
            prop_assert_eq!((context.trace_id(), context.parent_id(), context.link()), (trace_id, Some(span_id), Link::None));
        }
        // The next service finds the members of others again, behind ours.
        let again = Incoming::from_pairs([("traceparent", traceparent.as_str()), ("tracestate", tracestate.as_str())]);
        let [parent, state, _] = w3c::outgoing(&again, ["", "", ""], trace_id, span_id);
        prop_assert_eq!((parent, state), (traceparent, tracestate));
    }

    #[test]
    fn any_trace_context_gives_a_valid_one(
        came in (".{0,80}", ".{0,200}"),
        own in (".{0,60}", "[a-c=, \t\\-@]{0,99}", ".{0,200}"),
        id in prop::array::uniform12(any::<u8>()),
    ) {
        let mut ids = IdGenerator::new();
        let id = ids.mint_with(1, id);
        let came = Incoming::from_pairs([("traceparent", came.0.as_str()), ("tracestate", came.1.as_str())]);
        let [traceparent, tracestate, baggage] = w3c::outgoing(&came, [&own.0, &own.1, &own.2], id, id);
        let is_own = !own.0.trim().is_empty() && own.0.lines().count() == 1;
        prop_assert!(is_own || Parent::read(traceparent.as_bytes()).is_some());
        prop_assert!(tracestate.starts_with("opik=") && tracestate.split(',').count() <= 32);
        prop_assert!(baggage.starts_with("opik.trace_id=") && baggage.len() <= 8192);
    }

    #[test]
    fn the_scanner_takes_any_bytes_and_agrees_with_serde_on_scalars(text in prop::collection::vec(any::<u8>(), 0..64)) {
        let parsed = serde_json::from_slice::<Value>(&text).ok();
        let is_bare = text.first().is_some_and(|b| !b.is_ascii_whitespace()) && text.last().is_some_and(|b| !b.is_ascii_whitespace());
        json::for_each_member(&text, |_, _| {});
        json::for_each_element(&text, |_| {});
        if is_bare && std::str::from_utf8(&text).is_ok() {
            prop_assert!(!matches!(parsed, Some(Value::Number(_))) || json::is_non_negative_number(&text) != text.starts_with(b"-"));
            prop_assert_eq!(parsed.as_ref().and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok()).is_some_and(|_| !text.contains(&b'.')), json::int32(&text).is_some());
        }
    }

    #[test]
    fn what_serde_writes_the_scanner_walks(strings in prop::collection::vec(".{0,20}", 0..8), numbers in prop::collection::vec(any::<i64>(), 0..8)) {
        let text = serde_json::to_vec(&serde_json::json!({ "s": strings, "n": numbers, "o": { "x": strings } })).unwrap();
        let mut members = 0;
        json::for_each_member(&text, |name, value| {
            members += 1;
            assert!(json::is_string(name));
            assert!(serde_json::from_slice::<Value>(value).is_ok());
        }).unwrap();
        prop_assert_eq!(members, 3);
        for n in numbers {
            prop_assert_eq!(json::int32(n.to_string().as_bytes()), i32::try_from(n).ok());
        }
        for s in strings {
            prop_assert!(json::is_string(&serde_json::to_vec(&s).unwrap()));
        }
    }

    #[test]
    fn times_read_back(ms in 0..=MAX_MS, later in 0..200_000_000_u64) {
        let mut clock = Clock::default();
        let text = String::from_utf8(clock.rfc3339(ms).to_vec()).unwrap();
        let (same, fresh) = (clock.rfc3339(ms + later).to_vec(), Clock::default().rfc3339(ms + later).to_vec());
        prop_assert_eq!(same, fresh);
        prop_assert_eq!(text.len(), 24);
        prop_assert_eq!(&text[20..23], format!("{:03}", ms % 1000));
        prop_assert_eq!(&text[17..19], format!("{:02}", ms / 1000 % 60));
    }

    #[test]
    fn a_row_is_never_longer_than_was_made_room_for(
        texts in prop::collection::vec(".{0,30}", 17),
        is_span in any::<bool>(),
        unfinished in any::<bool>(),
        left_empty in 0_usize..40,
    ) {
        let mut json: Vec<Vec<u8>> = texts.iter().map(|text| serde_json::to_vec(text).unwrap()).collect();
        json[5] = serde_json::to_vec(&texts[..4]).unwrap();
        json[8] = serde_json::to_vec(&serde_json::json!({ texts[8].as_str(): { texts[7].as_str(): i32::MIN } })).unwrap();
        json[9] = b"0.25".to_vec();
        json[10] = b"1e3".to_vec();
        if let Some(field) = json.get_mut(left_empty) {
            field.clear();
        }
        let id = generator().mint(PERIOD.start_ms).unwrap().to_string();
        let id = id.as_bytes();
        #[rustfmt::skip]
        let fields = Fields {
            id, trace_id: id, parent_span_id: id, name: &json[0], kind: &json[1], input: &json[2], output: &json[3],
            metadata: &json[4], tags: &json[5], model: &json[6], provider: &json[7], usage: &json[8],
            total_estimated_cost: &json[9], ttft: &json[10], error_type: &json[11], error_message: &json[12],
            error_traceback: &json[13], thread_id: &json[14], project_name: &json[15], environment: &json[16],
        };
        let mut out = Vec::new();
        let kind = if is_span { Kind::Span } else { Kind::Trace };
        write_row(&mut out, &mut Clock::default(), kind, &fields, Period { unfinished, ..PERIOD }).unwrap();
        prop_assert!(out.len() <= fields.max_row_bytes(), "{} of {}", out.len(), fields.max_row_bytes());
        prop_assert!(serde_json::from_slice::<Value>(&out).is_ok());
    }

    #[test]
    fn any_text_and_any_limits_give_a_row_of_valid_json_within_them_in_which_cuts_say_so(
        values in prop::collection::vec(value(), 5),
        field_bytes in 0_usize..30_000,
        row_bytes in 0_usize..60_000,
        piece_chars in 1_usize..5000,
    ) {
        let limits = Limits { field_bytes, row_bytes, ..Limits::default() }.bounded();
        let mut fields = vec![String::new(); FIELDS];
        for (index, value) in [17, 18, 19, 12, 13].into_iter().zip(&values) {
            fields[index] = if index >= 17 { value.to_string() } else { Value::from(value.to_string()).to_string() };
        }
        let text = fields.join("\u{1f}");
        let mut cutter = Cutter::new();
        cutter.begin(limits.field_bytes, limits.row_bytes);
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(piece_chars) {
            cutter.push(piece.iter().collect::<String>().as_bytes()).unwrap();
        }
        let (cut, cuts) = cutter.finish().unwrap();
        prop_assert!(cut.len() <= limits.row_bytes, "{} of {}", cut.len(), limits.row_bytes);
        prop_assert_eq!(cuts == 0, cut == text.as_bytes());
        let parts: Vec<&[u8]> = cut.split(|&byte| byte == SEPARATOR).collect();
        prop_assert_eq!(parts.len(), FIELDS);
        for (part, field) in parts.iter().zip(&fields) {
            prop_assert!(part.len() <= limits.field_bytes);
            prop_assert!(part.is_empty() || serde_json::from_slice::<Value>(part).is_ok(), "{}", String::from_utf8_lossy(part));
            prop_assert!(*part == field.as_bytes() || String::from_utf8_lossy(part).contains("opik_truncated"));
        }
    }

    #[test]
    fn any_rows_become_valid_payloads_within_the_limits_each_id_once(
        rows in prop::collection::vec((any::<bool>(), 0_usize..60_000, ".{0,12}", any::<i32>()), 1..120),
        take_after in 0_usize..120,
        batch_bytes in 0_usize..500_000,
    ) {
        let mut ids = generator();
        let mut buffer = Buffer::new(Limits { batch_bytes, ..Limits::default() });
        let batch_bytes = buffer.limits().batch_bytes;
        let mut recorded = HashSet::new();
        let mut seen = HashSet::new();
        for (index, (is_span, padding, text, count)) in rows.iter().enumerate() {
            let id = mint(&mut ids, PERIOD.start_ms).to_string();
            let input = serde_json::to_vec(&serde_json::json!({ "pad": "x".repeat(*padding), "text": text })).unwrap();
            let name = serde_json::to_vec(text).unwrap();
            let usage = serde_json::to_vec(&serde_json::json!({ text: count, "bad": 0.5 })).unwrap();
            let fields = Fields { id: id.as_bytes(), trace_id: id.as_bytes(), name: &name, input: &input, usage: &usage, ..Fields::default() };
            let kind = if *is_span { Kind::Span } else { Kind::Trace };
            match buffer.append(kind, &fields, PERIOD) {
                Ok(_) => prop_assert!(recorded.insert(id.clone())),
                Err(DropReason::RowTooLarge) => prop_assert!(padding + 1000 > batch_bytes),
                Err(reason) => prop_assert_eq!(reason, DropReason::BufferFull),
            }
            if *is_span {
                // The same id again is refused while its batch is there, and changes nothing.
                prop_assert!(matches!(buffer.append(kind, &fields, PERIOD), Err(DropReason::DuplicateId | DropReason::BufferFull | DropReason::RowTooLarge)));
            }
            if index == take_after {
                drain(&mut buffer, &mut seen, batch_bytes);
            }
        }
        drain(&mut buffer, &mut seen, batch_bytes);
        prop_assert_eq!(seen, recorded);
        prop_assert!(buffer.take().is_none());
    }
}

/// Values that are long in each of the ways in which a value can be.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "\\PC{0,40}",
        (r#"[a-z"\\\n\u{1f600}\u{e9}]{1,6}"#, 0_usize..8000).prop_map(|(text, times)| text.repeat(times)),
        (0_usize..3).prop_map(|size| "QUJD".repeat(size * 10_000)),
        (0_usize..3).prop_map(|size| format!("data:image/png;base64,{}", "QUJD".repeat(size * 10_000))),
    ];
    let leaf = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), text.prop_map(Value::from)];
    leaf.prop_recursive(3, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("\\PC{0,9}", inner, 0..6).prop_map(Value::from_iter),
        ]
    })
}

fn cut(text: &[u8], field_bytes: usize, row_bytes: usize) -> String {
    let mut cutter = Cutter::new();
    cutter.begin(field_bytes, row_bytes);
    cutter.push(text).unwrap();
    String::from_utf8(cutter.finish().unwrap().0.to_vec()).unwrap()
}

/// A row's text with this input and this output.
fn with(input: &str, output: &str) -> String {
    let mut fields = vec![""; FIELDS];
    (fields[18], fields[19]) = (input, output);
    fields.join("\u{1f}")
}

#[test]
fn a_long_string_is_cut_and_what_stands_beside_it_is_kept() {
    let input = serde_json::json!({ "prompt": "é".repeat(10_000), "turn": 3 }).to_string();
    let text = cut(with(&input, "{\"a\":1}").as_bytes(), 8192, 60_000);
    let kept = "é".repeat(2048);
    let expected = format!("{{\"prompt\":\"{kept}… [opik_truncated: 20000 bytes]\",\"turn\":3}}");
    assert_eq!(text, with(&expected, "{\"a\":1}"));
}

#[test]
fn base64_is_elided_and_says_what_it_was() {
    let data = "QUJD".repeat(MAX_BASE64_BYTES / 4 + 1);
    for (text, head) in [(data.clone(), ""), (format!("data:image/png;base64,{data}"), "data:image/png;base64,")] {
        let input = serde_json::json!({ "image": text, "x": 1 }).to_string();
        let size = text.len();
        let expected = format!("{{\"image\":\"{head}[opik_truncated: base64, {size} bytes]\",\"x\":1}}");
        assert_eq!(cut(with(&input, "").as_bytes(), 1 << 20, 1 << 21), with(&expected, ""));
    }
    let short = serde_json::json!({ "image": "QUJD".repeat(MAX_BASE64_BYTES / 4) }).to_string();
    assert_eq!(cut(with(&short, "").as_bytes(), 1 << 20, 1 << 21), with(&short, ""));
}

#[test]
fn a_field_of_many_parts_is_replaced_by_a_marker_with_its_size_and_its_beginning() {
    let input = serde_json::to_string(&vec!["\"part\""; 5000]).unwrap();
    let text = cut(with(&input, "[2]").as_bytes(), 8192, 60_000);
    let input_cut = text.split('\u{1f}').nth(18).unwrap();
    let marker: Value = serde_json::from_str(input_cut).unwrap();
    assert_eq!(marker["opik_truncated"], true);
    assert_eq!(marker["original_bytes"], input.len());
    assert_eq!(marker["preview"], input[..1024]);
    assert_eq!(text, with(input_cut, "[2]"));
}

#[test]
fn where_a_row_is_too_long_its_longest_field_goes_first() {
    let (long, longer) = (format!("\"{}\"", "a ".repeat(9000)), format!("\"{}\"", "b ".repeat(10_000)));
    let text = cut(with(&long, &longer).as_bytes(), 60_000, 25_000);
    let output = text.split('\u{1f}').nth(19).unwrap();
    assert!(output.starts_with("{\"opik_truncated\":true,\"original_bytes\":20002,"), "{output}");
    assert_eq!(text, with(&long, output));
}

fn drain(buffer: &mut Buffer, seen: &mut HashSet<String>, batch_bytes: usize) {
    while let Some(upload) = buffer.take() {
        assert!(upload.body().len() <= batch_bytes);
        let mut from = upload.body().iter().position(|&byte| byte == b'[').unwrap() + 1;
        for &end in upload.row_ends() {
            let end = usize::try_from(end).unwrap();
            assert!(serde_json::from_slice::<Value>(&upload.body()[from..end]).is_ok(), "each row by itself");
            from = end + 1;
        }
        let payload: Value = serde_json::from_slice(upload.body()).unwrap();
        let key = if upload.path().contains("spans") { "spans" } else { "traces" };
        let rows = payload[key].as_array().unwrap();
        assert_eq!(rows.len(), usize::try_from(upload.rows()).unwrap());
        assert!((1..=MAX_BATCH_ROWS).contains(&rows.len()));
        for row in rows {
            assert!(seen.insert(row["id"].as_str().unwrap().to_owned()), "each id once");
        }
    }
}

/// The row of a span, and how much was left out of it.
fn row(fields: &Fields<'_>) -> (Value, u32) {
    let id = b"019ab5c0-7c00-7a11-8a11-0123456789ab";
    let fields = Fields { id, trace_id: id, ..*fields };
    let mut out = Vec::new();
    let left_out = write_row(&mut out, &mut Clock::default(), Kind::Span, &fields, PERIOD).unwrap();
    assert!(out.len() <= fields.max_row_bytes());
    (serde_json::from_slice(&out).unwrap(), left_out.count)
}

#[test]
fn a_usage_whose_names_multiply_is_cut_and_what_is_cut_is_counted() {
    let inner: serde_json::Map<_, _> = (0..5000).map(|n| (n.to_string(), Value::from(n))).collect();
    let usage = serde_json::to_vec(&serde_json::json!({ "total": 1, "k".repeat(1000): inner })).unwrap();
    let (row, left_out) = row(&Fields { usage: &usage, ..Fields::default() });
    let kept = row["usage"].as_object().unwrap().len();
    assert!((2..=MAX_USAGE_BYTES / 1000 + 1).contains(&kept), "{kept}");
    assert_eq!(kept + usize::try_from(left_out).unwrap(), 5001);
}

#[test]
fn tags_beyond_the_limit_are_left_out_and_counted() {
    let tags: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let tags = serde_json::to_vec(&tags).unwrap();
    let (row, left_out) = row(&Fields { tags: &tags, ..Fields::default() });
    assert_eq!(row["tags"].as_array().unwrap().len(), MAX_TAGS);
    assert_eq!(usize::try_from(left_out).unwrap(), 100_000 - MAX_TAGS);
}

fn append(buffer: &mut Buffer, ids: &mut IdGenerator, input: &[u8]) -> Result<u32, DropReason> {
    let id = mint(ids, 1).to_string();
    buffer
        .append(Kind::Span, &Fields { id: id.as_bytes(), trace_id: id.as_bytes(), input, ..Fields::default() }, PERIOD)
        .map(|left_out| left_out.count)
}

#[test]
fn a_thousand_rows_fill_a_batch() {
    let (mut buffer, mut ids) = (Buffer::default(), generator());
    for _ in 0..=MAX_BATCH_ROWS {
        append(&mut buffer, &mut ids, b"").unwrap();
    }
    assert_eq!(buffer.take().unwrap().rows(), 1000);
    assert_eq!(buffer.take().unwrap().rows(), 1);
    assert!(buffer.take().is_none());
}

#[test]
fn a_payload_of_exactly_the_limit_is_one_and_a_byte_more_makes_two() {
    let payloads = |padding: usize| {
        let (mut buffer, mut ids) = (Buffer::default(), generator());
        append(&mut buffer, &mut ids, b"1").unwrap();
        append(&mut buffer, &mut ids, format!("\"{}\"", "x".repeat(padding)).as_bytes()).unwrap();
        std::iter::from_fn(|| buffer.take()).map(|upload| upload.body().len()).collect::<Vec<_>>()
    };
    let padding = MAX_BATCH_BYTES - payloads(0)[0];
    assert_eq!(payloads(padding), [MAX_BATCH_BYTES]);
    assert_eq!(payloads(padding + 1).len(), 2);
}

#[test]
fn a_buffer_holds_eight_megabytes_and_has_room_again_when_taken() {
    let (mut buffer, mut ids) = (Buffer::default(), generator());
    let megabyte = format!("\"{}\"", "x".repeat(1024 * 1024));
    let kept = (0..20).filter(|_| append(&mut buffer, &mut ids, megabyte.as_bytes()).is_ok()).count();
    assert_eq!(kept, MAX_BUFFER_BYTES / (1024 * 1024) - 1, "each row is a little more than a megabyte");
    assert_eq!(append(&mut buffer, &mut ids, megabyte.as_bytes()), Err(DropReason::BufferFull));
    let taken: u32 = std::iter::from_fn(|| buffer.take()).map(|upload| upload.rows()).sum();
    assert_eq!(usize::try_from(taken).unwrap(), kept);
    append(&mut buffer, &mut ids, megabyte.as_bytes()).unwrap();
}

#[test]
fn a_row_longer_than_a_payload_is_refused_and_the_next_is_kept() {
    let (mut buffer, mut ids) = (Buffer::default(), generator());
    let huge = format!("\"{}\"", "x".repeat(MAX_BATCH_BYTES));
    assert_eq!(append(&mut buffer, &mut ids, huge.as_bytes()), Err(DropReason::RowTooLarge));
    append(&mut buffer, &mut ids, b"1").unwrap();
    assert_eq!(buffer.take().unwrap().rows(), 1);
}

#[test]
fn a_closed_buffer_is_never_reached_again() {
    let mut buffers = Buffers::new();
    let first = buffers.open(0, Limits::default()).unwrap();
    buffers.close(first);
    let second = buffers.open(0, Limits::default()).unwrap();
    assert_ne!(first, second);
    assert!(buffers.get(first, 0).is_none());
    buffers.close(first);
    assert!(buffers.get(second, 0).is_some(), "closing twice closes nothing else");
    assert_eq!(Handle::from_number(second.to_number()), second);
    assert_eq!(buffers.count(), 1);
}

#[test]
fn a_forgotten_buffer_is_swept_and_a_used_one_is_not() {
    let mut buffers = Buffers::new();
    let forgotten = buffers.open(0, Limits::default()).unwrap();
    let used = buffers.open(0, Limits::default()).unwrap();
    assert!(buffers.get(used, MAX_IDLE_MS).is_some());
    buffers.open(MAX_IDLE_MS + 1, Limits::default()).unwrap();
    assert!(buffers.get(forgotten, MAX_IDLE_MS + 1).is_none());
    assert!(buffers.get(used, MAX_IDLE_MS + 1).is_some());
}
