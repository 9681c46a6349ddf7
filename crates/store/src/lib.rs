//! What is kept: users and keys, price versions, receipts. SQLite or PostgreSQL, behind one set of functions.
//!
//! * One SQL text for both engines: what they spell differently is in `engine.rs`, each with its reason.
//! * A receipt is written once. The same receipt again is ignored, another one under its id is
//!   [`StoreError::Conflict`], and the database itself refuses to change or delete it.
//! * Sums are exact past `i64`, so that a bill is the sum of its receipts whatever their number.
//! * Time and chance are arguments: the store makes no id and asks no clock.
//!
//! ```no_run
//! # async fn example() -> Result<(), store::StoreError> {
//! let store = store::Store::open("sqlite://tollgate.db", 4).await?;
//! store.migrate(0).await?;
//! println!("{} at revision {}", store.engine_name(), store.revision().await?);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

#[macro_use]
mod engine;
#[macro_use]
mod row;
#[macro_use]
mod rollups;

mod accounts;
mod acts;
mod aliases;
mod apply;
mod aside;
mod audit;
mod auth_codes;
mod budgets;
mod catalogue;
mod covered;
mod credentials;
mod credit;
mod entry;
mod error;
mod expiry;
mod foreign;
mod generations;
mod health;
mod hidden_models;
mod idempotency;
mod imports;
mod insert;
mod key_changes;
mod keys;
mod limits;
mod listings;
mod lists;
mod members;
mod migrate;
mod own_keys;
mod pages;
mod people;
mod postgres_url;
mod proof;
mod proof_audit;
mod receipt_pages;
mod receipt_texts;
mod receipts;
mod replicas;
mod reports;
mod rollup_audit;
mod schema_audit;
mod seals;
mod slices;
mod statements;
mod terms;
mod totals;
mod users;

use std::sync::Arc;
use std::time::Duration;

use engine::{Conn, POSTGRES_CLOCK, Pool, Sql};
use ledger::Signer;

pub use accounts::{Balance, Transaction};
pub use acts::{Act, ActFilter, Actor};
pub use aliases::ModelAlias;
pub use apply::{Applied, Batch};
pub use aside::SetAside;
pub use audit::{AuditFault, Audited};
pub use auth_codes::AuthCode;
pub use budgets::{Budget, BudgetOwner, NewBudget};
pub use catalogue::PriceVersion;
pub use credentials::{ProviderCredential, Resealed};
pub use credit::{Adjustment, AdjustmentKind, CreditSource, NewCredit};
pub use entry::{Before, Entries, Entry};
pub use error::StoreError;
pub use foreign::{Cast, Column, Foreign, Found, Row as ForeignRow, Wanted};
pub use health::ProviderHour;
pub use hidden_models::HiddenModel;
pub use idempotency::{Claimed, IdempotencyKey, Kept, NewClaim, Refusal};
pub use imports::{Imported, ImportedBy, ImportedRow, ImportedUser, NewImported};
pub use key_changes::KeyChange;
pub use keys::{Key, NewKey, Whose};
pub use limits::{Limit, LimitOwner, Limits};
pub use listings::{
    ACTS, CUSTOMERS, ENTRIES, EntriesWanted, KEYS, KeysWanted, ListedKey, ListedUser, MEMBERS,
    USERS, UsersWanted,
};
pub use lists::{Listing, Paged, Place, Seek};
pub use members::{Member, Role};
pub use own_keys::{OwnKey, ResealedOwn};
pub use pages::Identity;
pub use people::{LinkPurpose, SecretHash, Session};
pub use proof_audit::{ActAudit, Head, HeadOf};
pub use receipt_pages::{Ended, ReceiptFilter, ReceiptOrder, ReceiptPage, ReceiptPlace, Size};
pub use receipts::Cursor;
pub use replicas::{Replica, ReplicaState};
pub use reports::{BillRow, By, Payer, Period, Sums, UsageRow};
pub use rollup_audit::RollupFault;
pub use rollups::{Grain, Rollup};
pub use seals::{SealAudit, Sealed};
pub use slices::Grant;
pub use statements::Stored;
pub use totals::PeriodUsage;
pub use users::{NewUser, User};

const REVISION: Sql = sql!("SELECT value FROM tollgate.revision WHERE id = 1");

/// An open database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    read: Pool,
    write: Pool,
    inserts: Arc<Inserts>,
    /// Who makes changes; see [`Store::by`].
    actor: Option<Arc<Actor>>,
    /// What they are signed with; see [`Store::signing`].
    signer: Option<Arc<Signer>>,
}

