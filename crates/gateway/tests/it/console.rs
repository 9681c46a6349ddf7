//! The console, as a browser meets it: who sees what, what forms do, and that every change is in the audit log.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::{Client, Method, redirect};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::Role;

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::say;

const OPERATOR: &str = "olga";

/// A browser in which somebody is signed in. It follows no redirect.
pub(crate) struct Browser {
    client: Client,
    pub(crate) url: String,
    cookie: String,
    csrf: String,
}

/// What a browser got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    location: String,
    pub(crate) text: String,
}

fn hex(bytes: &[u8]) -> String {
    ledger::to_hex(bytes)
}

fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a test has no other clock")]
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    i64::try_from(elapsed.as_micros()).expect("a moment")
}

impl Browser {
    pub(crate) async fn of(app: &App, user: &str) -> Self {
        let token = hex(&Sha256::digest(format!("session of {user}")));
        let store = app.books.store().await;
        let known = store.user(user).await.expect("the user");
        let hash = Sha256::digest(token.as_bytes()).into();
        let (at, until) = (now(), now() + 3_600_000_000);
        store.begin_session(hash, &known, (at, until)).await.expect("a session");
        store.close().await;
        let csrf = hex(&Sha256::digest(format!("csrf {token}")));
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none());
        Self {
            client: client.build().expect("a client"),
            url: app.url.clone(),
            cookie: format!("tollgate={token}"),
            csrf,
        }
    }

    /// The same, looking at that account.
    pub(crate) fn looking_at(self, account: &str) -> Self {
        Self { cookie: format!("{}; tollgate-account={account}", self.cookie), ..self }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Got {
        let answer = request.header("cookie", &self.cookie).send().await.expect("an answer");
        let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
        let (status, location) =
            (answer.status().as_u16(), location.unwrap_or_default().to_owned());
        Got { status, location, text: answer.text().await.expect("text") }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    /// A page that has to be there.
    pub(crate) async fn page(&self, path: &str) -> String {
        let got = self.get(path).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text);
        got.text
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        self.post_with(path, fields, &self.csrf).await
    }

    pub(crate) async fn post_with(&self, path: &str, fields: &[(&str, &str)], csrf: &str) -> Got {
        let fields: Vec<(&str, &str)> = [&[("csrf", csrf)], fields].concat();
        let body = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect::<Vec<_>>()
            .join("&");
        let request = self.client.post(format!("{}{path}", self.url)).body(body);
        self.send(request.header("content-type", "application/x-www-form-urlencoded")).await
    }

    /// A form that has to do what it is for.
    pub(crate) async fn done(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let got = self.post(path, fields).await;
        assert_eq!(got.status, 303, "{path}: {}", got.text);
        got.location
    }

    async fn json(&self, path: &str, body: &serde_json::Value) -> (u16, String, String) {
        let request = self.client.post(format!("{}{path}", self.url)).json(body);
        let request = request.header("x-csrf-token", &self.csrf).header("cookie", &self.cookie);
        let answer = request.send().await.expect("an answer");
        let id = answer.headers().get("x-request-id").and_then(|value| value.to_str().ok());
        let (status, id) = (answer.status().as_u16(), id.unwrap_or_default().to_owned());
        (status, id, answer.text().await.expect("text"))
    }
}

fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// What stands between two texts, the first time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).expect("an end").0
}

async fn started() -> App {
    let books = Books::sqlite();
    books.cli(&["user", "add", OPERATOR, "--operator"]).await;
    App::start_on(books, Start::default()).await
}

pub(crate) async fn acts(app: &App) -> Vec<store::Act> {
    let store = app.books.store().await;
    let acts = store.acts(&store::ActFilter::default(), None, 500).await.expect("acts");
    store.close().await;
    acts
}

const CUSTOMERS: [&str; 10] = [
    "/",
    "/requests",
    "/keys",
    "/keys/new",
    "/bills",
    "/playground",
    "/connect",
    "/own-keys",
    "/settings",
    "/requests?model=openai/gpt-4o",
];
const OPERATORS: [&str; 9] = [
    "/operator",
    "/operator/users",
    "/operator/organizations",
    "/operator/customers/ada",
    "/operator/prices",
    "/operator/prices/import",
    "/operator/prices/models/openai/gpt-4o",
    "/operator/providers",
    "/operator/audit",
];

#[tokio::test]
async fn pages_are_for_those_who_may_see_them() {
    let app = started().await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    let (ada, olga) = (Browser::of(&app, USER).await, Browser::of(&app, OPERATOR).await);
    for path in CUSTOMERS {
        let text = ada.page(path).await;
        // What the policy of content forbids.
        assert!(!text.contains(" style=") && !text.contains("<style"), "{path}");
        assert_eq!(text.matches("<script").count(), text.matches("<script src=").count(), "{path}");
        assert!(!text.contains("/operator"), "{path}");
        assert!(text.contains("<h1"), "{path}");
    }
    for path in OPERATORS {
        assert_eq!(ada.get(path).await.status, 404, "{path}");
        let text = olga.page(path).await;
        assert!(!text.contains(" style=") && text.contains("aria-current=\"page\""), "{path}");
    }
    let problem = ada.get("/requests/nothing").await;
    assert!(problem.status == 404 && problem.text.contains("<h1>Nothing here</h1>"), "{problem:?}");
    let stranger = Browser { cookie: "tollgate=none".to_owned(), ..ada };
    for path in CUSTOMERS.iter().chain(&OPERATORS) {
        let got = stranger.get(path).await;
        let expected = format!(
            "/sign-in?next={}",
            path.replace('/', "%2F").replace('?', "%3F").replace('=', "%3D")
        );
        assert_eq!((got.status, got.location.as_str()), (303, expected.as_str()));
    }
    app.close().await;
}

