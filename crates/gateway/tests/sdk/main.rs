//! Clients as users have them: the SDKs of the providers and of others, against the real binary and the simulator.
//!
//! Each SDK has a script, which runs the same cases with models of all four providers and prints one line of JSON for
//! each. `TOLLGATE_TEST_SDKS` names the folder where `cargo xtask test` has installed them. A browser is a client too.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test may")]
#![expect(
    dead_code,
    reason = "the harness is that of the other tests, and not all of it is used here"
)]

#[path = "../it/app.rs"]
mod app;
#[path = "../it/books.rs"]
mod books;
mod browser;
mod clients;
mod described;
mod run;
