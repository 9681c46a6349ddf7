//! The endpoints of inference: which path speaks which dialect, for which operation.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, Method};

use crate::app::App;
use crate::auth::Peer;
use crate::face::{ANTHROPIC, Face, GEMINI, OPENAI_CHAT, OPENAI_RESPONSES, Speech};
use crate::inbound::{Named, Operation};
use crate::problem::Problem;
use crate::web::{Policy, Shape};
use crate::{answer, clock, models, native, pipeline, unread};

const CHAT: Face = Face::of(OPENAI_CHAT, "openai_chat");
const RESPONSES: Face = Face::of(OPENAI_RESPONSES, "openai_responses");
const MESSAGES: Face = Face::of(ANTHROPIC, "anthropic");
const GENERATE: Face = Face::of(GEMINI, "gemini");
const COMPLETIONS: Face =
    Face { surface: "openai_completions", speech: Speech::Completions, openrouter: false };

type Routes = Router<Arc<App>>;

/// The endpoints that call a model, whose path says everything but which. A key is taken wherever one of the SDKs puts it,
/// on any of them.
const ENDPOINTS: [(&str, Face, Operation); 14] = [
    ("/api/layers/chat", Face::NATIVE, Operation::Chat),
    ("/v1/chat/completions", CHAT, Operation::Chat),
    ("/v1/messages", MESSAGES, Operation::Chat),
    ("/v1/responses", RESPONSES, Operation::Chat),
    ("/v1/responses/input_tokens", RESPONSES, Operation::Count),
    ("/v1/completions", COMPLETIONS, Operation::Chat),
    ("/v1/embeddings", CHAT, Operation::Embed),
    ("/v1/messages/count_tokens", MESSAGES, Operation::Count),
    ("/api/v1/chat/completions", CHAT.for_openrouter(OPENROUTER), Operation::Chat),
    ("/api/v1/responses", RESPONSES.for_openrouter(OPENROUTER), Operation::Chat),
    ("/api/v1/messages", MESSAGES.for_openrouter(OPENROUTER), Operation::Chat),
    ("/api/v1/messages/count_tokens", MESSAGES.for_openrouter(OPENROUTER), Operation::Count),
    ("/api/v1/completions", COMPLETIONS.for_openrouter(OPENROUTER), Operation::Chat),
    ("/api/v1/embeddings", CHAT.for_openrouter(OPENROUTER), Operation::Embed),
];

const OPENROUTER: &str = "openrouter";

/// The endpoint of a call, looked up without the router, whose layers it does not need.
pub(crate) fn direct(method: &Method, path: &str) -> Option<(Face, Operation)> {
    if method != Method::POST {
        return None;
    }
    let found = ENDPOINTS.iter().find(|(known, ..)| *known == path);
    found.map(|(_, face, operation)| (*face, *operation))
}

/// All endpoints that call a model.
pub(crate) fn inference() -> Routes {
    let gemini = Router::new()
        .route("/v1beta/models/{*id}", post(generate))
        .route("/v1alpha/models/{*id}", post(generate))
        .route("/v1/models/{*id}", post(generate));
    ENDPOINTS.iter().fold(gemini, |routes, (path, face, operation)| {
        routes.route(path, endpoint(*face, *operation))
    })
}

/// Which models there are.
pub(crate) fn models() -> Routes {
    Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1beta/models", get(models::list_gemini))
        .route("/v1beta/models/{*id}", get(models::one_gemini))
        .route("/v1alpha/models", get(models::list_gemini))
        .route("/v1alpha/models/{*id}", get(models::one_gemini))
}

/// An endpoint that is not in the table of routes, for whoever describes the API.
pub(crate) struct Described {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) policy: Policy,
    /// Where its dialect is described.
    pub(crate) source: Option<&'static str>,
    /// A body that it takes.
    pub(crate) example: Option<&'static str>,
    /// What it takes and gives, where that is a format of our own.
    pub(crate) shapes: Option<(Shape, Shape)>,
}

/// The least that an endpoint can be asked.
fn example(path: &str) -> Option<&'static str> {
    const GPT: &str =
        r#"{"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}"#;
    const CLAUDE: &str = r#"{"model": "anthropic/claude-sonnet-4-5", "max_tokens": 256, "messages": [{"role": "user", "content": "Hello"}]}"#;
    const COUNTED: &str = r#"{"model": "anthropic/claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hello"}]}"#;
    const INPUT: &str = r#"{"model": "openai/gpt-4o-mini", "input": "Hello"}"#;
    const EMBEDDED: &str = r#"{"model": "openai/text-embedding-3-small", "input": "Hello"}"#;
    const GEMINI: &str = r#"{"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}"#;
    const NATIVE: &str =
        r#"{"providerName": "openai", "model_name": "gpt-4o-mini", "message": "Hello"}"#;
    const COMPLETED: &str = r#"{"model": "openai/gpt-4o-mini", "prompt": "Hello"}"#;
    let ends = [
        ("/layers/chat", NATIVE),
        ("/chat/completions", GPT),
        ("/completions", COMPLETED),
        ("/responses", INPUT),
        ("/responses/input_tokens", INPUT),
        ("/messages", CLAUDE),
        ("/messages/count_tokens", COUNTED),
        ("/embeddings", EMBEDDED),
        ("/models/{*id}", GEMINI),
    ];
    ends.into_iter().find(|(end, _)| path.ends_with(end)).map(|(_, example)| example)
}

