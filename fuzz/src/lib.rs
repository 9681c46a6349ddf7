//! Random inputs for all that reads bytes of strangers: frames of streams, and requests, answers and streams of each
//! dialect. `cargo xtask fuzz` runs a million of each; a test runs some of them each time.
//!
//! Inputs are the fixtures, changed a little: most changes keep them JSON or a stream, and use names, values and pieces of
//! the others, so that they come past the parser. An input that makes a target do something that no input did before
//! joins the fixtures and is changed further. From one seed come the same inputs.
//!
//! A stable compiler counts no branches, so what a target *does* is told by its outcome: what was read, which events came,
//! what was dropped or refused. Crates that change inputs (`mutatis`) know Rust types and not JSON in text, which is what
//! matters here.

pub mod corpus;
pub mod mutate;
pub mod run;
pub mod targets;
