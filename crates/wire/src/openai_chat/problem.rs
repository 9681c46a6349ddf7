//! Errors, both ways. <https://platform.openai.com/docs/guides/error-codes>

use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::problem::{Kind, Problem, excerpt, says_overflow, seconds};

#[derive(Deserialize)]
struct Body {
    error: Option<Json>,
}

#[derive(Deserialize)]
struct Error {
    message: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<Json>,
}

/// A body may also be an array of one, as Gemini's compatible API sends it, and the error may be a mere sentence.
fn parse(body: &[u8]) -> Option<Error> {
    let one = serde_json::from_slice::<Body>(body).ok();
    let one = one.or_else(|| serde_json::from_slice::<Vec<Body>>(body).ok()?.into_iter().next());
    let error = one?.error?;
    let sentence = || {
        let message = Some(error.as_string()?);
        Some(Error { message, kind: None, code: None })
    };
    serde_json::from_str(error.get()).ok().or_else(sentence)
}

/// Reads the error of a stream, which has no status of its own.
pub(super) fn in_stream(data: &[u8]) -> Problem {
    let said = parse(data).or_else(|| serde_json::from_slice::<Error>(data).ok());
    let code = said.as_ref().and_then(|error| error.code.as_ref());
    let status = code.and_then(|code| code.get().parse::<u16>().ok());
    let status = status.filter(|status| (400..600).contains(status));
    let status = status.unwrap_or_else(|| {
        let word = code.and_then(Json::as_string);
        let words = [word.as_deref(), said.as_ref().and_then(|error| error.kind.as_deref())];
        let says = |known: &[&str]| words.iter().flatten().any(|word| known.contains(word));
        if says(&["rate_limit_exceeded", "requests", "tokens", "rate_limit_error"]) {
            429
        } else if says(&["overloaded_error", "engine_overloaded", "overloaded"]) {
            503
        } else if says(&["invalid_request_error"]) {
            400
        } else {
            502
        }
    });
    match said {
        Some(error) => of_error(error, status, None, data),
        None => read(status, None, data),
    }
}

pub(super) fn read(status: u16, retry_after: Option<&str>, body: &[u8]) -> Problem {
    let error = parse(body);
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
    of_error(error, status, retry_after, body)
}

fn of_error(error: Error, status: u16, retry_after: Option<u64>, body: &[u8]) -> Problem {
    let message = error.message.unwrap_or_else(|| excerpt(body));
    let code = error.code.filter(|code| code.get() != "null");
    let code = code.map(|code| code.as_string().unwrap_or_else(|| code.get().to_owned()));
    let code = code.or(error.kind.clone());
    let word =
        |wanted: &str| code.as_deref() == Some(wanted) || error.kind.as_deref() == Some(wanted);
    let kind = if word("insufficient_quota") || word("billing_hard_limit_reached") {
        Kind::Billing
    } else if word("context_length_exceeded") || (status == 400 && says_overflow(&message)) {
        Kind::ContextOverflow
    } else if word("model_not_found") {
        Kind::NotFound
    } else if word("invalid_api_key") {
        Kind::Auth
    } else if word("rate_limit_exceeded") && status < 500 {
        Kind::RateLimit
    } else {
        Kind::from_status(status)
    };
    Problem { kind, status, message, retry_after, code, param: None, upstream: true }
}

#[derive(Serialize)]
struct OutBody<'a> {
    error: OutError<'a>,
}

#[derive(Serialize)]
struct OutError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

pub(super) fn write(problem: &Problem) -> (u16, Vec<u8>) {
    let (kind, message) = problem.shown();
    let (class, code) = match kind {
        Kind::BadRequest | Kind::TooLarge => ("invalid_request_error", None),
        Kind::ContextOverflow => ("invalid_request_error", Some("context_length_exceeded")),
        Kind::Auth => ("invalid_request_error", Some("invalid_api_key")),
        Kind::Billing => ("insufficient_quota", Some("insufficient_quota")),
        Kind::Forbidden => ("permission_error", None),
        Kind::NotFound => ("invalid_request_error", Some("model_not_found")),
        Kind::RateLimit => ("requests", Some("rate_limit_exceeded")),
        Kind::Overloaded | Kind::Timeout | Kind::Upstream | Kind::Malformed => {
            ("server_error", None)
        }
    };
    let status = match kind {
        // OpenAI says 429 to spent credit, and its clients look for that.
        Kind::Billing => 429,
        kind => problem.client_status(kind),
    };
    let own = (!problem.upstream).then_some(problem);
    let param = own.and_then(|own| own.param.as_deref());
    // By these words clients tell whether to try again, so that they go before closer ones of our own.
    let known =
        matches!(kind, Kind::ContextOverflow | Kind::Auth | Kind::Billing | Kind::RateLimit);
    let code = if known { code } else { own.and_then(|own| own.code.as_deref()).or(code) };
    let error = OutError { message, kind: class, param, code };
    (status, Json::of(&OutBody { error }).get().as_bytes().to_vec())
}
