//! A provider's usage → Opik's: `prompt_tokens`, `completion_tokens`, `total_tokens`, and every whole number of the
//! original under `original_usage.`, by the names that Opik's price calculators read. Its member names identify the
//! shape, so usage that has gone through a gateway or an SDK is read as well.

use alloc::vec::Vec;

use crate::json::{int32, write_number};

use super::value::{Names, Value, Write, names, position, write_name};

/// Entries that are kept. Opik's own have about twenty.
const MAX_COUNTS: usize = 100;
/// The longest name that is kept.
const MAX_NAME_BYTES: usize = 96;

/// The names of providers' counters for prompt tokens and for completion tokens. The first name of each is in every
/// usage of that shape, and the others are added.
const SHAPES: [[&[u8]; 2]; 6] = [
    [names!("promptTokenCount toolUsePromptTokenCount"), names!("candidatesTokenCount thoughtsTokenCount")],
    [names!("prompt_tokens"), names!("completion_tokens")],
    [names!("inputTokens cacheReadInputTokens cacheWriteInputTokens"), names!("outputTokens")],
    [names!("input_tokens cache_read_input_tokens cache_creation_input_tokens"), names!("output_tokens")],
    [names!("prompt_eval_count"), names!("eval_count")],
    [names!("inputTokenCount"), names!("outputTokenCount")],
];
const GEMINI: usize = 0;
const ANTHROPIC: usize = 3;

/// The whole numbers of a usage object by name, with dots between the names of nested objects.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// A cleared counter is `None` and keeps its name, so that its memory is used again.
    counts: Vec<(Vec<u8>, Option<i32>)>,
    /// The cost in US dollars, if the provider states it; a JSON number.
    cost: Vec<u8>,
}

