//! A database of before there was a ledger becomes one that has it, and nothing in it is lost.

use ledger::{BudgetPeriod, Receipt, Usd};
use sha2::{Digest as _, Sha256};
use store::{BudgetOwner, Grain, Store};
use uuid::Uuid;

use crate::common::{TestDatabase, id};
use crate::money::{Books, NOW, budget_of, held, on_both};

on_both!(old_receipts_become_the_opening);

const FIRST: &str = include_str!("../../../../migrations/0001_init.sql");
const SECOND: &str = include_str!("../../../../migrations/0002_replicas.sql");

/// The first two migrations, as the program of then has run them.
async fn old(database: &TestDatabase) {
    let store = database.open().await;
    let engine = store.engine_name();
    store.close().await;
    if engine == "PostgreSQL" {
        database.shell("CREATE SCHEMA tollgate").await.unwrap();
    }
    let table = "CREATE TABLE tollgate.schema_migrations (\n    version BIGINT NOT NULL PRIMARY KEY,\n    \
                 sha256 TEXT NOT NULL,\n    applied_at BIGINT NOT NULL\n);";
    database.shell(&words(engine, table)).await.unwrap();
    for (version, text) in [(1, FIRST), (2, SECOND)] {
        let mut script = String::new();
        for section in text.split("-- engine: ").skip(1) {
            let (name, body) = section.split_once('\n').unwrap_or((section, ""));
            match name {
                "all" => script.push_str(&words(engine, body)),
                "sqlite" if engine == "SQLite" => script.push_str(body),
                "postgres" if engine == "PostgreSQL" => script.push_str(body),
                _ => {}
            }
        }
        database.shell(&script).await.unwrap();
        let applied = format!(
            "INSERT INTO tollgate.schema_migrations (version, sha256, applied_at) VALUES ({version}, '{}', 0)",
            sha256(text)
        );
        database.shell(&applied).await.unwrap();
    }
}

fn sha256(text: &str) -> String {
    ledger::to_hex(&Sha256::digest(text.as_bytes()))
}

