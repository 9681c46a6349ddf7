//! Codes that become a key once; what keys, users and accounts have used; what was put into an account.

use ledger::{BudgetPeriod, Receipt, Usd};
use store::{
    Adjustment, AdjustmentKind, AuthCode, BudgetOwner, CreditSource, NewCredit, NewKey, NewUser,
    PeriodUsage, Store, Whose,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::common::{TestDatabase, id, insert, new_key, new_user, receipt};

const MINUTE: i64 = 60_000_000;
/// 2026-11-25, a Wednesday.
const NOW: i64 = 1_795_608_000_000_000;

async fn user(store: &Store) {
    let new = NewUser { account_id: id(2), ..new_user(0, "ada") };
    store.add_user(new).await.unwrap();
}

fn key(number: u128) -> NewKey {
    new_key(number, "ada")
}

fn code(expires_at: i64) -> AuthCode {
    AuthCode {
        user_id: id(0),
        challenge: "challenge".to_owned(),
        method: "S256".to_owned(),
        settings: "{}".to_owned(),
        created_at: NOW,
        expires_at,
    }
}

async fn codes(database: TestDatabase) {
    let store = database.open().await;
    store.migrate(0).await.unwrap();
    user(&store).await;
    let (one, two, three) = ([1; 32], [2; 32], [3; 32]);
    for hash in [one, two, three] {
        store.add_auth_code(hash, &code(NOW + 10 * MINUTE)).await.unwrap();
    }
    assert!(store.add_auth_code(one, &code(NOW + MINUTE)).await.is_err(), "there is one");
    let kept = store.auth_code(one, NOW + 10 * MINUTE - 1).await.unwrap();
    assert_eq!(kept, Some(code(NOW + 10 * MINUTE)));
    for (hash, at) in [(one, NOW + 10 * MINUTE), ([9; 32], NOW)] {
        assert_eq!(store.auth_code(hash, at).await.unwrap(), None);
        assert_eq!(store.redeem_auth_code(hash, at, Some(key(90))).await.unwrap(), None);
    }
    // Many at the same time: one gets a key.
    let mut tasks = JoinSet::new();
    for number in 100..116 {
        let store = store.clone();
        tasks.spawn(async move {
            store.redeem_auth_code([1; 32], NOW, Some(key(number))).await.unwrap().is_some()
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|got| *got).count(), 1);
    assert_eq!(store.all_keys().await.unwrap().len(), 1);
    // Whoever has not proved enough has used it up.
    assert_eq!(store.redeem_auth_code(two, NOW, None).await.unwrap(), None);
    assert_eq!(store.redeem_auth_code(two, NOW, Some(key(91))).await.unwrap(), None);
    // Where the key cannot be added the code is as it was.
    let taken = store.all_keys().await.unwrap().remove(0);
    let same = NewKey { hash: taken.hash, ..key(92) };
    assert!(store.redeem_auth_code(three, NOW, Some(same)).await.is_err());
    let got = store.redeem_auth_code(three, NOW, Some(key(92))).await.unwrap().unwrap();
    assert_eq!(got, store.key(Whose::Users(id(0)), id(92)).await.unwrap());
    // Those that are over are forgotten.
    let late = AuthCode { created_at: NOW + 11 * MINUTE, ..code(NOW + 20 * MINUTE) };
    store.add_auth_code([4; 32], &late).await.unwrap();
    assert_eq!(store.auth_code(three, 0).await.unwrap(), None);
    database.drop(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_on_sqlite() {
    codes(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_on_postgres() {
    if let Some(database) = TestDatabase::postgres("codes").await {
        codes(database).await;
    }
}

/// One of each day that lies in another period, and one of another key.
async fn used(store: &Store) -> [i64; 4] {
    let at = |text: &str| ledger::parse_date(text).unwrap();
    let days = ["2026-11-25", "2026-11-23", "2026-11-01", "2026-10-31"];
    let written = |number: u128, day: &str, key_id: Uuid| Receipt {
        started_at: at(day) + 1,
        key_id,
        ..receipt(number, id(0), key_id, 1_000 * i64::try_from(number).unwrap(), 50)
    };
    let own: Vec<Receipt> =
        days.iter().zip(1..).map(|(day, number)| written(number, day, id(92))).collect();
    let charges = [0, 1, 2, 3].map(|place: usize| own[place].charge.pico());
    insert(store, &own).await.unwrap();
    insert(store, &[written(5, "2026-11-25", id(93))]).await.unwrap();
    charges
}

async fn totals(database: TestDatabase) {
    let store = database.open().await;
    store.migrate(0).await.unwrap();
    user(&store).await;
    let [today, week, month, before] = used(&store).await;
    let key = PeriodUsage {
        ever: today + week + month + before,
        month: today + week + month,
        week: today + week,
        today,
    };
    let owners = [
        BudgetOwner::Key(id(92)),
        BudgetOwner::Key(id(7)),
        BudgetOwner::User(id(0)),
        BudgetOwner::Account(id(2)),
    ];
    let usage = store.usage_by(&owners, NOW).await.unwrap();
    assert_eq!(usage[..2], [key, PeriodUsage::default()]);
    let other = store.usage_by(&[BudgetOwner::Key(id(93))], NOW).await.unwrap()[0].ever;
    assert!(other > 0);
    let [ever, today] = [key.ever + other, today + other];
    for all in &usage[2..] {
        assert_eq!((all.of(BudgetPeriod::Total), all.of(BudgetPeriod::Day)), (ever, today));
        assert_eq!(all.of(BudgetPeriod::Week), key.of(BudgetPeriod::Week) + other);
        assert_eq!(all.of(BudgetPeriod::Month), key.of(BudgetPeriod::Month) + other);
    }

    assert_eq!(store.put_in(id(2), NOW).await.unwrap(), 0, "what was used was not put in");
    let credit = |number, amount, source, expires_at| NewCredit {
        id: id(number),
        account_id: id(2),
        amount: Usd::from_pico(amount),
        source,
        expires_at,
        actor: "test".to_owned(),
        reason: String::new(),
        at: NOW,
    };
    store.add_credit(credit(50, 1_000_000_000_001, CreditSource::Paid, None)).await.unwrap();
    store.add_credit(credit(51, 500, CreditSource::Promo, Some(NOW + 1))).await.unwrap();
    let taken = Adjustment {
        id: id(52),
        account_id: id(2),
        amount: Usd::from_pico(-300),
        kind: AdjustmentKind::Refund,
        corrects: None,
        actor: "test".to_owned(),
        reason: String::new(),
        at: NOW,
    };
    store.adjust(taken).await.unwrap();
    let put_in = store.put_in(id(2), NOW).await.unwrap();
    assert_eq!(put_in, 1_000_000_000_201);
    let later = store.put_in(id(2), NOW + 1).await.unwrap();
    // What was taken came off the gift, which expires first; nobody has taken the rest off yet.
    assert_eq!(later, put_in - 200);
    assert_eq!(store.balance(id(2), 0).await.unwrap().posted.pico(), put_in - ever);
    database.drop(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_on_sqlite() {
    totals(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_on_postgres() {
    if let Some(database) = TestDatabase::postgres("totals").await {
        totals(database).await;
    }
}
