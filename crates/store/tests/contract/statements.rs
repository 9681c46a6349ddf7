//! The receipts of an account for its bill, and an answer by its provider's id.

use ledger::{Content, Receipt};
use store::{Period, Store, StoreError, Stored};
use uuid::Uuid;

use crate::common::{TestDatabase, id, receipt};

/// More than two pages of them.
const MANY: u128 = 2_500;

/// Every third is another account's.
fn written(number: u128) -> Receipt {
    let account_id = if number.is_multiple_of(3) { id(77) } else { id(2) };
    let upstream_id = Some(format!("chatcmpl-{}", number / 2));
    Receipt { account_id, upstream_id, ..receipt(number, id(0), id(5), 1_000, 50) }
}

async fn of_account(store: &Store, account: Uuid, period: Period) -> Vec<Stored> {
    let mut found = Vec::new();
    let seen = store.for_each_of_account(account, period, |stored| found.push(stored)).await;
    assert_eq!(seen.unwrap(), found.len() as u64);
    found
}

async fn statements(database: TestDatabase, tamper: &str) {
    let store = database.open().await;
    store.migrate(0).await.unwrap();
    // In another order than that of their ids.
    let all: Vec<Receipt> = (0..MANY).rev().map(written).collect();
    for batch in all.chunks(1_000) {
        crate::common::insert(&store, batch).await.unwrap();
    }
    let expected = |account, from: u128, to: u128| -> Vec<Receipt> {
        (from..to).map(written).filter(|receipt| receipt.account_id == account).collect()
    };
    for account in [id(2), id(77), id(1)] {
        let found = of_account(&store, account, Period::ALL).await;
        for stored in &found {
            let content = Content::of(&stored.receipt, &stored.report).unwrap();
            assert_eq!(content.hash(), stored.content_hash);
        }
        let receipts: Vec<Receipt> = found.into_iter().map(|stored| stored.receipt).collect();
        assert_eq!(receipts, expected(account, 0, MANY));
    }
    let start = |number| written(number).started_at;
    let found = of_account(&store, id(2), Period { from: start(100), to: start(1_200) }).await;
    let receipts: Vec<Receipt> = found.into_iter().map(|stored| stored.receipt).collect();
    assert_eq!(receipts, expected(id(2), 100, 1_200));

    // Two answers of one name, of one account each: 2 and 3.
    for (account, number) in [(id(2), 2), (id(77), 3)] {
        let found = store.receipt_of_upstream(id(0), account, "chatcmpl-1").await.unwrap();
        assert_eq!(found, Some(written(number)));
    }
    // 4 and 5 are of the same account: the newer one.
    let found = store.receipt_of_upstream(id(0), id(2), "chatcmpl-2").await.unwrap();
    assert_eq!(found, Some(written(5)));
    for (user, account, name) in
        [(id(9), id(2), "chatcmpl-1"), (id(0), id(1), "chatcmpl-1"), (id(0), id(2), "chatcmpl-x")]
    {
        assert_eq!(store.receipt_of_upstream(user, account, name).await.unwrap(), None);
    }

    database.shell(tamper).await.unwrap();
    database
        .shell("UPDATE tollgate.receipts SET surface = 'else' WHERE cost = 1000")
        .await
        .unwrap();
    let mut seen = 0;
    let corrupt = store.for_each_of_account(id(2), Period::ALL, |_| seen += 1).await;
    assert!(matches!(corrupt, Err(StoreError::Corrupt { .. })), "{corrupt:?}");
    assert_eq!(seen, 0);
    database.drop(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_on_sqlite() {
    statements(TestDatabase::sqlite(), "DROP TRIGGER receipts_no_update").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_on_postgres() {
    if let Some(database) = TestDatabase::postgres("statements").await {
        let tamper = "ALTER TABLE tollgate.receipts DISABLE TRIGGER receipts_append_only";
        statements(database, tamper).await;
    }
}
