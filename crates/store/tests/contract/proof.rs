//! Whoever changes what people have written into the books is found out, and where: with SQL, and whatever keeps the tables as
//! they are taken away first.

use ledger::{BudgetPeriod, Signer};
use store::{ActAudit, Adjustment, AdjustmentKind, AuditFault, Head, HeadOf, Store};

use crate::common::{TestDatabase, id, new_user, rich_catalogue};
use crate::money::{
    ACCOUNT, Books, NOW, REPLICA, budget_of, credit_of, held, on_both, signer, usd,
};

on_both!(
    what_people_write_is_proved,
    what_was_there_before_is_proved_from_then_on,
    a_missing_guard_is_named
);

/// What was found, and the faults.
async fn audit(store: &Store, expected: &[Head]) -> (ActAudit, Vec<String>) {
    let mut faults = Vec::new();
    let seals = store.verify_seals(|fault| faults.push(fault)).await.unwrap();
    let look = |fault: AuditFault| faults.push(fault.to_string());
    let trusts = |key: &[u8; 32]| *key == signer().public_key();
    let found = store.verify_acts(&seals, expected, trusts, look).await.unwrap();
    (found, faults)
}

/// Everything that people do to the books once, and usage of which the house pays a part.
async fn written(database: TestDatabase) -> Books {
    let mut books = Books::open(database).await;
    let store = books.store.clone();
    books.add_credit(100, 1_000, None).await;
    books.add_credit(101, 50, Some(NOW + 1)).await;
    books.set_budget(200, 5_000).await;
    let catalogue = rich_catalogue();
    for version in ["1", "2"] {
        let sha256 = version.repeat(64);
        store.add_price_version("a list", "", &sha256, &catalogue, NOW).await.unwrap();
    }
    let note = Adjustment {
        id: id(300),
        account_id: id(ACCOUNT),
        amount: usd(-10),
        kind: AdjustmentKind::Adjustment,
        corrects: Some(id(100)),
        actor: "ada".to_owned(),
        reason: "a mistake".to_owned(),
        at: NOW,
    };
    assert!(store.adjust(note).await.unwrap());
    let scopes = [credit_of(ACCOUNT), budget_of(200, BudgetPeriod::Day.start(NOW))];
    for scope in scopes {
        books.grant(scope, 100, 100).await;
    }
    books.apply(&[held(1, 40, &scopes)]).await;
    // Of what nobody had set aside a part is not there.
    let applied = books.apply(&[held(2, 5_000, &[])]).await;
    assert_eq!(applied.absorbed.len(), 1);
    books.set_budget(200, 4_000).await;
    assert_eq!(store.expire_credit(NOW + 2).await.unwrap(), usd(0));
    books
}

/// Takes away what keeps the tables as they are.
async fn unlock(books: &Books) {
    let guarded = [
        "act_proofs",
        "audit_log",
        "ledger_transactions",
        "ledger_entries",
        "price_versions",
        "models",
        "prices",
        "seals",
    ];
    for table in guarded {
        let statement = if books.store.engine_name() == "SQLite" {
            format!("DROP TRIGGER {table}_no_update; DROP TRIGGER {table}_no_delete")
        } else {
            format!("ALTER TABLE tollgate.{table} DISABLE TRIGGER USER")
        };
        books.database.shell(&statement).await.unwrap();
    }
}

/// An id as the engine writes it.
fn literal(books: &Books, number: u128) -> String {
    let id = id(number);
    if books.store.engine_name() == "SQLite" {
        format!("x'{}'", id.simple())
    } else {
        format!("'{id}'::uuid")
    }
}

