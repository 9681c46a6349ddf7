//! The console's lists from outside: sorted, narrowed down, turned over and taken along as sheets.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use store::{NewKey, Role};
use uuid::Uuid;

use crate::app::{App, Start, USER};
use crate::books::Books;
use crate::chat::say;
use crate::console::Browser;

const OPERATOR: &str = "olga";
const NAMES: [&str; 6] = ["alpha", "=1+1", "Beta", "beta", "gamma & <b>", ""];

async fn started() -> App {
    let books = Books::sqlite();
    books.cli(&["user", "add", OPERATOR, "--operator"]).await;
    books.cli(&["user", "add", "bob"]).await;
    App::start_on(books, Start::default()).await
}

/// Sixty keys of Ada's whose names and moments fall together.
async fn filled(app: &App) {
    let store = app.books.store().await;
    let at = 1_760_000_000_000_000;
    for number in 0..60_u8 {
        let new = NewKey {
            id: Uuid::from_u128((0x0192_0000_0000_7000 << 64) + u128::from(number)),
            user: USER.to_owned(),
            name: NAMES[usize::from(number % 6)].to_owned(),
            hash: ledger::to_hex(&Sha256::digest([number])),
            prefix: "tg-list".to_owned(),
            last4: format!("{number:04}"),
            scopes: "inference".to_owned(),
            created_at: at + i64::from(number / 4),
            expires_at: (number % 4 == 0).then_some(at + 1_000),
            ..NewKey::default()
        };
        store.add_key(new).await.expect("a key");
    }
    store.close().await;
}

/// What stands between two texts, every time.
fn all<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).map(|rest| rest.split_once(after).expect("an end").0).collect()
}

fn plain(href: &str) -> String {
    href.replace("&amp;", "&").replace("&#38;", "&")
}

/// The keys of all pages from that address on, in their order.
async fn turned(browser: &Browser, first: &str) -> (Vec<String>, usize) {
    let (mut path, mut ids, mut pages) = (first.to_owned(), Vec::new(), 0);
    loop {
        let page = browser.page(&path).await;
        let rows = page.split_once("<tbody>").map_or("", |(_, rows)| rows);
        ids.extend(all(rows, "href=\"/keys/", "\"").into_iter().map(str::to_owned));
        pages += 1;
        match all(&page, "id=\"list-next\" href=\"", "\"").first() {
            Some(next) => path = plain(next),
            None => return (ids, pages),
        }
    }
}

fn read(sheet: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(sheet.as_bytes());
    let head = reader.headers().expect("a head").iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect());
    (head, rows.collect())
}

