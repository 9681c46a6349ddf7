//! Gemini `generateContent`. <https://ai.google.dev/api/generate-content>

mod count;
mod element;
mod grounding;
mod names;
mod parts;
mod problem;
mod read;
mod read_parts;
mod read_reply;
mod schema;
mod schema_references;
mod schema_tree;
mod signature;
mod stream_read;
mod stream_write;
mod types;
mod unsigned;
pub mod usage;
mod write;
mod write_reply;
mod write_tools;
mod write_turns;

use std::fmt::Write as _;

use ledger::UsageReport;

pub use self::count::{
    continued, goes_on, read_count, read_count_request, write_count, write_count_request,
};
pub(crate) use self::grounding::search;
pub(crate) use self::read::terms;
pub(crate) use self::types::one_or_many;
pub use self::unsigned::{note as stand_in_note, stand_ins};
use crate::{
    Chat, Dialect, Malformed, Problem, Reader, Reply, Shape, Target, Unsupported, Writer, Written,
    anthropic,
};

/// The name of the dialect.
pub const NAME: &str = "gemini";

/// Gemini `generateContent`.
pub struct Gemini;

/// The path of an operation below the provider's base URL: `countTokens`, `batchEmbedContents`. `model` is one path
/// segment whatever it holds.
pub fn path(model: &str, operation: &str) -> String {
    let mut path = "/v1beta/models/".to_owned();
    for byte in model.strip_prefix("models/").unwrap_or(model).bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        if plain {
            path.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path.push(':');
    path.push_str(operation);
    path
}

impl Dialect for Gemini {
    fn name(&self) -> &'static str {
        NAME
    }
    fn request_path(&self, model: &str, stream: bool) -> String {
        path(model, if stream { "streamGenerateContent?alt=sse" } else { "generateContent" })
    }
    fn read_request(&self, body: &[u8]) -> Result<Chat, Malformed> {
        read::request(body)
    }
    fn write_request(&self, chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
        write::request(&anthropic::in_plain_words(chat), target)
    }
    fn read_reply(&self, body: &[u8]) -> Result<Reply, Malformed> {
        read_reply::reply(body)
    }
    fn write_reply(&self, reply: &Reply, shape: &Shape) -> Vec<u8> {
        write_reply::reply(reply, shape)
    }
    fn reader(&self) -> Box<dyn Reader> {
        Box::new(stream_read::StreamReader::default())
    }
    fn writer(&self, shape: Shape) -> Box<dyn Writer> {
        Box::new(stream_write::StreamWriter::new(shape))
    }
    fn read_problem(&self, status: u16, retry_after: Option<&str>, body: &[u8]) -> Problem {
        problem::read(status, retry_after, body)
    }
    fn write_problem(&self, problem: &Problem) -> (u16, Vec<u8>) {
        problem::write(problem)
    }
    fn read_usage(&self, usage: &str) -> Result<UsageReport, Malformed> {
        usage::read(usage)
    }
    fn read_body_usage(&self, body: &[u8]) -> Result<Option<UsageReport>, Malformed> {
        usage::read_body(body)
    }
}