/// The statements that insert many rows at once: their text is put together when the store is opened.
#[derive(Debug)]
struct Inserts {
    receipts: insert::Insert,
    models: insert::Insert,
    prices: insert::Insert,
    rollups: insert::Insert,
}

impl Store {
    /// Opens `sqlite://path` (the file is made where it is missing) or `postgres://…`, with `readers` connections
    /// that read at the same time.
    ///
    /// A PostgreSQL URL with `?pgbouncer=true` or `?statement_cache_capacity=0` is one of a pooler that gives each
    /// transaction another server connection: then no statement is given a name and every statement runs in a
    /// transaction.
    ///
    /// The tables are not looked at: [`Store::migrate`] is the next call.
    pub async fn open(url: &str, readers: u32) -> Result<Self, StoreError> {
        let (read, write) = engine::connect(url, readers.max(1)).await?;
        let inserts = Arc::new(Inserts {
            receipts: receipts::statement(),
            models: catalogue::insert_models(),
            prices: catalogue::insert_prices(),
            rollups: rollups::statement(),
        });
        Ok(Self { read, write, inserts, actor: None, signer: None })
    }

    /// The same store, whose changes are signed. Without this they are chained all the same, but whoever can write into the
    /// database could have written them.
    #[must_use]
    pub fn signing(&self, signer: Signer) -> Self {
        Self { signer: Some(Arc::new(signer)), ..self.clone() }
    }

    /// The same store for a server: a statement that PostgreSQL does not answer in `bound`, or that waits for what others have
    /// locked for a sixth of it, is given up as if the database were away; what it was to do may have been done. What hangs in the
    /// middle of a write for a third of it lets others go on. A program that does one thing may take as long as it takes.
    #[must_use]
    pub fn bounded(self, bound: Duration) -> Self {
        Self { read: self.read.bounded(bound), write: self.write.bounded(bound), ..self }
    }

    /// `SQLite` or `PostgreSQL`.
    pub const fn engine_name(&self) -> &'static str {
        match self.read {
            Pool::Sqlite(_) => "SQLite",
            Pool::Postgres(..) => "PostgreSQL",
        }
    }

    /// Whether the server takes connections now. Where it does not, that is said at once; every other call waits a while for
    /// one that is away. SQLite has none.
    pub async fn reach(&self) -> Result<(), StoreError> {
        self.write.reach().await
    }

    /// The clock of the server, in microseconds since 1970; SQLite has none.
    pub async fn clock(&self) -> Result<Option<i64>, StoreError> {
        let mut conn = self.read().await?;
        if matches!(conn, Conn::Sqlite(_)) {
            return Ok(None);
        }
        let (now,): (i64,) = on!(conn, POSTGRES_CLOCK => _, (q, c) => q.fetch_one(c).await)?;
        Ok(Some(now))
    }

    /// A number that grows with every change of users, keys, price versions and credentials. A replica that sees it grow reads
    /// them again.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        let mut conn = self.read().await?;
        let (value,): (i64,) = on!(conn, REVISION => _, (q, c) => q.fetch_one(c).await)?;
        Ok(value)
    }

    /// Closes every connection. SQLite then folds its log into the file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// A connection to read with.
    async fn read(&self) -> Result<Conn, StoreError> {
        self.read.acquire().await
    }

    /// A connection whose statements all see the same moment.
    async fn snapshot(&self) -> Result<Conn, StoreError> {
        self.read.snapshot().await
    }

    /// A transaction to write with. What is not committed is undone.
    async fn begin(&self) -> Result<Conn, StoreError> {
        self.write.begin().await
    }
}

/// How often a transaction is begun that others are in the way of.
const TRIES: usize = 5;

/// Does a transaction again where PostgreSQL has ended it because of another.
async fn again<T, F>(once: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 1..TRIES {
        match once().await {
            Err(error) if error.is_clash() => {}
            done => return done,
        }
    }
    once().await
}

#[cfg(test)]
mod tests {
    use super::{Store, StoreError};

    #[tokio::test]
    async fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("a.db").display());
        let store = Store::open(&url, 2).await.unwrap();
        store.migrate(0).await.unwrap();
        let mut conn = store.read().await.unwrap();
        let refused = conn.script("UPDATE revision SET value = 7").await;
        let Err(StoreError::Database(error)) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains("readonly"), "{error}");
        drop(conn);
        let before = store.revision().await.unwrap();
        let mut conn = store.begin().await.unwrap();
        conn.script("UPDATE revision SET value = 7").await.unwrap();
        drop(conn);
        assert_eq!(store.revision().await.unwrap(), before, "what is not committed is undone");
        store.close().await;
    }
}
