//! Who serves models: rows of a table. A provider that speaks a known dialect is a row more.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use store::ProviderCredential;
use wire::Dialect;

use crate::breaker::Breaker;
use crate::config::Settings;
use crate::credentials::{InForce, Secret};
use crate::upstream::Connections;
use crate::vault::MasterKeys;

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
    /// The setting that holds its key, where the store has none.
    pub(crate) credential_setting: &'static str,
    /// Its public address, without the path of the endpoint.
    pub(crate) base_url: &'static str,
    /// The dialects that it speaks, the one to prefer first.
    pub(crate) speaks: &'static [Speaks],
    /// Where it lists its models, which costs nothing and takes a credential that works.
    pub(crate) models: &'static str,
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
        models: "/models",
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
        models: "/v1beta/models?pageSize=1",
        cancels: false,
    },
    Row {
        name: "anthropic",
        credential_setting: "ANTHROPIC_API_KEY",
        base_url: "https://api.anthropic.com",
        speaks: &[anthropic("")],
        models: "/v1/models?limit=1",
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
        models: "/models",
        cancels: true,
    },
];

/// A provider that is set up.
pub(crate) struct Provider {
    pub(crate) row: &'static Row,
    /// Without a slash at the end.
    pub(crate) base_url: String,
    of_environment: Arc<InForce>,
    in_force: ArcSwap<InForce>,
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

    /// The credential that is in force now. A call keeps the one it was made with.
    pub(crate) fn credential(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Whether there is a credential to call it with.
    pub(crate) fn is_callable(&self) -> bool {
        self.in_force.load().secret.is_some()
    }

    /// The setting of its credential, where that is set.
    pub(crate) fn is_set_in_environment(&self) -> bool {
        self.of_environment.secret.is_some()
    }

    /// Puts in force what is stored, or else what the environment says: whether that is another than before.
    fn take_up(&self, stored: Option<ProviderCredential>, keys: &MasterKeys) -> bool {
        let current = self.in_force.load();
        let known = current.stored().map(|(row, _)| row);
        if known == stored.as_ref() {
            return false;
        }
        let next = stored.map_or_else(
            || Arc::clone(&self.of_environment),
            |row| Arc::new(InForce::of_store(row, keys)),
        );
        self.in_force.store(next);
        true
    }
}

/// The table joined with the settings and with what is stored.
pub(crate) struct Providers {
    all: Vec<Provider>,
    /// What stored credentials are sealed with.
    pub(crate) master_keys: MasterKeys,
}

impl Providers {
    /// With the credentials of the environment.
    ///
    /// # Errors
    /// A base URL, a credential or a master key that is none, by its setting.
    pub(crate) fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let master_keys = MasterKeys::from_settings(settings)?;
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
            let setting = row.credential_setting;
            let secret = key.cloned().map(Secret::of).transpose().map_err(|_| {
                anyhow::anyhow!("{setting}: has a character that no key has, such as a line's end")
            })?;
            let of_environment = Arc::new(InForce::of_environment(setting, secret));
            providers.push(Provider {
                row,
                base_url,
                in_force: ArcSwap::new(Arc::clone(&of_environment)),
                of_environment,
                scheme,
                authority,
                base_path,
                host,
                connections: Connections::default(),
                breaker: Breaker::default(),
            });
        }
        Ok(Self { all: providers, master_keys })
    }

    /// Puts in force what is stored: the providers of which another credential is in force now.
    pub(crate) fn take_up(&self, stored: Vec<ProviderCredential>) -> Vec<&Provider> {
        let mut stored: Vec<Option<ProviderCredential>> = stored.into_iter().map(Some).collect();
        let changed = self.all.iter().filter(|provider| {
            let own = stored
                .iter_mut()
                .find(|row| row.as_ref().is_some_and(|row| row.provider == provider.row.name));
            provider.take_up(own.and_then(Option::take), &self.master_keys)
        });
        changed.collect()
    }

    /// The provider of that name; `google` is another name of `gemini`.
    pub(crate) fn get(&self, name: &str) -> Option<&Provider> {
        let name = canonical(name);
        self.all.iter().find(|provider| provider.row.name == name)
    }

    /// Whether any of them is called by TLS.
    pub(crate) fn need_tls(&self) -> bool {
        let mut callable = self.all.iter().filter(|provider| provider.is_callable());
        callable.any(|provider| provider.scheme == Scheme::HTTPS)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.all.iter()
    }
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
