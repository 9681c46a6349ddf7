//! Which models there are, as each dialect lists them: those that are sold, served and open to the caller's key.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Uri};
use ledger::{Model, Status};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::App;
use crate::auth::{self, Asked};
use crate::face::{ANTHROPIC, Face, GEMINI, OPENAI_CHAT};
use crate::inbound::Wanted;
use crate::problem::Problem;
use crate::snapshot::{KeyEntry, Snapshot};
use crate::{clock, routing};

const OPENAI_FACE: Face = Face::of(OPENAI_CHAT, "models");
const ANTHROPIC_FACE: Face = Face::of(ANTHROPIC, "models");
const GEMINI_FACE: Face = Face::of(GEMINI, "models");

/// What a page may ask for, in the words of Anthropic and of Gemini.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    limit: Option<usize>,
    after_id: Option<String>,
    before_id: Option<String>,
    #[serde(rename = "pageSize")]
    page_size: Option<usize>,
    #[serde(rename = "pageToken")]
    page_token: Option<String>,
}

impl Page {
    fn of(uri: &Uri) -> Result<Self, Problem> {
        let page = Query::<Self>::try_from_uri(uri);
        page.map(|Query(page)| page).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// `GET /v1/models`, for clients of `OpenAI`, for those of Anthropic, who send its version, and for those of Gemini.
pub(crate) async fn list(State(app): State<Arc<App>>, parts: Parts) -> Response {
    if is_gemini(&parts) {
        return list_gemini(State(app), parts).await;
    }
    let (face, view): (_, fn(&Listed) -> Value) = faced(&parts.headers);
    let page = open(&app, &parts).and_then(|listed| Ok((listed, Page::of(&parts.uri)?)));
    match page {
        Err(problem) => problem.response(face),
        Ok((listed, page)) if face.is(wire::anthropic::NAME) => anthropic_page(&listed, &page)
            .map_or_else(|problem| problem.response(face), IntoResponse::into_response),
        Ok((listed, _)) => {
            let data: Vec<Value> = listed.iter().map(view).collect();
            Json(json!({ "object": "list", "data": data })).into_response()
        }
    }
}

/// `GET /v1/models/{id}`
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    parts: Parts,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    if is_gemini(&parts) {
        return one_gemini(State(app), parts, id).await;
    }
    let id = text(id);
    let (face, view) = faced(&parts.headers);
    find(&app, &parts, &id)
        .map_or_else(|problem| problem.response(face), |listed| Json(view(&listed)).into_response())
}

/// The rest of a path. One that is no text is nobody's name.
pub(crate) fn text(path: Result<Path<String>, PathRejection>) -> String {
    path.map(|Path(path)| path).unwrap_or_default()
}

/// Whether the caller is one of Gemini's, whose SDKs have a version `v1` too.
fn is_gemini(Parts { headers, uri, .. }: &Parts) -> bool {
    let in_query =
        || uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("key=")));
    headers.contains_key("x-goog-api-key") || in_query()
}

/// What Anthropic's clients send with every request.
pub(crate) const ANTHROPIC_VERSION: &str = "anthropic-version";

fn faced(headers: &HeaderMap) -> (Face, fn(&Listed) -> Value) {
    if headers.contains_key(ANTHROPIC_VERSION) {
        (ANTHROPIC_FACE, Listed::anthropic)
    } else {
        (OPENAI_FACE, Listed::openai)
    }
}

/// `GET /v1beta/models`, and of `v1alpha`, which `google-genai` can be told to use
pub(crate) async fn list_gemini(State(app): State<Arc<App>>, parts: Parts) -> Response {
    let page = open(&app, &parts).and_then(|listed| gemini_page(&listed, &Page::of(&parts.uri)?));
    page.map_or_else(|problem| problem.response(GEMINI_FACE), IntoResponse::into_response)
}

fn gemini_page(listed: &[Listed], page: &Page) -> Result<Json<Value>, Problem> {
    let bad = || Problem::bad_request("pageToken: expected the nextPageToken of another page");
    let start = match page.page_token.as_deref().filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => token.parse().map_err(|_| bad())?,
    };
    let size = page.page_size.filter(|size| *size > 0).unwrap_or(50).min(1_000);
    let models: Vec<Value> = listed.iter().skip(start).take(size).map(Listed::gemini).collect();
    let mut body = json!({ "models": models });
    let next = start.saturating_add(size);
    if next < listed.len() {
        body["nextPageToken"] = json!(next.to_string());
    }
    Ok(Json(body))
}

/// `GET /v1beta/models/{id}`
pub(crate) async fn one_gemini(
    State(app): State<Arc<App>>,
    parts: Parts,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    find(&app, &parts, &text(id)).map_or_else(
        |problem| problem.response(GEMINI_FACE),
        |listed| Json(listed.gemini()).into_response(),
    )
}

fn open(app: &App, parts: &Parts) -> Result<Vec<Listed>, Problem> {
    let snapshot = app.snapshots.current();
    let key = auth::caller(&snapshot, &Asked::of(parts, clock::now()), None)?;
    Ok(offered(app, &snapshot, &key))
}

fn find(app: &App, parts: &Parts, id: &str) -> Result<Listed, Problem> {
    let snapshot = app.snapshots.current();
    let key = auth::caller(&snapshot, &Asked::of(parts, clock::now()), None)?;
    let wanted = Wanted { provider: None, model: id.to_owned() };
    let (provider, model) = routing::find(app, &snapshot, &wanted)?;
    if !key.may_use(provider.row.name, &model.name) {
        return Err(routing::forbidden(provider.row.name, &model.name));
    }
    Ok(Listed { id: id.strip_prefix("models/").unwrap_or(id).to_owned(), model: model.clone() })
}

