//! The parts that the crate leaves to the platform: the clock, random bytes, settings, and the delivery.

use std::time::Duration;

use opik_edge::headers::Incoming;
use opik_edge::record::{Random, Recorder, Span};
use opik_edge::upload::{Attempt, Upload, Verdict, request_headers, verdict};
use worker::js_sys::Uint8Array;
use worker::{
    Date, Delay, Env, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response, Result, console_warn,
};

/// A Worker has 30 s after its response.
const DEADLINE_MS: u64 = 28_000;

/// Milliseconds since 1970.
pub fn now() -> u64 {
    Date::now().as_millis()
}

/// Random bytes for one id.
pub fn random() -> Random {
    let mut bytes = Random::default();
    getrandom::fill(&mut bytes).expect("a Worker has random bytes while it handles a request");
    bytes
}

/// Where traces go, from the same variables as everywhere.
pub struct Opik {
    url: String,
    api_key: String,
    workspace: String,
    project_name: String,
}

impl Opik {
    pub fn from_env(env: &Env) -> Self {
        let get = |name, default: &str| env.var(name).map_or_else(|_| default.to_owned(), |value| value.to_string());
        Self {
            url: get("OPIK_URL_OVERRIDE", "https://www.comet.com/opik/api").trim_end_matches('/').to_owned(),
            api_key: get("OPIK_API_KEY", ""),
            workspace: get("OPIK_WORKSPACE", "default"),
            project_name: get("OPIK_PROJECT_NAME", "Default Project"),
        }
    }

    /// Begins the recording of a request, under its caller's span if the headers name a span.
    pub fn open(&self, request: &Request) -> (Recorder, Span) {
        let headers: Vec<(String, String)> = request.headers().entries().collect();
        let incoming = Incoming::from_pairs(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let name = format!("{} {}", request.method().as_ref(), request.path());
        let (mut recorder, root) = Recorder::open(&incoming, &name, now(), [random(), random()]);
        recorder.project_name(&self.project_name);
        if let Some(warning) = recorder.warning() {
            console_warn!("trace headers: {}", warning.code());
        }
        (recorder, root)
    }

    /// Sends the recorded rows. Logs the rows that cannot be delivered, and never fails.
    pub async fn deliver(self, mut recorder: Recorder) {
        let deadline_ms = now() + DEADLINE_MS;
        // The next one is the last. Traces go first.
        let mut uploads: Vec<Upload> = std::iter::from_fn(|| recorder.take()).collect();
        uploads.reverse();
        let mut attempts = 0;
        while let Some(upload) = uploads.pop() {
            attempts += 1;
            match self.send(&upload, attempts, deadline_ms).await {
                Verdict::Retry { after_ms, .. } => {
                    Delay::from(Duration::from_millis(after_ms)).await;
                    uploads.push(upload);
                    continue;
                }
                Verdict::Sent => {}
                // One bad row is refused with all others: in halves, until it is found.
                Verdict::Split(_) => {
                    uploads.extend(upload.halves().into_iter().flat_map(|(first, second)| [second, first]))
                }
                Verdict::Drop(reason) => console_warn!("Opik refused {} rows: {}", upload.rows(), reason.code()),
                stopped => {
                    let rows: u32 = uploads.iter().chain([&upload]).map(Upload::rows).sum();
                    console_warn!("{rows} rows were not delivered to Opik: {stopped:?}");
                    return;
                }
            }
            attempts = 0;
        }
    }

    async fn send(&self, upload: &Upload, number: u32, deadline_ms: u64) -> Verdict {
        let (status, headers) = match self.post(upload).await {
            Ok(response) => (response.status_code(), response.headers().entries().collect()),
            Err(_) => (0, Vec::new()),
        };
        let [a, b, c, d, ..] = random();
        let attempt = Attempt {
            number,
            rows: upload.rows(),
            is_compressed: false,
            now_ms: now(),
            deadline_ms,
            random: u32::from_be_bytes([a, b, c, d]),
        };
        verdict(status, headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), &attempt)
    }

    async fn post(&self, upload: &Upload) -> Result<Response> {
        let headers = Headers::new();
        for (name, value) in request_headers(self.api_key.as_bytes(), self.workspace.as_bytes(), false) {
            headers.set(name, &String::from_utf8_lossy(value))?;
        }
        let mut init = RequestInit::new();
        init.with_method(Method::Post)
            .with_headers(headers)
            .with_body(Some(Uint8Array::from(upload.body()).into()))
            // The key would travel with it.
            .with_redirect(RequestRedirect::Manual);
        let request = Request::new_with_init(&format!("{}{}", self.url, upload.path()), &init)?;
        Fetch::Request(request).send().await
    }
}