#[tokio::test]
async fn assets_are_kept_for_good() {
    let app = started().await;
    let ada = Browser::of(&app, USER).await;
    let home = ada.page("/").await;
    for extension in ["css", "js"] {
        let end = format!(".{extension}\"");
        let path = home.match_indices("/assets/").map(|(at, _)| &home[at..]).find_map(|rest| {
            let (path, _) = rest.split_once('"')?;
            path.ends_with(extension).then_some(path)
        });
        let path = path.unwrap_or_else(|| panic!("no {end}"));
        let answer = app.request(Method::GET, path).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
    }
    assert_eq!(
        app.request(Method::GET, "/assets/app.css").send().await.expect("one").status(),
        404
    );
    app.close().await;
}

const WISH: [(&str, &str); 8] = [
    ("name", "<b>worker</b>"),
    ("scope", "inference"),
    ("scope", "usage"),
    ("budget", "2.50"),
    ("period", "month"),
    ("models", "openai/gpt-4o\ngoogle/gemini-2.5-flash"),
    ("requests", "60"),
    ("expires", "2099-01-31"),
];

/// A key made by the form: its secret, and where it is shown.
async fn made_key(ada: &Browser) -> (String, String) {
    assert_eq!(ada.post_with("/keys", &WISH, "wrong").await.status, 403, "a form of nobody's page");
    let wrong =
        ada.post("/keys", &[&WISH[..3], &[("budget", "lots"), ("period", "month")]].concat()).await;
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.text.contains("Budget: ") && wrong.text.contains("value=\"lots\""),
        "{}",
        wrong.text
    );

    let made = ada.post("/keys", &WISH).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let secret = between(&made.text, "<code id=\"secret\">", "</code>").to_owned();
    assert!(secret.starts_with("tg-") && secret.len() == 39);
    assert!(
        !made.text.contains("<b>worker") && made.text.contains("&#60;b&#62;worker"),
        "{}",
        made.text
    );
    let list = ada.page("/keys").await;
    assert!(!list.contains(&secret) && list.contains(&secret[35..]), "shown once");
    let id = between(&list, "<a href=\"/keys/0", "\"").to_owned();
    let one = format!("/keys/0{id}");
    assert!(!ada.page(&one).await.contains(&secret));
    (secret, one)
}

#[tokio::test]
async fn a_key_by_forms() {
    let app = started().await;
    let ada = Browser::of(&app, USER).await;
    let (secret, one) = made_key(&ada).await;
    let status = async |key: &str, model: &str| {
        let chat = app.request(Method::POST, "/api/layers/chat").header("user", USER);
        Answer::of(chat.header("api-key", key).json(&say("openai", model, "Hello"))).await.status
    };
    assert_eq!((status(&secret, "gpt-4o").await, status(&secret, "gpt-4o-mini").await), (200, 403));
    let shown = ada.page(&one).await;
    assert!(shown.contains("value=\"2099-01-31\"") && shown.contains("value=\"2.5\""), "{shown}");

    let same = [&[("name", "worker")], &WISH[1..]].concat();
    assert_eq!(ada.done(&one, &same).await, format!("{one}?done=key-changed"));
    ada.done(&format!("{one}/disabled"), &[("off", "1")]).await;
    assert_eq!(status(&secret, "gpt-4o").await, 401);
    ada.done(&format!("{one}/disabled"), &[]).await;
    assert_eq!(status(&secret, "gpt-4o").await, 200);
    let rotated = ada.post(&format!("{one}/rotate"), &[("hours", "1")]).await;
    let next = between(&rotated.text, "<code id=\"secret\">", "</code>").to_owned();
    assert_eq!((status(&next, "gpt-4o").await, status(&secret, "gpt-4o").await), (200, 200));
    assert_eq!(
        (
            status(&next, "gpt-4o-mini").await,
            ada.post(&format!("{one}/rotate"), &[("hours", "2")]).await.status
        ),
        (403, 400)
    );
    ada.done(&format!("{one}/revoke"), &[]).await;
    assert_eq!((status(&next, "gpt-4o").await, status(&secret, "gpt-4o").await), (200, 401));

    let acts = acts(&app).await;
    let own: Vec<&str> = acts
        .iter()
        .rev()
        .filter(|act| act.via == "console")
        .map(|act| act.action.as_str())
        .collect();
    assert_eq!(
        own,
        ["key.create", "key.change", "key.change", "key.change", "key.rotate", "key.revoke"]
    );
    assert!(acts.iter().filter(|act| act.via == "console").all(|act| act.actor == USER));
    let changed = acts.iter().rev().find(|act| act.action == "key.change").expect("one");
    assert_eq!(
        changed.detail,
        json!({ "name": "worker" }).to_string(),
        "what stays is not changed"
    );
    app.close().await;
}

