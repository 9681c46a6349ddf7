//! Errors, both ways. <https://ai.google.dev/gemini-api/docs/troubleshooting>

use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::problem::{Kind, Problem, excerpt, says_overflow, seconds};

#[derive(Deserialize)]
struct Body {
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    message: Option<String>,
    status: Option<String>,
    details: Option<Vec<Detail>>,
}

/// One of several messages of `google.rpc`, told apart by what they hold.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    reason: Option<String>,
    retry_delay: Option<String>,
    violations: Option<Vec<Violation>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Violation {
    quota_id: Option<String>,
}

/// The body, or the only element of an array of one.
fn parse(body: &[u8]) -> Option<Error> {
    let one = serde_json::from_slice::<Body>(body).ok();
    let one = one.or_else(|| serde_json::from_slice::<Vec<Body>>(body).ok()?.into_iter().next());
    one?.error
}

pub(super) fn read(status: u16, retry_after: Option<&str>, body: &[u8]) -> Problem {
    let retry_after = retry_after.and_then(seconds);
    let Some(error) = parse(body) else {
        let kind = Kind::from_status(status);
        return Problem {
            kind,
            status,
            message: excerpt(body),
            retry_after,
            code: None,
            upstream: true,
        };
    };
    let message = error.message.unwrap_or_else(|| excerpt(body));
    let details = error.details.unwrap_or_default();
    let reason = |wanted: &str| details.iter().any(|d| d.reason.as_deref() == Some(wanted));
    let delay = details.iter().find_map(|d| d.retry_delay.as_deref()).and_then(seconds);
    // A quota of a day does not come back within any wait worth making.
    let daily = details
        .iter()
        .flat_map(|d| d.violations.iter().flatten())
        .any(|v| v.quota_id.as_deref().is_some_and(|id| id.contains("PerDay")));
    let kind = match error.status.as_deref() {
        // An invalid key is a 400 (recording `gemini.generateContent-6ddf5209ee0d`).
        _ if reason("API_KEY_INVALID") || reason("API_KEY_EXPIRED") => Kind::Auth,
        Some("INVALID_ARGUMENT") if says_overflow(&message) => Kind::ContextOverflow,
        Some("UNAUTHENTICATED") => Kind::Auth,
        // The precondition is the operator's: a region or billing that is not set up.
        Some("PERMISSION_DENIED" | "FAILED_PRECONDITION") => Kind::Forbidden,
        Some("NOT_FOUND") => Kind::NotFound,
        Some("RESOURCE_EXHAUSTED") if daily => Kind::Billing,
        Some("RESOURCE_EXHAUSTED") => Kind::RateLimit,
        Some("UNAVAILABLE") => Kind::Overloaded,
        Some("DEADLINE_EXCEEDED") => Kind::Timeout,
        Some("INTERNAL" | "UNKNOWN") => Kind::Upstream,
        _ => Kind::from_status(status),
    };
    Problem {
        kind,
        status,
        message,
        retry_after: delay.or(retry_after),
        code: error.status,
        upstream: true,
    }
}

#[derive(Serialize)]
struct OutBody<'a> {
    error: OutError<'a>,
}

#[derive(Serialize)]
struct OutError<'a> {
    code: u16,
    message: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<OutRetry>,
}

#[derive(Serialize)]
struct OutRetry {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "retryDelay")]
    retry_delay: String,
}

pub(super) fn write(problem: &Problem) -> (u16, Vec<u8>) {
    let (kind, message) = problem.shown();
    let status = match kind {
        Kind::BadRequest | Kind::ContextOverflow | Kind::TooLarge => "INVALID_ARGUMENT",
        Kind::Auth => "UNAUTHENTICATED",
        Kind::Billing | Kind::RateLimit => "RESOURCE_EXHAUSTED",
        Kind::Forbidden => "PERMISSION_DENIED",
        Kind::NotFound => "NOT_FOUND",
        Kind::Overloaded => "UNAVAILABLE",
        Kind::Timeout => "DEADLINE_EXCEEDED",
        Kind::Upstream | Kind::Malformed => "INTERNAL",
    };
    let details = problem.retry_after.filter(|_| kind == Kind::RateLimit).map(|wait| OutRetry {
        kind: "type.googleapis.com/google.rpc.RetryInfo",
        retry_delay: format!("{wait}s"),
    });
    let code = kind.status();
    let error = OutError { code, message, status, details: details.into_iter().collect() };
    (code, Json::of(&OutBody { error }).get().as_bytes().to_vec())
}
