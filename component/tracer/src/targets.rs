//! Selects the calls that get trace headers, by the origins that the environment names.

/// A scheme, a host and a port, of which a target may name a part.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Origin {
    scheme: String,
    host: String,
    /// The port, also where it is the scheme's own.
    port: String,
}

impl Origin {
    /// The origin of an authority, such as `127.0.0.1:8080`; its user is left out. The default port is the scheme's.
    fn of(scheme: &str, authority: &str) -> Self {
        let scheme = scheme.to_ascii_lowercase();
        let host = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
        // The address of an IPv6 host has colons, in brackets.
        let (host, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name.to_owned(), port.to_owned()),
            _ => (host, String::new()),
        };
        let own = if scheme == "https" { "443" } else { "80" };
        let port = if port.is_empty() { own.to_owned() } else { port };
        Self { scheme, host, port }
    }
}

#[derive(Debug)]
enum Target {
    Origin(Origin),
    /// Every host below another, at any port or at a given port.
    Below {
        scheme: String,
        suffix: String,
        port: Option<String>,
    },
}

impl Target {
    /// Reads an origin, or `*.suffix` with or without a scheme, which is `https` by default.
    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let is_host = |host: &str| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
        };
        let is_scheme = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
        let Some(suffix) = rest.strip_prefix("*.") else {
            return (is_scheme && is_host(rest)).then(|| Self::Origin(Origin::of(scheme, rest)));
        };
        let scheme = if scheme.is_empty() { "https" } else { scheme };
        let Origin { scheme, host, port } = Origin::of(scheme, suffix);
        // An address has no hosts below it.
        let is_name = host.rsplit('.').next().is_some_and(|label| label.bytes().any(|byte| byte.is_ascii_alphabetic()));
        let port = suffix.len().checked_sub(host.len()).filter(|&rest| rest > 0).map(|_| port);
        ((is_scheme || text.starts_with("*.")) && is_host(suffix) && is_name && !suffix.contains('['))
            .then(|| Self::Below { scheme, suffix: [".", &host].concat(), port })
    }

    fn matches(&self, origin: &Origin) -> bool {
        match self {
            Self::Origin(own) => own == origin,
            Self::Below { scheme, suffix, port } => {
                *scheme == origin.scheme
                    && origin.host.ends_with(suffix)
                    && port.as_ref().is_none_or(|port| *port == origin.port)
            }
        }
    }
}

/// The calls that get trace headers.
#[derive(Debug)]
pub struct Targets {
    /// `None`: all calls, except calls to known hosts of models.
    named: Option<Vec<Target>>,
    /// Origin and path of the API of Opik, whose calls never get any.
    api: (Origin, String),
}

impl Targets {
    /// Reads origins that are separated by commas. An origin that can't be read is the error.
    pub fn read(list: Option<&str>, api: &str) -> Result<Self, String> {
        let entries = list.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let named =
            entries.map(|entry| Target::read(entry).ok_or_else(|| entry.to_owned())).collect::<Result<Vec<_>, _>>()?;
        let (scheme, rest) = api.split_once("://").unwrap_or(("", api));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        Ok(Self { named: (!named.is_empty()).then_some(named), api: (Origin::of(scheme, authority), path.into()) })
    }

    /// No call gets headers.
    pub fn none() -> Self {
        Self { named: Some(Vec::new()), api: (Origin::of("", ""), String::new()) }
    }

    /// `true` if a call of this URL gets headers. `is_model`: its host is known to belong to a model.
    pub fn have(&self, scheme: &str, authority: &str, path: &str, is_model: bool) -> bool {
        let origin = Origin::of(scheme, authority);
        let (api, base) = &self.api;
        let is_api = origin == *api
            && path.strip_prefix(base.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        !is_api && self.named.as_ref().map_or(!is_model, |named| named.iter().any(|target| target.matches(&origin)))
    }
}

#[cfg(test)]
mod tests {
    use super::Targets;

    const API: &str = "https://opik.example/opik/api";

    fn have(list: Option<&str>, url: &str, is_model: bool) -> bool {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Targets::read(list, API).is_ok_and(|targets| targets.have(scheme, authority, path, is_model))
    }

    #[test]
    fn all_calls_but_those_of_models_and_of_opik_get_headers() {
        assert!(have(None, "http://127.0.0.1:8080/x", false));
        assert!(!have(None, "https://api.openai.com/v1/chat/completions", true));
        assert!(have(None, "https://opik.example/other", false));
        assert!(have(None, "https://opik.example/opik/apis", false));
        for url in [
            "https://opik.example/opik/api",
            "https://opik.example:443/opik/api/v1/private/spans/batch",
            "https://OPIK.example/opik/api/x",
        ] {
            assert!(!have(None, url, false), "{url}");
            assert!(!have(Some("https://opik.example"), url, false), "{url}");
        }
    }

    #[test]
    fn a_list_names_all_that_get_headers() {
        let table = [
            ("https://a.example", "https://a.example/x", true),
            ("https://a.example/", "https://A.example:443/x", true),
            ("https://a.example", "http://a.example/x", false),
            ("https://a.example", "https://a.example:8443/x", false),
            ("https://a.example", "https://b.a.example/x", false),
            ("https://a.example", "https://a.example.evil.test/x", false),
            ("https://a.example", "https://a.example@evil.test/x", false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("http://[::1]:8080", "http://[::1]:8080/", true),
            ("http://[::1]", "http://[::1]:8080/", false),
            ("*.a.example", "https://b.a.example:8443/x", true),
            ("*.a.example", "https://a.example/x", false),
            ("*.a.example", "https://eva.example/x", false),
            ("*.a.example", "http://b.a.example/x", false),
            ("http://*.a.example", "http://c.b.a.example/x", true),
            ("https://*.a.example:8443", "https://b.a.example/x", false),
            ("https://x.example, https://a.example", "https://a.example/x", true),
        ];
        for (list, url, expected) in table {
            assert_eq!(have(Some(list), url, false), expected, "{list} {url}");
            assert_eq!(have(Some(list), url, true), expected, "a model that is named: {list} {url}");
        }
    }

    #[test]
    fn a_target_is_an_origin() {
        let wrong = [
            "a.example",
            "https://",
            "ftp://a.example",
            "https://a.example/path",
            "*",
            "https://*",
            "*example",
            "https://*.1.2.3.4",
            "https://a.example?x",
            "a b",
        ];
        for list in wrong {
            assert_eq!(Targets::read(Some(list), API).err().as_deref(), Some(list));
        }
    }
}
