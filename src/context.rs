//! Finds the parent: a request joins its caller's trace, or begins a trace. The side that began a trace writes its row.
//! Next in the flow: [`crate::span`].

use crate::headers::{self, Incoming, Warning};
use crate::id::{Id, IdGenerator};
use crate::w3c::{self, Link};

/// The trace that spans are recorded in, and the span they open under.
///
/// ```
/// use opik_edge::{context::Context, headers::Incoming, id::IdGenerator};
///
/// let incoming = Incoming::from_pairs([("opik-trace-id", "019ab5c0-7c00-7a11-8a11-0123456789ab"), ("opik-parent-span-id", "019ab5c0-7c01-7a11-9a11-0123456789ab")]);
/// let (context, _) = Context::open(&incoming, 1_764_000_000_000, &mut IdGenerator::new()).ok_or("random bytes")?;
/// assert!(context.is_joined());
/// assert_eq!(context.trace_id().to_string(), "019ab5c0-7c00-7a11-8a11-0123456789ab");
/// assert_eq!(context.parent_id().map(|id| id.to_string()).as_deref(), Some("019ab5c0-7c01-7a11-9a11-0123456789ab"));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    trace_id: Id,
    parent_id: Option<Id>,
    joined: bool,
    link: Link,
}

impl Context {
    /// Joins the trace that `incoming` claims, or begins a trace at `now_ms` (ms since 1970). Also returns the warning
    /// about the headers, if there is a problem in them. Returns `None` when `ids` is out of random bytes.
    ///
    /// ```
    /// # use opik_edge::{context::Context, headers::Incoming, id::IdGenerator};
    /// let mut ids = IdGenerator::new();
    /// assert_eq!(Context::open(&Incoming::default(), 1_764_000_000_000, &mut ids), None); // no random bytes
    ///
    /// ids.refill(&[7; 12]);
    /// let (context, warning) = Context::open(&Incoming::default(), 1_764_000_000_000, &mut ids).ok_or("random bytes")?;
    /// assert!(!context.is_joined() && warning.is_none());
    /// # Ok::<(), &str>(())
    /// ```
    pub fn open(incoming: &Incoming<'_>, now_ms: u64, ids: &mut IdGenerator) -> Option<(Self, Option<Warning>)> {
        Self::open_with(incoming, now_ms, || ids.mint(now_ms).ok_or(())).ok()
    }

    /// Like [`Context::open`], with an id from `mint`.
    ///
    /// # Errors
    /// The one of `mint`, which is called where a trace begins.
    ///
    /// ```
    /// # use opik_edge::{context::Context, headers::Incoming, id::IdGenerator};
    /// let mut ids = IdGenerator::new();
    /// let mint = || Ok::<_, std::io::Error>(ids.mint_with(1_764_000_000_000, [7; 12]));
    /// let (context, _) = Context::open_with(&Incoming::default(), 1_764_000_000_000, mint)?;
    /// assert_eq!(context.trace_id().timestamp_ms(), 1_764_000_000_000);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn open_with<E>(
        incoming: &Incoming<'_>,
        now_ms: u64,
        mint: impl FnOnce() -> Result<Id, E>,
    ) -> Result<(Self, Option<Warning>), E> {
        let (mut claim, warning) = headers::read(incoming, now_ms);
        let mut link = Link::None;
        if claim.is_none() {
            (claim, link) = w3c::read(incoming, now_ms);
        }
        let context = match claim {
            Some(claim) => Self { trace_id: claim.trace_id, parent_id: claim.parent_id, joined: true, link },
            None => Self { trace_id: mint()?, parent_id: None, joined: false, link },
        };
        Ok((context, warning))
    }

    /// The trace.
    ///
    /// ```
    /// # use opik_edge::{context::Context, headers::Incoming, id::IdGenerator};
    /// # let mut ids = IdGenerator::new();
    /// # ids.refill(&[7; 12]);
    /// let (context, _) = Context::open(&Incoming::default(), 1_764_000_000_000, &mut ids).ok_or("random bytes")?;
    /// assert_eq!(context.trace_id().timestamp_ms(), 1_764_000_000_000);
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn trace_id(&self) -> Id {
        self.trace_id
    }

    /// The caller's span, or `None`. Only a joined context can have a parent.
    ///
    /// ```
    /// # use opik_edge::{context::Context, headers::Incoming, id::IdGenerator};
    /// # let mut ids = IdGenerator::new();
    /// # ids.refill(&[7; 12]);
    /// let (context, _) = Context::open(&Incoming::default(), 1_764_000_000_000, &mut ids).ok_or("random bytes")?;
    /// assert_eq!(context.parent_id(), None); // no caller named a span
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn parent_id(&self) -> Option<Id> {
        self.parent_id
    }

    /// `true` if the trace is the caller's. Its row must not be written here: a row replaces an earlier row of the same
    /// id whole.
    ///
    /// ```
    /// # use opik_edge::{context::Context, headers::Incoming, id::IdGenerator};
    /// # let mut ids = IdGenerator::new();
    /// # ids.refill(&[7; 12]);
    /// let (context, _) = Context::open(&Incoming::default(), 1_764_000_000_000, &mut ids).ok_or("random bytes")?;
    /// assert!(!context.is_joined()); // no caller named a trace
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.joined
    }

    /// The meaning of the caller's trace context. [`Link::Unsampled`] and above ask that nothing is recorded.
    ///
    /// ```
    /// # use opik_edge::{context::Context, headers::Incoming, id::IdGenerator, w3c::Link};
    /// # let mut ids = IdGenerator::new();
    /// # ids.refill(&[7; 12]);
    /// let (context, _) = Context::open(&Incoming::default(), 1_764_000_000_000, &mut ids).ok_or("random bytes")?;
    /// assert_eq!(context.link(), Link::None); // no trace context came in
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }
}
