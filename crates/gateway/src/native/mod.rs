//! The native API: `/api/layers/chat`, `/api/keys/…`, `/api/usage/check`, with the headers `user` and `api-key`.

pub(crate) mod chat;
pub(crate) mod json;
pub(crate) mod keys;
pub(crate) mod stream;
pub(crate) mod usage;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use serde_json::json;

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

/// Status and body of an error.
pub(crate) fn write_problem(problem: &wire::Problem, code: &str) -> (u16, Vec<u8>) {
    let body = json!({ "error": { "code": code, "message": problem.message } });
    (problem.status, body.to_string().into_bytes())
}
