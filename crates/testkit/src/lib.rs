//! A simulator of the four providers, and the material to test against them.
//!
//! The [`Simulator`] speaks the wire formats of `OpenAI`, `DeepSeek`, Anthropic and Gemini on one
//! listener, so that one base URL stands in for all of them: chat in every format of each, whole and
//! as a stream, token counts, embeddings and lists of models. An answer is, in this order of
//! preference, a fault that was asked for, a recorded or hand-written exchange that was asked for
//! by name, the recording of the very same request, or a short made-up reply whose usage is counted
//! from the request. The same requests in the same order always give the same answers.
//!
//! What a client can say as its last user message to choose an answer:
//!
//! | message | answer |
//! |---|---|
//! | `fixture:<name>` | that fixture of the provider that was called; its stream, if a stream was wanted |
//! | `recording:<id>` | that recording, when a folder of recordings was given |
//! | `fault:<fault>` | that [`Fault`], written as its `FromStr` reads it, of the answer to the lines behind it, if any |
//! | `say:<text>` | that text; a line `say:<text>` of the instructions does the same |
//! | with `both` or `parallel` in it | calls of all tools at once, if there are tools |
//!
//! Otherwise a made-up reply calls the first tool that it may call, with arguments that fit its
//! schema; quotes the results once tools have answered; satisfies the schema of structured output;
//! and tells what it was shown, be it an image, a file or audio. It thinks if it is asked to, and
//! wants its thoughts back as a real model does. Models are told apart by their names as far as the
//! real ones refuse different things; a name with `does-not-exist` in it is not found.

mod answer;
mod ask;
mod body;
mod canned;
mod compose;
mod fault;
pub mod fixtures;
mod ids;
mod prompt;
mod provider;
pub mod recordings;
mod replay;
mod responder;
mod rules;
mod seal;
mod server;
mod spoil;
mod stream;
pub mod strict;

pub use crate::canned::CannedStream;
pub use crate::fault::{Fault, FaultError};
pub use crate::fixtures::{Fixture, fixtures};
pub use crate::provider::Provider;
pub use crate::recordings::Recording;
pub use crate::server::{Running, Seen, Simulator};
