//! Whether a translation keeps what it is given: by hand-made requests and answers of every kind, by recorded ones, and
//! by a table of every field. What is written is held against the providers' own types each time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test; helpers of tests are not exempt by themselves"
)]

mod facts;
mod golden;
mod members;
mod probes;
mod properties;
mod recorded;
mod replies;
mod table;
mod targets;