/// An organization of ada's, with bob for a member and carla for its bills: the cookie that looks at it.
async fn organization(app: &App) -> String {
    let store = app.books.store().await;
    let person = async |name: &str| store.user(name).await.expect("the user");
    let new = store::NewUser {
        id: uuid::Uuid::now_v7(),
        account_id: uuid::Uuid::now_v7(),
        name: "acme".to_owned(),
        owner: Some(person(USER).await.id),
        operator: false,
        prepaid: false,
        created_at: now(),
    };
    let acme = store.add_user(new).await.expect("an organization");
    store.set_member(&acme, &person("bob").await, Role::Member, now()).await.expect("a member");
    store.set_member(&acme, &person("carla").await, Role::Billing, now()).await.expect("a member");
    store.close().await;
    format!("; tollgate-account={}", acme.account_id)
}

/// Members, by those who manage them and by those who do not.
async fn manage_members(ada: &Browser, bob: &Browser, dan: &Browser) {
    let set = [("user", "dan"), ("role", "member")];
    assert_eq!(bob.post("/organization/members", &set).await.status, 403);
    ada.done("/organization/members", &set).await;
    assert!(dan.page("/organization").await.contains("You are member"));
    let last = ada.post("/organization/members/remove", &[("user", USER)]).await;
    assert!(last.status == 409 && last.text.contains("needs an owner"), "{}", last.text);
    ada.done("/organization/members/remove", &[("user", "bob")]).await;
    assert_eq!(bob.get("/organization").await.status, 404);
}

