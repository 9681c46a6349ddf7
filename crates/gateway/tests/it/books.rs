//! The books of a test: a database of its own, and the command line on it.

use std::process::{Output, Stdio};

use ledger::{Receipt, Signer, from_hex};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use store::Store;
use tokio::process::Command;

/// What a key may do that manages and asks no model.
pub(crate) const MANAGEMENT: [&str; 3] = ["keys", "usage", "billing"];

/// What keys of the native API may do.
pub(crate) const ORDINARY: [&str; 3] = ["inference", "usage", "keys"];

/// Where the books are. Goes away with the value.
pub(crate) struct Books {
    pub(crate) url: String,
    pub(crate) folder: tempfile::TempDir,
    server: Option<(String, String)>,
}

impl Books {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("tollgate.db").display());
        Self { url, folder, server: None }
    }

    /// `None`, said by name, where no PostgreSQL is given; a CI always gives one.
    pub(crate) async fn postgres(name: &str) -> Option<Self> {
        let Some(admin) = std::env::var_os("TOLLGATE_TEST_POSTGRES") else {
            not_in_ci("TOLLGATE_TEST_POSTGRES is not set: the CI must test PostgreSQL too");
            println!("skipped: no PostgreSQL");
            return None;
        };
        let admin = admin.into_string().expect("a URL");
        let name = format!("gateway_{name}_{}", std::process::id());
        let mut conn = PgConnection::connect(&admin).await.expect("the test server");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut conn).await.expect("a new database");
        let (server, _) = admin.rsplit_once('/').expect("a URL with a database");
        let folder = tempfile::tempdir().expect("a folder");
        Some(Self { url: format!("{server}/{name}"), folder, server: Some((admin, name)) })
    }

    /// Drops the database of a server; a file goes with its folder.
    pub(crate) async fn remove(self) {
        if let Some((admin, name)) = &self.server {
            let mut conn = PgConnection::connect(admin).await.expect("the test server");
            let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
            sqlx::raw_sql(drop).execute(&mut conn).await.expect("the database goes");
        }
    }

    /// A command of the program on these books, in an empty environment and folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", &self.url)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end, whatever it is.
    pub(crate) async fn try_cli(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.expect("the program runs")
    }

    /// Runs a command that has to succeed, and returns what it printed.
    pub(crate) async fn cli(&self, arguments: &[&str]) -> String {
        let output = self.try_cli(arguments).await;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let (printed, error) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "tollgate {arguments:?} ended badly: {error}{printed}");
        printed.trim_end().to_owned()
    }

    /// The same with `--json`.
    pub(crate) async fn cli_json(&self, arguments: &[&str]) -> Value {
        let text = self.cli(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&text).expect("one JSON value")
    }

    /// Runs a command that has to fail, and returns its complaint.
    pub(crate) async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.try_cli(arguments).await;
        assert!(!output.status.success(), "tollgate {arguments:?} succeeded");
        assert!(output.status.code().is_some(), "tollgate {arguments:?} was killed");
        String::from_utf8(output.stderr).expect("text")
    }

    /// Adds a user with a key that manages keys too, and returns the key.
    pub(crate) async fn add_user(&self, name: &str) -> String {
        self.cli(&["user", "add", name]).await;
        self.key_with(name, &ORDINARY).await
    }

    /// The store, which signs what is written as the program does from this folder.
    pub(crate) async fn store(&self) -> Store {
        let store = Store::open(&self.url, 1).await.expect("the books");
        let key = self.folder.path().join("tollgate-data/signing.key");
        let Ok(secret) = std::fs::read_to_string(key) else { return store };
        let secret = from_hex(secret.trim_end()).expect("a key");
        store.signing(Signer::from_secret(&secret))
    }

    /// Every receipt, in the order of the requests.
    pub(crate) async fn receipts(&self) -> Vec<Receipt> {
        // Applies what is in the journal.
        self.cli(&["usage"]).await;
        let store = Store::open(&self.url, 1).await.expect("the books");
        let mut receipts = Vec::new();
        let seen = store.for_each_receipt(|receipt| receipts.push(receipt.expect("a receipt")));
        seen.await.expect("the receipts");
        store.close().await;
        receipts
    }

    /// Works everything out again, which has to come out clean, and returns the program's report.
    pub(crate) async fn audit(&self) -> Value {
        let report = self.cli_json(&["verify"]).await;
        assert_eq!((&report["clean"], &report["faults"]), (&true.into(), &0.into()), "{report}");
        report
    }

    /// A key of a user that is there.
    pub(crate) async fn key_with(&self, user: &str, scopes: &[&str]) -> String {
        let mut arguments = vec!["key", "create", "--user", user];
        arguments.extend(scopes.iter().flat_map(|scope| ["--scope", *scope]));
        self.cli(&arguments).await
    }

    /// Runs a statement past the program, as somebody with a database shell would.
    pub(crate) async fn shell(&self, statement: &str) {
        self.try_shell(statement).await.expect("done");
    }

    /// The same, where the database may refuse it.
    pub(crate) async fn try_shell(&self, statement: &str) -> Result<(), sqlx::Error> {
        if self.server.is_some() {
            let statement = AssertSqlSafe(statement.to_owned());
            let mut conn = PgConnection::connect(&self.url).await?;
            sqlx::raw_sql(statement).execute(&mut conn).await.map(drop)
        } else {
            let statement = AssertSqlSafe(statement.replace("tollgate.", ""));
            let mut conn = SqliteConnection::connect(&self.url).await?;
            sqlx::raw_sql(statement).execute(&mut conn).await.map(drop)
        }
    }

    /// How many rows a statement finds.
    pub(crate) async fn count(&self, statement: &str) -> usize {
        if self.server.is_some() {
            let statement = AssertSqlSafe(statement.to_owned());
            let mut conn = PgConnection::connect(&self.url).await.expect("the books");
            sqlx::raw_sql(statement).fetch_all(&mut conn).await.expect("rows").len()
        } else {
            let statement = AssertSqlSafe(statement.replace("tollgate.", ""));
            let mut conn = SqliteConnection::connect(&self.url).await.expect("the books");
            sqlx::raw_sql(statement).fetch_all(&mut conn).await.expect("rows").len()
        }
    }
}

/// The program: the one that was built for the tests, or a release of it.
pub(crate) fn binary() -> std::ffi::OsString {
    let release = std::env::var_os("TOLLGATE_TEST_RELEASE");
    release.unwrap_or_else(|| env!("CARGO_BIN_EXE_tollgate").into())
}

/// A number that the environment gives, or else that one.
pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var_os(name).map(|text| text.into_string().expect("text"));
    text.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

/// What may be missing on somebody's machine may not be in the CI.
pub(crate) fn not_in_ci(message: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{message}");
}
