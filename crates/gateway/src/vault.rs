//! Secrets at rest: sealed with the operator's master key (`TOLLGATE_MASTER_KEY`), which no database and no file of ours has.
//!
//! ChaCha20-Poly1305 with a nonce of 96 random bits for each sealing. A master key seals a few credentials in its life; two
//! nonces would meet by chance only after some billions. What is sealed is bound to its place: the bytes of one row, or of one
//! provider, or of one account, do not open in another's.

use base64::Engine as _;
use base64::engine::DecodePaddingMode::Indifferent;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::config::Settings;

/// Bytes of a master key.
const KEY_LEN: usize = 32;
/// The first byte of what is sealed: in which way.
const VERSION: u8 = 1;
/// What a master key's id and what it seals are told apart by from all else that is hashed or sealed anywhere.
const ID_OF: &[u8] = b"tollgate master key\0";
const BOUND_TO: &[u8] = b"tollgate provider credential\0";
const BOUND_TO_ACCOUNT: &[u8] = b"tollgate own key\0";
/// How many hexadecimal digits of its hash name a master key.
const ID_LEN: usize = 16;

/// Where something sealed stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// Whose it is, where it is not the house's.
    pub(crate) account: Option<Uuid>,
    pub(crate) provider: &'a str,
    pub(crate) id: Uuid,
}

/// Why something sealed stays closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Closed {
    #[error("TOLLGATE_MASTER_KEY is not set")]
    NoMasterKey,
    #[error("it was sealed with the master key {0}, which is not in TOLLGATE_MASTER_KEY")]
    OtherMasterKey(String),
    #[error("what is stored was changed, or is another row's")]
    Changed,
}

/// A master key. Only its id may be seen.
struct MasterKey {
    id: String,
    bytes: SecretBox<[u8; KEY_LEN]>,
}

/// The operator's master keys: the first seals, all open.
#[derive(Default)]
pub(crate) struct MasterKeys(Vec<MasterKey>);

/// A secret, sealed, and the id of the master key that opens it.
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) key_id: String,
}

impl MasterKeys {
    /// # Errors
    /// A key that is none. What was written is not repeated.
    pub(crate) fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let Some(text) = settings.master_key() else { return Ok(Self::default()) };
        let mut keys = Vec::new();
        for (place, key) in (1..).zip(text.split(',').map(str::trim)) {
            let key = MasterKey::parse(key).ok_or_else(|| {
                anyhow::anyhow!(
                    "TOLLGATE_MASTER_KEY: key {place} is not {KEY_LEN} bytes in base64 or hexadecimal; \
                     `tollgate provider master-key` prints a fresh one"
                )
            })?;
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// The id of the key that seals, if there is any.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first().map(|key| key.id.as_str())
    }

    /// # Errors
    /// There is no key to seal with, or the secret is longer than any.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &SecretString) -> anyhow::Result<Sealed> {
        let key = self.0.first().ok_or(Closed::NoMasterKey)?;
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut text = Zeroizing::new(secret.expose_secret().as_bytes().to_vec());
        let unique = Nonce::assume_unique_for_key(nonce);
        let tag = key.cipher()?.seal_in_place_separate_tag(unique, bound_to(place), &mut text);
        let tag = tag.map_err(|_| anyhow::anyhow!("a credential that is too long to be sealed"))?;
        let bytes = [&[VERSION], nonce.as_slice(), &text, tag.as_ref()].concat();
        Ok(Sealed { bytes, key_id: key.id.clone() })
    }

    pub(crate) fn open(
        &self,
        place: Place<'_>,
        key_id: &str,
        sealed: &[u8],
    ) -> Result<SecretString, Closed> {
        if self.0.is_empty() {
            return Err(Closed::NoMasterKey);
        }
        let key = self.0.iter().find(|key| key.id == key_id);
        let key = key.ok_or_else(|| Closed::OtherMasterKey(key_id.to_owned()))?;
        let (head, rest) = sealed.split_at_checked(1 + NONCE_LEN).ok_or(Closed::Changed)?;
        let (version, nonce) = head.split_first().ok_or(Closed::Changed)?;
        if *version != VERSION {
            return Err(Closed::Changed);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Closed::Changed)?;
        let mut room = Zeroizing::new(rest.to_vec());
        let opened = key.cipher()?.open_in_place(nonce, bound_to(place), &mut room);
        let text = opened.ok().and_then(|opened| std::str::from_utf8(opened).ok());
        text.map(SecretString::from).ok_or(Closed::Changed)
    }
}