/// As the store spells them.
fn words(engine: &str, text: &str) -> String {
    let words: &[(&str, &str)] = if engine == "SQLite" {
        &[
            ("BIGINT", "INTEGER"),
            ("BOOLEAN", "INTEGER"),
            (" UUID", " BLOB"),
            (" BYTEA", " BLOB"),
            ("\n);", "\n) STRICT, WITHOUT ROWID;"),
        ]
    } else {
        &[(" TEXT", " TEXT COLLATE \"C\"")]
    };
    words.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// An id as a literal.
fn literal(engine: &str, id: Uuid) -> String {
    if engine == "SQLite" { format!("x'{}'", id.simple()) } else { format!("'{id}'") }
}

/// Writes a receipt as the program of then did.
async fn insert(database: &TestDatabase, engine: &str, receipt: &Receipt) {
    let report = serde_json::to_string(&receipt.report).unwrap();
    let counters = ledger::Counters::of(&receipt.report).unwrap();
    let hash = ledger::Content::of(receipt, &report).unwrap().hash();
    let hash = ledger::to_hex(&hash);
    let hash = if engine == "SQLite" { format!("x'{hash}'") } else { format!("'\\x{hash}'") };
    let id = |id| literal(engine, id);
    let statement = format!(
        "INSERT INTO tollgate.receipts (request_id, attempt, account_id, user_id, key_id, surface, provider, model, \
         model_served, upstream_id, price_version, commission_bps, input_tokens, output_tokens, cache_read, \
         cache_write_5m, cache_write_1h, reasoning, report, usage_source, outcome, cost, commission, charge, \
         started_at, ended_at, content_hash) VALUES ({}, {}, {}, {}, {}, '{}', '{}', '{}', '{}', NULL, {}, {}, \
         {}, {}, {}, {}, {}, {}, '{report}', '{}', '{}', {}, {}, {}, {}, {}, {hash})",
        id(receipt.request_id),
        receipt.attempt,
        id(receipt.account_id),
        id(receipt.user_id),
        id(receipt.key_id),
        receipt.surface,
        receipt.provider,
        receipt.model,
        receipt.model_served.as_deref().unwrap(),
        receipt.price_version,
        receipt.commission_bps,
        counters.input_tokens,
        counters.output_tokens,
        counters.cache_read,
        counters.cache_write_5m,
        counters.cache_write_1h,
        counters.reasoning,
        receipt.usage_source.name(),
        receipt.outcome.name(),
        receipt.cost.pico(),
        receipt.commission.pico(),
        receipt.charge.pico(),
        receipt.started_at,
        receipt.ended_at,
    );
    database.shell(&statement).await.unwrap();
}

/// Of Ada (0, account 1, keys 21 and 22) and Bob (10, account 11), and of an account that is not known.
fn receipts() -> Vec<Receipt> {
    let old = |number: u128, charge: i64, [user, account, key]: [u128; 3]| Receipt {
        bound: None,
        account_id: id(account),
        user_id: id(user),
        key_id: id(key),
        ..held(number, charge, &[])
    };
    vec![
        old(1, 1_000, [0, 1, 21]),
        old(2, 30, [0, 1, 22]),
        old(3, 7, [10, 11, 23]),
        old(4, 0, [10, 11, 23]),
        old(5, 50, [0, 77, 21]),
    ]
}

async fn old_receipts_become_the_opening(database: TestDatabase) {
    old(&database).await;
    let store = database.open().await;
    let engine = store.engine_name();
    for (user, name) in [(0, "ada"), (10, "bob"), (20, "eve")] {
        let (user, account) = (literal(engine, id(user)), literal(engine, id(user + 1)));
        let users = format!("INSERT INTO tollgate.users VALUES ({user}, '{name}', FALSE, 5)");
        let accounts =
            format!("INSERT INTO tollgate.accounts VALUES ({account}, '{name}', {user}, 5)");
        database.shell(&format!("{users}; {accounts}")).await.unwrap();
    }
    for (key, user, budget) in [(21, 0, "900"), (22, 0, "100"), (23, 10, "NULL")] {
        let [key_id, user, account] = [key, user, user + 1].map(|one| literal(engine, id(one)));
        let hash = format!("{key:064x}");
        let statement = format!(
            "INSERT INTO tollgate.api_keys (id, user_id, account_id, name, hash, prefix, last4, created_at, budget_pico) \
             VALUES ({key_id}, {user}, {account}, 'k', '{hash}', 'tg', 'wxyz', 5, {budget})"
        );
        database.shell(&statement).await.unwrap();
    }
    let replica = literal(engine, id(50));
    database.shell(&format!("INSERT INTO tollgate.replicas VALUES ({replica}, 44)")).await.unwrap();
    for receipt in receipts() {
        insert(&database, engine, &receipt).await;
    }
    assert!(store.migrate(9).await.unwrap() >= 1);
    upgraded(&store).await;
    let state = store.replica(id(50)).await.unwrap().unwrap();
    assert_eq!((state.epoch, state.cursor, state.holds), (0, 44, false));

    // And it goes on from there.
    let mut books = Books { database, store, replica: id(50), epoch: 0, seq: 44 };
    books.begin().await;
    let budget = budget_of(22, 0);
    assert_eq!(books.grant(budget_of(21, 0), 1, 1).await.granted, Usd::ZERO, "it is used up");
    assert_eq!(books.grant(budget, 70, 70).await.granted.pico(), 70);
    assert_eq!(budgets(&books.store).await, [(21, 900, 1_050), (22, 100, 30)]);
    let next = Receipt { key_id: id(22), ..held(6, 20, &[budget]) };
    books.apply(&[next]).await;
    assert_eq!(books.balance().await, (-1_050, 0));
    let refused = books.database.shell("UPDATE tollgate.receipts SET cost = 1").await;
    assert!(refused.unwrap_err().to_string().contains("append-only"));
    books.close().await;
}

async fn upgraded(store: &Store) {
    let mut kept = Vec::new();
    store.for_each_receipt(|receipt| kept.push(receipt.unwrap())).await.unwrap();
    assert_eq!(kept, receipts(), "every receipt is what it was");
    for (account, posted) in [(1, -1_030), (11, -7), (21, 0), (77, -50)] {
        let balance = store.balance(id(account), 0).await.unwrap();
        assert_eq!((balance.prepaid, balance.posted.pico()), (false, posted), "account {account}");
        let statement = store.transactions(id(account), None, 9).await.unwrap();
        let opening = if posted == 0 { vec![] } else { vec![("opening", id(account), posted)] };
        let found: Vec<_> =
            statement.iter().map(|one| (one.kind.as_str(), one.id, one.amount)).collect();
        assert_eq!(found, opening, "account {account}");
    }
    assert_eq!(budgets(store).await, [(21, 900, 0), (22, 100, 0)], "nothing is held of them yet");
    store.audit(|fault| panic!("{fault}")).await.unwrap();
    store.verify_rollups(|fault| panic!("{fault}")).await.unwrap();
    let days = store.rollups(Grain::Account, id(1), (0, i64::MAX)).await.unwrap();
    let charged: Vec<_> = days.iter().map(|day| (day.receipts, day.charge)).collect();
    assert_eq!(charged, [(1, 30), (1, 1_000)], "a day each of two models");
    let months = store.rollups(Grain::AccountMonth, id(1), (0, i64::MAX)).await.unwrap();
    assert_eq!(months.iter().map(|month| month.charge).sum::<i64>(), 1_030);
    assert!(months.iter().all(|month| month.item.is_empty()));
}

/// The keys that have a budget, its limit, and what is used of it.
async fn budgets(store: &Store) -> Vec<(u128, i64, i64)> {
    let budgets = store.budgets(NOW).await.unwrap();
    let mut found: Vec<_> = budgets
        .iter()
        .map(|one| {
            assert_eq!(one.period, BudgetPeriod::Total);
            let key = [21, 22].into_iter().find(|key| one.owner == BudgetOwner::Key(id(*key)));
            (key.unwrap(), one.limit.pico(), one.used.pico())
        })
        .collect();
    found.sort_unstable();
    found
}
