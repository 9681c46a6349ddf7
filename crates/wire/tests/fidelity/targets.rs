//! Whom requests are written for: each provider in the dialects that it is called in, with models of several generations.

use serde_json::Value;
use testkit::strict::{Api, check};
use wire::{Chat, Dialect, Target, Unsupported, Written, dialect};

/// A model of a provider, in one of the dialects that the provider speaks.
#[derive(Copy, Clone)]
pub(crate) struct To {
    pub(crate) dialect: &'static str,
    pub(crate) provider: &'static str,
    pub(crate) model: &'static str,
    api: Api,
    most: u64,
    pub(crate) reasons: bool,
}

/// The path at which the checker knows an endpoint.
const fn api(dialect: &str, provider: &str) -> Api {
    match (dialect.as_bytes(), provider.as_bytes()) {
        (b"openai_chat", b"deepseek") => Api::DeepseekChat,
        (b"openai_chat", _) => Api::OpenaiChat,
        (b"openai_responses", _) => Api::OpenaiResponses,
        (b"anthropic", b"deepseek") => Api::DeepseekAnthropic,
        (b"anthropic", _) => Api::Anthropic,
        _ => Api::Gemini,
    }
}

const fn to(
    dialect: &'static str,
    provider: &'static str,
    model: &'static str,
    most: u64,
    reasons: bool,
) -> To {
    To { dialect, provider, model, api: api(dialect, provider), most, reasons }
}

/// Every target, those of one provider and dialect side by side, the newest model of each first.
pub(crate) const TARGETS: [To; 20] = [
    // Without functions alone: with them the newest models are called over Responses.
    to("openai_chat", "openai", "gpt-5.2", 128_000, true),
    to("openai_chat", "openai", "o3", 100_000, true),
    to("openai_chat", "openai", "gpt-4o", 16_384, false),
    to("openai_chat", "openai", "gpt-audio", 16_384, false),
    to("openai_chat", "deepseek", "deepseek-v4-pro", 393_216, true),
    to("openai_responses", "openai", "gpt-6.1-sol", 128_000, true),
    to("openai_responses", "openai", "gpt-5.6-sol", 128_000, true),
    to("openai_responses", "openai", "o4-mini", 100_000, true),
    to("openai_responses", "openai", "gpt-4.1", 32_768, false),
    to("anthropic", "anthropic", "claude-opus-5-5", 128_000, true),
    to("anthropic", "anthropic", "claude-opus-5", 128_000, true),
    to("anthropic", "anthropic", "claude-sonnet-4-6", 128_000, true),
    to("anthropic", "anthropic", "claude-sonnet-4-5", 64_000, true),
    to("anthropic", "anthropic", "claude-3-haiku-20240307", 4_096, false),
    to("gemini", "gemini", "gemini-4-argon", 1_048_576, true),
    to("gemini", "gemini", "gemini-3-flash-preview", 65_536, true),
    to("gemini", "gemini", "gemini-2.5-pro", 65_536, true),
    to("gemini", "gemini", "gemini-2.0-flash", 8_192, false),
    to("anthropic", "deepseek", "deepseek-v4-pro", 393_216, true),
    to("anthropic", "deepseek", "deepseek-v4-flash-vision-exp", 393_216, true),
];

impl To {
    pub(crate) fn dialect(&self) -> &'static dyn Dialect {
        dialect(self.dialect).unwrap()
    }

    /// `dialect@provider`.
    pub(crate) fn name(&self) -> String {
        format!("{}@{}", self.dialect, self.provider)
    }

    pub(crate) fn write(&self, chat: &Chat) -> Result<Written, Unsupported> {
        let target = Target {
            provider: self.provider,
            model: self.model,
            max_output_tokens: Some(self.most),
            reasoning: self.reasons,
        };
        self.dialect().write_request(chat, &target)
    }

    /// What the provider would find wrong with a written request.
    pub(crate) fn faults(&self, body: &[u8]) -> Vec<String> {
        check(self.api, &serde_json::from_slice::<Value>(body).unwrap())
    }
}

/// The groups of [`TARGETS`]: one for each provider and dialect.
pub(crate) fn groups() -> impl Iterator<Item = &'static [To]> {
    TARGETS.chunk_by(|a, b| (a.dialect, a.provider) == (b.dialect, b.provider))
}

/// How answers and streams of a client's dialect are checked.
pub(crate) fn client_api(dialect: &str) -> Api {
    api(dialect, "")
}
