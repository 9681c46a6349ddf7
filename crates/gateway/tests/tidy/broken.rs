//! The rules against trees that break them.

use super::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    let file = |(path, text): &(&str, &str)| File {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
        bytes: text.len() as u64,
    };
    Tree { files: files.iter().map(file).collect() }
}

/// How many complaints a rule has about one file.
fn count(rule: fn(&Tree) -> Complaints, path: &str, text: &str) -> usize {
    rule(&tree(&[(path, text)])).len()
}

#[test]
fn finds_crates_that_point_upwards() {
    let uses = |user: &str, dependency: &str| {
        let manifest =
            format!("[package]\nname = \"x\"\n{dependency}\n[lints]\nworkspace = true\n");
        let files = [
            (user, manifest.as_str()),
            ("crates/ledger/Cargo.toml", ""),
            ("crates/store/Cargo.toml", ""),
        ];
        our_crates_point_downwards(&tree(&files)).len()
    };
    assert_eq!(uses("crates/wire/Cargo.toml", "[dependencies]\nledger.workspace = true"), 0);
    assert_eq!(
        uses("crates/wire/Cargo.toml", "[dependencies]\nstore = { path = \"../store\" }"),
        1
    );
    assert_eq!(uses("crates/wire/Cargo.toml", "[dependencies.store]\nworkspace = true"), 1);
    assert_eq!(
        uses("crates/wire/Cargo.toml", "[target.'cfg(unix)'.dependencies]\nstore.workspace = true"),
        1
    );
    assert_eq!(uses("crates/wire/Cargo.toml", "[dev-dependencies]\nstore.workspace = true"), 0);
    assert_eq!(uses("crates/testkit/Cargo.toml", "[dependencies]\nledger.workspace = true"), 1);
}

#[test]
fn finds_impure_dependencies_and_features() {
    let manifest =
        "[dependencies]\nserde.workspace = true\ntokio = \"1\"\n[dev-dependencies]\nrand = \"1\"\n";
    assert_eq!(count(pure_crates_stay_pure, "crates/ledger/Cargo.toml", manifest), 1);
    assert_eq!(count(pure_crates_stay_pure, "crates/store/Cargo.toml", manifest), 0);
    assert_eq!(count(there_are_no_features, "xtask/Cargo.toml", "[features]\nextra = []"), 1);
    assert_eq!(
        count(there_are_no_features, "xtask/Cargo.toml", "[dependencies]\nx = { features = [] }"),
        0
    );
}

#[test]
fn finds_long_files_but_not_long_tests() {
    let long = "\n".repeat(MAX_LINES + 1);
    assert_eq!(count(source_files_stay_short, "crates/wire/src/sse.rs", &long), 1);
    assert_eq!(count(source_files_stay_short, "crates/wire/src/sse.rs", &long[1..]), 0);
    assert_eq!(count(source_files_stay_short, "crates/wire/tests/sse.rs", &long), 0);
}

#[test]
fn finds_what_the_map_gets_wrong() {
    let map = "`crates/wire/src/sse.rs`, `sse.rs`, `wire/src`, `crates/wire/`, `/v1/models`, `openai/gpt-4o`, `a {b}.rs`";
    let wrong =
        |map: &str| the_map_is_true(&tree(&[(MAP, map), ("crates/wire/src/sse.rs", "")])).len();
    assert_eq!(wrong(map), 0);
    assert_eq!(wrong("`crates/wire/src/ss` and `se.rs` and `docs/` and `.ci/run`"), 4);
    assert_eq!(count(the_map_is_true, "README.md", ""), 1);
}

#[test]
fn finds_unfinished_work() {
    let unfinished =
        concat!("// TO", "DO: more\nlet x = todo", "!();\n// FIX", "ME\nunimple", "mented!()");
    assert_eq!(count(nothing_is_left_to_do, "xtask/src/main.rs", unfinished), 4);
    assert_eq!(count(nothing_is_left_to_do, "xtask/src/main.rs", "fn mastodon() {} // AUTO_DO"), 0);
}

#[test]
fn finds_sql_of_one_engine() {
    let found = |sql: &str| count(migrations_suit_both_engines, "migrations/0001_first.sql", sql);
    assert_eq!(
        found(
            "CREATE TABLE t (id TEXT PRIMARY KEY, uuid TEXT, at BIGINT, PRIMARY KEY (uuid)); -- no REAL"
        ),
        0
    );
    assert_eq!(found("id uuid PRIMARY KEY,\nprice real,\nat TIMESTAMP DEFAULT 'a'"), 2);
    assert_eq!(found("CHECK (kind IN ('real', 'float'))"), 0);
    assert_eq!(found("-- engine: postgres\nid BIGSERIAL\n-- engine: all\nid SERIAL"), 1);
    assert_eq!(found("-- engine: mysql"), 1);
}

#[test]
fn finds_floats_in_the_ledger() {
    let code = "// an f64 would round\nlet a: f64 = 1f32;\nlet half64 = 1;";
    assert_eq!(count(money_is_never_floating, "crates/ledger/src/usd.rs", code), 2);
    assert_eq!(count(money_is_never_floating, "crates/wire/src/chat.rs", code), 0);
}

#[test]
fn finds_silent_crates_machine_paths_and_huge_files() {
    assert_eq!(count(crates_say_what_they_promise, "crates/wire/src/lib.rs", "mod sse;"), 1);
    let paths = concat!("cd /ho", "me/ann/x\n\"/ro", "ot/x\"\nhttps://example.org/ho", "me/x");
    assert_eq!(count(nothing_names_a_machine_or_is_huge, "README.md", paths), 2);
    let huge = Tree {
        files: vec![File { path: "a.bin".to_owned(), text: String::new(), bytes: MAX_BYTES + 1 }],
    };
    assert_eq!(nothing_names_a_machine_or_is_huge(&huge).len(), 1);
}
