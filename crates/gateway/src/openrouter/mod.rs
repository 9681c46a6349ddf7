//! What `OpenRouter`'s clients manage with, below `/api/v1`, in the published shapes; and a few fields more.
//! <https://openrouter.ai/docs/api-reference/overview>

pub(crate) mod activity;
pub(crate) mod budgets;
pub(crate) mod catalog;
pub(crate) mod credits;
pub(crate) mod dollars;
pub(crate) mod endpoints;
pub(crate) mod filter;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod pkce;
pub(crate) mod view;
pub(crate) mod wishes;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::problem::Problem;

/// What every answer here is wrapped in.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Data<T> {
    pub(crate) data: T,
}

/// A field that can be null, which is another thing than left out.
type Given<T> = Option<Option<T>>;

fn given<'de, D, T>(deserializer: D) -> Result<Given<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// What is wrong with a field, as its client is told.
fn named(field: &'static str) -> impl Fn(String) -> Problem {
    move |message| Problem::bad_request(format!("{field}: {message}"))
}

fn not_found(what: &'static str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
}

fn forbidden(message: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", message)
}
