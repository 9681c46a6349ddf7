//! The program from outside: the real binary, spoken to as users do.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test may")]

mod app;
mod beside;
mod bill;
mod bill_file;
mod books;
mod cable;
mod chat;
mod cli;
mod console;
mod crash;
mod credit;
mod cut_streams;
mod cuts;
mod demo;
mod errors;
mod every_cut;
mod fixtures;
mod generation;
mod hops;
mod idempotency;
mod issuer;
mod journal;
mod keys;
mod leaving;
mod leaving_streams;
mod memory;
mod openrouter;
mod openrouter_reads;
mod organizations;
mod outage;
mod pairs;
mod passing;
mod pkce;
mod prices;
mod recorded;
mod refused;
mod scripted;
mod seals;
mod secrets;
mod sign_in;
mod speak;
mod tls;
mod tokens;
mod upstream;
