//! Pages over many receipts. `TOLLGATE_TEST_RELEASE=… TOLLGATE_TEST_RECEIPTS=1000000 TOLLGATE_TEST_KEYS=10000` measures what
//! is promised; otherwise fewer are there, and only that every page comes is looked at.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ledger::{Meter, Outcome, Receipt, Usage, UsageReport, UsageSource, Usd};
use reqwest::{Method, header};
use sha2::{Digest as _, Sha256};
use store::{NewKey, NewUser, Role, Store};
use uuid::Uuid;

use crate::app::{App, Start, USER};
use crate::books::{Books, number};

/// What a page may take.
const PAGE: Duration = Duration::from_millis(200);
const MODELS: [&str; 8] =
    ["gpt-4o", "gpt-4o-mini", "o3", "o4-mini", "gpt-4.1", "gpt-5", "gpt-5-mini", "gpt-5-nano"];
const USERS: u64 = 100;
const DAYS: u64 = 60;
const DAY: u64 = 86_400_000_000;
/// So many receipts in a batch.
const BATCH: u64 = 2_000;

fn id(kind: u128, number: u64) -> Uuid {
    Uuid::from_u128((0x0192_0000_0000_7000 << 64) + (kind << 48) + u128::from(number))
}

/// Members of the organization, of the users.
const MEMBERS: u64 = 10;

/// Half of the keys are Ada's, a quarter of the organization's, the others of a hundred users'.
const fn owner(key: u64) -> (u64, Payer) {
    match key % 4 {
        0 | 2 => (0, Payer::Own),
        1 => (1 + key / 4 % MEMBERS, Payer::Acme),
        _ => (1 + key / 4 % USERS, Payer::Own),
    }
}

#[derive(PartialEq, Eq)]
enum Payer {
    Own,
    Acme,
}

async fn fill(books: &Books, receipts: u64, keys: u64, now: u64) {
    let store = books.store().await;
    let ada = store.user(USER).await.expect("Ada");
    let micros = |at: u64| i64::try_from(at).expect("a moment");
    for user in 1..=USERS {
        let new = NewUser {
            id: id(1, user),
            account_id: id(2, user),
            name: format!("user-{user:03}"),
            owner: None,
            operator: false,
            prepaid: false,
            created_at: micros(now),
        };
        store.add_user(new).await.expect("a user");
    }
    let acme = NewUser {
        id: id(1, 0),
        account_id: id(2, 0),
        name: "acme".to_owned(),
        owner: Some(ada.id),
        operator: false,
        prepaid: false,
        created_at: micros(now),
    };
    let acme = store.add_user(acme).await.expect("an organization");
    for member in 1..=MEMBERS {
        let user = store.user(&format!("user-{member:03}")).await.expect("a user");
        store.set_member(&acme, &user, Role::Member, micros(now)).await.expect("a member");
    }
    for key in 0..keys {
        let (user, payer) = owner(key);
        let user = match user {
            0 => USER.to_owned(),
            user => format!("user-{user:03}"),
        };
        let new = NewKey {
            id: id(3, key),
            user,
            payer: (payer == Payer::Acme).then(|| "acme".to_owned()),
            name: format!("key {key}"),
            hash: ledger::to_hex(&Sha256::digest(key.to_le_bytes())),
            prefix: "tg-many".to_owned(),
            last4: "many".to_owned(),
            scopes: "inference".to_owned(),
            created_at: micros(now),
            ..NewKey::default()
        };
        store.add_key(new).await.expect("a key");
    }
    let begin = now - DAYS * DAY;
    let step = (DAYS * DAY / receipts).max(1);
    for batch in 0..receipts.div_ceil(BATCH) {
        let numbers = batch * BATCH..((batch + 1) * BATCH).min(receipts);
        let rows: Vec<Receipt> = numbers
            .map(|number| {
                let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys;
                let (user_id, account_id) = match owner(key) {
                    (0, _) => (ada.id, ada.account_id),
                    (user, Payer::Acme) => (id(1, user), acme.account_id),
                    (user, Payer::Own) => (id(1, user), id(2, user)),
                };
                receipt(begin + number * step, (user_id, account_id, id(3, key)), number)
            })
            .collect();
        store.insert_receipts(Uuid::now_v7(), &rows, micros(now)).await.expect("receipts");
    }
    store.verify_rollups(|fault| panic!("{fault}")).await.expect("sums");
    store.close().await;
}

