//! Any JSON texts as a row that is too long: the result is JSON, within its limits, and marks its cuts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opik_edge::cut::Cutter;
use opik_edge::span::{FIELDS, SEPARATOR};
use serde_json::Value;

const FIELD_BYTES: usize = 4096;
const ROW_BYTES: usize = 16 * 1024;

fuzz_target!(|input: (u8, u16, &str)| {
    let (times, piece_chars, text) = input;
    // The text is fuzzed; repetition makes it long.
    let long = Value::from(vec![text; usize::from(times)]).to_string();
    let string = Value::from(text.repeat(usize::from(times))).to_string();
    let mut fields = vec![""; FIELDS];
    fields[17..20].copy_from_slice(&[long.as_str(), string.as_str(), text]);
    fields[12..14].copy_from_slice(&[string.as_str(), string.as_str()]);
    if serde_json::from_str::<Value>(text).is_err() {
        fields[19] = "";
    }
    let row = fields.join("\u{1f}");
    let mut cutter = Cutter::new();
    cutter.begin(FIELD_BYTES, ROW_BYTES);
    let chars: Vec<char> = row.chars().collect();
    for piece in chars.chunks(usize::from(piece_chars).max(1)) {
        cutter.push(piece.iter().collect::<String>().as_bytes()).expect("there is memory");
    }
    let (cut, cuts) = cutter.finish().expect("there is memory");
    assert!(cut.len() <= ROW_BYTES);
    assert_eq!(cuts == 0, cut == row.as_bytes());
    let parts: Vec<&[u8]> = cut.split(|&byte| byte == SEPARATOR).collect();
    assert_eq!(parts.len(), FIELDS);
    for (part, field) in parts.into_iter().zip(fields) {
        assert!(part.is_empty() || serde_json::from_slice::<Value>(part).is_ok());
        let part = std::str::from_utf8(part).expect("cut between characters");
        assert!(part == field || part.contains("opik_truncated"));
    }
});
