//! A request's method and URL → whether it calls a model, in which format, and whose. The path tells the format, the host
//! the provider by the name that Opik prices. Next: [`super::request`].

use alloc::string::String;
use alloc::vec::Vec;

/// What a call and its answer look like on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// OpenAI's chat completions, and what is compatible with them.
    OpenAiChat,
    /// OpenAI's older completions, of a prompt.
    OpenAiCompletions,
    /// OpenAI's responses.
    OpenAiResponses,
    /// OpenAI's embeddings.
    OpenAiEmbeddings,
    /// Anthropic's messages.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
    /// Google's embeddings.
    GeminiEmbeddings,
    /// AWS Bedrock's `converse`.
    BedrockConverse,
    /// AWS Bedrock's `invoke`.
    BedrockInvoke,
    /// Ollama's own.
    Ollama,
    /// Workers AI: its own, or that of the model's maker.
    WorkersAi,
    /// Several calls, of which Cloudflare's AI Gateway makes the first that succeeds.
    Universal,
}

impl Format {
    /// What is done, as OpenTelemetry calls it (`gen_ai.operation.name`).
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::OpenAiCompletions => "text_completion",
            Self::OpenAiEmbeddings | Self::GeminiEmbeddings => "embeddings",
            Self::Gemini => "generate_content",
            _ => "chat",
        }
    }
}

/// What calls a path that ends so.
struct Suffix {
    /// The last segments; of one that has a `:` in it only what is behind that. A `*` is any segment.
    path: &'static str,
    format: Format,
}

const fn suffix(path: &'static str, format: Format) -> Suffix {
    Suffix { path, format }
}

/// The first that fits decides.
const SUFFIXES: &[Suffix] = &[
    suffix("/chat/completions", Format::OpenAiChat),
    suffix("/fim/completions", Format::OpenAiChat),
    suffix("/completions", Format::OpenAiCompletions),
    suffix("/responses", Format::OpenAiResponses),
    suffix("/embeddings", Format::OpenAiEmbeddings),
    suffix("/v1/messages", Format::Anthropic),
    suffix(":generateContent", Format::Gemini),
    suffix(":streamGenerateContent", Format::Gemini),
    suffix(":embedContent", Format::GeminiEmbeddings),
    suffix(":batchEmbedContents", Format::GeminiEmbeddings),
    suffix(":rawPredict", Format::Anthropic),
    suffix(":streamRawPredict", Format::Anthropic),
    suffix("/converse", Format::BedrockConverse),
    suffix("/converse-stream", Format::BedrockConverse),
    suffix("/invoke", Format::BedrockInvoke),
    suffix("/invoke-with-response-stream", Format::BedrockInvoke),
    suffix("/api/chat", Format::Ollama),
    suffix("/api/generate", Format::Ollama),
    suffix("/api/embed", Format::Ollama),
    suffix("/api/embeddings", Format::Ollama),
];

/// The hosts of providers, and their names in Opik. One that begins with a `.` is the end of a host, one that ends with
/// a `.` its beginning.
const HOSTS: &[(&str, &str)] = &[
    ("api.openai.com", "openai"),
    ("eu.api.openai.com", "openai"),
    ("us.api.openai.com", "openai"),
    (".openai.azure.com", "azure"),
    (".cognitiveservices.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "google_ai"),
    ("aiplatform.googleapis.com", "google_vertexai"),
    ("-aiplatform.googleapis.com", "google_vertexai"),
    ("api.groq.com", "groq"),
    ("api.mistral.ai", "mistral"),
    ("codestral.mistral.ai", "mistral"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "xai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.fireworks.ai", "fireworks_ai"),
    ("api.moonshot.ai", "moonshot"),
    ("api.sambanova.ai", "sambanova"),
    ("openrouter.ai", "openrouter"),
    ("api.cerebras.ai", "cerebras"),
    ("api.together.xyz", "together"),
    ("api.cohere.com", "cohere"),
    ("ollama.com", "ollama"),
    ("bedrock-runtime.", "bedrock"),
];

/// Names of providers in Cloudflare's AI Gateway, and in Opik where they differ.
const SLUGS: &[(&str, &str)] = &[
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("google-ai-studio", "google_ai"),
    ("google-vertex-ai", "google_vertexai"),
    ("azure-openai", "azure"),
    ("aws-bedrock", "bedrock"),
    ("grok", "xai"),
    ("groq", "groq"),
    ("mistral", "mistral"),
    ("deepseek", "deepseek"),
    ("perplexity-ai", "perplexity"),
    ("fireworks", "fireworks_ai"),
    ("workers-ai", "cloudflare"),
    ("openrouter", "openrouter"),
    ("cerebras", "cerebras"),
    ("cohere", "cohere"),
];

/// The path suffixes of all formats, for a test that costs nothing: a call whose path has none of them, whose host
/// nobody named and that goes to no gateway calls no model that is known. Those that begin with `:` end a segment.
pub fn path_suffixes() -> impl Iterator<Item = &'static str> {
    SUFFIXES.iter().map(|suffix| suffix.path)
}

