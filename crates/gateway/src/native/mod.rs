//! The native API: `/api/layers/chat`, `/api/keys/…`, `/api/usage/check`, with the headers `user` and `api-key`.

pub(crate) mod chat;
pub(crate) mod json;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod stream;
pub(crate) mod usage;

use serde_json::json;

/// Status and body of an error.
pub(crate) fn write_problem(problem: &wire::Problem, code: &str) -> (u16, Vec<u8>) {
    let body = json!({ "error": { "code": code, "message": problem.message } });
    (problem.status, body.to_string().into_bytes())
}
