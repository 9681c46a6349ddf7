//! OpenAI Responses.

pub mod usage;
