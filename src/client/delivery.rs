//! Sends the rows of a recording: at most two requests at a time, each upload until its verdict is final.
//! [`crate::upload`] decides the meaning of an answer.
#![expect(clippy::disallowed_macros, reason = "not in the npm build")]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::platform::{Answer, Platform, Request};
use super::{Inner, lost};
use crate::record::Random;
use crate::span::Kind;
use crate::upload::{Attempt, Upload, Verdict, pause_ms, request_headers, verdict};

/// Concurrent requests; Workers allow few connections.
const MAX_CONNECTIONS: usize = 2;
/// Requests of a recording or a joint delivery: a free Worker has 50 subrequests, and the host needs some of them.
const MAX_REQUESTS: u32 = 40;
/// Requests that are reserved for the last delivery.
const RESERVED_REQUESTS: u32 = 4;

/// The result of a delivery: counts of rows and of requests. Each row is in exactly one of `sent`, `kept` and
/// `dropped`.
///
/// ```
/// use opik_edge::client::Report;
///
/// fn lost(report: &Report) -> u32 {
///     report.dropped.iter().map(|(_, rows)| rows).sum()
/// }
/// assert_eq!(lost(&Report::default()), 0);
/// ```
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Rows that Opik accepted.
    pub sent: u32,
    /// Rows that are kept for a later delivery.
    pub kept: u32,
    /// Rows that were in more than one request, delivered or not.
    pub retried: u32,
    /// Requests made.
    pub requests: u32,
    /// Lost rows by reason: a [`Reason::code`](crate::upload::Reason::code), `deadline`, `circuit_open` or
    /// `too_many_requests`.
    pub dropped: Vec<(&'static str, u32)>,
}

impl Report {
    fn lose(&mut self, reason: &'static str, rows: u32) {
        match self.dropped.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, sum)) => *sum = sum.saturating_add(rows),
            None => self.dropped.push((reason, rows)),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.kept = other.kept;
        self.retried = self.retried.saturating_add(other.retried);
        self.requests = self.requests.saturating_add(other.requests);
        for (reason, rows) in other.dropped {
            self.lose(reason, rows);
        }
    }
}

/// The state of the backend.
#[derive(Default, Debug)]
pub(super) struct Destination {
    failures: u32,
    paused_until_ms: u64,
    /// `true` after a pause, until the next success: then each upload is tried once.
    is_on_trial: bool,
}

impl Destination {
    fn failed(&mut self, for_good: bool, now_ms: u64, random: Random) {
        self.failures = self.failures.saturating_add(1);
        let pause = pause_ms(self.failures, for_good, bits(random));
        if pause > 0 {
            self.paused_until_ms = now_ms.saturating_add(pause);
            self.is_on_trial = true;
        }
    }

    /// Ends the pause. If the next upload fails too, a longer pause begins.
    pub(super) fn probe(&mut self) {
        self.paused_until_ms = 0;
    }
}

fn bits(random: Random) -> u32 {
    let [a, b, c, d, ..] = random;
    u32::from_be_bytes([a, b, c, d])
}

/// An upload that is neither delivered nor lost.
#[derive(Clone, Debug)]
struct Pending {
    upload: Arc<Upload>,
    /// Counts the uploads; halves keep the number of the whole.
    number: u32,
    was_sent: bool,
    is_retry: bool,
    is_part: bool,
    /// The reason for its last failure.
    failure: Option<&'static str>,
}

impl Pending {
    fn new(upload: Upload, number: u32) -> Self {
        let upload = Arc::new(upload);
        Self { upload, number, was_sent: false, is_retry: false, is_part: false, failure: None }
    }

    fn part(&self, upload: Upload) -> Self {
        Self { upload: Arc::new(upload), is_part: true, failure: None, ..self.clone() }
    }

    fn rows(&self) -> u32 {
        self.upload.rows()
    }

