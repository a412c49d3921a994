#![cfg_attr(feature = "serde", doc = include_str!("README.md"))]
#![cfg_attr(not(feature = "serde"), doc = "Carries Opik traces from one service to the next, without I/O.")]
//!
//! # The modules
//!
//! They are listed in the order in which data flows. Incoming [`headers`] name a [`context`], and a [`span`] is
//! recorded under it. Its text is [`cut`] to the limits, its row goes into a [`batch`], and a batch becomes an
//! [`upload`]. The caller passes in time, random bytes and headers, so the code runs the same in a Worker, in a browser
//! and in a test.
//!
//! ```
//! use opik_edge::{context::Context, headers::{Incoming, Spelling, outgoing}, id::IdGenerator};
//!
//! let mut ids = IdGenerator::default();
//! ids.refill(&[7; 64]); // random bytes from the platform
//! let now = 1_764_000_000_000; // ms since 1970
//!
//! let (context, warning) = Context::open(&Incoming::default(), now, &mut ids).ok_or("more random bytes")?;
//! assert!(!context.is_joined() && warning.is_none());
//!
//! let span_id = ids.mint(now).ok_or("more random bytes")?;
//! let headers: Vec<_> = outgoing(context.trace_id(), span_id, Spelling::Both).collect();
//! assert_eq!(headers.len(), 4);
//! # Ok::<(), &str>(())
//! ```

#![cfg_attr(all(any(feature = "npm", feature = "npm-llm"), target_arch = "wasm32"), no_std)]

extern crate alloc;

pub mod headers;

pub mod w3c;

mod lines;

pub mod context;

pub mod cut;

pub mod span;

pub mod batch;

pub mod upload;

pub mod id;
pub mod json;
pub mod time;

#[cfg(feature = "llm")]
pub mod llm;

#[cfg(feature = "serde")]
pub mod record;

#[cfg(feature = "client")]
pub mod client;

#[cfg(feature = "serde-wasm-bindgen")]
pub mod value;

#[cfg(feature = "web")]
pub mod web;

#[cfg(feature = "wasi")]
pub mod wasi;

#[cfg(feature = "tracing")]
pub mod tracing;

#[cfg(feature = "bindings")]
pub mod bindings;

/// The guide, whose examples run as doctests.
#[cfg(all(doctest, feature = "http", feature = "tracing", feature = "wasi", feature = "web"))]
#[doc = include_str!("../docs/guides/rust.md")]
mod guide {}

/// The allocator and the panic handler of the npm build. Both are small, because every page and Worker loads them.
#[cfg(all(any(feature = "npm", feature = "npm-llm"), target_arch = "wasm32"))]
mod program {
    /// 3 KB gzip smaller than the default, and like it in constant time.
    #[global_allocator]
    static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

    /// The core itself never panics. Any other panic traps, and js/platform/core.ts replaces the instance.
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        core::arch::wasm32::unreachable()
    }
}
