//! The native API: `/api/layers/chat`, `/api/keys/…`, `/api/usage/check`, with the headers `user` and `api-key`.

pub(crate) mod chat;
pub(crate) mod failure;
pub(crate) mod keys;
pub(crate) mod usage;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Reads a body up to `limit` bytes.
pub(crate) async fn read_body(body: Body, limit: u32) -> Result<Bytes, Problem> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the request body is larger than {limit} bytes"),
        )),
        Err(_) => Err(Problem::bad_request("the request body did not arrive whole")),
    }
}

/// Reads JSON; the error names the field and the place.
pub(crate) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let kind =
            if error.is_data() { "the request body" } else { "the request body is not valid JSON" };
        Problem::bad_request(format!("{kind}: {error}"))
    })
}

pub(crate) fn unknown_provider(name: &str) -> Problem {
    let known = crate::providers::names();
    Problem::new(
        StatusCode::BAD_REQUEST,
        "unknown_provider",
        format!("providerName: {} is not known; expected one of {known}", quoted(name)),
    )
}

pub(crate) fn unknown_model(provider: &str, model: &str) -> Problem {
    let message =
        format!("model_name: {provider} has no model {} in the price list", quoted(model));
    Problem::new(StatusCode::NOT_FOUND, "unknown_model", message)
}

pub(crate) fn unpriced_model(provider: &str, model: &str) -> Problem {
    let message = format!(
        "model_name: {provider}/{model} has no price for text tokens, so it cannot be used for a chat"
    );
    Problem::bad_request(message).with_code("unpriced_model")
}

pub(crate) fn forbidden_model(provider: &str, model: &str) -> Problem {
    let message = format!("this API key may not use {provider}/{model}");
    Problem::new(StatusCode::FORBIDDEN, "model_not_allowed", message)
}

pub(crate) fn provider_not_set_up(provider: &str) -> Problem {
    let message =
        format!("providerName: {provider} has no credential here; the operator has to set one");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "provider_not_configured", message)
}

/// A client's word, short enough for a message.
fn quoted(word: &str) -> String {
    let mut short: String = word.chars().take(80).collect();
    if short.len() < word.len() {
        short.push('…');
    }
    format!("{short:?}")
}
