//! Any answer to any attempt: the verdict keeps its promises.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use opik_edge::upload::{Attempt, MAX_ATTEMPTS, Verdict, verdict};

#[derive(Arbitrary, Debug)]
struct Answer<'a> {
    status: u16,
    number: u32,
    rows: u32,
    is_compressed: bool,
    now_ms: u64,
    deadline_ms: u64,
    random: u32,
    headers: Vec<(Name<'a>, &'a [u8])>,
}

/// A header's name, usually a name that has a meaning.
#[derive(Arbitrary, Debug)]
enum Name<'a> {
    RetryAfter,
    RateLimitReset,
    RemainingLimit,
    RemainingLimitTtl,
    Other(&'a [u8]),
}

fuzz_target!(|answer: Answer<'_>| {
    let Answer { status, number, rows, is_compressed, now_ms, deadline_ms, random, ref headers } = answer;
    let attempt = Attempt { number, rows, is_compressed, now_ms, deadline_ms, random };
    let headers = headers.iter().map(|(name, value)| {
        let name: &[u8] = match name {
            Name::RetryAfter => b"retry-after",
            Name::RateLimitReset => b"ratelimit-reset",
            Name::RemainingLimit => b"opik-user-remaining-limit",
            Name::RemainingLimitTtl => b"opik-user-remaining-limit-ttl-millis",
            Name::Other(name) => name,
        };
        (name, *value)
    });
    let verdict = verdict(status, headers, &attempt);
    let is_success = matches!(status, 200..=299 | 409);
    assert_eq!(verdict == Verdict::Sent, is_success);
    match verdict {
        Verdict::Retry { after_ms, .. } => {
            assert!(number < MAX_ATTEMPTS);
            assert!(now_ms.checked_add(after_ms).is_some_and(|at| at < deadline_ms));
        }
        Verdict::Split(_) => assert!(rows > 1),
        Verdict::Plain => assert!(is_compressed),
        _ => {}
    }
});
