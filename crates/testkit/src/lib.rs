//! A simulator of the four providers, and the material to test against them.
//!
//! The [`Simulator`] speaks the wire formats of `OpenAI`, `DeepSeek`, Anthropic and Gemini on one
//! listener, so that one base URL stands in for all of them. An answer is, in this order of
//! preference, a fault that was asked for, a recorded or hand-written exchange that was asked for
//! by name, the recording of the very same request, or a short made-up reply whose usage is counted
//! from the request. The same requests in the same order always give the same answers.
//!
//! What a client can say as its last user message to choose an answer:
//!
//! | message | answer |
//! |---|---|
//! | `fixture:<name>` | that fixture of the provider that was called |
//! | `recording:<id>` | that recording, when a folder of recordings was given |
//! | `fault:<fault>` | that [`Fault`], written as its `FromStr` reads it |

mod answer;
mod body;
mod fault;
pub mod fixtures;
mod ids;
mod prompt;
mod provider;
pub mod recordings;
mod replay;
mod responder;
mod server;

pub use crate::fault::{Fault, FaultError};
pub use crate::fixtures::{Fixture, fixtures};
pub use crate::provider::Provider;
pub use crate::recordings::Recording;
pub use crate::server::{Running, Seen, Simulator};
