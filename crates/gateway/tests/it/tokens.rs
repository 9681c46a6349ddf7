//! Tokens of issuers: those that are taken, and the many that are not.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::say;
use crate::issuer::{API_KEY, CLIENT, Issuer, SECRET, Signing, base64};
use crate::sign_in::{Browser, Shown, on_both};

const SUBJECT: &str = "6f3f0b6e-5d36-4f3c-8a52-0f7a1f0f7a11";

on_both! {
    good_tokens_are_taken
    somebody_new
    signing_in_elsewhere
}

/// A program that trusts that issuer, where ada has a name.
async fn trusting(books: Books, issuer: &Issuer, start: Start) -> App {
    let start = start.set("SUPABASE_URL", format!("{}/", issuer.url));
    let app = App::start_on(books, start).await;
    let name = issuer.supabase();
    let identity = ["user", "identity", USER, "--subject", SUBJECT, "--issuer", &name];
    app.books.cli(&identity).await;
    app
}

async fn with(app: &App, token: &str) -> Answer {
    let request = app.request(Method::GET, "/api/keys/list").header("user", USER);
    Answer::of(request.bearer_auth(token)).await
}

async fn good_tokens_are_taken(books: Books) {
    let issuer = Issuer::start().await;
    let start = Start::default().set("SUPABASE_JWT_SECRET", SECRET);
    let app = trusting(books, &issuer, start).await;
    let claims = issuer.claims(SUBJECT);
    let secret = Signing::Hs256(SECRET.as_bytes().to_vec());
    let with_times = |nbf: i64| {
        let mut claims = claims.clone();
        claims["nbf"] = (claims["iat"].as_i64().expect("a number") + nbf).into();
        claims
    };
    let mut listed = claims.clone();
    listed["aud"] = json!(["authenticated"]);
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid, "typ": "JWT" }).to_string();
    let (text, bare) = (claims.to_string(), json!({ "alg": "HS256" }).to_string());
    for token in [
        issuer.token(&claims),
        Signing::Rs256.token(&header("RS256", "rsa-1"), &text),
        secret.token(&header("HS256", "the old one"), &text),
        secret.token(&bare, &text),
        issuer.ec.token(&json!({ "alg": "ES256" }).to_string(), &text),
        issuer.token(&with_times(-60)),
        issuer.token(&with_times(30)),
        issuer.token(&listed),
    ] {
        let answer = with(&app, &token).await;
        assert_eq!(answer.status, 200, "{token}: {}", answer.body);
    }
    assert_eq!(issuer.fetched(), 1);

    let token = issuer.token(&claims);
    let made = app.request(Method::POST, "/api/keys/generate").header("user", USER);
    let made = Answer::of(made.bearer_auth(&token)).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let log = app.request(Method::GET, "/api/v1/generation?id=gen-x").bearer_auth(&token);
    assert_eq!(Answer::of(log).await.status, 404, "somebody who has no such generation");
    for path in ["key", "auth/key", "models/user"] {
        let request = app.request(Method::GET, &format!("/api/v1/{path}"));
        let answer = Answer::of(request.bearer_auth(&token)).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
        assert!(answer.message().contains("an API key is needed"), "{path}: {}", answer.body);
    }
    // A token names nobody else, and calls no model.
    let other = app.request(Method::GET, "/api/keys/list").header("user", "bob");
    let other = Answer::of(other.bearer_auth(&token)).await;
    assert_eq!((other.status, other.code()), (403, "user_mismatch"));
    let nobody = Answer::of(app.request(Method::GET, "/api/keys/list").bearer_auth(&token)).await;
    assert_eq!((nobody.status, nobody.code()), (401, "missing_user"));
    let chat = app.request(Method::POST, "/api/layers/chat").header("user", USER);
    let chat = Answer::of(chat.bearer_auth(&token).json(&say("openai", "gpt-4o", "Hello"))).await;
    assert_eq!((chat.status, chat.code()), (401, "invalid_api_key"));
    assert!(chat.message().contains("an API key such as tg-"), "{}", chat.message());
    // Nor does it open a page.
    let page = app.request(Method::POST, "/account/password").bearer_auth(&token);
    assert_eq!(Answer::of(page).await.status, 401);

    app.books.cli(&["user", "disable", USER]).await;
    let start = std::time::Instant::now();
    while with(&app, &token).await.status == 200 {
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "still taken");
    }
    let refused = with(&app, &token).await;
    assert_eq!((refused.status, refused.code()), (401, "user_disabled"), "though it is known");
    app.close().await;
}

