//! Who serves models: rows of a table. A provider that speaks a known dialect is a row more.

use http::header::InvalidHeaderValue;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use secrecy::{ExposeSecret as _, SecretString};
use wire::Dialect;

use crate::breaker::Breaker;
use crate::config::Settings;
use crate::upstream::Connections;

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
    /// The dialects that it speaks, the one to prefer first.
    pub(crate) speaks: &'static [Speaks],
    /// Whether it stops to charge for a stream whose reader hangs up.
    pub(crate) cancels: bool,
}

/// A dialect that a provider speaks, and where.
pub(crate) struct Speaks {
    pub(crate) dialect: &'static dyn Dialect,
    /// What stands between the base URL and the dialect's own path.
    pub(crate) below: &'static str,
    pub(crate) credential: Credential,
    /// Headers that each call carries unless the client's request brings its own.
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

const fn bearer(dialect: &'static dyn Dialect) -> Speaks {
    Speaks { dialect, below: "", credential: Credential::Bearer, headers: &[] }
}

const fn anthropic(below: &'static str) -> Speaks {
    Speaks {
        dialect: &wire::anthropic::Anthropic,
        below,
        credential: Credential::XApiKey,
        headers: &[("anthropic-version", "2023-06-01")],
    }
}

/// All providers.
pub(crate) const ROWS: [Row; 4] = [
    Row {
        name: "openai",
        credential_setting: "OPENAI_API_KEY",
        base_url: "https://api.openai.com/v1",
        speaks: &[
            bearer(&wire::openai_chat::OpenaiChat),
            bearer(&wire::openai_responses::OpenaiResponses),
        ],
        cancels: true,
    },
    Row {
        name: "gemini",
        credential_setting: "GEMINI_API_KEY",
        base_url: "https://generativelanguage.googleapis.com",
        speaks: &[Speaks {
            dialect: &wire::gemini::Gemini,
            below: "",
            credential: Credential::XGoogApiKey,
            headers: &[],
        }],
        cancels: false,
    },
    Row {
        name: "anthropic",
        credential_setting: "ANTHROPIC_API_KEY",
        base_url: "https://api.anthropic.com",
        speaks: &[anthropic("")],
        cancels: true,
    },
    Row {
        name: "deepseek",
        credential_setting: "DEEPSEEK_API_KEY",
        base_url: "https://api.deepseek.com",
        speaks: &[
            bearer(&wire::openai_chat::OpenaiChat),
            anthropic("/anthropic"),
            bearer(&wire::openai_responses::OpenaiResponses),
        ],
        cancels: true,
    },
];

/// A provider that is set up.
pub(crate) struct Provider {
    pub(crate) row: &'static Row,
    /// Without a slash at the end.
    pub(crate) base_url: String,
    /// `None` where the operator has set none: the provider is known, but cannot be called.
    pub(crate) key: Option<SecretString>,
    /// The key as a header has it, behind `Bearer` and by itself.
    pub(crate) credential: Option<(HeaderValue, HeaderValue)>,
    /// The base URL once more, in the parts that a request is made of.
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) base_path: String,
    /// The authority as HTTP/1.1's `host`, without a port that goes without saying.
    pub(crate) host: HeaderValue,
    pub(crate) connections: Connections,
    pub(crate) breaker: Breaker,
}

impl Provider {
    /// Its way of speaking where there is no other choice to make.
    pub(crate) fn first(&self) -> Option<&'static Speaks> {
        self.row.speaks.first()
    }
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
            let (Some(scheme), Some(authority), true) =
                (uri.scheme().cloned(), uri.authority().cloned(), web)
            else {
                anyhow::bail!("{setting}: expected a URL such as {}", row.base_url);
            };
            let base_path = uri.path().trim_end_matches('/').to_owned();
            let host = host(&scheme, &authority).ok_or_else(|| {
                anyhow::anyhow!("{setting}: expected a URL such as {}", row.base_url)
            })?;
            let credential = key.map(credential).transpose().map_err(|_| {
                let setting = row.credential_setting;
                anyhow::anyhow!("{setting}: has a character that no key has, such as a line's end")
            })?;
            providers.push(Provider {
                row,
                credential,
                base_url,
                key: key.cloned(),
                scheme,
                authority,
                base_path,
                host,
                connections: Connections::default(),
                breaker: Breaker::default(),
            });
        }
        Ok(Self(providers))
    }

    /// The provider of that name; `google` is another name of `gemini`.
    pub(crate) fn get(&self, name: &str) -> Option<&Provider> {
        let name = canonical(name);
        self.0.iter().find(|provider| provider.row.name == name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.iter()
    }
}

fn credential(key: &SecretString) -> Result<(HeaderValue, HeaderValue), InvalidHeaderValue> {
    let key = key.expose_secret();
    let mut bearer = HeaderValue::try_from(format!("Bearer {key}"))?;
    let mut bare = HeaderValue::from_str(key)?;
    bearer.set_sensitive(true);
    bare.set_sensitive(true);
    Ok((bearer, bare))
}

fn host(scheme: &Scheme, authority: &Authority) -> Option<HeaderValue> {
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let host = match authority.port_u16() {
        Some(port) if port != usual => format!("{}:{port}", authority.host()),
        _ => authority.host().to_owned(),
    };
    HeaderValue::try_from(host).ok()
}

/// The name under which a provider is kept: `google` is another name of `gemini`.
pub(crate) fn canonical(provider: &str) -> &str {
    if provider == "google" { "gemini" } else { provider }
}

/// A model's own name, whether or not its provider stands in front of it.
pub(crate) fn bare_model<'a>(provider: &str, model: &'a str) -> &'a str {
    match model.split_once('/') {
        Some((prefix, rest)) if canonical(prefix) == provider => rest,
        _ => model,
    }
}

/// The names of all providers, for messages.
pub(crate) fn names() -> String {
    ROWS.map(|row| row.name).join(", ")
}
