//! What becomes of a provider's failure. The client learns what it can act on; the operator's log has the rest.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use wire::Malformed;
use wire::problem::{Kind, Problem as WireProblem};

use crate::clock;
use crate::outbound::Carry;
use crate::pipeline::Attempt;
use crate::problem::{Problem, Verbatim};
use crate::upstream::{Body, UpstreamError};

/// No answer at all.
pub(crate) fn of_transport(error: &UpstreamError, attempt: &Attempt<'_>) -> Problem {
    if matches!(error, UpstreamError::Ending) {
        return ending();
    }
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let name = attempt.target.provider;
    tracing::warn!(request_id = %attempt.inbound.id, provider = name, %error, cause, "the provider did not answer");
    match error {
        UpstreamError::Timeout => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            TIMEOUT,
            format!("{name} did not answer in time"),
        ),
        UpstreamError::Packed => Problem::new(
            StatusCode::BAD_GATEWAY,
            "upstream_malformed",
            format!("{name} gave an answer that cannot be unpacked; nothing was charged"),
        ),
        _ => Problem::new(
            StatusCode::BAD_GATEWAY,
            "upstream_unavailable",
            format!("{name} gave no usable answer: {error}"),
        ),
    }
}

/// 503: this program ends, and another may be there.
pub(crate) fn ending() -> Problem {
    let message = "the gateway ends, and the answer was not there in time; try again";
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ending", message);
    problem.retry_after = Some(1);
    problem
}

/// What ends a stream that has become longer than can be paid for.
pub(crate) fn overdrawn() -> WireProblem {
    let message =
        "the answer has become longer than its ceiling, and there is no credit for more of it";
    WireProblem::own(Kind::Billing, message)
}

/// An answer that cannot be read. Its usage is not known, so that nothing can be charged for it.
pub(crate) fn of_reply(error: &Malformed, attempt: &Attempt<'_>) -> Problem {
    let name = attempt.target.provider;
    let error = without_credential(&error.to_string(), attempt);
    tracing::error!(request_id = %attempt.inbound.id, provider = name, error, "the provider's answer cannot be read");
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "upstream_malformed",
        format!("{name} gave an answer that cannot be read; nothing was charged"),
    )
}

/// An answer that is an error. A client of the same dialect gets it as it came.
pub(crate) async fn of_provider(attempt: &Attempt<'_>, response: Response<Body>) -> Problem {
    let (parts, body) = response.into_parts();
    let body = match attempt.read(body).await {
        Ok(body) => body,
        Err(problem) => return problem,
    };
    let retry_after = retry_after(&parts.headers);
    let status = parts.status;
    if !status.is_client_error() && !status.is_server_error() {
        return no_answer(status, attempt);
    }
    let read =
        attempt.target.dialect().read_problem(status.as_u16(), retry_after.as_deref(), &body);
    let mut problem = told(attempt, &read);
    problem.is_final = parts.headers.get("x-should-retry").is_some_and(|word| word == "false");
    let same = matches!(attempt.outbound.carry, Carry::Same { .. });
    let of_credential = [UPSTREAM_ACCOUNT, OWN_KEY_REFUSED].contains(&problem.code);
    if same && !of_credential && !attempt.inbound.face.openrouter {
        let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
        let text = std::str::from_utf8(&body).unwrap_or_default();
        let clean = without_credential(text, attempt);
        let body = if clean == text { body } else { Bytes::from(clean) };
        problem.verbatim = Some(Box::new(Verbatim { status, content_type, body }));
    }
    problem
}

/// How long a provider asks to wait, in seconds: it may say so in milliseconds, or by a date.
fn retry_after(headers: &HeaderMap) -> Option<String> {
    const MILLISECONDS: u64 = 1_000;
    const MICROSECONDS: i64 = 1_000_000;
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let precise = said("retry-after-ms").and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(milliseconds) = precise {
        return Some(milliseconds.div_ceil(MILLISECONDS).to_string());
    }
    let text = said("retry-after")?;
    let Some(moment) = clock::parse_http_date(text) else { return Some(text.to_owned()) };
    let wait = moment.saturating_sub(clock::now()).max(0);
    Some(wait.saturating_add(MICROSECONDS - 1).div_euclid(MICROSECONDS).to_string())
}

/// A status that says neither that it went well nor what went wrong, such as that of another address.
fn no_answer(status: StatusCode, attempt: &Attempt<'_>) -> Problem {
    let name = attempt.target.provider;
    let status = status.as_u16();
    tracing::error!(request_id = %attempt.inbound.id, provider = name, status, "the provider answers with a status that is neither success nor error");
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "upstream_malformed",
        format!("{name} answered with the status {status}, which is neither success nor error"),
    )
}

