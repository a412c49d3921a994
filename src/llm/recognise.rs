//! A request's method and URL → whether it calls a model, in which format, and whose. The path tells the format, the host
//! the provider by the name that Opik prices. Next: [`super::request`].

use alloc::string::String;
use alloc::vec::Vec;

use super::value::{Names, Write, cut, cut_last, is_in, names, position, without_query};

/// The format of a call and its answer on the wire.
///
/// ```
/// use opik_edge::llm::{Format, recognise};
///
/// let target = recognise("POST", "https://api.anthropic.com/v1/messages", &[]);
/// assert_eq!(target.map(|target| target.format), Some(Format::Anthropic));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// OpenAI's chat completions and compatible APIs.
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
    /// Workers AI: its own format, or the format of the model's maker.
    WorkersAi,
    /// Several calls, of which Cloudflare's AI Gateway makes the first that succeeds.
    Universal,
}

impl Format {
    /// The operation, as OpenTelemetry names it (`gen_ai.operation.name`).
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::OpenAiCompletions => "text_completion",
            Self::OpenAiEmbeddings | Self::GeminiEmbeddings => "embeddings",
            Self::Gemini => "generate_content",
            _ => "chat",
        }
    }
}

/// The ends of paths: whole segments, or, with a colon, the part behind a model's name. The first match decides.
const SUFFIXES: &[u8] = names!(
    "/chat/completions /fim/completions /completions /responses /v1/messages :generateContent :streamGenerateContent :embedContent :batchEmbedContents :rawPredict :streamRawPredict /converse /converse-stream /invoke /invoke-with-response-stream /api/chat /api/generate /api/embed /api/embeddings /embeddings"
);
/// The format of each end above.
const FORMATS: [Format; 20] = [
    Format::OpenAiChat,
    Format::OpenAiChat,
    Format::OpenAiCompletions,
    Format::OpenAiResponses,
    Format::Anthropic,
    Format::Gemini,
    Format::Gemini,
    Format::GeminiEmbeddings,
    Format::GeminiEmbeddings,
    Format::Anthropic,
    Format::Anthropic,
    Format::BedrockConverse,
    Format::BedrockConverse,
    Format::BedrockInvoke,
    Format::BedrockInvoke,
    Format::Ollama,
    Format::Ollama,
    Format::Ollama,
    Format::Ollama,
    Format::OpenAiEmbeddings,
];

/// The hosts of providers, each before its name in Opik. An entry that begins with `.` or `-` is the end of a host; an
/// entry that ends with `.` is the beginning of a host.
const HOSTS: &[u8] = names!(
    "api.openai.com openai \
    .api.openai.com openai \
    .openai.azure.com azure \
    .cognitiveservices.azure.com azure \
    .services.ai.azure.com azure \
    api.anthropic.com anthropic \
    generativelanguage.googleapis.com google_ai \
    aiplatform.googleapis.com google_vertexai \
    -aiplatform.googleapis.com google_vertexai \
    api.groq.com groq \
    api.mistral.ai mistral \
    codestral.mistral.ai mistral \
    api.deepseek.com deepseek \
    api.x.ai xai \
    api.perplexity.ai perplexity \
    api.fireworks.ai fireworks_ai \
    api.moonshot.ai moonshot \
    api.sambanova.ai sambanova \
    openrouter.ai openrouter \
    api.cerebras.ai cerebras \
    api.together.xyz together \
    api.cohere.com cohere \
    ollama.com ollama \
    bedrock-runtime. bedrock \
    bedrock-runtime-fips. bedrock"
);

/// Names of providers in Cloudflare's AI Gateway, each before its name in Opik.
const SLUGS: &[u8] = names!(
    "openai openai \
    anthropic anthropic \
    google-ai-studio google_ai \
    google-vertex-ai google_vertexai \
    azure-openai azure \
    aws-bedrock bedrock \
    grok xai \
    groq groq \
    mistral mistral \
    deepseek deepseek \
    perplexity-ai perplexity \
    fireworks fireworks_ai \
    workers-ai cloudflare \
    openrouter openrouter \
    cerebras cerebras \
    cohere cohere"
);

/// The path suffixes of all formats, for a cheap test. A call is not one of a model if its path has none of these
/// suffixes, the user did not name its host, and it does not go to a gateway. Suffixes that begin with `:` end a
/// segment.
///
/// ```
/// # use opik_edge::llm::path_suffixes;
/// assert!(path_suffixes().any(|suffix| suffix == "/chat/completions"));
/// ```
pub fn path_suffixes() -> impl Iterator<Item = &'static str> {
    Names(SUFFIXES).filter_map(|suffix| core::str::from_utf8(suffix).ok())
}