impl Counts {
    /// `true` if there are no counts.
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|(_, count)| count.is_none())
    }

    /// The cost in US dollars that stands in the usage (OpenRouter), as a JSON number; empty where none does.
    pub fn cost(&self) -> &[u8] {
        &self.cost
    }

    pub fn clear(&mut self) {
        self.cost.clear();
        self.counts.iter_mut().for_each(|(_, count)| *count = None);
    }

    /// Overwrites the counters that `usage` has, and keeps the others.
    #[inline(never)]
    pub fn merge(&mut self, usage: Value<'_>) {
        self.flatten(usage, &mut Vec::new());
        let cost = usage.member("cost").text();
        if matches!(cost, [b'0'..=b'9', ..]) && cost.len() <= 32 && !usage.member("is_byok").is_true() {
            self.cost.clear();
            self.cost.put(cost);
        }
        // Where Anthropic compacts a conversation within a call, the counters beside these are of the last one only.
        let iterations = usage.member("iterations");
        if iterations.is_array() {
            for names in SHAPES[ANTHROPIC] {
                Names(names).for_each(|name| self.sum_up(name, iterations));
            }
        }
    }

    fn sum_up(&mut self, name: &[u8], iterations: Value<'_>) {
        let mut sum = None::<i32>;
        for iteration in iterations.elements() {
            if let Some(count) = int32(iteration.get(name).text()) {
                sum = Some(sum.unwrap_or(0).saturating_add(count));
            }
        }
        if let Some(sum) = sum {
            self.set(name, sum);
        }
    }

    fn flatten(&mut self, object: Value<'_>, path: &mut Vec<u8>) {
        for (name, value) in object.members() {
            let length = path.len();
            path.put(name);
            if value.is_object() {
                path.put_byte(b'.');
                self.flatten(value, path);
            } else if let Some(count) = int32(value.text()) {
                self.set(path, count);
            }
            path.truncate(length);
        }
    }

    /// Takes one counter.
    pub fn count(&mut self, name: &[u8], value: Value<'_>) {
        if let Some(count) = int32(value.text()) {
            self.set(name, count);
        }
    }

    #[inline(never)]
    fn set(&mut self, name: &[u8], count: i32) {
        if let Some((_, old)) = self.counts.iter_mut().find(|(known, _)| known == name) {
            *old = Some(count);
        } else if self.counts.len() < MAX_COUNTS && name.len() <= MAX_NAME_BYTES {
            self.counts.push((name.to_vec(), Some(count)));
        }
    }

    #[inline(never)]
    fn get(&self, name: &[u8]) -> Option<u64> {
        let (_, count) = self.counts.iter().find(|(known, _)| known == name)?;
        u64::try_from((*count)?).ok()
    }

    /// The sum of those that are there; `None` where the first one is not.
    fn sum(&self, names: &'static [u8]) -> Option<u64> {
        let mut names = Names(names);
        let first = self.get(names.next()?)?;
        Some(names.filter_map(|name| self.get(name)).fold(first, u64::saturating_add))
    }

    /// Appends Opik's usage map for a call of this provider, whose format may say that it has no completion. Nothing
    /// where there are no counters.
    pub fn write(&self, out: &mut Vec<u8>, provider: &[u8], is_embedding: bool) {
        if self.is_empty() {
            return;
        }
        let get = |name: &str| self.get(name.as_bytes());
        let (is_gemini, prompt, completion, total) = self.totals(is_embedding);
        let mut bare = Bare(out);
        bare.0.put_byte(b'{');
        bare.write(b"prompt_tokens", prompt);
        bare.write(b"completion_tokens", completion);
        bare.write(b"total_tokens", total);
        // Counted among the others by their providers, and shown by Opik under this name only.
        let thoughts = get("thoughtsTokenCount")
            .or(get("output_tokens_details.thinking_tokens"))
            .or(get("outputTokenDetails.reasoningTokens"))
            .or(get("reasoning.output_tokens"))
            .or(get("reasoningTokens"));
        bare.write(b"reasoning_tokens", thoughts);
        let cached = get("prompt_tokens_details.cached_tokens").or(get("input_tokens_details.cached_tokens"));
        // Counts of the AI SDK and of OpenTelemetry, which include cached tokens as OpenAI's do.
        let cached_in_sdk =
            get("inputTokenDetails.cacheReadTokens").or(get("cachedInputTokens")).or(get("cache_read.input_tokens"));
        let is_openai_shaped =
            get("prompt_tokens").or(get("input_tokens_details.cached_tokens")).or(cached_in_sdk).is_some();
        let mut has_input = false;
        let kind = position(names!("google_ai google_vertexai anthropic anthropic_vertexai"), provider);
        match kind {
            // Their calculators look for cached tokens under their own names.
            at @ 0..=3 if is_openai_shaped => {
                let cached = cached.or(cached_in_sdk);
                bare.write(b"cache_read_input_tokens", cached);
                let input = cached.and_then(|cached| Some(prompt?.saturating_sub(cached)));
                has_input = at >= 2 && input.is_some();
                bare.write(b"original_usage.input_tokens", if has_input { input } else { None });
            }
            _ if cached.is_none() => {
                bare.write(b"cache_read_input_tokens", get("prompt_cache_hit_tokens").or(cached_in_sdk));
            }
            _ => {}
        }
        for (name, count) in &self.counts {
            let Some(count) = count else { continue };
            if has_input && name == b"input_tokens" {
                continue;
            }
            write_name(out, b"original_usage.");
            // The name goes on behind the dot.
            out.truncate(out.len().saturating_sub(2));
            write_counter_name(out, name, is_gemini);
            out.put(b"\":");
            if *count < 0 {
                out.put_byte(b'-');
            }
            write_number(out, u64::from(count.unsigned_abs()));
        }
        out.put_byte(b'}');
    }

    /// Whether they are Google's, and the tokens of the prompt, of the completion and of both.
    fn totals(&self, is_embedding: bool) -> (bool, Option<u64>, Option<u64>, Option<u64>) {
        let add = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        let first = |names: &'static [u8]| Names(names).next().and_then(|name| self.get(name));
        let is_it = |[prompt, completion]: &[&'static [u8]; 2]| first(prompt).or(first(completion)).is_some();
        let shape = SHAPES.iter().position(is_it);
        let google_total = self.get(b"totalTokenCount");
        let is_gemini = shape == Some(GEMINI) || google_total.is_some();
        let [prompts, completions] = *shape.and_then(|at| SHAPES.get(at)).unwrap_or(&SHAPES[GEMINI]);
        let prompt = self.sum(prompts);
        let mut completion = self.sum(completions);
        if is_gemini {
            let candidates = first(completions).unwrap_or(0);
            // Where the total says that thoughts are among the candidates, they are not added.
            let is_included = google_total.is_some() && google_total == add(prompt, Some(candidates));
            let thoughts = if is_included { None } else { self.get(b"thoughtsTokenCount") };
            completion = Some(candidates.saturating_add(thoughts.unwrap_or(0)));
        } else if is_embedding {
            completion = completion.or(Some(0));
        }
        // Bedrock's total leaves out cached tokens.
        let stated = google_total.or(self.get(b"total_tokens"));
        (is_gemini, prompt, completion, stated.or(add(prompt, completion)))
    }
}

/// Writes entries outside of `original_usage`.
struct Bare<'a>(&'a mut Vec<u8>);

impl Bare<'_> {
    fn write(&mut self, name: &[u8], count: Option<u64>) {
        let Some(count) = count.filter(|count| i32::try_from(*count).is_ok()) else { return };
        write_name(self.0, name);
        write_number(self.0, count);
    }
}

/// Google's counters are `camelCase` on the wire, and `snake_case` where Opik reads them.
fn write_counter_name(out: &mut Vec<u8>, name: &[u8], is_gemini: bool) {
    for &byte in name {
        if is_gemini && byte.is_ascii_uppercase() {
            out.put_byte(b'_');
        }
        out.push(if is_gemini { byte.to_ascii_lowercase() } else { byte });
    }
}
