//! The story.

use crate::common::{
    TestDatabase, id, insert, new_key, new_user, python_sums, receipt, rich_catalogue,
};
use ledger::{BudgetPeriod, Catalogue, Receipt, Signer, Usd};
use store::{
    Batch, BillRow, By, Cursor, Entry, NewKey, NewUser, Payer, Period, Store, StoreError, Sums,
    Whose,
};
use uuid::Uuid;

pub(crate) async fn story(database: TestDatabase, many: usize) {
    let store = database.open().await;
    assert!(["SQLite", "PostgreSQL"].contains(&store.engine_name()));
    assert_eq!(store.migrate(1).await.unwrap(), 17);
    assert_eq!(store.migrate(2).await.unwrap(), 0, "a second time does nothing");

    users(&store).await;
    keys(&store).await;
    prices(&store).await;
    other_replicas_hear_of_it(&database, &store).await;
    receipts(&store).await;
    pages(&store).await;
    reports(&store).await;
    nothing_can_be_changed(&database, &store).await;
    journals_are_applied_once(&store).await;
    sums_are_exact(&store, many).await;
    store.audit(|fault| panic!("{fault}")).await.unwrap();
    only_hashes(&database).await;
    a_newer_schema_is_refused(&database).await;
    database.drop(store).await;
}

async fn users(store: &Store) {
    let before = store.revision().await.unwrap();
    let ada = store.add_user(new_user(0, "ada")).await.unwrap();
    let bob = store.add_user(new_user(11, "bob")).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), before + 2);
    assert!(ada.operator && !bob.operator);
    assert_eq!((ada.id, ada.account_id), (id(0), id(1)));
    assert_eq!(store.user("ada").await.unwrap(), ada);
    assert_eq!(store.users().await.unwrap(), [ada, bob]);
    let twice = store.add_user(NewUser { id: id(99), ..new_user(0, "ada") }).await;
    assert!(matches!(twice, Err(StoreError::Duplicate { what: "user" })), "{twice:?}");
    let nobody = store.user("Ada").await;
    assert!(matches!(nobody, Err(StoreError::NotFound { what: "user" })), "{nobody:?}");
    assert_eq!(store.revision().await.unwrap(), before + 2, "what failed changed nothing");
}

async fn keys(store: &Store) {
    let before = store.revision().await.unwrap();
    let rich = NewKey {
        expires_at: Some(5),
        budget: Some((BudgetPeriod::Total, Usd::DOLLAR)),
        models: Some(vec!["openai/gpt-4o".to_owned(), "a \"b\"".to_owned()]),
        ..new_key(21, "ada")
    };
    let first = store.add_key(rich.clone()).await.unwrap();
    assert_eq!((first.user_id, first.account_id, first.user.as_str()), (id(0), id(1), "ada"));
    assert_eq!((first.budget, &first.models), (Some(Usd::DOLLAR), &rich.models));
    let second = store.add_key(new_key(22, "ada")).await.unwrap();
    let third = store.add_key(new_key(23, "bob")).await.unwrap();
    assert_eq!(store.keys_of(id(0)).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.all_keys().await.unwrap(), [first.clone(), second, third.clone()]);
    let twice = store.add_key(NewKey { id: id(77), ..new_key(22, "bob") }).await;
    assert!(matches!(twice, Err(StoreError::Duplicate { what: "key" })), "{twice:?}");
    let orphan = store.add_key(new_key(24, "nobody")).await;
    assert!(matches!(orphan, Err(StoreError::NotFound { what: "user" })), "{orphan:?}");
    assert_eq!(store.revision().await.unwrap(), before + 3);

    let bobs = Whose::Users(id(11));
    let foreign = store.revoke_key(bobs, id(21), 9).await;
    assert!(matches!(foreign, Err(StoreError::NotFound { what: "key" })), "{foreign:?}");
    let foreign = store.key_by_hash(bobs, &first.hash).await;
    assert!(matches!(foreign, Err(StoreError::NotFound { what: "key" })), "{foreign:?}");
    let unknown = store.key_by_hash(Whose::Anybodys, &"0".repeat(64)).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "key" })), "{unknown:?}");
    assert!(store.revoke_key(Whose::Users(id(0)), id(21), 9).await.unwrap());
    assert!(!store.revoke_key(Whose::Anybodys, id(21), 10).await.unwrap());
    let found = store.key_by_hash(Whose::Users(third.user_id), &third.hash).await.unwrap();
    assert!(store.revoke_key(Whose::Accounts(third.account_id), found.id, 11).await.unwrap());
    assert_eq!(store.revision().await.unwrap(), before + 5);

    store.touch_keys(&[(id(22), 50), (id(21), 60), (id(22), 40), (id(555), 1)]).await.unwrap();
    let keys = store.all_keys().await.unwrap();
    let times: Vec<_> = keys.iter().map(|key| (key.revoked_at, key.last_used_at)).collect();
    assert_eq!(times, [(Some(9), Some(60)), (None, Some(50)), (Some(11), None)]);
    assert_eq!(store.revision().await.unwrap(), before + 5, "a use is no change");
}

