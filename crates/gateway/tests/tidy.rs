//! The house rules that a machine can check. Each message says what to do instead.
//!
//! A rule is a function from the tree to complaints, so `tidy/broken.rs` can show each rule a tree that breaks it.

#[path = "tidy/broken.rs"]
mod broken;

use std::path::Path;
use std::process::Command;

/// Every text file of the repository, and the size of every file.
struct Tree {
    files: Vec<File>,
}

struct File {
    path: String,
    text: String,
    bytes: u64,
}

type Complaints = Vec<String>;

const RULES: [fn(&Tree) -> Complaints; 10] = [
    our_crates_point_downwards,
    pure_crates_stay_pure,
    source_files_stay_short,
    the_map_is_true,
    nothing_is_left_to_do,
    there_are_no_features,
    migrations_suit_both_engines,
    money_is_never_floating,
    crates_say_what_they_promise,
    nothing_names_a_machine_or_is_huge,
];

#[test]
fn house_rules() {
    let tree = Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    assert!(tree.file("Cargo.toml").is_some(), "the repository was not found");
    let complaints: Complaints = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    assert!(complaints.is_empty(), "\n\n- {}\n", complaints.join("\n- "));
}

// Rules

/// Which of our crates each may use at run time. What is not listed may use none.
const MAY_USE: [(&str, &[&str]); 4] = [
    ("wire", &["ledger"]),
    ("store", &["ledger"]),
    ("gateway", &["ledger", "wire", "store", "testkit"]),
    ("testkit", &[]),
];

fn our_crates_point_downwards(tree: &Tree) -> Complaints {
    let ours: Vec<&str> = tree.crates().map(|(name, _)| name).collect();
    let mut complaints = Vec::new();
    for (name, manifest) in tree.crates() {
        let allowed = MAY_USE.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, list)| list);
        for used in dependencies(&manifest.text) {
            if ours.contains(&used.as_str()) && !allowed.contains(&used.as_str()) {
                complaints.push(format!(
                    "{}: `{name}` must not depend on `{used}`. The order is gateway → {{store, wire}} → ledger, with \
                     testkit under dev-dependencies; move what both need downwards",
                    manifest.path
                ));
            }
        }
    }
    complaints
}

const PURE: [&str; 2] = ["ledger", "wire"];

const NOT_PURE: [&str; 16] = [
    "async-std",
    "axum",
    "chrono",
    "futures",
    "futures-util",
    "hyper",
    "hyper-util",
    "jiff",
    "rand",
    "redis",
    "reqwest",
    "sqlx",
    "time",
    "tokio",
    "tokio-util",
    "tower",
];

fn pure_crates_stay_pure(tree: &Tree) -> Complaints {
    let mut complaints = Vec::new();
    for (name, manifest) in tree.crates().filter(|(name, _)| PURE.contains(name)) {
        for used in dependencies(&manifest.text).filter(|used| NOT_PURE.contains(&used.as_str())) {
            complaints.push(format!(
                "{}: `{name}` is pure and must not depend on `{used}`. Take what you need (time, randomness, bytes) as \
                 an argument and do the I/O in store or gateway",
                manifest.path
            ));
        }
    }
    complaints
}

const MAX_LINES: usize = 500;

