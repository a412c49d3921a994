//! Any bytes as incoming headers: a context always comes of them, and only ids that are ids are believed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opik_edge::context::Context;
use opik_edge::headers::{Incoming, Spelling, outgoing};
use opik_edge::id::{Id, IdGenerator};

const NOW_MS: u64 = 1_764_000_000_000;
/// How far the clock of a caller may run ahead.
const TOLERANCE_MS: u64 = 5 * 60 * 1000;

fuzz_target!(|data: &[u8]| {
    let mut values = data.split(|&byte| byte == b'\n');
    let mut next = || values.next().unwrap_or_default();
    let incoming = Incoming { trace: next(), parent: next(), trace_hyphen: next(), parent_hyphen: next() };
    let mut ids = IdGenerator::new();
    ids.refill(&[0x5a; 64]);
    let (context, _) = Context::open(&incoming, NOW_MS, &mut ids).expect("there were random bytes");
    let trace_id = context.trace_id();
    assert_eq!(Id::parse(&trace_id.to_string()), Ok(trace_id));
    if !context.is_joined() {
        assert_eq!((trace_id.timestamp_ms(), context.parent_id()), (NOW_MS, None));
        return;
    }
    assert!(trace_id.timestamp_ms() <= NOW_MS + TOLERANCE_MS);
    // What is handed on is read as the same again, in every spelling.
    let Some(parent_id) = context.parent_id() else { return };
    for spelling in [Spelling::Both, Spelling::Underscore, Spelling::Hyphen] {
        let headers: Vec<_> =
            outgoing(trace_id, parent_id, spelling).map(|(name, id)| (name, id.to_string())).collect();
        let pairs = headers.iter().map(|(name, id)| (*name, id.as_str()));
        let (again, warning) = Context::open(&Incoming::from_pairs(pairs), NOW_MS, &mut ids).expect("no id is minted");
        assert_eq!((again, warning), (context, None));
    }
});