/// Parts of a path that indicate Workers AI or an AI Gateway, at any position.
pub const PATH_PARTS: [&str; 2] = ["/ai/run", "/workers-ai/"];

/// The host of Cloudflare's AI Gateway, all of whose calls are asked about.
pub const GATEWAY_HOST: &str = "gateway.ai.cloudflare.com";

/// A call of a model, as far as its URL tells.
///
/// ```
/// use opik_edge::llm::recognise;
///
/// let target = recognise("POST", "https://api.openai.com/v1/responses", &[]).ok_or("a model")?;
/// assert_eq!(target.provider, "openai");
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The format of the call and its answer.
    pub format: Format,
    /// The provider by Opik's name; the host if Opik has no name for it; empty if only the model can tell.
    pub provider: String,
    /// The model, where the URL names it.
    pub model: String,
    /// Whether the host is of the table, a gateway, or named by the user. Of any other the body has to fit too.
    pub is_known: bool,
    /// `true` if the model's name begins with the provider's.
    pub(super) is_prefixed: bool,
    /// `true` if the call's body is `{model, input}`.
    pub(super) is_wrapped: bool,
    /// `true` if the path says that the answer is a stream.
    pub(super) is_streaming: bool,
}

impl Target {
    /// The target of a Workers AI binding's `run(model, …)`.
    ///
    /// ```
    /// # use opik_edge::llm::{Format, Target};
    /// assert_eq!(Target::of_binding("@cf/meta/llama-3.2-1b-instruct").format, Format::WorkersAi);
    /// ```
    #[must_use]
    pub fn of_binding(model: &str) -> Self {
        Self::of_model(model.as_bytes())
    }

    pub(super) fn of_model(model: &[u8]) -> Self {
        let mut target = Self::new();
        target.workers_ai(string(model));
        target
    }

    fn new() -> Self {
        Self {
            format: Format::Universal,
            provider: String::new(),
            model: String::new(),
            is_known: true,
            is_prefixed: false,
            is_wrapped: false,
            is_streaming: false,
        }
    }

    /// The target of one call of a universal request: a provider's slug and a path at it.
    pub(super) fn of_slug(slug: &[u8], endpoint: &[u8]) -> Option<Self> {
        let mut target = Self::new();
        target.at_provider(slug, &normal(endpoint)).then_some(target)
    }

