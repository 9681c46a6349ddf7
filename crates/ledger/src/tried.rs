//! What was tried before an answer came.

use serde::{Deserialize, Serialize};

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