/// What is done, how it is taken back, and how the faults begin that it leaves.
#[expect(clippy::too_many_lines, reason = "a list")]
fn cases(books: &Books) -> Vec<(String, String, Vec<String>)> {
    let at = |number| literal(books, number);
    let set = |table: &str, [change, back]: [&str; 2], row: &str, faults: &[String]| {
        let statement = |what| format!("UPDATE tollgate.{table} SET {what} WHERE {row}");
        (statement(change), statement(back), faults.to_vec())
    };
    let row = |table: &str, number| format!("{table} {}: it is not what act ", id(number));
    let of = |number| format!("id = {}", at(number));
    let audit = |number: i64| format!("audit_log {number}: it is not what was written");
    let versions = |version: i64| format!("price_versions {version}: it is not what act ");
    let price = |what: &str| format!("UPDATE tollgate.prices SET {what} AND version_id = 2");
    vec![
        set(
            "ledger_transactions",
            ["reason = 'x'", "reason = 'a test'"],
            &of(100),
            &[row("ledger_transactions", 100)],
        ),
        set(
            "ledger_entries",
            ["amount = amount * 2", "amount = amount / 2"],
            &format!("tx_id = {}", at(100)),
            &[row("ledger_transactions", 100)],
        ),
        set(
            "credit_grants",
            ["amount = 1001", "amount = 1000"],
            &of(100),
            &[row("credit_grants", 100)],
        ),
        set(
            "credit_grants",
            ["expires_at = expires_at + 9", "expires_at = expires_at - 9"],
            &of(101),
            &[row("credit_grants", 101)],
        ),
        set(
            "budgets",
            ["limit_pico = 9000", "limit_pico = 4000"],
            &of(200),
            &[row("budgets", 200)],
        ),
        set("budgets", ["removed_at = 5", "removed_at = NULL"], &of(200), &[row("budgets", 200)]),
        set(
            "ledger_accounts",
            ["floor = -1000", "floor = 0"],
            &of(ACCOUNT),
            &[row("ledger_accounts", ACCOUNT)],
        ),
        (
            price("unit_price = 9223372036854775806 WHERE unit_price = 9223372036854775807"),
            price("unit_price = 9223372036854775807 WHERE unit_price = 9223372036854775806"),
            vec![versions(2)],
        ),
        set(
            "models",
            ["info = info || ' '", "info = substr(info, 1, length(info) - 1)"],
            "version_id = 1",
            &[versions(1)],
        ),
        set("price_versions", ["note = 'x'", "note = ''"], "id = 1", &[versions(1)]),
        set("audit_log", ["actor = 'eve'", "actor = 'tollgate'"], "number = 3", &[audit(3)]),
        set(
            "audit_log",
            ["detail = detail || ' '", "detail = substr(detail, 1, length(detail) - 1)"],
            "number = 2",
            &[audit(2)],
        ),
        set(
            "act_proofs",
            ["signature = NULL, public_key = NULL", "signature = signature"],
            "number = 0",
            &[],
        ),
    ]
}

async fn what_people_write_is_proved(database: TestDatabase) {
    let books = written(database).await;
    let (clean, faults) = audit(&books.store, &[]).await;
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(clean.keys, [(signer().public_key(), 1)].into());
    let head = clean.head.unwrap();
    assert_eq!((head.of, head.number, clean.acts), (HeadOf::Acts, clean.acts, clean.acts));
    assert_eq!(head.to_string().parse(), Ok(head));
    assert_eq!(audit(&books.store, &[head]).await, (clean.clone(), vec![]));
    unlock(&books).await;
    for (change, back, expected) in cases(&books) {
        books.database.shell(&change).await.unwrap();
        let (_, faults) = audit(&books.store, &[]).await;
        assert_eq!(faults.len(), expected.len(), "{change}: {faults:#?}");
        for (fault, start) in faults.iter().zip(&expected) {
            assert!(fault.starts_with(start), "{change}: {fault}, not {start}");
        }
        books.database.shell(&back).await.unwrap();
        assert_eq!(audit(&books.store, &[]).await, (clean.clone(), vec![]), "{back}");
    }
    forged(&books).await;
    removed(&books, head).await;
    books.database.drop(books.store).await;
}

/// Faults that begin like these, and no others.
async fn found(books: &Books, expected: &[String]) {
    let (_, faults) = audit(&books.store, &[]).await;
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, start) in faults.iter().zip(expected) {
        assert!(fault.starts_with(start), "{fault}, not {start}");
    }
}

