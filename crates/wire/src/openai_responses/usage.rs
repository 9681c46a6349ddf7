//! Counters of the Responses API and of its compact form.
//! <https://platform.openai.com/docs/api-reference/responses/object>

use ledger::{Meter, ServiceTier, UsageReport};
use serde::{Deserialize, Serialize};

use crate::json::{self, Count, Json, Malformed, Tally, counts, wire};
use crate::openai_chat;
use crate::stream::{Cost, Metered};

counts! {
    struct Counts {
        input_tokens: Count,
        output_tokens: Count,
        total_tokens: Count,
        input_tokens_details: Option<InputDetails>,
        output_tokens_details: Option<OutputDetails>,
    }
    struct InputDetails {
        cached_tokens: Count,
        cache_write_tokens: Count,
        cache_write_tokens_details: Option<WriteDetails>,
    }
    struct WriteDetails {
        #[serde(alias = "ttl_30m_tokens")]
        ttl_30m: Count,
        #[serde(alias = "ttl_12h_tokens")]
        ttl_12h: Count,
    }
    struct OutputDetails { reasoning_tokens: Count }
    struct ToolUsage { web_search: Option<Searches> }
    struct Searches { num_requests: Count }
}

#[derive(Deserialize)]
struct Body {
    usage: Option<Json>,
    service_tier: Option<String>,
    output: Option<Vec<Item>>,
    tool_usage: Option<ToolUsage>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: Option<String>,
    action: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Reads a usage object. `input_tokens` includes cache reads and writes; writes are split by their life where the object
/// says it and are ordinary (30 minutes) otherwise.
pub fn read(usage: &str) -> Result<UsageReport, Malformed> {
    let counts: Counts = json::read_counts(usage, "usage")?;
    let mut tally = Tally::default();
    let none = InputDetails::default();
    let details = counts.input_tokens_details.as_ref().unwrap_or(&none);
    let mut input = tally.number(counts.input_tokens);
    tally.inconsistent |= !counts.input_tokens.given;
    let cached = tally.number(details.cached_tokens);
    tally.carve(&mut input, Meter::CacheRead, cached);
    let ordinary = split_writes(&mut tally, &mut input, details);
    tally.carve(&mut input, Meter::CacheWrite5m, ordinary);
    tally.usage.add(Meter::Input, input);

    let mut output = tally.number(counts.output_tokens);
    let reasoning =
        counts.output_tokens_details.map_or_else(Count::default, |d| d.reasoning_tokens);
    let reasoning = tally.number(reasoning);
    tally.carve(&mut output, Meter::Reasoning, reasoning);
    tally.usage.add(Meter::Output, output);

    let total = tally.number(counts.total_tokens);
    let sum = tally.usage.input_tokens() + tally.usage.output_tokens();
    tally.inconsistent |= counts.total_tokens.given && total != sum;
    Ok(UsageReport { inconsistent: tally.inconsistent, ..UsageReport::single(tally.usage) })
}

/// The same of an answer, which is not thrown away for it.
pub(crate) fn read_or_mark(usage: &str) -> UsageReport {
    read(usage).unwrap_or_else(|_| json::unreadable())
}

/// Carves the 12-hour writes out of `input` and returns how many ordinary ones remain to be carved.
fn split_writes(tally: &mut Tally, input: &mut u64, details: &InputDetails) -> u64 {
    let all = tally.number(details.cache_write_tokens);
    let Some(split) = &details.cache_write_tokens_details else { return all };
    let (short, long) = (tally.number(split.ttl_30m), tally.number(split.ttl_12h));
    let all = if details.cache_write_tokens.given { all } else { short.saturating_add(long) };
    tally.inconsistent |= short.saturating_add(long) > all;
    let long = long.min(all);
    tally.carve(input, Meter::CacheWrite12h, long);
    all - long
}

/// Reads usage, served tier and web searches of a whole answer; none if it reports no usage.
///
/// A search is a `web_search_call` whose action is `search`; opening a page is no search (recording
/// `openai.responses-274c2d95918f`: 7 searches among more calls). Where no such call is listed, the count is
/// `tool_usage.web_search.num_requests`.
pub fn read_body(body: &[u8]) -> Result<Option<UsageReport>, Malformed> {
    let body: Body = json::read(json::utf8(body)?, "")?;
    let Some(usage) = &body.usage else { return Ok(None) };
    let mut report = read_or_mark(usage.get());
    report.service_tier = openai_chat::usage::tier(body.service_tier.as_deref());
    let (searches, broken) = searches(&body);
    report.inconsistent |= broken;
    if let Some(pass) = report.passes.first_mut() {
        pass.usage.add(Meter::WebSearch, searches);
    }
    Ok(Some(report))
}

fn searches(body: &Body) -> (u64, bool) {
    let calls = || {
        body.output.iter().flatten().filter(|item| item.kind.as_deref() == Some("web_search_call"))
    };
    if calls().next().is_none() {
        let said = body.tool_usage.as_ref().and_then(|tools| tools.web_search.as_ref());
        return said.map_or((0, false), |s| (s.num_requests.n, s.num_requests.absurd));
    }
    let is_search = |item: &&Item| {
        item.action.as_ref().and_then(|action| action.kind.as_deref()) == Some("search")
    };
    (calls().filter(is_search).fold(0, |n, _| n + 1), false)
}

wire! {
    /// The usage object of an answer to a client of this dialect.
    struct Out {
        input_tokens: u64,
        input_tokens_details: OutInput,
        output_tokens: u64,
        output_tokens_details: OutOutput,
        total_tokens: u64,
        // OpenRouter's members.
        cost: Json,
        cost_details: OutCost,
        is_byok: bool,
    }
    struct OutInput {
        cached_tokens: u64,
        cache_write_tokens: u64,
        cache_write_tokens_details: OutWrites,
    }
    struct OutWrites {
        ttl_30m_tokens: u64,
        ttl_12h_tokens: u64,
    }
    struct OutOutput { reasoning_tokens: u64 }
    /// The names of the two parts are not those of Chat.
    struct OutCost {
        upstream_inference_cost: Json,
        upstream_inference_input_cost: Json,
        upstream_inference_output_cost: Json,
    }
}

/// Writes the usage object, with the cost where the gateway has worked it out.
pub(super) fn write(metered: &Metered) -> Json {
    let usage = metered.report.total();
    let (input, output) = (usage.input_tokens(), usage.output_tokens());
    let written = openai_chat::usage::written(&usage);
    let long = usage.get(Meter::CacheWrite12h);
    let cost = metered.cost.as_ref();
    Json::of(&Out {
        input_tokens: Some(input),
        input_tokens_details: Some(OutInput {
            cached_tokens: Some(openai_chat::usage::cached(&usage)),
            cache_write_tokens: Some(written),
            cache_write_tokens_details: (long > 0).then_some(OutWrites {
                ttl_30m_tokens: Some(written.saturating_sub(long)),
                ttl_12h_tokens: Some(long),
            }),
        }),
        output_tokens: Some(output),
        output_tokens_details: Some(OutOutput {
            reasoning_tokens: Some(usage.get(Meter::Reasoning)),
        }),
        total_tokens: Some(input.saturating_add(output)),
        cost: cost.and_then(|cost| dollars(&cost.charge)),
        cost_details: cost.map(cost_details),
        is_byok: cost.map(|cost| cost.is_byok),
    })
}

/// Dollars are exact decimal text, which is a JSON number too.
fn dollars(text: &str) -> Option<Json> {
    Json::parse(text)
}

fn cost_details(cost: &Cost) -> OutCost {
    let parts = cost.upstream_parts.as_ref();
    OutCost {
        upstream_inference_cost: dollars(&cost.upstream),
        upstream_inference_input_cost: parts.and_then(|(input, _)| dollars(input)),
        upstream_inference_output_cost: parts.and_then(|(_, output)| dollars(output)),
    }
}

/// What an answer says of searches that it does not list; nothing where there were none. Families of tools that were not
/// used have zeros, which strict clients look for.
pub(super) fn searches_used(report: &UsageReport) -> Option<Json> {
    const NO_PICTURES: &str = r#"{"input_tokens":0,"input_tokens_details":{"image_tokens":0,"text_tokens":0},"output_tokens":0,"total_tokens":0}"#;
    let searches = report.total().get(Meter::WebSearch);
    (searches > 0).then(|| {
        Json::of(&OutTools {
            image_gen: Json::parse(NO_PICTURES),
            web_search: OutSearches { num_requests: searches },
        })
    })
}

#[derive(Serialize)]
struct OutTools {
    image_gen: Option<Json>,
    web_search: OutSearches,
}

#[derive(Serialize)]
struct OutSearches {
    num_requests: u64,
}

/// The word for the tier that served.
pub(super) fn tier(tier: ServiceTier) -> &'static str {
    match tier {
        ServiceTier::Flex => "flex",
        ServiceTier::Priority => "priority",
        ServiceTier::Standard | ServiceTier::Batch => "default",
    }
}
