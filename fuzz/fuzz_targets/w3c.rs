//! Any bytes as trace context, also on the call itself: a valid one always goes on, and it is read as the same ids again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opik_edge::context::Context;
use opik_edge::headers::Incoming;
use opik_edge::id::IdGenerator;
use opik_edge::w3c::{Link, Parent, outgoing};

const NOW_MS: u64 = 1_764_000_000_000;

fuzz_target!(|data: &[u8]| {
    let mut values = data.split(|&byte| byte == b'\n');
    let mut next = || values.next().unwrap_or_default();
    let incoming = Incoming::new([b"", b"", b"", b"", next(), next(), next(), next()]);
    let own = [next(), next(), next()].map(String::from_utf8_lossy);
    let mut ids = IdGenerator::new();
    ids.refill(&[0x5a; 64]);
    let (context, _) = Context::open(&incoming, NOW_MS, &mut ids).expect("there were random bytes");
    assert!(!context.is_joined() || context.link() < Link::Unsampled);
    let (trace_id, span_id) = (context.trace_id(), ids.mint(NOW_MS).expect("there were random bytes"));

    let [traceparent, tracestate, baggage] =
        outgoing(&incoming, own.each_ref().map(|value| &**value), trace_id, span_id);
    assert!(tracestate.split(',').count() <= 32 && baggage.len() <= 8192);
    assert!(!own[0].trim_ascii().is_empty() || Parent::read(traceparent.as_bytes()).is_some());

    // Without one of the call's own, the next service joins this very span, unless the caller was not sampled.
    let [traceparent, tracestate, _] = outgoing(&incoming, ["", "", ""], trace_id, span_id);
    let pairs = [("traceparent", traceparent.as_str()), ("tracestate", tracestate.as_str())];
    let (again, _) = Context::open(&Incoming::from_pairs(pairs), NOW_MS, &mut ids).expect("there were random bytes");
    if Parent::read(traceparent.as_bytes()).expect("ours is valid").flags() & 1 == 1 {
        assert_eq!((again.trace_id(), again.parent_id(), again.link()), (trace_id, Some(span_id), Link::None));
    } else {
        assert_eq!(again.link(), Link::Unsampled);
    }
});
