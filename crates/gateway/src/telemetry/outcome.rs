//! How requests end, in a few words that metrics and spans can be told apart by.

use http::StatusCode;
use ledger::Outcome as Settled;

use crate::problem::Problem;

/// How a request ended, for its client.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    ClientGone,
    BrokenOff,
    Invalid,
    Unauthorized,
    InsufficientCredits,
    RateLimited,
    Unavailable,
    Internal,
    Unpriced,
    UpstreamRateLimited,
    UpstreamOverloaded,
    UpstreamTimeout,
    UpstreamUnreachable,
    UpstreamError,
}

/// Their names, in the same order.
pub(crate) const OUTCOMES: [&str; 15] = [
    "ok",
    "client_gone",
    "broken_off",
    "invalid",
    "unauthorized",
    "insufficient_credits",
    "rate_limited",
    "unavailable",
    "internal",
    "unpriced",
    "upstream_rate_limited",
    "upstream_overloaded",
    "upstream_timeout",
    "upstream_unreachable",
    "upstream_error",
];

impl Outcome {
    pub(crate) const fn name(self) -> &'static str {
        OUTCOMES[self as usize]
    }

    /// Of a client that was told of a problem.
    pub(crate) fn of(problem: &Problem) -> Self {
        match problem.code {
            "rate_limited" => Self::UpstreamRateLimited,
            "upstream_overloaded" => Self::UpstreamOverloaded,
            "upstream_timeout" => Self::UpstreamTimeout,
            "upstream_unavailable" => Self::UpstreamUnreachable,
            "unpriced_answer" => Self::Unpriced,
            code if code.starts_with("upstream_") => Self::UpstreamError,
            _ => Self::of_status(problem.status),
        }
    }

    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Unauthorized,
            StatusCode::PAYMENT_REQUIRED => Self::InsufficientCredits,
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited,
            StatusCode::INTERNAL_SERVER_ERROR => Self::Internal,
            status if status.is_server_error() => Self::Unavailable,
            _ => Self::Invalid,
        }
    }

    /// Of a client that was answered.
    pub(crate) const fn settled(settled: Settled) -> Self {
        match settled {
            Settled::Ok => Self::Ok,
            Settled::ClientGone => Self::ClientGone,
            Settled::UpstreamFailed | Settled::Crashed => Self::BrokenOff,
            Settled::Failed => Self::UpstreamError,
            Settled::Unpriced => Self::Unpriced,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{OUTCOMES, Outcome};
    use crate::problem::Problem;

    #[test]
    fn names_are_in_order() {
        assert_eq!(Outcome::UpstreamError as usize + 1, OUTCOMES.len());
        assert_eq!(Outcome::UpstreamError.name(), "upstream_error");
        assert_eq!(Outcome::Unpriced.name(), "unpriced");
        assert_eq!(Outcome::InsufficientCredits.name(), "insufficient_credits");
    }

    #[test]
    fn whose_fault_it_is() {
        let of = |status, code| Outcome::of(&Problem::new(status, code, ""));
        let own = of(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded");
        let upstream = of(StatusCode::TOO_MANY_REQUESTS, "rate_limited");
        assert_eq!((own, upstream), (Outcome::RateLimited, Outcome::UpstreamRateLimited));
        assert_eq!(of(StatusCode::BAD_GATEWAY, "upstream_account"), Outcome::UpstreamError);
        assert_eq!(of(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"), Outcome::Unavailable);
        assert_eq!(of(StatusCode::CONFLICT, "idempotency_key_in_use"), Outcome::Invalid);
    }
}