async fn prices(store: &Store) {
    assert_eq!(store.latest_price_version().await.unwrap(), None);
    let catalogue = rich_catalogue();
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    let first = store.add_price_version("file.csv", "first", &one, &catalogue, 5).await.unwrap();
    let empty = Catalogue::default();
    let second = store.add_price_version("none", "", &two, &empty, 6).await.unwrap();
    let revision = store.revision().await.unwrap();
    let again = store.add_price_version("other", "", &one, &catalogue, 7).await.unwrap();
    assert_eq!((first, second, again), (1, 2, 1));
    assert_eq!(store.revision().await.unwrap(), revision);
    assert_eq!(store.catalogue(first).await.unwrap(), catalogue);
    assert_eq!(store.catalogue(second).await.unwrap(), empty);
    let versions = store.price_versions().await.unwrap();
    assert_eq!(versions.iter().map(|v| (v.id, v.models)).collect::<Vec<_>>(), [(1, 152), (2, 0)]);
    assert_eq!(store.latest_price_version().await.unwrap().as_ref(), versions.last());
    let none = store.catalogue(3).await;
    assert!(matches!(none, Err(StoreError::NotFound { what: "price version" })), "{none:?}");
}

async fn other_replicas_hear_of_it(database: &TestDatabase, store: &Store) {
    let other = database.open().await;
    other.migrate(3).await.unwrap();
    let before = other.revision().await.unwrap();
    store.add_user(new_user(31, "carol")).await.unwrap();
    assert_eq!(other.revision().await.unwrap(), before + 1);
    other.add_key(new_key(33, "carol")).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), before + 2);
    other.close().await;
}

async fn receipts(store: &Store) {
    let ada = |number| receipt(number, id(0), id(21), 1_000, 50);
    let batch: Vec<Receipt> = (0..90).map(ada).collect();
    assert_eq!(insert(store, &[]).await.unwrap(), 0);
    assert_eq!(insert(store, &batch).await.unwrap(), 90);
    let mut written = Vec::new();
    store.for_each_receipt(|receipt| written.push(receipt.unwrap())).await.unwrap();
    assert_eq!(written, batch);
    assert_eq!(insert(store, &batch).await.unwrap(), 0, "the same twice counts once");
    let overlapping: Vec<Receipt> = (85..95).chain([94]).map(ada).collect();
    assert_eq!(insert(store, &overlapping).await.unwrap(), 5);

    let other = Receipt { outcome: ledger::Outcome::Ok, ..ada(3) };
    let refused = insert(store, &[ada(95), other]).await;
    let conflict = id(0x1_0000_0003);
    assert!(
        matches!(refused, Err(StoreError::Conflict { request_id, attempt: 1 }) if request_id == conflict),
        "{refused:?}"
    );
    // Its neighbour may be written or not; given again by itself, it is there once.
    insert(store, &[ada(95)]).await.unwrap();
    assert_eq!(store.receipts_of_request(ada(95).request_id).await.unwrap(), [ada(95)]);
    let kept = store.receipts_of_request(conflict).await.unwrap();
    assert_eq!(kept, [ada(3)], "the first stays as it was");
    let differing = Receipt { ended_at: 0, ..ada(96) };
    let refused = insert(store, &[ada(96), differing]).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "within a batch too: {refused:?}");
    insert(store, &[ada(96)]).await.unwrap();
    let wrong = Receipt { charge: Usd::from_pico(1_051), ..ada(97) };
    let refused = insert(store, &[wrong]).await;
    assert!(matches!(refused, Err(StoreError::Database(_))), "{refused:?}");

    let retry = Receipt { attempt: 2, ..ada(0) };
    insert(store, std::slice::from_ref(&retry)).await.unwrap();
    assert_eq!(store.receipts_of_request(retry.request_id).await.unwrap(), [ada(0), retry]);
}

