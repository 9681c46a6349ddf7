//! `GET /api/v1/generation?id=`: what one answer used and cost, as `OpenRouter` tells it.
//! <https://openrouter.ai/docs/api-reference/get-a-generation>

use axum::response::Response;
use http::StatusCode;
use ledger::{Meter, Outcome, Receipt, Region};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock;
use crate::openrouter::Data;
use crate::openrouter::dollars::Dollars;
use crate::problem::Problem;
use crate::web::{self, Call};

const MICROS_PER_MILLI: i64 = 1_000;

/// Which answer is meant.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct GenerationQuery {
    /// The id in the answer, or its `x-request-id`.
    #[serde(default)]
    id: String,
}

/// What is not known is null: texts and headers are never kept, nor how an answer ended.
#[derive(Default, Serialize, JsonSchema)]
pub(crate) struct Generation {
    id: String,
    request_id: Option<String>,
    upstream_id: Option<String>,
    model: String,
    provider_name: String,
    created_at: String,
    total_cost: Dollars,
    usage: Dollars,
    upstream_inference_cost: Dollars,
    tokens_prompt: u64,
    tokens_completion: u64,
    native_tokens_prompt: u64,
    native_tokens_completion: u64,
    native_tokens_reasoning: u64,
    native_tokens_cached: u64,
    native_tokens_completion_images: u64,
    /// From the admission to the receipt.
    latency: i64,
    cancelled: bool,
    is_byok: bool,
    data_region: &'static str,
    service_tier: &'static str,
    origin: &'static str,
    api_type: Unknown,
    app_id: Unknown,
    cache_discount: Unknown,
    external_user: Unknown,
    finish_reason: Unknown,
    generation_time: Unknown,
    http_referer: Unknown,
    moderation_latency: Unknown,
    native_finish_reason: Unknown,
    num_fetches: Unknown,
    num_input_audio_prompt: Unknown,
    num_media_completion: Unknown,
    num_media_prompt: Unknown,
    num_search_results: Unknown,
    preset_id: Unknown,
    provider_responses: Unknown,
    response_cache_source_id: Unknown,
    router: Unknown,
    session_id: Unknown,
    streamed: Unknown,
    user_agent: Unknown,
    web_search_engine: Unknown,
    workspace_id: Unknown,
}

/// Null.
type Unknown = ();

/// Once the store has every receipt that was written before.
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let (app, GenerationQuery { id }) = (&call.app, call.query()?);
    let (user_id, account_id) = (call.user()?.0, call.who.account_id());
    if id.is_empty() {
        return Err(Problem::bad_request("id: expected the id of an answer, as in ?id=…"));
    }
    let whose = call.sees()?;
    app.journal.applied().await.map_err(Problem::store)?;
    let mut receipt = None;
    if let Some(request) = request_id(&id) {
        let attempts = app.store.receipts_of_request(request).await.map_err(Problem::store)?;
        // The last attempt is the one that was answered with.
        receipt =
            attempts.into_iter().rfind(|receipt| whose.has(receipt.user_id, receipt.account_id));
    }
    if receipt.is_none() {
        let account_id = account_id.unwrap_or_default();
        let found = app.store.receipt_of_upstream(user_id, account_id, &id).await;
        receipt = found.map_err(Problem::store)?;
    }
    let receipt = receipt.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no generation of this id")
    })?;
    web::json(&Data { data: Generation::of(id, &receipt) })
}

/// The request that an id of ours stands for: the `x-request-id` of its answer, or the id in an answer whose provider gave
/// none, which may have a word such as `resp_` in front of it.
fn request_id(id: &str) -> Option<Uuid> {
    let bare = id.rsplit_once('_').map_or(id, |(_, bare)| bare);
    bare.parse().ok()
}

impl Generation {
    fn of(id: String, receipt: &Receipt) -> Self {
        let usage = receipt.report.total();
        let (input, output) = (usage.input_tokens(), usage.output_tokens());
        Self {
            id,
            request_id: Some(receipt.request_id.to_string()),
            upstream_id: receipt.upstream_id.clone(),
            model: format!("{}/{}", receipt.provider, receipt.model),
            provider_name: receipt.provider.clone(),
            created_at: clock::rfc3339(receipt.started_at),
            total_cost: Dollars(receipt.charge),
            usage: Dollars(receipt.charge),
            upstream_inference_cost: Dollars(receipt.report.direct().unwrap_or(receipt.cost)),
            is_byok: receipt.report.direct().is_some(),
            tokens_prompt: input,
            tokens_completion: output,
            native_tokens_prompt: input,
            native_tokens_completion: output,
            native_tokens_reasoning: usage.get(Meter::Reasoning),
            native_tokens_cached: usage.get(Meter::CacheRead),
            native_tokens_completion_images: usage.get(Meter::ImageOutput),
            latency: receipt.ended_at.saturating_sub(receipt.started_at) / MICROS_PER_MILLI,
            cancelled: receipt.outcome == Outcome::ClientGone,
            data_region: match receipt.report.region {
                Region::Global => "global",
                Region::Us => "us",
                Region::Eu => "europe",
            },
            service_tier: receipt.report.service_tier.name(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::request_id;

    #[test]
    fn ids_of_ours() {
        let id = "0193a1b2-0000-7000-8000-000000000001".parse().ok();
        for text in [
            "0193a1b2-0000-7000-8000-000000000001",
            "0193a1b2000070008000000000000001",
            "resp_0193a1b2000070008000000000000001",
        ] {
            assert_eq!(request_id(text), id, "{text}");
        }
        for text in ["chatcmpl-abc", "", "resp_", "msg_01XFDUDYJgAACzvnptvVoYEL"] {
            assert_eq!(request_id(text), None, "{text}");
        }
    }
}
