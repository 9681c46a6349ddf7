//! What calls to a provider are authorized with: what the store has for it, sealed, or else what the environment says.
//!
//! What is stored stands before the environment even where it does not open: then the provider is not called at all, since
//! another credential may be another account's money.

use std::fmt;

use http::HeaderValue;
use http::header::InvalidHeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use store::{OwnKey, ProviderCredential, Store};

use crate::clock;
use crate::config::Settings;
use crate::providers::{Provider, Providers};
use crate::upstream::Upstream;
use crate::vault::{Closed, MasterKeys, Place};

/// What is shorter guards nothing, and may be part of any word.
pub(crate) const SHORTEST: usize = 8;
const LONGEST: usize = 1_024;
/// Of one that is shorter, the end would tell too much.
const TELLS_ITS_END: usize = 16;

/// A credential, as headers have it: behind `Bearer`, and by itself.
pub(crate) struct Secret {
    text: SecretString,
    pub(crate) bearer: HeaderValue,
    pub(crate) bare: HeaderValue,
}

/// Where a credential is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// There is none.
    Nowhere,
    /// The setting of that name.
    Environment(&'static str),
    /// The store; closed where it does not open.
    Stored { row: Box<ProviderCredential>, closed: Option<Closed> },
    /// An account has brought it; closed where it does not open.
    Account { closed: Option<Closed> },
}

/// The credential of a provider that is in force.
pub(crate) struct InForce {
    pub(crate) origin: Origin,
    /// `None`: the provider is known, but cannot be called.
    pub(crate) secret: Option<Secret>,
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.text.expose_secret() == other.text.expose_secret()
    }
}

impl Secret {
    pub(crate) fn of(text: SecretString) -> Result<Self, InvalidHeaderValue> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", text.expose_secret()))?;
        let mut bare = HeaderValue::from_str(text.expose_secret())?;
        bearer.set_sensitive(true);
        bare.set_sensitive(true);
        Ok(Self { text, bearer, bare })
    }

    /// Somebody's text, in which it might stand, without it.
    pub(crate) fn taken_out_of(&self, text: &str) -> String {
        let secret = self.text.expose_secret();
        if secret.len() < SHORTEST { text.to_owned() } else { text.replace(secret, "[credential]") }
    }

    /// How it ends.
    pub(crate) fn last4(&self) -> &str {
        last4(&self.text)
    }

    /// What shows that more was copied than the credential.
    pub(crate) fn oddity(&self) -> Option<&'static str> {
        let text = self.text.expose_secret();
        match text {
            _ if text.starts_with("Bearer ") => Some("begins with `Bearer`, which is added here"),
            _ if text.contains(['"', '\'']) => Some("has quotation marks in it"),
            _ if text.contains(char::is_whitespace) => Some("has blanks in it"),
            _ => None,
        }
    }

    /// Whose it is by its beginning, where that tells: a provider's name, or that of this program.
    pub(crate) fn seems_of(&self) -> Option<&'static str> {
        const BEGINNINGS: [(&str, &str); 3] =
            [("sk-ant-", "anthropic"), ("AIza", "gemini"), ("tg-", "tollgate")];
        let text = self.text.expose_secret();
        BEGINNINGS.into_iter().find(|(begins, _)| text.starts_with(begins)).map(|(_, whose)| whose)
    }
}

pub(crate) fn last4(secret: &SecretString) -> &str {
    let text = secret.expose_secret();
    let end = (text.len() >= TELLS_ITS_END).then(|| text.get(text.len() - 4..)).flatten();
    end.unwrap_or_default()
}

impl InForce {
    pub(crate) fn of_environment(setting: &'static str, secret: Option<Secret>) -> Self {
        let origin = if secret.is_some() { Origin::Environment(setting) } else { Origin::Nowhere };
        Self { origin, secret }
    }

    pub(crate) fn of_store(row: ProviderCredential, keys: &MasterKeys) -> Self {
        let place = Place { account: None, provider: &row.provider, id: row.id };
        let (secret, closed) = opened(keys.open(place, &row.key_id, &row.sealed));
        Self { origin: Origin::Stored { row: Box::new(row), closed }, secret }
    }

