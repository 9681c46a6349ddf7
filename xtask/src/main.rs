//! The project's own commands: `cargo xtask <command>`. Nothing else in the repository is a script.
//!
//! Standard library only, so that this builds in a second on a fresh machine. Each command is one small file;
//! `sh` starts programs, `ui` writes to the terminal, `steps` times what was done.

mod bench;
mod bills;
mod ci;
mod dev;
mod fmt;
mod fuzz;
mod janitor;
mod lint;
mod packages;
mod postgres;
mod promtool;
mod prove;
mod release;
mod screens;
mod sdks;
mod sh;
mod simulate;
mod steps;
mod test;
mod ui;

use std::process::ExitCode;

/// Why a command stopped, as a sentence for the person at the terminal.
pub(crate) type Result<T = ()> = std::result::Result<T, String>;

const HELP: &str = "\
The project's own commands.

  cargo xtask test [ARGS]    every test, on a throw-away PostgreSQL; installs what is missing from Debian as root.
                             ARGS go to the test runner, and then only its tests are run, not the doc tests.
                             TOLLGATE_TEST_POSTGRES=postgres://... uses that server instead of starting one,
                             TOLLGATE_TEST_SDKS=DIR the SDKs in that folder instead of installing them,
                             TOLLGATE_TEST_CHROMIUM=FILE that browser instead of Debian's,
                             TOLLGATE_TEST_REDIS=FILE that redis-server instead of Debian's,
                             TOLLGATE_TEST_PROMTOOL=FILE that promtool instead of Debian's
  cargo xtask fmt            format the sources
  cargo xtask lint [--advisories]
                             format check, clippy, documentation, dependencies. --advisories also looks for known
                             vulnerabilities, which needs the network
  cargo xtask ci             lint, release binary, test: what the continuous integration runs
  cargo xtask build          the program as it is meant to run, in target/release: like `cargo build --release`, and
                             optimised by a profile of its work
  cargo xtask dev [-- ARGS]  `tollgate ARGS` (default: demo), rebuilt and restarted when a source changes
  cargo xtask bench [--seconds N] [--connections N] [--runs N] [--bins DIR] [--litellm]
                  [--only small|large|stream|burst|single] [--json] [--record NAME]
                             the gateway beside nginx as a plain proxy, one core each.
                             --litellm installs and measures LiteLLM's proxy as well,
                             --bins measures the programs in DIR instead of building them,
                             --json prints figures for machines, --record writes docs/benchmarks/NAME.md
  cargo xtask layout [--bins DIR]...
                             finds out which functions a start and requests run, with and without a profile, and writes
                             them to crates/gateway/layout.txt, after which the linker lays them side by side
  cargo xtask profile        counts the steps that requests take, and writes them to crates/gateway/profiles, by which
                             `cargo xtask build` optimises. Needs llvm-profdata of the compiler's version of LLVM
  cargo xtask prove [--kills N] [--outage SECONDS] [--attempts N] [--bad-clients N] [--soak MINUTES]
                             the tests of the money path in full, on a release of the program: killed 10,000 times under
                             load, the database away for half an hour, 20,000 attempts to spend credit for 500
                             requests; 2,000 slow clients with 500 deaf ones; and ten minutes of four fifths of what the
                             machine can do, in which nothing may grow. With figures only those, for that long
  cargo xtask screens        the pictures of the console in docs/screens, of every page that a test looks at
  cargo xtask fuzz [TARGET...] [--inputs N] [--seed S] [--again FILE]
                             1,000,000 random inputs for each of sse, openai_chat, openai_responses, anthropic and gemini.
                             An input that fails is kept in target/fuzz; --again tries it once more
  cargo xtask bills [--bills N] [--from S]
                             1,000,000 random bills beside those of a second implementation, which works with fractions
  cargo xtask simulate [--seeds N] [--from S] [--seed S]
                             money under crashes, lost answers, power cuts and copied folders, in 1,000,000 worlds that
                             are made of seeds. --seed shows each step of one
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            ui::error(&why);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result {
    let Some((command, rest)) = args.split_first() else {
        return ui::print(HELP);
    };
    if rest.first().is_some_and(|arg| arg == "--help" || arg == "-h") {
        return ui::print(HELP);
    }
    match command.as_str() {
        "test" => test::run(rest),
        "fmt" => fmt::run(rest),
        "lint" => lint::run(rest),
        "ci" => ci::run(rest),
        "dev" => dev::run(rest),
        "build" => release::run(rest),
        "bench" => bench::run(rest),
        "layout" => bench::layout::run(rest),
        "profile" => bench::profile::run(rest),
        "fuzz" => fuzz::run(rest),
        "prove" => prove::run(rest),
        "screens" => screens::run(rest),
        "bills" => bills::run(rest),
        "simulate" => simulate::run(rest),
        "help" | "--help" | "-h" => ui::print(HELP),
        unknown => Err(format!("there is no command `{unknown}`; `cargo xtask help` lists them")),
    }
}

/// For commands that take no arguments: a mistyped option must not be taken for success.
pub(crate) fn no_arguments(args: &[String]) -> Result {
    match args.first() {
        None => Ok(()),
        Some(arg) => {
            Err(format!("unexpected argument `{arg}`; `cargo xtask help` lists the commands"))
        }
    }
}