/// A claim or a header is that, or is gone.
fn but(base: &Value, name: &str, value: Value) -> String {
    let mut changed = base.clone();
    if value == json!("gone") {
        changed.as_object_mut().expect("an object").remove(name);
    } else {
        changed[name] = value;
    }
    changed.to_string()
}

/// Signed by the issuer itself, and still not what somebody signs in with.
fn wrong_claims(issuer: &Issuer, good: &Value) -> Vec<String> {
    let now = good["iat"].as_i64().expect("a number");
    let name = issuer.supabase();
    let gone = || json!("gone");
    let mut wrong: Vec<String> = [
        ("iss", gone()),
        ("iss", json!("https://evil.example/auth/v1")),
        ("iss", json!(issuer.url)),
        ("iss", json!(format!("{name}/"))),
        ("iss", json!(name.to_uppercase())),
        ("iss", json!([name])),
        ("aud", gone()),
        ("aud", json!("anon")),
        ("aud", json!([])),
        ("aud", json!(["anon", "x"])),
        ("aud", json!(["authenticated", "another"])),
        ("aud", json!(1)),
        ("aud", json!("Authenticated")),
        ("role", gone()),
        ("role", json!("anon")),
        ("role", json!("service_role")),
        ("role", json!("Authenticated")),
        ("role", json!("supabase_admin")),
        ("role", json!(null)),
        ("sub", gone()),
        ("sub", json!("")),
        ("sub", json!(1)),
        ("sub", json!("x".repeat(256))),
        ("sub", json!("a\u{0}b")),
        ("exp", gone()),
        ("exp", json!(now - 1)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!("2099-01-01")),
        ("exp", json!((now + 3_600).to_string())),
        ("exp", json!(null)),
        ("exp", json!(1e300)),
        ("nbf", json!(now + 600)),
        ("nbf", json!("x")),
        ("iat", json!(now + 600)),
        ("is_anonymous", json!(true)),
        ("azp", json!("another")),
    ]
    .into_iter()
    .map(|(name, value)| but(good, name, value))
    .collect();
    let text = good.to_string();
    let twice = format!("{},\"sub\":\"{SUBJECT}\"}}", text.trim_end_matches('}'));
    wrong.extend([twice, "[]".to_owned(), "{}".to_owned(), "null".to_owned(), String::new()]);
    wrong.iter().map(|claims| issuer.ec.token(GOOD_HEADER, claims)).collect()
}

const GOOD_HEADER: &str = r#"{"alg":"ES256","kid":"ec-1","typ":"JWT"}"#;