    /// The target of a POST to a URL; `named` returns the provider that the user gave a host.
    #[inline(never)]
    pub(super) fn of_url<'a>(url: &[u8], named: &mut dyn FnMut(&[u8]) -> Option<&'a [u8]>) -> Option<Self> {
        let rest = url.strip_prefix(b"https://").or(url.strip_prefix(b"http://"))?;
        let (authority, path) = cut(rest, b"/?#");
        let path = normal(path);
        let authority = cut_last(authority, b'@').0.to_ascii_lowercase();
        // The address of an IPv6 host contains colons, in brackets.
        let bracket = authority.iter().position(|&byte| byte == b']').unwrap_or(0);
        let (_, port) = cut(authority.get(bracket..).unwrap_or_default(), b":");
        let host = authority.strip_suffix(port).unwrap_or_default();
        let user = named(&authority).or_else(|| named(host));
        let mut target = Self::new();
        let is_found = match position(names!("gateway.ai.cloudflare.com api.cloudflare.com"), host) {
            0 => target.at_gateway(&path),
            1 => target.at_cloudflare(&path),
            _ => {
                let known = || pairs(HOSTS).find(|(pattern, _)| fits(host, pattern)).map(|(_, name)| name);
                let provider = user.or_else(known);
                // A provider's own host may have paths that begin like a gateway's.
                let (slug, rest) = first(&path);
                if provider.is_none() && target.at_provider(slug, rest) {
                    // A path without a model could belong to any application.
                    target.is_known = target.format == Format::WorkersAi && !target.model.is_empty();
                    true
                } else {
                    let is_ollama = port == b":11434" || provider == Some(b"ollama");
                    target.is_known = provider.is_some();
                    target.by_path(&path, provider.unwrap_or(host), is_ollama)
                }
            }
        };
        if let Some(user) = user {
            target.provider = decoded(user);
        }
        is_found.then_some(target)
    }

    /// Finds the format by the end of the path.
    #[inline(never)]
    fn by_path(&mut self, path: &[u8], provider: &[u8], is_ollama: bool) -> bool {
        let is_anthropic = has(path, b"/anthropic/");
        for (suffix, format) in Names(SUFFIXES).zip(FORMATS) {
            let Some(before) = path.strip_suffix(suffix) else { continue };
            let is_named = suffix.starts_with(b":");
            let is_bedrock = matches!(format, Format::BedrockConverse | Format::BedrockInvoke);
            let (model, place) = cut_last(before, b'/');
            let is_fit = match format {
                // Many applications have this path too.
                Format::Ollama => is_ollama || self.is_known,
                _ if is_bedrock => cut_last(place, b'/').0 == b"model",
                _ => !is_named || (!model.is_empty() && (format != Format::Anthropic || is_anthropic)),
            };
            if !is_fit {
                continue;
            }
            self.format = format;
            self.provider = decoded(match provider {
                _ if is_ollama && !self.is_known => b"ollama",
                provider if is_named && is_anthropic && provider == b"google_vertexai" => b"anthropic_vertexai",
                provider => provider,
            });
            self.is_known |= format == Format::Ollama;
            self.is_streaming = has(suffix, b"tream");
            if is_named || is_bedrock {
                self.model = decoded(if is_named { cut(model, b":").0 } else { model });
            }
            return true;
        }
        false
    }

    /// Reads a path at `gateway.ai.cloudflare.com/v1/{account}/{gateway}`.
    fn at_gateway(&mut self, path: &[u8]) -> bool {
        let (name, rest) = behind(path, 3);
        let (slug, inner) = first(rest);
        if name.is_empty() || !path.starts_with(b"/v1/") {
            return false;
        }
        // The path of a universal request ends with the gateway's name.
        if slug == b"run" && inner.is_empty() {
            return self.wrapped();
        }
        slug.is_empty() || self.at_provider(slug, inner)
    }

    /// Reads the path behind the name of a provider in a gateway's path.
    #[inline(never)]
    fn at_provider(&mut self, slug: &[u8], rest: &[u8]) -> bool {
        self.is_prefixed = slug == b"compat";
        if slug == b"workers-ai" && !rest.starts_with(b"/v1/") {
            let path = rest.strip_prefix(b"/run").unwrap_or(rest);
            return self.workers_ai(decoded(path.get(1..).unwrap_or_default()));
        }
        let provider = if self.is_prefixed { Some(b"".as_slice()) } else { provider_of(slug) };
        provider.is_some_and(|provider| self.by_path(rest, provider, false))
    }

    /// Reads a path at `api.cloudflare.com/client/v4/accounts/{account}/ai`.
    fn at_cloudflare(&mut self, path: &[u8]) -> bool {
        let (name, rest) = behind(path, 6);
        if !path.starts_with(b"/client/v4/accounts/") || behind(path, 5).0 != b"ai" {
            return false;
        }
        if name == b"run" {
            return if rest.is_empty() {
                self.wrapped()
            } else {
                self.workers_ai(decoded(rest.get(1..).unwrap_or_default()))
            };
        }
        self.is_prefixed = true;
        name == b"v1" && self.by_path(path, b"cloudflare", false)
    }

    /// A call whose body names the model and has the model's own body in it.
    fn wrapped(&mut self) -> bool {
        self.format = Format::WorkersAi;
        self.is_wrapped = true;
        true
    }

    /// A call of a model by Workers AI.
    #[inline(never)]
    pub(super) fn workers_ai(&mut self, model: String) -> bool {
        self.format = Format::WorkersAi;
        self.provider = decoded(author(model.as_bytes()));
        self.model = model;
        !self.model.is_empty()
    }
}

/// The target of a call; `None` if it does not call a model. `named` lists hosts, with their port if they have a port,
/// and the provider of each.
///
/// ```
/// use opik_edge::llm::recognise;
///
/// assert!(recognise("POST", "https://api.openai.com/v1/chat/completions", &[]).is_some());
/// assert!(recognise("GET", "https://api.openai.com/v1/models", &[]).is_none());
///
/// let target = recognise("POST", "https://llm.internal/v1/chat/completions", &[("llm.internal", "openai")]);
/// assert_eq!(target.map(|target| target.provider).as_deref(), Some("openai"));
/// ```
#[must_use]
pub fn recognise(method: &str, url: &str, named: &[(&str, &str)]) -> Option<Target> {
    let provider = &mut |host: &[u8]| {
        named.iter().find(|(name, _)| name.as_bytes() == host).map(|(_, provider)| provider.as_bytes())
    };
    if method.eq_ignore_ascii_case("POST") { Target::of_url(url.as_bytes(), provider) } else { None }
}

