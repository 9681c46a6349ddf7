//! What `OpenRouter`'s clients manage with, below `/api/v1`, in the published shapes; and a few fields more.
//! <https://openrouter.ai/docs/api-reference/overview>

pub(crate) mod activity;
pub(crate) mod budgets;
pub(crate) mod byok;
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
fn not_found(what: &'static str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
}

fn forbidden(message: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", message)
}

#[cfg(test)]
mod tests {
    use schemars::SchemaGenerator;

    use super::view::KeyView;
    use crate::web::routes;

    /// Each route here says what it takes and gives.
    #[test]
    fn every_shape_can_be_described() {
        let mut generator = SchemaGenerator::default();
        for route in routes().filter(|route| route.path.starts_with("/api/v1/")) {
            let doc = route.doc.expect(route.path);
            let answer = doc.answer.expect(route.path)(&mut generator);
            assert!(answer.get("$ref").is_some(), "{}: {answer:?}", route.path);
            for shape in [doc.query, doc.body].into_iter().flatten() {
                assert!(shape(&mut generator).get("$ref").is_some(), "{}", route.path);
            }
        }
        let key = generator.into_root_schema_for::<KeyView>();
        let properties = key.get("properties").and_then(|all| all.as_object()).expect("fields");
        for field in ["hash", "limit_remaining", "usage_daily", "scopes"] {
            assert!(properties.contains_key(field), "{field}: {properties:?}");
        }
    }
}