#[tokio::test]
async fn pages_and_the_sheet_have_each_row_once_and_in_order() {
    let mut app = started().await;
    filled(&app).await;
    let ada = Browser::of(&app, USER).await;
    for (filter, rows) in [
        ("", None),
        ("state=expired&q=", Some(15)),
        ("q=BET", Some(20)),
        ("state=active&q=beta", Some(15)),
    ] {
        let mut lengths = BTreeSet::new();
        for word in ["name", "spent_usd", "created_at", "last_used_at", "state", "scopes"] {
            let mut orders = Vec::new();
            for sign in ["", "-"] {
                let address = format!("/keys?{filter}&sort={sign}{word}");
                let (ids, pages) = turned(&ada, &address).await;
                let once: BTreeSet<&String> = ids.iter().collect();
                assert_eq!(once.len(), ids.len(), "{address}: a row is there twice");
                assert!(ids.len() <= 25 || pages > 1);
                let (head, sheet) = read(&ada.page(&format!("{address}&format=csv")).await);
                let at = head.iter().position(|name| name == "id").expect("ids");
                let told: Vec<&String> = sheet.iter().map(|row| &row[at]).collect();
                assert_eq!(
                    told,
                    ids.iter().collect::<Vec<_>>(),
                    "{address}: the sheet is the list"
                );
                lengths.insert(ids.len());
                orders.push(ids);
            }
            let (up, mut down) = (orders.remove(0), orders.remove(0));
            down.reverse();
            assert_eq!(up, down, "{filter} {word}");
        }
        assert_eq!(lengths.len(), 1, "{filter}: an order leaves something out");
        assert!(rows.is_none_or(|rows| lengths.contains(&rows)), "{filter}: {lengths:?}");
    }
    let (head, rows) = read(&ada.page("/keys?sort=name&format=csv").await);
    let at = head.iter().position(|name| name == "name").expect("names");
    let names: Vec<String> = rows.iter().map(|row| row[at].to_lowercase()).collect();
    assert!(names.contains(&"'=1+1".to_owned()), "a formula is made a text: {names:?}");
    let page = ada.page("/keys?sort=-name").await;
    assert!(page.contains("aria-sort=\"descending\""), "{page}");
    assert!(page.contains("gamma &amp; &lt;b&gt;"), "{page}");
    let none = ada.page("/keys?q=nothing+like+that").await;
    assert!(none.contains("Nothing here fits") && none.contains(">Clear<"), "{none}");
    app.kill().await;
    app.books.remove().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_clearly() {
    let mut app = started().await;
    filled(&app).await;
    let (ada, olga) = (Browser::of(&app, USER).await, Browser::of(&app, OPERATOR).await);
    let page = ada.page("/keys?sort=name").await;
    let next = plain(all(&page, "id=\"list-next\" href=\"", "\"")[0]);
    let elsewhere = next.replace("sort=name", "sort=-created_at");
    assert_ne!(next, elsewhere);
    for (browser, path, told) in [
        (&ada, "/keys?sort=hash", "sort: this list goes by name"),
        (&ada, "/keys?sort=--name", "sort:"),
        (&ada, "/keys?after=nonsense", "no place in this list"),
        (&ada, "/keys?after=-created_at~00~0", "no place in this list"),
        (&ada, &elsewhere, "no place in this list"),
        (&ada, "/keys?state=tired", "state:"),
        (&ada, "/keys?sort=hash&format=csv", "sort:"),
        (&olga, "/operator/audit?from=yesterday", "from: expected a day"),
        (&olga, "/operator/audit?after=-number~x~5", "no place in this list"),
        (&olga, "/operator/users?role=king", "role:"),
        (&olga, "/operator/prices?sort=-colour", "sort:"),
        (&olga, "/operator/prices?versions-sort=colour", "sort:"),
    ] {
        let got = browser.get(path).await;
        assert_eq!(got.status, 400, "{path}: {}", got.text);
        assert!(got.text.to_lowercase().contains(told), "{path}: {}", got.text);
    }
    app.kill().await;
    app.books.remove().await;
}

/// Every way to sort that a page offers, and the sheet of each of its lists.
async fn tried(browser: &Browser, path: &str) -> usize {
    let page = browser.page(path).await;
    let mut lists = all(&page, "<label for=\"", "\"");
    lists.retain(|label| label.ends_with("-sort"));
    assert!(!lists.is_empty(), "{path} has no list");
    for list in &lists {
        let field = all(&page, &format!("<select id=\"{list}\" name=\""), "\"")[0];
        let select = all(&page, &format!("<select id=\"{list}\""), "</select>")[0];
        for order in all(select, "<option value=\"", "\"").into_iter().filter(|one| !one.is_empty())
        {
            let sorted = browser.page(&format!("{path}?{field}={order}")).await;
            let is_empty = sorted.contains("class=\"empty\"");
            assert!(
                is_empty || sorted.contains("aria-sort=") || order.contains('_'),
                "{path} {order}"
            );
        }
    }
    for sheet in all(&page, "<a class=\"button plain-button\" href=\"", "\"") {
        let sheet = plain(sheet);
        if sheet.contains("format=csv") && !sheet.starts_with("/requests") {
            let got = browser.page(&sheet).await;
            assert!(!got.starts_with("<!doctype"), "{sheet}: {got}");
            assert!(got.lines().next().is_some_and(|head| head.contains(',')), "{sheet}: {got}");
        }
    }
    lists.len()
}

#[tokio::test]
async fn every_list_is_sorted_and_taken_along() {
    let app = started().await;
    let answer = app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    filled(&app).await;
    let (ada, olga) = (Browser::of(&app, USER).await, Browser::of(&app, OPERATOR).await);
    for path in ["/", "/keys", "/bills"] {
        tried(&ada, path).await;
    }
    let fields = [("name", "acme"), ("owner", USER)];
    olga.done("/operator/organizations", &fields).await;
    for (path, lists) in [
        ("/operator", 2),
        ("/operator/users", 1),
        ("/operator/organizations", 1),
        ("/operator/customers/ada", 3),
        ("/operator/customers/ada/keys", 1),
        ("/operator/customers/acme", 3),
        ("/operator/prices", 2),
        ("/operator/providers", 1),
        ("/operator/audit", 1),
    ] {
        let path = path.replace("ada", USER);
        assert!(tried(&olga, &path).await >= lists, "{path}");
    }
    app.close().await;
}

#[tokio::test]
async fn a_member_sees_and_takes_along_only_what_is_theirs() {
    let mut app = started().await;
    app.books.cli(&["org", "add", "acme", "--owner", USER]).await;
    let store = app.books.store().await;
    let (acme, bob) =
        (store.user("acme").await.expect("acme"), store.user("bob").await.expect("bob"));
    store.set_member(&acme, &bob, Role::Member, 1).await.expect("a member");
    for (number, user) in [(1_u8, USER), (2, "bob")] {
        let new = NewKey {
            id: Uuid::from_u128((0x0192_0000_0000_7000 << 64) + u128::from(number)),
            user: user.to_owned(),
            payer: Some("acme".to_owned()),
            name: format!("key of {user}"),
            hash: ledger::to_hex(&Sha256::digest([number])),
            prefix: "tg-list".to_owned(),
            last4: "none".to_owned(),
            scopes: "inference".to_owned(),
            created_at: 1,
            ..NewKey::default()
        };
        store.add_key(new).await.expect("a key");
    }
    store.close().await;
    app.restart().await;
    let olga = Browser::of(&app, OPERATOR).await;
    let account = acme.account_id.to_string();
    let (ada, bob) = (
        Browser::of(&app, USER).await.looking_at(&account),
        Browser::of(&app, "bob").await.looking_at(&account),
    );
    for query in [
        "",
        "?sort=user",
        "?sort=-spent_usd&state=all",
        "?format=csv",
        "?format=csv&user=a&state=all",
    ] {
        let seen = bob.page(&format!("/keys{query}")).await;
        assert!(!seen.contains(&format!("key of {USER}")), "{query}: {seen}");
        let seen = ada.page(&format!("/keys{query}")).await;
        assert!(seen.contains(&format!("key of {USER}")) || query.contains("user=a"), "{query}");
    }
    assert!(bob.page("/keys?format=csv").await.contains("key of bob"));
    for path in [
        "/operator/customers/acme/keys",
        "/operator/users?format=csv",
        "/operator/audit?format=csv",
    ] {
        assert!([403, 404].contains(&bob.get(path).await.status), "{path}");
    }
    assert!(olga.page("/operator/customers/acme/keys?format=csv").await.contains("key of bob"));
    let members = bob.page("/organization?format=csv").await;
    assert!(members.contains("bob") && members.contains(USER), "{members}");
    app.kill().await;
    app.books.remove().await;
}
