//! What becomes of a provider's failure. The client learns what it can act on; the operator's log has the rest.

use http::{StatusCode, header};
use wire::problem::Kind;
use wire::{Dialect, Malformed};

use crate::pipeline::Admitted;
use crate::problem::Problem;
use crate::providers::Provider;
use crate::upstream::{Answer, UpstreamError};

/// No answer at all.
pub(crate) fn of_transport(
    error: &UpstreamError,
    admitted: &Admitted,
    provider: &Provider,
) -> Problem {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(request_id = %admitted.id, provider = provider.row.name, %error, cause, "the provider did not answer");
    let name = provider.row.name;
    match error {
        UpstreamError::Timeout => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            format!("{name} did not answer in time"),
        ),
        _ => Problem::new(
            StatusCode::BAD_GATEWAY,
            "upstream_unavailable",
            format!("{name} gave no usable answer: {error}"),
        ),
    }
}

/// An answer that cannot be read. Its usage is not known, so that nothing can be charged for it.
pub(crate) fn of_reply(error: &Malformed, admitted: &Admitted) -> Problem {
    tracing::error!(request_id = %admitted.id, provider = admitted.provider, %error, "the provider's answer cannot be read");
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "upstream_malformed",
        format!("{} gave an answer that cannot be read; nothing was charged", admitted.provider),
    )
}

/// An answer that is an error.
///
/// A provider's refusal of *our* credential or of *our* account is never shown as if it were the client's: that is a
/// 502, and the log says which credential it was. Its text may quote the credential, so it is not logged.
pub(crate) fn of_provider(
    dialect: &dyn Dialect,
    answer: &Answer,
    admitted: &Admitted,
    provider: &Provider,
) -> Problem {
    let retry_after = answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let problem = dialect.read_problem(answer.status.as_u16(), retry_after, &answer.body);
    let name = provider.row.name;
    let (status, code) = match problem.kind {
        Kind::Auth | Kind::Billing | Kind::Forbidden => {
            let credential = provider.row.credential_setting;
            let status = answer.status.as_u16();
            tracing::error!(request_id = %admitted.id, provider = name, credential, status, "the provider refuses our credential or account");
            let message =
                format!("{name} refuses the gateway's own account; the operator has been told");
            return Problem::new(StatusCode::BAD_GATEWAY, "upstream_account", message);
        }
        Kind::BadRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
        Kind::ContextOverflow => (StatusCode::BAD_REQUEST, "context_length_exceeded"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "upstream_not_found"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
        Kind::RateLimit => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
        Kind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "upstream_overloaded"),
        Kind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
        Kind::Upstream | Kind::Malformed => (StatusCode::BAD_GATEWAY, "upstream_error"),
    };
    let upstream_status = answer.status.as_u16();
    tracing::warn!(request_id = %admitted.id, provider = name, upstream_status, code, "the provider answered with an error");
    let mut told = Problem::new(status, code, format!("{name}: {}", problem.message));
    told.retry_after = problem.retry_after;
    told
}
