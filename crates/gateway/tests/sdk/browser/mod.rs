//! The console in a real browser: the journeys that people make, and every page as it looks to everybody.
//!
//! The scripts of `node/browser_*.mjs` drive Chromium; what only the server's side knows is looked at here.
//! `TOLLGATE_TEST_CHROMIUM` names the program that `cargo xtask test` has found or installed.

mod journeys;
mod pages;
mod seed;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::to_hex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::Actor;
use tokio::process::Command;
use tokio::time::timeout;

use crate::app::App;
use crate::books::{Books, not_in_ci};
use crate::run::{copy_scripts, node};

/// A script waits a minute at most for each thing; one that hangs is ended.
const PATIENCE: Duration = Duration::from_mins(10);

/// A browser, and what drives it.
pub(crate) struct Chromium {
    sdks: PathBuf,
    program: PathBuf,
    /// What the scripts have saved.
    pub(crate) folder: tempfile::TempDir,
}

impl Chromium {
    /// `None`, said by name, where one is missing; a CI has both.
    pub(crate) fn find() -> Option<Self> {
        let sdks = std::env::var_os("TOLLGATE_TEST_SDKS").map(PathBuf::from);
        let program = std::env::var_os("TOLLGATE_TEST_CHROMIUM").map(PathBuf::from);
        let program = program.or_else(|| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let mut all = std::env::split_paths(&path).map(|folder| folder.join("chromium"));
            all.find(|path| path.is_file())
        });
        let (Some(sdks), Some(program)) = (sdks, program) else {
            not_in_ci("no Chromium, or no SDKs: the CI must test the console in a browser too");
            println!("skipped: no Chromium");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        Some(Self { sdks, program, folder })
    }

    /// Goes a journey of a script with these variables, and returns what it tells at its end.
    pub(crate) async fn go(
        &self,
        file: &str,
        journey: &str,
        app: &App,
        given: &[(&str, &str)],
    ) -> Value {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/node");
        // Node looks for packages from where a script is.
        let copies = tempfile::tempdir_in(&self.sdks).expect("a folder");
        copy_scripts(&scripts, copies.path());
        let mut command = Command::new(node(&self.sdks));
        command
            .arg(copies.path().join(file))
            .env_clear()
            .env("BASE_URL", &app.url)
            .env("CHROMIUM", &self.program)
            .env("JOURNEY", journey)
            .env("FOLDER", self.folder.path())
            .env("HOME", copies.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(given.iter().copied())
            .current_dir(copies.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await.expect("an end in time");
        let output = output.expect("node starts");
        let (told, complaints) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{journey}:\n{complaints}\n{told}\n{}", app.log().await);
        serde_json::from_str(&told).unwrap_or_else(|_| panic!("{journey} tells {told:?}"))
    }

    /// A file that a script has saved.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Microseconds since 1970.
fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a test has no other clock")]
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    i64::try_from(elapsed.as_micros()).expect("a moment")
}

/// Signs somebody in: the value of the cookie.
pub(crate) async fn session(books: &Books, user: &str) -> String {
    let token = to_hex(&Sha256::digest(format!("session of {user}")));
    let store = books.store().await;
    let known = store.user(user).await.expect("the user");
    let hash = Sha256::digest(token.as_bytes()).into();
    // Not the program's own act, but that of whoever signs in.
    let by = Actor { id: Some(known.id), name: user.to_owned(), via: "console", at: now() };
    store
        .by(by)
        .begin_session(hash, &known, (now(), now() + 86_400_000_000))
        .await
        .expect("a session");
    store.close().await;
    token
}
