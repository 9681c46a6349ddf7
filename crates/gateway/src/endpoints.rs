//! The endpoints of inference: which path speaks which dialect, for which operation.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};

use crate::app::App;
use crate::face::{ANTHROPIC, Face, GEMINI, OPENAI_CHAT, OPENAI_RESPONSES, Speech};
use crate::inbound::{Named, Operation};
use crate::problem::Problem;
use crate::{models, pipeline};

const CHAT: Face = Face::of(OPENAI_CHAT, "openai_chat");
const RESPONSES: Face = Face::of(OPENAI_RESPONSES, "openai_responses");
const MESSAGES: Face = Face::of(ANTHROPIC, "anthropic");
const GENERATE: Face = Face::of(GEMINI, "gemini");
const COMPLETIONS: Face =
    Face { surface: "openai_completions", speech: Speech::Completions, openrouter: false };

type Routes = Router<Arc<App>>;

/// All endpoints of inference. A key is taken wherever one of the SDKs puts it, on any of them.
pub(crate) fn routes() -> Routes {
    openai().merge(anthropic()).merge(gemini()).merge(openrouter())
}

fn openai() -> Routes {
    Router::new()
        .route("/v1/chat/completions", endpoint(CHAT, Operation::Chat))
        .route("/v1/responses", endpoint(RESPONSES, Operation::Chat))
        .route("/v1/responses/input_tokens", endpoint(RESPONSES, Operation::Count))
        .route("/v1/completions", endpoint(COMPLETIONS, Operation::Chat))
        .route("/v1/embeddings", endpoint(CHAT, Operation::Embed))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one).post(generate))
}

fn anthropic() -> Routes {
    Router::new()
        .route("/v1/messages", endpoint(MESSAGES, Operation::Chat))
        .route("/v1/messages/count_tokens", endpoint(MESSAGES, Operation::Count))
}

fn gemini() -> Routes {
    Router::new()
        .route("/v1beta/models", get(models::list_gemini))
        .route("/v1beta/models/{*id}", get(models::one_gemini).post(generate))
}

fn openrouter() -> Routes {
    let chat = CHAT.for_openrouter("openrouter");
    Router::new()
        .route("/api/v1/chat/completions", endpoint(chat, Operation::Chat))
        .route(
            "/api/v1/responses",
            endpoint(RESPONSES.for_openrouter("openrouter"), Operation::Chat),
        )
        .route("/api/v1/messages", endpoint(MESSAGES.for_openrouter("openrouter"), Operation::Chat))
        .route(
            "/api/v1/completions",
            endpoint(COMPLETIONS.for_openrouter("openrouter"), Operation::Chat),
        )
        .route("/api/v1/embeddings", endpoint(chat, Operation::Embed))
        .route("/api/v1/models", get(models::list_openrouter))
}

/// An endpoint whose path says everything but the model.
pub(crate) fn endpoint(face: Face, operation: Operation) -> axum::routing::MethodRouter<Arc<App>> {
    post(move |State(app): State<Arc<App>>, request: Request| {
        pipeline::serve(app, face, operation, Named::default(), request)
    })
}

/// `models/{model}:{verb}`: the model's own name may have a colon too.
async fn generate(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
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
            return Problem::new(http::StatusCode::NOT_FOUND, "not_found", message)
                .response(GENERATE);
        }
    };
    let named = Named { model: Some(model.to_owned()), verb: verb.to_owned() };
    pipeline::serve(app, GENERATE, operation, named, request).await
}