#[tokio::test]
async fn what_is_anothers_is_not_there() {
    let books = Books::sqlite();
    for name in ["bob", "carla", "dan"] {
        books.add_user(name).await;
    }
    let app = App::start_on(books, Start::default()).await;
    let account = organization(&app).await;
    let of = async |name: &str, account: &str| {
        let browser = Browser::of(&app, name).await;
        Browser { cookie: format!("{}{account}", browser.cookie), ..browser }
    };
    let (ada, bob, carla, dan) = (
        of(USER, &account).await,
        of("bob", &account).await,
        of("carla", &account).await,
        of("dan", &account).await,
    );
    // The snapshot of the program follows within a second; a form waits for it.
    let ready = async || bob.page("/").await.contains("your own keys spend from <b>acme</b>");
    while !ready().await {
        tokio::task::yield_now().await;
    }
    let make = async |browser: &Browser, name: &str| {
        let made = browser.post("/keys", &[("name", name), ("scope", "inference")]).await;
        assert_eq!(made.status, 200, "{}", made.text);
        between(&made.text, "<code id=\"secret\">", "</code>").to_owned()
    };
    let (of_ada, of_bob) = (make(&ada, "ada's").await, make(&bob, "bob's").await);
    let chat = async |user: &str, key: &str| {
        let chat = app
            .request(Method::POST, "/api/layers/chat")
            .header("user", user)
            .header("api-key", key);
        let answer = Answer::of(chat.json(&say("openai", "gpt-4o", "Hello"))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.header("x-request-id").to_owned()
    };
    let (by_ada, by_bob) = (chat(USER, &of_ada).await, chat("bob", &of_bob).await);
    let (all, own) = (ada.page("/keys").await, bob.page("/keys").await);
    assert!(all.contains(&of_ada[35..]) && all.contains(&of_bob[35..]));
    assert!(!own.contains(&of_ada[35..]) && own.contains(&of_bob[35..]));
    let (all, own) = (ada.page("/requests").await, bob.page("/requests").await);
    assert!(all.contains(&by_ada) && all.contains(&by_bob));
    assert!(!own.contains(&by_ada) && own.contains(&by_bob));
    let key_of_ada =
        between(&ada.page(&format!("/requests/{by_ada}")).await, "<a href=\"/keys/", "\"")
            .to_owned();
    for (browser, path, status) in [
        (&bob, format!("/requests/{by_ada}"), 404),
        (&bob, format!("/requests/{by_bob}"), 200),
        (&bob, format!("/keys/{key_of_ada}"), 404),
        (&ada, format!("/keys/{key_of_ada}"), 200),
        (&carla, format!("/requests/{by_bob}"), 403),
        (&carla, "/keys".to_owned(), 403),
        (&carla, "/bills".to_owned(), 200),
        (&bob, "/bills".to_owned(), 403),
        (&dan, format!("/requests/{by_bob}"), 404),
        (&dan, "/organization".to_owned(), 404),
        (&bob, "/organization".to_owned(), 200),
    ] {
        assert_eq!(browser.get(&path).await.status, status, "{path}");
    }
    for act in ["disabled", "rotate", "revoke"] {
        let got =
            bob.post(&format!("/keys/{key_of_ada}/{act}"), &[("off", "1"), ("hours", "0")]).await;
        assert_eq!(got.status, 404, "{act}");
    }
    manage_members(&ada, &bob, &dan).await;
    app.close().await;
}

#[tokio::test]
async fn requests_and_bills_add_up() {
    let app = started().await;
    for model in ["gpt-4o", "gpt-4o-mini", "gpt-4o"] {
        app.chatted(&say("openai", model, "Hello")).await;
    }
    let ada = Browser::of(&app, USER).await;
    let sheet = ada.page("/requests?format=csv").await;
    let mut rows = csv::Reader::from_reader(sheet.as_bytes());
    let charge = rows
        .headers()
        .expect("a head")
        .iter()
        .position(|name| name == "charge_usd")
        .expect("a column");
    let charges: Vec<ledger::Usd> = rows
        .records()
        .map(|row| ledger::Usd::parse(&row.expect("a row")[charge]).expect("an amount"))
        .collect();
    let sum = charges
        .iter()
        .fold(ledger::Usd::ZERO, |sum, charge| sum.checked_add(*charge).expect("a sum"));
    let owed = app.price_to_pay().await;
    assert_eq!(
        (charges.len(), sum.to_string()),
        (3, owed["exact"]["final_price"].as_str().expect("text").to_owned())
    );
    let mini = ada.page("/requests?model=openai%2Fgpt-4o-mini").await;
    assert_eq!(mini.matches("<a href=\"/requests/0").count(), 1);
    assert!(ada.page("/requests?model=openai%2Fnone").await.contains("No request here fits"));

    let home = ada.page("/").await;
    assert!(home.contains(&format!("title=\"{sum} USD\"")), "the newest are in: {home}");
    let bills = ada.page("/bills").await;
    let month = between(&bills, "<a href=\"/bills/", "\"").to_owned();
    let text = ada.page(&format!("/bills/{month}?format=text")).await;
    let by_command = app.books.cli(&["bill", "--user", USER, "--month", &month]).await;
    assert_eq!(text.trim_end(), by_command);
    let file = app.books.folder.path().join("bill.json");
    std::fs::write(&file, ada.page(&format!("/bills/{month}?format=json")).await).expect("written");
    app.books.cli(&["verify-bill", file.to_str().expect("a path")]).await;
    let csv = ada.page(&format!("/bills/{month}?format=csv")).await;
    let by_command =
        app.books.cli(&["bill", "--user", USER, "--month", &month, "--format", "csv"]).await;
    assert_eq!(csv.trim_end(), by_command);
    let pdf = ada.get(&format!("/bills/{month}?format=pdf")).await;
    assert_eq!(pdf.status, 200);
    assert!(ada.page("/bills/2020-01").await.contains("Nothing was asked in this month"));
    assert_eq!(ada.get("/bills/soon").await.status, 404);
    app.close().await;
}

#[tokio::test]
async fn the_playground_asks_as_everybody_does() {
    let app = started().await;
    let ada = Browser::of(&app, USER).await;
    let chat = json!({
        "model": "openai/gpt-4o-mini", "stream": true, "max_tokens": 100,
        "messages": [{ "role": "user", "content": "Hello" }],
    });
    let (status, _, price) = ada.json("/playground/price", &chat).await;
    assert_eq!(status, 200);
    let most = between(between(&price, "class=\"most\">", "</dd>"), "title=\"", " USD").to_owned();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (status, id, stream) = ada.json("/playground/chat", &chat).await;
        assert!(
            status == 200 && stream.starts_with("data: ") && stream.contains("[DONE]"),
            "{status} {stream}"
        );
        ids.push(id);
    }
    let told = ada.page(&format!("/playground/receipts/{}", ids[0])).await;
    let charged = between(&told, "title=\"", " USD").to_owned();
    let (most, charged) =
        (ledger::Usd::parse(&most).expect("usd"), ledger::Usd::parse(&charged).expect("usd"));
    assert!(charged > ledger::Usd::ZERO && charged <= most, "{charged} of {most} at most");
    let keys = ada.page("/keys").await;
    assert_eq!(
        keys.matches("<a href=\"/keys/0").count(),
        2,
        "one key for all chats, beside that of the test"
    );
    let (status, _, problem) =
        ada.json("/playground/chat", &json!({ "model": "no/such", "messages": [] })).await;
    assert!(status == 404 || status == 400, "{status} {problem}");
    let receipts = app.close().await;
    assert_eq!(receipts.len(), 2);
    assert!(receipts.iter().all(|receipt| receipt.surface == "playground"));
}

#[tokio::test]
async fn what_operators_do() {
    let app = started().await;
    let olga = Browser::of(&app, OPERATOR).await;
    credit_and_corrections(&olga).await;
    budgets_and_access(&app, &olga).await;
    olga.done("/operator/organizations", &[("name", "acme"), ("owner", USER)]).await;
    assert!(olga.page("/operator/customers/acme").await.contains("/operator/customers/ada"));
    assert_eq!(olga.get("/operator/customers/nobody").await.status, 404);

    let sheet = olga.page("/operator/audit?format=csv&actor=olga").await;
    let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(sheet.as_bytes())
        .records()
        .map(|row| row.expect("a row"))
        .collect();
    let did: Vec<&str> =
        rows.iter().rev().filter(|row| &row[4] == "console").map(|row| &row[5]).collect();
    let expected = [
        "user.create",
        "credit.add",
        "credit.adjust",
        "budget.set",
        "budget.remove",
        "account.pays",
        "user.disable",
        "link.create",
        "user.create",
    ];
    assert_eq!(did, expected);
    assert!(olga.page("/operator/audit?action=credit.add").await.contains("invoice 7"));
    app.close().await;
}

