//! Counters of Gemini. <https://ai.google.dev/api/generate-content#UsageMetadata>

use std::collections::BTreeSet;

use ledger::{Meter, ServiceTier, UsageReport};
use serde::{Deserialize, Serialize};

use crate::json::{self, Count, Json, Malformed, Tally, counts};
use crate::openai_chat::usage::cached;

counts! {
    #[derive(Clone)]
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
    #[derive(Clone)]
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
    Ok(report(&counts(usage)?, true))
}

/// The counts of `usageMetadata`.
pub(super) fn counts(usage: &str) -> Result<Counts, Malformed> {
    json::read_counts(usage, "usageMetadata")
}

/// The same of an answer, which is not thrown away for it.
pub(crate) fn read_or_mark(usage: &str) -> UsageReport {
    read(usage).unwrap_or_else(|_| json::unreadable())
}

/// `exact` is whether the counts are of one moment, so that they add up to their total.
fn report(counts: &Counts, exact: bool) -> UsageReport {
    let mut tally = Tally::default();
    let input = read_input(&mut tally, counts);
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
    let given = exact && counts.total_token_count.given;
    tally.inconsistent |= given && total != input + answered + thoughts;
    UsageReport {
        inconsistent: tally.inconsistent,
        service_tier: counts
            .service_tier
            .as_deref()
            .map_or(ServiceTier::Standard, ServiceTier::from_answer),
        ..UsageReport::single(tally.usage)
    }
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
    let counts: EmbeddingCounts = json::read_counts(usage, "usageMetadata")?;
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
    let mut report = read_or_mark(usage.get());
    let mut queries = Queries::default();
    for candidate in body.candidates.into_iter().flatten() {
        let grounding = candidate.grounding_metadata.and_then(|found| found.web_search_queries);
        queries.take(grounding.unwrap_or_default());
    }
    queries.count(&mut report);
    Ok(Some(report))
}

/// The distinct searches of an answer.
#[derive(Default)]
pub(super) struct Queries(BTreeSet<String>);

impl Queries {
    pub(super) fn take(&mut self, queries: Vec<String>) {
        self.0.extend(queries.into_iter().filter(|query| !query.is_empty()));
    }

    fn count(&self, report: &mut UsageReport) {
        if let Some(pass) = report.passes.first_mut() {
            pass.usage.add(Meter::SearchQuery, self.0.iter().fold(0, |n, _| n + 1));
            pass.usage.add(Meter::GroundedPrompt, u64::from(!self.0.is_empty()));
        }
    }
}

/// The counters of a stream. Each element has those of the answer so far, but they may fall again: with tools that run
/// at Google the prompt and the thoughts of one round take the place of those of another. The last ones are what is
/// billed; of a stream that was cut nobody knows them, and the largest come nearest.
#[derive(Default)]
pub(super) struct Running {
    last: Option<Counts>,
    most: Counts,
    /// Whether some came that could not be read.
    unreadable: bool,
    pub(super) queries: Queries,
}

impl Running {
    pub(super) fn take(&mut self, counts: Counts) {
        self.most.raise(&counts);
        self.last = Some(counts);
    }

    pub(super) fn cannot_be_read(&mut self) {
        self.unreadable = true;
    }

    /// The last counters, or the largest of a stream that has not come to its end.
    pub(super) fn report(&self, ended: bool) -> Option<UsageReport> {
        let Some(last) = self.last.as_ref() else {
            return self.unreadable.then(json::unreadable);
        };
        let mut report = if ended { report(last, true) } else { report(&self.most, false) };
        self.queries.count(&mut report);
        Some(report)
    }
}

impl Counts {
    /// Field by field, the larger of the two.
    fn raise(&mut self, other: &Self) {
        for (own, new) in [
            (&mut self.prompt_token_count, other.prompt_token_count),
            (&mut self.cached_content_token_count, other.cached_content_token_count),
            (&mut self.candidates_token_count, other.candidates_token_count),
            (&mut self.thoughts_token_count, other.thoughts_token_count),
            (&mut self.tool_use_prompt_token_count, other.tool_use_prompt_token_count),
        ] {
            own.raise(new);
        }
        for (own, new) in [
            (&mut self.prompt_tokens_details, &other.prompt_tokens_details),
            (&mut self.cache_tokens_details, &other.cache_tokens_details),
            (&mut self.candidates_tokens_details, &other.candidates_tokens_details),
            (&mut self.tool_use_prompt_tokens_details, &other.tool_use_prompt_tokens_details),
        ] {
            raise(own, new.as_deref().unwrap_or_default());
        }
        if other.service_tier.is_some() {
            self.service_tier.clone_from(&other.service_tier);
        }
    }
}

impl Count {
    fn raise(&mut self, other: Self) {
        self.n = self.n.max(other.n);
        self.absurd |= other.absurd;
        self.given |= other.given;
    }
}

fn raise(own: &mut Option<Vec<Modality>>, new: &[Modality]) {
    let own = own.get_or_insert_default();
    for detail in new {
        match own.iter_mut().find(|known| known.modality == detail.modality) {
            Some(known) => known.token_count.raise(detail.token_count),
            None => own.push(detail.clone()),
        }
    }
}

/// The usage object of an answer to a client of this dialect.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Out {
    prompt_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<u64>,
    total_token_count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prompt_tokens_details: Vec<OutModality>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache_tokens_details: Vec<OutModality>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates_tokens_details: Vec<OutModality>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutModality {
    modality: &'static str,
    token_count: u64,
}

/// A total by modality; nothing where all of it is text.
fn modalities(total: u64, other: &[(&'static str, u64)]) -> Vec<OutModality> {
    let other: Vec<_> = other.iter().copied().filter(|(_, n)| *n > 0).collect();
    if other.is_empty() {
        return Vec::new();
    }
    let text = other.iter().fold(total, |rest, (_, n)| rest.saturating_sub(*n));
    let all = std::iter::once(("TEXT", text)).filter(|(_, n)| *n > 0).chain(other);
    all.map(|(modality, token_count)| OutModality { modality, token_count }).collect()
}

pub(crate) fn write(report: &UsageReport) -> Out {
    let usage = report.total();
    let (input, output) = (usage.input_tokens(), usage.output_tokens());
    let thoughts = usage.get(Meter::Reasoning);
    let answered = output.saturating_sub(thoughts);
    let sum = |meters: &[Meter]| meters.iter().fold(0, |n: u64, m| n.saturating_add(usage.get(*m)));
    // Proto3: nothing is written as nothing.
    let some = |n: u64| (n > 0).then_some(n);
    let heard = usage.get(Meter::AudioCacheRead);
    Out {
        prompt_token_count: input,
        cached_content_token_count: some(cached(&usage)),
        candidates_token_count: some(answered),
        thoughts_token_count: some(thoughts),
        total_token_count: input.saturating_add(output),
        prompt_tokens_details: modalities(
            input,
            &[
                ("AUDIO", usage.get(Meter::AudioInput).saturating_add(heard)),
                ("IMAGE", sum(&[Meter::ImageInput, Meter::ImageCacheRead])),
                ("VIDEO", usage.get(Meter::VideoInput)),
            ],
        ),
        cache_tokens_details: modalities(
            cached(&usage),
            &[("AUDIO", heard), ("IMAGE", usage.get(Meter::ImageCacheRead))],
        ),
        candidates_tokens_details: modalities(
            answered,
            &[("AUDIO", usage.get(Meter::AudioOutput)), ("IMAGE", usage.get(Meter::ImageOutput))],
        ),
        service_tier: match report.service_tier {
            ServiceTier::Standard => None,
            tier => Some(tier.name()),
        },
    }
}
