//! The description of the API is true: whatever somebody sends that it allows, or just does not, is answered as it says.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use crate::app::{App, USER};
use crate::books::not_in_ci;

/// Everything but what lasts: the order of the requests is chance, drawn from a fixed seed.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
const EXAMPLES: &str = "25";
const SEED: &str = "20261126";

/// Tries every operation as somebody with these scopes; without any, as somebody without a key.
async fn tried(scopes: &[&str]) {
    let Some(folder) = std::env::var_os("TOLLGATE_TEST_SDKS").map(PathBuf::from) else {
        not_in_ci("TOLLGATE_TEST_SDKS is not set: the CI must test the description too");
        println!("skipped: no SDKs");
        return;
    };
    let app = App::start().await;
    if scopes.contains(&"operator") {
        let store = app.books.store().await;
        let user = store.user(USER).await.expect("the user");
        store.set_operator(&user, true).await.expect("an operator");
        store.close().await;
    }
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(folder.join("python/bin/schemathesis"));
    command
        .args(["run", &format!("{}/openapi.json", app.url), "--no-color", "--workers", "1"])
        .args(["--phases", "examples,coverage,fuzzing", "--checks", CHECKS])
        .args(["--max-examples", EXAMPLES, "--seed", SEED])
        // Of HTTP itself, which every endpoint answers alike.
        .args(["--suppress-health-check", "all"]);
    if !scopes.is_empty() {
        let mut create = vec!["key", "create", "--user", USER];
        for scope in scopes {
            create.extend(["--scope", scope]);
        }
        let key = app.books.cli(&create).await;
        command.args([
            "-H",
            &format!("Authorization: Bearer {key}"),
            "-H",
            &format!("user: {USER}"),
        ]);
    }
    let output = command
        .env_clear()
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("schemathesis runs");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "as {scopes:?}: {report}");
    assert!(report.contains("generated"), "nothing was tried: {report}");
    app.close().await;
}

#[tokio::test]
async fn to_nobody() {
    tried(&[]).await;
}

#[tokio::test]
async fn to_an_ordinary_key() {
    tried(&["inference", "usage", "keys"]).await;
}

#[tokio::test]
async fn to_a_narrow_key() {
    tried(&["usage"]).await;
}

#[tokio::test]
async fn to_a_management_key() {
    tried(&["usage", "keys", "billing"]).await;
}

#[tokio::test]
async fn to_an_operators_key() {
    tried(&["operator"]).await;
}
