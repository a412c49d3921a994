//! Reads trace headers from incoming requests and writes them to outgoing requests.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::headers::{Incoming, NAMES};

/// Incoming headers, which may name the caller's trace.
///
/// ```
/// use opik_edge::client::Extract;
///
/// let headers = [("Opik-Trace-Id", "019ab5c0-7c00-7a11-8a11-0123456789ab")];
/// assert!(headers.value("opik-trace-id").is_some());
/// assert!(headers.value("opik_trace_id").is_none());
/// ```
pub trait Extract {
    /// The value of a header, whose name is in lower case. The values of a repeated header are joined by commas (RFC 9110
    /// §5.3).
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>>;
}

/// Outgoing headers, to which a trace can be written. They are read too, since others may have set a `traceparent`.
///
/// ```
/// use opik_edge::client::Inject;
///
/// let mut headers = vec![("Opik_Trace_Id".to_owned(), "the caller's".to_owned())];
/// headers.set("opik_trace_id", "ours");
/// assert_eq!(headers, [("opik_trace_id".to_owned(), "ours".to_owned())]);
/// ```
pub trait Inject: Extract {
    /// Sets a header and removes other headers of this name. Names are in lower case, values are printable ASCII, except in
    /// a `baggage` of others.
    fn set(&mut self, name: &'static str, value: &str);
}

impl<K: AsRef<str>, V: AsRef<str>> Extract for [(K, V)] {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let of_name = self.iter().filter(|(key, _)| key.as_ref().eq_ignore_ascii_case(name));
        joined(of_name.map(|(_, value)| value.as_ref().as_bytes()))
    }
}

impl<K: AsRef<str>, V: AsRef<str>, const N: usize> Extract for [(K, V); N] {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.as_slice().value(name)
    }
}

impl<K: AsRef<str>, V: AsRef<str>> Extract for Vec<(K, V)> {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.as_slice().value(name)
    }
}

impl Inject for Vec<(String, String)> {
    fn set(&mut self, name: &'static str, value: &str) {
        self.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.push((name.into(), value.into()));
    }
}

#[cfg(feature = "http")]
impl Extract for http::HeaderMap {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        joined(self.get_all(name).iter().map(http::HeaderValue::as_bytes))
    }
}

#[cfg(feature = "http")]
impl Inject for http::HeaderMap {
    fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = http::HeaderValue::from_str(value) {
            self.insert(http::HeaderName::from_static(name), value);
        }
    }
}

fn joined<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Cow<'a, [u8]>> {
    values.map(Cow::Borrowed).reduce(|first, next| Cow::Owned([&*first, &*next].join(&b',')))
}

/// The values of the trace headers.
#[derive(Default)]
pub(super) struct Caller<'a> {
    values: [Cow<'a, [u8]>; NAMES.len()],
}

impl<'a> Caller<'a> {
    /// Without `has_w3c` trace contexts are not read.
    pub(super) fn of(carrier: &'a (impl Extract + ?Sized), has_w3c: bool) -> Self {
        let is_read = |name: &str| has_w3c || !name.starts_with("trace");
        Self { values: NAMES.map(|name| carrier.value(name).filter(|_| is_read(name)).unwrap_or_default()) }
    }

    pub(super) fn incoming(&self) -> Incoming<'_> {
        Incoming::new(self.values.each_ref().map(|value| &**value))
    }
}
