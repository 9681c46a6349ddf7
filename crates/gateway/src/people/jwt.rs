//! A signed token (JWT, RFC 7519), read strictly: what it says counts only after its signature and its claims were checked
//! against what its issuer is known for. Which key and which algorithm that is, the token has no say in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{self, UnparsedPublicKey};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// Longer than any token that people sign in with.
const LONGEST: usize = 16 * 1_024;
/// How far the clock of an issuer may be ahead, in seconds.
const LEEWAY: i64 = 60;

/// An algorithm of signatures. There are no others here.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "HS256")]
    Hs256,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    // Each would have the token say by what it is to be checked.
    jku: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
    // Or that it is to be read in another way.
    crit: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
    zip: Option<IgnoredAny>,
    enc: Option<IgnoredAny>,
}

/// What a token says of somebody.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    aud: Audience,
    /// Seconds since 1970, as are the following.
    #[serde(deserialize_with = "date")]
    pub(super) exp: i64,
    #[serde(default, deserialize_with = "some_date")]
    nbf: Option<i64>,
    #[serde(default, deserialize_with = "some_date")]
    iat: Option<i64>,
    azp: Option<String>,
    role: Option<String>,
    is_anonymous: Option<bool>,
    pub(super) nonce: Option<String>,
    pub(super) email: Option<String>,
    pub(super) preferred_username: Option<String>,
}

/// A number of seconds, which may have a fraction: <https://www.rfc-editor.org/rfc/rfc7519#section-2>. The fraction counts
/// for nothing.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Whole(i64),
    Broken(f64),
}

impl Seconds {
    fn whole<E: serde::de::Error>(self) -> Result<i64, E> {
        match self {
            Self::Whole(seconds) => Ok(seconds),
            Self::Broken(seconds) => {
                let whole = seconds.floor().to_string().parse();
                whole.map_err(|_| E::custom("no date"))
            }
        }
    }
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Seconds::deserialize(deserializer)?.whole()
}

fn some_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let seconds = Option::<Seconds>::deserialize(deserializer)?;
    seconds.map(Seconds::whole).transpose()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// A token that was read, and not checked.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    /// The name of the key: to be looked up among keys that are known, and for nothing else.
    pub(super) kid: Option<String>,
    pub(super) claims: Claims,
    signed: &'a [u8],
    signature: Vec<u8>,
}

/// What somebody is told whose token is not taken.
pub(super) type Fault = &'static str;

impl<'a> Token<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err("it is too long");
        }
        let (signed, signature) = text.rsplit_once('.').ok_or("it has not three parts")?;
        let (header, claims) = signed.split_once('.').ok_or("it has not three parts")?;
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "it is no base64url");
        let header: Header = serde_json::from_slice(&part(header)?)
            .map_err(|_| "its header is none, or its algorithm is not taken")?;
        header.check()?;
        let claims = serde_json::from_slice(&part(claims)?)
            .map_err(|_| "its claims are not as they have to be, or some are missing")?;
        let signature = part(signature)?;
        let (algorithm, kid) = (header.alg, header.kid);
        Ok(Self { algorithm, kid, claims, signed: signed.as_bytes(), signature })
    }
}

impl Header {
    fn check(&self) -> Result<(), Fault> {
        let own_keys = [&self.jku, &self.jwk, &self.x5u, &self.x5c];
        let own_ways = [&self.crit, &self.b64, &self.zip, &self.enc];
        if own_keys.into_iter().chain(own_ways).any(Option::is_some) {
            return Err("its header brings what no header here may");
        }
        let kinds = ["jwt", "at+jwt", "application/at+jwt"];
        let kind = self.typ.as_ref().map(|typ| typ.to_ascii_lowercase());
        if kind.is_some_and(|kind| !kinds.contains(&kind.as_str())) {
            return Err("it is a token for something else");
        }
        Ok(())
    }
}

/// What a token has to say, of whichever issuer.
#[derive(Copy, Clone, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: &'a str,
    /// The role that makes somebody a person, where the issuer has roles.
    pub(super) role: Option<&'a str>,
    /// Seconds since 1970.
    pub(super) now: i64,
}

impl Claims {
    pub(super) fn check(&self, expected: Expected<'_>) -> Result<(), Fault> {
        let Expected { issuer, audience, role, now } = expected;
        if self.iss != issuer {
            return Err("it is of another issuer");
        }
        self.check_audience(audience)?;
        if self.exp <= now {
            return Err("it has expired");
        }
        let early = |at: Option<i64>| at.is_some_and(|at| at > now.saturating_add(LEEWAY));
        if early(self.nbf) || early(self.iat) {
            return Err("it is not valid yet");
        }
        if self.sub.is_empty() || self.sub.len() > 255 || self.sub.chars().any(char::is_control) {
            return Err("its subject is none");
        }
        if role.is_some() && self.role.as_deref() != role {
            return Err("its role is not that of a person who is signed in");
        }
        if self.is_anonymous == Some(true) {
            return Err("it is of somebody without a name");
        }
        Ok(())
    }

    fn check_audience(&self, audience: &str) -> Result<(), Fault> {
        let (meant, others) = match &self.aud {
            Audience::One(one) => (one == audience, false),
            Audience::Many(many) => (many.iter().any(|one| one == audience), many.len() > 1),
        };
        // Among several, it says for whom it was made.
        let made_for = self.azp.as_deref().is_none_or(|azp| azp == audience);
        if !meant || (others && self.azp.is_none()) || !made_for {
            return Err("it is meant for another audience");
        }
        Ok(())
    }
}