/// Whether a model can be asked for: its provider has a credential, be it the account's own where one is meant, and nobody
/// says that it is gone or hidden.
pub(crate) fn is_offered(
    app: &App,
    snapshot: &Snapshot,
    account: Option<Uuid>,
    model: &Model,
) -> bool {
    const MODES: [&str; 4] = ["chat", "responses", "completion", "embedding"];
    let on = |name: &str| match account {
        Some(account) => app.providers.can_call_for(account, name),
        None => app.providers.can_call(name),
    };
    MODES.contains(&model.info.mode.as_str())
        && model.info.status != Status::Retired
        && on(&model.provider)
        && !snapshot.hides(model)
}

/// Whether a model can be asked for with that key; without one, by whoever has a key.
pub(crate) fn is_listed(
    app: &App,
    snapshot: &Snapshot,
    key: Option<&KeyEntry>,
    model: &Model,
) -> bool {
    is_offered(app, snapshot, key.map(|key| key.account_id), model)
        && key.is_none_or(|key| key.may_use(&model.provider, &model.name))
}

/// The models that can be asked for.
fn offered(app: &App, snapshot: &Snapshot, key: &KeyEntry) -> Vec<Listed> {
    let all =
        snapshot.catalogue.models().filter(|model| is_listed(app, snapshot, Some(key), model));
    let listed = all.map(|model| {
        let namesakes = snapshot.catalogue.providers_of(&model.name);
        let alone = namesakes.filter(|one| !snapshot.hides(one)).nth(1).is_none();
        let id = if alone { model.name.clone() } else { model_id(model) };
        Listed { id, model: model.clone() }
    });
    let mut listed: Vec<Listed> = listed.collect();
    let others = aliased(app, snapshot, Some(key));
    listed.extend(others.map(|(id, model)| Listed { id: id.to_owned(), model: model.clone() }));
    listed
}

/// The models that can be asked for by other names, with those that are not hidden.
pub(crate) fn aliased<'a>(
    app: &'a App,
    snapshot: &'a Snapshot,
    key: Option<&'a KeyEntry>,
) -> impl Iterator<Item = (&'a str, &'a Model)> {
    let open = snapshot.aliases.iter().filter(|(_, alias)| !alias.hidden);
    let found = open.filter_map(|(name, alias)| {
        Some((name.as_str(), snapshot.catalogue.get(&alias.provider, &alias.model)?))
    });
    found.filter(move |(_, model)| is_listed(app, snapshot, key, model))
}

pub(crate) fn model_id(model: &Model) -> String {
    format!("{}/{}", model.provider, model.name)
}

fn anthropic_page(listed: &[Listed], page: &Page) -> Result<Json<Value>, Problem> {
    let place = |name: &str, id: &Option<String>| match id {
        None => Ok(None),
        Some(id) => match listed.iter().position(|listed| listed.id == *id) {
            Some(place) => Ok(Some(place)),
            None => Err(Problem::bad_request(format!("{name}: there is no model {id:?}"))),
        },
    };
    let limit = page.limit.unwrap_or(20);
    if !(1..=1_000).contains(&limit) {
        return Err(Problem::bad_request("limit: expected a whole number from 1 to 1000"));
    }
    let after = place("after_id", &page.after_id)?;
    let before = place("before_id", &page.before_id)?;
    let start = match (after, before) {
        (Some(after), _) => after + 1,
        (None, Some(before)) => before.saturating_sub(limit),
        (None, None) => 0,
    };
    let end = before.unwrap_or(listed.len()).min(start.saturating_add(limit));
    let shown = listed.get(start..end).unwrap_or_default();
    // There is more in the direction in which the client goes.
    let has_more = if after.is_none() && before.is_some() { start > 0 } else { end < listed.len() };
    let id = |listed: Option<&Listed>| listed.map(|listed| listed.id.clone());
    let data: Vec<Value> = shown.iter().map(Listed::anthropic).collect();
    Ok(Json(json!({
        "data": data, "has_more": has_more,
        "first_id": id(shown.first()), "last_id": id(shown.last()),
    })))
}

/// A model under the name by which the client may ask for it.
struct Listed {
    id: String,
    model: Model,
}

impl Listed {
    /// <https://platform.openai.com/docs/api-reference/models/object>
    fn openai(&self) -> Value {
        json!({ "id": self.id, "object": "model", "created": 0, "owned_by": self.model.provider })
    }

    /// <https://docs.claude.com/en/api/models>
    fn anthropic(&self) -> Value {
        json!({
            "type": "model", "id": self.id, "display_name": self.model.name,
            "created_at": "1970-01-01T00:00:00Z",
            "max_input_tokens": self.model.info.context_window,
            "max_tokens": self.model.info.max_output_tokens,
        })
    }

    /// <https://ai.google.dev/api/models>
    fn gemini(&self) -> Value {
        let info = &self.model.info;
        let methods: &[&str] = if info.mode == "embedding" {
            &["embedContent", "batchEmbedContents"]
        } else {
            &["generateContent", "streamGenerateContent", "countTokens"]
        };
        json!({
            "name": format!("models/{}", self.id), "baseModelId": self.model.name, "version": "",
            "displayName": self.model.name,
            "inputTokenLimit": info.context_window, "outputTokenLimit": info.max_output_tokens,
            "supportedGenerationMethods": methods, "thinking": info.has("supports_reasoning"),
        })
    }
}