fn receipt(at: u64, (user_id, account_id, key_id): (Uuid, Uuid, Uuid), number: u64) -> Receipt {
    let usage =
        Usage::of(&[(Meter::Input, 900 + number % 400), (Meter::Output, 100 + number % 90)]);
    let started_at = i64::try_from(at).expect("a moment");
    let (cost, commission) =
        (1_000_000_000 + i64::try_from(number % 977).expect("small"), 50_000_000);
    // As ids of version 7 are: they grow with time.
    let request_id = Uuid::from_u128(
        (u128::from(at / 1_000) << 80) + (0x7000 << 64) + (0x8000 << 48) + u128::from(number),
    );
    Receipt {
        request_id,
        attempt: 1,
        account_id,
        user_id,
        key_id,
        surface: "openai_chat".to_owned(),
        provider: "openai".to_owned(),
        model: MODELS[usize::try_from(number % 8).expect("small")].to_owned(),
        model_served: None,
        upstream_id: None,
        price_version: 1,
        commission_bps: 500,
        report: UsageReport::single(usage),
        usage_source: UsageSource::Provider,
        outcome: if number % 500 == 3 { Outcome::Failed } else { Outcome::Ok },
        cost: Usd::from_pico(cost),
        commission: Usd::from_pico(commission),
        charge: Usd::from_pico(cost + commission),
        absorbed: Usd::ZERO,
        bound: None,
        scopes: Vec::new(),
        started_at,
        ended_at: started_at + 900_000,
    }
}

async fn session(store: &Store, name: &str, now: u64) -> String {
    let token = ledger::to_hex(&Sha256::digest(name.as_bytes()));
    let hash = Sha256::digest(token.as_bytes()).into();
    let (user, now) =
        (store.user(name).await.expect("a user"), i64::try_from(now).expect("a moment"));
    store.begin_session(hash, &user, (now, now + 3_600_000_000)).await.expect("a session");
    token
}

/// Whether the times count.
fn is_measured() -> bool {
    std::env::var_os("TOLLGATE_TEST_RECEIPTS").is_some()
}

/// What an address takes: the third of five tries. Of a sheet, until its first rows are there. With the page.
async fn taken(app: &App, path: &str, cookies: &str) -> (Duration, String) {
    let (mut times, mut shown) = (Vec::new(), String::new());
    let tries = if is_measured() { 5 } else { 1 };
    for _ in 0..tries {
        let begun = Instant::now();
        let request = app.request(Method::GET, path).header(header::COOKIE, cookies);
        let mut answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        // Some pages ask for something in their query; one is there for members of an organization alone.
        let fits = [200, 400].contains(&status) || path == "/organization";
        if path.contains("format=csv") {
            answer.chunk().await.expect("the first rows");
            times.push(begun.elapsed());
            // A sheet that is not read is over once that is known.
            drop(answer);
            let begun = Instant::now();
            while app
                .request(Method::GET, "/requests?format=csv&to=1970-01-01")
                .header(header::COOKIE, cookies)
                .send()
                .await
                .expect("an answer")
                .status()
                == 429
            {
                assert!(begun.elapsed().as_secs() < 30, "a sheet is still under way");
            }
        } else {
            let page = answer.text().await.expect("a page");
            times.push(begun.elapsed());
            assert!(fits, "{path}: {status} {page}");
            shown = page;
        }
    }
    times.sort_unstable();
    let time = times[tries / 2];
    println!("{path}: {:.1} ms", time.as_secs_f64() * 1e3);
    (time, shown)
}

/// The other orders of a page's lists, and the pages that follow.
fn onward(path: &str, page: &str) -> BTreeSet<String> {
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let links = links.map(|link| link.replace("&#38;", "&").replace("&amp;", "&"));
    let own = |link: &str| link.split('?').next() == Some(path);
    links
        .filter(|link| own(link) && ["sort=", "after="].iter().any(|part| link.contains(part)))
        .collect()
}