/// A key that signatures are checked by, and the one algorithm it is for.
#[derive(Clone)]
pub(super) enum Key {
    /// A point on P-256, uncompressed.
    Es256(Vec<u8>),
    /// Modulus and exponent.
    Rs256(Vec<u8>, Vec<u8>),
    Hs256(hmac::Key),
}

impl Key {
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Es256(_) => Algorithm::Es256,
            Self::Rs256(..) => Algorithm::Rs256,
            Self::Hs256(_) => Algorithm::Hs256,
        }
    }

    /// Whether the token was signed by this key, with this key's algorithm.
    pub(super) fn signed(&self, token: &Token<'_>) -> bool {
        let (signed, signature) = (token.signed, token.signature.as_slice());
        if self.algorithm() != token.algorithm {
            return false;
        }
        let checked = match self {
            Self::Es256(point) => {
                let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
                key.verify(signed, signature)
            }
            Self::Rs256(n, e) => {
                let key = signature::RsaPublicKeyComponents { n, e };
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
            Self::Hs256(key) => hmac::verify(key, signed, signature),
        };
        checked.is_ok()
    }
}

/// A key as its issuer publishes it (JWK, RFC 7517).
#[derive(Debug, Deserialize)]
pub(super) struct PublishedKey {
    kty: String,
    pub(super) kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl PublishedKey {
    /// The key, if it is one that tokens are checked by.
    pub(super) fn key(&self) -> Option<Key> {
        let for_that = |name: &str| self.alg.as_deref().is_none_or(|alg| alg == name);
        let number = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) if for_that("ES256") => {
                let (x, y) = (number(&self.x)?, number(&self.y)?);
                let fits = x.len() == 32 && y.len() == 32;
                fits.then(|| Key::Es256([vec![4], x, y].concat()))
            }
            ("RSA", None) if for_that("RS256") => {
                let bare = |number: Vec<u8>| -> Vec<u8> {
                    number.into_iter().skip_while(|byte| *byte == 0).collect()
                };
                Some(Key::Rs256(bare(number(&self.n)?), bare(number(&self.e)?)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Key, PublishedKey, Token, URL_SAFE_NO_PAD};
    use base64::Engine as _;

    /// The example of RFC 7515, A.3, with its key: made by somebody else's hands.
    const SIGNED: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                          cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djx\
                          La8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    fn key(published: Value) -> Option<Key> {
        serde_json::from_value::<PublishedKey>(published).ok()?.key()
    }

    fn example() -> Value {
        json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        })
    }

    #[test]
    fn the_example_of_the_standard() {
        let key = key(example()).expect("a key");
        let (signed, signature) = SIGNED.rsplit_once('.').expect("a signature");
        let (header, payload) = signed.split_once('.').expect("two parts");
        // Our tokens have more claims than the example, whose signature is what is looked at here.
        let claims = serde_json::from_value(
            json!({ "iss": "joe", "sub": "x", "aud": "x", "exp": 1_300_819_380 }),
        );
        let mut token = Token {
            algorithm: super::Algorithm::Es256,
            kid: None,
            claims: claims.expect("claims"),
            signed: signed.as_bytes(),
            signature: URL_SAFE_NO_PAD.decode(signature).expect("base64url"),
        };
        assert!(key.signed(&token));
        token.signature[63] ^= 1;
        assert!(!key.signed(&token));
        token.signature[63] ^= 1;
        let other = format!("{header}.{}", payload.replacen("qb2U", "qb2V", 1));
        token.signed = other.as_bytes();
        assert!(!key.signed(&token));
        assert!(Token::read(SIGNED).is_err(), "it has no subject and no audience");
    }

    #[test]
    fn keys_for_something_else_are_none() {
        for (field, value) in [
            ("use", "enc"),
            ("alg", "ES384"),
            ("alg", "HS256"),
            ("kty", "oct"),
            ("kty", "RSA"),
            ("crv", "P-384"),
            ("x", "AA"),
            ("y", "!"),
        ] {
            let mut published = example();
            published[field] = value.into();
            assert!(key(published).is_none(), "{field}: {value}");
        }
        for (field, value) in [("use", "sig"), ("alg", "ES256"), ("kid", "one")] {
            let mut published = example();
            published[field] = value.into();
            assert!(key(published).is_some(), "{field}: {value}");
        }
        assert!(key(json!({ "kty": "oct", "k": "AAAA" })).is_none());
    }

    #[test]
    fn dates_may_have_a_fraction() {
        let read = |exp: &str| {
            let claims = format!(r#"{{"iss":"joe","sub":"x","aud":"x","exp":{exp},"iat":0.5}}"#);
            serde_json::from_str::<super::Claims>(&claims)
        };
        for (exp, seconds) in [("1300819380", 1_300_819_380), ("12.9", 12), ("1e3", 1000)] {
            let claims = read(exp).expect(exp);
            assert_eq!((claims.exp, claims.iat, claims.nbf), (seconds, Some(0), None), "{exp}");
        }
        for exp in ["null", "\"5\"", "[]", "1e300", "-1e19"] {
            assert!(read(exp).is_err(), "{exp}");
        }
    }
}
