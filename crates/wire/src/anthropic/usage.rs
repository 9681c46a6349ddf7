//! Counters of Anthropic Messages. <https://docs.claude.com/en/api/messages>

use ledger::{Meter, Pass, Region, ServiceTier, Usage, UsageReport};
use serde::{Deserialize, Serialize};

use crate::json::{self, Count, Json, Malformed, Tally, counts};
use crate::openai_chat;
use crate::openai_chat::usage::{cached, written};
use crate::stream::Cost;

counts! {
    #[derive(Clone)]
    struct Counts {
        input_tokens: Count,
        cache_read_input_tokens: Count,
        cache_creation_input_tokens: Count,
        cache_creation: Option<Creation>,
        output_tokens: Count,
        output_tokens_details: Option<OutputDetails>,
        server_tool_use: Option<ServerTools>,
        service_tier: Option<String>,
        speed: Option<String>,
        inference_geo: Option<String>,
        iterations: Option<Vec<Iteration>>,
    }
    #[derive(Clone)]
    struct Iteration {
        #[serde(rename = "type")]
        kind: Option<String>,
        model: Option<String>,
        input_tokens: Count,
        cache_read_input_tokens: Count,
        cache_creation_input_tokens: Count,
        cache_creation: Option<Creation>,
        output_tokens: Count,
        output_tokens_details: Option<OutputDetails>,
    }
    #[derive(Clone)]
    struct Creation {
        ephemeral_5m_input_tokens: Count,
        ephemeral_1h_input_tokens: Count,
    }
    #[derive(Clone)]
    struct OutputDetails { thinking_tokens: Count }
    #[derive(Clone)]
    struct ServerTools { web_search_requests: Count }
}

#[derive(Deserialize)]
struct Body {
    usage: Option<Json>,
}

/// Reads a usage object. `input_tokens` leaves out the caches; cache writes without a split are 5-minute ones.
///
/// Where `iterations` names passes that the totals leave out (an advisor, a compaction), every entry is a pass of its
/// own, with its own model where it names one (recording `anthropic.messages-11ad65b0c0b8`).
pub fn read(usage: &str) -> Result<UsageReport, Malformed> {
    Ok(report(&json::read_counts(usage, "usage")?))
}

/// The same of an answer, which is not thrown away for it.
pub(crate) fn read_or_mark(usage: &str) -> UsageReport {
    read(usage).unwrap_or_else(|_| json::unreadable())
}

fn report(counts: &Counts) -> UsageReport {
    let mut tally = Tally::default();
    tally.inconsistent |= !counts.input_tokens.given;
    let total = one_pass(&mut tally, &Numbers::of_totals(counts));
    let mut passes = passes(&mut tally, counts.iterations.as_deref().unwrap_or_default(), total);
    let searches =
        counts.server_tool_use.as_ref().map_or_else(Count::default, |s| s.web_search_requests);
    let searches = tally.number(searches);
    if let Some(first) = passes.first_mut() {
        first.usage.add(Meter::WebSearch, searches);
    }
    UsageReport {
        passes,
        service_tier: counts
            .service_tier
            .as_deref()
            .map_or(ServiceTier::Standard, ServiceTier::from_answer),
        fast: counts.speed.as_deref() == Some("fast"),
        region: region(counts.inference_geo.as_deref()),
        inconsistent: tally.inconsistent,
        route: None,
    }
}

/// Reads the usage of a whole answer; none if it reports none.
pub fn read_body(body: &[u8]) -> Result<Option<UsageReport>, Malformed> {
    let body: Body = json::read(json::utf8(body)?, "")?;
    Ok(body.usage.map(|usage| read_or_mark(usage.get())))
}

fn region(geo: Option<&str>) -> Region {
    match geo {
        Some("us") => Region::Us,
        Some("eu") => Region::Eu,
        _ => Region::Global,
    }
}

/// The numbers that totals and iterations have in common.
struct Numbers<'a> {
    input: Count,
    read: Count,
    written: Count,
    split: Option<&'a Creation>,
    output: Count,
    details: Option<&'a OutputDetails>,
}

impl<'a> Numbers<'a> {
    fn of_totals(c: &'a Counts) -> Self {
        Self {
            input: c.input_tokens,
            read: c.cache_read_input_tokens,
            written: c.cache_creation_input_tokens,
            split: c.cache_creation.as_ref(),
            output: c.output_tokens,
            details: c.output_tokens_details.as_ref(),
        }
    }

