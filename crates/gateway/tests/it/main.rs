//! The program from outside: the real binary, spoken to as users do.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test may")]

mod app;
mod beside;
mod bill;
mod books;
mod chat;
mod cli;
mod crash;
mod cuts;
mod demo;
mod errors;
mod fixtures;
mod hops;
mod journal;
mod keys;
mod leaving;
mod leaving_streams;
mod memory;
mod pairs;
mod passing;
mod prices;
mod recorded;
mod refused;
mod scripted;
mod secrets;
mod speak;
mod tls;
mod upstream;
