//! An issuer of tokens, as Supabase and OpenID Connect are, on this machine; and tokens, well made and ill made.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The secret of older tokens.
pub(crate) const SECRET: &str = "a secret of more than thirty-two characters";
/// The key by which Supabase may be asked.
pub(crate) const API_KEY: &str = "canary-supabase-key";
pub(crate) const CLIENT: (&str, &str) = ("tollgate & co", "canary client+secret");

static RSA: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::new(&mut rand::rng(), 2_048).expect("a key"));

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key of one of the algorithms.
pub(crate) enum Signing {
    Es256(EcdsaKeyPair),
    Rs256,
    Hs256(Vec<u8>),
}

impl Signing {
    pub(crate) fn es256() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random);
        Self::Es256(key.expect("a key"))
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256(key) => {
                key.sign(&SystemRandom::new(), bytes).expect("a signature").as_ref().to_vec()
            }
            Self::Rs256 => SigningKey::<Sha256>::new(RSA.clone()).sign(bytes).to_vec(),
            Self::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, bytes).as_ref().to_vec()
            }
        }
    }

    /// A token of that header and those claims, as they stand.
    pub(crate) fn token(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64(header), base64(claims));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", base64(signature))
    }

    /// The public key, as numbers.
    pub(crate) fn public(&self) -> Vec<u8> {
        let Self::Es256(key) = self else { panic!("no point") };
        key.public_key().as_ref().to_vec()
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Es256(_) => {
                let point = self.public();
                let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": x, "y": y })
            }
            Self::Rs256 => {
                let (n, e) =
                    (RSA.n().to_be_bytes_trimmed_vartime(), RSA.e().to_be_bytes_trimmed_vartime());
                json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": base64(n), "e": base64(e) })
            }
            Self::Hs256(secret) => json!({ "kty": "oct", "kid": kid, "k": base64(secret) }),
        }
    }
}

/// The issuer: it signs with `ec` and `rsa`, which it publishes.
pub(crate) struct Issuer {
    pub(crate) url: String,
    pub(crate) ec: Signing,
    pub(crate) state: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
pub(crate) struct Shared {
    keys: Mutex<Vec<Value>>,
    /// How often the keys were fetched.
    pub(crate) fetched: AtomicUsize,
    /// How often it was asked about a token.
    pub(crate) asked: AtomicUsize,
    /// What it says of a token that it knows.
    pub(crate) known: Mutex<HashMap<String, Value>>,
    /// What it gives for a code: the challenge, the token.
    pub(crate) codes: Mutex<HashMap<String, (String, String)>>,
    url: Mutex<String>,
}

type Answer = (StatusCode, Json<Value>);

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (ec, state) = (Signing::es256(), Arc::new(Shared::default()));
        *state.keys.lock().expect("keys") = vec![ec.jwk("ec-1"), Signing::Rs256.jwk("rsa-1")];
        state.url.lock().expect("a URL").clone_from(&url);
        let router = Router::new()
            .route("/auth/v1/.well-known/jwks.json", get(keys))
            .route("/auth/v1/user", get(user))
            .route("/.well-known/openid-configuration", get(document))
            .route("/token", post(token))
            .with_state(Arc::clone(&state));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self { url, ec, state, _tasks: tasks }
    }

    /// What the tokens of Supabase call it.
    pub(crate) fn supabase(&self) -> String {
        format!("{}/auth/v1", self.url)
    }

    pub(crate) fn fetched(&self) -> usize {
        self.state.fetched.load(Ordering::SeqCst)
    }

    /// What Supabase says of somebody who is signed in.
    pub(crate) fn claims(&self, subject: &str) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({
            "iss": self.supabase(), "aud": "authenticated", "role": "authenticated", "sub": subject,
            "exp": now + 3_600, "iat": now, "email": "ada@example.org", "aal": "aal1",
            "session_id": "3a5b0c5e-1c5c-4a5e-9d3c-0d2f6f1e7a11", "is_anonymous": false, "phone": "",
        })
    }

    /// A token of the newer kind.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": "ec-1", "typ": "JWT" });
        self.ec.token(&header.to_string(), &claims.to_string())
    }
}

async fn keys(State(state): State<Arc<Shared>>) -> Json<Value> {
    state.fetched.fetch_add(1, Ordering::SeqCst);
    Json(json!({ "keys": *state.keys.lock().expect("keys") }))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
}

async fn user(State(state): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    state.asked.fetch_add(1, Ordering::SeqCst);
    let token = text(&headers, "authorization").trim_start_matches("Bearer ");
    let known = state.known.lock().expect("tokens").get(token).cloned();
    match known.filter(|_| text(&headers, "apikey") == API_KEY) {
        Some(user) => (StatusCode::OK, Json(user)),
        None => (StatusCode::UNAUTHORIZED, Json(json!({ "msg": "invalid JWT" }))),
    }
}

async fn document(State(state): State<Arc<Shared>>) -> Json<Value> {
    let url = state.url.lock().expect("a URL").clone();
    Json(json!({
        "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/auth/v1/.well-known/jwks.json"),
    }))
}

/// Gives a token for a code, once, to whoever began and knows the secret.
async fn token(State(state): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Answer {
    let fields: HashMap<String, String> = serde_urlencoded::from_str(&body).expect("a form");
    let known = state.codes.lock().expect("codes").remove(&fields["code"]);
    let basic = text(&headers, "authorization").trim_start_matches("Basic ");
    let basic = String::from_utf8(STANDARD.decode(basic).expect("base64")).expect("text");
    let expected = "tollgate+%26+co:canary+client%2Bsecret";
    let challenge = base64(Sha256::digest(fields["code_verifier"].as_bytes()));
    match known {
        Some((wanted, token))
            if wanted == challenge
                && basic == expected
                && fields["grant_type"] == "authorization_code"
                && fields["redirect_uri"] == "http://localhost:9/sign-in/oidc/callback" =>
        {
            (
                StatusCode::OK,
                Json(json!({ "id_token": token, "access_token": "x", "token_type": "Bearer" })),
            )
        }
        _ => (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))),
    }
}
