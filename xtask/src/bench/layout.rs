//! `cargo xtask layout`: which functions a start and requests run, so that the linker lays them side by side
//! (`crates/gateway/build.rs` says what for). Valgrind's callgrind counts what each function does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::scenario::Scenario;
use super::servers::{self, Books, Gateway, Providers, USER};
use crate::janitor::TempDir;
use crate::{Result, packages, release, sh, ui};

const LAYOUT: &str = "crates/gateway/layout.txt";

/// How often each request is sent. A function that does less more in a run with requests is none of theirs.
const TIMES: u64 = 20;

/// What is done every few seconds belongs to a start as well.
const LOOKED_AFTER: Duration = Duration::from_secs(20);

/// What is translated, beside the loads of the benchmark.
const TRANSLATED: [(&str, &str); 3] = [
    (
        "/v1/messages",
        r#"{"model":"gpt-4o-mini","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"gpt-4o-mini","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"Hello"}]}"#,
    ),
    (
        "/v1beta/models/gpt-4o-mini:streamGenerateContent?alt=sse",
        r#"{"contents":[{"parts":[{"text":"Hello"}]}]}"#,
    ),
];

/// Parts of names of what runs beside these: by instructions that Valgrind's processor lacks, and where two threads meet, of
/// which it runs one at a time.
const BESIDE: [&str; 4] =
    ["x86_sha8compress", "9pclmulqdq", "raw21drop_join_handle_slow", "raw8shutdown"];

/// Instructions of each function, by its symbol.
type Counts = BTreeMap<String, u64>;

pub(crate) fn run(args: &[String]) -> Result {
    let given: Vec<&Path> = args.chunks(2).filter_map(folder).collect();
    if given.len() * 2 != args.len() {
        return Err("`cargo xtask layout` takes nothing but --bins DIR, once or more".to_owned());
    }
    let valgrind = packages::program("valgrind", "valgrind")?.display().to_string();
    let mut blocks = Blocks::default();
    if given.is_empty() {
        let packages = ["gateway", "testkit"];
        // Both ways to build it: the functions of one are not quite those of the other.
        for build in [release::build_plain, release::build] {
            ui::heading("release build");
            blocks = blocks.and(look(&valgrind, &build(&packages)?)?);
        }
    }
    for bins in given {
        blocks = blocks.and(look(&valgrind, &super::binaries(Some(bins))?)?);
    }
    let page = blocks.page();
    ui::note(&format!("{} functions are written to {LAYOUT}", page.lines().count()));
    let path = sh::root().join(LAYOUT);
    std::fs::write(&path, page).map_err(|why| format!("cannot write {}: {why}", path.display()))
}

fn folder(words: &[String]) -> Option<&Path> {
    match words {
        [option, folder] if option == "--bins" => Some(Path::new(folder)),
        _ => None,
    }
}

/// What one program does.
fn look(valgrind: &str, bins: &Path) -> Result<Blocks> {
    let dir = TempDir::new(&sh::target_dir()?, "layout")?;
    let providers = Providers::start(bins, dir.path())?;
    ui::heading("a first start");
    let empty = TempDir::new(dir.path(), "empty")?;
    let books = Books::none(bins, empty.path(), &providers)?;
    let start = counted(valgrind, dir.path(), &books, &[])?;
    ui::heading("a start, and requests");
    let loads = Scenario::ALL.map(Scenario::of_gateway);
    let translated = TRANSLATED.map(|(path, body)| (path, body.to_owned()));
    let all: Vec<_> = loads.into_iter().chain(translated).collect();
    let filled = TempDir::new(dir.path(), "filled")?;
    let books = Books::new(bins, filled.path(), &providers)?;
    let both = counted(valgrind, dir.path(), &books, &all)?;
    ui::heading("a start that finds a journal");
    let again = counted(valgrind, dir.path(), &books, &[])?;

    let symbols = sh::output(Command::new("nm").arg(bins.join("tollgate")))?;
    Ok(Blocks::of((&start, &again), &both, &Symbols::read(&symbols)))
}

/// How much of the layout a program still has, in percent: names change with the code, and hashes in them with the compiler
/// and the dependencies. Nothing is known of a program that cannot be looked at.
pub(crate) fn still_there(program: &Path) -> Option<usize> {
    let symbols = sh::output(Command::new("nm").arg(program)).ok()?;
    let layout = std::fs::read_to_string(sh::root().join(LAYOUT)).ok()?;
    Some(Symbols::read(&symbols).share(&layout))
}

