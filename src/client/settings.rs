//! The settings of a client: their sources and their checks.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::batch::MAX_BATCH_BYTES;

/// The API of Opik Cloud.
///
/// ```
/// use opik_edge::client::{DEFAULT_URL, Settings};
///
/// assert_eq!(Settings::default().url, DEFAULT_URL);
/// ```
pub const DEFAULT_URL: &str = "https://www.comet.com/opik/api";

/// The longest environment name that the API accepts (`environment` of `Span_Write`).
const MAX_ENVIRONMENT_CHARS: usize = 150;

/// The share of all traces, in millionths.
const MILLION: u32 = 1_000_000;

/// The default limit of a relay.
const RELAY_BODY_BYTES: usize = 1024 * 1024;

/// The headers that pass a trace on. Opik's own are always read; trace contexts are read with `w3c`.
///
/// ```
/// use opik_edge::client::Propagation;
///
/// assert!(Propagation::default().opik && !Propagation::default().w3c);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Propagation {
    /// `true` writes Opik's headers.
    pub opik: bool,
    /// `true` reads and writes W3C Trace Context ([`crate::w3c`]).
    pub w3c: bool,
    /// `true` also writes the two ids into W3C Baggage, for Opik's OpenTelemetry processors.
    pub baggage: bool,
}

impl Propagation {
    /// Reads names that are separated by commas: some of `opik`, `w3c` and `baggage`. A wrong name leaves nothing, which is a
    /// problem of the settings.
    fn read(list: &str) -> Self {
        let mut read = Self { opik: false, w3c: false, baggage: false };
        for name in list.split(',') {
            match name.trim() {
                "opik" => read.opik = true,
                "w3c" => read.w3c = true,
                "baggage" => read.baggage = true,
                _ => return Self { opik: false, w3c: false, baggage: false },
            }
        }
        read
    }
}

impl Default for Propagation {
    fn default() -> Self {
        Self { opik: true, w3c: false, baggage: false }
    }
}

/// The settings of a client. `Debug` omits the key.
///
/// ```
/// use opik_edge::client::Settings;
///
/// let settings = Settings { url: "http://127.0.0.1:5173/api".into(), project_name: "chat".into(), ..Settings::default() };
/// assert_eq!(settings.problem(), None);
/// assert!(Settings::default().problem().is_some(), "Opik Cloud needs a key");
/// ```
#[derive(Clone)]
pub struct Settings {
    /// The base URL of the API, or the URL of a relay: absolute, http or https, without user name and password.
    pub url: String,
    /// The API key, in printable ASCII. Empty: no key is sent.
    pub api_key: String,
    /// The workspace, in printable ASCII. Empty: no workspace is sent.
    pub workspace: String,
    /// The project of all rows. Empty: the API's default.
    pub project_name: String,
    /// The environment of all rows, at most 150 characters. Empty: no environment.
    pub environment: String,
    /// The name of this service, in printable ASCII. Uploads carry it in the header `x-opik-edge`, behind the version of
    /// this crate, and a viewer names the sender by it. Empty: no such header. Opik's CORS rules do not allow the header,
    /// so a page has to leave this empty. A relay does not get it.
    pub service: String,
    /// `true` if nothing is sent. The caller's ids are still handed on.
    pub is_disabled: bool,
    /// `true` if the URL belongs to a relay, which accepts all rows at this URL.
    pub is_relay: bool,
    /// `false` if every request begins a trace: a public caller can send any id, and so write into any trace whose id it
    /// knows.
    pub trusts_callers: bool,
    /// The headers that pass a trace on.
    pub propagation: Propagation,
    /// The share of new traces that is recorded, in millionths: 1 000 000 records all of them. Joined traces are always
    /// recorded. Services with the same share agree about a trace.
    pub sampled_per_million: u32,
    /// Secrets to hide. The name of a member, in any case, hides its value in inputs, outputs and metadata, at any depth:
    /// `[redacted]` is recorded. An entry that begins with `/` is a pattern of paths, with a `*` for each segment to
    /// hide: `/reset/*` records `/reset/x/y` as `/reset/*/y`.
    pub redact: Vec<String>,
    /// The longest body, in bytes: 32768 to 4 MB. Rows are cut to fit.
    pub max_body_bytes: usize,
}

