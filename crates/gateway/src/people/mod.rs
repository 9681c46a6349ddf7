//! Who people are: passwords, sessions of browsers, addresses that work once, tokens of issuers that are trusted.

pub(crate) mod attempts;
pub(crate) mod links;
pub(crate) mod pages;
pub(crate) mod password;

use attempts::Attempts;

/// What is needed to find out who somebody is.
#[derive(Default)]
pub(crate) struct People {
    pub(crate) attempts: Attempts,
}