/// What a gateway does that starts, answers `requests`, and ends.
fn counted(
    valgrind: &str,
    dir: &Path,
    books: &Books<'_>,
    requests: &[(&str, String)],
) -> Result<Counts> {
    let file = dir.join("callgrind");
    let out = format!("--callgrind-out-file={}", file.display());
    let plain = ["--demangle=no", "--compress-strings=no", "--compress-pos=no"];
    // With the log that it has by itself: the benchmark's is shorter.
    let words = ["env", "RUST_LOG=info", valgrind, "--tool=callgrind", &out];
    let words: Vec<_> = words.into_iter().chain(plain).collect();
    let gateway = books.serve(&words)?;
    for (path, body) in requests {
        for _ in 0..TIMES {
            ask(&gateway, path, body)?;
        }
    }
    thread::sleep(LOOKED_AFTER);
    drop(gateway);
    let text = std::fs::read_to_string(&file)
        .map_err(|why| format!("cannot read {}: {why}", file.display()))?;
    Ok(read_counts(&text))
}

fn ask(gateway: &Gateway, path: &str, body: &str) -> Result {
    let headers = [("user", USER.to_owned()), ("api-key", gateway.key.clone())];
    let answer = servers::post(gateway.server.address(), path, &headers, body)
        .map_err(|why| format!("{path} is not answered: {why}\n{}", gateway.server.said()))?;
    if servers::succeeded(&answer) { Ok(()) } else { Err(format!("{path} answers\n{answer}")) }
}

/// Of callgrind's file: `fn=` names a function, lines of two numbers are what it does itself, and the line after `calls=` is
/// what it has done elsewhere.
fn read_counts(text: &str) -> Counts {
    let mut counts = Counts::new();
    let (mut function, mut elsewhere) = (None, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = Some(name.split('\'').next().unwrap_or(name));
        } else if line.starts_with("calls=") {
            elsewhere = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            let count = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
            if let (false, Some(function), Some(count)) = (elsewhere, function, count) {
                *counts.entry(function.to_owned()).or_default() += count;
            }
            elsewhere = false;
        }
    }
    counts
}

/// The functions of the program, and how many share a name but for its hash.
struct Symbols<'a> {
    known: BTreeSet<&'a str>,
    namesakes: BTreeMap<String, usize>,
}

impl<'a> Symbols<'a> {
    fn read(listed: &'a str) -> Self {
        let known: BTreeSet<&str> =
            listed.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        let mut namesakes = BTreeMap::new();
        for name in &known {
            *namesakes.entry(without_hash(name)).or_default() += 1;
        }
        Self { known, namesakes }
    }

    /// How many of a layout's names are among these, in percent.
    fn share(&self, layout: &str) -> usize {
        let names = layout.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let is_there =
            |name: &&str| self.known.contains(name) || self.namesakes.contains_key(*name);
        (names.clone().filter(is_there).count() * 100).checked_div(names.count()).unwrap_or(100)
    }

    /// A name for the linker. The hash, which the next compiler makes anew, is left open where it tells nothing apart.
    fn pattern(&self, name: &str) -> Option<String> {
        self.known.contains(name).then(|| {
            let open = without_hash(name);
            let is_open = open.ends_with(NUMBERED)
                || is_beside(name)
                || self.namesakes.get(&open) == Some(&1);
            if is_open { open } else { name.to_owned() }
        })
    }
}

/// Whether it runs beside what was counted: of such functions every copy is taken.
fn is_beside(name: &str) -> bool {
    BESIDE.iter().any(|part| name.contains(part))
}

/// How a name ends whose copies the compiler has numbered, which it does anew each time.
const NUMBERED: &str = ".*";

/// `…17h0123456789abcdefE` as `…17h*E`, and `….123` as `….*`.
fn without_hash(name: &str) -> String {
    const HASH: usize = 16;
    if let Some((name, number)) = name.rsplit_once('.')
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        return format!("{name}{NUMBERED}");
    }
    let parts = name.strip_suffix('E').and_then(|rest| {
        let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(HASH)?)?;
        let is_hash = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| rest.strip_suffix("17h")).flatten()
    });
    parts.map_or_else(|| name.to_owned(), |rest| format!("{rest}17h*E"))
}

/// Three blocks of names: a start touches the last two, be it the first one or one that finds a journal, and requests the first
/// two.
#[derive(Default)]
struct Blocks {
    requests: BTreeSet<String>,
    both: BTreeSet<String>,
    start: BTreeSet<String>,
}

impl Blocks {
    fn of((start, again): (&Counts, &Counts), both: &Counts, symbols: &Symbols<'_>) -> Self {
        let asked = |name: &str| {
            let before = start.get(name).copied().unwrap_or_default();
            let more = both.get(name).is_some_and(|count| count.saturating_sub(before) > TIMES);
            more || is_beside(name)
        };
        let started =
            |name: &str| start.contains_key(name) || again.contains_key(name) || is_beside(name);
        let counted = start.keys().chain(again.keys()).chain(both.keys()).map(String::as_str);
        let beside = symbols.known.iter().copied().filter(|name| is_beside(name));
        let mut blocks = Self::default();
        for name in counted.chain(beside) {
            let block = match (asked(name), started(name)) {
                (true, false) => &mut blocks.requests,
                (true, true) => &mut blocks.both,
                (false, true) => &mut blocks.start,
                (false, false) => continue,
            };
            block.extend(symbols.pattern(name));
        }
        blocks
    }

