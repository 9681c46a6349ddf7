//! The program `tollgate`: reads the settings, runs one command, ends with its exit code.

use std::process::ExitCode;

/// Requests are many small allocations, which the system's allocator makes a tenth of all work.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::run()
}
