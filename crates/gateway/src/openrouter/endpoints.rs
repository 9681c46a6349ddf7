//! `GET /api/v1/models/{author}/{slug}/endpoints`: where a model is served. Each has one provider here.

use std::collections::BTreeMap;

use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::Data;
use super::catalog::{self, Architecture, ModelView, Pricing};
use crate::problem::Problem;
use crate::web::{self, Call};

/// A model and its endpoints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Served {
    id: String,
    name: String,
    created: i64,
    description: &'static str,
    architecture: Architecture,
    endpoints: Vec<Endpoint>,
}

/// What is not measured is null.
#[derive(Debug, Serialize, JsonSchema)]
struct Endpoint {
    name: String,
    model_id: String,
    model_name: String,
    provider_name: String,
    /// The provider as requests name it.
    tag: String,
    /// 0 where the price list does not say.
    context_length: u64,
    max_completion_tokens: Option<u64>,
    max_prompt_tokens: Option<u64>,
    pricing: Pricing,
    supported_parameters: Vec<&'static str>,
    supports_implicit_caching: bool,
    supports_tool_choice: ToolChoice,
    supports_voice_cloning: bool,
    supports_diarization: bool,
    supports_image_reference: bool,
    supports_multiple_audio_references: bool,
    /// Tools of the provider's own in place of others.
    native_tools: BTreeMap<String, NativeTool>,
    service_tier: Option<String>,
    quantization: Option<String>,
    status: i32,
    uptime_last_5m: Option<f64>,
    uptime_last_30m: Option<f64>,
    uptime_last_1d: Option<f64>,
    latency_last_30m: Option<Percentiles>,
    throughput_last_30m: Option<Percentiles>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct NativeTool {
    r#type: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ToolChoice {
    auto: bool,
    none: bool,
    required: bool,
    function: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Percentiles {
    p50: f64,
    p75: f64,
    p90: f64,
    p99: f64,
}

pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let snapshot = call.app.snapshots.current();
    let (model, view) = catalog::find(&call, &snapshot)?;
    let caches = model.info.has("supports_prompt_caching") && model.provider != "anthropic";
    web::json(&Data { data: Served::of(view, &model.provider, caches) })
}

impl Served {
    fn of(view: ModelView, provider: &str, caches: bool) -> Self {
        let tools = view.supported_parameters.contains(&"tool_choice");
        let name = catalog::provider_name(provider);
        let endpoint = Endpoint {
            name: format!("{name} | {}", view.id),
            model_id: view.id.clone(),
            model_name: view.name.clone(),
            provider_name: name.to_owned(),
            tag: provider.to_owned(),
            context_length: view.context_length.unwrap_or(0),
            max_completion_tokens: view.top_provider.max_completion_tokens,
            max_prompt_tokens: None,
            pricing: view.pricing,
            supported_parameters: view.supported_parameters,
            supports_implicit_caching: caches,
            supports_tool_choice: ToolChoice {
                auto: tools,
                none: tools,
                required: tools,
                function: tools,
            },
            supports_voice_cloning: false,
            supports_diarization: false,
            supports_image_reference: false,
            supports_multiple_audio_references: false,
            native_tools: BTreeMap::new(),
            service_tier: None,
            quantization: None,
            status: 0,
            uptime_last_5m: None,
            uptime_last_30m: None,
            uptime_last_1d: None,
            latency_last_30m: None,
            throughput_last_30m: None,
        };
        Self {
            id: view.id,
            name: view.name,
            created: 0,
            description: view.description,
            architecture: view.architecture,
            endpoints: vec![endpoint],
        }
    }
}
