//! The four providers, and which of them a path belongs to.

use std::fmt;

use http::Method;

/// A provider whose wire format is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    OpenAi,
    DeepSeek,
    Anthropic,
    Gemini,
}

impl Provider {
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::DeepSeek, Self::Anthropic, Self::Gemini];

    /// The name that fixtures, recordings and the gateway use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::DeepSeek => "deepseek",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What a request asks for, told by its method and path alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// A chat completion. Gemini names the model and the verb in the path.
    Chat {
        provider: Provider,
        model: Option<&'a str>,
        stream: bool,
    },
    Models(Provider),
    Unknown(Provider),
}

impl<'a> Route<'a> {
    pub(crate) fn of(method: &Method, path: &'a str) -> Self {
        let chat = |provider| Self::Chat { provider, model: None, stream: false };
        match (method, path) {
            (&Method::POST, "/v1/chat/completions") => chat(Provider::OpenAi),
            (&Method::POST, "/chat/completions" | "/beta/chat/completions") => {
                chat(Provider::DeepSeek)
            }
            (&Method::POST, "/v1/messages") => chat(Provider::Anthropic),
            (&Method::GET, "/v1/models") => Self::Models(Provider::OpenAi),
            (&Method::GET, "/models") => Self::Models(Provider::DeepSeek),
            (&Method::POST, path) if path.starts_with("/v1beta/") => Self::gemini(path),
            (_, path) if path.starts_with("/v1beta/") => Self::Unknown(Provider::Gemini),
            (_, "/v1/messages") => Self::Unknown(Provider::Anthropic),
            (_, path) if path.starts_with("/v1/") => Self::Unknown(Provider::OpenAi),
            _ => Self::Unknown(Provider::DeepSeek),
        }
    }

    /// A tuned model's name may hold a colon, so the verb is what follows the last one.
    fn gemini(path: &'a str) -> Self {
        let split = path.strip_prefix("/v1beta/models/").and_then(|rest| rest.rsplit_once(':'));
        match split {
            Some((model, verb @ ("generateContent" | "streamGenerateContent"))) => Self::Chat {
                provider: Provider::Gemini,
                model: Some(model),
                stream: verb == "streamGenerateContent",
            },
            _ => Self::Unknown(Provider::Gemini),
        }
    }

    pub(crate) fn provider(self) -> Provider {
        match self {
            Self::Chat { provider, .. } | Self::Models(provider) | Self::Unknown(provider) => {
                provider
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gemini_path_is_split_at_its_last_colon() {
        let route = Route::of(&Method::POST, "/v1beta/models/tuned:x:generateContent");
        let model = Some("tuned:x");
        assert_eq!(route, Route::Chat { provider: Provider::Gemini, model, stream: false });
        let route = Route::of(&Method::POST, "/v1beta/models/x:streamGenerateContent");
        assert!(matches!(route, Route::Chat { stream: true, .. }));
        let route = Route::of(&Method::POST, "/v1beta/models/x:countTokens");
        assert_eq!(route, Route::Unknown(Provider::Gemini));
    }

    #[test]
    fn the_version_prefix_tells_openai_from_deepseek() {
        for (path, provider) in
            [("/v1/chat/completions", Provider::OpenAi), ("/chat/completions", Provider::DeepSeek)]
        {
            assert_eq!(Route::of(&Method::POST, path).provider(), provider);
        }
    }
}