    /// The order in which uploads are sent when requests are scarce: the trace's row first, then the latest spans,
    /// since a root ends after its children.
    fn worth(&self) -> (bool, Reverse<u32>) {
        (self.upload.kind() != Kind::Trace, Reverse(self.number))
    }
}

/// The result of an upload.
#[derive(Clone, Copy)]
enum Outcome {
    Sent,
    Kept(&'static str),
    /// No request was made.
    Waits,
    Split,
    Lost(&'static str),
}

/// Uploads that share their requests.
pub(super) struct Rows<P: Platform> {
    pub(super) client: Arc<Inner<P>>,
    state: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Uploads that are neither delivered nor lost, in the order of their numbers.
    uploads: Vec<Pending>,
    /// The number of uploads so far.
    number: u32,
    requests: u32,
}

impl<P: Platform> Rows<P> {
    pub(super) fn new(client: Arc<Inner<P>>) -> Self {
        Self { client, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, Kept> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, upload: Upload) {
        let mut state = self.state();
        state.number = state.number.saturating_add(1);
        let pending = Pending::new(upload, state.number);
        state.uploads.push(pending);
    }

    fn take(&self) -> Vec<Pending> {
        core::mem::take(&mut self.state().uploads)
    }
}

impl<P: Platform> Drop for Rows<P> {
    fn drop(&mut self) {
        let rows = self.take().iter().map(Pending::rows).fold(0, u32::saturating_add);
        if rows > 0 {
            self.client.platform.warn(&[&lost(rows), ": nobody waited for the delivery"].concat());
        }
    }
}

/// A delivery of all uploads in `rows`. Unsettled uploads return there, also when the delivery is dropped midway.
struct Delivery<'a, P: Platform> {
    rows: &'a Rows<P>,
    until_ms: u64,
    is_last: bool,
    queue: Vec<Pending>,
    under_way: Vec<Pending>,
    kept: Vec<Pending>,
}

impl<P: Platform> Drop for Delivery<'_, P> {
    fn drop(&mut self) {
        let mut state = self.rows.state();
        for list in [&mut self.kept, &mut self.queue, &mut self.under_way] {
            for pending in list.drain(..) {
                insert(&mut state.uploads, pending, |pending| pending.number);
            }
        }
    }
}

/// Sends `rows` until `until_ms`. Undelivered rows are kept, or lost if the delivery `is_last`.
pub(super) async fn deliver<P: Platform>(rows: &Rows<P>, until_ms: u64, is_last: bool) -> Report {
    let (queue, under_way, kept) = (rows.take(), Vec::new(), Vec::new());
    let mut delivery = Delivery { rows, until_ms, is_last, queue, under_way, kept };
    let mut report = Report::default();
    let limits =
        Limits { until_ms, requests: MAX_REQUESTS.saturating_sub(if is_last { 0 } else { RESERVED_REQUESTS }) };
    let mut lanes = Vec::new();
    loop {
        while let Some(pending) = delivery.next(lanes.len(), limits) {
            lanes.push(Box::pin(attempts(rows, pending, limits)));
        }
        if lanes.is_empty() {
            break;
        }
        let (pending, requests, outcome) = first(&mut lanes).await;
        report.requests = report.requests.saturating_add(requests);
        delivery.settle(pending, outcome, &mut report);
    }
    delivery.close(&mut report);
    report
}

/// The bounds of a delivery.
#[derive(Clone, Copy)]
struct Limits {
    until_ms: u64,
    requests: u32,
}

impl<P: Platform> Delivery<'_, P> {
    /// Takes the next upload, if a connection is free.
    fn next(&mut self, lanes: usize, limits: Limits) -> Option<Pending> {
        let is_on_trial = self.rows.client.destination().is_on_trial;
        let requests_left = self.rows.requests_left(limits);
        if lanes >= if is_on_trial { 1 } else { MAX_CONNECTIONS } || requests_left == 0 {
            return None;
        }
        let is_scarce = self.is_last || usize::try_from(requests_left).is_ok_and(|left| left < self.queue.len());
        let pick = |which: &dyn Fn(&Pending) -> bool| {
            let mut found = self.queue.iter().enumerate().filter(|(_, pending)| which(pending));
            let best = if is_scarce { found.min_by_key(|(_, pending)| pending.worth()) } else { found.next() };
            best.map(|(index, _)| index)
        };
        // On trial a new upload is sent first: the backend may refuse the others for good.
        let fresh = if is_on_trial { pick(&|pending| !pending.was_sent) } else { None };
        let pending = self.queue.remove(fresh.or_else(|| pick(&|_| true))?);
        // An interrupted request may have arrived.
        self.under_way.push(Pending { was_sent: true, ..pending.clone() });
        Some(pending)
    }