    fn of_iteration(c: &'a Iteration) -> Self {
        Self {
            input: c.input_tokens,
            read: c.cache_read_input_tokens,
            written: c.cache_creation_input_tokens,
            split: c.cache_creation.as_ref(),
            output: c.output_tokens,
            details: c.output_tokens_details.as_ref(),
        }
    }
}

fn one_pass(tally: &mut Tally, numbers: &Numbers<'_>) -> Usage {
    let mut usage = Usage::ZERO;
    usage.set(Meter::Input, tally.number(numbers.input));
    usage.set(Meter::CacheRead, tally.number(numbers.read));
    let (short, long) = numbers.split.map_or((0, 0), |split| {
        (
            tally.number(split.ephemeral_5m_input_tokens),
            tally.number(split.ephemeral_1h_input_tokens),
        )
    });
    let split = short.saturating_add(long);
    let written = tally.number(numbers.written);
    // A split above a stated total contradicts it; the split is the finer statement and the dearer one.
    tally.inconsistent |= numbers.written.given && split > written;
    usage.set(Meter::CacheWrite1h, long);
    usage.set(Meter::CacheWrite5m, short.saturating_add(written.saturating_sub(split)));
    let output = tally.number(numbers.output);
    let thinking = numbers.details.map_or(0, |details| tally.number(details.thinking_tokens));
    let rest = tally.minus(output, thinking);
    usage.set(Meter::Reasoning, thinking.min(output));
    usage.set(Meter::Output, rest);
    usage
}

/// Splits the totals into passes. `total` covers the `message` entries only.
fn passes(tally: &mut Tally, iterations: &[Iteration], total: Usage) -> Vec<Pass> {
    let kind = |iteration: &Iteration, kind: &str| iteration.kind.as_deref() == Some(kind);
    let outside = |i: &Iteration| kind(i, "advisor_message") || kind(i, "compaction");
    // After a fallback the totals describe the answer that was served, by the model that this entry names.
    let fallback = iterations.iter().rev().find(|i| kind(i, "fallback_message"));
    if !iterations.iter().any(outside) {
        return vec![Pass { model: fallback.and_then(|i| i.model.clone()), usage: total }];
    }
    let entries: Vec<(bool, Pass)> = iterations
        .iter()
        .map(|i| {
            let usage = one_pass(tally, &Numbers::of_iteration(i));
            (outside(i), Pass { model: i.model.clone(), usage })
        })
        .collect();
    let mut inside = Usage::ZERO;
    entries
        .iter()
        .filter(|(outside, _)| !outside)
        .for_each(|(_, pass)| inside.add_all(&pass.usage));
    let agree = inside.input_tokens() == total.input_tokens()
        && inside.output_tokens() == total.output_tokens();
    if agree && fallback.is_none() {
        return share_thinking(entries, total.get(Meter::Reasoning));
    }
    tally.inconsistent |= !agree && fallback.is_none();
    let served = Pass { model: fallback.and_then(|i| i.model.clone()), usage: total };
    let rest = entries.into_iter().filter(|(outside, _)| *outside).map(|(_, pass)| pass);
    std::iter::once(served).chain(rest).collect()
}

/// Recorded iterations do not say how much of their output was thinking; the totals do. It is handed to the passes
/// that the totals cover, first come, first served.
fn share_thinking(entries: Vec<(bool, Pass)>, thinking: u64) -> Vec<Pass> {
    let known: u64 = entries
        .iter()
        .filter(|(outside, _)| !outside)
        .fold(0, |n, (_, pass)| n.saturating_add(pass.usage.get(Meter::Reasoning)));
    let mut left = thinking.saturating_sub(known);
    let mut passes = Vec::new();
    for (outside, mut pass) in entries {
        if !outside {
            let part = left.min(pass.usage.get(Meter::Output));
            left -= part;
            pass.usage.set(Meter::Output, pass.usage.get(Meter::Output) - part);
            pass.usage.add(Meter::Reasoning, part);
        }
        passes.push(pass);
    }
    passes
}

/// The usage of a stream: its beginning tells the input side and the terms, its end the totals, which may be larger.
#[derive(Default)]
pub(super) struct Running {
    /// Later words in place of earlier ones.
    last: Counts,
    /// The largest figures.
    most: Counts,
    any: bool,
}

