//! Who serves models: rows of a table. A provider that speaks a known dialect is a row more.

use http::Uri;
use secrecy::SecretString;

use crate::config::Settings;

/// Where a provider wants its credential.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// `Authorization: Bearer …`
    Bearer,
    /// `x-api-key: …`
    XApiKey,
    /// `x-goog-api-key: …`
    XGoogApiKey,
}

/// One provider, as the table has it.
pub(crate) struct Row {
    /// Its name in model ids, prices and receipts.
    pub(crate) name: &'static str,
    /// The setting that holds its key: what the log names when the provider refuses it.
    pub(crate) credential_setting: &'static str,
    /// Its public address, without the path of the endpoint.
    pub(crate) base_url: &'static str,
    /// The dialect of `wire` that it speaks.
    pub(crate) dialect: &'static str,
    pub(crate) credential: Credential,
    /// Headers that each call carries.
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

/// All providers.
pub(crate) const ROWS: [Row; 4] = [
    Row {
        name: "openai",
        credential_setting: "OPENAI_API_KEY",
        base_url: "https://api.openai.com/v1",
        dialect: "openai_chat",
        credential: Credential::Bearer,
        headers: &[],
    },
    Row {
        name: "gemini",
        credential_setting: "GEMINI_API_KEY",
        base_url: "https://generativelanguage.googleapis.com",
        dialect: "gemini",
        credential: Credential::XGoogApiKey,
        headers: &[],
    },
    Row {
        name: "anthropic",
        credential_setting: "ANTHROPIC_API_KEY",
        base_url: "https://api.anthropic.com",
        dialect: "anthropic",
        credential: Credential::XApiKey,
        headers: &[("anthropic-version", "2023-06-01")],
    },
    Row {
        name: "deepseek",
        credential_setting: "DEEPSEEK_API_KEY",
        base_url: "https://api.deepseek.com",
        dialect: "openai_chat",
        credential: Credential::Bearer,
        headers: &[],
    },
];

/// A provider that is set up.
pub(crate) struct Provider {
    pub(crate) row: &'static Row,
    /// Without a slash at the end.
    pub(crate) base_url: String,
    /// `None` where the operator has set none: the provider is known, but cannot be called.
    pub(crate) key: Option<SecretString>,
}

/// The table joined with the settings.
pub(crate) struct Providers(Vec<Provider>);

impl Providers {
    /// # Errors
    /// A base URL that is none, by its setting.
    pub(crate) fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let mut providers = Vec::new();
        for row in &ROWS {
            let (key, base_url) = settings.provider(row.name);
            let base_url = base_url.unwrap_or(row.base_url).trim_end_matches('/').to_owned();
            let setting = row.credential_setting.replace("_API_KEY", "_BASE_URL");
            let uri: Uri = base_url.parse().map_err(|_| {
                anyhow::anyhow!("{setting}: expected a URL such as {}", row.base_url)
            })?;
            let web = matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some()
                && uri.query().is_none();
            anyhow::ensure!(web, "{setting}: expected a URL such as {}", row.base_url);
            providers.push(Provider { row, base_url, key: key.cloned() });
        }
        Ok(Self(providers))
    }

    /// The provider of that name; `google` is another name of `gemini`.
    pub(crate) fn get(&self, name: &str) -> Option<&Provider> {
        let name = if name == "google" { "gemini" } else { name };
        self.0.iter().find(|provider| provider.row.name == name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.iter()
    }
}

/// The names of all providers, for messages.
pub(crate) fn names() -> String {
    ROWS.map(|row| row.name).join(", ")
}
