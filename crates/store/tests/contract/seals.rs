//! Receipts are sealed as they are applied, and whatever is changed or taken out afterwards is named.

use std::collections::{BTreeMap, BTreeSet};

use ledger::merkle::Hash;
use ledger::{Content, Receipt, Signer};
use sha2::{Digest as _, Sha256};
use store::{Batch, Entry, Period, SealAudit, Sealed, Store, StoreError};
use uuid::Uuid;

use crate::common::{TestDatabase, id, insert, receipt};

#[tokio::test(flavor = "multi_thread")]
async fn seals_on_sqlite() {
    let unlock = |table| format!("DROP TRIGGER {table}_no_update; DROP TRIGGER {table}_no_delete;");
    let unlock = ["receipts", "seals", "ledger_transactions"].map(unlock).concat();
    Box::pin(seals(TestDatabase::sqlite(), &unlock)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seals_on_postgres() {
    if let Some(database) = TestDatabase::postgres("seals").await {
        let unlock = |table| format!("ALTER TABLE tollgate.{table} DISABLE TRIGGER USER;");
        let unlock = ["receipts", "seals", "ledger_transactions"].map(unlock).concat();
        Box::pin(seals(database, &unlock)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seals_on_postgres_behind_a_pooler() {
    if let Some(mut database) = TestDatabase::postgres("seals_pooled").await {
        database.url.push_str("?sslmode=disable&pgbouncer=true");
        let store = database.open().await;
        store.migrate(1).await.unwrap();
        Box::pin(what_is_applied_is_sealed(&store)).await;
        database.drop(store).await;
    }
}

async fn seals(database: TestDatabase, unlock: &str) {
    let store = database.open().await;
    store.migrate(1).await.unwrap();
    assert_eq!(audit(&store).await, (SealAudit::default(), vec![]));
    what_is_applied_is_sealed(&store).await;
    cannot_be_changed(&database).await;
    database.shell(unlock).await.unwrap();
    tampering_is_named(&database, &store).await;
    older_seals_hold(&database, &store).await;
    newer_seals_are_not_judged(&database, &store).await;
    a_batch_without_a_seal_is_named(&store).await;
    database.drop(store).await;
}

/// The replica with the longer chain, and the other one.
const ONE: u128 = 50;
const OTHER: u128 = 51;

fn signer(replica: u128) -> Signer {
    Signer::from_secret(&[u8::try_from(replica).unwrap(); 32])
}

fn written(replica: u128, seq: u64) -> Receipt {
    receipt(replica * 10_000 + u128::from(seq), id(0), id(5), 5, 1)
}

fn hash(receipt: &Receipt) -> Hash {
    let report = serde_json::to_string(&receipt.report).unwrap();
    Content::of(receipt, &report).unwrap().hash()
}

/// These receipts, as the records of a journal behind `after`.
fn batch(replica: u128, after: u64, receipts: &[Receipt]) -> Batch {
    let seq = after + receipts.len() as u64;
    let entries = (after + 1..).zip(receipts).map(|(seq, receipt)| {
        let entry = Entry::of(receipt).unwrap();
        (seq, entry)
    });
    let (id, replica, entries) = (Uuid::now_v7(), id(replica), entries.collect());
    Batch { id, replica, epoch: 1, after, seq, open: seq + 1, at: 7, entries }
}

/// What is found, and the faults.
async fn audit(store: &Store) -> (SealAudit, Vec<String>) {
    let mut faults = Vec::new();
    let found = store.verify_seals(|fault| faults.push(fault)).await.unwrap();
    (found, faults)
}

/// Every seal that an account's receipts have, by replica and number.
async fn all_seals(store: &Store) -> Result<BTreeMap<(Uuid, u64), Sealed>, StoreError> {
    let mut batches = BTreeSet::new();
    store.for_each_of_account(id(2), Period::ALL, |stored| batches.extend(stored.batch)).await?;
    // A batch that nobody knows has no seal.
    batches.insert(id(4_444));
    let mut found = BTreeMap::new();
    let look = |sealed: Sealed| {
        let twice = found.insert((sealed.seal.replica, sealed.seal.number), sealed);
        assert_eq!(twice, None);
    };
    store.for_each_seal_of(&batches, look).await?;
    Ok(found)
}

async fn what_is_applied_is_sealed(store: &Store) {
    for replica in [ONE, OTHER] {
        store.begin_epoch(id(replica), 0, id(60), 5).await.unwrap();
    }
    let apply = async |replica, after, receipts: &[Receipt]| {
        let batch = batch(replica, after, receipts);
        (batch.id, store.apply(&batch, &signer(replica)).await.unwrap().new)
    };
    // Between those with something new, batches that bring nothing, or nothing but what is there: neither is sealed.
    let mut batches = Vec::new();
    for (after, last) in [(0, 70), (71, 76), (77, 80)] {
        let receipts: Vec<Receipt> = (after + 1..=last).map(|seq| written(ONE, seq)).collect();
        let (batch, new) = apply(ONE, after, &receipts).await;
        assert_eq!(new, receipts.len());
        batches.push((batch, receipts.iter().map(hash).collect::<Vec<_>>()));
        assert_eq!(apply(ONE, last, &[]).await.1, 0);
        assert_eq!(apply(ONE, last, &[written(ONE, 1)]).await.1, 0);
    }
    // What was there before stays where it was, and has a place here too.
    let mixed = [written(OTHER, 1), written(ONE, 2), written(OTHER, 2)];
    let (mixed_batch, new) = apply(OTHER, 0, &mixed).await;
    assert_eq!(new, 2);

    let seals = all_seals(store).await.unwrap();
    assert_eq!(seals.len(), 4);
    let mut previous = Hash::default();
    for (number, (batch, leaves)) in (1..).zip(batches) {
        let books = seals[&(id(ONE), number)].seal.books;
        let seal = signer(ONE).seal(id(ONE), number, previous, &leaves, books);
        previous = seal.hash;
        assert_eq!(seals[&(id(ONE), number)], Sealed { batch, seal, leaves });
    }
    let leaves: Vec<Hash> = mixed.iter().map(hash).collect();
    let books = seals[&(id(OTHER), 1)].seal.books;
    assert!(books.is_some());
    let seal = signer(OTHER).seal(id(OTHER), 1, Hash::default(), &leaves, books);
    assert_eq!(seals[&(id(OTHER), 1)], Sealed { batch: mixed_batch, seal, leaves });

    let keys = [ONE, OTHER].map(|replica| (id(replica), vec![signer(replica).public_key()]));
    let (clean, faults) = audit(store).await;
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!((clean.seals, clean.sealed, clean.unsealed), (4, 80, 0));
    assert_eq!(clean.keys, keys.into());
    assert_eq!(clean.heads[&id(ONE)], (3, previous));
    let listed = store.replicas().await.unwrap().into_iter().map(|r| (r.id, r.public_key));
    let keys = [ONE, OTHER].map(|replica| (id(replica), Some(signer(replica).public_key())));
    assert_eq!(listed.collect::<BTreeMap<_, _>>(), keys.into());
}

async fn cannot_be_changed(database: &TestDatabase) {
    for statement in ["UPDATE tollgate.seals SET number = number", "DELETE FROM tollgate.seals"] {
        let error = database.shell(statement).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
}

/// What is done past the triggers, and how the faults begin that it leaves.
fn cases() -> Vec<(String, Vec<String>)> {
    let one = id(ONE);
    let second = format!("seals: seal 2 of replica {one}");
    let receipt = |seq| {
        let Receipt { request_id, attempt, .. } = written(ONE, seq);
        format!("receipts: receipt {request_id}/{attempt}: ")
    };
    let unsealed = |from, to| {
        let fault = |seq| format!("{}the seal of its batch ", receipt(seq));
        (from..=to).map(fault).collect::<Vec<_>>()
    };
    let of_receipt = |what: &str| {
        format!(
            "{what} WHERE leaf = 1 AND batch_id = \
             (SELECT batch_id FROM tollgate.seals WHERE number = 2)"
        )
    };
    let of_seal =
        |what, number| format!("UPDATE tollgate.seals SET {what} WHERE number = {number}");
    let moved = |leaf| {
        let fault = format!("its content hash is not leaf {leaf} of seal 2 of replica {one}");
        receipt(73) + &fault
    };
    let not_its_hash = ": its hash is not that of its content";
    let not_its_key = format!("{second}: its signature is not that of its key");
    vec![
        (
            of_receipt("DELETE FROM tollgate.receipts"),
            vec![format!("{second}: the receipt of its leaf 1 is missing")],
        ),
        (
            of_receipt(
                "UPDATE tollgate.receipts SET content_hash = \
                 (SELECT hash FROM tollgate.seals WHERE number = 3)",
            ),
            vec![moved(1)],
        ),
        (of_receipt("UPDATE tollgate.receipts SET leaf = 5"), vec![moved(5)]),
        (
            of_receipt("UPDATE tollgate.receipts SET batch_id = NULL, leaf = NULL"),
            vec![format!("{}it has no seal", receipt(73))],
        ),
        (
            "DELETE FROM tollgate.seals WHERE number = 2".to_owned(),
            [unsealed(72, 76), vec![format!("{second} is missing, and all up to 2")]].concat(),
        ),
        ("DELETE FROM tollgate.seals WHERE number = 3".to_owned(), unsealed(78, 80)),
        (
            of_seal("number = 7", 3),
            vec![
                format!("seals: seal 3 of replica {one} is missing, and all up to 6"),
                format!("seals: seal 7 of replica {one}{not_its_hash}"),
            ],
        ),
        (
            of_seal("previous = hash", 2),
            vec![
                format!("{second}: it does not name the one before"),
                second.clone() + not_its_hash,
            ],
        ),
        (
            of_seal("signature = (SELECT signature FROM tollgate.seals WHERE number = 3)", 2),
            vec![not_its_key.clone()],
        ),
        (of_seal("public_key = hash", 2), vec![not_its_key]),
        (
            // One leaf for five.
            of_seal("leaves = hash", 2),
            // What is known of a receipt is not said again of its leaf.
            (72..=76).map(receipt).chain([second + not_its_hash]).collect(),
        ),
    ]
}

/// The same of the transaction that posts a batch.
fn of_what_is_posted() -> impl Iterator<Item = (String, Vec<String>)> {
    ["created_at = created_at + 1", "actor = 'somebody'"].into_iter().map(|what| {
        let statement = format!(
            "UPDATE tollgate.ledger_transactions SET {what} WHERE id = \
             (SELECT batch_id FROM tollgate.seals WHERE number = 2)"
        );
        let seal = format!("seals: seal 2 of replica {}", id(ONE));
        (statement, vec![seal + ": its hash is not that of its content"])
    })
}

/// Whoever gets past the triggers is found out, and what was changed is named.
async fn tampering_is_named(database: &TestDatabase, store: &Store) {
    let clean = audit(store).await;
    for table in ["receipts", "seals", "ledger_transactions"] {
        let copy = format!("CREATE TABLE tollgate.{table}_copy AS SELECT * FROM tollgate.{table}");
        database.shell(&copy).await.unwrap();
    }
    for (statement, expected) in cases().into_iter().chain(of_what_is_posted()) {
        assert_eq!(database.shell(&statement).await.unwrap(), 1, "{statement}");
        let (_, faults) = audit(store).await;
        assert_eq!(faults.len(), expected.len(), "{statement}: {faults:#?}");
        for (fault, start) in faults.iter().zip(expected) {
            assert!(fault.starts_with(&start), "{statement}: {fault}, not {start}");
        }
        // A bill takes no seal that proves nothing, and no receipt that is another.
        let refused = matches!(all_seals(store).await, Err(StoreError::Corrupt { .. }));
        let changed = [
            "UPDATE tollgate.seals",
            "UPDATE tollgate.receipts SET content_hash",
            "UPDATE tollgate.ledger_transactions",
        ];
        let expected = changed.iter().any(|start| statement.starts_with(start));
        assert_eq!(refused, expected, "{statement}");
        for table in ["receipts", "seals"] {
            let restore = format!(
                "DELETE FROM tollgate.{table}; \
                 INSERT INTO tollgate.{table} SELECT * FROM tollgate.{table}_copy"
            );
            database.shell(&restore).await.unwrap();
        }
        // Others stand upon it.
        let restore = "UPDATE tollgate.ledger_transactions SET (actor, created_at) = \
                       (SELECT actor, created_at FROM tollgate.ledger_transactions_copy c \
                        WHERE c.id = ledger_transactions.id)";
        database.shell(restore).await.unwrap();
        assert_eq!(audit(store).await, clean, "it is as it was");
    }
}

/// A seal of before the transaction was named in it is as good for what it names.
async fn older_seals_hold(database: &TestDatabase, store: &Store) {
    let Sealed { seal, leaves, .. } = &all_seals(store).await.unwrap()[&(id(ONE), 3)];
    // No act, and nothing that the house has paid.
    let books = Sha256::new_with_prefix(b"tollgate seal books v1\0").chain_update([0; 8]);
    let books = books.chain_update(32_u64.to_be_bytes()).chain_update([0; 32 + 8]).finalize();
    let older = signer(ONE).seal(id(ONE), 3, seal.previous, leaves, Some(books.into()));
    assert_ne!(older.hash, seal.hash);
    let bytes = |bytes: &[u8]| match store.engine_name() {
        "SQLite" => format!("X'{}'", ledger::to_hex(bytes)),
        _ => format!("decode('{}', 'hex')", ledger::to_hex(bytes)),
    };
    let (hash, signature) = (bytes(&older.hash), bytes(&older.signature));
    let set = format!("SET hash = {hash}, signature = {signature}");
    database.shell(&format!("UPDATE tollgate.seals {set} WHERE number = 3")).await.unwrap();
    assert_eq!(audit(store).await.1, Vec::<String>::new());
    assert_eq!(all_seals(store).await.unwrap()[&(id(ONE), 3)].seal, older);
}

/// What a newer program has sealed is nothing that this one can call damaged.
async fn newer_seals_are_not_judged(database: &TestDatabase, store: &Store) {
    let (before, _) = audit(store).await;
    let kept =
        "CREATE TABLE tollgate.kept AS SELECT hash, form FROM tollgate.seals WHERE number = 3";
    database.shell(kept).await.unwrap();
    let newer = "UPDATE tollgate.seals SET form = 2, hash = public_key WHERE number = 3";
    database.shell(newer).await.unwrap();
    let (found, faults) = audit(store).await;
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!((found.newer, found.seals, &found.keys), (1, before.seals, &before.keys));
    assert_eq!(found.sealed, before.sealed - 3);
    let refused = all_seals(store).await.unwrap_err();
    assert!(matches!(refused, StoreError::NewerSeal { found: 2, known: 1, .. }), "{refused:?}");
    let back = "UPDATE tollgate.seals SET hash = (SELECT hash FROM tollgate.kept), form = \
                (SELECT form FROM tollgate.kept) WHERE number = 3";
    database.shell(back).await.unwrap();
    assert_eq!(audit(store).await.0, before);
}

/// Receipts that no journal has brought stand out.
async fn a_batch_without_a_seal_is_named(store: &Store) {
    let stranger = receipt(999_999, id(0), id(5), 5, 1);
    insert(store, std::slice::from_ref(&stranger)).await.unwrap();
    let (found, faults) = audit(store).await;
    assert_eq!((found.seals, found.sealed, found.unsealed), (4, 80, 0));
    let named = format!("receipts: receipt {}/1: the seal of its batch ", stranger.request_id);
    assert!(faults.len() == 1 && faults[0].starts_with(&named), "{faults:?}");
}
