//! `docs/fidelity.md`: what each client keeps of its request at each provider, and of its answer. Generated here.

use std::fmt::Write as _;
use std::path::Path;

use wire::{Chat, dialect, in_words_of};

use crate::probes::{CHAT, CLAUDE, GEMINI, PROBES, Probe, RESPONSES, least};
use crate::replies;
use crate::targets::{TARGETS, To};

/// The clients, as the page calls them.
const CLIENTS: [(&str, &str); 4] = [
    (CHAT, "Chat Completions"),
    (RESPONSES, "Responses"),
    (CLAUDE, "Anthropic"),
    (GEMINI, "Gemini"),
];

const PROVIDERS: [(&str, &str); 4] = [
    ("openai", "OpenAI"),
    ("anthropic", "Anthropic"),
    ("gemini", "Gemini"),
    ("deepseek", "DeepSeek"),
];

/// The models that a request of this client goes to at a provider, in the dialect that it goes in. None where it passes as
/// it is, byte for byte.
fn models(client: &str, provider: &str) -> Vec<&'static To> {
    let dialects: &[&str] = match (client, provider) {
        // Only what newer models take over Responses is translated.
        (CHAT, "openai") => &[RESPONSES],
        (RESPONSES, "openai") | (CLAUDE, "anthropic") | (GEMINI, "gemini") => &[],
        (_, "openai") => &[CHAT, RESPONSES],
        (CLAUDE, "deepseek") | (_, "anthropic") => &[CLAUDE],
        (_, "deepseek") => &[CHAT],
        _ => &[GEMINI],
    };
    let is_one = |to: &&To| to.provider == provider && dialects.contains(&to.dialect);
    TARGETS.iter().filter(is_one).collect()
}

/// What needs no word, because it happens anyway.
fn needless(probe: &Probe, to: &To) -> bool {
    match probe.name {
        // It stands in the path.
        "stream" => {
            to.dialect == GEMINI
                && to.dialect().request_path(to.model, true)
                    != to.dialect().request_path(to.model, false)
        }
        // A model that does not think need not be told not to, and one that does thinks as it sees fit.
        "thinking: none" => !to.reasons,
        "thinking: as the model sees fit" => to.reasons,
        // These always show what they think.
        "thinking: shown" => to.provider == "deepseek",
        "thinking: hidden" => matches!(to.dialect, CHAT | RESPONSES) && to.provider == "openai",
        _ => false,
    }
}

/// What becomes of a field.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Kept,
    /// Changed or left out, and named as these.
    Named(Vec<String>),
    /// The request is refused with this field named.
    Refused(String),
    Silent,
}

fn read(dialect_name: &str, body: &str) -> Chat {
    dialect(dialect_name)
        .unwrap()
        .read_request(body.as_bytes())
        .unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn fate(probe: &Probe, client: &str, to: &To) -> Fate {
    let chat = read(client, &probe.request(client).unwrap());
    let plain = read(client, least(client));
    let said = probe.fact(&chat);
    assert_ne!(said, probe.fact(&plain), "{}: the probe of {client} says nothing", probe.name);
    let written = match to.write(&chat) {
        Ok(written) => written,
        Err(refusal) => return Fate::Refused(in_words_of(client, &refusal.field)),
    };
    let body = String::from_utf8(written.body).unwrap();
    let faults = to.faults(body.as_bytes());
    assert!(faults.is_empty(), "{}, {client} to {}: {faults:?}\n{body}", probe.name, to.model);
    let mut arrived = probe.fact(&read(to.dialect, &body));
    for (theirs, ours) in &written.renamed {
        arrived = arrived.replace(theirs.as_str(), ours);
    }
    if arrived == said || needless(probe, to) {
        return Fate::Kept;
    }
    let usual = to.write(&plain).unwrap().dropped;
    let names = written.dropped.iter().filter(|name| !usual.contains(name));
    let mut names: Vec<String> = names.map(|name| in_words_of(client, name)).collect();
    names.dedup();
    if names.is_empty() { Fate::Silent } else { Fate::Named(names) }
}

#[test]
fn nothing_is_lost_silently() {
    let mut silent = Vec::new();
    for (client, _) in CLIENTS {
        for probe in PROBES.iter().filter(|probe| probe.request(client).is_some()) {
            for to in TARGETS.iter().filter(|to| to.dialect != client || to.provider == "deepseek")
            {
                if fate(probe, client, to) == Fate::Silent {
                    silent.push(format!(
                        "{}: {client} to {} ({})",
                        probe.name,
                        to.name(),
                        to.model
                    ));
                }
            }
        }
    }
    assert!(silent.is_empty(), "lost without a word:\n{}", silent.join("\n"));
}

/// What a page says of a field at a provider, over all its models.
struct Cell {
    text: String,
    /// Kept by some model, kept by all.
    kept: (bool, bool),
}

fn cell(probe: &Probe, client: &str, provider: &str) -> Cell {
    let mut fates: Vec<Fate> =
        models(client, provider).iter().map(|to| fate(probe, client, to)).collect();
    let all = fates.iter().all(|fate| *fate == Fate::Kept);
    let some = fates.contains(&Fate::Kept);
    fates.sort();
    fates.dedup();
    let others = fates.iter().find(|fate| **fate != Fate::Kept);
    let told = match others {
        None | Some(Fate::Kept | Fate::Silent) => String::new(),
        Some(Fate::Named(names)) => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            names.join(", ")
        }
        Some(Fate::Refused(field)) => format!("refused: `{field}`"),
    };
    let text = match (some, all) {
        (_, true) => "kept".to_owned(),
        (true, false) => format!("kept; some models: {told}"),
        (false, false) => told,
    };
    Cell { text, kept: (some, all) }
}

