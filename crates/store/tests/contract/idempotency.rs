//! Idempotency keys: one claims, the others hear of it, and what is kept goes when its time has come.

use crate::common::{TestDatabase, id, new_key, new_user, receipt};
use ledger::{Outcome, Receipt, Usd};
use store::{Claimed, IdempotencyKey, Kept, NewClaim, Refusal, Store};
use tokio::task::JoinSet;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// When it all happens.
const NOW: i64 = 1_800_000_000_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn claims_on_sqlite() {
    claims(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_on_postgres() {
    if let Some(database) = TestDatabase::postgres("claims").await {
        claims(database).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_on_postgres_behind_a_pooler() {
    if let Some(mut database) = TestDatabase::postgres("claims_pooled").await {
        database.url.push_str("?sslmode=disable&pgbouncer=true");
        claims(database).await;
    }
}

async fn claims(database: TestDatabase) {
    let store = database.open().await;
    store.migrate(1).await.unwrap();
    store.add_user(new_user(0, "ada")).await.unwrap();
    store.add_key(new_key(21, "ada")).await.unwrap();
    a_result_is_for_its_own_request(&store).await;
    what_is_given_up_is_free(&store).await;
    too_large_is_said(&store).await;
    a_claim_is_held_until_its_time(&store).await;
    what_was_charged_is_not_run_again(&store).await;
    a_start_lets_go_of_its_own(&store).await;
    one_of_many(&store).await;
    what_has_expired_is_forgotten(&store).await;
    database.drop(store).await;
}

fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey { key_id: id(21), name: name.to_owned() }
}

/// Request `number` wants `name`, at [`NOW`].
fn wish(name: &str, number: u128) -> NewClaim {
    NewClaim {
        key: key(name),
        fingerprint: [7; 32],
        request_id: id(number),
        replica: id(900),
        held_until: NOW + MINUTE,
        expires_at: NOW + DAY,
    }
}

fn kept(number: u128) -> Kept {
    Kept {
        request_id: id(number),
        status: 200,
        streamed: true,
        content_type: "text/event-stream".to_owned(),
        dropped: Some("seed, top_k".to_owned()),
        cost: Some("0.00000105".to_owned()),
        body: vec![0, 255, b'\n', b'a'],
    }
}

async fn a_result_is_for_its_own_request(store: &Store) {
    assert_eq!(store.claim(&wish("own", 1), NOW).await.unwrap(), Claimed::Granted);
    let running = Claimed::Refused(Refusal::Running { expires_at: NOW + DAY });
    assert_eq!(store.claim(&wish("own", 2), NOW + 1).await.unwrap(), running);
    let other = NewClaim { fingerprint: [8; 32], ..wish("own", 3) };
    assert_eq!(store.claim(&other, NOW + 1).await.unwrap(), Claimed::Refused(Refusal::Other));
    // The same name under another API key is another key.
    let foreign = IdempotencyKey { key_id: id(22), ..key("own") };
    let foreign = NewClaim { key: foreign, ..wish("own", 4) };
    assert_eq!(store.claim(&foreign, NOW).await.unwrap(), Claimed::Granted);

    assert!(!store.keep_result(&key("own"), &kept(2)).await.unwrap(), "it is not the claim of 2");
    assert!(store.keep_result(&key("own"), &kept(1)).await.unwrap());
    assert!(!store.keep_result(&key("own"), &kept(1)).await.unwrap(), "once");
    assert!(!store.give_up_claim(&key("own"), id(1)).await.unwrap(), "what is done stays");
    let done = Claimed::Done(Box::new(kept(1)));
    for at in [NOW, NOW + DAY - 1] {
        assert_eq!(store.claim(&wish("own", 5), at).await.unwrap(), done);
        assert_eq!(store.claim(&other, at).await.unwrap(), Claimed::Refused(Refusal::Other));
    }
    // A day later the name is free, for another request too, and nothing of the first is left.
    assert_eq!(store.claim(&other, NOW + DAY).await.unwrap(), Claimed::Granted);
    let whole = Kept { streamed: false, dropped: None, cost: None, body: Vec::new(), ..kept(3) };
    assert!(store.keep_result(&key("own"), &whole).await.unwrap());
    assert_eq!(store.claim(&other, NOW).await.unwrap(), Claimed::Done(Box::new(whole)));
}

async fn what_is_given_up_is_free(store: &Store) {
    assert_eq!(store.claim(&wish("up", 11), NOW).await.unwrap(), Claimed::Granted);
    assert!(!store.give_up_claim(&key("up"), id(12)).await.unwrap(), "it is not the claim of 12");
    assert!(store.give_up_claim(&key("up"), id(11)).await.unwrap());
    let other = NewClaim { fingerprint: [8; 32], ..wish("up", 13) };
    assert_eq!(store.claim(&other, NOW).await.unwrap(), Claimed::Granted);
}

async fn too_large_is_said(store: &Store) {
    assert_eq!(store.claim(&wish("large", 21), NOW).await.unwrap(), Claimed::Granted);
    assert!(store.keep_no_result(&key("large"), id(21)).await.unwrap());
    let again = store.claim(&wish("large", 22), NOW + MINUTE).await.unwrap();
    assert_eq!(again, Claimed::Refused(Refusal::TooLarge(id(21))));
}

async fn a_claim_is_held_until_its_time(store: &Store) {
    assert_eq!(store.claim(&wish("held", 31), NOW).await.unwrap(), Claimed::Granted);
    let other = NewClaim { replica: id(901), held_until: NOW + 9 * MINUTE, ..wish("held", 32) };
    let running = Claimed::Refused(Refusal::Running { expires_at: NOW + DAY });
    assert_eq!(store.claim(&other, NOW + MINUTE - 1).await.unwrap(), running);
    store.hold_claims(&[(key("held"), id(31))], NOW + 2 * MINUTE).await.unwrap();
    assert_eq!(store.claim(&other, NOW + MINUTE).await.unwrap(), running);
    // Nothing was charged for it, so that it may run again.
    assert_eq!(store.claim(&other, NOW + 2 * MINUTE).await.unwrap(), Claimed::Granted);
    // The first was not dead, but slow: the claim is not its own any more.
    store.hold_claims(&[(key("held"), id(31))], NOW + DAY).await.unwrap();
    assert!(!store.keep_result(&key("held"), &kept(31)).await.unwrap());
    assert!(!store.give_up_claim(&key("held"), id(31)).await.unwrap());
    assert!(store.keep_result(&key("held"), &kept(32)).await.unwrap());
}

async fn what_was_charged_is_not_run_again(store: &Store) {
    let charged = |number: u128, outcome: Outcome| Receipt {
        request_id: id(number),
        outcome,
        ..receipt(number, id(0), id(21), 1_000, 50)
    };
    let free = Receipt {
        charge: Usd::ZERO,
        cost: Usd::ZERO,
        commission: Usd::ZERO,
        ..charged(42, Outcome::UpstreamFailed)
    };
    let receipts = [charged(41, Outcome::Ok), free, charged(46, Outcome::Crashed)];
    store.insert_receipts(id(77), &receipts, 1).await.unwrap();
    assert_eq!(store.claim(&wish("cut", 46), NOW).await.unwrap(), Claimed::Granted);
    assert_eq!(store.claim(&wish("lost", 41), NOW).await.unwrap(), Claimed::Granted);
    assert_eq!(store.claim(&wish("failed", 42), NOW).await.unwrap(), Claimed::Granted);
    let later = NOW + 5 * MINUTE;
    let again = store.claim(&wish("lost", 43), later).await.unwrap();
    assert_eq!(again, Claimed::Refused(Refusal::Lost(id(41))));
    let other = NewClaim { fingerprint: [8; 32], ..wish("lost", 44) };
    assert_eq!(store.claim(&other, later).await.unwrap(), Claimed::Refused(Refusal::Other));
    assert_eq!(store.claim(&wish("failed", 45), later).await.unwrap(), Claimed::Granted);
    let again = store.claim(&wish("cut", 47), later).await.unwrap();
    assert_eq!(again, Claimed::Refused(Refusal::Lost(id(46))));
}

async fn a_start_lets_go_of_its_own(store: &Store) {
    let of = |name, number, replica| NewClaim { replica: id(replica), ..wish(name, number) };
    assert_eq!(store.claim(&of("mine", 51, 950), NOW).await.unwrap(), Claimed::Granted);
    assert_eq!(store.claim(&of("done", 52, 950), NOW).await.unwrap(), Claimed::Granted);
    assert!(store.keep_result(&key("done"), &kept(52)).await.unwrap());
    assert_eq!(store.claim(&of("theirs", 53, 951), NOW).await.unwrap(), Claimed::Granted);
    assert_eq!(store.release_claims(id(950)).await.unwrap(), 1);
    assert_eq!(store.claim(&of("mine", 54, 950), NOW).await.unwrap(), Claimed::Granted);
    let done = store.claim(&of("done", 55, 950), NOW).await.unwrap();
    assert_eq!(done, Claimed::Done(Box::new(kept(52))));
    let running = Claimed::Refused(Refusal::Running { expires_at: NOW + DAY });
    assert_eq!(store.claim(&of("theirs", 56, 950), NOW).await.unwrap(), running);
}

/// At once, on a free name and on one whose claim has lapsed.
async fn one_of_many(store: &Store) {
    for (first, at) in [(1_000, NOW), (2_000, NOW + 2 * MINUTE)] {
        let mut wishes = JoinSet::new();
        for number in first..first + 16 {
            let store = store.clone();
            let new = NewClaim { held_until: at + MINUTE, ..wish("many", number) };
            wishes.spawn(async move { store.claim(&new, at).await.unwrap() });
        }
        let claimed = wishes.join_all().await;
        let granted = claimed.iter().filter(|one| **one == Claimed::Granted).count();
        assert_eq!(granted, 1, "{claimed:?}");
        let running = Claimed::Refused(Refusal::Running { expires_at: NOW + DAY });
        assert_eq!(claimed.iter().filter(|one| **one == running).count(), 15, "{claimed:?}");
    }
}

async fn what_has_expired_is_forgotten(store: &Store) {
    while store.forget_results(NOW + DAY, 3).await.unwrap() > 0 {}
    for number in 0..5_u128 {
        let name = format!("old {number}");
        let new = NewClaim { expires_at: NOW + 10, held_until: NOW, ..wish(&name, 3_000 + number) };
        assert_eq!(store.claim(&new, NOW).await.unwrap(), Claimed::Granted);
        assert!(store.keep_result(&key(&name), &kept(3_000 + number)).await.unwrap());
    }
    // A claim that runs for longer than results are kept.
    let long = NewClaim { expires_at: NOW + 10, held_until: NOW + 20, ..wish("long", 3_100) };
    assert_eq!(store.claim(&long, NOW).await.unwrap(), Claimed::Granted);
    let mut forgotten = Vec::new();
    for (at, most) in [(9, 9), (10, 3), (10, 3), (10, 3), (19, 9), (20, 9), (20, 9)] {
        forgotten.push(store.forget_results(NOW + at, most).await.unwrap());
    }
    assert_eq!(forgotten, [0, 3, 2, 0, 0, 1, 0]);
    assert_eq!(store.claim(&wish("old 0", 3_200), NOW).await.unwrap(), Claimed::Granted);
}