async fn pages(store: &Store) {
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = store.receipts_of_user(id(0), after, 10).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(Cursor::of(last));
        read.extend(page);
    }
    assert_eq!(read.len(), 98);
    assert!(read.windows(2).all(|pair| pair[0].started_at >= pair[1].started_at));
    let mut all = Vec::new();
    let seen = store.for_each_receipt(|receipt| all.push(receipt.unwrap())).await.unwrap();
    assert_eq!(seen, 98);
    all.reverse();
    assert_eq!(read, all);
}

async fn reports(store: &Store) {
    let carol: Vec<Receipt> =
        (200..210).map(|number| receipt(number, id(31), id(33), 7, 0)).collect();
    insert(store, &carol).await.unwrap();
    let sums = store.usage_of(Whose::Users(id(0))).await.unwrap();
    let expected = Sums {
        receipts: 98,
        input_tokens: 98 * 2 * 1_234,
        output_tokens: 98 * 2 * 560,
        cache_read: 98 * 400,
        cache_write_5m: 98 * 60,
        cache_write_1h: 98 * 8,
        reasoning: 98 * 120,
        cost: 98_000,
        commission: 4_900,
        charge: 102_900,
    };
    assert_eq!(sums, expected);
    assert_eq!(store.usage_of(Whose::Users(id(4_444))).await.unwrap(), Sums::default());
    assert_eq!(store.total().await.unwrap().cost, 98_070);

    let items = async |user, period, by| {
        let rows = store.usage_report(user, period, by).await.unwrap();
        let row = |row: store::UsageRow| (row.item, row.label, row.sums.receipts);
        rows.into_iter().map(row).collect::<Vec<_>>()
    };
    let text = str::to_owned;
    let ids = |number| id(number).to_string();
    let all = Period::ALL;
    let day = text("2025-06-15");
    assert_eq!(items(None, all, By::Day).await, [(day.clone(), day, 108)]);
    let models = [("openai/gpt-4o", 50), ("openai/o3", 48)].map(|(m, n)| (text(m), text(m), n));
    assert_eq!(items(Some(id(0)), all, By::Model).await, models);
    assert_eq!(
        items(Some(id(31)), all, By::Provider).await,
        [(text("openai"), text("openai"), 10)]
    );
    let keys = [(ids(21), text("key 21"), 98), (ids(33), text("key 33"), 10)];
    assert_eq!(items(None, all, By::Key).await, keys);
    let from = carol[8].started_at;
    let users = [(ids(31), text("carol"), 2)];
    assert_eq!(items(None, Period { from, to: i64::MAX }, By::User).await, users);
    assert!(items(None, Period { from: 0, to: 1 }, By::Day).await.is_empty());
    bills(store, &expected).await;
}

async fn bills(store: &Store, expected: &Sums) {
    let bill = store.bill(Payer::User(id(0)), Period::ALL).await.unwrap();
    let lines: Vec<_> = bill.iter().map(|BillRow { model, .. }| model.as_str()).collect();
    assert_eq!(lines, ["gpt-4o", "o3"]);
    let charge: i128 = bill.iter().map(|line| line.sums.charge).sum();
    assert_eq!(charge, expected.charge);
    let account = store.bill(Payer::Account(id(2)), Period::ALL).await.unwrap();
    assert_eq!(account.iter().map(|line| line.sums.cost).sum::<i128>(), 98_070);
    let early = Period { from: 0, to: 1 };
    assert!(store.bill(Payer::User(id(0)), early).await.unwrap().is_empty());
}

