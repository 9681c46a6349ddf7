//! The program: HTTP in, HTTP out, users and keys, metering and bills, and the command line.
//!
//! Read `pipeline.rs` first: it is the life of a request, top to bottom. `app.rs` says what the program is made of,
//! `cli/mod.rs` which commands there are, `config.rs` which settings.

mod app;
mod auth;
mod catalogue;
mod cli;
mod clock;
mod config;
mod keys;
mod native;
mod pipeline;
mod problem;
mod providers;
mod server;
mod settle;
mod snapshot;
mod telemetry;
mod upstream;

pub use cli::run;
pub use config::env_example;
