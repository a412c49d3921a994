//! Delivers the rows of all roots of a client together: one delivery at a time, which takes along the rows of roots that
//! end meanwhile. Each delivery is one of [`super::delivery`].

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::{MutexGuard, PoisonError};

use super::delivery::{Report, Rows, deliver};
use super::platform::Platform;
use super::{DELIVERY_MS, Inner, lost};
use crate::batch::{MAX_BATCH_ROWS, MAX_BUFFER_BYTES};
use crate::upload::Upload;

/// The wait before each delivery, in ms. At a thousand requests a second it takes a hundred of them along, where two
/// uploads a request would cost half of the throughput.
const GATHER_MS: u64 = 100;

/// Uploads that wait for the next delivery.
#[derive(Default)]
pub(super) struct Waiting {
    uploads: Vec<Upload>,
    bytes: usize,
    is_under_way: bool,
}

impl<P: Platform> Inner<P> {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the rows of a root to those that wait.
    pub(super) fn add(&self, upload: Upload) {
        let (rows, bytes) = (upload.rows(), upload.body().len());
        let mut waiting = self.waiting();
        if waiting.bytes.saturating_add(bytes) > MAX_BUFFER_BYTES {
            drop(waiting);
            self.platform.warn(&[&lost(rows), ": buffer_full"].concat());
            return;
        }
        waiting.bytes = waiting.bytes.saturating_add(bytes);
        let last = waiting.uploads.iter_mut().rev().find(|other| other.kind() == upload.kind());
        let rest = match last {
            Some(last) => last.append(upload, MAX_BATCH_ROWS, self.settings.max_body_bytes),
            None => Some(upload),
        };
        waiting.uploads.extend(rest);
    }
}

/// The turn of a delivery. It ends when nothing waits, or when its future is dropped.
struct Turn<'a, P> {
    client: &'a Inner<P>,
    has_ended: bool,
}

impl<'a, P: Platform> Turn<'a, P> {
    fn begin(client: &'a Inner<P>) -> Option<Self> {
        let mut waiting = client.waiting();
        let is_first = !core::mem::replace(&mut waiting.is_under_way, true);
        is_first.then(|| Self { client, has_ended: false })
    }

    fn next(&mut self) -> Vec<Upload> {
        let mut waiting = self.client.waiting();
        self.has_ended = waiting.uploads.is_empty();
        waiting.is_under_way = !self.has_ended;
        waiting.bytes = 0;
        core::mem::take(&mut waiting.uploads)
    }
}

impl<P> Drop for Turn<'_, P> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.client.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_under_way = false;
        }
    }
}

/// Delivers the waiting uploads until there are none left. If a delivery is under way, that delivery does it, and this one is empty.
pub(super) async fn deliver_waiting<P: Platform>(client: &Arc<Inner<P>>) -> Report {
    let mut report = Report::default();
    let Some(mut turn) = Turn::begin(client) else { return report };
    loop {
        client.platform.sleep(GATHER_MS).await;
        let uploads = turn.next();
        if uploads.is_empty() {
            return report;
        }
        let rows = Rows::new(Arc::clone(client));
        for upload in uploads {
            rows.keep(upload);
        }
        report.add(deliver(&rows, client.platform.now_ms().saturating_add(DELIVERY_MS), true).await);
    }
}
