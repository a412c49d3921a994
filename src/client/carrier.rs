//! Headers to join a trace by, and headers to hand it on by.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::headers::{
    HYPHEN_PARENT_SPAN_ID_HEADER, HYPHEN_TRACE_ID_HEADER, Incoming, OPIK_PARENT_SPAN_ID_HEADER, OPIK_TRACE_ID_HEADER,
};

/// Headers that may name the caller's trace.
///
/// ```
/// use opik_edge::client::Extract;
///
/// let headers = [("Opik-Trace-Id", "019ab5c0-7c00-7a11-8a11-0123456789ab")];
/// assert!(headers.value("opik-trace-id").is_some());
/// assert!(headers.value("opik_trace_id").is_none());
/// ```
pub trait Extract {
    /// The value of a header, whose name is in lower case. Of repeated ones the last, or all of them joined by commas.
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>>;
}

/// Headers that a trace can be handed on by.
///
/// ```
/// use opik_edge::client::Inject;
///
/// let mut headers = vec![("Opik_Trace_Id".to_owned(), "the caller's".to_owned())];
/// headers.set("opik_trace_id", "ours");
/// assert_eq!(headers, [("opik_trace_id".to_owned(), "ours".to_owned())]);
/// ```
pub trait Inject {
    /// Sets a header in place of those of this name. A name is in lower case, a value an id.
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

/// The four values that a trace is named by, as they came.
#[derive(Default)]
pub(super) struct Caller<'a> {
    values: [Cow<'a, [u8]>; 4],
}

impl<'a> Caller<'a> {
    pub(super) fn of(carrier: &'a (impl Extract + ?Sized)) -> Self {
        let names =
            [OPIK_TRACE_ID_HEADER, OPIK_PARENT_SPAN_ID_HEADER, HYPHEN_TRACE_ID_HEADER, HYPHEN_PARENT_SPAN_ID_HEADER];
        Self { values: names.map(|name| carrier.value(name).unwrap_or_default()) }
    }

    pub(super) fn incoming(&self) -> Incoming<'_> {
        let [trace, parent, trace_hyphen, parent_hyphen] = &self.values;
        Incoming { trace, parent, trace_hyphen, parent_hyphen }
    }
}