/// Credit is added once, however often the form is sent; a correction names what it corrects, and why.
async fn credit_and_corrections(olga: &Browser) {
    let made = olga.done("/operator/users", &[("name", "eve"), ("prepaid", "1")]).await;
    assert_eq!(made, "/operator/customers/eve?done=user-created");
    let again = olga.post("/operator/users", &[("name", "eve")]).await;
    assert!(again.status == 409 && again.text.contains("already exists"), "{}", again.text);
    let act = uuid::Uuid::now_v7().to_string();
    let credit = [("usd", "12.50"), ("reason", "invoice 7"), ("act", act.as_str())];
    for _ in 0..2 {
        olga.done("/operator/customers/eve/credit", &credit).await;
    }
    let page = olga.page("/operator/customers/eve").await;
    assert!(
        page.contains("title=\"12.5 USD\"") && !page.contains("title=\"25 USD\""),
        "once: {page}"
    );
    let other =
        olga.post("/operator/customers/eve/credit", &[("usd", "1"), ("act", act.as_str())]).await;
    assert_eq!(other.status, 409, "another act under its id");
    let undone = uuid::Uuid::now_v7().to_string();
    let wrong = olga
        .post(
            "/operator/customers/eve/correct",
            &[("usd", "1"), ("kind", "refund"), ("corrects", &act), ("act", &undone)],
        )
        .await;
    assert!(wrong.status == 400 && wrong.text.contains("reason: "), "{}", wrong.text);
    let refund = [
        ("usd", "2.5"),
        ("kind", "refund"),
        ("corrects", &act),
        ("reason", "paid out"),
        ("act", &undone),
    ];
    olga.done("/operator/customers/eve/correct", &refund).await;
    assert!(olga.page("/operator/customers/eve").await.contains("title=\"10 USD\""));
}

async fn budgets_and_access(app: &App, olga: &Browser) {
    olga.done(
        "/operator/customers/eve/budget",
        &[("budget", "3"), ("period", "day"), ("whose", "account")],
    )
    .await;
    let page = olga.page("/operator/customers/eve").await;
    let id = between(&page, "name=\"budget\" value=\"", "\"").to_owned();
    olga.done("/operator/customers/eve/budget-removed", &[("budget", &id)]).await;
    olga.done("/operator/customers/eve/pays", &[("pays", "later"), ("line", "5")]).await;
    olga.done("/operator/customers/eve/disabled", &[("off", "1")]).await;
    assert!(olga.page("/operator/users?q=ev").await.contains("shut out"));
    assert_eq!(
        olga.post("/operator/customers/olga/disabled", &[("off", "1")]).await.status,
        400,
        "not herself"
    );
    let link = olga.post("/operator/customers/ada/password", &[]).await;
    let link = between(&link.text, "<code id=\"secret\">", "</code>").to_owned();
    assert!(link.starts_with(&app.url) && link.contains("/password/"), "{link}");
    assert_eq!(app.client.get(&link).send().await.expect("a page").status(), 200);
}

/// Copies of the one request that was made, so many that a sheet of them is not written at once, and more keys than a choice has.
async fn copy(app: &App, rows: u32) {
    let mut receipt = app.books.receipts().await.remove(0);
    let report = serde_json::to_string(&receipt.report).expect("JSON");
    let same = "attempt, account_id, user_id, key_id, surface, provider, model, model_served, upstream_id, price_version, \
        commission_bps, input_tokens, output_tokens, cache_read, cache_write_5m, cache_write_1h, reasoning, report, \
        usage_source, outcome, cost, commission, charge, started_at, ended_at, absorbed, bound, scopes";
    let numbers: Vec<u32> = (1..=rows).collect();
    for some in numbers.chunks(5_000) {
        let mut values = Vec::new();
        for number in some {
            receipt.request_id = uuid::Uuid::from_u128(u128::from(*number));
            let content = ledger::Content::of(&receipt, &report).expect("a content");
            values.push(format!(
                "(X'{}', X'{}')",
                receipt.request_id.simple(),
                hex(&content.hash())
            ));
        }
        let values = values.join(", ");
        app.books
            .shell(&format!(
                "WITH v(id, hash) AS (VALUES {values}) INSERT INTO tollgate.receipts (request_id, content_hash, {same}) \
                SELECT v.id, v.hash, {same} FROM v, (SELECT * FROM tollgate.receipts LIMIT 1)"
            ))
            .await;
    }
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250)";
    let same = "user_id, account_id, prefix, created_at, scopes";
    app.books
        .shell(&format!(
            "{numbers} INSERT INTO tollgate.api_keys (id, name, hash, last4, {same}) \
            SELECT randomblob(16), 'another', hex(randomblob(32)), 'copy', {same} \
            FROM n, tollgate.api_keys LIMIT 250"
        ))
        .await;
}