impl Settings {
    /// Reads variables with the names of the official SDKs: `OPIK_URL_OVERRIDE`, `OPIK_API_KEY`, `OPIK_WORKSPACE`,
    /// `OPIK_PROJECT_NAME`, `OPIK_ENVIRONMENT`, `OPIK_TRACK_DISABLE`. Empty variables count as missing. Five more have
    /// settings that those SDKs lack: `OPIK_SERVICE`, `OPIK_EDGE_TRUST` (`always`; any other value is `never`),
    /// `OPIK_EDGE_SAMPLE_RATE` (a number from 0 to 1), `OPIK_EDGE_REDACT` (names and patterns) and `OPIK_EDGE_PROPAGATION`
    /// (`opik`, `w3c`, `baggage`). The entries of the last two are separated by commas.
    ///
    /// ```
    /// use opik_edge::client::Settings;
    ///
    /// let settings = Settings::from_env(|name| std::env::var(name).ok());
    /// assert_eq!(settings.workspace, "default");
    /// ```
    #[must_use]
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name| get(name).map(|value| String::from(value.trim())).filter(|value| !value.is_empty());
        let preset = Self::default();
        let disabled = ["1", "true", "yes", "on"];
        Self {
            url: read("OPIK_URL_OVERRIDE").unwrap_or(preset.url),
            api_key: read("OPIK_API_KEY").unwrap_or(preset.api_key),
            workspace: read("OPIK_WORKSPACE").unwrap_or(preset.workspace),
            project_name: read("OPIK_PROJECT_NAME").unwrap_or(preset.project_name),
            environment: read("OPIK_ENVIRONMENT").unwrap_or(preset.environment),
            service: read("OPIK_SERVICE").unwrap_or(preset.service),
            is_disabled: read("OPIK_TRACK_DISABLE")
                .is_some_and(|value| disabled.iter().any(|yes| value.eq_ignore_ascii_case(yes))),
            is_relay: preset.is_relay,
            trusts_callers: read("OPIK_EDGE_TRUST").is_none_or(|value| value.eq_ignore_ascii_case("always")),
            propagation: read("OPIK_EDGE_PROPAGATION").map_or(preset.propagation, |list| Propagation::read(&list)),
            // A wrong rate is a problem of the settings.
            sampled_per_million: read("OPIK_EDGE_SAMPLE_RATE")
                .map_or(preset.sampled_per_million, |rate| millionths(&rate).unwrap_or(u32::MAX)),
            redact: read("OPIK_EDGE_REDACT").map_or_else(Vec::new, |list| {
                list.split(',').map(|entry| String::from(entry.trim())).filter(|entry| !entry.is_empty()).collect()
            }),
            max_body_bytes: preset.max_body_bytes,
        }
    }

    /// The settings of a page that sends its rows to a relay. The relay holds the key, and sets workspace and project.
    /// It must not ask for tokens: a relay with tokens requires ids that this crate does not make.
    ///
    /// ```
    /// use opik_edge::client::Settings;
    ///
    /// let settings = Settings::for_relay("https://shop.example/opik");
    /// assert_eq!((settings.workspace.as_str(), settings.problem()), ("", None));
    /// ```
    #[must_use]
    pub fn for_relay(url: &str) -> Self {
        Self {
            url: url.into(),
            workspace: String::new(),
            project_name: String::new(),
            is_relay: true,
            max_body_bytes: RELAY_BODY_BYTES,
            ..Self::default()
        }
    }

    /// The first problem of the settings, which prevents every request; `None` for valid settings.
    ///
    /// ```
    /// use opik_edge::client::Settings;
    ///
    /// let settings = Settings { url: "opik.example".into(), ..Settings::default() };
    /// assert!(settings.problem().is_some_and(|problem| problem.contains("absolute")));
    /// ```
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let is_https = self.url.starts_with("https://");
        let rest = self.url.strip_prefix(if is_https { "https://" } else { "http://" }).unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_cloud = is_cloud(authority);
        if authority.is_empty() || authority.contains('@') || self.url.contains(char::is_whitespace) {
            Some("the URL has to be an absolute http or https URL without user name and password")
        } else if is_cloud && !is_https {
            Some("the URL has to be https, as Opik Cloud is")
        } else if is_cloud && self.api_key.is_empty() {
            Some("Opik Cloud needs an API key (OPIK_API_KEY)")
        } else if !is_header_value(&self.api_key) {
            Some("the API key has to be printable ASCII")
        } else if !is_header_value(&self.workspace) {
            Some("the workspace has to be printable ASCII")
        } else if !is_header_value(&self.service) {
            Some("the service has to be printable ASCII (OPIK_SERVICE)")
        } else if self.environment.chars().count() > MAX_ENVIRONMENT_CHARS {
            Some("the environment has to be at most 150 characters")
        } else if self.sampled_per_million > MILLION {
            Some("the sample rate has to be a number from 0 to 1 (OPIK_EDGE_SAMPLE_RATE)")
        } else if !(self.propagation.w3c || self.propagation.opik) {
            Some("the propagation has to be some of opik and w3c, and baggage beside them (OPIK_EDGE_PROPAGATION)")
        } else {
            None
        }
    }

    /// The share of new traces that is recorded, as [`crate::id::Id::is_sampled`] takes it.
    pub(super) fn share(&self) -> u64 {
        const WHOLE: u64 = 1 << 53;
        const PART: u64 = WHOLE / MILLION as u64;
        if self.sampled_per_million >= MILLION {
            WHOLE
        } else {
            PART.saturating_mul(u64::from(self.sampled_per_million))
        }
    }

    /// The value of the header `x-opik-edge`, by which a viewer names the sender; `None` without a name.
    pub(super) fn sender(&self) -> Option<String> {
        (!self.service.is_empty() && !self.is_relay)
            .then(|| [env!("CARGO_PKG_VERSION"), "; rust; ", &self.service].concat())
    }

    /// The URL of an upload with this path of the API.
    pub(super) fn url_for(&self, path: &str) -> String {
        let base = self.url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        [base, if self.is_relay { "" } else { path }].concat()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: DEFAULT_URL.into(),
            api_key: String::new(),
            workspace: "default".into(),
            project_name: "Default Project".into(),
            environment: String::new(),
            service: String::new(),
            is_disabled: false,
            is_relay: false,
            trusts_callers: true,
            propagation: Propagation::default(),
            sampled_per_million: MILLION,
            redact: Vec::new(),
            max_body_bytes: MAX_BATCH_BYTES,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &self.url)
            .field("workspace", &self.workspace)
            .field("project_name", &self.project_name)
            .field("environment", &self.environment)
            .field("service", &self.service)
            .field("is_disabled", &self.is_disabled)
            .field("is_relay", &self.is_relay)
            .field("trusts_callers", &self.trusts_callers)
            .field("propagation", &self.propagation)
            .field("sampled_per_million", &self.sampled_per_million)
            .field("redact", &self.redact)
            .field("max_body_bytes", &self.max_body_bytes)
            .finish_non_exhaustive()
    }
}

/// Opik Cloud is exactly `comet.com` or a host below it: a suffix alone would take `evilcomet.com`.
fn is_cloud(authority: &str) -> bool {
    let host = authority.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    host == "comet.com" || host.ends_with(".comet.com")
}

/// A decimal number from 0 to 1, in millionths; further digits are ignored. Reading a float would add 15 KB to a component.
fn millionths(rate: &str) -> Option<u32> {
    let (whole, fraction) = rate.split_once('.').unwrap_or((rate, ""));
    if whole.is_empty() && fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(core::iter::repeat(b'0')).take(6);
    let fraction =
        digits.fold(0_u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit.saturating_sub(b'0'))));
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u32>().ok()? };
    Some(whole.saturating_mul(MILLION).saturating_add(fraction)).filter(|rate| *rate <= MILLION)
}

fn is_header_value(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