/// A table whose columns are aligned.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let padding = " ".repeat(width - cell.chars().count());
            write!(text, "| {cell}{padding} ").unwrap();
        }
        text.push_str("|\n");
        if at == 0 {
            for width in &widths {
                write!(text, "|{}", "-".repeat(width + 2)).unwrap();
            }
            text.push_str("|\n");
        }
    }
    text
}

fn percent((kept, all): (usize, usize)) -> String {
    format!("{} %", (kept * 100 + all / 2) / all.max(1))
}

/// The tables of requests, and the scores of each pair.
fn requests() -> (String, Vec<Vec<String>>) {
    let header =
        ["client", "provider", "fields", "kept", "kept by every model", "named", "refused"];
    let mut scores = vec![header.map(str::to_owned).to_vec()];
    let mut text = String::new();
    for (client, client_name) in CLIENTS {
        let providers: Vec<(&str, &str)> = PROVIDERS
            .into_iter()
            .filter(|(provider, _)| !models(client, provider).is_empty())
            .collect();
        let probes: Vec<&Probe> =
            PROBES.iter().filter(|probe| probe.request(client).is_some()).collect();
        let mut rows = vec![vec!["field".to_owned()]];
        rows.extend(probes.iter().map(|probe| vec![probe.name.to_owned()]));
        for (provider, name) in providers {
            let cells: Vec<Cell> =
                probes.iter().map(|probe| cell(probe, client, provider)).collect();
            let count = |is: &dyn Fn(&Cell) -> bool| cells.iter().filter(|cell| is(cell)).count();
            let (some, every) = (count(&|cell| cell.kept.0), count(&|cell| cell.kept.1));
            let refused = count(&|cell| !cell.kept.0 && cell.text.starts_with("refused"));
            let n = cells.len();
            scores.push(vec![
                client_name.to_owned(),
                name.to_owned(),
                n.to_string(),
                percent((some, n)),
                percent((every, n)),
                percent((n - some - refused, n)),
                percent((refused, n)),
            ]);
            rows[0].push(name.to_owned());
            for (row, cell) in rows[1..].iter_mut().zip(cells) {
                row.push(cell.text);
            }
        }
        writeln!(text, "### Requests of {client_name}\n\n{}", aligned(&rows)).unwrap();
    }
    (text, scores)
}

#[test]
fn the_page_is_what_the_code_does() {
    let (requests, scores) = requests();
    let answers = aligned(&replies::rows());
    let page =
        format!("{INTRODUCTION}\n{}\n{REQUESTS}\n{requests}{ANSWERS}\n{answers}", aligned(&scores));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fidelity.md");
    if std::fs::read_to_string(&path).unwrap_or_default() != page {
        std::fs::write(&path, &page).unwrap();
        panic!(
            "docs/fidelity.md did not match the code; it has been written anew: look at it and commit it"
        );
    }
}

const INTRODUCTION: &str = "\
# What survives a translation

A client speaks the format of one provider and may use the models of all. Where the provider speaks the client's format,
the bytes pass as they are. Elsewhere the request is translated, and the answer back. This page says field by field what
becomes of it. It is generated from the code by a test, which sends the smallest request with that field through the
translation and reads what comes out: nothing here is a promise made by hand.

| word           | means                                                                                             |
|----------------|---------------------------------------------------------------------------------------------------|
| kept           | it arrives, and means the same                                                                    |
| `name`         | it is left out or replaced, and the header `x-tollgate-dropped` of the answer names it as shown   |
| refused: `name`| the answer would be another one without it: an error names the field, and nothing is sent         |
| some models    | older or newer models of the provider do not take it; then what follows happens                   |

Names are the client's own. A test makes sure that there is no fourth case: a field that neither arrives nor is named.

## Scores

The share of the fields that a client can set, with the preferred format of the provider. *Kept* counts what at least one
model of the provider takes.
";

const REQUESTS: &str = "\
## Requests

Chat Completions passes to OpenAI as it is, but for newer models with tools, which OpenAI takes over Responses alone: that
is the column OpenAI of its table; told not to think, those models take them over Chat Completions too. A request in one of
DeepSeek's own formats passes as well where all of it is documented there (in Chat Completions also what nobody knows, for it
may be new), and of Responses where all of it is known to
work, strict tools included. Every other one is written anew, Responses as Chat Completions: that is the column DeepSeek.
";

const ANSWERS: &str = "\
## Answers

What a client of each format is told of an answer, whole and as a stream. Where its format has no word for something, the
table says what it gets in its place.
";
