//! The program: HTTP in, HTTP out, users and keys, metering and bills, and the command line.
//!
//! Read `pipeline.rs` first: it is the life of a request, top to bottom. `app.rs` says what the program is made of,
//! `cli/mod.rs` which commands there are, `config.rs` which settings.

mod afford;
mod answer;
mod app;
mod attempts;
mod auth;
mod body;
mod breaker;
mod carry;
mod catalogue;
mod cli;
mod clock;
mod config;
mod connection;
mod console;
mod count;
mod credentials;
mod embed;
mod ending;
mod endpoints;
mod face;
mod failure;
mod funds;
mod generation;
mod health;
mod hold;
mod hops;
mod idempotency;
mod inbound;
mod journal;
mod keys;
mod limits;
mod listener;
mod manage;
mod models;
mod native;
mod network;
mod openapi;
mod openrouter;
mod outbound;
mod pace;
mod people;
mod pipeline;
mod problem;
mod protocols;
mod providers;
mod proxies;
mod reference;
mod routing;
mod scopes;
mod server;
mod settle;
mod snapshot;
mod sticky;
mod stream;
mod telemetry;
mod unread;
mod upstream;
mod vault;
mod web;
mod whole;

pub use cli::run;
pub use config::env_example;
