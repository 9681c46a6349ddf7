//! What this program may expect of PostgreSQL, and how long it waits for it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::timeout;

use crate::engine::{Conn, Lease, PATIENCE};
use crate::error::StoreError;

/// For how long all connections are asked, after one has fallen silent.
const LATELY: Duration = Duration::from_mins(1);

/// How long a write that hangs in the middle, as with its whole machine, keeps from others what it has locked.
const IDLE: Duration = Duration::from_secs(10);

/// How statements are sent.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Whether statements may be prepared under a name: whether a connection is our own for longer than a transaction.
    pub(crate) named: bool,
    /// How long a statement is waited for.
    bound: Option<Duration>,
    /// What begins a write.
    pub(crate) write: Arc<str>,
    pub(crate) silent: Arc<Silent>,
}

impl Terms {
    pub(crate) fn new(named: bool) -> Self {
        let write = begin(IDLE, None);
        Self { named, bound: None, write, silent: Arc::default() }
    }

    /// The same, whose statements are not waited for without end, and do not wait so long for what others have locked.
    pub(crate) fn bounded(self, bound: Duration) -> Self {
        Self { bound: Some(bound), write: begin(bound / 3, Some(bound / 6)), ..self }
    }

    /// Waits for what a connection does, as long as that may take.
    pub(crate) async fn within<T, E: From<sqlx::Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(bound) = self.bound else { return work.await };
        if let Ok(done) = timeout(bound, work).await {
            return done;
        }
        self.silent.note(bound);
        let what = format!("no answer in {bound:?}");
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, what)).into())
    }

    /// A transaction, by a statement of ours.
    pub(crate) async fn begin(
        &self,
        pool: &PgPool,
        statement: Arc<str>,
    ) -> Result<Conn, StoreError> {
        let begun = self.within(pool.begin_with(AssertSqlSafe(statement))).await;
        Ok(Conn::Postgres(Lease::Transaction(begun.map_err(StoreError::away)?), self.clone()))
    }
}

/// Begins a write that may do nothing for so long, and wait for others for so long, or as long as the server lets it.
fn begin(idle: Duration, lock: Option<Duration>) -> Arc<str> {
    let set = |name: &str, time: Duration| format!("; SET LOCAL {name} = {}", time.as_millis());
    let idle = set("idle_in_transaction_session_timeout", idle);
    let lock = lock.map(|lock| set("lock_timeout", lock)).unwrap_or_default();
    format!("BEGIN{idle}{lock}").into()
}

/// When a connection was last found silent, and after how long. The pool asks each that is given back whether it is there, and
/// would wait for the answer without end.
#[derive(Debug, Default)]
pub(crate) struct Silent(Mutex<Option<(Instant, Duration)>>);

impl Silent {
    fn note(&self, bound: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), bound));
    }

    /// Whether a connection may go back to the pool. An error closes it, and says goodbye to nobody.
    pub(crate) async fn is_there(
        self: Arc<Self>,
        conn: &mut PgConnection,
    ) -> Result<bool, sqlx::Error> {
        let noted = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, bound)) = noted.filter(|(at, _)| at.elapsed() < LATELY) else {
            return Ok(true);
        };
        let there = timeout(bound.min(PATIENCE), conn.ping()).await;
        there.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|()| true)
    }
}
