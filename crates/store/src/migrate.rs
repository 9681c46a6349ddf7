//! The schema: numbered texts, each applied once, all in one transaction.

use sha2::{Digest as _, Sha256};

use crate::engine::{Conn, HAS_MIGRATIONS, POSTGRES_LOCK, POSTGRES_LOCK_OUT, POSTGRES_SCHEMA, Sql};
use crate::{Actor, Store, StoreError};

/// Every migration, by ascending number. What is published is never edited: a change is another file.
const MIGRATIONS: [Migration; 17] = [
    Migration { version: 1, text: include_str!("../../../migrations/0001_init.sql") },
    Migration { version: 2, text: include_str!("../../../migrations/0002_replicas.sql") },
    Migration { version: 3, text: include_str!("../../../migrations/0003_ledger.sql") },
    Migration { version: 4, text: include_str!("../../../migrations/0004_idempotency.sql") },
    Migration { version: 5, text: include_str!("../../../migrations/0005_people.sql") },
    Migration { version: 6, text: include_str!("../../../migrations/0006_credentials.sql") },
    Migration { version: 7, text: include_str!("../../../migrations/0007_imports.sql") },
    Migration { version: 8, text: include_str!("../../../migrations/0008_endpoints.sql") },
    Migration { version: 9, text: include_str!("../../../migrations/0009_limits.sql") },
    Migration { version: 10, text: include_str!("../../../migrations/0010_routing.sql") },
    Migration { version: 11, text: include_str!("../../../migrations/0011_set_aside.sql") },
    Migration { version: 12, text: include_str!("../../../migrations/0012_proof.sql") },
    Migration { version: 13, text: include_str!("../../../migrations/0013_receipt_pages.sql") },
    Migration { version: 14, text: include_str!("../../../migrations/0014_direct.sql") },
    Migration { version: 15, text: include_str!("../../../migrations/0015_ended_credit.sql") },
    Migration { version: 16, text: include_str!("../../../migrations/0016_seal_form.sql") },
    Migration { version: 17, text: include_str!("../../../migrations/0017_receipt_checks.sql") },
];

/// What has been applied. The first thing to exist, so it is not a migration itself.
const APPLIED: &str = "CREATE TABLE IF NOT EXISTS tollgate.schema_migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    sha256 TEXT NOT NULL,
    applied_at BIGINT NOT NULL
);";
const READ: Sql = sql!("SELECT version, sha256 FROM tollgate.schema_migrations ORDER BY version");
const WRITE: Sql = sql!(
    "INSERT INTO tollgate.schema_migrations (version, sha256, applied_at) VALUES ($1, $2, $3)"
);
/// From this one on, acts are proved.
const PROOF: i64 = 12;
const MARK: &str = "-- engine: ";

struct Migration {
    version: i64,
    text: &'static str,
}

impl Store {
    /// Brings the tables to the newest schema and returns how many steps that took. `at` is written beside each.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] where a newer program has been here: its tables may mean what this one does not know.
    pub async fn migrate(&self, at: i64) -> Result<usize, StoreError> {
        let mut conn = self.begin().await?;
        let steps = self.steps(&mut conn, at).await?;
        conn.commit().await?;
        Ok(steps.len())
    }

    /// Does what [`Store::migrate`] would do and takes all of it back: the numbers of the steps that it takes.
    ///
    /// # Errors
    /// Those of [`Store::migrate`], which would meet them too.
    pub async fn rehearse(&self, at: i64) -> Result<Vec<i64>, StoreError> {
        let mut conn = self.begin().await?;
        // What is not committed is taken back.
        self.steps(&mut conn, at).await
    }

    async fn steps(&self, conn: &mut Conn, at: i64) -> Result<Vec<i64>, StoreError> {
        let steps = apply(conn, at).await?;
        if steps.contains(&PROOF) {
            let program = Actor { id: None, name: "tollgate".to_owned(), via: "program", at };
            self.by(program).open_chain(conn).await?;
        }
        Ok(steps)
    }

    /// The numbers of the steps that are still to be taken. Changes nothing.
    ///
    /// # Errors
    /// Those of [`Store::migrate`].
    pub async fn pending(&self) -> Result<Vec<i64>, StoreError> {
        let mut conn = self.read().await?;
        let there: Option<(i64,)> =
            on!(conn, HAS_MIGRATIONS => _, (q, c) => q.fetch_optional(c).await)?;
        let applied: Vec<(i64, String)> = match there {
            Some(_) => on!(conn, READ => _, (q, c) => q.fetch_all(c).await)?,
            None => Vec::new(),
        };
        check(&applied)?;
        let done = |version: &i64| applied.iter().any(|(done, _)| done == version);
        Ok(MIGRATIONS.iter().map(|step| step.version).filter(|version| !done(version)).collect())
    }
}

pub(crate) async fn apply(conn: &mut Conn, at: i64) -> Result<Vec<i64>, StoreError> {
    prepare(conn).await?;
    let applied: Vec<(i64, String)> = on!(*conn, READ => _, (q, c) => q.fetch_all(c).await)?;
    check(&applied)?;
    let mut steps = Vec::new();
    for Migration { version, text } in &MIGRATIONS {
        if applied.iter().any(|(done, _)| done == version) {
            continue;
        }
        let script = script(conn, text);
        conn.script(&script).await?;
        on!(*conn, WRITE, (q, c) => {
            q.bind(*version).bind(sha256(text)).bind(at).execute(c).await.map(drop)
        })?;
        steps.push(*version);
    }
    if !steps.is_empty() && matches!(conn, Conn::Postgres(..)) {
        conn.script(POSTGRES_LOCK_OUT).await?;
    }
    Ok(steps)
}

async fn prepare(conn: &mut Conn) -> Result<(), StoreError> {
    if matches!(conn, Conn::Postgres(..)) {
        conn.script(POSTGRES_LOCK).await?;
        conn.script(POSTGRES_SCHEMA).await?;
    }
    let table = conn.words(APPLIED);
    conn.script(&table).await
}

/// Refuses a database that this program does not know.
fn check(applied: &[(i64, String)]) -> Result<(), StoreError> {
    let known = MIGRATIONS.last().map_or(0, |newest| newest.version);
    for (version, hash) in applied {
        if *version > known {
            return Err(StoreError::TooNew { found: *version, known });
        }
        let same = MIGRATIONS.iter().any(|m| m.version == *version && sha256(m.text) == *hash);
        if !same {
            return Err(StoreError::MigrationChanged { version: *version });
        }
    }
    Ok(())
}

/// The sections of `text` that are for this engine. What is for one alone is taken as it stands.
fn script(conn: &Conn, text: &str) -> String {
    let mut script = String::new();
    for section in text.split(MARK).skip(1) {
        let (engine, body) = section.split_once('\n').unwrap_or((section, ""));
        match engine.trim() {
            "all" => script.push_str(&conn.words(body)),
            engine if engine == conn.section() => script.push_str(body),
            _ => {}
        }
    }
    script
}

/// In hexadecimal.
fn sha256(text: &str) -> String {
    ledger::to_hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{MARK, MIGRATIONS};

    #[test]
    fn every_file_is_applied_and_every_section_is_known() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let versions: Vec<i64> =
            names.iter().map(|name| name.split('_').next().unwrap().parse().unwrap()).collect();
        assert_eq!(versions, MIGRATIONS.map(|migration| migration.version));
        for migration in MIGRATIONS {
            for line in migration.text.lines().filter_map(|line| line.strip_prefix(MARK)) {
                assert!(["all", "sqlite", "postgres"].contains(&line), "engine {line}");
            }
        }
    }
}
