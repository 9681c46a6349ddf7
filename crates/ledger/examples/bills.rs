//! `cargo xtask bills [--bills N] [--from S]`: the bills of the tests, as many as one likes.

#[path = "../tests/bills/compare/mod.rs"]
mod compare;

use std::io::{Write as _, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = asked(&args).and_then(|(bills, from)| {
        let lists = bills.div_ceil(compare::BILLS as u64);
        let tally = compare::lists(from..from.saturating_add(lists))?;
        Ok(format!("{} bills, and every one is right: {tally:?}", lists * compare::BILLS as u64))
    });
    let (text, code) = match outcome {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::FAILURE),
    };
    // Nobody may be reading any more.
    drop(writeln!(stdout(), "{text}"));
    code
}

/// How many bills, and the first seed.
fn asked(args: &[String]) -> Result<(u64, u64), String> {
    let (mut bills, mut from) = (1_000_000, 1);
    for pair in args.chunks(2) {
        let [name, number] = pair else { return Err(format!("{} needs a number", pair.concat())) };
        let number =
            number.replace('_', "").parse().map_err(|_| format!("{number} is no number"))?;
        match name.as_str() {
            "--bills" => bills = number,
            "--from" => from = number,
            other => return Err(format!("there is no option {other}; --bills and --from are")),
        }
    }
    Ok((bills, from))
}
