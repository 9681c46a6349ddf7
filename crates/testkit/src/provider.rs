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

/// What can be asked of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Api {
    /// `OpenAI` Chat Completions, which `DeepSeek` speaks as well.
    Chat,
    Responses,
    Completions,
    Embeddings,
    /// The tokens of a Responses request.
    InputTokens,
    /// Anthropic Messages.
    Messages,
    /// The tokens of a Messages request.
    MessageTokens,
    /// Gemini generateContent.
    Generate,
    /// The tokens of a generateContent request.
    ContentTokens,
    EmbedContent,
    BatchEmbedContents,
}

/// What a request asks for, told by its method and path alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// Something of a model. Gemini names the model and the verb in the path.
    Call {
        provider: Provider,
        api: Api,
        model: Option<&'a str>,
        /// Whether the path asks for a stream; the body may as well.
        stream: bool,
    },
    /// The list of models, or one of them.
    Models(Provider, Option<&'a str>),
    Unknown(Provider),
}

impl<'a> Route<'a> {
    pub(crate) fn of(method: &Method, path: &'a str) -> Self {
        match *method {
            Method::POST => Self::post(path),
            Method::GET => Self::get(path),
            _ => Self::Unknown(owner(path)),
        }
    }

    fn post(path: &'a str) -> Self {
        let (provider, api) = match path {
            "/v1/chat/completions" => (Provider::OpenAi, Api::Chat),
            "/v1/responses" => (Provider::OpenAi, Api::Responses),
            "/v1/responses/input_tokens" => (Provider::OpenAi, Api::InputTokens),
            "/v1/completions" => (Provider::OpenAi, Api::Completions),
            "/v1/embeddings" => (Provider::OpenAi, Api::Embeddings),
            "/chat/completions" | "/beta/chat/completions" => (Provider::DeepSeek, Api::Chat),
            "/responses" => (Provider::DeepSeek, Api::Responses),
            "/anthropic/v1/messages" => (Provider::DeepSeek, Api::Messages),
            "/v1/messages" => (Provider::Anthropic, Api::Messages),
            "/v1/messages/count_tokens" => (Provider::Anthropic, Api::MessageTokens),
            path if path.starts_with("/v1beta/") => return Self::gemini(path),
            path => return Self::Unknown(owner(path)),
        };
        Self::Call { provider, api, model: None, stream: false }
    }

    fn get(path: &'a str) -> Self {
        let provider = owner(path);
        let prefix = match provider {
            Provider::Gemini => "/v1beta/models",
            Provider::DeepSeek => "/models",
            Provider::OpenAi | Provider::Anthropic => "/v1/models",
        };
        match path.strip_prefix(prefix) {
            Some("") => Self::Models(provider, None),
            Some(rest) => rest
                .strip_prefix('/')
                .map_or(Self::Unknown(provider), |model| Self::Models(provider, Some(model))),
            None => Self::Unknown(provider),
        }
    }

    /// A tuned model's name may hold a colon, so the verb is what follows the last one.
    fn gemini(path: &'a str) -> Self {
        let split = path.strip_prefix("/v1beta/models/").and_then(|rest| rest.rsplit_once(':'));
        let Some((model, verb)) = split else { return Self::Unknown(Provider::Gemini) };
        let api = match verb {
            "generateContent" | "streamGenerateContent" => Api::Generate,
            "countTokens" => Api::ContentTokens,
            "embedContent" => Api::EmbedContent,
            "batchEmbedContents" => Api::BatchEmbedContents,
            _ => return Self::Unknown(Provider::Gemini),
        };
        let stream = verb == "streamGenerateContent";
        Self::Call { provider: Provider::Gemini, api, model: Some(model), stream }
    }

    pub(crate) fn provider(self) -> Provider {
        match self {
            Self::Call { provider, .. } | Self::Models(provider, _) | Self::Unknown(provider) => {
                provider
            }
        }
    }

    /// The provider whose shapes an answer has: `DeepSeek` speaks Anthropic's format too.
    pub(crate) fn shape(self) -> Provider {
        match self {
            Self::Call { api: Api::Messages | Api::MessageTokens, .. } => Provider::Anthropic,
            _ => self.provider(),
        }
    }
}

fn owner(path: &str) -> Provider {
    if path.starts_with("/v1beta/") {
        Provider::Gemini
    } else if path.starts_with("/v1/messages") {
        Provider::Anthropic
    } else if path.starts_with("/v1/") {
        Provider::OpenAi
    } else {
        Provider::DeepSeek
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gemini_path_is_split_at_its_last_colon() {
        let post = |path| Route::of(&Method::POST, path);
        let call = |api, model, stream| Route::Call {
            provider: Provider::Gemini,
            api,
            model: Some(model),
            stream,
        };
        assert_eq!(
            post("/v1beta/models/tuned:x:generateContent"),
            call(Api::Generate, "tuned:x", false)
        );
        assert_eq!(post("/v1beta/models/x:streamGenerateContent"), call(Api::Generate, "x", true));
        assert_eq!(post("/v1beta/models/x:countTokens"), call(Api::ContentTokens, "x", false));
        assert_eq!(post("/v1beta/models/x:sing"), Route::Unknown(Provider::Gemini));
    }

    #[test]
    fn the_version_prefix_tells_openai_from_deepseek() {
        for (path, provider) in
            [("/v1/chat/completions", Provider::OpenAi), ("/chat/completions", Provider::DeepSeek)]
        {
            assert_eq!(Route::of(&Method::POST, path).provider(), provider);
        }
    }

    #[test]
    fn models_are_asked_for_together_or_one_by_one() {
        let get = |path| Route::of(&Method::GET, path);
        assert_eq!(get("/v1/models"), Route::Models(Provider::OpenAi, None));
        assert_eq!(get("/models/a"), Route::Models(Provider::DeepSeek, Some("a")));
        assert_eq!(get("/v1beta/models/a"), Route::Models(Provider::Gemini, Some("a")));
        assert_eq!(get("/v1beta/modelsx"), Route::Unknown(Provider::Gemini));
    }

    #[test]
    fn anthropics_format_at_deepseek_has_anthropics_shapes() {
        let route = Route::of(&Method::POST, "/anthropic/v1/messages");
        assert_eq!((route.provider(), route.shape()), (Provider::DeepSeek, Provider::Anthropic));
    }
}
