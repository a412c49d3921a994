//! Any bytes as incoming headers, at any time: a context always comes of them, and only ids that are ids are believed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opik_edge::context::Context;
use opik_edge::headers::{Incoming, Spelling, outgoing};
use opik_edge::id::{Id, IdGenerator};

/// The time, where the fifth line of the input is not one.
const NOW_MS: u64 = 1_764_000_000_000;
/// A caller's clock may run this far ahead, in ms.
const TOLERANCE_MS: u64 = 5 * 60 * 1000;
/// Ids carry 48 bits of time.
const MAX_MS: u64 = (1 << 48) - 1;

fuzz_target!(|data: &[u8]| {
    let mut values = data.split(|&byte| byte == b'\n');
    let mut next = || values.next().unwrap_or_default();
    let incoming = Incoming::new([next(), next(), next(), next(), b"", b"", b"", b""]);
    let now_ms = std::str::from_utf8(next()).ok().and_then(|text| text.parse().ok()).unwrap_or(NOW_MS);
    let mut ids = IdGenerator::new();
    ids.refill(&[0x5a; 64]);
    let (context, _) = Context::open(&incoming, now_ms, &mut ids).expect("there were random bytes");
    let trace_id = context.trace_id();
    assert_eq!(Id::parse(&trace_id.to_string()), Ok(trace_id));
    if !context.is_joined() {
        assert_eq!((trace_id.timestamp_ms(), context.parent_id()), (now_ms.min(MAX_MS), None));
        return;
    }
    for id in [trace_id].into_iter().chain(context.parent_id()) {
        assert_eq!(Id::parse(&id.to_string()), Ok(id));
        assert!(id.timestamp_ms() <= now_ms.saturating_add(TOLERANCE_MS));
    }
    // Outgoing headers are read as the same ids again, in every spelling.
    let Some(parent_id) = context.parent_id() else { return };
    for spelling in [Spelling::Both, Spelling::Underscore, Spelling::Hyphen] {
        let headers: Vec<_> =
            outgoing(trace_id, parent_id, spelling).map(|(name, id)| (name, id.to_string())).collect();
        let pairs = headers.iter().map(|(name, id)| (*name, id.as_str()));
        let (again, warning) = Context::open(&Incoming::from_pairs(pairs), now_ms, &mut ids).expect("no id is minted");
        assert_eq!((again, warning), (context, None));
    }
});
