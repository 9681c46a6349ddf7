//! Counters of Gemini. <https://ai.google.dev/api/generate-content#UsageMetadata>

use std::collections::BTreeSet;

use ledger::{Meter, ServiceTier, Usage, UsageReport};
use serde::{Deserialize, Serialize};

use crate::json::{self, Count, Json, Malformed, Tally, counts};
use crate::openai_chat::usage::cached;

counts! {
    #[serde(rename_all = "camelCase")]
    struct Counts {
        prompt_token_count: Count,
        cached_content_token_count: Count,
        candidates_token_count: Count,
        thoughts_token_count: Count,
        tool_use_prompt_token_count: Count,
        total_token_count: Count,
        prompt_tokens_details: Option<Vec<Modality>>,
        cache_tokens_details: Option<Vec<Modality>>,
        candidates_tokens_details: Option<Vec<Modality>>,
        tool_use_prompt_tokens_details: Option<Vec<Modality>>,
        service_tier: Option<String>,
    }
    #[serde(rename_all = "camelCase")]
    struct EmbeddingCounts {
        prompt_token_count: Count,
        prompt_token_details: Option<Vec<Modality>>,
    }
    #[serde(rename_all = "camelCase")]
    struct Modality {
        modality: Option<String>,
        token_count: Count,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    usage_metadata: Option<Json>,
    candidates: Option<Vec<Candidate>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    grounding_metadata: Option<Grounding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grounding {
    web_search_queries: Option<Vec<String>>,
}

/// Reads `usageMetadata`. `promptTokenCount` includes the cached tokens; tokens of server-side tools and of thoughts
/// stand outside the prompt and the candidates. The count is what is billed: the details by modality need not add up to
/// it (recording `gemini.generateContent-5a23752e5940`) and only say how much of it was audio.
pub fn read(usage: &str) -> Result<UsageReport, Malformed> {
    let counts: Counts = json::read(usage, "usageMetadata")?;
    let mut tally = Tally::default();
    let input = read_input(&mut tally, &counts);
    let mut output = tally.number(counts.candidates_token_count);
    let answered = output;
    for (meter, modality) in [(Meter::ImageOutput, "IMAGE"), (Meter::AudioOutput, "AUDIO")] {
        let part = of_modality(&mut tally, counts.candidates_tokens_details.as_deref(), modality);
        tally.carve(&mut output, meter, part);
    }
    tally.usage.add(Meter::Output, output);
    let thoughts = tally.number(counts.thoughts_token_count);
    tally.usage.add(Meter::Reasoning, thoughts);
    let total = tally.number(counts.total_token_count);
    tally.inconsistent |= counts.total_token_count.given && total != input + answered + thoughts;
    Ok(UsageReport {
        inconsistent: tally.inconsistent,
        service_tier: counts
            .service_tier
            .as_deref()
            .map_or(ServiceTier::Standard, ServiceTier::from_answer),
        ..UsageReport::single(tally.usage)
    })
}

/// Fills the input counters and returns their sum.
fn read_input(tally: &mut Tally, counts: &Counts) -> u64 {
    let prompt = tally.number(counts.prompt_token_count);
    let tools = tally.number(counts.tool_use_prompt_token_count);
    let cached = tally.number(counts.cached_content_token_count);
    let mut read = cached.min(prompt);
    let mut rest = tally.minus(prompt, cached).saturating_add(tools);

    let audio_cached = of_modality(tally, counts.cache_tokens_details.as_deref(), "AUDIO");
    let audio_prompt = of_modality(tally, counts.prompt_tokens_details.as_deref(), "AUDIO");
    let audio_tools = of_modality(tally, counts.tool_use_prompt_tokens_details.as_deref(), "AUDIO");
    let audio = tally.minus(audio_prompt, audio_cached).saturating_add(audio_tools);
    tally.carve(&mut read, Meter::AudioCacheRead, audio_cached);
    tally.usage.add(Meter::CacheRead, read);
    tally.carve(&mut rest, Meter::AudioInput, audio);
    tally.usage.add(Meter::Input, rest);
    tally.usage.input_tokens()
}

fn of_modality(tally: &mut Tally, details: Option<&[Modality]>, modality: &str) -> u64 {
    let wanted = |detail: &&Modality| {
        detail.modality.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(modality))
    };
    let details = details.unwrap_or_default().iter().filter(wanted);
    details.fold(0, |sum, detail| tally.number(detail.token_count).saturating_add(sum))
}

/// Reads the usage of embeddings (`embedContent`, `batchEmbedContents`), which sometimes report it.
pub fn read_embeddings(usage: &str) -> Result<UsageReport, Malformed> {
    let counts: EmbeddingCounts = json::read(usage, "usageMetadata")?;
    let mut tally = Tally::default();
    let mut input = tally.number(counts.prompt_token_count);
    let audio = of_modality(&mut tally, counts.prompt_token_details.as_deref(), "AUDIO");
    tally.carve(&mut input, Meter::AudioInput, audio);
    tally.usage.add(Meter::Input, input);
    Ok(UsageReport { inconsistent: tally.inconsistent, ..UsageReport::single(tally.usage) })
}

/// Reads usage and searches of a whole answer; none if it reports no usage.
///
/// Both ways of counting a search are reported, and the price table knows which one the model is billed by: Gemini 3
/// per distinct query over all candidates, Gemini 2.5 once per answer that searched. Some recorded answers list an empty
/// query, which is none (`gemini.generateContent-8cc1181aeb77`); grounding in files lists no queries and is no search.
pub fn read_body(body: &[u8]) -> Result<Option<UsageReport>, Malformed> {
    let body: Body = json::read(json::utf8(body)?, "")?;
    let Some(usage) = &body.usage_metadata else { return Ok(None) };
    let mut report = read(usage.get())?;
    let queries: BTreeSet<&str> = body
        .candidates
        .iter()
        .flatten()
        .filter_map(|candidate| candidate.grounding_metadata.as_ref())
        .flat_map(|grounding| grounding.web_search_queries.iter().flatten())
        .map(String::as_str)
        .filter(|query| !query.is_empty())
        .collect();
    if let Some(pass) = report.passes.first_mut() {
        pass.usage.add(Meter::SearchQuery, queries.iter().fold(0, |n, _| n + 1));
        pass.usage.add(Meter::GroundedPrompt, u64::from(!queries.is_empty()));
    }
    Ok(Some(report))
}

/// The usage object of an answer to a client of this dialect.
#[expect(clippy::struct_field_names, reason = "the provider's names")]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Out {
    prompt_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content_token_count: Option<u64>,
    candidates_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<u64>,
    total_token_count: u64,
}

pub(crate) fn write(usage: &Usage) -> Out {
    let (input, output) = (usage.input_tokens(), usage.output_tokens());
    let thoughts = usage.get(Meter::Reasoning);
    let some = |n: u64| (n > 0).then_some(n);
    Out {
        prompt_token_count: input,
        cached_content_token_count: some(cached(usage)),
        candidates_token_count: output.saturating_sub(thoughts),
        thoughts_token_count: some(thoughts),
        total_token_count: input.saturating_add(output),
    }
}
