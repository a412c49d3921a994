//! A provider's usage → Opik's: `prompt_tokens`, `completion_tokens`, `total_tokens`, and every whole number of the
//! original under `original_usage.`, by the names that Opik's price calculators read. What shape it is in is told by its
//! names, so that usage which has gone through a gateway or an SDK is read as well.

use alloc::vec::Vec;

use crate::json::{self, int32, write_number};

use super::value::{Write, elements, is_array, is_object, member, members, write_name};

/// Entries that are kept. Opik's own have about twenty.
const MAX_COUNTS: usize = 100;
/// The longest name that is kept.
const MAX_NAME_BYTES: usize = 96;

/// The whole numbers of a usage object, by their names, with dots between those of nested objects.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    counts: Vec<(Vec<u8>, i32)>,
    /// What the call cost in US dollars, where the provider says so; a JSON number.
    cost: Vec<u8>,
}

impl Counts {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The cost in US dollars that stands in the usage (OpenRouter), as a JSON number; empty where none does.
    #[must_use]
    pub fn cost(&self) -> &[u8] {
        &self.cost
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Overwrites the counters that `usage` has, and keeps the others.
    pub fn merge(&mut self, usage: &[u8]) {
        self.flatten(usage, &mut Vec::new(), 4);
        let cost = member(usage, "cost");
        if json::is_non_negative_number(cost) && cost.len() <= 32 && member(usage, "is_byok") != b"true" {
            self.cost = cost.to_vec();
        }
        self.sum_iterations(member(usage, "iterations"));
    }

    fn flatten(&mut self, object: &[u8], path: &mut Vec<u8>, depth: u32) {
        let Some(inner) = depth.checked_sub(1) else { return };
        members(object, &mut |name, value| {
            let length = path.len();
            path.put(name);
            if is_object(value) {
                path.put_byte(b'.');
                self.flatten(value, path, inner);
            } else if let Some(count) = int32(value) {
                self.set(path, count);
            }
            path.truncate(length);
        });
    }

    /// Where Anthropic compacts a conversation within a call, the counters beside `iterations` are of the last one only.
    fn sum_iterations(&mut self, iterations: &[u8]) {
        const NAMES: [&str; 4] =
            ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
        if !is_array(iterations) {
            return;
        }
        for name in NAMES {
            let mut sum = None::<i32>;
            elements(iterations, &mut |iteration| {
                if let Some(count) = int32(member(iteration, name)) {
                    sum = Some(sum.unwrap_or(0).saturating_add(count));
                }
            });
            if let Some(sum) = sum {
                self.set(name.as_bytes(), sum);
            }
        }
    }

    fn set(&mut self, name: &[u8], count: i32) {
        if let Some((_, old)) = self.counts.iter_mut().find(|(known, _)| known == name) {
            *old = count;
        } else if self.counts.len() < MAX_COUNTS && name.len() <= MAX_NAME_BYTES {
            self.counts.push((name.to_vec(), count));
        }
    }

    fn get(&self, name: &str) -> Option<u64> {
        let (_, count) = self.counts.iter().find(|(known, _)| known == name.as_bytes())?;
        u64::try_from(*count).ok()
    }

    /// The sum of those that are there; `None` where the first one is not.
    fn sum(&self, names: [&str; 3]) -> Option<u64> {
        let [first, others @ ..] = names;
        let first = self.get(first)?;
        Some(others.iter().filter_map(|name| self.get(name)).fold(first, u64::saturating_add))
    }

    /// Appends Opik's usage map for a call of this provider, whose format may say that it has no completion. Nothing
    /// where there are no counters.
    pub fn write(&self, out: &mut Vec<u8>, provider: &[u8], is_embedding: bool) {
        if self.is_empty() {
            return;
        }
        let is_gemini = self.get("promptTokenCount").or(self.get("totalTokenCount")).is_some();
        let (prompt, completion, total) = self.totals(is_gemini, is_embedding);
        let mut bare = Bare(out);
        bare.0.put_byte(b'{');
        bare.write(b"prompt_tokens", prompt);
        bare.write(b"completion_tokens", completion);
        bare.write(b"total_tokens", total);
        // Counted among the others by their providers, and shown by Opik under this name only.
        let thoughts = self.get("thoughtsTokenCount").or(self.get("output_tokens_details.thinking_tokens"));
        bare.write(b"reasoning_tokens", thoughts);
        let cached = self.get("prompt_tokens_details.cached_tokens");
        let is_openai_shaped = self.get("prompt_tokens").is_some();
        match provider {
            // Their calculators look for cached tokens under their own names.
            b"google_ai" | b"google_vertexai" if is_openai_shaped => bare.write(b"cache_read_input_tokens", cached),
            b"anthropic" | b"anthropic_vertexai" if is_openai_shaped && cached.is_some() => {
                bare.write(b"cache_read_input_tokens", cached);
                let input = prompt.map(|prompt| prompt.saturating_sub(cached.unwrap_or(0)));
                bare.write(b"original_usage.input_tokens", input);
            }
            _ if cached.is_none() => bare.write(b"cache_read_input_tokens", self.get("prompt_cache_hit_tokens")),
            _ => {}
        }
        for (name, count) in &self.counts {
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

    fn totals(&self, is_gemini: bool, is_embedding: bool) -> (Option<u64>, Option<u64>, Option<u64>) {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        if is_gemini {
            let prompt = self.sum(["promptTokenCount", "toolUsePromptTokenCount", ""]);
            let thoughts = self.get("thoughtsTokenCount").unwrap_or(0);
            let candidates = self.get("candidatesTokenCount").unwrap_or(0);
            let total = self.get("totalTokenCount");
            // Where the total says that thoughts are among the candidates, they are not added.
            let includes = total.is_some() && total == prompt.map(|prompt| prompt.saturating_add(candidates));
            let completion = if includes { candidates } else { candidates.saturating_add(thoughts) };
            return (prompt, Some(completion), total.or(sum(prompt, Some(completion))));
        }
        let stated = self.get("total_tokens");
        let cached = ["cache_read_input_tokens", "cache_creation_input_tokens"];
        let (prompt, completion, stated) = if self.get("prompt_tokens").or(self.get("completion_tokens")).is_some() {
            (self.get("prompt_tokens"), self.get("completion_tokens"), stated)
        } else if self.get("inputTokens").or(self.get("outputTokens")).is_some() {
            let prompt = self.sum(["inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"]);
            (prompt, self.get("outputTokens"), None)
        } else if self.get("input_tokens").or(self.get("output_tokens")).is_some() {
            let [read, written] = cached;
            (self.sum(["input_tokens", read, written]), self.get("output_tokens"), stated)
        } else {
            let prompt = self.get("prompt_eval_count").or(self.get("inputTokenCount"));
            (prompt, self.get("eval_count").or(self.get("outputTokenCount")), stated)
        };
        let completion = if is_embedding { completion.or(Some(0)) } else { completion };
        (prompt, completion, stated.or(sum(prompt, completion)))
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
