//! `cargo xtask simulate [--seeds N] [--from S] [--seed S]`: the simulation of the tests, on as many seeds as one likes, or the
//! steps of one.

#[path = "../tests/simulation/world/mod.rs"]
mod world;

use std::io::{Write as _, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = asked(&args).and_then(|asked| match asked {
        Asked::One(seed) => one(seed),
        Asked::Many { seeds, from } => {
            let tally = world::run_all(from..from.saturating_add(seeds))?;
            say(&format!("{seeds} worlds from seed {from} on, and no invariant broken: {tally:?}"));
            Ok(())
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&why);
            ExitCode::FAILURE
        }
    }
}

enum Asked {
    One(u64),
    Many { seeds: u64, from: u64 },
}

fn asked(args: &[String]) -> Result<Asked, String> {
    let (mut one, mut seeds, mut from) = (None, 1_000_000, 1);
    for pair in args.chunks(2) {
        let [name, number] = pair else { return Err(format!("{} needs a number", pair.concat())) };
        let number =
            number.replace('_', "").parse().map_err(|_| format!("{number} is no number"))?;
        match name.as_str() {
            "--seed" => one = Some(number),
            "--seeds" => seeds = number,
            "--from" => from = number,
            other => {
                return Err(format!("there is no option {other}; --seeds, --from and --seed are"));
            }
        }
    }
    Ok(one.map_or(Asked::Many { seeds, from }, Asked::One))
}

/// Every step of one world, and what it breaks.
fn one(seed: u64) -> Result<(), String> {
    let (done, steps) = world::run(seed, true);
    say(&steps.join("\n"));
    let tally = done.map_err(|fault| format!("seed {seed} breaks {fault}"))?;
    say(&format!("seed {seed} breaks nothing: {tally:?}"));
    Ok(())
}

fn say(text: &str) {
    // Nobody may be reading any more.
    drop(writeln!(stdout(), "{text}"));
}
