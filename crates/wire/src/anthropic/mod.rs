//! Anthropic Messages. <https://docs.claude.com/en/api/messages>

mod cache;
mod count;
mod plain;
mod problem;
mod read;
mod read_blocks;
mod rules;
mod search;
mod skim;
mod stream_read;
mod stream_write;
mod strict;
mod types;
pub mod usage;
mod write;
mod write_blocks;
mod write_reply;
mod write_tools;
mod write_turns;

use ledger::UsageReport;

pub use self::count::{read_count, read_count_request, write_count, write_count_request};
pub(crate) use self::plain::in_plain_words;
pub(crate) use self::read::terms;
pub(crate) use self::search::{returns, search};
use crate::json::Json;
use crate::{
    Chat, Dialect, Malformed, Problem, Reader, Reply, Shape, Target, Unsupported, Writer, Written,
};

/// The name of the dialect.
pub const NAME: &str = "anthropic";

/// Marks the seal of withheld thinking, which is told apart from a signature by it.
const REDACTED: &str = "redacted:";
/// Marks the state of a call, for which this dialect has no place: it comes as withheld thinking behind the call.
pub(crate) const CALL_SEAL: &str = "call.";
/// Marks the state of thoughts ahead of a text, which comes behind it: clients that have not asked for thoughts take the first
/// block for the text.
pub(crate) const AHEAD: &str = "ahead.";
/// The signature of thoughts that nobody signed. Clients drop thoughts without one, and some providers want them back.
const UNSIGNED: &str = "tg1.unsigned";
/// Says in a request whether there are to be thoughts.
const THINKING: &str = "thinking";
/// The tool whose call is the answer, where a model cannot follow the schema of an answer but that of a tool.
const JSON_TOOL: &str = "tollgate_json_answer";

/// Anthropic Messages.
pub struct Anthropic;

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        NAME
    }
    fn request_path(&self, _: &str, _: bool) -> String {
        "/v1/messages".to_owned()
    }
    fn read_request(&self, body: &[u8]) -> Result<Chat, Malformed> {
        read::request(body)
    }
    fn write_request(&self, chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
        write::request(chat, target)
    }
    fn read_reply(&self, body: &[u8]) -> Result<Reply, Malformed> {
        read::reply(body)
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
    fn echo(&self, body: &[u8]) -> Vec<(String, Json)> {
        write_reply::echo(body)
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