/// Every way to look at many requests, as Ada's sessions, the organization's and a member's see them.
fn views(now: u64, keys: u64) -> Vec<String> {
    let day = |back: u64| {
        let at = i64::try_from(now - back * DAY).expect("a moment");
        let date = jiff::Timestamp::from_microsecond(at).expect("a moment").to_string();
        date[..10].to_owned()
    };
    let deep = |back: u64| format!("{}.{}.1", now - back * DAY, Uuid::nil().simple());
    let key = |number: u64| id(3, number);
    let mut views: Vec<String> = [
        "",
        "sort=time",
        "sort=-charge",
        "outcome=trouble",
        "outcome=failed",
        "outcome=crashed",
        "outcome=ok",
        "model=openai%2F",
        "model=openai%2Fo3",
        "model=gemini%2F",
        "model=openai%2Fo3&outcome=trouble",
        "surface=openai_chat",
        "surface=gemini",
        "surface=gemini&sort=time",
        "id=01920000-0000-7000-0000-000000000000",
        "format=csv",
        "format=csv&surface=gemini",
    ]
    .map(str::to_owned)
    .into();
    views.extend([
        format!("after={}", deep(DAYS / 2)),
        format!("after={}&surface=gemini", deep(DAYS / 2)),
        format!("after={}&sort=time", deep(DAYS / 4)),
        format!("key={}", key(0)),
        format!("key={}&sort=time", key(2)),
        format!("key={}&outcome=trouble", key(1)),
        format!("key={}&model=openai%2Fo3", key(0)),
        format!("key={}&surface=gemini", key(1)),
        format!("key={}", key(keys - 1)),
        format!("key={}&after={}", key(0), deep(DAYS / 2)),
        format!("from={}&to={}", day(20), day(19)),
        format!("from={}&to={}&sort=-charge", day(20), day(20)),
        format!("from={}&to={}&sort=input", day(20), day(20)),
        format!("from={}&to={}&outcome=trouble&sort=-output", day(20), day(10)),
        format!("from={}&to={}&format=csv", day(20), day(10)),
    ]);
    views.into_iter().map(|query| format!("/requests?{query}")).collect()
}

async fn every_page(books: Books) {
    let receipts = number("TOLLGATE_TEST_RECEIPTS", 10_000);
    let keys = number("TOLLGATE_TEST_KEYS", 300);
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_micros();
    let now = u64::try_from(now).expect("a moment");
    let mut app = App::start_on(books, Start::default()).await;
    fill(&app.books, receipts, keys, now).await;
    app.books.cli(&["user", "add", "olga", "--operator"]).await;
    let store = app.books.store().await;
    let (ada, olga) = (session(&store, USER, now).await, session(&store, "olga", now).await);
    let member = session(&store, "user-001", now).await;
    store.close().await;
    app.restart().await;
    let table = app.books.cli_json(&["openapi", "--routes"]).await;
    let pages = table.as_array().expect("a table").iter().filter(|route| route["method"] == "GET");
    let mut slow = Vec::new();
    let (mut seen, mut ways) = (0, 0);
    for route in pages {
        let (path, policy) = (route["path"].as_str().expect("text"), &route["policy"]);
        let token = match policy.as_str() {
            Some("person") => &ada,
            Some("operator") => &olga,
            _ => continue,
        };
        // A file of all rows is as long as they are, and what opens a thing needs one.
        if path.contains('{') || path.contains(".csv") || path.contains("export") {
            continue;
        }
        let cookies = format!("tollgate={token}");
        let (time, page) = taken(&app, path, &cookies).await;
        let mut times = vec![(path.to_owned(), time)];
        for link in onward(path, &page) {
            let (time, _) = taken(&app, &link, &cookies).await;
            times.push((link, time));
        }
        ways += times.len() - 1;
        slow.extend(times.into_iter().filter(|(_, time)| *time > PAGE));
        seen += 1;
    }
    assert!(seen > 10, "{table}");
    assert!(ways > 50, "{ways} other orders and further pages");
    let acme = id(2, 0);
    let own = format!("tollgate={ada}");
    let [owner, member] =
        [ada, member].map(|token| format!("tollgate={token}; tollgate-account={acme}"));
    let pages = ["/", "/keys", "/bills", "/organization", "/playground"].map(str::to_owned);
    let customers = [USER, "acme", "user-001"].map(|name| format!("/operator/customers/{name}"));
    let views = views(now, keys);
    let mut more: Vec<(&str, &str, &str)> = Vec::new();
    for (who, cookies) in [("Ada", &own), ("the organization", &owner), ("a member", &member)] {
        more.extend(views.iter().map(|view| (who, view.as_str(), cookies.as_str())));
    }
    more.extend(pages.iter().map(|page| ("the organization", page.as_str(), owner.as_str())));
    let of_member = pages.iter().filter(|page| *page != "/bills");
    more.extend(of_member.map(|page| ("a member", page.as_str(), member.as_str())));
    let house = format!("tollgate={olga}");
    more.extend(customers.iter().map(|page| ("an operator", page.as_str(), house.as_str())));
    for (who, path, cookies) in more {
        print!("{who}: ");
        let (time, _) = taken(&app, path, cookies).await;
        if time > PAGE {
            slow.push((format!("{who}: {path}"), time));
        }
    }
    assert!(!is_measured() || slow.is_empty(), "{slow:?}");
    app.kill().await;
    app.books.remove().await;
}

#[tokio::test]
async fn on_sqlite() {
    every_page(Books::sqlite()).await;
}

#[tokio::test]
async fn on_postgres() {
    if let Some(books) = Books::postgres("many").await {
        every_page(books).await;
    }
}
