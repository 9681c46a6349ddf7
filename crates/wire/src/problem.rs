//! The canonical error: what went wrong, in one shape for all dialects.

/// What kind of thing went wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong and stays so.
    BadRequest,
    /// The prompt is longer than the model's context.
    ContextOverflow,
    /// A credential was refused.
    Auth,
    /// Credit or quota is spent.
    Billing,
    /// The credential may not do this.
    Forbidden,
    /// No such model or resource.
    NotFound,
    /// The body is too large.
    TooLarge,
    /// Too many requests or tokens per time: wait.
    RateLimit,
    /// The provider has no capacity at the moment.
    Overloaded,
    /// The provider took too long.
    Timeout,
    /// The provider failed.
    Upstream,
    /// The provider's answer cannot be read.
    Malformed,
}

/// An error on its way to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: Kind,
    /// The provider's HTTP status; for an error of our own the one of its kind.
    pub status: u16,
    /// For people.
    pub message: String,
    /// Seconds to wait before another try, where known.
    pub retry_after: Option<u64>,
    /// The provider's own code or type.
    pub code: Option<String>,
    /// The field of the request that is at fault, where an error of our own is about one.
    pub param: Option<String>,
    /// Whether a provider said it. A provider's word on the operator's credential or credit is never shown to a client
    /// as a word on its own.
    pub upstream: bool,
}

impl Problem {
    /// An error of our own.
    pub fn own(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: kind.status(),
            message: message.into(),
            retry_after: None,
            code: None,
            param: None,
            upstream: false,
        }
    }

    /// Whether the same request may succeed with the same credential a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, Kind::RateLimit | Kind::Overloaded | Kind::Timeout | Kind::Upstream)
    }

    /// The HTTP status that a client gets where its dialect has no other: that of the kind, or a closer one of our own.
    pub(crate) fn client_status(&self, kind: Kind) -> u16 {
        let closer = !self.upstream && kind == Kind::BadRequest;
        if closer && (400..500).contains(&self.status) { self.status } else { kind.status() }
    }

    /// What the client may see: kind and message, without what concerns the operator's credential only.
    pub(crate) fn shown(&self) -> (Kind, &str) {
        match self.kind {
            Kind::Auth | Kind::Billing | Kind::Forbidden if self.upstream => {
                (Kind::Malformed, "the provider refused the gateway's credential")
            }
            kind => (kind, &self.message),
        }
    }
}

impl Kind {
    /// The kind of a bare HTTP status.
    pub fn from_status(status: u16) -> Self {
        match status {
            401 => Self::Auth,
            402 => Self::Billing,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::BadRequest,
            500..=599 => Self::Upstream,
            _ => Self::Malformed,
        }
    }

    /// The HTTP status that a client gets.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::ContextOverflow => 400,
            Self::Auth => 401,
            Self::Billing => 402,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimit => 429,
            Self::Upstream | Self::Malformed => 502,
            Self::Overloaded => 503,
            Self::Timeout => 504,
        }
    }
}

/// Whole seconds of a `retry-after` header or of a duration such as `37s` or `1.5s`, rounded up. A date is not read here:
/// this crate has no clock.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches('s');
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let more = fraction.bytes().any(|b| b != b'0');
    whole.parse::<u64>().ok()?.checked_add(u64::from(more))
}

/// Whether the message of a 400 says that the prompt does not fit. Providers have no common code for it (recordings
/// `openai.responses-13c24150f2d0`, `deepseek.chat-167f001bfbca`).
pub(crate) fn says_overflow(message: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "context length",
        "context window",
        "prompt is too long",
        "input token count",
        "exceeds the maximum number of tokens",
        "context_length_exceeded",
    ];
    let message = message.to_ascii_lowercase();
    SIGNS.iter().any(|sign| message.contains(sign))
}

/// The start of a body that is not the JSON one expects (a proxy's HTML page, say).
pub(crate) fn excerpt(body: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        "the provider gave no reason".to_owned()
    } else {
        text.chars().take(LONGEST).collect()
    }
}
