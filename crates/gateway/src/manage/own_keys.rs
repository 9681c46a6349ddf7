//! Keys that accounts bring to their providers.

use secrecy::SecretString;
use store::{OwnKey, Store};
use uuid::Uuid;

use crate::clock;
use crate::credentials;
use crate::problem::Problem;
use crate::providers::Providers;
use crate::vault::Place;

const LONGEST_NAME: usize = 100;

/// A key as its owner brings it.
pub(crate) struct Brought {
    pub(crate) provider: String,
    pub(crate) name: String,
    pub(crate) secret: SecretString,
    /// Whether the house's credential never takes its place.
    pub(crate) always: bool,
}

impl Brought {
    /// What somebody has typed. Of the secret nothing is repeated.
    pub(crate) fn read(
        providers: &Providers,
        provider: &str,
        name: &str,
        typed: &str,
        always: bool,
    ) -> Result<Self, Problem> {
        if providers.master_keys.first().is_none() {
            let message = "no keys can be kept here: the operator has not set TOLLGATE_MASTER_KEY";
            return Err(Problem::bad_request(message));
        }
        let provider = find(providers, provider)?;
        let name = super::one_line(name, LONGEST_NAME)
            .map_err(|why| Problem::bad_request(format!("name: {why}")))?;
        let secret =
            credentials::read(typed).map_err(|why| Problem::bad_request(format!("key: {why}")))?;
        Ok(Self { provider, name, secret, always })
    }
}

/// The provider that is meant, by the name under which it is kept.
pub(crate) fn find(providers: &Providers, name: &str) -> Result<String, Problem> {
    let found = providers.get(name).map(|provider| provider.row.name.to_owned());
    found.ok_or_else(|| {
        let names = crate::providers::names();
        Problem::bad_request(format!("provider: there is no such one; expected one of {names}"))
    })
}

/// Seals a key and puts it in force, in the place of the one that the account had at that provider.
pub(crate) async fn set(
    store: &Store,
    providers: &Providers,
    account: Uuid,
    brought: Brought,
) -> anyhow::Result<OwnKey> {
    let Brought { provider, name, secret, always } = brought;
    let id = clock::new_id();
    let place = Place { account: Some(account), provider: &provider, id };
    let sealed = providers.master_keys.seal(place, &secret)?;
    let new = OwnKey {
        id,
        account_id: account,
        provider,
        name,
        sealed: sealed.bytes,
        key_id: sealed.key_id,
        last4: credentials::last4(&secret).to_owned(),
        always,
        created_at: clock::now(),
        created_by: String::new(),
    };
    store.set_own_key(&new).await?;
    Ok(new)
}