/// The endpoints of this file.
pub(crate) fn described() -> Vec<Described> {
    let called = ENDPOINTS.iter().map(|(path, face, operation)| Described {
        method: "POST",
        path,
        summary: match operation {
            Operation::Chat => "Ask a model",
            Operation::Count => "Count the tokens of a prompt",
            Operation::Embed => "Embed texts",
        },
        policy: Policy::Inference,
        source: face.source(),
        example: example(path),
        shapes: matches!(face.speech, Speech::Native).then_some(native::chat::SHAPES),
    });
    let gemini = GENERATE.source();
    let key = Policy::Api(None);
    let (post, get) = ("POST", "GET");
    let others = [
        (post, "/v1beta/models/{*id}", "Ask a model of Gemini's form", Policy::Inference, gemini),
        (post, "/v1alpha/models/{*id}", "Ask a model of Gemini's form", Policy::Inference, gemini),
        (post, "/v1/models/{*id}", "Ask a model of Gemini's form", Policy::Inference, gemini),
        (get, "/v1/models", "The models that the key may use", key, CHAT.source()),
        (get, "/v1/models/{*id}", "One model", key, CHAT.source()),
        (get, "/v1beta/models", "The models that the key may use", key, gemini),
        (get, "/v1beta/models/{*id}", "One model", key, gemini),
        (get, "/v1alpha/models", "The models that the key may use", key, gemini),
        (get, "/v1alpha/models/{*id}", "One model", key, gemini),
        (get, "/api/v1/models", "All models and what they cost", Policy::Public, None),
        (get, "/healthz", "Whether the process runs", Policy::Public, None),
        (get, "/readyz", "Whether it can serve requests now", Policy::Public, None),
    ];
    let others = others.into_iter().map(|(method, path, summary, policy, source)| Described {
        method,
        path,
        summary,
        policy,
        source,
        example: example(path).filter(|_| method == post),
        shapes: None,
    });
    called.chain(others).collect()
}

/// How a client is spoken to that has found no endpoint: by the base of its path, and where two dialects share one by
/// its headers.
pub(crate) fn face(path: &str, headers: &HeaderMap) -> Face {
    let below = |base: &str| {
        let rest = path.strip_prefix(base)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    };
    let is_anthropic = |rest: &str| {
        rest.starts_with("/messages") || headers.contains_key(models::ANTHROPIC_VERSION)
    };
    if let Some(rest) = below("/api/v1") {
        let face = if is_anthropic(rest) { MESSAGES } else { CHAT };
        return face.for_openrouter(OPENROUTER);
    }
    match below("/v1") {
        Some(rest) if is_anthropic(rest) => MESSAGES,
        Some(rest) if rest.starts_with("/models/") && rest.contains(':') => GENERATE,
        Some(_) => CHAT,
        None if below("/v1beta").or_else(|| below("/v1alpha")).is_some() => GENERATE,
        None => Face::NATIVE,
    }
}

/// Answers a request that no endpoint takes.
pub(crate) async fn refuse(app: &App, face: Face, request: Request, problem: Problem) -> Response {
    let (parts, body) = request.into_parts();
    unread::refused(app, &parts.headers, body).await;
    let mut response = problem.response(face);
    answer::name(response.headers_mut(), clock::new_id());
    response
}

/// An endpoint whose path says everything but the model.
fn endpoint(face: Face, operation: Operation) -> axum::routing::MethodRouter<Arc<App>> {
    post(move |State(app): State<Arc<App>>, request: Request| {
        let peer = Peer::of(request.extensions());
        pipeline::serve(app, (face, operation, Named::default()), peer, request)
    })
}

/// `models/{model}:{verb}`: the model's own name may have a colon too.
async fn generate(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let path = models::text(path);
    let (model, verb) = path.rsplit_once(':').unwrap_or((path.as_str(), ""));
    let operation = match verb {
        "generateContent" | "streamGenerateContent" => Operation::Chat,
        "countTokens" => Operation::Count,
        "embedContent" | "batchEmbedContents" => Operation::Embed,
        _ => {
            let message = format!(
                "the path ends with {verb:?}; expected :generateContent, :streamGenerateContent, :countTokens, \
                 :embedContent or :batchEmbedContents"
            );
            let problem = Problem::new(http::StatusCode::NOT_FOUND, "not_found", message);
            return refuse(&app, GENERATE, request, problem).await;
        }
    };
    let named = Named { model: Some(model.to_owned()), verb: verb.to_owned() };
    let peer = Peer::of(request.extensions());
    pipeline::serve(app, (GENERATE, operation, named), peer, request).await
}