/// The models of a page of requests, from above.
fn models(page: &str) -> Vec<&str> {
    page.split("<span class=\"whole\">").skip(1).filter_map(|rest| rest.split('<').next()).collect()
}

#[tokio::test]
async fn requests_are_narrowed_down_and_sorted() {
    let app = started().await;
    for model in ["gpt-4o", "gpt-4o-mini", "gpt-4o"] {
        app.chatted(&say("openai", model, "Hello")).await;
    }
    let ada = Browser::of(&app, USER).await;
    let all = ada.page("/requests").await;
    let id = between(&all, "<a href=\"/requests/0", "\"").to_owned();
    let key =
        between(&ada.page(&format!("/requests/0{id}")).await, "<a href=\"/keys/", "\"").to_owned();
    for (query, rows) in [
        (String::new(), 3),
        ("model=openai%2F".to_owned(), 3),
        ("model=openai%2Fgpt-4o-mini".to_owned(), 1),
        ("model=gemini%2F".to_owned(), 0),
        ("outcome=ok".to_owned(), 3),
        ("outcome=trouble".to_owned(), 0),
        ("surface=native&from=2020-01-01".to_owned(), 3),
        ("surface=gemini".to_owned(), 0),
        ("to=2020-01-01".to_owned(), 0),
        (format!("key={key}&to=2099-12-31"), 3),
        (format!("key={}", uuid::Uuid::from_u128(7)), 0),
        (format!("id=0{id}"), 1),
        ("id=what".to_owned(), 0),
    ] {
        for sort in ["", "&sort=time", "&sort=-charge", "&sort=input", "&sort=-output"] {
            let page = ada.page(&format!("/requests?{query}{sort}")).await;
            assert_eq!(models(&page).len(), rows, "{query}{sort}: {page}");
            assert_eq!(page.contains("No request here fits"), rows == 0, "{query}{sort}");
        }
    }
    let sorted =
        |first: &'static str, sort: &'static str| (first, format!("/requests?sort={sort}"));
    for (first, path) in [
        sorted("openai/gpt-4o", "time"),
        sorted("openai/gpt-4o", "-charge"),
        sorted("openai/gpt-4o-mini", "charge"),
    ] {
        let page = ada.page(&path).await;
        assert_eq!(models(&page)[0], first, "{path}");
        assert!(
            path.ends_with("=time")
                || page.contains(&format!("{path}&amp;format=csv"))
                || page.contains(&format!("{path}&#38;format=csv")),
            "{page}"
        );
        let sheet = ada.page(&format!("{path}&format=csv")).await;
        let row = sheet.lines().nth(1).expect("a row").to_owned();
        assert!(row.contains(&first.replace('/', ",")), "{path}: {row}");
    }
    // What stands above a column turns its order around, and keeps what is narrowed down.
    let page = ada.page("/requests?outcome=ok&sort=-charge").await.replace("&#38;", "&amp;");
    assert_eq!(page.matches("aria-sort=\"descending\"").count(), 1, "{page}");
    for href in ["outcome=ok&amp;sort=charge\"", "outcome=ok&amp;sort=-input\"", "outcome=ok\""] {
        assert!(page.contains(&format!("href=\"/requests?{href}")), "{href}: {page}");
    }
    for wrong in ["sort=colour", "outcome=good", "from=soon", "to=2020-13-01"] {
        assert_eq!(ada.get(&format!("/requests?{wrong}")).await.status, 400, "{wrong}");
    }
    app.close().await;
}