/// Of a header that says by what it is to be checked, or in what other way.
fn wrong_headers(issuer: &Issuer, claims: &str) -> Vec<String> {
    let good: Value = serde_json::from_str(GOOD_HEADER).expect("JSON");
    let own = Signing::es256();
    let mut wrong = Vec::new();
    for (name, value) in [
        ("jku", json!(format!("{}/auth/v1/.well-known/jwks.json", issuer.url))),
        ("x5u", json!("https://evil.example/x")),
        ("jwk", own.jwk("ec-1")),
        ("x5c", json!(["AA"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!(1)),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!(1)),
        ("kid", json!("rsa-1")),
        ("kid", json!("EC-1")),
        ("kid", json!("ec-1\u{0}")),
        ("kid", json!("")),
        ("alg", json!("gone")),
        ("alg", json!("RS256")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("alg", json!("ES512")),
        ("alg", json!("PS256")),
        ("alg", json!("EdDSA")),
        ("alg", json!("es256")),
        ("alg", json!(["ES256"])),
        ("alg", json!(null)),
    ] {
        let header = but(&good, name, value);
        wrong.push(issuer.ec.token(&header, claims));
        // And signed by the very key that it brings along.
        wrong.push(own.token(&header, claims));
    }
    let twice = GOOD_HEADER.replace('{', r#"{"alg":"none","#);
    wrong.extend([&twice, "", "{}", "[]", "null"].map(|header| issuer.ec.token(header, claims)));
    wrong
}

/// Signed by nobody, or by somebody else.
fn wrong_signatures(issuer: &Issuer, claims: &str) -> Vec<String> {
    let part = |alg: &str| {
        let header = json!({ "alg": alg, "kid": "ec-1", "typ": "JWT" }).to_string();
        format!("{}.{}", base64(header), base64(claims))
    };
    let good = issuer.ec.token(GOOD_HEADER, claims);
    let (signed, signature) = good.rsplit_once('.').expect("a signature");
    let mut wrong = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "", "null"] {
        wrong.extend([format!("{}.", part(alg)), format!("{}.{signature}", part(alg))]);
    }
    // What everybody knows, for a secret.
    let (point, jwk) = (issuer.ec.public(), issuer.ec.jwk("ec-1").to_string().into_bytes());
    let spki = [&hex("3059301306072a8648ce3d020106082a8648ce3d030107034200")[..], &point].concat();
    let secrets: [&[u8]; 7] = [&point, &point[1..], &jwk, &spki, b"", b"secret", b"authenticated"];
    for secret in secrets {
        let key = Signing::Hs256(secret.to_vec());
        wrong.push(key.token(r#"{"alg":"HS256","kid":"ec-1"}"#, claims));
        wrong.push(key.token(r#"{"alg":"HS256"}"#, claims));
    }
    let stranger = Signing::es256();
    wrong.push(stranger.token(GOOD_HEADER, claims));
    wrong.push(stranger.token(r#"{"alg":"ES256"}"#, claims));
    wrong.push(issuer.ec.token(r#"{"alg":"RS256","kid":"rsa-1"}"#, claims));
    wrong.push(Signing::Rs256.token(GOOD_HEADER, claims));
    let mut der = vec![0x30, 0x44, 0x02, 0x20];
    der.extend([1; 32]);
    der.extend([0x02, 0x20]);
    der.extend([1; 32]);
    let order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    for forged in [
        vec![0; 64],
        vec![0xff; 64],
        der,
        vec![1; 63],
        vec![0; 65],
        vec![],
        vec![0; 1],
        [&order[..], &order].concat(),
        [&[0; 32][..], &[1; 32]].concat(),
        [&[1; 32][..], &[0; 32]].concat(),
    ] {
        wrong.push(format!("{signed}.{}", base64(forged)));
    }
    wrong
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// A good token, and what was done to it. It is known, and others begin as it does.
fn mutilated(issuer: &Issuer, good: &str, claims: &Value) -> Vec<String> {
    let mut wrong: Vec<String> =
        (1..8).map(|eighth| good[..good.len() * eighth / 8].to_owned()).collect();
    let (signed, signature) = good.rsplit_once('.').expect("a signature");
    let other = issuer.token(&serde_json::from_str(&but(claims, "sub", json!("x"))).expect("JSON"));
    let (other, _) = other.rsplit_once('.').expect("a signature");
    assert_eq!(other[..20], good[..20]);
    wrong.extend([
        format!("{other}.{signature}"),
        format!("{good}="),
        format!("{good}A"),
        format!("{good}.{signature}"),
        format!(".{good}"),
        format!("{signed}."),
        format!("{signed}..{signature}"),
        signed.to_owned(),
        good.replace('.', ".."),
        good.replace('.', " . "),
        format!("{good}\u{20}x"),
        good.to_uppercase(),
        good.to_lowercase(),
        format!("{}{good}", "ey".repeat(500_000)),
        format!("{good}{}", "A".repeat(1_000_000)),
        format!("{good}{}", "A".repeat(20_000)),
        "ey..".to_owned(),
        "..".to_owned(),
    ]);
    // One bit of each part.
    for at in [10, signed.len() - 5, good.len() - 5] {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        wrong.push(String::from_utf8(bytes).expect("ASCII"));
    }
    wrong
}

#[tokio::test]
async fn bad_tokens_are_not() {
    let issuer = Issuer::start().await;
    for secret in [None, Some(SECRET)] {
        let start = secret.map_or_else(Start::default, |secret| {
            Start::default().set("SUPABASE_JWT_SECRET", secret)
        });
        let app = trusting(Books::sqlite(), &issuer, start).await;
        let claims = issuer.claims(SUBJECT);
        let (good, text) = (issuer.token(&claims), claims.to_string());
        assert_eq!(with(&app, &good).await.status, 200);
        let before = issuer.fetched();
        let mut wrong = wrong_claims(&issuer, &claims);
        wrong.extend(wrong_headers(&issuer, &text));
        wrong.extend(wrong_signatures(&issuer, &text));
        wrong.extend(mutilated(&issuer, &good, &claims));
        if secret.is_none() {
            let key = Signing::Hs256(SECRET.as_bytes().to_vec());
            wrong.push(key.token(r#"{"alg":"HS256"}"#, &text));
        }
        assert!(wrong.len() > 140, "{}", wrong.len());
        for token in &wrong {
            let answer = with(&app, token).await;
            let shown: String = token.chars().take(600).collect();
            // One that is too long for a header is not even looked at.
            let long = token.len() > 100_000 && answer.status == 431;
            assert!(answer.status == 401 || long, "{}: {shown}", answer.status);
        }
        let stranger = issuer.token(&issuer.claims("somebody else"));
        let answer = with(&app, &stranger).await;
        assert_eq!((answer.status, answer.code()), (403, "unknown_user"), "{}", answer.body);
        assert_eq!(with(&app, &good).await.status, 200, "and still the good one");
        assert_eq!(issuer.fetched(), before, "no name of a key had them fetched so soon");
        assert_eq!(issuer.state.asked.load(Ordering::SeqCst), 0);
        let log = app.log().await;
        assert!(!log.contains(&good) && !log.contains("ERROR"), "{log}");
        app.close().await;
    }
}

/// Names of keys that nobody has heard of, by the hundred.
#[tokio::test]
async fn a_storm_of_unknown_keys_is_one_question() {
    let issuer = Issuer::start().await;
    let app = trusting(Books::sqlite(), &issuer, Start::default()).await;
    let claims = issuer.claims(SUBJECT).to_string();
    let mut storm = JoinSet::new();
    for n in 0..300 {
        let header = json!({ "alg": "ES256", "kid": format!("kid-{n}") }).to_string();
        let request = app.request(Method::GET, "/api/keys/list").header("user", USER);
        storm.spawn(Answer::of(request.bearer_auth(issuer.ec.token(&header, &claims))));
    }
    while let Some(answer) = storm.join_next().await {
        assert_eq!(answer.expect("an answer").status, 401);
    }
    assert_eq!(issuer.fetched(), 1);
    assert_eq!(with(&app, &issuer.token(&issuer.claims(SUBJECT))).await.status, 200);
    app.close().await;
}

#[tokio::test]
async fn an_issuer_that_does_not_answer() {
    let issuer = Issuer::start().await;
    let app = trusting(Books::sqlite(), &issuer, Start::default()).await;
    let (token, url) = (issuer.token(&issuer.claims(SUBJECT)), issuer.url.clone());
    let later = issuer.token(&issuer.claims(SUBJECT));
    assert_ne!(token, later, "no signature is like another");
    assert_eq!(with(&app, &token).await.status, 200);
    drop(issuer);
    assert_eq!(with(&app, &token).await.status, 200, "it was found good");
    assert_eq!(with(&app, &later).await.status, 200, "its key is known");
    app.close().await;

    let start = Start::default().set("SUPABASE_URL", url);
    let app = App::start_with(start).await;
    let answer = with(&app, &token).await;
    assert_eq!((answer.status, answer.code()), (503, "issuer_unavailable"));
    assert!(!answer.header("retry-after").is_empty());
    let keys = Answer::of(app.native(Method::GET, "/api/keys/list")).await;
    assert_eq!(keys.status, 200, "keys need no issuer");
    app.close().await;
}

/// Supabase itself is asked about a token that no key of its verifies.
#[tokio::test]
async fn supabase_is_asked() {
    let issuer = Issuer::start().await;
    let start = Start::default().set("SUPABASE_KEY", API_KEY);
    let app = trusting(Books::sqlite(), &issuer, start).await;
    let asked = || issuer.state.asked.load(Ordering::SeqCst);
    let old = Signing::Hs256(b"a secret that only the issuer knows, and nobody here".to_vec());
    let token = |subject: &str, nonce: u32| {
        let mut claims = issuer.claims(subject);
        claims["aal"] = nonce.into();
        old.token(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string())
    };
    let person =
        json!({ "id": SUBJECT, "aud": "authenticated", "role": "authenticated", "email": "x" });
    let know = |token: &str, user: Value| {
        issuer.state.known.lock().expect("tokens").insert(token.to_owned(), user);
    };
    let good = token(SUBJECT, 0);
    know(&good, person.clone());
    for _ in 0..3 {
        assert_eq!(with(&app, &good).await.status, 200);
    }
    assert_eq!(asked(), 1, "its word holds for a while");
    let mut wrong = vec![token(SUBJECT, 1)];
    for (n, (name, value)) in [
        ("id", json!("another")),
        ("role", json!("anon")),
        ("role", json!("service_role")),
        ("aud", json!("anon")),
        ("is_anonymous", json!(true)),
        ("id", json!(1)),
    ]
    .into_iter()
    .enumerate()
    {
        let token = token(SUBJECT, 10 + u32::try_from(n).expect("a number"));
        know(&token, serde_json::from_str(&but(&person, name, value)).expect("JSON"));
        wrong.push(token);
    }
    for token in &wrong {
        let answer = with(&app, token).await;
        assert_eq!((answer.status, answer.code()), (401, "invalid_token"), "{}", answer.body);
    }
    assert_eq!(asked(), 1 + wrong.len());
    // Nothing is asked of what cannot be right: another algorithm, a key that is known, claims that do not fit.
    let forged = Signing::es256().token(GOOD_HEADER, &issuer.claims(SUBJECT).to_string());
    let none =
        format!("{}.{}.", base64(r#"{"alg":"none"}"#), base64(issuer.claims(SUBJECT).to_string()));
    let anon =
        old.token(r#"{"alg":"HS256"}"#, &but(&issuer.claims(SUBJECT), "role", json!("anon")));
    for token in [forged, none, anon] {
        know(&token, person.clone());
        assert_eq!(with(&app, &token).await.status, 401);
    }
    assert_eq!(asked(), 1 + wrong.len());
    assert!(!app.log().await.contains("canary-supabase-key"));
    app.close().await;
}

async fn somebody_new(books: Books) {
    let issuer = Issuer::start().await;
    let start = Start::default().set("TOLLGATE_SIGN_UP", "true");
    let app = trusting(books, &issuer, start).await;
    let token = |subject: &str, email: Value| {
        let mut claims = issuer.claims(subject);
        claims["email"] = email;
        issuer.token(&claims)
    };
    // Who is called as somebody is, is somebody else.
    let ask = async |token: &str, user: &str| {
        let request = app.request(Method::GET, "/api/usage/check").header("user", user);
        Answer::of(request.bearer_auth(token)).await.status
    };
    let new = token("s1", json!("eve@example.org"));
    let mut storm = JoinSet::new();
    for _ in 0..8 {
        let request = app.request(Method::GET, "/api/usage/check");
        storm.spawn(Answer::of(request.header("user", "eve@example.org").bearer_auth(&new)));
    }
    while let Some(answer) = storm.join_next().await {
        assert_eq!(answer.expect("an answer").status, 200);
    }
    assert_eq!(ask(&token("s2", json!("eve@example.org")), "eve@example.org").await, 403);
    assert_eq!(ask(&token("s2", json!("eve@example.org")), "eve@example.org-2").await, 200);
    let ada = token("s3", json!(USER));
    assert_eq!((ask(&ada, USER).await, ask(&ada, "ada-2").await), (403, 200));
    assert_eq!(ask(&token("s4", json!(null)), "user").await, 200);
    let users = app.books.cli_json(&["user", "list"]).await;
    let new: Vec<&Value> =
        users.as_array().expect("a list").iter().filter(|user| user["name"] != USER).collect();
    let names: Vec<&str> = new.iter().filter_map(|user| user["name"].as_str()).collect();
    assert_eq!(names, ["ada-2", "eve@example.org", "eve@example.org-2", "user"]);
    for user in new {
        assert_eq!((&user["operator"], &user["prepaid"]), (&false.into(), &true.into()), "{user}");
    }
    app.close().await;
}

fn parameters(url: &str) -> std::collections::HashMap<String, String> {
    let (_, query) = url.split_once('?').expect("a query");
    serde_urlencoded::from_str(query).expect("pairs")
}

async fn signing_in_elsewhere(books: Books) {
    let issuer = Issuer::start().await;
    let start = Start::default()
        .set("TOLLGATE_PUBLIC_URL", "http://localhost:9")
        .set("TOLLGATE_OIDC_ISSUER", &issuer.url)
        .set("TOLLGATE_OIDC_CLIENT_ID", CLIENT.0)
        .set("TOLLGATE_OIDC_CLIENT_SECRET", CLIENT.1);
    let app = App::start_on(books, start).await;
    let identity = ["user", "identity", USER, "--subject", "s1", "--issuer", &issuer.url];
    app.books.cli(&identity).await;
    let mut browser = Browser::at(&app);
    let page = browser.get("/sign-in?next=%2Fkeys").await;
    assert!(page.text.contains("href=\"/sign-in/oidc?next=%2Fkeys\""), "{}", page.text);

    // What is wrong with the answer, and how the browser is answered.
    let cases: [(&str, u16); 12] = [
        ("", 303),
        ("nonce", 403),
        ("aud", 403),
        ("iss", 403),
        ("exp", 403),
        ("signature", 403),
        ("subject", 403),
        ("state", 400),
        ("cookie", 400),
        ("forged cookie", 400),
        ("verifier", 502),
        ("other issuer", 400),
    ];
    for (wrong, status) in cases {
        let mut browser = Browser::at(&app);
        let back = come_back(&mut browser, &issuer, wrong).await;
        assert_eq!(back.status, status, "{wrong}: {}", back.text);
        assert_eq!(browser.is_in().await, wrong.is_empty(), "{wrong}");
        let left = usize::from(wrong.is_empty());
        assert_eq!(browser.cookies.len(), left, "what waited is gone");
        if wrong.is_empty() {
            assert_eq!(back.header("location"), "/keys");
        }
    }
    assert!(!app.log().await.contains(CLIENT.1));
    app.close().await;
}

/// Begins to sign in elsewhere, and comes back with something wrong.
async fn come_back(browser: &mut Browser, issuer: &Issuer, wrong: &str) -> Shown {
    let begun = browser.get("/sign-in/oidc?next=%2Fkeys").await;
    assert_eq!(begun.status, 303, "{}", begun.text);
    assert!(begun.header("set-cookie").contains("; HttpOnly; SameSite=Lax; Max-Age=600"));
    let to = begun.header("location");
    assert!(to.starts_with(&format!("{}/authorize?", issuer.url)), "{to}");
    let asked = parameters(to);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT.0),
        ("code_challenge_method", "S256"),
        ("redirect_uri", "http://localhost:9/sign-in/oidc/callback"),
    ] {
        assert_eq!(asked[name], value);
    }
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "iss": issuer.url, "aud": CLIENT.0, "sub": "s1", "exp": now + 60, "iat": now, "nonce": asked["nonce"],
    });
    match wrong {
        "nonce" | "aud" | "iss" => claims[wrong] = json!("another"),
        "exp" => claims["exp"] = (now - 1).into(),
        "subject" => claims["sub"] = json!("s2"),
        _ => {}
    }
    let key = if wrong == "signature" { &Signing::es256() } else { &issuer.ec };
    let token = key.token(GOOD_HEADER, &claims.to_string());
    let challenge = if wrong == "verifier" { "another" } else { &asked["code_challenge"] };
    let code = (challenge.to_owned(), token);
    issuer.state.codes.lock().expect("codes").insert("the code".to_owned(), code);
    let state = if wrong == "state" { "another" } else { &asked["state"] };
    match wrong {
        "cookie" => browser.cookies.clear(),
        "forged cookie" => browser.cookies[0].1.insert(5, 'A'),
        _ => {}
    }
    let iss = if wrong == "other issuer" { "&iss=https%3A%2F%2Fevil.example" } else { "" };
    browser.get(&format!("/sign-in/oidc/callback?code=the+code&state={state}{iss}")).await
}

/// What is unsafe, or not whole, is named and refused before anything starts.
#[tokio::test]
async fn settings_of_issuers_that_make_no_sense() {
    let books = Books::sqlite();
    let oidc = [
        ("TOLLGATE_OIDC_ISSUER", "https://login.example.com"),
        ("TOLLGATE_OIDC_CLIENT_ID", "x"),
        ("TOLLGATE_OIDC_CLIENT_SECRET", "x"),
    ];
    let public = ("TOLLGATE_PUBLIC_URL", "https://gate.example.com");
    let supabase = ("SUPABASE_URL", "https://x.supabase.co");
    for (settings, named) in [
        (vec![("SUPABASE_URL", "http://x.supabase.co")], "SUPABASE_URL"),
        (vec![("SUPABASE_URL", "x.supabase.co")], "SUPABASE_URL"),
        (vec![("SUPABASE_URL", "ftp://localhost")], "SUPABASE_URL"),
        (vec![("SUPABASE_KEY", "x")], "SUPABASE_KEY"),
        (vec![("SUPABASE_JWT_SECRET", SECRET)], "SUPABASE_JWT_SECRET"),
        (vec![supabase, ("SUPABASE_JWT_SECRET", "short")], "SUPABASE_JWT_SECRET"),
        (vec![supabase, ("SUPABASE_KEY", "a\nb")], "SUPABASE_KEY"),
        (oidc.to_vec(), "TOLLGATE_PUBLIC_URL"),
        (vec![oidc[0], oidc[1], public], "TOLLGATE_OIDC_CLIENT_SECRET"),
        (vec![oidc[0], oidc[2], public], "TOLLGATE_OIDC_CLIENT_ID"),
        (vec![oidc[1], oidc[2], public], "TOLLGATE_OIDC_ISSUER"),
        (
            vec![("TOLLGATE_OIDC_ISSUER", "http://x.example"), oidc[1], oidc[2], public],
            "TOLLGATE_OIDC_ISSUER",
        ),
        (
            vec![oidc[0], oidc[1], oidc[2], ("TOLLGATE_PUBLIC_URL", "http://x.example")],
            "TOLLGATE_PUBLIC_URL",
        ),
        (vec![("TOLLGATE_SIGN_UP", "perhaps")], "sign-up"),
    ] {
        let mut command = books.command(&["serve"]);
        let output = command.env("PORT", "0").envs(settings.clone()).output().await;
        let output = output.expect("the program runs");
        let complaint = String::from_utf8(output.stderr).expect("text");
        assert!(output.status.code().is_some_and(|code| code != 0), "{settings:?} was taken");
        assert!(complaint.contains(named), "{settings:?}: {complaint}");
        assert!(!complaint.contains(SECRET), "{complaint}");
    }
}