const UPSTREAM_ACCOUNT: &str = "upstream_account";
pub(crate) const TIMEOUT: &str = "upstream_timeout";
pub(crate) const NOT_FOUND: &str = "upstream_not_found";
pub(crate) const OWN_KEY_REFUSED: &str = "own_key_refused";

/// What a client is told of a provider's error.
///
/// A provider's refusal of *our* credential or of *our* account is never shown as if it were the client's: that is a
/// 502, and the log says which credential it was. Its text may quote the credential, so it is not logged.
pub(crate) fn told(attempt: &Attempt<'_>, problem: &WireProblem) -> Problem {
    let name = attempt.target.provider;
    let request_id = attempt.inbound.id;
    let upstream_status = problem.status;
    let (status, code) = word(problem.kind);
    if code == UPSTREAM_ACCOUNT && attempt.target.is_direct() {
        tracing::warn!(%request_id, provider = name, status = upstream_status, "the provider refuses an account's own key");
        return own_key_refused(attempt, problem.kind);
    }
    if code == UPSTREAM_ACCOUNT {
        let credential = &attempt.credential.origin;
        tracing::error!(%request_id, provider = name, %credential, status = upstream_status, "the provider refuses our credential or account");
        let message =
            format!("{name} refuses the gateway's own account; the operator has been told");
        return Problem::new(status, code, message);
    }
    tracing::warn!(%request_id, provider = name, upstream_status, code, "the provider answered with an error");
    let message = without_credential(&problem.message, attempt);
    let mut told = Problem::new(status, code, format!("{name}: {message}"));
    told.retry_after = problem.retry_after;
    told
}

/// What is noted of a stream that broke off, whose client has had a part of it.
pub(crate) fn of_stream(attempt: &Attempt<'_>, problem: &WireProblem) -> Problem {
    let (status, code) = word(problem.kind);
    let message = without_credential(&problem.message, attempt);
    Problem::new(status, code, format!("{}: {message}", attempt.target.provider))
}

/// A kind of error, as a status and a word for it.
fn word(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Auth | Kind::Billing | Kind::Forbidden => (StatusCode::BAD_GATEWAY, UPSTREAM_ACCOUNT),
        Kind::BadRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
        Kind::ContextOverflow => (StatusCode::BAD_REQUEST, "context_length_exceeded"),
        Kind::NotFound => (StatusCode::NOT_FOUND, NOT_FOUND),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
        Kind::RateLimit => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
        Kind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "upstream_overloaded"),
        Kind::Timeout => (StatusCode::GATEWAY_TIMEOUT, TIMEOUT),
        Kind::Upstream | Kind::Malformed => (StatusCode::BAD_GATEWAY, "upstream_error"),
    }
}

/// 424: a provider refuses the key that the account has brought. No 401, which would be about the key of this place.
fn own_key_refused(attempt: &Attempt<'_>, kind: Kind) -> Problem {
    let name = attempt.target.provider;
    let end = match attempt.credential.last4() {
        "" => String::new(),
        end => format!(" (…{end})"),
    };
    let why = match kind {
        Kind::Billing => "its account there has no credit or quota left",
        Kind::Forbidden => "it may not do this there",
        _ => "it is not valid there",
    };
    let message = format!(
        "your own {name} key{end} was refused by {name}: {why}. Your API key of this place is fine; replace the {name} key, \
         or let the house's take its place"
    );
    Problem::new(StatusCode::FAILED_DEPENDENCY, OWN_KEY_REFUSED, message)
}

/// A provider's text, in which it might repeat our credential, without it.
fn without_credential(text: &str, attempt: &Attempt<'_>) -> String {
    let secret = attempt.credential.secret.as_ref();
    secret.map_or_else(|| text.to_owned(), |secret| secret.taken_out_of(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_seconds_milliseconds_or_by_a_date() {
        let of = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("a value"));
            }
            retry_after(&headers)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("retry-after", "7")]).as_deref(), Some("7"));
        assert_eq!(of(&[("retry-after", "1.5")]).as_deref(), Some("1.5"));
        let both = [("retry-after", "7"), ("retry-after-ms", "1201")];
        assert_eq!(of(&both).as_deref(), Some("2"));
        let unclear = [("retry-after", "7"), ("retry-after-ms", "soon")];
        assert_eq!(of(&unclear).as_deref(), Some("7"));
        let past = [("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")];
        assert_eq!(of(&past).as_deref(), Some("0"));
        let moment = jiff::Timestamp::from_second(clock::now() / 1_000_000 + 100);
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        let date = printer.timestamp_to_rfc9110_string(&moment.expect("a moment"));
        let wait = of(&[("retry-after", &date.expect("a date"))]).expect("a wait");
        let wait: u64 = wait.parse().expect("seconds");
        assert!((90..=100).contains(&wait), "{wait}");
    }
}