#[tokio::test]
async fn prices_are_planned_replaced_and_withdrawn() {
    const FILE: &str =
        "provider,model,price_per_token\nopenai,gpt-4o,0.0000001\nopenai,brand-new,0.000002\n";
    let app = started().await;
    let olga = Browser::of(&app, OPERATOR).await;
    let import = "/operator/prices/import";
    let planned = [("models", FILE), ("from", "2099-01-01T00:00")];
    for (more, why) in
        [(("from", "2020-01-01"), "has passed"), (("from", "soon"), "expected a moment")]
    {
        let refused = olga.post(import, &[("models", FILE), more]).await;
        assert!(refused.status == 400 && refused.text.contains(why), "{}", refused.text);
    }
    let refused = olga.post(import, &[&planned[..], &[("replace", "1")]].concat()).await;
    assert!(refused.status == 400 && refused.text.contains("dropped at once"), "{}", refused.text);

    let preview = olga.post(import, &planned).await;
    assert_eq!(preview.status, 200, "{}", preview.text);
    for told in [
        "1 new, 1 changed, 0 dropped",
        "sold below the provider",
        "Plan these prices",
        "2099-01-01",
    ] {
        assert!(preview.text.contains(told), "{told}: {}", preview.text);
    }
    assert!(preview.text.contains("openai/gpt-4o, input: $2.5 becomes $0.1"), "{}", preview.text);
    let base = between(&preview.text, "name=\"base\" value=\"", "\"").to_owned();
    let confirm = [("base", base.as_str()), ("confirm", "1"), ("large", "1")];
    let to = olga.done(import, &[&planned[..], &confirm].concat()).await;
    assert_eq!(to, "/operator/prices?done=planned");

    let prices = olga.page("/operator/prices").await;
    let upcoming = between(&prices, "id=\"upcoming\"", "</section>").to_owned();
    for told in
        ["openai/gpt-4o", "openai/brand-new", "2099-01-01", "input: 2.5 becomes 0.1", "sold below"]
    {
        assert!(upcoming.contains(told), "{told}: {upcoming}");
    }
    let at = |at: &'static str| ["prices", "show", "openai/gpt-4o", "--at", at];
    let input = async |when: &'static str| {
        let shown = app.books.cli_json(&at(when)).await;
        shown["prices"]["input"]["standard"].as_i64().expect("a price")
    };
    let before = (input("2098-12-31").await, input("2099-01-01").await);
    assert_eq!(before, (2_500_000, 100_000), "nothing costs anything else until then");

    // The command line plans the same way, and takes the place of what was planned.
    let file = app.books.folder.path().join("later.csv");
    std::fs::write(&file, FILE.replace("0.0000001", "0.000003")).expect("written");
    let file = file.to_str().expect("text");
    app.books.cli(&["prices", "import", file, "--from", "2098-01-01"]).await;
    assert_eq!(input("2099-06-01").await, 3_000_000);
    let refused = app.books.refused(&["prices", "import", file, "--from", "2020-01-01"]).await;
    assert!(refused.contains("has passed"), "{refused}");

    let stale = [("base", base.as_str()), ("model", "openai/gpt-4o")];
    assert_eq!(olga.post("/operator/prices/withdraw", &stale).await.status, 409);
    let prices = olga.page("/operator/prices").await;
    let base = between(&prices, "name=\"base\" value=\"", "\"").to_owned();
    let good = [("base", base.as_str()), ("model", "openai/gpt-4o")];
    olga.done("/operator/prices/withdraw", &good).await;
    assert_eq!(input("2099-06-01").await, 2_500_000);
    app.books.cli(&["prices", "withdraw", "--all"]).await;
    let none = app.books.refused(&["prices", "withdraw", "--all"]).await;
    assert!(none.contains("no upcoming prices"), "{none}");
    app.close().await;
}

#[tokio::test]
async fn all_requests_are_in_the_sheet_and_their_keys_have_names() {
    const ROWS: u32 = 40_000;
    let mut app = App::start().await;
    app.chatted(&say("openai", "gpt-4o-mini", "Hello")).await;
    let last4 = app.key[app.key.len() - 4..].to_owned();
    copy(&app, ROWS).await;
    let ada = Browser::of(&app, USER).await;
    let page = ada.page("/requests").await;
    assert!(page.contains(&format!("…{last4}")), "the key that asked: {page}");

    let export = || {
        let request = ada.client.get(format!("{}/requests?format=csv", ada.url));
        request.header("cookie", &ada.cookie).send()
    };
    // One is begun and not read: another has to wait.
    let first = export().await.expect("an answer");
    assert_eq!(first.status(), 200);
    assert_eq!(ada.get("/requests?format=csv").await.status, 429, "one at a time");
    assert_eq!(ada.get("/requests").await.status, 200);
    let sheet = first.text().await.expect("a sheet");
    let rows = csv::Reader::from_reader(sheet.as_bytes()).into_records();
    let rows: Vec<_> = rows.collect::<Result<_, _>>().expect("rows");
    assert_eq!(rows.len(), usize::try_from(ROWS).expect("a number") + 1);
    // To sort them all by size is refused in words; those of a few days are sorted.
    let many = "UPDATE tollgate.rollups SET receipts = 40001 WHERE grain = 'account'";
    app.books.shell(many).await;
    let sorted = ada.page("/requests?sort=-charge").await;
    assert!(sorted.contains("too many to be sorted by size"), "{sorted}");
    let few = ada.page("/requests?sort=-charge&from=2020-01-01&to=2020-01-02").await;
    assert!(!few.contains("too many") && few.contains("No request here fits"), "{few}");
    // It is given back by who hangs up, too.
    drop(export().await.expect("an answer"));
    let start = std::time::Instant::now();
    while ada.get("/requests?format=csv").await.status != 200 {
        assert!(start.elapsed().as_secs() < 30, "nobody has one under way");
    }
    app.kill().await;
    app.books.remove().await;
}