    pub(crate) fn of_account(row: &OwnKey, keys: &MasterKeys) -> Self {
        let place = Place { account: Some(row.account_id), provider: &row.provider, id: row.id };
        let (secret, closed) = opened(keys.open(place, &row.key_id, &row.sealed));
        Self { origin: Origin::Account { closed }, secret }
    }

    /// What is stored of it, and why that does not open.
    pub(crate) fn stored(&self) -> Option<(&ProviderCredential, Option<&Closed>)> {
        match &self.origin {
            Origin::Stored { row, closed } => Some((row, closed.as_ref())),
            Origin::Nowhere | Origin::Environment(_) | Origin::Account { .. } => None,
        }
    }

    /// How it ends; nothing where there is none, or it is short.
    pub(crate) fn last4(&self) -> &str {
        match (&self.origin, &self.secret) {
            (Origin::Stored { row, .. }, _) => &row.last4,
            (_, Some(secret)) => secret.last4(),
            (_, None) => "",
        }
    }
}

/// What was opened, as headers have it, or why it was not.
fn opened(text: Result<SecretString, Closed>) -> (Option<Secret>, Option<Closed>) {
    let secret = text.and_then(|text| Secret::of(text).map_err(|_| Closed::Changed));
    match secret {
        Ok(secret) => (Some(secret), None),
        Err(closed) => (None, Some(closed)),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("none"),
            Self::Environment(setting) => f.write_str(setting),
            Self::Account { .. } => f.write_str("an account's own"),
            Self::Stored { row, .. } if row.last4.is_empty() => f.write_str("stored"),
            Self::Stored { row, .. } => write!(f, "stored, …{}", row.last4),
        }
    }
}

/// What to do about a credential that does not open.
pub(crate) fn remedy(provider: &str) -> String {
    format!(
        "set TOLLGATE_MASTER_KEY to what it was sealed with, or set the credential anew (`tollgate provider set-key \
         {provider}`), or remove it (`tollgate provider remove-key {provider}`)"
    )
}

/// Tells the log what is in force from now on.
pub(crate) fn log(provider: &Provider) {
    let (name, in_force) = (provider.name(), provider.credential());
    if let (Some(own), Origin::Account { closed }) = (&provider.own, &in_force.origin) {
        let (name, account, key) = (provider.row.name, own.account_id, &own.key_id);
        if let Some(closed) = closed {
            tracing::error!(provider = name, %account, %closed, master_key = key, "an account's own key does not open: it is not used until TOLLGATE_MASTER_KEY has what it was sealed with");
        } else {
            tracing::debug!(provider = name, %account, "an account's own key is in force from now on");
        }
        return;
    }
    let origin = &in_force.origin;
    if let Some((row, Some(closed))) = in_force.stored() {
        let (key, remedy) = (&row.key_id, remedy(&name));
        tracing::error!(provider = name, %closed, master_key = key, remedy, "the stored credential does not open: requests to this provider are refused");
    } else {
        tracing::info!(provider = name, %origin, "this credential is in force from now on");
    }
}

