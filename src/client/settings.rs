//! Where a client's settings come from, and what is wrong with them.

use alloc::string::String;
use core::fmt;

use crate::batch::MAX_BATCH_BYTES;

/// The API of Opik Cloud.
pub const DEFAULT_URL: &str = "https://www.comet.com/opik/api";

/// The longest name of an environment that the API takes (`environment` of `Span_Write`).
const MAX_ENVIRONMENT_CHARS: usize = 150;

/// The longest body that a relay takes, unless it is told otherwise.
const RELAY_BODY_BYTES: usize = 1024 * 1024;

/// Where traces go. `Debug` leaves the key out.
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
    /// The base URL of the API, or of a relay: absolute, http or https, without user name and password.
    pub url: String,
    /// Sent raw, and not at all when it is empty. Printable ASCII.
    pub api_key: String,
    /// Printable ASCII. Not sent when it is empty.
    pub workspace: String,
    /// The project of all rows. Where it is empty, the API's own default.
    pub project_name: String,
    /// The environment of all rows, at most 150 characters; none where it is empty.
    pub environment: String,
    /// Whether nothing is sent. The caller's ids still travel on.
    pub is_disabled: bool,
    /// Whether the URL is that of a relay, which takes all rows at the URL itself.
    pub is_relay: bool,
    /// The longest body, in bytes: 32768 to 4 MB. Rows are cut to fit.
    pub max_body_bytes: usize,
}

impl Settings {
    /// From variables with the names that the official SDKs have: `OPIK_URL_OVERRIDE`, `OPIK_API_KEY`, `OPIK_WORKSPACE`,
    /// `OPIK_PROJECT_NAME`, `OPIK_ENVIRONMENT`, `OPIK_TRACK_DISABLE`. An empty one counts as none.
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
            is_disabled: read("OPIK_TRACK_DISABLE")
                .is_some_and(|value| disabled.iter().any(|yes| value.eq_ignore_ascii_case(yes))),
            is_relay: preset.is_relay,
            max_body_bytes: preset.max_body_bytes,
        }
    }

    /// Of a page, whose rows go to a relay at this URL: it holds the key, and pins workspace and project. It must be one that asks
    /// for no tokens, since with those it wants ids that are made otherwise.
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

    /// Why nothing can be sent with these settings, if it is so.
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
        } else if self.environment.chars().count() > MAX_ENVIRONMENT_CHARS {
            Some("the environment has to be at most 150 characters")
        } else {
            None
        }
    }

    /// Where what belongs to a path of the API is sent.
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
            is_disabled: false,
            is_relay: false,
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
            .field("is_disabled", &self.is_disabled)
            .field("is_relay", &self.is_relay)
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

fn is_header_value(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
