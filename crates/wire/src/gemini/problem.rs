//! Errors, both ways. <https://ai.google.dev/gemini-api/docs/troubleshooting>

use serde::{Deserialize, Serialize};

use crate::json::{Count, Json};
use crate::problem::{Kind, Problem, excerpt, says_overflow, seconds};

#[derive(Deserialize)]
struct Body {
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    code: Option<Count>,
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
    // A struct can be read from an array too, but not this one.
    let one: Body = if body.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice::<Vec<Body>>(body).ok()?.into_iter().next()?
    } else {
        serde_json::from_slice(body).ok()?
    };
    one.error
}

/// Whether a text is an error in an array of one.
pub(super) fn is_wrapped(data: &str) -> bool {
    data.starts_with('[') && parse(data.as_bytes()).is_some()
}

/// The error that a stream brought in place of an element. The HTTP status was 200 by then; the error has its own.
pub(super) fn in_stream(data: &str) -> Problem {
    const UNSAID: u16 = 500;
    let code = parse(data.as_bytes()).and_then(|error| error.code);
    let status = code.and_then(|code| u16::try_from(code.n).ok()).filter(|code| *code >= 400);
    let status = status.unwrap_or(UNSAID);
    read(status, None, data.as_bytes())
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
            param: None,
            upstream: true,
        };
    };
    let message = error.message.unwrap_or_else(|| excerpt(body));
    let details = error.details.unwrap_or_default();
    let reasons = || details.iter().filter_map(|detail| detail.reason.as_deref());
    let reason = |wanted: &str| reasons().any(|reason| reason == wanted);
    let delay = details.iter().find_map(|d| d.retry_delay.as_deref()).and_then(seconds);
    let quotas = || {
        let violations = details.iter().flat_map(|detail| detail.violations.iter().flatten());
        violations.filter_map(|violation| violation.quota_id.as_deref())
    };
    // A quota of a day does not come back within any wait worth making.
    let daily = quotas().find(|id| id.contains("PerDay"));
    // The most telling word: which quota is spent, else the reason, else the status.
    let code = daily.or_else(|| quotas().next()).or_else(|| reasons().next()).map(str::to_owned);
    let kind = match error.status.as_deref() {
        // An invalid key is a 400 (recording `gemini.generateContent-6ddf5209ee0d`).
        _ if reason("API_KEY_INVALID") || reason("API_KEY_EXPIRED") => Kind::Auth,
        Some("INVALID_ARGUMENT") if says_overflow(&message) => Kind::ContextOverflow,
        Some("UNAUTHENTICATED") => Kind::Auth,
        // The precondition is the operator's: a region or billing that is not set up.
        Some("PERMISSION_DENIED" | "FAILED_PRECONDITION") => Kind::Forbidden,
        Some("NOT_FOUND") => Kind::NotFound,
        Some("RESOURCE_EXHAUSTED") if daily.is_some() => Kind::Billing,
        Some("RESOURCE_EXHAUSTED") => Kind::RateLimit,
        Some("UNAVAILABLE") => Kind::Overloaded,
        Some("DEADLINE_EXCEEDED") => Kind::Timeout,
        // 499: the provider gave up on it; the client is still there.
        Some("INTERNAL" | "UNKNOWN" | "CANCELLED" | "ABORTED") => Kind::Upstream,
        _ => Kind::from_status(status),
    };
    Problem {
        kind,
        status,
        message,
        retry_after: delay.or(retry_after),
        code: code.or(error.status),
        param: None,
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
    let code = problem.client_status(kind);
    let error = OutError { code, message, status, details: details.into_iter().collect() };
    (code, Json::of(&OutBody { error }).get().as_bytes().to_vec())
}
