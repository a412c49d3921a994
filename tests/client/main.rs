//! The client, on a platform whose clock only the test moves.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::disallowed_macros,
    clippy::disallowed_types,
    reason = "a test that fails should say where"
)]

mod delivery;
mod fake;
mod guards;
mod joint;
#[cfg(feature = "tracing")]
mod layer;
mod spans;
mod w3c;