/// A path without its query and without empty segments; unless it is empty, it begins with a slash.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = without_query(path);
    while !rest.is_empty() {
        let (segment, behind) = cut(rest, b"/");
        if !segment.is_empty() {
            out.put_byte(b'/');
            out.put(segment);
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    out
}

#[inline(never)]
fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The first segment of a path, and the rest.
fn first(path: &[u8]) -> (&[u8], &[u8]) {
    cut(path.get(1..).unwrap_or_default(), b"/")
}

/// The rest behind the first segments of a path, and the last of these segments.
fn behind(path: &[u8], segments: usize) -> (&[u8], &[u8]) {
    (0..segments).fold((b"".as_slice(), path), |(_, path), _| first(path))
}

/// A table's names two by two.
pub(super) fn pairs(table: &'static [u8]) -> impl Iterator<Item = (&'static [u8], &'static [u8])> {
    let mut names = Names(table);
    core::iter::from_fn(move || Some((names.next()?, names.next()?)))
}

fn fits(host: &[u8], pattern: &[u8]) -> bool {
    match pattern {
        [b'.' | b'-', ..] => host.len() > pattern.len() && host.ends_with(pattern),
        [.., b'.'] => {
            host.starts_with(pattern) && (host.ends_with(b".amazonaws.com") || host.ends_with(b".amazonaws.com.cn"))
        }
        _ => host == pattern,
    }
}

/// The provider of a gateway's slug.
fn provider_of(slug: &[u8]) -> Option<&[u8]> {
    let known = pairs(SLUGS).find(|(name, _)| *name == slug);
    known.map_or_else(|| slug.strip_prefix(b"custom-"), |(_, provider)| Some(provider))
}

/// Names of providers in OpenTelemetry, each before its name in Opik, where these differ.
pub(super) const OTEL_NAMES: &[u8] = names!(
    "aws.bedrock bedrock \
    azure.ai.openai azure \
    gcp.gemini google_ai \
    gcp.vertex_ai google_vertexai \
    mistral_ai mistral \
    x_ai xai"
);

/// Names of providers in the AI SDK, each before its name in Opik, where this is neither the same nor one of a gateway's; and
/// other names of OpenTelemetry. Names that stand for several providers are kept, so that nothing is priced wrongly.
const SDK_NAMES: &[u8] = names!(
    "azure.ai.inference azure.ai.inference \
    az.ai.inference azure.ai.inference \
    az.ai.openai azure \
    gcp.gen_ai google_ai \
    ibm.watsonx.ai ibm.watsonx.ai \
    vertex_ai google_vertexai \
    google google_ai \
    amazon-bedrock bedrock \
    bedrock-mantle bedrock \
    workersai cloudflare \
    togetherai together \
    moonshotai moonshot"
);

/// The provider by its name in an SDK: `openai.chat`, `google.vertex.chat`, `googleVertex.anthropic.messages`, `gcp.gemini`.
pub(super) fn provider_in_sdk(name: &[u8]) -> &[u8] {
    let known = |name: &[u8]| {
        pairs(OTEL_NAMES).chain(pairs(SDK_NAMES)).find(|(known, _)| *known == name).map(|(_, provider)| provider)
    };
    if let Some(provider) = known(name) {
        return provider;
    }
    let (maker, product) = cut(name, b".");
    if is_in(names!("vertex googleVertex"), maker) || product.starts_with(b".vertex") {
        return if product.starts_with(b".anthropic") { b"anthropic_vertexai" } else { b"google_vertexai" };
    }
    known(maker).unwrap_or_else(|| provider_of(maker).unwrap_or(maker))
}

/// The provider of a model by the author that its name begins with: `@cf/…` and `@hf/…` are Cloudflare's.
pub(super) fn author(model: &[u8]) -> &[u8] {
    let (author, rest) = cut(model, b"/");
    match position(names!("@cf @hf google dynamic"), author) {
        _ if rest.is_empty() => b"",
        0 | 1 => b"cloudflare",
        2 => b"google_ai",
        // The gateway finds it by its own rules; only the answer tells.
        3 => b"",
        _ => provider_of(author).unwrap_or(author),
    }
}

/// Decodes percent encoding.
#[inline(never)]
pub(super) fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    while let [first, behind @ ..] = rest {
        rest = behind;
        if let (b'%', [high, low, behind @ ..]) = (first, behind)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            bytes.put(&((high << 4) | low).to_le_bytes()[..1]);
            rest = behind;
        } else {
            bytes.put_byte(*first);
        }
    }
    string(&bytes)
}

/// A text as a string. Bytes outside of characters are left out. The standard library's check is larger than this.
pub(super) fn string(text: &[u8]) -> String {
    let mut out = String::new();
    let (mut code, mut missing) = (0_u32, 0_u8);
    for &byte in text {
        let bits = u32::from(byte);
        (code, missing) = match byte {
            ..0x80 => (bits, 0),
            0x80..0xc0 => ((code << 6) | (bits & 0x3f), missing.wrapping_sub(1)),
            0xc0..0xe0 => (bits & 0x1f, 1),
            0xe0..0xf0 => (bits & 0xf, 2),
            _ => (bits & 7, 3),
        };
        if missing == 0 {
            out.extend(char::from_u32(code));
        }
    }
    out
}
