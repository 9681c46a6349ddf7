//! A customer who pays first, and a replica that spends for her: what the stories about money begin with.

use ledger::{BudgetPeriod, Receipt, Scope, ScopeKind, Signer, Usd};
use store::{
    Applied, Balance, Batch, BudgetOwner, CreditSource, Entry, Grant, NewBudget, NewCredit,
    NewUser, Store,
};
use uuid::Uuid;

use crate::common::{TestDatabase, id, new_key, new_user, receipt};

/// Ada's account, which pays first.
pub(crate) const ACCOUNT: u128 = 1;
/// Her key.
pub(crate) const KEY: u128 = 21;
pub(crate) const REPLICA: u128 = 50;
/// All receipts begin behind it.
pub(crate) const NOW: i64 = 1_750_000_000_000_000;

pub(crate) const fn usd(pico: i64) -> Usd {
    Usd::from_pico(pico)
}

pub(crate) fn credit_of(account: u128) -> Scope {
    Scope { kind: ScopeKind::Account, id: id(account), period_start: 0 }
}

pub(crate) fn budget_of(budget: u128, period_start: i64) -> Scope {
    Scope { kind: ScopeKind::Budget, id: id(budget), period_start }
}

/// A receipt of Ada's, for which all of its charge was held in `scopes`.
pub(crate) fn held(number: u128, charge: i64, scopes: &[Scope]) -> Receipt {
    Receipt {
        account_id: id(ACCOUNT),
        bound: Some(usd(charge)),
        scopes: scopes.to_vec(),
        ..receipt(number, id(0), id(KEY), charge - charge / 10, charge / 10)
    }
}

/// A database with Ada in it, and a replica that writes into it.
pub(crate) struct Books {
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    pub(crate) replica: Uuid,
    pub(crate) epoch: i64,
    /// The last record of the replica's journal.
    pub(crate) seq: u64,
}

impl Books {
    pub(crate) async fn open(database: TestDatabase) -> Self {
        let store = database.open().await.signing(signer());
        store.migrate(1).await.unwrap();
        store.add_user(NewUser { prepaid: true, ..new_user(0, "ada") }).await.unwrap();
        store.add_key(new_key(KEY, "ada")).await.unwrap();
        let mut books = Self { database, store, replica: id(REPLICA), epoch: 0, seq: 0 };
        books.begin().await;
        books
    }

    /// Begins another run of the replica.
    pub(crate) async fn begin(&mut self) {
        let begun = self.store.begin_epoch(self.replica, self.epoch, Uuid::now_v7(), NOW).await;
        self.epoch = begun.unwrap();
    }

    pub(crate) async fn add_credit(&self, number: u128, pico: i64, expires_at: Option<i64>) {
        assert!(self.store.add_credit(credit(number, pico, expires_at)).await.unwrap());
    }

    pub(crate) async fn set_budget(&self, budget: u128, limit: i64) {
        let (owner, period) = (BudgetOwner::Key(id(KEY)), BudgetPeriod::Day);
        let new = NewBudget { id: id(budget), owner, period, limit: usd(limit), at: NOW };
        self.store.set_budget(new).await.unwrap();
    }

    pub(crate) async fn grant(&self, scope: Scope, least: i64, want: i64) -> Grant {
        let (least, want) = (usd(least), usd(want));
        self.store.grant(self.replica, self.epoch, scope, least, want, NOW).await.unwrap()
    }

    /// The next batch of the replica's journal.
    pub(crate) fn batch(&mut self, receipts: &[Receipt]) -> Batch {
        let after = self.seq;
        let seqs = after + 1..;
        self.seq += receipts.len() as u64;
        Batch {
            id: Uuid::now_v7(),
            replica: self.replica,
            epoch: self.epoch,
            after,
            seq: self.seq,
            open: self.seq + 1,
            at: NOW,
            entries: seqs.zip(receipts.iter().map(|one| Entry::of(one).unwrap())).collect(),
        }
    }

    pub(crate) async fn apply(&mut self, receipts: &[Receipt]) -> Applied {
        let batch = self.batch(receipts);
        self.store.apply(&batch, &signer()).await.unwrap()
    }

    /// What is posted and what is leased.
    pub(crate) async fn balance(&self) -> (i64, i64) {
        let Balance { posted, leased, .. } = self.store.balance(id(ACCOUNT), 0).await.unwrap();
        (posted.pico(), leased.pico())
    }

    /// What is left at a moment.
    pub(crate) async fn left(&self, now: i64) -> i64 {
        self.store.balance(id(ACCOUNT), now).await.unwrap().posted.pico()
    }

    /// What is used and what is leased of the only budget, today.
    pub(crate) async fn budget(&self) -> (i64, i64) {
        let budgets = self.store.budgets(NOW).await.unwrap();
        let [budget] = budgets.as_slice() else { panic!("{budgets:?}") };
        (budget.used.pico(), budget.leased.pico())
    }

    /// Everything that is wrong with the books.
    pub(crate) async fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.store.audit(|fault| faults.push(fault.to_string())).await.unwrap();
        faults
    }

    pub(crate) async fn close(self) {
        assert_eq!(self.faults().await, Vec::<String>::new());
        self.store.verify_rollups(|fault| panic!("{fault}")).await.unwrap();
        let seals = self.store.verify_seals(|_| {}).await.unwrap();
        self.store.verify_acts(&seals, &[], |_| true, |fault| panic!("{fault}")).await.unwrap();
        self.database.drop(self.store).await;
    }
}

pub(crate) fn signer() -> Signer {
    Signer::from_secret(&[7; 32])
}

pub(crate) fn credit(number: u128, pico: i64, expires_at: Option<i64>) -> NewCredit {
    NewCredit {
        id: id(number),
        account_id: id(ACCOUNT),
        amount: usd(pico),
        source: if expires_at.is_some() { CreditSource::Promo } else { CreditSource::Paid },
        expires_at,
        actor: "ada".to_owned(),
        reason: "a test".to_owned(),
        at: NOW,
    }
}

/// Tells each story to SQLite, and to PostgreSQL where there is one.
macro_rules! on_both {
    ($($story:ident),+) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                Box::pin(super::$story(crate::common::TestDatabase::sqlite())).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                let name = concat!(stringify!($story), "_m");
                if let Some(database) = crate::common::TestDatabase::postgres(name).await {
                    Box::pin(super::$story(database)).await;
                }
            })+
        }
    };
}
pub(crate) use on_both;