    fn settle(&mut self, mut pending: Pending, outcome: Outcome, report: &mut Report) {
        self.under_way.retain(|other| !Arc::ptr_eq(&other.upload, &pending.upload));
        let rows = pending.rows();
        match outcome {
            Outcome::Kept(reason) => {
                pending.failure = Some(reason);
                self.kept.push(pending);
                return;
            }
            Outcome::Waits => return self.kept.push(pending),
            Outcome::Split => {
                let parts = pending.upload.halves().map(|(first, second)| [pending.part(first), pending.part(second)]);
                self.queue.splice(..0, parts.into_iter().flatten());
                return;
            }
            Outcome::Sent => report.sent = report.sent.saturating_add(rows),
            Outcome::Lost(reason) => report.lose(reason, rows),
        }
        if pending.is_retry {
            report.retried = report.retried.saturating_add(rows);
        }
    }

    /// Accounts for the remaining uploads, and warns about them.
    fn close(mut self, report: &mut Report) {
        let Inner { platform, .. } = &*self.rows.client;
        self.kept.append(&mut self.queue);
        let mut why = None;
        if self.is_last {
            let now_ms = platform.now_ms();
            let reason = if self.rows.client.destination().paused_until_ms > now_ms {
                "circuit_open"
            } else if now_ms >= self.until_ms {
                "deadline"
            } else {
                "too_many_requests"
            };
            for pending in self.kept.drain(..) {
                report.lose(pending.failure.unwrap_or(reason), pending.rows());
                if pending.is_retry {
                    report.retried = report.retried.saturating_add(pending.rows());
                }
            }
        }
        for pending in &self.kept {
            report.kept = report.kept.saturating_add(pending.rows());
            why = why.or(pending.failure);
        }
        for (reason, rows) in &report.dropped {
            platform.warn(&alloc::format!("{}: {reason}", lost(*rows)));
        }
        if let Some(why) = why {
            platform.warn(&alloc::format!("{} rows are kept for the next flush: {why}", report.kept));
        }
    }
}

/// Tries one upload until its verdict is final. Returns the upload, the number of requests and the result.
async fn attempts<P: Platform>(rows: &Rows<P>, mut pending: Pending, limits: Limits) -> (Pending, u32, Outcome) {
    let client = &*rows.client;
    let mut number = 0_u32;
    let outcome = loop {
        if rows.requests_left(limits) == 0 {
            break Outcome::Waits;
        }
        number = number.saturating_add(1);
        rows.count_request();
        pending.is_retry |= pending.was_sent;
        pending.was_sent = true;
        let left_ms = limits.until_ms.saturating_sub(client.platform.now_ms());
        let Some(answer) = race(post(client, &pending.upload), client.platform.sleep(left_ms)).await else {
            // An interrupted request says nothing about the backend.
            break Outcome::Kept(pending.failure.unwrap_or("deadline"));
        };
        let status = answer.status;
        match judge(client, &pending, number, limits.until_ms, answer) {
            Verdict::Sent => {
                *client.destination() = Destination::default();
                break Outcome::Sent;
            }
            Verdict::Retry { after_ms, .. } if may_retry(client, &pending, number) => {
                client.platform.sleep(after_ms).await;
            }
            Verdict::Retry { reason, .. } | Verdict::Defer(reason) => {
                // The backend has failed, unless it only failed on part of a split upload.
                if !pending.is_part || status < 500 {
                    client.failed(false);
                }
                break Outcome::Kept(reason.code());
            }
            Verdict::Split(_) => break Outcome::Split,
            Verdict::Drop(reason) => break Outcome::Lost(reason.code()),
            Verdict::Stop(reason) => {
                client.failed(true);
                break Outcome::Kept(reason.code());
            }
            // Bodies are not compressed.
            Verdict::Plain => break Outcome::Lost("unexpected_status"),
        }
    };
    (pending, number, outcome)
}

