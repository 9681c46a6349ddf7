//! Names and ids that fit what a provider takes.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

/// `OpenAI` and `DeepSeek` take names of letters, digits, `_` and `-` up to this length.
const LONGEST_NAME: usize = 64;

/// `OpenAI` refuses longer ids of calls.
const LONGEST_ID: usize = 40;

/// Names of tools on their way to a provider.
#[derive(Default)]
pub(super) struct Names {
    /// The provider's name, then the client's.
    renamed: Vec<(String, String)>,
}

impl Names {
    /// The name of the tool `name` at the provider: the same for the same name, another for every other one.
    pub(super) fn fit(&mut self, name: &str) -> String {
        let Cow::Owned(mut fitted) = legal(name) else { return name.to_owned() };
        if let Some((fitted, _)) = self.renamed.iter().find(|(_, own)| own == name) {
            return fitted.clone();
        }
        let mut hash = short_digest(name);
        while self.renamed.iter().any(|(taken, _)| *taken == fitted) {
            hash = hash.wrapping_add(1);
            fitted = marked(name, hash);
        }
        self.renamed.push((fitted.clone(), name.to_owned()));
        fitted
    }

    pub(super) fn into_renamed(self) -> Vec<(String, String)> {
        self.renamed
    }
}

/// A tool's name as the APIs of `OpenAI` take it: the same for the same name, so that prompts stay cacheable and a
/// conversation needs no memory here.
pub(crate) fn legal(name: &str) -> Cow<'_, str> {
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_plain) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(marked(name, short_digest(name)))
}

/// The start of a name, and a hash that tells it from others with this start.
fn marked(name: &str, hash: u32) -> String {
    let start: String = plain(name).chars().take(LONGEST_NAME - 14).collect();
    format!("{start}_{hash:08x}")
}

/// The id of a call at the provider: the same for the same id.
pub(super) fn fit_id(id: &str) -> String {
    if id.len() <= LONGEST_ID {
        return id.to_owned();
    }
    let start: String = plain(id).chars().take(LONGEST_ID - 17).collect();
    format!("{start}_{:016x}", digest(id))
}

/// An id for a call that came without one. `answer` is the id of the answer or another text that no other answer of the
/// conversation has.
pub(super) fn minted(answer: &str, call: usize) -> String {
    format!("call_{:016x}_{call}", digest(answer))
}

/// Only characters that all providers take.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if u8::try_from(c).is_ok_and(is_plain) { c } else { '_' }).collect()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The same on every machine and in every version: prompts that change are not found in a cache.
fn digest(text: &str) -> u64 {
    Sha256::digest(text).iter().take(8).fold(0, |digest, byte| digest << 8 | u64::from(*byte))
}

/// The first half of it, enough to keep the names of one request apart.
pub(crate) fn short_digest(text: &str) -> u32 {
    Sha256::digest(text).iter().take(4).fold(0, |digest, byte| digest << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_stay_apart() {
        let mut names = Names::default();
        let long = "a".repeat(100);
        let other = format!("{}b", "a".repeat(99));
        for name in ["plain-name_1", &long, &other, "mcp.server/find ship", "ä", ""] {
            let fitted = names.fit(name);
            assert!((1..=64).contains(&fitted.len()) && fitted.bytes().all(is_plain), "{fitted}");
            assert_eq!(names.fit(name), fitted, "always the same");
        }
        let renamed = names.into_renamed();
        assert_eq!(renamed.len(), 5, "a plain name stays: {renamed:?}");
        let mut fitted: Vec<&String> = renamed.iter().map(|(fitted, _)| fitted).collect();
        fitted.sort();
        fitted.dedup();
        assert_eq!(fitted.len(), 5);
    }

    #[test]
    fn ids_fit() {
        assert_eq!(fit_id("call_1"), "call_1");
        let long = format!("call_{}", "x".repeat(60));
        assert_eq!(fit_id(&long).len(), 40);
        assert_eq!(fit_id(&long), fit_id(&long));
        assert_ne!(fit_id(&long), fit_id(&format!("{long}y")));
        assert_ne!(minted("a", 0), minted("b", 0));
    }
}
