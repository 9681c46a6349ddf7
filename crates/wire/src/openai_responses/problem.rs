//! Errors, both ways: the shape of Chat Completions, and what streams and failed answers say.
//! <https://platform.openai.com/docs/api-reference/responses-streaming/error>

use crate::Dialect as _;
use crate::json::{self, Json, wire};
use crate::openai_chat::OpenaiChat;
use crate::problem::{Kind, Problem};

pub(super) fn read(status: u16, retry_after: Option<&str>, body: &[u8]) -> Problem {
    OpenaiChat.read_problem(status, retry_after, body)
}

pub(super) fn write(problem: &Problem) -> (u16, Vec<u8>) {
    OpenaiChat.write_problem(problem)
}

wire! {
    struct Said {
        code: Json,
        message: Json,
        #[serde(rename = "type")]
        kind: Json,
    }
}

/// Reads the error of a stream, for which no HTTP status stands: `error` is the object that has `code` and `message`.
pub(super) fn from_stream(error: &Json) -> Problem {
    let said: Said = json::read(error.get(), "error").unwrap_or_default();
    let word = |value: &Option<Json>| value.as_ref().and_then(Json::as_string);
    let (code, kind) = (word(&said.code), word(&said.kind));
    let is = |wanted: &str| code.as_deref() == Some(wanted) || kind.as_deref() == Some(wanted);
    let status = if is("rate_limit_exceeded") || is("insufficient_quota") {
        429
    } else if is("invalid_request_error") || code.as_deref().is_some_and(blames_the_request) {
        400
    } else {
        500
    };
    let message = word(&said.message).filter(|text| !text.is_empty());
    let message = message.unwrap_or_else(|| "the provider broke off and gave no reason".to_owned());
    let error = json::object_with(
        &Said::default(),
        &[
            ("message".to_owned(), Json::of(&message)),
            ("code".to_owned(), said.code.unwrap_or_else(|| Json::of(&()))),
        ],
    );
    let body = json::object_with(&Said::default(), &[("error".to_owned(), error)]);
    let problem = read(status, None, body.get().as_bytes());
    if crate::problem::says_overflow(&problem.message) && status != 429 {
        return Problem { kind: Kind::ContextOverflow, status: 400, ..problem };
    }
    problem
}

/// Codes of a request that would fail again.
fn blames_the_request(code: &str) -> bool {
    const ALSO: [&str; 5] = [
        "data_residency_mismatch",
        "failed_to_download_image",
        "context_length_exceeded",
        "model_not_found",
        "unsupported_image_media_type",
    ];
    code.starts_with("invalid_")
        || code.starts_with("image_")
        || code.contains("_image_")
        || code.contains("policy")
        || ALSO.contains(&code)
}

/// The error object of a failed answer.
pub(super) fn object(problem: &Problem) -> Json {
    let (_, message) = problem.shown();
    Json::of(&Said {
        code: Some(Json::of(&code(problem))),
        message: Some(Json::of(&message)),
        kind: None,
    })
}

/// The code of an error in the words of this API.
pub(super) fn code(problem: &Problem) -> &'static str {
    match problem.shown().0 {
        Kind::RateLimit => "rate_limit_exceeded",
        Kind::Billing => "insufficient_quota",
        Kind::ContextOverflow => "context_length_exceeded",
        Kind::BadRequest | Kind::TooLarge | Kind::NotFound => "invalid_prompt",
        Kind::Auth | Kind::Forbidden => "invalid_api_key",
        Kind::Overloaded | Kind::Timeout | Kind::Upstream | Kind::Malformed => "server_error",
    }
}
