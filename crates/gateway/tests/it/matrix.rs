//! Who may use what: every route of the table, by everybody who could ask. What is expected stands here a second time, in
//! words of its own, so that a route whose policy nobody has thought about is in the way.

use std::collections::HashMap;

use reqwest::{Method, header};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::{NewUser, Role, Store};
use uuid::Uuid;

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::issuer::Issuer;

/// What somebody brings to prove who it is.
#[derive(Clone, Debug)]
enum Proof {
    Nothing,
    /// Of that user.
    Key(&'static str, String),
    Session(String),
    /// In which an organization is looked at.
    Member(String),
    /// Of an issuer that is trusted, for that user.
    Token(&'static str, String),
}

/// How a request may end, as far as it says who may ask.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum End {
    /// Whatever else was wrong with it.
    In,
    /// 401, or to the page for signing in.
    Unknown,
    /// 403.
    Forbidden,
    /// 404, as if there were nothing.
    Hidden,
}

const NOW: i64 = 1_800_000_000_000_000;
/// The account of the organization.
const ACME: Uuid = Uuid::from_u128((0x0193_0000_0000_7000 << 64) + 2);
/// What the issuer calls Ada.
const SUBJECT: &str = "6f3f0b6e-5d36-4f3c-8a52-0f7a1f0f7a11";
const SOON: i64 = NOW + 40_000_000_000_000;

/// Of the role `name`, whose key has these scopes.
fn expected(policy: &str, name: &str) -> End {
    let scopes: &[&str] = match name {
        "user key" | "foreign key" => &["inference", "usage", "keys"],
        "narrow key" => &["usage"],
        "management key" => &["usage", "keys", "billing"],
        "operator key" | "former operator key" => &["operator"],
        _ => &[],
    };
    let is_key = !scopes.is_empty();
    let is_person = matches!(
        name,
        "user" | "other user" | "member" | "org admin" | "org owner" | "org billing" | "operator"
    );
    match policy {
        // It asks no model, and opens no page.
        _ if name == "token" && policy.ends_with(":inference") => End::Unknown,
        _ if name == "token" && policy.contains(':') => End::In,
        "key" if name == "token" => End::In,
        "anybody" | "form" => End::In,
        "person" if is_person => End::In,
        "operator" if name == "operator" => End::In,
        "operator" if is_person => End::Hidden,
        "key" if is_key => End::In,
        "person" | "operator" | "key" => End::Unknown,
        "key:operator" if name == "former operator key" => End::Forbidden,
        _ => {
            let (kind, scope) = policy.split_once(':').expect("a policy that this test knows");
            assert!(
                ["key", "user"].contains(&kind),
                "a policy that this test does not know: {policy}"
            );
            assert!(
                ["inference", "usage", "keys", "billing", "operator"].contains(&scope),
                "{policy}"
            );
            match is_key {
                true if scopes.contains(&scope) => End::In,
                true => End::Forbidden,
                false => End::Unknown,
            }
        }
    }
}

/// What an organization keeps from its own, whatever the route lets in: its bills from members, its keys and what was
/// asked with them from whoever is there for the bills, the keys of providers from both.
fn is_closed(name: &str, path: &str) -> bool {
    let below = |bases: &[&str]| {
        bases.iter().any(|base| {
            path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    match name {
        "member" => below(&["/bills", "/own-keys"]),
        "org billing" => below(&["/requests", "/keys", "/playground", "/own-keys", "/auth"]),
        _ => false,
    }
}

/// Where a token is not enough, because a key itself is asked about.
const OF_KEYS: [&str; 3] = ["/api/v1/key", "/api/v1/auth/key", "/api/v1/models/user"];

async fn session(store: &Store, name: &str) -> String {
    let token = ledger::to_hex(&Sha256::digest(name.as_bytes()));
    let hash = Sha256::digest(token.as_bytes()).into();
    let user = store.user(name).await.expect("a user");
    store.begin_session(hash, &user, (NOW, SOON)).await.expect("a session");
    token
}

/// Everybody who could ask.
async fn roles(app: &App) -> Vec<(&'static str, Proof)> {
    let books = &app.books;
    let foreign = books.add_user("bob").await;
    for name in ["mia", "max", "olga", "otto", "ben"] {
        books.cli(&["user", "add", name]).await;
    }
    let key = async |name: &'static str, more: &[&str]| {
        let create = [&["key", "create", "--user", name][..], more].concat();
        Proof::Key(name, books.cli(&create).await)
    };
    let narrow = key(USER, &["--scope", "usage"]).await;
    let management =
        key(USER, &["--scope", "usage", "--scope", "keys", "--scope", "billing"]).await;
    let [revoked, off, expired] =
        [key(USER, &[]).await, key(USER, &[]).await, key(USER, &[]).await];
    let text = |proof: &Proof| match proof {
        Proof::Key(_, key) => key.clone(),
        _ => unreachable!("a key"),
    };
    books.cli(&["key", "revoke", &text(&revoked)]).await;
    books.cli(&["key", "disable", &text(&off)]).await;
    let hash = ledger::to_hex(&Sha256::digest(text(&expired).as_bytes()));
    books
        .shell(&format!("UPDATE tollgate.api_keys SET expires_at = 5 WHERE hash = '{hash}'"))
        .await;

    let store = books.store().await;
    let id = |number: u128| Uuid::from_u128((0x0193_0000_0000_7000 << 64) + number);
    let owner = store.user(USER).await.expect("Ada").id;
    let acme = NewUser {
        id: id(1),
        account_id: ACME,
        name: "acme".to_owned(),
        owner: Some(owner),
        operator: false,
        prepaid: false,
        created_at: NOW,
    };
    let acme = store.add_user(acme).await.expect("an organization");
    for (name, role) in
        [("mia", Role::Member), ("max", Role::Admin), ("otto", Role::Owner), ("ben", Role::Billing)]
    {
        let user = store.user(name).await.expect("a member");
        store.set_member(&acme, &user, role, NOW).await.expect("a membership");
    }
    let olga = store.user("olga").await.expect("Olga");
    store.set_operator(&olga, true).await.expect("an operator");
    let mut roles = vec![
        ("anonymous", Proof::Nothing),
        ("junk key", Proof::Key(USER, "tg-junk".to_owned())),
        ("junk session", Proof::Session("0".repeat(64))),
        ("user key", Proof::Key(USER, app.key.clone())),
        ("foreign key", Proof::Key("bob", foreign)),
        ("narrow key", narrow),
        ("management key", management),
        ("revoked key", revoked),
        ("disabled key", off),
        ("expired key", expired),
    ];
    for (role, name) in [("user", USER), ("other user", "bob"), ("operator", "olga")] {
        roles.push((role, Proof::Session(session(&store, name).await)));
    }
    roles.extend(of_operators(app, &store).await);
    for (role, name) in
        [("member", "mia"), ("org admin", "max"), ("org owner", "otto"), ("org billing", "ben")]
    {
        roles.push((role, Proof::Member(session(&store, name).await)));
    }
    store.close().await;
    roles
}

/// Keys for what operators do: of one, and of one who is none any more.
async fn of_operators(app: &App, store: &Store) -> [(&'static str, Proof); 2] {
    let max = store.user("max").await.expect("Max");
    store.set_operator(&max, true).await.expect("an operator");
    let [olgas, his] = [
        app.books.key_with("olga", &["operator"]).await,
        app.books.key_with("max", &["operator"]).await,
    ];
    store.set_operator(&max, false).await.expect("no operator");
    [("operator key", Proof::Key("olga", olgas)), ("former operator key", Proof::Key("max", his))]
}

impl App {
    /// The end of a request to a route in that role. What the path leaves open is filled with what nobody has.
    async fn knock(&self, (method, path): (&str, &str), proof: &Proof) -> (End, u16) {
        let nothing = Uuid::from_u128(77).to_string();
        let fill = |part: &str| match part.split_once('}') {
            // The rest of such a path names a model and what is asked of it.
            Some(("*id", rest)) => format!("nothing:generateContent{rest}"),
            Some((_, rest)) => format!("{nothing}{rest}"),
            None => part.to_owned(),
        };
        let filled: String = path.split('{').map(fill).collect();
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.request(method.clone(), &filled);
        match proof {
            Proof::Nothing => {}
            Proof::Key(user, key) | Proof::Token(user, key) => {
                request = request.header("user", *user).bearer_auth(key);
            }
            Proof::Member(token) => {
                let cookies = format!("tollgate={token}; tollgate-account={ACME}");
                request = request.header(header::COOKIE, cookies);
            }
            Proof::Session(token) => {
                request = request.header(header::COOKIE, format!("tollgate={token}"));
            }
        }
        if method != Method::GET {
            let csrf = match proof {
                Proof::Session(token) | Proof::Member(token) => {
                    ledger::to_hex(&Sha256::digest(format!("csrf {token}").as_bytes()))
                }
                _ => String::new(),
            };
            request = request.header("x-csrf-token", csrf).header("sec-fetch-site", "same-origin");
            request = request.json(&json!({}));
        }
        let answer = Answer::of(request).await;
        let signs_in = answer.header("location").starts_with("/sign-in?");
        let end = match answer.status {
            401 => End::Unknown,
            303 if signs_in => End::Unknown,
            403 => End::Forbidden,
            404 => End::Hidden,
            _ => End::In,
        };
        (end, answer.status)
    }
}

async fn everybody_at_every_door(books: Books) {
    let issuer = Issuer::start().await;
    let start = Start::default().set("SUPABASE_URL", format!("{}/", issuer.url));
    let mut app = App::start_on(books, start).await;
    let mut roles = roles(&app).await;
    let name = issuer.supabase();
    let identity = ["user", "identity", USER, "--subject", SUBJECT, "--issuer", &name];
    app.books.cli(&identity).await;
    roles.push(("token", Proof::Token(USER, issuer.token(&issuer.claims(SUBJECT)))));
    app.restart().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    app.client = client.no_proxy().build().expect("a client");
    let table = app.books.cli_json(&["openapi", "--routes"]).await;
    let table = table.as_array().expect("a table");
    assert!(table.len() > 25, "{table:?}");
    let mut wrong = Vec::new();
    let mut tried: HashMap<End, usize> = HashMap::new();
    for route in table {
        let text = |name: &str| route[name].as_str().expect("text");
        let (method, path, policy) = (text("method"), text("path"), text("policy"));
        for (role, proof) in &roles {
            // A page that ends the session it is asked in would end the test of that role.
            if path == "/sign-out" && matches!(proof, Proof::Session(_) | Proof::Member(_)) {
                continue;
            }
            let asks_models =
                ["/v1/", "/v1beta/", "/v1alpha/"].iter().any(|base| path.starts_with(base));
            let wanted = match *role {
                // Below these bases SDKs ask for models, with keys alone.
                // Of nobody who runs the house.
                "token" if policy == "key:operator" => End::Forbidden,
                "token" if asks_models && policy != "anybody" => End::Unknown,
                role => expected(policy, role),
            };
            let (found, status) = app.knock((method, path), proof).await;
            // Whoever may come in finds that the thing which nobody has is not there, nor an organization or its account, for who is in none, nor
            // another place to sign in, where none is set.
            let missing = ["/organization", "/sign-in/oidc", "/switch"]
                .iter()
                .any(|base| path.starts_with(base));
            let missing = missing || path.contains('{');
            let missing = missing && (wanted, found) == (End::In, End::Hidden);
            let asks_for_a_key = *role == "token" && OF_KEYS.contains(&path);
            let fits = if wanted == End::In && is_closed(role, path) {
                // What is wrong with the form may be said first, or that there is no such thing.
                let first = method != "GET" || path.contains('{');
                found == End::Forbidden || (first && (400..500).contains(&status))
            } else if wanted == End::In && asks_for_a_key {
                found == End::Forbidden
            } else {
                found == wanted || missing
            };
            if !fits {
                wrong.push(format!(
                    "{method} {path} ({policy}) as {role}: {status} {found:?}, not {wanted:?}"
                ));
            }
            assert!(status < 500 || status == 503, "{method} {path} as {role}: {status}");
            *tried.entry(wanted).or_default() += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried[&End::In] > 50 && tried[&End::Unknown] > 50, "{tried:?}");
    assert!(app.close().await.is_empty(), "nothing was charged");
}

/// What belongs to another is not there: not a request, not a key, whatever is asked of it.
#[tokio::test]
async fn objects_of_others_are_not_there() {
    let mut app = App::start().await;
    let roles = roles(&app).await;
    let scopes = ["--scope", "inference", "--scope", "usage", "--scope", "keys"];
    let of_acme = async |name: &'static str| {
        let create = ["key", "create", "--user", name, "--payer", "acme"];
        app.books.cli(&[&create[..], &scopes].concat()).await
    };
    let [mia, max, ada] = [of_acme("mia").await, of_acme("max").await, of_acme(USER).await];
    app.restart().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    app.client = client.no_proxy().build().expect("a client");
    let asked = app.example(&max).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let request = asked.header("x-request-id").to_owned();
    let hash = ledger::to_hex(&Sha256::digest(&max));
    let seen = app.v1(&ada, Method::GET, &format!("keys/{hash}"), None).await;
    assert_eq!(seen.status, 200, "an owner sees it: {}", seen.body);
    let keys = app.request(Method::GET, "/api/keys/list").header("user", "max").bearer_auth(&max);
    let keys = Answer::of(keys).await;
    let id = keys.body["keys"][0]["id"].as_str().expect("an id").to_owned();

    let mut others = vec![Proof::Key("mia", mia)];
    others.extend(roles.into_iter().filter_map(|(role, proof)| {
        ["user key", "foreign key", "user", "other user", "member", "operator"]
            .contains(&role)
            .then_some(proof)
    }));
    let api = [
        ("GET", format!("/api/v1/generation?id={request}")),
        ("GET", format!("/api/v1/keys/{hash}")),
        ("PATCH", format!("/api/v1/keys/{hash}")),
        ("POST", format!("/api/v1/keys/{hash}/rotate")),
        ("DELETE", format!("/api/v1/keys/{hash}")),
    ];
    let pages = [
        ("GET", format!("/requests/{request}")),
        ("GET", format!("/keys/{id}")),
        ("POST", format!("/keys/{id}/disabled")),
        ("POST", format!("/keys/{id}/rotate")),
        ("POST", format!("/keys/{id}/revoke")),
    ];
    for proof in &others {
        let doors = if matches!(proof, Proof::Key(..)) { &api } else { &pages };
        for (method, path) in doors {
            let (end, status) = app.knock((*method, path.as_str()), proof).await;
            assert_eq!(end, End::Hidden, "{method} {path} as {proof:?}: {status}");
        }
        if let Proof::Key(user, key) = proof {
            for body in [json!({ "id": id }), json!({ "key": max })] {
                let delete = app.request(Method::DELETE, "/api/keys/delete").header("user", *user);
                let answer = Answer::of(delete.bearer_auth(key).json(&body)).await;
                assert_eq!(answer.status, 404, "{body} as {user}: {}", answer.body);
            }
        }
    }
    assert_eq!(app.example(&max).await.status, 200, "nothing has become of it");
    app.close().await;
}

#[tokio::test]
async fn on_sqlite() {
    everybody_at_every_door(Books::sqlite()).await;
}

#[tokio::test]
async fn on_postgres() {
    if let Some(books) = Books::postgres("matrix").await {
        everybody_at_every_door(books).await;
    }
}
