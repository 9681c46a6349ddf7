//! Who people are: passwords, sessions of browsers, addresses that work once, tokens of issuers that are trusted.

pub(crate) mod attempts;
mod fetch;
mod jwks;
mod jwt;
pub(crate) mod links;
pub(crate) mod oidc;
pub(crate) mod pages;
pub(crate) mod password;
pub(crate) mod refusals;
mod sign_up;
pub(crate) mod tokens;

use crate::config::Settings;
use attempts::Attempts;
use oidc::Oidc;
use refusals::Refusals;
use tokens::Tokens;

/// What is needed to find out who somebody is.
pub(crate) struct People {
    pub(crate) attempts: Attempts,
    pub(crate) refusals: Refusals,
    pub(crate) tokens: Tokens,
    /// Where people may also sign in.
    oidc: Option<Oidc>,
}

impl People {
    /// # Errors
    /// Settings that are unsafe or not whole, by name.
    pub(crate) fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let tokens = Tokens::from_settings(settings)?;
        let oidc = Oidc::from_settings(settings, &tokens)?;
        let (attempts, refusals) = (Attempts::default(), Refusals::default());
        Ok(Self { attempts, refusals, tokens, oidc })
    }

    /// Whether people may sign in elsewhere.
    pub(crate) fn sign_in_elsewhere(&self) -> bool {
        self.oidc.is_some()
    }
}