impl MasterKey {
    fn parse(text: &str) -> Option<Self> {
        /// As people and programs write it: with padding or without, with the letters for URLs too.
        const LOOSE: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(Indifferent);
        const ALPHABETS: [GeneralPurpose; 2] = [
            GeneralPurpose::new(&base64::alphabet::STANDARD, LOOSE),
            GeneralPurpose::new(&base64::alphabet::URL_SAFE, LOOSE),
        ];
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        let bytes: Zeroizing<[u8; KEY_LEN]> = if let Some(bytes) = ledger::from_hex(&lower) {
            Zeroizing::new(bytes)
        } else {
            let read = |alphabet: &GeneralPurpose| alphabet.decode(text).ok();
            let decoded = Zeroizing::new(ALPHABETS.iter().find_map(read)?);
            Zeroizing::new(decoded.as_slice().try_into().ok()?)
        };
        let hash = Sha256::new().chain_update(ID_OF).chain_update(*bytes).finalize();
        let mut id = ledger::to_hex(&hash);
        id.truncate(ID_LEN);
        Some(Self { id, bytes: SecretBox::new(Box::new(*bytes)) })
    }

    fn cipher(&self) -> Result<LessSafeKey, Closed> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, self.bytes.expose_secret());
        key.map(LessSafeKey::new).map_err(|_| Closed::NoMasterKey)
    }
}

/// What has to be the same when it is opened.
fn bound_to(place: Place<'_>) -> Aad<Vec<u8>> {
    let Place { account, provider, id } = place;
    let (what, account) = match &account {
        None => (BOUND_TO, [].as_slice()),
        Some(account) => (BOUND_TO_ACCOUNT, account.as_bytes().as_slice()),
    };
    Aad::from([what, &[VERSION], account, id.as_bytes(), provider.as_bytes()].concat())
}

/// A new master key, as the setting takes it.
pub(crate) fn fresh() -> SecretString {
    let bytes: Zeroizing<[u8; KEY_LEN]> = Zeroizing::new(rand::random());
    SecretString::from(BASE64_STANDARD.encode(*bytes))
}

#[cfg(test)]
mod tests {
    use super::{Closed, MasterKey, MasterKeys, Place};
    use secrecy::{ExposeSecret as _, SecretString};
    use uuid::Uuid;

    const SECRET: &str = "sk-canary-0123456789";
    const PLACE: Place<'_> = Place { account: None, provider: "openai", id: Uuid::from_u128(7) };

    fn keys(texts: &[&str]) -> MasterKeys {
        MasterKeys(texts.iter().map(|text| MasterKey::parse(text).expect("a key")).collect())
    }

    fn opened(
        keys: &MasterKeys,
        place: Place<'_>,
        key_id: &str,
        bytes: &[u8],
    ) -> Result<String, Closed> {
        keys.open(place, key_id, bytes).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let keys = keys(&[&"ab".repeat(32)]);
        let sealed = keys.seal(PLACE, &SecretString::from(SECRET)).expect("sealed");
        let (id, bytes) = (&sealed.key_id, &sealed.bytes);
        assert_eq!(opened(&keys, PLACE, id, bytes), Ok(SECRET.to_owned()));
        assert!(!bytes.windows(4).any(|window| SECRET.as_bytes().windows(4).any(|w| w == window)));
        for place in [
            Place { provider: "gemini", ..PLACE },
            Place { provider: "", ..PLACE },
            Place { id: Uuid::from_u128(8), ..PLACE },
            Place { account: Some(Uuid::from_u128(9)), ..PLACE },
        ] {
            assert_eq!(opened(&keys, place, id, bytes), Err(Closed::Changed), "{place:?}");
        }
        let again = keys.seal(PLACE, &SecretString::from(SECRET)).expect("sealed");
        assert_ne!(again.bytes, sealed.bytes, "no nonce is used twice");
    }

