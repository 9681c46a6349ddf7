//! What can go wrong, in the words of what is stored.

use std::sync::Arc;

use uuid::Uuid;

/// Why the store could not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another run of this replica has begun, or it was declared dead: it may not spend any more.
    #[error("another run of this replica has taken its place")]
    Fenced,
    /// A business act of that id has been done, with other content.
    #[error("transaction {id} has been done already, with other content")]
    Done {
        /// The transaction.
        id: Uuid,
    },
    /// A journal's records do not follow those that were applied: the database is older than what was applied to it.
    #[error(
        "the journal was applied up to record {cursor} only, and these come behind record {after}"
    )]
    Gap {
        /// The last record that was applied.
        cursor: u64,
        /// The record behind which those to apply begin.
        after: u64,
    },
    /// An account has less than that.
    #[error("there is too little: {what}")]
    TooLittle {
        /// What is missing, and of what.
        what: String,
    },
    /// An organization has an owner at all times.
    #[error("an organization needs an owner: make somebody else one first")]
    LastOwner,
    /// There is one already.
    #[error("this {what} already exists")]
    Duplicate {
        /// A user, a key, …
        what: &'static str,
    },
    /// There is none.
    #[error("no such {what}")]
    NotFound {
        /// A user, a key, …
        what: &'static str,
    },
    /// Another receipt with other content has that id: one of them is wrong, and somebody must look at both.
    #[error("receipt {request_id}/{attempt} already exists with other content")]
    Conflict {
        /// The request.
        request_id: Uuid,
        /// The attempt.
        attempt: i16,
    },
    /// A newer program has migrated this database.
    #[error(
        "the database has schema {found}, this program knows up to {known}: use the newer program"
    )]
    TooNew {
        /// The schema found.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// A newer program has sealed what this one cannot judge.
    #[error("{which} has form {found}, this program knows up to {known}: use the newer program")]
    NewerSeal {
        /// The seal.
        which: String,
        /// Its form.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// A migration that was applied is not the one that is known under its number.
    #[error("schema {version} was applied with another text than this program has")]
    MigrationChanged {
        /// Its number.
        version: i64,
    },
    /// SQLite before 3.51.3 can corrupt a file in WAL mode when two connections write or checkpoint at once.
    #[error("SQLite {found} is too old: 3.51.3 is the first without the WAL-reset race")]
    SqliteTooOld {
        /// The version found.
        found: String,
    },
    /// PostgreSQL before 15 is not supported.
    #[error("PostgreSQL {found} is too old: 15 is the first supported")]
    PostgresTooOld {
        /// The version found.
        found: String,
    },
    /// The URL is neither `sqlite://…` nor `postgres://…`.
    #[error("the database URL must begin with sqlite:// or postgres://")]
    Url,
    /// The URL of another program's database is not `postgres://…`.
    #[error("the URL of the database to read must begin with postgres:// or postgresql://")]
    ForeignUrl,
    /// Another program's database lacks something.
    #[error("there is no {what} {name} in {place}, which has: {found}")]
    Missing {
        /// A schema, a table or a column.
        what: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked for.
        place: String,
        /// What is there instead.
        found: String,
    },
    /// A number does not fit its column.
    #[error("{what} is out of range")]
    OutOfRange {
        /// Which number.
        what: &'static str,
    },
    /// What is stored cannot be understood: somebody has changed it past this program.
    #[error("stored {what} is corrupt")]
    Corrupt {
        /// What, and which.
        what: String,
    },
    /// The database says no, or nothing. Shared, because a whole batch may fail for one reason. The cause is told here, and
    /// is no `source`, or it would be told twice.
    #[error("database: {0}")]
    Database(Arc<sqlx::Error>),
    /// The database takes no connection, whatever it says: that is about nothing that was to be done.
    #[error("database: {0}")]
    Away(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl StoreError {
    pub(crate) fn away(error: sqlx::Error) -> Self {
        Self::Away(Arc::new(error))
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    /// This error, or [`StoreError::Duplicate`] where a unique column already has the value.
    pub(crate) fn or_duplicate(error: sqlx::Error, what: &'static str) -> Self {
        match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                Self::Duplicate { what }
            }
            _ => error.into(),
        }
    }

    /// Whether PostgreSQL has ended the transaction because another was in its way: begun again, it may well go through.
    pub(crate) fn is_clash(&self) -> bool {
        let Self::Database(error) = self else { return false };
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| matches!(&*code, "40001" | "40P01"))
    }

    /// Whether a number does not fit where it was to go: no further try will go through.
    pub fn is_out_of_range(&self) -> bool {
        let Self::Database(error) = self else { return matches!(self, Self::OutOfRange { .. }) };
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // SQLite makes a fraction of a sum past the range, which a strict table refuses.
        code.is_some_and(|code| matches!(&*code, "22003" | "3091"))
    }

    /// Whether the same statement may well succeed in a moment: the connection was lost, another transaction was in
    /// the way, the server restarts. A failed sync of the disk (SQLite's `IOERR`) is not among them: what it has lost
    /// is not known, and a second try that succeeds proves nothing.
    pub fn is_transient(&self) -> bool {
        let Self::Database(error) = self else { return matches!(self, Self::Away(_)) };
        match &**error {
            // A server that goes away in the middle of a greeting breaks the protocol.
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut => true,
            sqlx::Error::Database(database) => {
                database.code().is_some_and(|code| is_transient_code(&code))
            }
            _ => false,
        }
    }
}

fn is_transient_code(code: &str) -> bool {
    if code.len() == 5 {
        // SQLSTATE: connection, serialization, deadlock, resources, statements that were ended, shutdown and start-up of the
        // server, and what its system does to it.
        let passes = ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class));
        // And a server that only reads, as after a change of the primary, or that takes nobody in; what others have locked for
        // too long; transactions that took too long.
        return passes || matches!(code, "25006" | "55000" | "55P03" | "25P03" | "25P04");
    }
    // SQLite: the low byte is the primary code; 5 is BUSY, 6 is LOCKED.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
}

#[cfg(test)]
mod tests {
    use super::is_transient_code;

    #[test]
    fn a_failed_sync_is_never_tried_again() {
        assert!(is_transient_code("5") && is_transient_code("517") && is_transient_code("40P01"));
        for code in ["57P01", "57014", "58030", "25006", "55000", "55P03", "25P03"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["10", "1034", "13", "11", "23505", "42601"] {
            assert!(!is_transient_code(code), "{code}");
        }
    }
}