/// A credential as somebody has typed it.
///
/// # Errors
/// It cannot be one. What was typed is not repeated.
pub(crate) fn read(typed: &str) -> Result<SecretString, String> {
    let text = typed.trim();
    if text.is_empty() {
        return Err("there is none".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has a character that no key has, such as a space".to_owned());
    }
    if !(SHORTEST..=LONGEST).contains(&text.len()) {
        return Err(format!("it has {SHORTEST} to {LONGEST} characters"));
    }
    Ok(SecretString::from(text))
}

/// A further endpoint of a provider.
#[derive(Clone, Debug)]
pub(crate) struct Further {
    pub(crate) name: String,
    pub(crate) base_url: String,
    pub(crate) priority: i64,
    pub(crate) weight: i64,
}

/// Seals a credential of a provider, or of a further endpoint of it, and puts it in force.
pub(crate) async fn set(
    store: &Store,
    keys: &MasterKeys,
    provider: &Provider,
    further: Option<Further>,
    (name, secret): (&str, &SecretString),
) -> anyhow::Result<()> {
    let own = Further { name: String::new(), base_url: String::new(), priority: 0, weight: 1 };
    let Further { name: endpoint, base_url, priority, weight } = further.unwrap_or(own);
    let (id, provider) = (clock::new_id(), provider.row.name.to_owned());
    let sealed = keys.seal(Place { account: None, provider: &provider, id }, secret)?;
    let new = ProviderCredential {
        id,
        provider,
        name: name.to_owned(),
        sealed: sealed.bytes,
        key_id: sealed.key_id,
        last4: last4(secret).to_owned(),
        created_at: clock::now(),
        created_by: String::new(),
        endpoint,
        base_url,
        priority,
        weight,
    };
    Ok(store.set_provider_credential(&new).await?)
}

/// Whether a credential works.
pub(crate) enum Checked {
    Works,
    /// There is nothing to try, or the provider does not take it: why.
    Refused(String),
    /// Nobody can tell: why.
    Unreachable(String),
}

impl Checked {
    /// A word for it, and the rest of the sentence.
    pub(crate) fn told(&self) -> (&'static str, &str) {
        match self {
            Self::Works => ("works", "the provider takes it"),
            Self::Refused(why) => ("refused", why),
            Self::Unreachable(why) => ("unreachable", why),
        }
    }
}

/// Tries a provider's credential at its list of models, which costs nothing.
pub(crate) async fn check(upstream: &Upstream, provider: &Provider) -> Checked {
    let credential = provider.credential();
    if credential.secret.is_none() {
        let why = match credential.stored() {
            Some((_, Some(closed))) => format!("it does not open: {closed}"),
            _ => "there is none".to_owned(),
        };
        return Checked::Refused(why);
    }
    let Some(speaks) = provider.first() else {
        return Checked::Unreachable("there is no way to speak to it".to_owned());
    };
    match upstream.list_models(provider, speaks, &credential).await {
        Ok(status) if status.is_success() => Checked::Works,
        // Gemini has 400 for a key that is none.
        Ok(status) if matches!(status.as_u16(), 400 | 401 | 403) => {
            Checked::Refused(format!("the provider answers {status}"))
        }
        Ok(status) => Checked::Unreachable(format!("the provider answers {status}")),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            Checked::Unreachable(format!("{error}{}", cause.unwrap_or_default()))
        }
    }
}

/// All providers, with what is in force now.
pub(crate) async fn providers(settings: &Settings, store: &Store) -> anyhow::Result<Providers> {
    let providers = Providers::from_settings(settings)?;
    providers.take_up(store.provider_credentials().await?);
    providers.take_up_own(store.own_keys().await?);
    Ok(providers)
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret as _, SecretString};

    use super::{Secret, last4, read};

    #[test]
    fn a_credential_is_read_without_what_surrounds_it() {
        let secret = |typed: &str| read(typed).map(|secret| secret.expose_secret().to_owned());
        assert_eq!(secret(" sk-0123456789\r\n"), Ok("sk-0123456789".to_owned()));
        for typed in ["", " \n", "1234567", "sk-01234\n56789", "sk-0123456789é", &"x".repeat(1_025)]
        {
            let refused = secret(typed).expect_err("no credential");
            assert!(typed.trim().is_empty() || !refused.contains(typed.trim()), "{refused}");
        }
    }

    #[test]
    fn only_the_end_of_a_long_one_is_told() {
        let end = |text: &str| last4(&SecretString::from(text)).to_owned();
        assert_eq!(
            (end("sk-0123456789abcd").as_str(), end("0123456789abcde").as_str()),
            ("abcd", "")
        );
    }

    #[test]
    fn it_is_taken_out_of_what_is_said() {
        let secret = Secret::of(SecretString::from("sk-0123456789")).expect("one");
        assert_eq!(secret.taken_out_of("bad sk-0123456789!"), "bad [credential]!");
        assert!(format!("{:?} {:?}", secret.bearer, secret.bare).find("0123").is_none());
        let short = Secret::of(SecretString::from("demo")).expect("one");
        assert_eq!(short.taken_out_of("demonstration"), "demonstration");
        assert!(Secret::of(SecretString::from("two\nlines")).is_err());
    }
}
