//! Whoever changes the books past the program is found out, and where.

use ledger::BudgetPeriod;
use uuid::Uuid;

use crate::common::{TestDatabase, id};
use crate::money::{ACCOUNT, Books, NOW, REPLICA, budget_of, credit_of, held, on_both};

on_both!(each_change_is_named);

/// Takes away what keeps the tables as they are.
async fn unlock(books: &Books) {
    let guarded = ["receipts", "ledger_transactions", "ledger_entries"];
    let statements: Vec<String> = if books.store.engine_name() == "SQLite" {
        let drop =
            |table: &str| format!("DROP TRIGGER {table}_no_update; DROP TRIGGER {table}_no_delete");
        guarded.map(drop).into()
    } else {
        // The checks too: on SQLite a shell can ignore them.
        let disable = |table: &str| format!("ALTER TABLE tollgate.{table} DISABLE TRIGGER USER");
        let unchecked = "DO $$ DECLARE it record; BEGIN FOR it IN SELECT conrelid::regclass AS t, conname AS c \
                         FROM pg_constraint WHERE contype = 'c' AND connamespace = 'tollgate'::regnamespace LOOP \
                         EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', it.t, it.c); END LOOP; END $$";
        guarded.map(disable).into_iter().chain([unchecked.to_owned()]).collect()
    };
    for statement in statements {
        books.database.shell(&statement).await.unwrap();
    }
}

/// A transaction of a kind, by the text of its id.
async fn transaction(books: &Books, kind: &str) -> Uuid {
    let statement = books.store.transactions(id(ACCOUNT), None, 100).await.unwrap();
    statement.iter().find(|one| one.kind == kind).unwrap().id
}

async fn each_change_is_named(database: TestDatabase) {
    let mut books = Books::open(database).await;
    books.add_credit(100, 1_000, None).await;
    books.set_budget(200, 500).await;
    let today = BudgetPeriod::Day.start(NOW);
    let scopes = [credit_of(ACCOUNT), budget_of(200, today)];
    for scope in scopes {
        books.grant(scope, 100, 100).await;
    }
    books.apply(&[held(1, 40, &scopes), held(2, 20, &scopes)]).await;
    assert_eq!(books.faults().await, Vec::<String>::new());
    unlock(&books).await;
    let usage = transaction(&books, "usage").await;
    let period = format!("budget_periods {}/{today}: ", id(200));
    let usage = format!("ledger_transactions {usage}: ");
    numbers_that_are_kept(&books, &period, &usage).await;
    receipts_and_entries(&books, &period, &usage).await;
    books.database.drop(books.store).await;
}

/// The customer's account, and all of them together.
fn accounts() -> [String; 2] {
    [format!("ledger_accounts {}: ", id(ACCOUNT)), "ledger_accounts all: ".to_owned()]
}

async fn numbers_that_are_kept(books: &Books, period: &str, usage: &str) {
    let [account, all] = accounts();
    let [account, all] = [account.as_str(), all.as_str()];
    let promo = format!("ledger_accounts {}: ", Uuid::from_u128(4));
    // The column, what it is made, what it was, and what is named.
    let customers = "ledger_accounts SET {} WHERE kind = 'customer'";
    let cases: [(&str, [&str; 2], &[&str]); 9] = [
        (customers, ["posted = posted + 1", "posted = posted - 1"], &[account, all]),
        (
            "ledger_accounts SET {} WHERE kind = 'promo'",
            ["posted = 1", "posted = 0"],
            &[&promo, all],
        ),
        (customers, ["leased = leased - 1", "leased = leased + 1"], &[account]),
        (customers, ["floor = 1000", "floor = 0"], &[account]),
        ("budget_periods SET {}", ["used = used - 1", "used = used + 1"], &[period]),
        ("budget_periods SET {}", ["ceiling = 99", "ceiling = 500"], &[period]),
        ("budget_periods SET {}", ["ceiling = 499", "ceiling = 500"], &[period]),
        ("budget_periods SET {}", ["leased = leased + 1", "leased = leased - 1"], &[period]),
        (
            "ledger_transactions SET {} WHERE kind = 'usage'",
            ["reason = 'x'", "reason = ''"],
            &[usage],
        ),
    ];
    for (table, changes, named) in cases {
        let [change, back] =
            changes.map(|change| format!("UPDATE tollgate.{}", table.replace("{}", change)));
        tampered(books, &change, &back, named).await;
    }
}

async fn receipts_and_entries(books: &Books, period: &str, usage: &str) {
    let [account, all] = accounts();
    let slice = format!("slices {}/1/{}: ", id(REPLICA), id(ACCOUNT));
    let spent = |pico: i64| {
        format!("UPDATE tollgate.slices SET spent = {pico} WHERE scope_kind = 'account'")
    };
    tampered(books, &spent(101), &spent(60), &[&slice, &account]).await;
    let receipt = format!("receipts {}/1: ", held(1, 40, &[]).request_id);
    let cost = |pico: i64| format!("UPDATE tollgate.receipts SET cost = {pico} WHERE charge = 40");
    tampered(books, &cost(35), &cost(36), &[&receipt, usage]).await;
    let bound =
        |pico: i64| format!("UPDATE tollgate.receipts SET bound = {pico} WHERE charge = 40");
    tampered(books, &bound(39), &bound(40), &[&receipt]).await;
    // As right by itself as before, but not what was posted.
    let charge = |charge: i64, cost: i64| {
        format!(
            "UPDATE tollgate.receipts SET charge = {charge}, cost = {cost} WHERE commission = 4"
        )
    };
    tampered(books, &charge(39, 35), &charge(40, 36), &[usage, period, &all]).await;
    let amount = |from: i64, to: i64| {
        format!("UPDATE tollgate.ledger_entries SET amount = {to} WHERE amount = {from}")
    };
    tampered(books, &amount(-60, -59), &amount(-59, -60), &[usage, &account]).await;
    // Last, since nothing brings it back.
    books.database.shell("DELETE FROM tollgate.receipts WHERE charge = 20").await.unwrap();
    named(books, "a receipt is gone", &[usage, period, &all]).await;
}

async fn tampered(books: &Books, change: &str, back: &str, expected: &[&str]) {
    let sqlite = books.store.engine_name() == "SQLite";
    let prefix = if sqlite { "PRAGMA ignore_check_constraints = ON; " } else { "" };
    let changed = books.database.shell(&format!("{prefix}{change}")).await.unwrap();
    assert!(changed > 0, "{change}");
    named(books, change, expected).await;
    books.database.shell(&format!("{prefix}{back}")).await.unwrap();
    assert_eq!(books.faults().await, Vec::<String>::new(), "{back}");
}

/// Every one of `expected` is named, and nothing else.
async fn named(books: &Books, change: &str, expected: &[&str]) {
    let faults = books.faults().await;
    for name in expected {
        assert!(faults.iter().any(|fault| fault.starts_with(*name)), "{change}: {faults:#?}");
    }
    for fault in &faults {
        assert!(expected.iter().any(|name| fault.starts_with(*name)), "{change}: {fault}");
    }
}
