//! Many at once: whatever they get of what they ask for, the books balance.

use ledger::{BudgetPeriod, Receipt, Usd};
use store::{
    Adjustment, AdjustmentKind, Batch, BudgetOwner, CreditSource, Entry, NewBudget, NewCredit,
    Store, StoreError,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::common::{TestDatabase, id};
use crate::money::{
    ACCOUNT, Books, KEY, NOW, budget_of, credit, credit_of, held, on_both, signer, usd,
};

on_both!(a_crowd_leaves_books_that_balance);

const REPLICAS: u128 = 3;
const ROUNDS: u64 = 25;

/// Of Ada and of Bob; both pay first.
const ACCOUNTS: [u128; 2] = [ACCOUNT, 12];

async fn a_crowd_leaves_books_that_balance(database: TestDatabase) {
    let books = Books::open(database).await;
    let bob = store::NewUser { prepaid: true, ..crate::common::new_user(11, "bob") };
    books.store.add_user(bob).await.unwrap();
    books.set_budget(200, 3_000).await;
    for (number, account) in ACCOUNTS.into_iter().enumerate() {
        let number = 100 + u128::try_from(number).unwrap();
        let new = NewCredit { account_id: id(account), ..credit(number, 2_000, None) };
        books.store.add_credit(new).await.unwrap();
    }
    let mut crowd = JoinSet::new();
    for replica in 0..REPLICAS {
        if replica > 0 {
            let begun = books.store.begin_epoch(id(50 + replica), 0, Uuid::now_v7(), NOW).await;
            assert_eq!(begun.unwrap(), 1);
        }
        crowd.spawn(spend(books.store.clone(), replica));
        crowd.spawn(refill(books.store.clone(), replica));
    }
    crowd.spawn(correct(books.store.clone()));
    crowd.spawn(expire(books.store.clone()));
    crowd.spawn(limit(books.store.clone()));
    crowd.spawn(bury(books.store.clone()));
    crowd.join_all().await;
    for account in ACCOUNTS {
        let balance = books.store.balance(id(account), 0).await.unwrap();
        assert!(balance.posted >= balance.leased, "account {account}: {balance:?}");
    }
    let total = books.store.total().await.unwrap();
    assert_eq!(
        u64::try_from(total.receipts).unwrap(),
        ROUNDS * 4 * u64::try_from(REPLICAS).unwrap()
    );
    books.close().await;
}

/// The journal of a replica, applied by two of which one may be late. Now and then it spends what it does not hold.
async fn spend(store: Store, replica: u128) {
    let today = budget_of(200, BudgetPeriod::Day.start(NOW));
    let batch = |round: u64| {
        let (after, seq) = (round * 4, round * 4 + 4);
        let receipt = |seq: u64| {
            let number = replica * 1_000 + u128::from(seq);
            let account = ACCOUNTS[usize::try_from(seq % 2).unwrap()];
            let scopes =
                if seq.is_multiple_of(7) { vec![] } else { vec![credit_of(account), today] };
            let receipt = Receipt { account_id: id(account), ..held(number, 20, &scopes) };
            (seq, Entry::of(&receipt).unwrap())
        };
        let entries = (after + 1..=seq).map(receipt).collect();
        let (id, replica) = (Uuid::now_v7(), id(50 + replica));
        Batch { id, replica, epoch: 1, after, seq, open: seq + 1, at: NOW, entries }
    };
    for round in 0..ROUNDS {
        let mut appliers = JoinSet::new();
        for batch in [batch(round), Batch { id: Uuid::now_v7(), ..batch(round) }] {
            let store = store.clone();
            appliers.spawn(async move { store.apply(&batch, &signer()).await.unwrap().new });
        }
        assert_eq!(appliers.join_all().await.iter().sum::<usize>(), 4);
    }
}

async fn refill(store: Store, replica: u128) {
    let today = budget_of(200, BudgetPeriod::Day.start(NOW));
    let scopes = [credit_of(ACCOUNTS[1]), today, credit_of(ACCOUNTS[0])];
    let replica = id(50 + replica);
    for _ in 0..ROUNDS {
        for scope in scopes {
            let grant = match store.grant(replica, 1, scope, usd(1), usd(60), NOW).await {
                Err(StoreError::Fenced) => return,
                grant => grant.unwrap(),
            };
            store.recall(scope, replica).await.unwrap();
            if grant.granted > Usd::ZERO {
                store.give_back(replica, 1, scope, usd(7)).await.unwrap();
            }
        }
        store.recalled(replica).await.unwrap();
    }
}

async fn correct(store: Store) {
    for round in 0..u128::from(ROUNDS) {
        for (number, pico) in [(round * 2, -15), (round * 2 + 1, 10)] {
            let adjustment = Adjustment {
                id: id(10_000 + number),
                account_id: id(ACCOUNTS[usize::try_from(round % 2).unwrap()]),
                amount: usd(pico),
                kind: AdjustmentKind::Adjustment,
                corrects: None,
                actor: "ada".to_owned(),
                reason: "a test".to_owned(),
                at: NOW,
            };
            match store.adjust(adjustment).await {
                Ok(_) | Err(StoreError::TooLittle { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn expire(store: Store) {
    for round in 0..ROUNDS {
        let at = NOW + i64::try_from(round).unwrap();
        let new = NewCredit {
            source: CreditSource::Promo,
            account_id: id(ACCOUNTS[usize::try_from(round % 2).unwrap()]),
            ..credit(20_000 + u128::from(round), 30, Some(at))
        };
        assert!(store.add_credit(new).await.unwrap());
        store.expire_credit(at).await.unwrap();
    }
}

async fn limit(store: Store) {
    for round in 0..ROUNDS {
        let limit = usd(if round % 2 == 0 { 500 } else { 4_000 });
        let (owner, period) = (BudgetOwner::Key(id(KEY)), BudgetPeriod::Day);
        store.set_budget(NewBudget { id: id(201), owner, period, limit, at: NOW }).await.unwrap();
    }
}

/// The last replica is declared dead while it still spends.
async fn bury(store: Store) {
    let last = id(50 + REPLICAS - 1);
    while store.replica(last).await.unwrap().unwrap().cursor < ROUNDS * 2 {
        tokio::task::yield_now().await;
    }
    assert!(store.release(last, NOW, true).await.unwrap());
}
