//! What people write into the books is proved: whoever changes, adds or removes a row past the program is found out by
//! `tollgate verify`, and the row is named.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::app::{App, Start};
use crate::books::Books;
use crate::chat::say;

#[tokio::test]
async fn what_is_written_past_the_program_is_named() {
    named(Books::sqlite()).await;
}

#[tokio::test]
async fn what_is_written_past_the_program_is_named_on_postgres() {
    if let Some(books) = Books::postgres("proof").await {
        named(books).await;
    }
}

/// Runs `verify`, which has to fail, and returns its faults.
async fn faults(books: &Books, more: &[&str]) -> Vec<String> {
    let output = books.try_cli(&[&["verify", "--json"], more].concat()).await;
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &told["clean"]), (Some(1), &json!(false)), "{told}");
    let faults = told["examples"].as_array().expect("a list").iter();
    faults.map(|fault| fault.as_str().expect("text").to_owned()).collect()
}

/// A statement past the guards of a table, which are back afterwards.
async fn past(books: &Books, table: &str, statement: &str) {
    if books.url.starts_with("sqlite") {
        // Else nothing would be left to compare: the guards are part of the books.
        let guard = |when: &str| {
            format!(
                "CREATE TRIGGER {table}_no_{} BEFORE {when} ON {table}\nBEGIN SELECT RAISE(ABORT, '{table} is append-only'); END",
                when.to_lowercase()
            )
        };
        let drop = format!("DROP TRIGGER {table}_no_update; DROP TRIGGER {table}_no_delete");
        let (update, delete) = (guard("UPDATE"), guard("DELETE"));
        books.shell(&format!("{drop}; {statement}; {update}; {delete}")).await;
    } else {
        let set = |on: &str| format!("ALTER TABLE tollgate.{table} {on} TRIGGER USER");
        let (off, on) = (set("DISABLE"), set("ENABLE"));
        books.shell(&format!("{off}; {statement}; {on}")).await;
    }
}

/// Changes past the program, and how each is taken back: a table, what is set, what undoes it, in which rows.
const CHANGES: [(&str, &str, &str, &str); 6] = [
    ("ledger_transactions", "reason = 'a gift'", "reason = ''", "kind = 'top_up'"),
    ("price_versions", "note = note || '.'", "note = substr(note, 1, length(note) - 1)", "id = 1"),
    ("audit_log", "actor = 'eve'", "actor = 'the command line'", "action = 'credit.add'"),
    ("credit_grants", "amount = amount + 1", "amount = amount - 1", "amount > 0"),
    ("budgets", "limit_pico = limit_pico + 1", "limit_pico = limit_pico - 1", "removed_at IS NULL"),
    ("ledger_accounts", "floor = floor - 1", "floor = floor + 1", "kind = 'customer'"),
];

async fn named(books: Books) {
    let mut app = App::start_on(books, Start::default()).await;
    app.books.cli(&["credit", "add", "--user", crate::app::USER, "--usd", "10"]).await;
    let budget = ["--user", crate::app::USER, "--period", "total", "--usd", "5"];
    app.books.cli(&[&["budget", "set"][..], &budget].concat()).await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    app.kill().await;
    let books = &app.books;
    let proof = books.audit().await["proof"].take();
    let heads = proof["heads"].as_array().expect("a list").clone();
    assert_eq!(heads.len(), 2, "{proof}");
    let head = heads[0].as_str().expect("text");
    assert!(head.starts_with("acts:"), "{proof}");
    let keys = proof["public_keys"].as_array().expect("a list");
    assert_eq!((keys.len(), &keys[0]["known"]), (1, &json!(true)), "{proof}");
    books.cli(&["verify", "--expect", head, "--trust", &"0".repeat(64)]).await;

    let change = async |table: &str, set: &str, row: &str| {
        let statement = format!("UPDATE tollgate.{table} SET {set} WHERE {row}");
        if ["ledger_transactions", "price_versions", "audit_log"].contains(&table) {
            past(books, table, &statement).await;
        } else {
            books.shell(&statement).await;
        }
    };
    for (table, set, _, row) in CHANGES {
        change(table, set, row).await;
    }
    let found = faults(books, &[]).await;
    for (table, ..) in CHANGES {
        assert!(found.iter().any(|fault| fault.starts_with(table)), "{table}: {found:#?}");
    }
    for (table, _, back, row) in CHANGES {
        change(table, back, row).await;
    }
    books.audit().await;

    // A guard that is gone is named, and so is an end that is gone, by whoever knows where it was.
    let newest = "(SELECT MAX(number) FROM tollgate.act_proofs)";
    for table in ["audit_log", "act_proofs"] {
        let cut = format!("DELETE FROM tollgate.{table} WHERE number = {newest}");
        past(books, table, &cut).await;
    }
    let (drop, fault) = if books.url.starts_with("sqlite") {
        ("DROP TRIGGER prices_no_update", "schema trigger prices.prices_no_update: it is missing")
    } else {
        (
            "DROP TRIGGER prices_append_only ON tollgate.prices",
            "schema trigger prices.prices_append_only: it is missing",
        )
    };
    books.shell(drop).await;
    let found = faults(books, &["--expect", head]).await;
    let is_pinned = |fault: &String| fault.ends_with("it is not the one that was expected");
    assert!(found.iter().any(is_pinned), "{found:#?}");
    assert!(found.iter().any(|found| found == fault), "{found:#?}");
    app.books.remove().await;
}

/// Books, journals and keys are their owner's alone, whatever the shell says.
#[tokio::test]
async fn nobody_else_can_read_the_books() {
    let mut app = App::start().await;
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    let root = app.books.folder.path().to_owned();
    let mode =
        |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    for file in
        ["tollgate.db", "tollgate.db-wal", "tollgate-data/signing.key", "tollgate-data/1/replica"]
    {
        assert_eq!(mode(&root.join(file)), 0o600, "{file}");
    }
    for folder in ["tollgate-data", "tollgate-data/1"] {
        assert_eq!(mode(&root.join(folder)), 0o700, "{folder}");
    }
    let inside = std::fs::read_dir(root.join("tollgate-data/1")).expect("a folder");
    for file in inside.map(|entry| entry.expect("an entry").path()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(root.join("tollgate-data"), open).expect("it is ours");
    let told = app.books.try_cli(&["doctor", "--json"]).await.stdout;
    let told = String::from_utf8(told).expect("text");
    assert!(told.contains("tollgate-data is open to others (mode 755)"), "{told}");
    app.finish().await;
}
