//! The program `tollgate`: reads the settings, runs one command, ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::run()
}
