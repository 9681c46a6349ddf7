//! What people do in the console, from the first operator to the bill.

use serde_json::Value;

use super::{Chromium, session};
use crate::app::{App, Start, USER};
use crate::books::Books;

const SCRIPT: &str = "browser_journeys.mjs";
const OPERATOR: &str = "olga";

/// The address where somebody becomes the first operator, as it is told at the start.
async fn welcome(app: &App) -> String {
    let log = app.log().await;
    let link = log.split_whitespace().rev().find(|word| word.contains("/welcome/"));
    link.expect("the address").trim_start_matches("link=").trim_matches('"').to_owned()
}

/// A program that nobody has used.
async fn fresh(books: Books) -> App {
    books.cli(&["migrate"]).await;
    App::start_with_key(books, Start::default(), String::new()).await
}

/// One with a user and an operator.
async fn started() -> App {
    let books = Books::sqlite();
    books.cli(&["user", "add", OPERATOR, "--operator"]).await;
    App::start_on(books, Start::default()).await
}

/// The charges of a sheet, added up: what its last line says too.
fn csv_total(sheet: &str) -> String {
    let mut rows = csv::Reader::from_reader(sheet.as_bytes());
    let (mut sum, mut told) = (ledger::Usd::ZERO, None);
    for row in rows.records().map(|row| row.expect("a row")) {
        let amount = ledger::Usd::parse(&row[7]).expect("an amount");
        match &row[4] {
            "charge" => sum = sum.checked_add(amount).expect("a sum"),
            "total charge" => told = Some(amount),
            _ => {}
        }
    }
    assert_eq!(told, Some(sum), "{sheet}");
    sum.to_string()
}

async fn from_the_first_operator_to_the_bill(chromium: &Chromium, books: Books) {
    let app = fresh(books).await;
    let link = welcome(&app).await;
    let told = chromium.go(SCRIPT, "first", &app, &[("WELCOME", &link)]).await;
    let text = |name: &str| told[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
    let (month, shown) = (text("month"), text("shown"));
    // The same amount wherever it stands.
    let lines = told["json"]["bill"]["lines"].as_array().expect("lines");
    let pico = |line: &Value| line["sums"]["charge"]["pico"].as_i64().expect("an amount");
    let total = ledger::Usd::from_pico(lines.iter().map(pico).sum());
    assert_eq!(total.to_string(), shown, "{}", told["json"]);
    assert_eq!(csv_total(&text("csv")), shown);
    assert!(text("text").contains(&month));
    let file = chromium.file("bill.json");
    app.books.cli(&["verify-bill", file.to_str().expect("a path")]).await;
    let receipts = app.close().await;
    let mut surfaces: Vec<&str> = receipts.iter().map(|receipt| receipt.surface.as_str()).collect();
    surfaces.sort_unstable();
    assert_eq!(surfaces, ["openai_chat", "playground"]);
}

#[tokio::test]
async fn from_the_first_operator_to_the_bill_on_sqlite() {
    let Some(chromium) = Chromium::find() else { return };
    Box::pin(from_the_first_operator_to_the_bill(&chromium, Books::sqlite())).await;
}

#[tokio::test]
async fn from_the_first_operator_to_the_bill_on_postgres() {
    let Some(chromium) = Chromium::find() else { return };
    if let Some(books) = Books::postgres("browser").await {
        Box::pin(from_the_first_operator_to_the_bill(&chromium, books)).await;
    }
}

#[tokio::test]
async fn prices_are_seen_before_they_are_in_force() {
    let Some(chromium) = Chromium::find() else { return };
    let app = started().await;
    let cookie = session(&app.books, OPERATOR).await;
    chromium.go(SCRIPT, "prices", &app, &[("COOKIE", &cookie)]).await;
    app.close().await;
}

#[tokio::test]
async fn a_key_is_rotated_while_both_work() {
    let Some(chromium) = Chromium::find() else { return };
    let mut app = started().await;
    let cookie = session(&app.books, USER).await;
    let told = chromium.go(SCRIPT, "rotate", &app, &[("COOKIE", &cookie)]).await;
    let [old, next] = ["old", "next"].map(|name| told[name].as_str().expect("a key").to_owned());
    // An hour is over.
    let expired = format!(
        "UPDATE tollgate.api_keys SET expires_at = 5 WHERE last4 = '{}' AND expires_at IS NOT NULL",
        &old[35..]
    );
    app.books.shell(&expired).await;
    app.restart().await;
    let given = [("COOKIE", cookie.as_str()), ("OLD_KEY", &old), ("KEY", &next)];
    chromium.go(SCRIPT, "rotated", &app, &given).await;
    app.close().await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let Some(chromium) = Chromium::find() else { return };
    let app = started().await;
    let cookie = session(&app.books, USER).await;
    chromium.go(SCRIPT, "revoke", &app, &[("COOKIE", &cookie)]).await;
    app.close().await;
}

#[tokio::test]
async fn a_member_of_an_organization_sees_what_is_theirs() {
    let Some(chromium) = Chromium::find() else { return };
    let app = started().await;
    app.books.cli(&["user", "add", "bob"]).await;
    app.books.cli(&["org", "add", "acme", "--owner", USER]).await;
    let (ada, bob) = (session(&app.books, USER).await, session(&app.books, "bob").await);
    let given = [("COOKIE", ada.as_str()), ("OTHER_COOKIE", &bob)];
    chromium.go(SCRIPT, "organization", &app, &given).await;
    app.close().await;
}

#[tokio::test]
async fn credit_is_seen_by_the_customer_and_in_the_audit_log() {
    let Some(chromium) = Chromium::find() else { return };
    let app = started().await;
    let (olga, ada) = (session(&app.books, OPERATOR).await, session(&app.books, USER).await);
    let given = [("COOKIE", olga.as_str()), ("OTHER_COOKIE", &ada)];
    chromium.go(SCRIPT, "operator", &app, &given).await;
    app.close().await;
}

#[tokio::test]
async fn lists_are_sorted_by_keyboard_on_a_phone_and_without_scripts() {
    let Some(chromium) = Chromium::find() else { return };
    let app = started().await;
    let cookie = session(&app.books, OPERATOR).await;
    chromium.go(SCRIPT, "lists", &app, &[("COOKIE", &cookie)]).await;
    app.close().await;
}

#[tokio::test]
async fn a_program_is_let_have_a_key() {
    let Some(chromium) = Chromium::find() else { return };
    let app = started().await;
    let cookie = session(&app.books, USER).await;
    chromium.go(SCRIPT, "consent", &app, &[("COOKIE", &cookie)]).await;
    app.close().await;
}

#[tokio::test]
async fn most_of_it_without_scripts() {
    let Some(chromium) = Chromium::find() else { return };
    let app = started().await;
    app.books.cli(&["org", "add", "acme", "--owner", USER]).await;
    let cookie = session(&app.books, USER).await;
    chromium.go(SCRIPT, "plain", &app, &[("COOKIE", &cookie)]).await;
    app.close().await;
}

#[tokio::test]
async fn a_key_by_keyboard_alone() {
    let Some(chromium) = Chromium::find() else { return };
    let app = fresh(Books::sqlite()).await;
    let link = welcome(&app).await;
    let told: Value = chromium.go(SCRIPT, "keyboard", &app, &[("WELCOME", &link)]).await;
    assert!(told.is_object());
    app.close().await;
}
