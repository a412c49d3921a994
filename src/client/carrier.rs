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
    /// The value of a header, whose name is in lower case: the last value of a repeated header, or all values joined by
    /// commas.
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>>;
}

/// Outgoing headers, to which a trace can be written.
///
/// ```
/// use opik_edge::client::Inject;
///
/// let mut headers = vec![("Opik_Trace_Id".to_owned(), "the caller's".to_owned())];
/// headers.set("opik_trace_id", "ours");
/// assert_eq!(headers, [("opik_trace_id".to_owned(), "ours".to_owned())]);
/// ```
pub trait Inject {
    /// Sets a header and removes other headers of this name. Names are in lower case, values are ids.
    fn set(&mut self, name: &'static str, value: &str);
}

impl<K: AsRef<str>, V: AsRef<str>> Extract for [(K, V)] {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let (_, value) = self.iter().rfind(|(key, _)| key.as_ref().eq_ignore_ascii_case(name))?;
        Some(Cow::Borrowed(value.as_ref().as_bytes()))
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
        self.get_all(name).iter().next_back().map(|value| Cow::Borrowed(value.as_bytes()))
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

/// The values of the trace headers.
#[derive(Default)]
pub(super) struct Caller<'a> {
    values: [Cow<'a, [u8]>; NAMES.len()],
}

impl<'a> Caller<'a> {
    pub(super) fn of(carrier: &'a (impl Extract + ?Sized)) -> Self {
        Self { values: NAMES.map(|name| carrier.value(name).unwrap_or_default()) }
    }

    pub(super) fn incoming(&self) -> Incoming<'_> {
        Incoming::new(self.values.each_ref().map(|value| &**value))
    }
}
