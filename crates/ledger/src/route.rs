//! By which way an answer came.

use serde::{Deserialize, Serialize};

/// The way of an answer, as far as there is anything to be said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// Which of the provider's endpoints has answered; none for its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What was tried before, of the same request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
}

impl Route {
    /// The route, where there is anything to be said of it.
    pub fn of(endpoint: Option<String>, tried: Vec<Tried>) -> Option<Box<Self>> {
        (endpoint.is_some() || !tried.is_empty()).then(|| Box::new(Self { endpoint, tried }))
    }
}

/// An attempt that came to nothing, and was never charged: it stands on the receipt of the request that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// The provider that was called.
    pub provider: String,
    /// Which of its endpoints, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The provider's model that was asked for.
    pub model: String,
    /// Why it came to nothing: a word for programs, such as `rate_limited`.
    pub error: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}