fn may_retry<P: Platform>(client: &Inner<P>, pending: &Pending, number: u32) -> bool {
    !client.destination().is_on_trial && (!pending.is_part || number == 1)
}

fn judge<P: Platform>(client: &Inner<P>, pending: &Pending, number: u32, deadline_ms: u64, answer: Answer) -> Verdict {
    let mut headers = Vec::new();
    for (mut name, value) in answer.headers {
        name.make_ascii_lowercase();
        insert(&mut headers, (name, value), Clone::clone);
    }
    let attempt = Attempt {
        number,
        rows: pending.rows(),
        is_compressed: false,
        now_ms: client.platform.now_ms(),
        deadline_ms,
        random: bits(client.platform.random()),
    };
    verdict(answer.status, headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), &attempt)
}

/// The answer; without an answer its status is 0.
async fn post<P: Platform>(client: &Inner<P>, upload: &Upload) -> Answer {
    let settings = &client.settings;
    let url = settings.url_for(upload.path());
    let headers = request_headers(settings.api_key.as_bytes(), settings.workspace.as_bytes(), false)
        .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
        .chain(settings.sender().map(|sender| ("x-opik-edge", sender)))
        .collect();
    client.platform.post(Request { url: &url, headers, body: upload.body() }).await.unwrap_or_default()
}

/// Inserts an item into a list that is sorted by `key`, behind equal items. The lists are short, and a sort adds 8 KB
/// of WebAssembly.
fn insert<T, K: Ord>(sorted: &mut Vec<T>, item: T, key: impl Fn(&T) -> K) {
    let place = key(&item);
    let at = sorted.iter().rposition(|other| key(other) <= place).map_or(0, |last| last.saturating_add(1));
    sorted.insert(at, item);
}

/// The result of `work`, or `None` if `limit` ends first.
async fn race<T>(work: impl Future<Output = T>, limit: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut limit) = (pin!(work), pin!(limit));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => limit.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// Waits for the first of `lanes` to end, removes it and returns its result.
async fn first<F: Future>(lanes: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|context| {
        for (index, lane) in lanes.iter_mut().enumerate() {
            if let Poll::Ready(value) = lane.as_mut().poll(context) {
                drop(lanes.remove(index));
                return Poll::Ready(value);
            }
        }
        Poll::Pending
    })
    .await
}

impl<P: Platform> Rows<P> {
    /// The number of requests that are left.
    fn requests_left(&self, limits: Limits) -> u32 {
        let now_ms = self.client.platform.now_ms();
        let is_paused = self.client.destination().paused_until_ms > now_ms;
        if is_paused || now_ms >= limits.until_ms {
            return 0;
        }
        limits.requests.saturating_sub(self.state().requests)
    }

    fn count_request(&self) {
        let mut state = self.state();
        state.requests = state.requests.saturating_add(1);
    }
}

impl<P: Platform> Inner<P> {
    fn failed(&self, for_good: bool) {
        let (now_ms, random) = (self.platform.now_ms(), self.platform.random());
        self.destination().failed(for_good, now_ms, random);
    }
}
