//! By which way an answer came.

use serde::{Deserialize, Serialize};

use crate::usd::Usd;

/// The way of an answer, as far as there is anything to be said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// Which of the provider's endpoints has answered; none for its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What the provider bills the account itself, with whose own key it was called: that costs the house nothing. None for
    /// a call with a key of the house's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct: Option<Usd>,
    /// What was tried before, of the same request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
}

impl Route {
    /// The route, where there is anything to be said of it.
    pub fn of(
        endpoint: Option<String>,
        direct: Option<Usd>,
        tried: Vec<Tried>,
    ) -> Option<Box<Self>> {
        let any = endpoint.is_some() || direct.is_some() || !tried.is_empty();
        any.then(|| Box::new(Self { endpoint, direct, tried }))
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
    /// Whether it was called with the account's own key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_key: bool,
    /// The provider's model that was asked for.
    pub model: String,
    /// Why it came to nothing: a word for programs, such as `rate_limited`.
    pub error: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}
