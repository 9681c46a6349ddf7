//! Errors as clients of `OpenRouter` read them. <https://openrouter.ai/docs/api-reference/errors>

use serde::Serialize;

use super::problem;
use crate::Problem;
use crate::json::Json;
use crate::problem::Kind;

#[derive(Serialize)]
struct Error<'a> {
    /// The status.
    code: u16,
    message: &'a str,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    /// One of the words that its SDKs know.
    error_type: &'static str,
    /// Our own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

/// Status and body of an error: `{"error":{"code":402,"message":"…","metadata":{…}}}`.
pub fn write_problem(problem: &Problem) -> (u16, Vec<u8>) {
    let (status, error) = error(problem);
    (status, format!("{{\"error\":{}}}", error.get()).into_bytes())
}

/// The members of a chunk that ends a stream with an error, behind those that all chunks have.
pub(super) fn last_chunk(problem: &Problem) -> String {
    let (_, error) = error(problem);
    let delta = "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}";
    let choice = format!("{delta},\"logprobs\":null,\"finish_reason\":\"error\"}}");
    format!(",\"error\":{},\"choices\":[{choice}]}}", error.get())
}

fn error(problem: &Problem) -> (u16, Json) {
    let (status, _) = problem::write(problem);
    let status = match (problem.kind, status) {
        // OpenAI calls spent credit a 429.
        (Kind::Billing, _) if !problem.upstream => 402,
        (_, 504) => 408,
        (_, status) => status,
    };
    let (kind, message) = problem.shown();
    let metadata = Metadata {
        error_type: word(kind, status, problem.upstream),
        code: problem.code.as_deref(),
    };
    (status, Json::of(&Error { code: status, message, metadata }))
}

/// Of the words that are the same in all its formats.
const fn word(kind: Kind, status: u16, upstream: bool) -> &'static str {
    match (kind, status) {
        (_, 413) | (Kind::TooLarge, _) => "payload_too_large",
        (_, 422) => "unprocessable",
        (Kind::BadRequest, _) => "invalid_request",
        (Kind::ContextOverflow, _) => "context_length_exceeded",
        (Kind::Auth, _) => "authentication",
        (Kind::Billing, _) => "payment_required",
        (Kind::Forbidden, _) => "permission_denied",
        (Kind::NotFound, _) => "not_found",
        (Kind::RateLimit, _) => "rate_limit_exceeded",
        (Kind::Overloaded, _) => "provider_overloaded",
        (Kind::Timeout, _) => "timeout",
        (Kind::Upstream, _) if !upstream => "server",
        (Kind::Upstream | Kind::Malformed, _) => "provider_unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_status_and_a_known_word() {
        let said = |kind, upstream| {
            let problem = Problem { upstream, ..Problem::own(kind, "why") };
            let (status, body) = write_problem(&problem);
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["code"], status);
            assert_eq!(body["error"]["metadata"].get("code"), None);
            (status, body["error"]["metadata"]["error_type"].as_str().unwrap().to_owned())
        };
        for (kind, upstream, status, word) in [
            (Kind::BadRequest, false, 400, "invalid_request"),
            (Kind::Billing, false, 402, "payment_required"),
            (Kind::Timeout, true, 408, "timeout"),
            (Kind::TooLarge, false, 413, "payload_too_large"),
            (Kind::RateLimit, true, 429, "rate_limit_exceeded"),
            (Kind::Upstream, true, 502, "provider_unavailable"),
            (Kind::Overloaded, true, 503, "provider_overloaded"),
        ] {
            assert_eq!(said(kind, upstream), (status, word.to_owned()), "{kind:?}");
        }
    }
}
