//! The program from outside: the real binary, spoken to as users do.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test may")]

mod app;
mod bill;
mod books;
mod chat;
mod cli;
mod crash;
mod demo;
mod fixtures;
mod keys;
mod leaving;
mod passing;
mod prices;
mod recorded;
mod refused;
mod secrets;
mod tls;
mod upstream;