#[tokio::test]
async fn prices_are_looked_at_before_they_are_in_force() {
    let app = started().await;
    let olga = Browser::of(&app, OPERATOR).await;
    // A tenth of a dollar for a million: far below what it costs.
    let file =
        "provider,model,price_per_token\nopenai,gpt-4o,0.0000001\nopenai,brand-new,0.000002\n";
    let form = olga.page("/operator/prices/import").await;
    assert!(form.contains("name=\"models\""));
    let preview = olga.post("/operator/prices/import", &[("models", file)]).await;
    assert_eq!(preview.status, 200, "{}", preview.text);
    assert!(preview.text.contains("1 new, 1 changed, 0 dropped"), "{}", preview.text);
    assert!(preview.text.contains("sold below the provider"), "{}", preview.text);
    assert!(!olga.page("/operator/prices").await.contains("brand-new"), "nothing was done");
    let base = between(&preview.text, "name=\"base\" value=\"", "\"").to_owned();
    let confirm = |base: &str| {
        [("models", file.to_owned()), ("base", base.to_owned()), ("confirm", "1".to_owned())]
    };
    let stale = confirm("0");
    let stale: Vec<(&str, &str)> =
        stale.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let stale = olga.post("/operator/prices/import", &stale).await;
    assert!(stale.text.contains("changed since the preview"), "{}", stale.text);
    let good = confirm(&base);
    let mut good: Vec<(&str, &str)> =
        good.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // What falls to a twenty-fifth has to be meant, and what is lost is told.
    let lost = ["cache read", "input, batch", "output, batch"];
    assert!(lost.iter().all(|meter| preview.text.contains(meter)), "{}", preview.text);
    assert!(preview.text.contains("openai/gpt-4o, input: $2.5 becomes $0.1"), "{}", preview.text);
    let unsaid = olga.post("/operator/prices/import", &good).await;
    assert!(unsaid.text.contains("say below that they are meant"), "{}", unsaid.text);
    assert!(!olga.page("/operator/prices").await.contains("brand-new"), "nothing was done");
    let before = olga.page("/operator/prices/models/openai/gpt-4o").await;
    assert!(
        before.contains("128\u{202f}000")
            || before.contains("128,000")
            || before.contains("128 000"),
        "{before}"
    );
    good.push(("large", "1"));
    olga.done("/operator/prices/import", &good).await;
    let prices = olga.page("/operator/prices").await;
    assert!(prices.contains("brand-new") && prices.contains("Look at these"));
    let history = olga.page("/operator/prices/models/openai/gpt-4o").await;
    assert!(history.contains("shipped") && history.contains("console"), "{history}");
    let context = |page: &str| between(page, "Context, tokens", "</d").to_owned();
    assert_eq!(context(&history), context(&before), "what is known beside the price is kept");
    let refused = olga
        .post(
            "/operator/prices/import",
            &[("models", "provider,model,price_per_token\nopenai,x,-1\n")],
        )
        .await;
    assert!(
        refused.status == 400 && refused.text.contains("Nothing was imported"),
        "{}",
        refused.text
    );
    app.close().await;
}

#[tokio::test]
async fn a_program_gets_a_key_when_somebody_lets_it() {
    let app = started().await;
    let ada = Browser::of(&app, USER).await;
    let verifier = "v".repeat(43);
    let asked = "callback_url=https%3A%2F%2Fapp.example%2Fback%3Fx%3D1";
    let page = ada
        .page(&format!("/auth?{asked}&code_challenge={verifier}&code_challenge_method=plain"))
        .await;
    assert!(page.contains("At <b>app.example</b> a program waits"), "{page}");
    for wrong in ["callback_url=http%3A%2F%2Fapp.example", "callback_url=javascript%3A1"] {
        assert_eq!(ada.get(&format!("/auth?{wrong}")).await.status, 400, "{wrong}");
    }
    let fields = [
        ("callback_url", "https://app.example/back?x=1"),
        ("code_challenge", verifier.as_str()),
        ("code_challenge_method", "plain"),
        ("name", "app.example"),
        ("budget", "5"),
        ("period", "total"),
    ];
    assert_eq!(ada.post_with("/auth", &fields, "").await.status, 403);
    let agreed = ada.post("/auth", &fields).await;
    assert_eq!(agreed.status, 200, "{}", agreed.text);
    let to = between(&agreed.text, "content=\"0;url=", "\"").replace("&#38;", "&");
    let code = to.strip_prefix("https://app.example/back?x=1&code=").expect("the code");
    let bring =
        json!({ "code": code, "code_verifier": verifier, "code_challenge_method": "plain" });
    let got = Answer::of(app.request(Method::POST, "/api/v1/auth/keys").json(&bring)).await;
    assert_eq!(got.status, 200, "{}", got.body);
    let key = got.body["key"].as_str().expect("a key");
    let chat = app.request(Method::POST, "/api/layers/chat").header("user", USER);
    let chat = chat.header("api-key", key).json(&say("openai", "gpt-4o", "Hello"));
    assert_eq!(Answer::of(chat).await.status, 200);
    assert!(ada.page("/keys").await.contains(">app.example</a>"));
    app.close().await;
}

#[tokio::test]
async fn how_providers_do_is_counted() {
    let app = started().await;
    for _ in 0..3 {
        app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    }
    let olga = Browser::of(&app, OPERATOR).await;
    let page = olga.page("/operator/providers").await;
    let openai = between(&page, ">openai<", "</tr>");
    assert!(
        openai.contains("data-label=\"Attempts, 24 h\" class=\"number\"><span class=\"cell\">3<"),
        "{openai}"
    );
    assert!(openai.contains("0 (0.0 %)"), "{openai}");
    app.close().await;
}
