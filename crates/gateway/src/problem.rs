//! What goes wrong, as the client is told: a status, a code, a sentence. The cause behind it is logged and never sent.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use ledger::Tried;
use wire::Malformed;
use wire::problem::{Kind, Problem as WireProblem};
pub(crate) use wire::shortened;

use crate::answer;
use crate::breaker::Went;
use crate::face::Face;
use crate::failure;
use crate::rates::Told;

/// An error that a client sees.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// A word for programs.
    pub(crate) code: &'static str,
    /// A sentence for people: what is wrong, and what would be right.
    pub(crate) message: Cow<'static, str>,
    /// Seconds after which a retry makes sense.
    pub(crate) retry_after: Option<u64>,
    /// The provider's own words, for a client of its own dialect.
    pub(crate) verbatim: Option<Box<Verbatim>>,
    /// How the limits stand that refuse it.
    pub(crate) told: Option<Box<Told>>,
    /// Whether another try is of no use, for this program or the client: so the provider says, or there were enough here.
    pub(crate) is_final: bool,
    /// The field of the request that is at fault, where it is one.
    param: Option<Box<str>>,
    /// What was tried, as [`answer::ATTEMPTS`] says it.
    tried: Option<Box<HeaderValue>>,
}

/// A provider's error as it came.
#[derive(Clone, Debug)]
pub(crate) struct Verbatim {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
            verbatim: None,
            told: None,
            is_final: false,
            param: None,
            tried: None,
        }
    }

    /// 400: the request is at fault; the message names the field.
    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// 400: a body that is not what its dialect asks for.
    #[expect(clippy::needless_pass_by_value, reason = "the shape that map_err asks for")]
    pub(crate) fn malformed(error: Malformed) -> Self {
        let message = match error.path.as_str() {
            "" => format!("the request body: {error}"),
            _ => error.to_string(),
        };
        Self::bad_request(message).about(&error.path)
    }

    /// The same, with the field that is at fault.
    #[must_use]
    pub(crate) fn about(mut self, field: &str) -> Self {
        self.param = (!field.is_empty()).then(|| field.into());
        self
    }

    /// The same with another code.
    #[must_use]
    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// 401: nobody known.
    pub(crate) fn unauthorized(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// 500, with the cause in the log.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "something went wrong here; it has been logged",
        )
    }

    /// 503: the books cannot be kept right now.
    pub(crate) fn store(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "the store failed");
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "the books cannot be kept right now; try again",
        );
        problem.retry_after = Some(1);
        problem
    }

    /// In the form of the dialects.
    pub(crate) fn wire(&self) -> WireProblem {
        let kind = match self.code {
            "context_length_exceeded" => Kind::ContextOverflow,
            // The client's own, and not the provider's.
            "request_timeout" => Kind::BadRequest,
            _ => Kind::from_status(self.status.as_u16()),
        };
        let mut problem = WireProblem::own(kind, self.message.clone());
        problem.status = self.status.as_u16();
        problem.retry_after = self.retry_after;
        problem.code = dialect_code(self.code).map(str::to_owned);
        problem.param = self.param.as_deref().map(str::to_owned);
        problem
    }

    /// Whether the same request may succeed later, or at another target.
    pub(crate) fn is_passing(&self) -> bool {
        let waits = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT);
        waits || self.status.is_server_error()
    }

    /// Whether it may well be over in a moment: the provider has too much to do, or could not be reached.
    pub(crate) fn may_pass_soon(&self) -> bool {
        const SOON: [&str; 4] =
            ["rate_limited", "upstream_overloaded", "upstream_error", "upstream_unavailable"];
        SOON.contains(&self.code) && !self.is_final
    }

    /// What `x-should-retry` says of it, which the SDKs of `OpenAI` and Anthropic obey. Nothing where a provider failed whom
    /// nobody has asked again: then they do as they do with the provider itself.
    fn should_retry(&self) -> Option<&'static str> {
        let is_providers =
            self.may_pass_soon() || matches!(self.code, "upstream_timeout" | "upstream_malformed");
        match self.retry_after {
            _ if self.is_final || !self.is_passing() => Some("false"),
            Some(_) => Some("true"),
            None if is_providers => None,
            None => Some("false"),
        }
    }

    /// What an attempt that ended so says of its provider.
    pub(crate) fn went(&self) -> Went {
        match self.code {
            "rate_limited" => Went::Limited(self.retry_after),
            "upstream_overloaded"
            | "upstream_timeout"
            | "upstream_unavailable"
            | "upstream_error"
            | "upstream_account"
            | failure::OWN_KEY_REFUSED
            | "upstream_malformed" => Went::Failed,
            _ => Went::Well,
        }
    }

    /// The same, once that was tried.
    #[must_use]
    pub(crate) fn tried(mut self, tried: &[Tried]) -> Self {
        self.tried = answer::attempts(tried).map(Box::new);
        self
    }

    /// The answer to a client with that face.
    pub(crate) fn response(self, face: Face) -> Response {
        let should_retry = self.should_retry();
        let (status, content_type, body) = if let Some(verbatim) = self.verbatim {
            let Verbatim { status, content_type, body } = *verbatim;
            (status, content_type, body)
        } else {
            let (status, body) = face.write_problem(&self.wire(), self.code);
            let own = self.status == StatusCode::INTERNAL_SERVER_ERROR;
            let status = StatusCode::from_u16(status).ok().filter(|_| !own);
            (status.unwrap_or(self.status), None, Bytes::from(body))
        };
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(json));
        if let Some(tried) = self.tried {
            headers.insert(answer::ATTEMPTS, *tried);
        }
        if let Some(told) = self.told {
            told.write(face, headers);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(word) = should_retry {
            headers.insert("x-should-retry", HeaderValue::from_static(word));
        }
        response
    }
}

/// The word that the dialects have for one of our codes.
fn dialect_code(code: &'static str) -> Option<&'static str> {
    match code {
        "invalid_api_key" | "missing_api_key" | "api_key_revoked" | "api_key_expired" => {
            Some("invalid_api_key")
        }
        "unknown_model" | "upstream_not_found" => Some("model_not_found"),
        "invalid_request" | "internal_error" => None,
        other => Some(other),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response(Face::NATIVE)
    }
}
