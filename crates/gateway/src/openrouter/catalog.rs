//! `/api/v1/models` and what is beside it: which models there are, to everybody and to the holder of a key; who serves them.

use axum::response::Response;
use http::Uri;
use ledger::{Meter, Model, Terms, UnitPrice};
use schemars::JsonSchema;
use serde::Serialize;

use super::Data;
use super::filter::{Filter, Modalities};
use crate::app::App;
use crate::inbound::Wanted;
use crate::problem::Problem;
use crate::snapshot::{KeyEntry, Snapshot};
use crate::web::{self, Call};
use crate::{clock, models, routing};

/// A page of models.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ModelList {
    data: Vec<ModelView>,
    links: PageLinks,
    /// How many there are in all that were asked for.
    total_count: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PageLinks {
    /// The path of the next page; null where this is the last.
    next: Option<String>,
}

/// How many models there are.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Count {
    count: usize,
}

/// A model, and what a client pays for it, commission included.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ModelView {
    pub(super) id: String,
    canonical_slug: String,
    pub(super) name: String,
    pub(super) created: i64,
    pub(super) description: &'static str,
    pub(super) context_length: Option<u64>,
    pub(super) architecture: Architecture,
    pub(super) pricing: Pricing,
    pub(super) top_provider: TopProvider,
    pub(super) supported_parameters: Vec<&'static str>,
    default_parameters: NoParameters,
    per_request_limits: Option<String>,
    supported_voices: Option<Vec<String>>,
    links: ModelLinks,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct NoParameters {}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct ModelLinks {
    details: String,
}

/// What goes in and what comes out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Architecture {
    modality: String,
    pub(super) input_modalities: Vec<&'static str>,
    pub(super) output_modalities: Vec<&'static str>,
    tokenizer: &'static str,
    instruct_type: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct TopProvider {
    context_length: Option<u64>,
    pub(super) max_completion_tokens: Option<u64>,
    is_moderated: bool,
}

/// Dollars for one token or call, exact. What has no price is left out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Pricing {
    pub(super) prompt: String,
    pub(super) completion: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_read: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write_1h: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_search: Option<String>,
}

/// A provider.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProviderView {
    name: &'static str,
    slug: &'static str,
    headquarters: Option<&'static str>,
    datacenters: Option<Vec<&'static str>>,
    privacy_policy_url: Option<&'static str>,
    terms_of_service_url: Option<&'static str>,
    status_page_url: Option<&'static str>,
}

/// `GET /api/v1/models`, which `OpenRouter` shows to everybody.
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    page(&call, &call.query()?, Modalities::TEXT, None)
}

/// `GET /api/v1/embeddings/models`
pub(crate) async fn embeddings(call: Call) -> Result<Response, Problem> {
    let mut filter: Filter = call.query()?;
    filter.output_modalities = None;
    page(&call, &filter, Modalities::EMBEDDINGS, None)
}

/// `GET /api/v1/models/user`: those that the key may use.
pub(crate) async fn of_key(call: Call) -> Result<Response, Problem> {
    let key = call.key()?;
    page(&call, &call.query()?, Modalities::TEXT, Some(key))
}

/// `GET /api/v1/models/count`
pub(crate) async fn count(call: Call) -> Result<Response, Problem> {
    let filter: Filter = call.query()?;
    let count = sold(&call.app, &filter, Modalities::TEXT, None)?.len();
    web::json(&Data { data: Count { count } })
}

/// `GET /api/v1/model/{author}/{slug}`
pub(crate) async fn one(call: Call) -> Result<Response, Problem> {
    let snapshot = call.app.snapshots.current();
    web::json(&Data { data: find(&call, &snapshot)?.1 })
}

/// The model that the path names, if it is sold, served and not gone.
pub(super) fn find(call: &Call, snapshot: &Snapshot) -> Result<(Model, ModelView), Problem> {
    let id = format!("{}/{}", call.param("author"), call.param("slug"));
    let wanted = Wanted { provider: None, model: id };
    let (_, model) = routing::find(&call.app, snapshot, &wanted)?;
    let bps = call.app.live.load().commission_bps;
    let view = models::is_listed(&call.app, snapshot, None, model)
        .then(|| ModelView::of(model, bps))
        .flatten();
    view.map(|view| (model.clone(), view)).ok_or_else(|| super::not_found("model"))
}

