//! Errors, both ways. <https://docs.claude.com/en/api/errors>

use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::problem::{Kind, Problem, excerpt, says_overflow, seconds};

#[derive(Deserialize)]
struct Body {
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
    details: Option<Json>,
}

#[derive(Deserialize)]
struct Details {
    error_code: Option<String>,
}

/// An error in the middle of a stream, which has no status of its own.
pub(super) fn read_event(data: &str) -> Problem {
    let body = serde_json::from_str::<Body>(data).ok();
    let kind = body.and_then(|body| body.error).and_then(|error| error.kind);
    let status = match kind.as_deref() {
        Some("invalid_request_error") => 400,
        Some("authentication_error") => 401,
        Some("billing_error") => 402,
        Some("permission_error") => 403,
        Some("not_found_error") => 404,
        Some("conflict_error") => 409,
        Some("request_too_large") => 413,
        Some("rate_limit_error") => 429,
        Some("timeout_error") => 504,
        Some("overloaded_error") => 529,
        _ => 500,
    };
    read(status, None, data.as_bytes())
}

pub(super) fn read(status: u16, retry_after: Option<&str>, body: &[u8]) -> Problem {
    let error = serde_json::from_slice::<Body>(body).ok().and_then(|body| body.error);
    let retry_after = retry_after.and_then(seconds);
    let Some(error) = error else {
        let kind = Kind::from_status(status);
        return Problem {
            kind,
            status,
            message: excerpt(body),
            retry_after,
            code: None,
            param: None,
            upstream: true,
        };
    };
    let message = error.message.unwrap_or_else(|| excerpt(body));
    let details = error.details.and_then(|d| serde_json::from_str::<Details>(d.get()).ok());
    let code = details.and_then(|details| details.error_code);
    let spent = code.as_deref().is_some_and(|code| code.ends_with("spend_limit_reached"));
    let kind = match error.kind.as_deref() {
        _ if spent => Kind::Billing,
        Some("invalid_request_error") if says_overflow(&message) => Kind::ContextOverflow,
        // The type says less than the status where a server adds statuses of its own.
        Some("invalid_request_error") if status >= 500 => Kind::from_status(status),
        Some("invalid_request_error") => Kind::BadRequest,
        Some("authentication_error") => Kind::Auth,
        Some("billing_error") => Kind::Billing,
        Some("permission_error") => Kind::Forbidden,
        Some("not_found_error") => Kind::NotFound,
        Some("request_too_large") => Kind::TooLarge,
        Some("rate_limit_error") => Kind::RateLimit,
        Some("overloaded_error") => Kind::Overloaded,
        Some("timeout_error") => Kind::Timeout,
        Some("api_error") => Kind::Upstream,
        _ => Kind::from_status(status),
    };
    Problem {
        kind,
        status,
        message,
        retry_after,
        code: code.or(error.kind),
        param: None,
        upstream: true,
    }
}

#[derive(Serialize)]
struct OutBody<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    error: OutError<'a>,
}

#[derive(Serialize)]
struct OutError<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<OutDetails>,
}

#[derive(Serialize)]
struct OutDetails {
    error_code: &'static str,
    unsupported: [&'static str; 1],
}

/// Where nobody keeps a thread, Anthropic's SDKs send the whole conversation by themselves when they are told so.
fn details(problem: &Problem) -> Option<OutDetails> {
    const FIELD: &str = "thread";
    let about = !problem.upstream && problem.param.as_deref() == Some(FIELD);
    about.then_some(OutDetails { error_code: "thread_unsupported_request", unsupported: [FIELD] })
}

pub(super) fn write(problem: &Problem) -> (u16, Vec<u8>) {
    let (kind, message) = problem.shown();
    let class = match kind {
        Kind::BadRequest | Kind::ContextOverflow => "invalid_request_error",
        Kind::Auth => "authentication_error",
        Kind::Billing => "billing_error",
        Kind::Forbidden => "permission_error",
        Kind::NotFound => "not_found_error",
        Kind::TooLarge => "request_too_large",
        Kind::RateLimit => "rate_limit_error",
        Kind::Overloaded => "overloaded_error",
        Kind::Timeout => "timeout_error",
        Kind::Upstream | Kind::Malformed => "api_error",
    };
    let status = match kind {
        Kind::Overloaded => 529,
        kind => problem.client_status(kind),
    };
    let body = OutBody {
        kind: "error",
        error: OutError { kind: class, message, details: details(problem) },
    };
    (status, Json::of(&body).get().as_bytes().to_vec())
}
