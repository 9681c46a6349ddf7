//! Seals: a signature over a batch of receipts, chained to the one before, so that what a replica has once written into the
//! books can be neither changed nor taken out of their middle.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::hex;
use crate::merkle::{self, Hash};

// Whoever hashes anything else of a seal counts up its form in the database and the version of a bill's form, so that programs
// of before do not take it for damage.
const DOMAIN: &[u8] = b"tollgate seal v1\0";
/// The fixed word of a seal that vouches for more of the books than its receipts.
const DOMAIN_WITH_BOOKS: &[u8] = b"tollgate seal v2\0";

/// A signed statement of a replica: these receipts, in this order, after all of those before.
///
/// `hash` is the SHA-256 of a fixed word, the replica, the number, the hash of the seal before, the count and the root (ids
/// and hashes as bytes, numbers big-endian), and `signature` is the Ed25519 signature of those 32 bytes. With `books`, the word
/// is another, and `books` follows the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Who seals.
    #[serde(with = "hex::id")]
    pub replica: Uuid,
    /// The place among the seals of that replica, from 1.
    pub number: u64,
    /// The hash of the seal before; zeros before the first.
    #[serde(with = "hex")]
    pub previous: Hash,
    /// How many receipts.
    pub count: u32,
    /// The Merkle root over their content hashes.
    #[serde(with = "hex")]
    pub root: Hash,
    /// A hash over what else the replica has seen in its books then; none in seals of before that was sealed.
    #[serde(default, with = "hex::maybe", skip_serializing_if = "Option::is_none")]
    pub books: Option<Hash>,
    /// SHA-256 of all of the above.
    #[serde(with = "hex")]
    pub hash: Hash,
    /// The Ed25519 signature of `hash`.
    #[serde(with = "hex")]
    pub signature: [u8; 64],
    /// The key that verifies it.
    #[serde(with = "hex")]
    pub public_key: [u8; 32],
}

/// What is wrong with a seal.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// Its hash is of something else.
    #[error("its hash is not that of its content")]
    Hash,
    /// It was signed by another key, or not at all.
    #[error("its signature is not that of its key")]
    Signature,
}

impl Seal {
    /// The hash that the content of this seal has.
    pub fn content_hash(&self) -> Hash {
        let domain = if self.books.is_some() { DOMAIN_WITH_BOOKS } else { DOMAIN };
        let books = self.books.as_ref().map_or(&[][..], |books| books);
        Sha256::new()
            .chain_update(domain)
            .chain_update(self.replica.as_bytes())
            .chain_update(self.number.to_be_bytes())
            .chain_update(self.previous)
            .chain_update(self.count.to_be_bytes())
            .chain_update(self.root)
            .chain_update(books)
            .finalize()
            .into()
    }

    /// Whether hash and signature are right. Whose key it is, and what stands before, is for the caller to know.
    ///
    /// # Errors
    /// The first of both that is wrong.
    pub fn check(&self) -> Result<(), SealFault> {
        if self.content_hash() != self.hash {
            return Err(SealFault::Hash);
        }
        let signed = is_signed(&self.public_key, &self.hash, &self.signature);
        if signed { Ok(()) } else { Err(SealFault::Signature) }
    }

    /// Whether this seal is the next of the same replica after `before`.
    pub fn follows(&self, before: &Self) -> bool {
        self.replica == before.replica
            && before.number.checked_add(1) == Some(self.number)
            && self.previous == before.hash
    }
}

/// Whether somebody with the secret of `public_key` has signed `hash`.
pub fn is_signed(public_key: &[u8; 32], hash: &Hash, signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    let key = VerifyingKey::from_bytes(public_key);
    key.and_then(|key| key.verify_strict(hash, &signature)).is_ok()
}

/// What a replica seals with.
#[derive(Clone)]
pub struct Signer(SigningKey);

impl fmt::Debug for Signer {
    /// Names the public half alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&hex::to_hex(&self.public_key())).finish()
    }
}