    #[test]
    fn every_bit_counts() {
        let keys = keys(&[&"01".repeat(32)]);
        let sealed = keys.seal(PLACE, &SecretString::from(SECRET)).expect("sealed");
        for place in 0..sealed.bytes.len() {
            for bit in 0..8 {
                let mut bytes = sealed.bytes.clone();
                bytes[place] ^= 1 << bit;
                let found = opened(&keys, PLACE, &sealed.key_id, &bytes);
                assert_eq!(found, Err(Closed::Changed), "byte {place}, bit {bit}");
            }
        }
        for length in 0..sealed.bytes.len() {
            let found = opened(&keys, PLACE, &sealed.key_id, &sealed.bytes[..length]);
            assert_eq!(found, Err(Closed::Changed), "the first {length} bytes");
        }
        let longer = [sealed.bytes.as_slice(), &[0]].concat();
        assert_eq!(opened(&keys, PLACE, &sealed.key_id, &longer), Err(Closed::Changed));
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, new) = ("11".repeat(32), "22".repeat(32));
        let secret = SecretString::from(SECRET);
        let before = keys(&[&old]).seal(PLACE, &secret).expect("sealed");
        let both = keys(&[&new, &old]);
        assert_eq!(opened(&both, PLACE, &before.key_id, &before.bytes), Ok(SECRET.to_owned()));
        let after = both.seal(PLACE, &secret).expect("sealed");
        let alone = keys(&[&new]);
        assert_eq!(both.first(), alone.first());
        assert_eq!(opened(&alone, PLACE, &after.key_id, &after.bytes), Ok(SECRET.to_owned()));
        let closed = opened(&alone, PLACE, &before.key_id, &before.bytes);
        assert_eq!(closed, Err(Closed::OtherMasterKey(before.key_id.clone())));
        // Nor does it help to say that it was another key.
        let claimed = opened(&alone, PLACE, &after.key_id, &before.bytes);
        assert_eq!(claimed, Err(Closed::Changed));
        let none = MasterKeys::default();
        assert_eq!(opened(&none, PLACE, &after.key_id, &after.bytes), Err(Closed::NoMasterKey));
        assert!(none.seal(PLACE, &secret).is_err() && none.first().is_none());
    }

    #[test]
    fn a_key_is_32_bytes_in_one_of_three_spellings() {
        // The bytes 251, 255, 251, 255 … in base64 have + and /, which are - and _ in URLs.
        let hex = "fbff".repeat(16);
        let same = [
            "+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/+/8=",
            "-__7__v_-__7__v_-__7__v_-__7__v_-__7__v_-_8",
        ];
        let id = MasterKey::parse(&hex).expect("a key").id;
        for text in same {
            assert_eq!(MasterKey::parse(text).map(|key| key.id), Some(id.clone()), "{text}");
        }
        assert_eq!(MasterKey::parse(&hex.to_uppercase()).map(|key| key.id), Some(id.clone()));
        assert_eq!(id.len(), 16);
        assert_ne!(MasterKey::parse(&"00".repeat(32)).expect("a key").id, id);
        let fresh = super::fresh();
        assert!(MasterKey::parse(fresh.expose_secret()).is_some());
        assert_ne!(fresh.expose_secret(), super::fresh().expose_secret());
        for junk in
            ["", "correct horse battery staple", &hex[..62], &"A".repeat(44), &"A".repeat(42)]
        {
            assert!(MasterKey::parse(junk).is_none(), "{junk}");
        }
    }
}