    /// The functions of two programs. What a start runs in one and requests in the other belongs to both.
    fn and(mut self, other: Self) -> Self {
        self.requests.extend(other.requests);
        self.both.extend(other.both);
        self.start.extend(other.start);
        let apart: Vec<_> = self.requests.intersection(&self.start).cloned().collect();
        self.both.extend(apart);
        self.requests.retain(|name| !self.both.contains(name));
        self.start.retain(|name| !self.both.contains(name));
        self
    }

    fn page(&self) -> String {
        let block = |title: &str, names: &BTreeSet<String>| {
            let lines: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("# {title}\n{}\n", lines.join("\n"))
        };
        let blocks = [
            block("What only requests run.", &self.requests),
            block("What requests and a start run.", &self.both),
            block("What only a start runs.", &self.start),
        ];
        let head = "# Written by `cargo xtask layout`; build.rs says what it is for.\n";
        format!("{head}{}", blocks.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Blocks, Symbols, read_counts, without_hash};

    #[test]
    fn what_a_function_does_itself_is_counted() {
        let text = "version: 1\nfn=a\n0 30\n+3 5\ncfn=b\ncalls=2 0\n0 900\n* 1\n\nfn=b\n0 900\nfn=a'2\n0 4\ntotals: 940\n";
        let counts = read_counts(text);
        assert_eq!(counts.get("a"), Some(&40));
        assert_eq!(counts.get("b"), Some(&900));
    }

    #[test]
    fn a_hash_is_left_open_where_it_tells_nothing_apart() {
        let hash = "_ZN4wire4read17h0123456789abcdefE";
        assert_eq!(without_hash(hash), "_ZN4wire4read17h*E");
        assert_eq!(without_hash("sqlite3_open"), "sqlite3_open");
        assert_eq!(without_hash("_RNvXs_.4516"), "_RNvXs_.*");
        let listed =
            "0 T one17h0123456789abcdefE\n0 t two17h0123456789abcdefE\n0 t two17h1123456789abcdefE";
        let symbols = Symbols::read(listed);
        assert_eq!(symbols.pattern("one17h0123456789abcdefE").as_deref(), Some("one17h*E"));
        let two = "two17h1123456789abcdefE";
        assert_eq!(symbols.pattern(two).as_deref(), Some(two));
        assert_eq!(symbols.pattern("gone17h1123456789abcdefE"), None);
        assert_eq!(symbols.share(&format!("# Names.\none17h*E\n{two}\n\ngone17h*E\n")), 66);
    }

    #[test]
    fn what_both_run_stands_between_what_one_does() {
        let counts = |listed: &[(&str, u64)]| {
            listed.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        let start = counts(&[("both", 10), ("start", 50)]);
        let shut = "_ZN3raw8shutdown17h0123456789abcdefE";
        let run = counts(&[("both", 500), ("start", 51), ("request", 40), ("seldom", 3)]);
        let again = counts(&[("journal", 9), ("both", 900)]);
        let symbols =
            format!("0 T both\n0 T start\n0 T request\n0 T seldom\n0 T journal\n0 t {shut}");
        let blocks = Blocks::of((&start, &again), &run, &Symbols::read(&symbols));
        let page = blocks.page();
        let last: Vec<_> = page.split("\n\n").map(|block| block.lines().last()).collect();
        assert_eq!(last, [Some("request"), Some("both"), Some("start")], "{page}");
        assert!(!page.contains("seldom"), "{page}");
        assert!(page.contains("_ZN3raw8shutdown17h*E\nboth\n"), "{page}");
        assert!(page.ends_with("\njournal\nstart\n"), "{page}");
    }

    #[test]
    fn what_one_program_asks_and_the_other_starts_with_is_of_both() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let one =
            Blocks { requests: names(&["a", "b"]), both: names(&["c"]), start: names(&["d"]) };
        let other =
            Blocks { requests: names(&["c"]), both: names(&["d"]), start: names(&["b", "e"]) };
        let page = one.and(other).page();
        let blocks: Vec<&str> = page.split("\n\n").collect();
        assert!(blocks[0].ends_with("run.\na"), "{page}");
        assert!(blocks[1].ends_with("run.\nb\nc\nd"), "{page}");
        assert!(blocks[2].ends_with("runs.\ne\n"), "{page}");
    }
}