fn source_files_stay_short(tree: &Tree) -> Complaints {
    let sources =
        tree.rust().filter(|file| !is_test(&file.path) && !file.text.starts_with("// @generated"));
    let long = sources.filter(|file| file.text.lines().count() > MAX_LINES);
    long.map(|file| {
        let lines = file.text.lines().count();
        format!("{}: {lines} lines, more than {MAX_LINES}. Move one of its subjects into a file of its own", file.path)
    })
    .collect()
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

const MAP: &str = "ARCHITECTURE.md";

fn the_map_is_true(tree: &Tree) -> Complaints {
    let Some(map) = tree.file(MAP) else {
        return vec![format!(
            "{MAP} is missing. Write it: the crates, the entry files, the invariants"
        )];
    };
    let named = map.text.split('`').skip(1).step_by(2).filter(|name| looks_like_a_path(name));
    let wrong = named.filter(|name| !tree.has(name));
    wrong
        .map(|name| {
            format!("{MAP} names `{name}`, which does not exist. Name the file that took its place")
        })
        .collect()
}

/// Files, and folders of the repository; not URLs, model ids or patterns.
fn looks_like_a_path(name: &str) -> bool {
    const FILES: [&str; 9] = ["rs", "md", "toml", "sql", "csv", "html", "css", "js", "json"];
    const FOLDERS: [&str; 14] = [
        ".ci",
        ".cargo",
        ".config",
        "crates",
        "docs",
        "fuzz",
        "gateway",
        "ledger",
        "migrations",
        "pricing",
        "store",
        "testkit",
        "wire",
        "xtask",
    ];
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if name.starts_with(['/', '.']) && !name.starts_with(".c") || !name.chars().all(plain) {
        return false;
    }
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    let folder = name.split_once('/').is_some_and(|(first, _)| FOLDERS.contains(&first));
    folder || extension.is_some_and(|extension| FILES.contains(&extension))
}

fn nothing_is_left_to_do(tree: &Tree) -> Complaints {
    // In two halves, or this file would break its own rule.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!"),
        concat!("unimple", "mented!"),
    ];
    let sources = tree.files.iter().filter(|file| {
        let extension = Path::new(&file.path).extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("rs" | "sql" | "toml" | "html" | "css" | "js" | "sh"))
            || file.path == ".ci/run"
    });
    let mut complaints = Vec::new();
    for file in sources {
        for (number, line) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| has_word(line, word)) {
                complaints.push(format!(
                    "{}:{}: `{word}`. Do it now, or open an issue",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    complaints
}

fn there_are_no_features(tree: &Tree) -> Complaints {
    let manifests = tree.files.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    let with =
        manifests.filter(|file| sections(&file.text).any(|(section, _)| section == "features"));
    with.map(|file| {
        format!(
            "{}: declares features. One build is tested and shipped: use a setting, or a crate",
            file.path
        )
    })
    .collect()
}

/// Types that the engines do not share, or that can't hold money.
const NOT_SHARED: [&str; 13] = [
    "AUTOINCREMENT",
    "SERIAL",
    "BIGSERIAL",
    "SMALLSERIAL",
    "JSONB",
    "NUMERIC",
    "DECIMAL",
    "REAL",
    "FLOAT",
    "DOUBLE",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "DATETIME",
];

fn migrations_suit_both_engines(tree: &Tree) -> Complaints {
    let mut complaints = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| file.path.contains("migrations/") && file.has_extension("sql"))
    {
        let mut shared = true;
        for (number, line) in file.text.lines().enumerate() {
            if let Some(engine) = line.trim().strip_prefix("-- engine:") {
                match engine.trim() {
                    "sqlite" | "postgres" => shared = false,
                    "all" => shared = true,
                    other => complaints.push(format!(
                        "{}:{}: there is no engine `{other}`. Say sqlite, postgres or all",
                        file.path,
                        number + 1
                    )),
                }
            }
            let statement = line.split("--").next().unwrap_or_default().to_uppercase();
            for word in NOT_SHARED.iter().filter(|word| shared && is_type(&statement, word)) {
                complaints.push(format!(
                    "{}:{}: `{word}`. Money, times (microseconds) and counters are BIGINT, ids are UUID, JSON is TEXT; what \
                     only one engine can do stands between `-- engine: sqlite` or `-- engine: postgres` and \
                     `-- engine: all`",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    complaints
}

/// Whether `word` stands in a line of SQL, outside of strings.
fn is_type(statement: &str, word: &str) -> bool {
    let code: String = statement.split('\'').step_by(2).collect::<Vec<_>>().join("''");
    words(&code).any(|found| found == word)
}

fn money_is_never_floating(tree: &Tree) -> Complaints {
    let mut complaints = Vec::new();
    for file in tree.rust().filter(|file| file.path.starts_with("crates/ledger/src/")) {
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for float in
                ["f32", "f64"].iter().filter(|float| words(code).any(|word| is_float(word, float)))
            {
                complaints.push(format!(
                    "{}:{}: `{float}`. Amounts and prices are whole pico-dollars: use Usd or i128",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    complaints
}

/// The type itself, or a number that ends in it, as `1f64`.
fn is_float(word: &str, float: &str) -> bool {
    word.strip_suffix(float)
        .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '_'))
}

fn crates_say_what_they_promise(tree: &Tree) -> Complaints {
    let libraries = tree.rust().filter(|file| file.path.ends_with("src/lib.rs"));
    let silent = libraries.filter(|file| !file.text.starts_with("//!"));
    silent
        .map(|file| format!("{}: start with `//!` and what this crate promises", file.path))
        .collect()
}

const MAX_BYTES: u64 = 1024 * 1024;

fn nothing_names_a_machine_or_is_huge(tree: &Tree) -> Complaints {
    // In two halves, or this file would break its own rule.
    let homes = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];
    let mut complaints = Vec::new();
    for file in &tree.files {
        if file.bytes > MAX_BYTES {
            let what = "Fetch it, generate it or make it smaller";
            complaints.push(format!(
                "{}: {} bytes, more than {MAX_BYTES}. {what}",
                file.path, file.bytes
            ));
        }
        for (number, line) in file.text.lines().enumerate() {
            for home in homes.iter().filter(|home| names_folder(line, home)) {
                complaints.push(format!(
                    "{}:{}: a path below {home} of somebody's machine. Make it relative to the repository",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    complaints
}

/// Whether an absolute path begins with `folder`; `example.org/home/` does not.
fn names_folder(line: &str, folder: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}' | '~');
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(inside))
}

// Reading

impl File {
    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == extension)
    }
}

impl Tree {
    fn read(root: &Path) -> Self {
        let mut paths = tracked(root);
        if paths.is_empty() {
            walk(root, "", &mut paths);
        }
        // What is deleted but not yet committed is listed and can't be read.
        let read = |path: String| {
            let bytes = std::fs::read(root.join(&path)).ok()?;
            let size = bytes.len() as u64;
            Some(File { path, text: String::from_utf8(bytes).unwrap_or_default(), bytes: size })
        };
        Self { files: paths.into_iter().filter_map(read).collect() }
    }

    fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a file or folder is there: by its path, or by the end of it, as `pipeline.rs` or `wire/src`.
    fn has(&self, name: &str) -> bool {
        let name = format!("/{}", name.trim_end_matches('/'));
        let ends_or_goes_on = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.files.iter().any(|file| {
            let path = format!("/{}", file.path);
            path.match_indices(&name).any(|(at, _)| ends_or_goes_on(&path[at + name.len()..]))
        })
    }

    fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| {
            Path::new(&file.path).extension().is_some_and(|extension| extension == "rs")
        })
    }

    /// The manifests of our crates, by the name of their folder.
    fn crates(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().filter_map(|file| {
            let name = file.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
            Some((name, file))
        })
    }
}

/// What git tracks or would track; nothing outside of a repository.
fn tracked(root: &Path) -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    let text = listed
        .ok()
        .filter(|output| output.status.success())
        .map(|output| output.stdout)
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

fn walk(root: &Path, folder: &str, paths: &mut Vec<String>) {
    for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let ignored = matches!(name.as_str(), "target" | ".git" | ".env") || name.contains(".db");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !ignored => walk(root, &path, paths),
            Ok(kind) if kind.is_file() && !ignored => paths.push(path),
            _ => {}
        }
    }
}

/// The lines of a manifest, each with the section that it stands in.
fn sections(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut section = "";
    manifest.lines().map(str::trim).map(move |line| {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        }
        (section, line)
    })
}

/// The names of a manifest's dependencies at run time, for any target.
fn dependencies(manifest: &str) -> impl Iterator<Item = String> {
    sections(manifest).filter_map(|(section, line)| {
        let (before, own) = section.rsplit_once("dependencies")?;
        if !(before.is_empty() || before.starts_with("target.")) {
            return None;
        }
        // `[dependencies.tokio]`, or below `[dependencies]` a line that starts with the name.
        let name = match own.strip_prefix('.') {
            Some(name) if line.starts_with('[') => name,
            None if !line.starts_with(['[', '#']) => line.split(['.', '=', ' ']).next()?,
            _ => return None,
        };
        Some(name.trim_matches('"').to_owned()).filter(|name| !name.is_empty())
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Whether `word` stands in `line` by itself. A word may end in `!`.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        !line[..at].ends_with(part) && (word.ends_with('!') || !after.starts_with(part))
    })
}
