//! A place that has been in use for a while: people, keys, and thirty days of requests, the same at every run but for the
//! date.

use ledger::{
    Bill, BudgetPeriod, Catalogue, Meter, Outcome, Receipt, Scope, ScopeKind, Usage, UsageReport,
    UsageSource, Usd,
};
use sha2::{Digest as _, Sha256};
use store::{
    Actor, Budget, BudgetOwner, CreditSource, Key, NewBudget, NewCredit, NewKey, NewUser,
    ProviderHour, Role, Store,
};
use uuid::Uuid;

use super::now;
use crate::app::App;

pub(crate) const OPERATOR: &str = "olga";
/// The organization that the pictures are of, and who owns it.
pub(crate) const CUSTOMER: &str = "northwind";
pub(crate) const OWNER: &str = "mira";

const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;
const DAYS: i64 = 40;
const BPS: u32 = 500;

/// A customer's programs: which key asks which model how often on a working day, with about how many tokens each.
struct Program {
    payer: &'static str,
    user: &'static str,
    key: &'static str,
    model: (&'static str, &'static str),
    a_day: u64,
    tokens: (u64, u64),
}

const fn program(
    (payer, user, key): (&'static str, &'static str, &'static str),
    model: (&'static str, &'static str),
    a_day: u64,
    tokens: (u64, u64),
) -> Program {
    Program { payer, user, key, model, a_day, tokens }
}

const PROGRAMS: [Program; 10] = [
    program(
        (CUSTOMER, OWNER, "support assistant"),
        ("anthropic", "claude-sonnet-4-5"),
        9,
        (21_000, 1_900),
    ),
    program((CUSTOMER, OWNER, "support assistant"), ("openai", "gpt-4o-mini"), 7, (9_000, 700)),
    program((CUSTOMER, "jonas", "editor plugin"), ("openai", "gpt-5-mini"), 8, (34_000, 3_900)),
    program(
        (CUSTOMER, "jonas", "nightly summaries"),
        ("gemini", "gemini-2.5-flash"),
        6,
        (62_000, 2_400),
    ),
    program((CUSTOMER, "priya", "evaluation"), ("openai", "gpt-4o"), 3, (18_000, 2_600)),
    program(
        (CUSTOMER, "priya", "evaluation"),
        ("deepseek", "deepseek-v4-flash"),
        5,
        (41_000, 3_300),
    ),
    program(
        (CUSTOMER, "priya", "evaluation"),
        ("anthropic", "claude-haiku-4-5"),
        4,
        (15_000, 1_200),
    ),
    program(
        ("harbour-legal", "tomas", "contract review"),
        ("anthropic", "claude-sonnet-4-5"),
        5,
        (48_000, 2_900),
    ),
    program(("kestrel", "ines", "search"), ("openai", "gpt-4o-mini"), 8, (6_000, 400)),
    program(("pilot", "pilot", "trial"), ("gemini", "gemini-2.5-flash"), 3, (12_000, 900)),
];

/// A number below `below` that looks like chance and is the same each time.
fn draw(what: &str, below: u64) -> u64 {
    let digest = Sha256::digest(what.as_bytes());
    u64::from_be_bytes(digest[..8].try_into().expect("eight bytes")) % below.max(1)
}

fn id(what: &str) -> Uuid {
    let digest = Sha256::digest(what.as_bytes());
    let mut bytes: [u8; 16] = digest[..16].try_into().expect("sixteen bytes");
    // Of the kind that the program makes itself, so that they look alike.
    (bytes[6], bytes[8]) = (0x70 | bytes[6] & 0x0f, 0x80 | bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

/// An id of a request at that moment.
fn request_id(at: i64, what: &str) -> Uuid {
    let millis = u128::try_from(at / 1_000).expect("a moment");
    Uuid::from_u128(millis << 80 | id(what).as_u128() & ((1 << 80) - 1))
}

/// Fills the books of a program that runs.
pub(crate) async fn seed(app: &App) {
    let store = app.books.store().await;
    let start = now() - DAYS * DAY;
    let by = |days: i64| {
        let actor =
            Actor { id: None, name: OPERATOR.to_owned(), via: "console", at: start + days * DAY };
        store.by(actor)
    };
    let operator = person(OPERATOR, None, start);
    by(0).add_user(NewUser { operator: true, ..operator }).await.expect("the operator");
    for (days, name) in (1..).zip([OWNER, "jonas", "priya", "tomas", "ines"]) {
        by(days).add_user(person(name, None, start + days * DAY)).await.expect("a user");
    }
    let pilot = NewUser { prepaid: true, ..person("pilot", None, start + 6 * DAY) };
    by(6).add_user(pilot).await.expect("a user");
    for (days, name, owner) in
        [(7, CUSTOMER, OWNER), (8, "harbour-legal", "tomas"), (9, "kestrel", "ines")]
    {
        let owner = store.user(owner).await.expect("a user").id;
        let new =
            NewUser { prepaid: name == CUSTOMER, ..person(name, Some(owner), start + days * DAY) };
        by(days).add_user(new).await.expect("an organization");
    }
    members(&by(8), start + 8 * DAY).await;
    for (days, usd, reason) in [
        (9, "120", "Invoice 2026-104"),
        (23, "150", "Invoice 2026-117"),
        (37, "200", "Invoice 2026-131"),
    ] {
        credit(&by(days), (usd, reason), start + days * DAY).await;
    }
    let budget = NewBudget {
        id: id("budget"),
        owner: BudgetOwner::Account(id(&format!("account {CUSTOMER}"))),
        period: BudgetPeriod::Month,
        limit: Usd::parse("400").expect("an amount"),
        at: start + 9 * DAY,
    };
    by(38).set_budget(budget).await.expect("a budget");
    receipts(&store, start).await;
    hours(&store).await;
    store.close().await;
}

fn person(name: &str, owner: Option<Uuid>, at: i64) -> NewUser {
    NewUser {
        id: id(&format!("user {name}")),
        account_id: id(&format!("account {name}")),
        name: name.to_owned(),
        owner,
        operator: false,
        prepaid: false,
        created_at: at,
    }
}

async fn members(store: &Store, at: i64) {
    let northwind = store.user(CUSTOMER).await.expect("the customer");
    for (name, role) in [("jonas", Role::Admin), ("priya", Role::Member)] {
        let user = store.user(name).await.expect("a user");
        store.set_member(&northwind, &user, role, at).await.expect("a member");
    }
}

async fn credit(store: &Store, (usd, reason): (&str, &str), at: i64) {
    let new = NewCredit {
        id: id(reason),
        account_id: id(&format!("account {CUSTOMER}")),
        amount: Usd::parse(usd).expect("an amount"),
        source: CreditSource::Paid,
        expires_at: None,
        actor: OPERATOR.to_owned(),
        reason: reason.to_owned(),
        at,
    };
    assert!(store.add_credit(new).await.expect("credit"));
}

async fn key(store: &Store, program: &Program, at: i64) -> Key {
    let what = format!("{} {}", program.payer, program.key);
    let hash = ledger::to_hex(&Sha256::digest(what.as_bytes()));
    let new = NewKey {
        id: id(&format!("key {what}")),
        user: program.user.to_owned(),
        payer: (program.payer != program.user).then(|| program.payer.to_owned()),
        name: program.key.to_owned(),
        prefix: format!("tg-{}", &hash[..4]),
        last4: hash[60..].to_owned(),
        hash,
        scopes: "inference usage".to_owned(),
        budget: (program.key == "evaluation")
            .then(|| (BudgetPeriod::Month, Usd::parse("60").expect("an amount"))),
        created_at: at,
        ..NewKey::default()
    };
    let by = Actor { id: None, name: program.user.to_owned(), via: "console", at };
    store.by(by).add_key(new).await.expect("a key")
}

async fn receipts(store: &Store, start: i64) {
    let latest = store.latest_price_version().await.expect("prices").expect("prices").id;
    let catalogue = store.catalogue(latest).await.expect("prices");
    let mut keys: Vec<(&str, &str, Key)> = Vec::new();
    let (mut all, mut used) = (Vec::new(), Vec::new());
    for program in &PROGRAMS {
        let known =
            keys.iter().find(|(payer, name, _)| (*payer, *name) == (program.payer, program.key));
        let key = if let Some((_, _, key)) = known {
            key.clone()
        } else {
            let key = key(store, program, start + 10 * DAY).await;
            keys.push((program.payer, program.key, key.clone()));
            key
        };
        let budgets = budgets(store, &key).await;
        for day in 10..=DAYS {
            let of_day =
                of_day(program, (&key, &budgets), (start + day * DAY, day), (&catalogue, latest));
            all.extend(of_day.into_iter().filter(|receipt| receipt.ended_at < now()));
        }
        used.push((key.id, now() - HOUR));
    }
    let mut number = 0;
    for batch in all.chunks(200) {
        number += 1;
        store
            .insert_receipts(id(&format!("batch {number}")), batch, now())
            .await
            .expect("receipts");
    }
    store.touch_keys(&used).await.expect("keys");
}

/// What limits a key.
async fn budgets(store: &Store, key: &Key) -> Vec<Budget> {
    let all = store.budgets(now()).await.expect("budgets");
    let own = [BudgetOwner::Key(key.id), BudgetOwner::Account(key.account_id)];
    all.into_iter().filter(|budget| own.contains(&budget.owner)).collect()
}

/// What a program asks on a day: less at weekends, more from week to week, and one day more than ever.
fn of_day(
    program: &Program,
    (key, budgets): (&Key, &[Budget]),
    (at, number): (i64, i64),
    (catalogue, version): (&Catalogue, i64),
) -> Vec<Receipt> {
    let day = at / DAY;
    let what = format!("{} {} {} {number}", program.payer, program.key, program.model.1);
    // 1970 began on a Thursday.
    let weekend = (day + 3) % 7 >= 5;
    let growth = 70 + u64::try_from(number).expect("a day") * 2;
    let percent = match (weekend, number) {
        (true, _) => 20,
        (false, 31) => growth * 2,
        (false, _) => growth,
    };
    let count = program.a_day * percent * (80 + draw(&what, 40)) / 10_000;
    (0..count)
        .map(|n| {
            let what = format!("{what} {n}");
            let hour = i64::try_from(7 + draw(&format!("{what} hour"), 12)).expect("an hour");
            let second = i64::try_from(draw(&format!("{what} second"), 3_600)).expect("a second");
            let at = day * DAY + hour * HOUR + second * 1_000_000;
            let around =
                |tokens: u64, name: &str| tokens / 2 + draw(&format!("{what} {name}"), tokens);
            let (input, output) = (around(program.tokens.0, "in"), around(program.tokens.1, "out"));
            let cached = input * draw(&format!("{what} cached"), 60) / 100;
            let usage = Usage::of(&[
                (Meter::Input, input - cached),
                (Meter::CacheRead, cached),
                (Meter::Output, output),
            ]);
            receipt(program, (key, budgets), (at, &what), usage, (catalogue, version))
        })
        .collect()
}

fn receipt(
    program: &Program,
    (key, budgets): (&Key, &[Budget]),
    (at, what): (i64, &str),
    usage: Usage,
    (catalogue, version): (&Catalogue, i64),
) -> Receipt {
    let report = UsageReport::single(usage);
    let (provider, model) = program.model;
    let bill = Bill::of(catalogue, provider, model, &report, at, BPS).expect("a price");
    let took = i64::try_from(600_000 + draw(&format!("{what} took"), 9_000_000)).expect("a time");
    let gone = draw(&format!("{what} end"), 40) == 0;
    let mut scopes: Vec<Scope> = budgets
        .iter()
        .map(|budget| Scope {
            kind: ScopeKind::Budget,
            id: budget.id,
            period_start: budget.period.start(at),
        })
        .collect();
    scopes.sort_unstable();
    Receipt {
        request_id: request_id(at, what),
        attempt: 1,
        account_id: key.account_id,
        user_id: key.user_id,
        key_id: key.id,
        surface: if provider == "anthropic" { "anthropic" } else { "openai_chat" }.to_owned(),
        provider: provider.to_owned(),
        model: model.to_owned(),
        model_served: Some(model.to_owned()),
        upstream_id: None,
        price_version: version,
        commission_bps: BPS,
        report,
        usage_source: UsageSource::Provider,
        outcome: if gone { Outcome::ClientGone } else { Outcome::Ok },
        cost: bill.cost,
        commission: bill.commission,
        charge: bill.charge,
        absorbed: Usd::ZERO,
        bound: None,
        scopes,
        started_at: at,
        ended_at: at + took,
    }
}

/// How the providers did in two days.
async fn hours(store: &Store) {
    let last = now() / HOUR;
    let mut hours = Vec::new();
    for (provider, most, bucket) in
        [("openai", 90, 9), ("anthropic", 60, 10), ("gemini", 40, 9), ("deepseek", 25, 11)]
    {
        for hour in last - 47..last {
            let by_day = if (7..19).contains(&(hour % 24)) { 100 } else { 15 };
            let what = format!("{provider} {}", last - hour);
            let all = i64::try_from(most * by_day / 100 + draw(&what, most / 4)).expect("a count");
            let one = |outcome: &str, bucket: i64, attempts: i64| ProviderHour {
                hour,
                provider: provider.to_owned(),
                outcome: outcome.to_owned(),
                bucket,
                attempts,
            };
            for (bucket, percent) in
                [(bucket - 1, 25), (bucket, 50), (bucket + 1, 20), (bucket + 2, 5)]
            {
                hours.push(one("ok", bucket, all * percent / 100));
            }
            if draw(&format!("{what} fault"), 5) == 0 {
                hours.push(one("rate_limited", bucket, 1 + all / 12));
            }
            if provider == "deepseek" && last - hour == 20 {
                hours.push(one("failed", bucket, 9));
            }
        }
    }
    hours.retain(|hour| hour.attempts > 0);
    store.add_provider_hours(id("replica"), &hours).await.expect("hours");
}