impl Signer {
    /// The signer with that secret.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// What others verify its seals with.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a hash, which has to begin with a fixed word of its own, so that it is no hash of anything else.
    pub fn sign(&self, hash: &Hash) -> [u8; 64] {
        self.0.sign(hash).to_bytes()
    }

    /// Seals a batch: the content hashes of its receipts, in their order. `previous` is the hash of the seal before, zeros
    /// for the first; `books` is over what else is vouched for.
    pub fn seal(
        &self,
        replica: Uuid,
        number: u64,
        previous: Hash,
        leaves: &[Hash],
        books: Option<Hash>,
    ) -> Seal {
        let mut seal = Seal {
            replica,
            number,
            previous,
            // A batch has some thousand receipts.
            count: u32::try_from(leaves.len()).unwrap_or(u32::MAX),
            root: merkle::root(leaves),
            books,
            hash: Hash::default(),
            signature: [0; 64],
            public_key: self.public_key(),
        };
        seal.hash = seal.content_hash();
        seal.signature = self.sign(&seal.hash);
        seal
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{Seal, SealFault, Signer};
    use crate::hex::{from_hex, to_hex};

    /// The first test of RFC 8032: this secret has this public key.
    #[test]
    fn the_key_of_the_standard() {
        let secret =
            from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let signer = Signer::from_secret(&secret);
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(to_hex(&signer.public_key()), public);
        assert_eq!(format!("{signer:?}"), format!("Signer(\"{public}\")"));
    }

    fn sealed(leaves: &[[u8; 32]]) -> Seal {
        let signer = Signer::from_secret(&[7; 32]);
        signer.seal(Uuid::from_u128(9), 3, [1; 32], leaves, None)
    }

    #[test]
    fn a_chain() {
        let signer = Signer::from_secret(&[7; 32]);
        let (replica, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = signer.seal(replica, 1, [0; 32], &[[5; 32]], None);
        let second = signer.seal(replica, 2, first.hash, &[], Some([3; 32]));
        assert_eq!((first.check(), second.check()), (Ok(()), Ok(())));
        assert!(second.follows(&first));
        assert!(!first.follows(&second) && !second.follows(&second));
        assert!(!signer.seal(replica, 3, first.hash, &[], None).follows(&first));
        assert!(!signer.seal(replica, 2, [0; 32], &[], None).follows(&first));
        assert!(!signer.seal(other, 2, first.hash, &[], None).follows(&first));
    }

    #[test]
    fn another_signer_is_no_forger() {
        let mut seal = sealed(&[[5; 32]]);
        seal.public_key = Signer::from_secret(&[8; 32]).public_key();
        assert_eq!(seal.check(), Err(SealFault::Signature));
        // A key of small order, for which many signatures hold.
        seal.public_key = [0; 32];
        seal.public_key[0] = 1;
        seal.signature = [0; 64];
        seal.signature[0] = 1;
        assert_eq!(seal.check(), Err(SealFault::Signature));
    }

    proptest! {
        /// Whatever bit of a seal is changed, as it stands in a document, it holds no longer or is not read.
        #[test]
        fn no_bit_can_be_changed(at: prop::sample::Index, bit in 0_u8..8, count in 0_u8..20, books: Option<[u8; 32]>) {
            let leaves: Vec<[u8; 32]> = (0..count).map(|n| [n; 32]).collect();
            let signer = Signer::from_secret(&[7; 32]);
            let seal = signer.seal(Uuid::from_u128(9), 3, [1; 32], &leaves, books);
            prop_assert_eq!(seal.check(), Ok(()));
            let text = serde_json::to_string(&seal).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Seal>(&text).unwrap(), &seal);
            let mut bytes = text.into_bytes();
            let place = at.index(bytes.len());
            bytes[place] ^= 1 << bit;
            if let Ok(read) = serde_json::from_slice::<Seal>(&bytes) {
                prop_assert!(read.check().is_err(), "{:?}", read);
            }
        }
    }
}