/// Rows that nobody has written, each with everything that belongs to it.
async fn forged(books: &Books) {
    let (at, account) = (literal(books, 900), literal(books, ACCOUNT));
    let shell = async |statement: &str| books.database.shell(statement).await.unwrap();
    let cash = "(SELECT id FROM tollgate.ledger_accounts WHERE kind = 'cash')";
    shell(&format!(
        "INSERT INTO tollgate.ledger_transactions SELECT {at}, kind, corrects, actor, reason, content_hash, created_at \
         FROM tollgate.ledger_transactions WHERE id = {}; \
         INSERT INTO tollgate.ledger_entries VALUES ({at}, 1, {account}, 1000), ({at}, 2, {cash}, -1000); \
         INSERT INTO tollgate.credit_grants SELECT {at}, account_id, source, amount, remaining, expires_at, created_at, ended \
         FROM tollgate.credit_grants WHERE id = {}; \
         UPDATE tollgate.ledger_accounts SET posted = posted + 1000 WHERE id = {account}",
        literal(books, 100),
        literal(books, 100),
    ))
    .await;
    let (transaction, grant) = (
        format!("ledger_transactions {}: no act", id(900)),
        format!("credit_grants {}: no act", id(900)),
    );
    found(books, &[transaction.clone(), grant.clone()]).await;
    assert_eq!(books.faults().await, Vec::<String>::new(), "it adds up");
    // By somebody without the key who knows how it is done, and by somebody with a key of his own.
    let stranger = books.store.signing(Signer::from_secret(&[9; 32]));
    stranger.add_user(new_user(400, "eve")).await.unwrap();
    let number = books.store.acts(&store::ActFilter::default(), None, 1).await.unwrap()[0].number;
    let strange = format!("act_proofs {number}: it is signed by a key that is not trusted");
    found(books, &[strange.clone(), transaction.clone(), grant.clone()]).await;
    let unsigned = books.database.open().await;
    unsigned.add_user(new_user(404, "mallory")).await.unwrap();
    unsigned.close().await;
    let no_key = format!("act_proofs {}: it is not signed", number + 1);
    found(books, &[strange, no_key, transaction, grant]).await;
    shell(&format!(
        "DELETE FROM tollgate.credit_grants WHERE id = {at}; DELETE FROM tollgate.ledger_entries WHERE tx_id = {at}; \
         DELETE FROM tollgate.ledger_transactions WHERE id = {at}; \
         UPDATE tollgate.ledger_accounts SET posted = posted - 1000 WHERE id = {account}; \
         DELETE FROM tollgate.act_proofs WHERE number >= {number}; DELETE FROM tollgate.audit_log WHERE number >= {number}"
    ))
    .await;
    let accounts = [401, 405].map(|account| literal(books, account)).join(", ");
    shell(&format!("DELETE FROM tollgate.ledger_accounts WHERE id IN ({accounts})")).await;
    found(books, &[]).await;
}

/// What is taken away is missed: from the middle by its neighbours, from the end by whoever has seen it.
async fn removed(books: &Books, head: Head) {
    let shell = async |statement: &str| books.database.shell(statement).await.unwrap();
    for table in ["audit_log", "act_proofs"] {
        shell(&format!("CREATE TABLE tollgate.{table}_kept AS SELECT * FROM tollgate.{table}"))
            .await;
    }
    let back = async |table: &str| {
        shell(&format!(
            "DELETE FROM tollgate.{table}; INSERT INTO tollgate.{table} SELECT * FROM tollgate.{table}_kept"
        ))
        .await;
    };
    shell("DELETE FROM tollgate.audit_log WHERE number = 3").await;
    found(books, &["audit_log 3: it is missing: its proof is there".to_owned()]).await;
    back("audit_log").await;
    shell("DELETE FROM tollgate.act_proofs WHERE number = 2").await;
    let expected = [
        "audit_log 2: it has no proof".to_owned(),
        "act_proofs 3: it does not name the one before".to_owned(),
        format!("ledger_accounts {}: no act", id(ACCOUNT)),
    ];
    let (_, faults) = audit(&books.store, &[]).await;
    assert!(
        faults[0].starts_with(&expected[0]) && faults[1].starts_with(&expected[1]),
        "{faults:#?}"
    );
    back("act_proofs").await;
    // The end of both: a seal has seen what was before it, and of the rest whoever has written its head down.
    let last = head.number;
    let cut = |from: u64| {
        format!(
            "DELETE FROM tollgate.audit_log WHERE number >= {from}; DELETE FROM tollgate.act_proofs WHERE number >= {from}"
        )
    };
    shell(&cut(last)).await;
    let (_, faults) = audit(&books.store, &[head]).await;
    let pinned = format!("act_proofs {last}: it is not the one that was expected");
    assert!(faults.contains(&pinned), "{faults:#?}");
    shell(&cut(last - 1)).await;
    let (_, faults) = audit(&books.store, &[]).await;
    let seal = format!(
        "act_proofs {}: it is not there as seals: seal 1 of replica {}",
        last - 1,
        id(REPLICA)
    );
    assert!(faults.iter().any(|fault| fault.starts_with(&seal)), "{faults:#?}");
    for table in ["audit_log", "act_proofs"] {
        back(table).await;
    }
    // And the other way round: who has written into the books last has seen the seals until then.
    shell("CREATE TABLE tollgate.seals_kept AS SELECT * FROM tollgate.seals").await;
    shell("DELETE FROM tollgate.seals WHERE number = 2").await;
    let (_, faults) = audit(&books.store, &[]).await;
    let seen = format!("seals {}/2: it is not there as act {last} has seen it", id(REPLICA));
    assert!(faults.contains(&seen), "{faults:#?}");
    shell("INSERT INTO tollgate.seals SELECT * FROM tollgate.seals_kept WHERE number = 2").await;
    found(books, &[]).await;
}

