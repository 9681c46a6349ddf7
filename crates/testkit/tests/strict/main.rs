//! The strict checker against what real providers accepted, and against bodies that they would refuse.

#![expect(clippy::expect_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

mod answers;
mod anthropic;
mod deepseek;
mod gemini;
mod openai;
mod recorded;
mod wrong;