/// `GET /api/v1/providers`: those that are set up.
pub(crate) async fn providers(call: Call) -> Result<Response, Problem> {
    let on = call.app.providers.iter().filter(|one| call.app.providers.can_call(one.row.name));
    let data: Vec<ProviderView> = on.map(|provider| ProviderView::of(provider.row.name)).collect();
    web::json(&Data { data })
}

/// The models that are sold and asked for.
fn sold(
    app: &App,
    filter: &Filter,
    otherwise: Modalities,
    key: Option<&KeyEntry>,
) -> Result<Vec<ModelView>, Problem> {
    let snapshot = app.snapshots.current();
    let bps = app.live.load().commission_bps;
    let offered =
        snapshot.catalogue.models().filter(|model| models::is_listed(app, &snapshot, key, model));
    let mut views: Vec<ModelView> = offered.filter_map(|model| ModelView::of(model, bps)).collect();
    let aliased = models::aliased(app, &snapshot, key);
    views.extend(aliased.filter_map(|(name, model)| {
        let view = ModelView::of(model, bps)?;
        Some(ModelView { id: name.to_owned(), name: name.to_owned(), ..view })
    }));
    filter.of(views, otherwise)
}

fn page(
    call: &Call,
    filter: &Filter,
    otherwise: Modalities,
    key: Option<&KeyEntry>,
) -> Result<Response, Problem> {
    let sold = sold(&call.app, filter, otherwise, key)?;
    let total_count = sold.len();
    let (offset, limit) = filter.page()?;
    let data: Vec<ModelView> = sold.into_iter().skip(offset).take(limit).collect();
    let end = offset.saturating_add(data.len());
    let next = (!data.is_empty() && end < total_count).then(|| at_offset(&call.parts.uri, end));
    web::json(&ModelList { data, links: PageLinks { next: next.transpose()? }, total_count })
}

/// The same path and query with another offset.
fn at_offset(uri: &Uri, offset: usize) -> Result<String, Problem> {
    let pairs = serde_urlencoded::from_str(uri.query().unwrap_or_default());
    let mut pairs: Vec<(String, String)> = pairs.map_err(Problem::internal)?;
    pairs.retain(|(name, _)| name != "offset");
    pairs.push(("offset".to_owned(), offset.to_string()));
    let query = serde_urlencoded::to_string(pairs).map_err(Problem::internal)?;
    Ok(format!("{}?{query}", uri.path()))
}

impl ModelView {
    /// What cannot be sold has none.
    fn of(model: &Model, bps: u32) -> Option<Self> {
        let (id, info) = (models::model_id(model), &model.info);
        let mut input = vec!["text"];
        for (attribute, modality) in [
            ("supports_vision", "image"),
            ("supports_pdf", "file"),
            ("supports_audio_input", "audio"),
        ] {
            if info.has(attribute) {
                input.push(modality);
            }
        }
        let output = if info.mode == "embedding" { "embeddings" } else { "text" };
        Some(Self {
            canonical_slug: id.clone(),
            name: model.name.clone(),
            created: 0,
            description: "",
            context_length: info.context_window,
            architecture: Architecture {
                modality: format!("{}->{output}", input.join("+")),
                input_modalities: input,
                output_modalities: vec![output],
                tokenizer: "Other",
                instruct_type: None,
            },
            pricing: Pricing::of(model, bps)?,
            top_provider: TopProvider {
                context_length: info.context_window,
                max_completion_tokens: info.max_output_tokens,
                is_moderated: false,
            },
            supported_parameters: parameters(model),
            default_parameters: NoParameters {},
            per_request_limits: None,
            supported_voices: None,
            links: ModelLinks { details: format!("/api/v1/models/{id}/endpoints") },
            id,
        })
    }
}

