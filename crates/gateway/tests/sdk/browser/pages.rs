//! Every page of the table of routes, on a desktop and a phone, light and dark.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{Actor, LinkPurpose, Store};

use super::seed::{CUSTOMER, OPERATOR, OWNER, seed};
use super::{Chromium, now, session};
use crate::app::{App, Start};
use crate::books::Books;

/// Names the folder that pictures of the pages are written to.
const SCREENS: &str = "TOLLGATE_TEST_SCREENS";

/// What a browser gets and nobody looks at.
const NO_PAGES: [&str; 7] = [
    "/assets/{name}",
    "/playground/receipts/{id}",
    "/sign-in/oidc",
    "/sign-in/oidc/callback",
    "/openapi.json",
    "/healthz",
    "/readyz",
];

/// The paths of all pages, as the program lists them.
async fn routes(books: &Books) -> Vec<String> {
    let listed = books.cli_json(&["openapi", "--routes"]).await;
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let rows = listed.as_array().expect("routes").iter();
    let got = rows.filter(|row| row["method"] == "GET" && !text(row, "policy").starts_with("key"));
    let paths = got.map(|row| text(row, "path"));
    paths.filter(|path| !path.starts_with("/api/") && !NO_PAGES.contains(&path.as_str())).collect()
}

/// Makes an address that works once: its secret.
async fn link(store: &Store, purpose: LinkPurpose) -> String {
    let secret = ledger::to_hex(&Sha256::digest(format!("{purpose:?}")));
    let hash = Sha256::digest(secret.as_bytes()).into();
    store.add_link(hash, purpose, (now(), now() + 3_600_000_000)).await.expect("a link");
    secret
}

/// A page to be looked at.
fn place(path: &str, picture: &str) -> Value {
    json!({ "route": path, "path": path, "picture": picture })
}

/// The same with an example of a path that has parameters.
fn example(route: &str, path: &str, picture: &str) -> Value {
    json!({ "route": route, "path": path, "picture": picture })
}

/// The same, found as the first such link of another page.
fn linked(route: &str, from: &str, picture: &str) -> Value {
    let (link, _) = route.split_once('{').expect("a parameter");
    json!({ "route": route, "from": from, "link": link, "picture": picture })
}

/// What a customer sees.
fn customer() -> Vec<Value> {
    let asked = "/auth?callback_url=https%3A%2F%2Fnotes.example%2Fback&code_challenge_method=plain&code_challenge=";
    vec![
        json!({ "route": "/playground", "path": "/playground", "picture": "customer-playground", "chat": true }),
        place("/", "customer-home"),
        place("/requests", "customer-requests"),
        linked("/requests/{id}", "/requests", "customer-receipt"),
        place("/keys", "customer-keys"),
        place("/keys/new", "customer-new-key"),
        linked("/keys/{id}", "/keys", "customer-key"),
        place("/bills", "customer-bills"),
        linked("/bills/{month}", "/bills", "customer-bill"),
        place("/connect", "customer-connect"),
        example("/auth", &format!("{asked}{}", "v".repeat(43)), "customer-consent"),
        place("/own-keys", "customer-own-keys"),
        place("/organization", "customer-organization"),
        place("/settings", "customer-settings"),
        place("/account/password", ""),
        json!({ "path": "/requests?model=openai%2Fnone", "picture": "customer-nothing-found" }),
        json!({ "path": "/requests/none", "status": 404, "picture": "not-found" }),
    ]
}

/// What the operator sees.
fn operator() -> Vec<Value> {
    vec![
        place("/operator", "operator-house"),
        place("/operator/users", "operator-users"),
        place("/operator/organizations", "operator-organizations"),
        example(
            "/operator/customers/{name}",
            &format!("/operator/customers/{CUSTOMER}"),
            "operator-customer",
        ),
        example(
            "/operator/customers/{name}/keys",
            &format!("/operator/customers/{CUSTOMER}/keys"),
            "operator-keys",
        ),
        place("/operator/prices", "operator-prices"),
        place("/operator/prices/import", "operator-import"),
        example(
            "/operator/prices/models/{provider}/{*model}",
            "/operator/prices/models/anthropic/claude-sonnet-4-5",
            "operator-model",
        ),
        place("/operator/providers", "operator-providers"),
        place("/operator/audit", "operator-audit"),
    ]
}

/// Everything that is to be looked at once the place is in use, by who looks.
async fn groups(app: &App) -> Vec<Value> {
    let store = app.books.store().await;
    let account = store.user(CUSTOMER).await.expect("the customer").account_id;
    let jonas = store.user("jonas").await.expect("a user").id;
    let by = Actor { id: None, name: OPERATOR.to_owned(), via: "console", at: now() };
    let password = link(&store.by(by), LinkPurpose::Password(jonas)).await;
    store.close().await;
    let (owner, olga) = (session(&app.books, OWNER).await, session(&app.books, OPERATOR).await);
    let anybody = vec![
        place("/sign-in", "sign-in"),
        place("/docs", "reference"),
        example("/password/{token}", &format!("/password/{password}"), "invitation"),
    ];
    vec![
        json!({ "cookies": {}, "places": anybody }),
        json!({ "cookies": { "tollgate": owner, "tollgate-account": account }, "places": customer() }),
        json!({ "cookies": { "tollgate": olga }, "places": operator() }),
    ]
}

#[tokio::test]
async fn every_page_in_every_view() {
    let Some(chromium) = Chromium::find() else { return };
    let app = App::start_with_key(Books::sqlite(), Start::default(), String::new()).await;
    let store = app.books.store().await;
    let token = link(&store, LinkPurpose::FirstOperator).await;
    store.close().await;
    let welcome = example("/welcome/{token}", &format!("/welcome/{token}"), "welcome");
    let welcome = vec![json!({ "cookies": {}, "places": [welcome] })];
    // It is there only as long as there is none.
    look(&chromium, &app, &welcome).await;
    seed(&app).await;
    let groups = groups(&app).await;
    let looked: Vec<&Value> = groups
        .iter()
        .chain(&welcome)
        .flat_map(|group| group["places"].as_array().expect("places"))
        .map(|place| &place["route"])
        .collect();
    let mut missing = routes(&app.books).await;
    assert!(missing.len() > 25, "these are not all pages: {missing:?}");
    missing.retain(|path| !looked.iter().any(|known| *known == path));
    assert!(missing.is_empty(), "nobody looks at these pages: {missing:?}");
    look(&chromium, &app, &groups).await;
    // What was seeded is in no journal, so that the books are not those of a program alone.
    drop(app);
}

async fn look(chromium: &Chromium, app: &App, groups: &[Value]) {
    let groups = Value::from(groups).to_string();
    let screens = std::env::var_os(SCREENS).unwrap_or_default();
    let screens = screens.into_string().expect("a folder");
    let given = [("GROUPS", groups.as_str()), ("SCREENS", &screens)];
    chromium.go("browser_pages.mjs", "pages", app, &given).await;
}