async fn nothing_can_be_changed(database: &TestDatabase, store: &Store) {
    let before = store.total().await.unwrap();
    for table in ["receipts", "price_versions", "models", "prices", "ledger_entries"] {
        let column = if table == "receipts" { "price_version" } else { "sha256" };
        let column = match table {
            "models" => "info",
            "prices" => "unit_price",
            "ledger_entries" => "amount",
            _ => column,
        };
        let mut statements = vec![
            format!("UPDATE tollgate.{table} SET {column} = {column}"),
            format!("DELETE FROM tollgate.{table}"),
        ];
        if store.engine_name() == "PostgreSQL" {
            statements.push(format!("TRUNCATE tollgate.{table} CASCADE"));
        }
        for statement in statements {
            let error = database.shell(&statement).await.unwrap_err().to_string();
            assert!(error.contains("append-only"), "{statement}: {error}");
        }
    }
    assert_eq!(store.total().await.unwrap(), before);
}

/// Journals of two replicas, one of which is applied by two at once, in other cuts: every receipt is there once, and a
/// cursor never goes back.
async fn journals_are_applied_once(store: &Store) {
    let before = store.total().await.unwrap();
    let (one, other) = (id(50), id(51));
    assert_eq!(store.replica(one).await.unwrap(), None);
    let unknown = store.apply(&batch(one, 0, 1, 1), &signer()).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "replica" })), "{unknown:?}");
    for replica in [one, other] {
        assert_eq!(store.begin_epoch(replica, 0, id(60), 5).await.unwrap(), 1);
    }
    let cursor = async |replica| store.replica(replica).await.unwrap().unwrap().cursor;
    assert_eq!(cursor(one).await, 0);
    let mut appliers = tokio::task::JoinSet::new();
    for size in [70, 35] {
        let store = store.clone();
        appliers.spawn(async move {
            for from in (0..700_u64).step_by(size) {
                store.apply(&batch(one, from, size as u64, 1), &signer()).await.unwrap();
            }
        });
    }
    appliers.join_all().await;
    assert_eq!(store.apply(&batch(one, 0, 3, 1), &signer()).await.unwrap().new, 0);
    assert_eq!(cursor(one).await, 700);
    // What is missing in between is not passed over.
    let gap = store.apply(&batch(one, 701, 3, 1), &signer()).await;
    assert!(matches!(gap, Err(StoreError::Gap { cursor: 700, after: 701 })), "{gap:?}");
    let mut foreign = batch(other, 0, 9, 2);
    assert_eq!(store.apply(&foreign, &signer()).await.unwrap().new, 9);
    assert_eq!(cursor(other).await, 9);

    // The id of a receipt written long before: neither rows nor cursor change.
    let mut stranger = receipt(20_000, id(11), id(23), 5, 1);
    stranger.request_id = id(0x1_0000_0000);
    (foreign.id, foreign.after, foreign.seq) = (id(77), 9, 12);
    foreign.entries = batch(other, 9, 2, 2).entries;
    let mut entry = Vec::new();
    Entry::encode_receipt(&stranger, &mut entry).unwrap();
    foreign.entries.push(12, &entry);
    let refused = store.apply(&foreign, &signer()).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(cursor(other).await, 9);
    let after = store.total().await.unwrap();
    assert_eq!(after.receipts, before.receipts + 709);
    assert_eq!(after.charge, before.charge + 709 * 6);
}

fn signer() -> Signer {
    Signer::from_secret(&[3; 32])
}