impl Running {
    /// Takes one more usage object, and returns whether it tells the output. What it leaves out stays.
    pub(super) fn add(&mut self, usage: &str) -> Result<bool, Malformed> {
        let later: Counts = json::read_counts(usage, "usage")?;
        let tells_output = later.output_tokens.given;
        self.last.merge(later.clone(), |old, new| if new.given { new } else { old });
        self.most.merge(later, |old, new| if new.given && new.n >= old.n { new } else { old });
        self.any = true;
        Ok(tells_output)
    }

    /// What the provider said last.
    pub(super) fn last(&self) -> Option<UsageReport> {
        self.any.then(|| report(&self.last))
    }

    /// The most that it ever said, for a stream that was cut.
    pub(super) fn most(&self) -> Option<UsageReport> {
        self.any.then(|| report(&self.most))
    }
}

impl Counts {
    fn merge(&mut self, later: Self, pick: fn(Count, Count) -> Count) {
        let set = |old: &mut Count, new: Count| *old = pick(*old, new);
        set(&mut self.input_tokens, later.input_tokens);
        set(&mut self.cache_read_input_tokens, later.cache_read_input_tokens);
        set(&mut self.cache_creation_input_tokens, later.cache_creation_input_tokens);
        set(&mut self.output_tokens, later.output_tokens);
        if let Some(later) = later.cache_creation {
            let split = self.cache_creation.get_or_insert_default();
            set(&mut split.ephemeral_5m_input_tokens, later.ephemeral_5m_input_tokens);
            set(&mut split.ephemeral_1h_input_tokens, later.ephemeral_1h_input_tokens);
        }
        if let Some(later) = later.output_tokens_details {
            let details = self.output_tokens_details.get_or_insert_default();
            set(&mut details.thinking_tokens, later.thinking_tokens);
        }
        if let Some(later) = later.server_tool_use {
            let tools = self.server_tool_use.get_or_insert_default();
            set(&mut tools.web_search_requests, later.web_search_requests);
        }
        self.service_tier = later.service_tier.or(self.service_tier.take());
        self.speed = later.speed.or(self.speed.take());
        self.inference_geo = later.inference_geo.or(self.inference_geo.take());
        self.iterations = later.iterations.or(self.iterations.take());
    }
}

/// The usage object of an answer to a client of this dialect.
#[derive(Serialize)]
pub(crate) struct Out {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation: OutCreation,
    output_tokens: u64,
    output_tokens_details: OutDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_tool_use: Option<OutTools>,
    service_tier: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_geo: Option<&'static str>,
}

#[derive(Serialize)]
struct OutCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Serialize)]
struct OutDetails {
    thinking_tokens: u64,
}

#[derive(Serialize)]
struct OutTools {
    web_search_requests: u64,
    web_fetch_requests: u64,
}

/// The usage object with the cost, where the client is told.
pub(crate) fn with_cost(report: &UsageReport, cost: Option<&Cost>) -> Json {
    json::object_with(&write(report), &openai_chat::cost_members(cost))
}

pub(crate) fn write(report: &UsageReport) -> Out {
    let usage = &report.total();
    let (read, written) = (cached(usage), written(usage));
    let searches = usage.get(Meter::WebSearch);
    Out {
        input_tokens: usage.input_tokens().saturating_sub(read).saturating_sub(written),
        cache_creation_input_tokens: written,
        cache_read_input_tokens: read,
        cache_creation: OutCreation {
            ephemeral_5m_input_tokens: usage.get(Meter::CacheWrite5m),
            ephemeral_1h_input_tokens: written.saturating_sub(usage.get(Meter::CacheWrite5m)),
        },
        output_tokens: usage.output_tokens(),
        output_tokens_details: OutDetails { thinking_tokens: usage.get(Meter::Reasoning) },
        server_tool_use: (searches > 0)
            .then_some(OutTools { web_search_requests: searches, web_fetch_requests: 0 }),
        service_tier: match report.service_tier {
            ServiceTier::Priority => "priority",
            ServiceTier::Batch => "batch",
            ServiceTier::Standard | ServiceTier::Flex => "standard",
        },
        speed: report.fast.then_some("fast"),
        inference_geo: match report.region {
            Region::Us => Some("us"),
            Region::Eu => Some("eu"),
            Region::Global => None,
        },
    }
}