/// Parts of a path that tell of Workers AI or an AI Gateway, whatever is behind them.
pub const PATH_PARTS: [&str; 2] = ["/ai/run", "/workers-ai/"];

/// The host of Cloudflare's AI Gateway, all of whose calls are asked about.
pub const GATEWAY_HOST: &str = "gateway.ai.cloudflare.com";

/// A call of a model, as far as its URL tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// What it looks like.
    pub format: Format,
    /// Whose it is, by Opik's name; the host where Opik has none; empty where only the model can tell.
    pub provider: String,
    /// The model, where the URL names it.
    pub model: String,
    /// Whether the host is of the table, a gateway, or named by the user. Of any other the body has to fit too.
    pub is_known: bool,
    /// Whether the model's name begins with the provider's.
    pub(super) is_prefixed: bool,
    /// Whether the call's body is `{model, input}`.
    pub(super) is_wrapped: bool,
    /// Whether the path says that the answer comes in pieces.
    pub(super) is_streaming: bool,
}

impl Target {
    /// The target of a Workers AI binding's `run(model, …)`.
    #[must_use]
    pub fn of_binding(model: &str) -> Self {
        Self { model: String::from(model), ..Self::new(Format::WorkersAi, author(model), true) }
    }

    pub(super) fn new(format: Format, provider: &str, is_known: bool) -> Self {
        Self {
            format,
            provider: String::from(provider),
            model: String::new(),
            is_known,
            is_prefixed: false,
            is_wrapped: false,
            is_streaming: false,
        }
    }

    /// The target of one call of a universal request: a provider's slug and a path at it.
    #[must_use]
    pub(super) fn of_slug(slug: &str, endpoint: &str) -> Option<Self> {
        let path = endpoint.split(['?', '#']).next().unwrap_or_default();
        gateway(slug, &segments(path))
    }
}

