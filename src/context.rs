//! Who the parent is: the caller's trace is joined, or a trace of our own begins. Decides with it who writes the
//! trace row. Next in the flow: [`crate::span`].

use crate::headers::{self, Incoming, Warning};
use crate::id::{Id, IdGenerator};

/// The trace that spans are recorded in, and the span they open under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    trace_id: Id,
    parent_id: Option<Id>,
    joined: bool,
}

impl Context {
    /// Joins the trace that `incoming` claims, else begins one at `now_ms` (ms since 1970). With it comes the one
    /// warning that the headers deserve. `None` when `ids` is out of random bytes.
    pub fn open(incoming: &Incoming<'_>, now_ms: u64, ids: &mut IdGenerator) -> Option<(Self, Option<Warning>)> {
        Self::open_with(incoming, now_ms, || ids.mint(now_ms).ok_or(())).ok()
    }

    /// The same with an id that `mint` gives.
    ///
    /// # Errors
    /// The one of `mint`, which is called where a trace begins.
    pub fn open_with<E>(
        incoming: &Incoming<'_>,
        now_ms: u64,
        mint: impl FnOnce() -> Result<Id, E>,
    ) -> Result<(Self, Option<Warning>), E> {
        let (claim, warning) = headers::read(incoming, now_ms);
        let context = match claim {
            Some(claim) => Self { trace_id: claim.trace_id, parent_id: claim.parent_id, joined: true },
            None => Self { trace_id: mint()?, parent_id: None, joined: false },
        };
        Ok((context, warning))
    }

    /// The trace.
    #[must_use]
    pub fn trace_id(&self) -> Id {
        self.trace_id
    }

    /// The caller's span. Only a joined context may have one.
    #[must_use]
    pub fn parent_id(&self) -> Option<Id> {
        self.parent_id
    }

    /// Whether the trace is the caller's. Then its row is never ours to write: rows replace each other whole.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.joined
    }
}
