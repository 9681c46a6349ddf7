//! The program from outside: the real binary, spoken to as users do.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test may")]

mod app;
mod chat;
