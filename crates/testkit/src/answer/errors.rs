//! Errors, each in the shape of its provider.

use std::fmt::Display;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::Answer;
use crate::provider::Provider;

/// An error with the type, code or status name that the provider gives this status.
pub(crate) fn error(provider: Provider, status: u16, message: &str) -> Answer {
    match provider {
        Provider::OpenAi => {
            let (kind, code) = openai_kind(status);
            openai(status, kind, code, None, message)
        }
        Provider::DeepSeek => {
            let (kind, code) = deepseek_kind(status);
            openai(status, kind, code, None, message)
        }
        Provider::Anthropic => {
            let kind = anthropic_kind(status);
            let error = json!({"type": kind, "message": message});
            let mut answer = Answer::json(status, &json!({"type": "error", "error": error}));
            if matches!(status, 401 | 404) {
                answer.set_header("x-should-retry", "false");
            }
            answer
        }
        Provider::Gemini => gemini(status, message, None),
    }
}

/// A request that the provider refuses for what is in it; `param` names the field.
pub(crate) fn bad_request(provider: Provider, param: &str, message: &str) -> Answer {
    match provider {
        Provider::OpenAi => {
            openai(400, "invalid_request_error", Some("invalid_value"), Some(param), message)
        }
        Provider::Anthropic => error(provider, 400, &format!("{param}: {message}")),
        Provider::DeepSeek | Provider::Gemini => error(provider, 400, message),
    }
}

/// A request that a model refuses for this code, as `OpenAI` tells it.
pub(crate) fn unsupported(code: &str, param: &str, message: &str) -> Answer {
    openai(400, "invalid_request_error", Some(code), Some(param), message)
}

/// The model that was asked for does not exist.
pub(crate) fn no_model(provider: Provider, model: &str) -> Answer {
    let message = match provider {
        Provider::OpenAi => {
            format!("The model `{model}` does not exist or you do not have access to it.")
        }
        Provider::DeepSeek => "Model Not Exist".to_owned(),
        Provider::Anthropic => format!("model: {model}"),
        Provider::Gemini => format!("models/{model} is not found for API version v1beta."),
    };
    // DeepSeek has nothing to be found at a path, and so nothing that is not found.
    error(provider, if provider == Provider::DeepSeek { 400 } else { 404 }, &message)
}

pub(crate) fn not_json(provider: Provider, reason: &dyn Display) -> Answer {
    error(provider, 400, &format!("The body of the request is not valid JSON: {reason}"))
}

pub(crate) fn no_credential(provider: Provider) -> Answer {
    match provider {
        Provider::OpenAi | Provider::DeepSeek => {
            error(provider, 401, "There is no API key in the Authorization header of the request.")
        }
        Provider::Anthropic => error(provider, 401, "x-api-key header is required"),
        Provider::Gemini => {
            let info = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            }]);
            gemini(400, "The API key is not valid: pass a valid one.", Some(info))
        }
    }
}

/// 429, with the time to wait where the provider puts it.
pub(crate) fn rate_limited(provider: Provider, seconds: u64) -> Answer {
    let message = format!("Too many requests. Try again in {seconds}s.");
    let mut answer = match provider {
        Provider::Gemini => {
            let retry = json!([{
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{seconds}s"),
            }]);
            gemini(429, &message, Some(retry))
        }
        _ => error(provider, 429, &message),
    };
    answer.set_header("retry-after", &seconds.to_string());
    answer
}

fn openai(
    status: u16,
    kind: &str,
    code: Option<&str>,
    param: Option<&str>,
    message: &str,
) -> Answer {
    let error = json!({"message": message, "type": kind, "param": param, "code": code});
    Answer::json(status, &json!({"error": error}))
}

fn openai_kind(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        403 => ("permission_error", None),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        503 => ("server_error", Some("server_overloaded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    }
}

fn deepseek_kind(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("authentication_error", Some("invalid_request_error")),
        402 => ("unknown_error", Some("invalid_request_error")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        503 => ("service_unavailable_error", Some("service_unavailable")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", Some("invalid_request_error")),
    }
}

fn anthropic_kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn gemini(status: u16, message: &str, details: Option<Value>) -> Answer {
    let name = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    let mut error = json!({"code": status, "message": message, "status": name});
    if let (Some(details), Some(fields)) = (details, error.as_object_mut()) {
        fields.insert("details".to_owned(), details);
    }
    let mut answer = Answer::json(status, &json!({"error": error}));
    answer.set_header("content-type", "application/json; charset=UTF-8");
    answer
}

/// An error that was asked for, not caused.
pub(crate) fn on_demand(provider: Provider, status: u16) -> Answer {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let message = format!("{} (simulated)", reason.unwrap_or("Overloaded"));
    error(provider, status, &message)
}

/// What a careless provider says: with the credential of the request in it.
pub(crate) fn echo(provider: Provider, status: u16, headers: &HeaderMap) -> Answer {
    let names = ["authorization", "x-api-key", "x-goog-api-key"];
    let credential = names.iter().find_map(|name| headers.get(*name)?.to_str().ok());
    let credential = credential.unwrap_or_default().trim_start_matches("Bearer ");
    if status == 200 {
        return Answer::json(200, &Value::from(credential));
    }
    error(provider, status, &format!("The key {credential} was not given what it wanted."))
}