/// Books of before there was a proof are taken as they are, once.
async fn what_was_there_before_is_proved_from_then_on(database: TestDatabase) {
    let books = written(database).await;
    unlock(&books).await;
    let shell = async |statement: &str| books.database.shell(statement).await.unwrap();
    // As the step before had left it.
    shell("DROP TABLE tollgate.act_proofs").await;
    shell("DROP INDEX tollgate.budgets_by_age").await;
    for column in ["acts", "acts_hash", "absorbed"] {
        shell(&format!("ALTER TABLE tollgate.seals DROP COLUMN {column}")).await;
    }
    shell("DELETE FROM tollgate.seals").await;
    shell("DELETE FROM tollgate.schema_migrations WHERE version = 12").await;
    let store = books.database.open().await.signing(signer());
    assert_eq!(store.migrate(NOW).await.unwrap(), 1);
    let faults = async || {
        let seals = store.verify_seals(|_| {}).await.unwrap();
        let mut faults = Vec::new();
        let look = |fault: AuditFault| faults.push(fault.to_string());
        store.verify_acts(&seals, &[], |_| true, look).await.unwrap();
        faults
    };
    assert_eq!(faults().await, Vec::<String>::new());
    shell("UPDATE tollgate.audit_log SET actor = 'eve' WHERE number = 2").await;
    shell(&format!(
        "UPDATE tollgate.credit_grants SET amount = 1001 WHERE id = {}",
        literal(&books, 100)
    ))
    .await;
    let found = faults().await;
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!(found[0], "audit_log 2: it is not what it was");
    assert!(
        found[1].starts_with(&format!("credit_grants {}: it is not what act ", id(100))),
        "{found:#?}"
    );
    store.close().await;
    books.database.drop(books.store).await;
}

async fn schema_faults(store: &Store) -> Vec<String> {
    let mut faults = Vec::new();
    store.verify_schema(|fault| faults.push(fault.to_string())).await.unwrap();
    faults
}

async fn a_missing_guard_is_named(database: TestDatabase) {
    let store = database.open().await;
    store.migrate(1).await.unwrap();
    let is_sqlite = store.engine_name() == "SQLite";
    let faults = schema_faults(&store).await;
    let schema = store.schema().await.unwrap().join("\n");
    assert_eq!(
        faults,
        Vec::<String>::new(),
        "crates/store/src/schema.postgres.txt is to be:\n{schema}"
    );
    let cases: &[(&str, &str)] = if is_sqlite {
        &[
            (
                "DROP TRIGGER prices_no_update",
                "schema trigger prices.prices_no_update: it is missing",
            ),
            (
                "CREATE TRIGGER mine AFTER INSERT ON ledger_entries BEGIN SELECT 1; END",
                "schema trigger ledger_entries.mine: this program has not made it",
            ),
            (
                "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = \
                 replace(sql, 'CHECK (used + leased <= ceiling),', '') WHERE name = 'budget_periods'",
                "schema table budget_periods: it is not what this program has made",
            ),
        ]
    } else {
        &[
            (
                "ALTER TABLE tollgate.prices DISABLE TRIGGER prices_append_only",
                "schema trigger prices.prices_append_only: it is not what this program has made",
            ),
            (
                "DROP TRIGGER receipts_append_only ON tollgate.receipts",
                "schema trigger receipts.receipts_append_only: it is missing",
            ),
            (
                "ALTER TABLE tollgate.receipts DROP CONSTRAINT receipts_sum",
                "schema constraint receipts.receipts_sum: it is missing",
            ),
            (
                "CREATE OR REPLACE FUNCTION tollgate.refuse_change() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RETURN NULL; END $$",
                "schema function refuse_change: it is not what this program has made",
            ),
        ]
    };
    for (statement, expected) in cases {
        database.shell(statement).await.unwrap();
        let faults = schema_faults(&store).await;
        assert!(faults.iter().any(|fault| fault == expected), "{statement}: {faults:#?}");
    }
    database.drop(store).await;
}
