//! `tollgate doctor`: the usual mistakes, found before they cost anything. It looks and changes nothing.

mod books;
mod limits;
mod machine;
mod settings;

use std::process::ExitCode;

use serde_json::{Value, json};

use super::output::Output;
use crate::config::{Settings, Source};

/// How a check ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Mark {
    Ok,
    Note,
    Fail,
}

impl Mark {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Fail => "FAIL",
        }
    }
}

/// How it ended, what was looked at, and what was found, with what would be right.
type Check = (Mark, &'static str, String);

fn ok(name: &'static str, text: impl Into<String>) -> Check {
    (Mark::Ok, name, text.into())
}

fn note(name: &'static str, text: impl Into<String>) -> Check {
    (Mark::Note, name, text.into())
}

fn fail(name: &'static str, text: impl Into<String>) -> Check {
    (Mark::Fail, name, text.into())
}

/// Ends with 0 where nothing failed.
pub(super) async fn run(
    settings: &Settings,
    source: &Source,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let mut checks = books::look(settings).await;
    checks.extend(limits::look(settings).await);
    checks.extend(settings::look(settings));
    checks.extend(source.oddities().into_iter().map(|odd| note("mistyped", odd)));
    checks.extend(machine::look(settings, source.file()));
    let json: Vec<Value> = checks
        .iter()
        .map(|(mark, name, text)| json!({ "result": mark.name().to_lowercase(), "check": name, "detail": text }))
        .collect();
    let failed = checks.iter().any(|(mark, ..)| *mark == Mark::Fail);
    let rows = checks
        .into_iter()
        .map(|(mark, name, text)| vec![mark.name().to_owned(), name.to_owned(), text])
        .collect();
    output.table(
        &Value::Array(json),
        &[("RESULT", false), ("CHECK", false), ("DETAIL", false)],
        rows,
    )?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