impl Pricing {
    fn of(model: &Model, bps: u32) -> Option<Self> {
        let terms = Terms { at: clock::now(), ..Terms::default() };
        let rates = model.price.rates(0, &terms).ok()?;
        let price = |meter| rates.get(meter).map(|price| with_commission(price, bps));
        // Of vectors there is nothing generated that could be charged.
        let nothing = || (model.info.mode == "embedding").then(|| "0".to_owned());
        Some(Self {
            prompt: price(Meter::Input)?,
            completion: price(Meter::Output).or_else(nothing)?,
            input_cache_read: price(Meter::CacheRead),
            input_cache_write: price(Meter::CacheWrite5m),
            input_cache_write_1h: price(Meter::CacheWrite1h),
            internal_reasoning: price(Meter::Reasoning),
            web_search: price(Meter::WebSearch),
        })
    }
}

fn parameters(model: &Model) -> Vec<&'static str> {
    let mut parameters = vec!["max_tokens", "temperature", "top_p", "stop"];
    for (attribute, names) in [
        ("supports_tools", ["tools", "tool_choice"].as_slice()),
        ("supports_structured_output", &["response_format", "structured_outputs"]),
        ("supports_reasoning", &["reasoning", "include_reasoning"]),
    ] {
        if model.info.has(attribute) {
            parameters.extend(names);
        }
    }
    parameters
}

/// Dollars for one unit, exact: 16 decimals hold a pico-dollar and a basis point of it.
fn with_commission(price: UnitPrice, bps: u32) -> String {
    let units = i128::from(price.pico()) * (10_000 + i128::from(bps));
    let digits = format!("{units:017}");
    let (whole, fraction) = digits.split_at(digits.len() - 16);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// What a provider calls itself.
pub(super) fn provider_name(slug: &str) -> &str {
    match slug {
        "openai" => "OpenAI",
        "gemini" => "Google AI Studio",
        "anthropic" => "Anthropic",
        "deepseek" => "DeepSeek",
        other => other,
    }
}

impl ProviderView {
    fn of(slug: &'static str) -> Self {
        let (headquarters, privacy, terms, status) = match slug {
            "openai" => (
                Some("US"),
                Some("https://openai.com/policies/privacy-policy"),
                Some("https://openai.com/policies/services-agreement"),
                Some("https://status.openai.com"),
            ),
            "gemini" => (
                Some("US"),
                Some("https://policies.google.com/privacy"),
                Some("https://ai.google.dev/gemini-api/terms"),
                Some("https://aistudio.google.com/status"),
            ),
            "anthropic" => (
                Some("US"),
                Some("https://www.anthropic.com/legal/privacy"),
                Some("https://www.anthropic.com/legal/commercial-terms"),
                Some("https://status.anthropic.com"),
            ),
            "deepseek" => (
                Some("CN"),
                Some("https://cdn.deepseek.com/policies/en-US/deepseek-privacy-policy.html"),
                Some("https://cdn.deepseek.com/policies/en-US/deepseek-terms-of-use.html"),
                Some("https://status.deepseek.com"),
            ),
            _ => (None, None, None, None),
        };
        Self {
            name: provider_name(slug),
            slug,
            headquarters,
            datacenters: None,
            privacy_policy_url: privacy,
            terms_of_service_url: terms,
            status_page_url: status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_per_token_are_exact() {
        for (pico, bps, text) in [
            (150_000, 0, "0.00000015"),
            (150_000, 500, "0.0000001575"),
            (1, 1, "0.0000000000010001"),
            (0, 500, "0"),
            (2_000_000_000_000, 500, "2.1"),
        ] {
            let price = UnitPrice::from_pico(pico).expect("a price");
            assert_eq!(with_commission(price, bps), text);
        }
    }

    #[test]
    fn the_next_page_is_the_same_with_another_offset() {
        let next = |uri: &str| {
            let uri: Uri = uri.parse().expect("a URI");
            at_offset(&uri, 7).map_err(|problem| problem.message)
        };
        let path = Ok("/api/v1/models?limit=5&q=a+%26b&offset=7".to_owned());
        assert_eq!(next("/api/v1/models?limit=5&offset=2&q=a%20%26b"), path);
        assert_eq!(next("/api/v1/models"), Ok("/api/v1/models?offset=7".to_owned()));
    }
}