/// What a call is; `None` where it is none of a model. `named` has hosts, with their port where they have one, that the
/// user has given a provider's name.
#[must_use]
pub fn recognise(method: &str, url: &str, named: &[(&str, &str)]) -> Option<Target> {
    if !method.eq_ignore_ascii_case("POST") {
        return None;
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at_checked(end)?;
    let path = behind.split(['?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let (host, port) = authority.split_once(':').unwrap_or((&authority, ""));
    let segments = segments(path);
    let user = named.iter().find(|(name, _)| *name == authority || *name == host).map(|(_, provider)| *provider);
    let found = if host == GATEWAY_HOST {
        match segments.as_slice() {
            ["v1", _, _] => Some(Target::new(Format::Universal, "", true)),
            ["v1", _, _, "run"] => Some(wrapped()),
            ["v1", _, _, slug, rest @ ..] => gateway(slug, rest),
            _ => None,
        }
    } else if host == "api.cloudflare.com" {
        cloudflare(&segments)
    } else {
        let provider = user.or_else(|| provider_of(host));
        // A provider's own host may have paths that begin like a gateway's.
        let at_gateway = if provider.is_some() { None } else { custom_gateway(&segments) };
        let is_ollama = port == "11434" || provider == Some("ollama");
        at_gateway.or_else(|| by_path(&segments, provider.unwrap_or(host), provider.is_some(), is_ollama))
    };
    found.map(|target| Target { provider: user.map_or(target.provider, String::from), ..target })
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// The name in Opik of a host's provider.
fn provider_of(host: &str) -> Option<&'static str> {
    let fits = |pattern: &str| {
        if pattern.starts_with(['.', '-']) {
            host.len() > pattern.len() && host.ends_with(pattern)
        } else if pattern.ends_with('.') {
            host.starts_with(pattern) && host.ends_with(".amazonaws.com")
        } else {
            host == pattern
        }
    };
    HOSTS.iter().find(|(pattern, _)| fits(pattern)).map(|(_, provider)| *provider)
}

/// By the end of its path.
fn by_path(segments: &[&str], provider: &str, is_known: bool, is_ollama: bool) -> Option<Target> {
    let [.., last] = segments else { return None };
    let ends_with = |suffix: &str| {
        if suffix.starts_with(':') {
            return last.len() > suffix.len() && last.ends_with(suffix);
        }
        let mut wanted = suffix.rsplit('/').filter(|segment| !segment.is_empty());
        let mut given = segments.iter().rev();
        wanted.all(|segment| given.next() == Some(&segment))
    };
    let is_fit = |suffix: &&Suffix| {
        ends_with(suffix.path)
            && match suffix.format {
                // Many applications have such a path of their own.
                Format::Ollama => is_ollama || is_known,
                Format::BedrockConverse | Format::BedrockInvoke => matches!(segments, [.., "model", _, _]),
                Format::Anthropic if suffix.path.starts_with(':') => segments.contains(&"anthropic"),
                _ => true,
            }
    };
    let suffix = SUFFIXES.iter().find(is_fit)?;
    let mut target = Target::new(suffix.format, provider, is_known || suffix.format == Format::Ollama);
    target.is_streaming = suffix.path.as_bytes().windows(5).any(|part| part == b"tream");
    if suffix.path.starts_with(':') {
        target.model = decoded(last.split(':').next().unwrap_or_default());
        if provider == "google_vertexai" && segments.contains(&"anthropic") {
            target.provider = String::from("anthropic_vertexai");
        }
    } else if let (Format::BedrockConverse | Format::BedrockInvoke, [.., model, _]) = (suffix.format, segments) {
        target.model = decoded(model);
    }
    if is_ollama && !is_known {
        target.provider = String::from("ollama");
    }
    Some(target)
}

/// What is behind `gateway.ai.cloudflare.com/v1/{account}/{gateway}/{slug}`.
fn gateway(slug: &str, rest: &[&str]) -> Option<Target> {
    if slug == "compat" {
        let mut target = by_path(rest, "", true, false)?;
        target.is_prefixed = true;
        return Some(target);
    }
    let provider = match SLUGS.iter().find(|(name, _)| *name == slug) {
        Some((_, provider)) => provider,
        None => slug.strip_prefix("custom-")?,
    };
    if slug == "workers-ai" {
        return Some(match rest {
            ["v1", ..] => by_path(rest, provider, true, false)?,
            ["run", model @ ..] | model => of_workers_ai(model)?,
        });
    }
    by_path(rest, provider, true, false)
}

/// A gateway at a host of its user's: its paths begin with a provider's name.
fn custom_gateway(segments: &[&str]) -> Option<Target> {
    let [slug, rest @ ..] = segments else { return None };
    let target = gateway(slug, rest)?;
    // What has no model in its path may be a path of anyone's.
    Some(Target { is_known: *slug == "workers-ai" && !target.model.is_empty(), ..target })
}

/// What is behind `api.cloudflare.com`.
fn cloudflare(segments: &[&str]) -> Option<Target> {
    match segments {
        ["client", "v4", "accounts", _, "ai", "run"] => Some(wrapped()),
        ["client", "v4", "accounts", _, "ai", "run", model @ ..] => of_workers_ai(model),
        ["client", "v4", "accounts", _, "ai", "v1", rest @ ..] => {
            let mut path = Vec::from(["v1"]);
            path.extend_from_slice(rest);
            let mut target = by_path(&path, "cloudflare", true, false)?;
            target.is_prefixed = true;
            Some(target)
        }
        _ => None,
    }
}

fn of_workers_ai(model: &[&str]) -> Option<Target> {
    let mut path = String::new();
    for segment in model {
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(segment);
    }
    let model = decoded(&path);
    (!model.is_empty()).then(|| Target::of_binding(&model))
}

/// A call whose body names the model and has the model's own body in it.
fn wrapped() -> Target {
    Target { is_wrapped: true, ..Target::new(Format::WorkersAi, "", true) }
}

/// The provider of a model by the author that its name begins with: `@cf/…` and `@hf/…` are Cloudflare's.
pub(super) fn author(model: &str) -> &str {
    let Some((first, _)) = model.split_once('/') else { return "" };
    match first {
        "@cf" | "@hf" => "cloudflare",
        "google" => "google_ai",
        // The gateway finds it by its own rules; only the answer tells.
        "dynamic" => "",
        _ => SLUGS
            .iter()
            .find(|(slug, _)| *slug == first)
            .map_or_else(|| first.strip_prefix("custom-").unwrap_or(first), |(_, provider)| provider),
    }
}

/// Without percent encoding, where that gives text.
fn decoded(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some((&first, behind)) = rest.split_first() {
        let byte = match behind {
            [high, low, ..] if first == b'%' => digit(*high).zip(digit(*low)).map(|(high, low)| (high << 4) | low),
            _ => None,
        };
        bytes.push(byte.unwrap_or(first));
        rest = behind.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8(bytes).unwrap_or_else(|_| String::from(segment))
}
