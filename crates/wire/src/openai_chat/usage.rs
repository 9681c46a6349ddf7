//! Counters of Chat Completions, Completions and Embeddings, of OpenAI and of providers that copy it.
//! <https://platform.openai.com/docs/api-reference/chat/object>

use ledger::{Meter, ServiceTier, Usage, UsageReport};
use serde::{Deserialize, Serialize};

use crate::json::{self, Count, Json, Malformed, Tally, counts};
use crate::names::{Names, Picked};
use crate::skip;

counts! {
    struct Counts {
        prompt_tokens: Count,
        completion_tokens: Count,
        total_tokens: Count,
        prompt_tokens_details: Option<PromptDetails>,
        completion_tokens_details: Option<CompletionDetails>,
        prompt_cache_hit_tokens: Count,
    }
    #[expect(clippy::struct_field_names, reason = "the provider's names")]
    struct PromptDetails {
        cached_tokens: Count,
        cache_write_tokens: Count,
        audio_tokens: Count,
        image_tokens: Count,
    }
    struct CompletionDetails {
        reasoning_tokens: Count,
        audio_tokens: Count,
    }
}

#[derive(Deserialize)]
struct Body {
    usage: Option<Json>,
    service_tier: Option<String>,
}

/// Reads a usage object. `prompt_tokens` includes what was read from or written to a cache, `completion_tokens` the
/// reasoning; a missing `completion_tokens` is 0 (recording `openai.completions-5adedfc09f0b`). DeepSeek's
/// `prompt_cache_hit_tokens` goes before `cached_tokens`.
pub fn read(usage: &str) -> Result<UsageReport, Malformed> {
    let counts: Counts = json::read_counts(usage, "usage")?;
    let mut tally = Tally::default();
    let total = sum(&mut tally, &counts);
    let said = tally.number(counts.total_tokens);
    tally.inconsistent |= counts.total_tokens.given && said != total;
    Ok(report(&tally))
}

/// The same of an answer, which is not thrown away for it.
pub(crate) fn read_or_mark(usage: &str) -> UsageReport {
    read(usage).unwrap_or_else(|_| json::unreadable())
}

/// Reads the usage of Gemini's OpenAI-compatible API, whose `completion_tokens` leaves out the thoughts that
/// `total_tokens` counts (recording `gemini.openai_chat-37e4dc1cd840`: 35 + 12 of 109): the difference is thinking.
pub fn read_gemini_compat(usage: &str) -> Result<UsageReport, Malformed> {
    let counts: Counts = json::read_counts(usage, "usage")?;
    let mut tally = Tally::default();
    let counted = sum(&mut tally, &counts);
    let total = tally.number(counts.total_tokens);
    tally.usage.add(Meter::Reasoning, total.saturating_sub(counted));
    Ok(report(&tally))
}

/// Reads the usage and the served tier of a whole answer (chat, completion or embeddings); none if it reports none.
pub fn read_body(body: &[u8]) -> Result<Option<UsageReport>, Malformed> {
    let Body { usage, service_tier } = json::read(json::utf8(body)?, "")?;
    Ok(usage.map(|usage| of_body(usage.get(), service_tier.as_deref())))
}

/// The same, and its names, by one look where there is nothing unusual about it.
pub(crate) fn look_at(body: &[u8]) -> Result<(Option<UsageReport>, Names), Malformed> {
    let picked = Picked::of(json::utf8(body)?).and_then(|Picked { names, usage, service_tier }| {
        let service_tier = skip::text(service_tier).ok()?;
        let usage = usage.filter(|usage| *usage != "null");
        Some((usage.map(|usage| of_body(usage, service_tier.as_deref())), names))
    });
    picked.map_or_else(|| Ok((read_body(body)?, Names::of(body))), Ok)
}

fn of_body(usage: &str, service_tier: Option<&str>) -> UsageReport {
    UsageReport { service_tier: tier(service_tier), ..read_or_mark(usage) }
}

/// The tier an answer names; OpenAI bills by that one, never by the one asked for.
pub(crate) fn tier(word: Option<&str>) -> ServiceTier {
    word.map_or(ServiceTier::Standard, ServiceTier::from_answer)
}

/// Fills the counters and returns their sum.
fn sum(tally: &mut Tally, counts: &Counts) -> u64 {
    let none = PromptDetails::default();
    let prompt = counts.prompt_tokens_details.as_ref().unwrap_or(&none);
    let mut input = tally.number(counts.prompt_tokens);
    tally.inconsistent |= !counts.prompt_tokens.given;
    let cached = match counts.prompt_cache_hit_tokens {
        hit if hit.given => tally.number(hit),
        _ => tally.number(prompt.cached_tokens),
    };
    tally.carve(&mut input, Meter::CacheRead, cached);
    for (meter, count) in [
        (Meter::CacheWrite5m, prompt.cache_write_tokens),
        (Meter::AudioInput, prompt.audio_tokens),
        (Meter::ImageInput, prompt.image_tokens),
    ] {
        let part = tally.number(count);
        tally.carve(&mut input, meter, part);
    }
    tally.usage.add(Meter::Input, input);

    let none = CompletionDetails::default();
    let completion = counts.completion_tokens_details.as_ref().unwrap_or(&none);
    let mut output = tally.number(counts.completion_tokens);
    for (meter, count) in [
        (Meter::Reasoning, completion.reasoning_tokens),
        (Meter::AudioOutput, completion.audio_tokens),
    ] {
        let part = tally.number(count);
        tally.carve(&mut output, meter, part);
    }
    tally.usage.add(Meter::Output, output);
    tally.usage.input_tokens() + tally.usage.output_tokens()
}

fn report(tally: &Tally) -> UsageReport {
    UsageReport { inconsistent: tally.inconsistent, ..UsageReport::single(tally.usage) }
}

/// The usage object of an answer to a client of this dialect.
#[derive(Serialize)]
pub(crate) struct Out {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: OutPrompt,
    completion_tokens_details: OutCompletion,
}

#[expect(clippy::struct_field_names, reason = "the provider's names")]
#[derive(Serialize)]
struct OutPrompt {
    cached_tokens: u64,
    cache_write_tokens: u64,
    audio_tokens: u64,
}

#[derive(Serialize)]
struct OutCompletion {
    reasoning_tokens: u64,
    audio_tokens: u64,
}

pub(crate) fn write(usage: &Usage) -> Out {
    let (prompt_tokens, completion_tokens) = (usage.input_tokens(), usage.output_tokens());
    Out {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens.saturating_add(completion_tokens),
        prompt_tokens_details: OutPrompt {
            cached_tokens: cached(usage),
            cache_write_tokens: written(usage),
            audio_tokens: usage.get(Meter::AudioInput),
        },
        completion_tokens_details: OutCompletion {
            reasoning_tokens: usage.get(Meter::Reasoning),
            audio_tokens: usage.get(Meter::AudioOutput),
        },
    }
}

/// All prompt tokens read from a cache, of whatever kind.
pub(crate) fn cached(usage: &Usage) -> u64 {
    usage
        .get(Meter::CacheRead)
        .saturating_add(usage.get(Meter::AudioCacheRead))
        .saturating_add(usage.get(Meter::ImageCacheRead))
}

/// All prompt tokens written to a cache, for however long.
pub(crate) fn written(usage: &Usage) -> u64 {
    usage
        .get(Meter::CacheWrite5m)
        .saturating_add(usage.get(Meter::CacheWrite1h))
        .saturating_add(usage.get(Meter::CacheWrite12h))
}