/// The next `count` receipts of a replica's journal, behind record `after`.
fn batch(replica: Uuid, after: u64, count: u64, of: u128) -> Batch {
    let seqs = after + 1..=after + count;
    let entry = |seq: u64| {
        let number = of * 10_000 + u128::from(seq);
        (seq, Entry::of(&receipt(number, id(11), id(23), 5, 1)).unwrap())
    };
    let (id, seq) = (Uuid::now_v7(), after + count);
    Batch {
        id,
        replica,
        epoch: 1,
        after,
        seq,
        open: seq + 1,
        at: 7,
        entries: seqs.map(entry).collect(),
    }
}

/// Amounts near the largest that a batch of a thousand can be of, summed by SQL, by Rust, and by a program that shares
/// nothing with either.
async fn sums_are_exact(store: &Store, many: usize) {
    const MOST: i64 = i64::MAX / 1_001;
    let user = Uuid::from_u128(0x00ab_cdef);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: i64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        i64::try_from(random % below.unsigned_abs()).unwrap()
    };
    let receipts: Vec<Receipt> = (0..many as u128)
        .map(|number| {
            let commission = next(1 << 40);
            let cost = MOST - commission - next(1 << 45);
            let account_id = id(1_000_000 + number / 1_000);
            Receipt { account_id, ..receipt(100_000 + number, user, id(21), cost, commission) }
        })
        .collect();
    for batch in receipts.chunks(1_000) {
        assert_eq!(insert(store, batch).await.unwrap(), batch.len());
    }
    let sums = store.usage_of(Whose::Users(user)).await.unwrap();
    let sum = |of: fn(&Receipt) -> Usd| receipts.iter().map(|r| i128::from(of(r).pico())).sum();
    let rust: [i128; 3] = [sum(|r| r.cost), sum(|r| r.commission), sum(|r| r.charge)];
    assert!(rust[0] > i128::from(MOST - (1 << 46)) * many as i128);
    assert_eq!([sums.cost, sums.commission, sums.charge], rust);
    if let Some(python) = python_sums(&receipts) {
        assert_eq!(python, rust);
    }
}

/// There is no column that could hold a secret: every one of a key's is known here.
async fn only_hashes(database: &TestDatabase) {
    let known = "id, user_id, account_id, name, hash, prefix, last4, created_at, expires_at, \
                 revoked_at, last_used_at, budget_pico, models, scopes, disabled_at, allowed_ips, \
                 requests_per_minute, tokens_per_minute, rotated_to, updated_at, concurrent_requests";
    let count = known.split(',').count();
    // A view names as many columns as the table has, or it is refused.
    let names: Vec<_> = (0..count).map(|number| format!("c{number}")).collect();
    let exact = format!(
        "CREATE VIEW tollgate.v ({}) AS SELECT * FROM tollgate.api_keys; SELECT * FROM tollgate.v; \
         DROP VIEW tollgate.v",
        names.join(",")
    );
    database.shell(&exact).await.unwrap();
    database.shell(&format!("SELECT {known} FROM tollgate.api_keys")).await.unwrap();
    database.shell("INSERT INTO tollgate.api_keys SELECT 'x', user_id, account_id, name, 'sk-secret', prefix, last4, 0, 0, 0, 0, 0, models, scopes, 0, '', 1, 1, id, 0, 1 FROM tollgate.api_keys").await.unwrap_err();
}

async fn a_newer_schema_is_refused(database: &TestDatabase) {
    let insert = "INSERT INTO tollgate.schema_migrations (version, sha256, applied_at) VALUES";
    database.shell(&format!("{insert} (99, '', 0)")).await.unwrap();
    let store = database.open().await;
    let refused = store.migrate(4).await;
    assert!(matches!(refused, Err(StoreError::TooNew { found: 99, known: 17 })), "{refused:?}");
    let delete = "DELETE FROM tollgate.schema_migrations WHERE version = 99";
    database.shell(delete).await.unwrap();
    assert_eq!(store.migrate(5).await.unwrap(), 0);
    database.shell("UPDATE tollgate.schema_migrations SET sha256 = 'x'").await.unwrap();
    let refused = store.migrate(6).await;
    assert!(matches!(refused, Err(StoreError::MigrationChanged { version: 1 })), "{refused:?}");
    store.close().await;
}
