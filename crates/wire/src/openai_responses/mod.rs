//! `OpenAI` Responses, which `DeepSeek` speaks too.
//! <https://platform.openai.com/docs/api-reference/responses>

mod count;
mod effort;
mod items_out;
mod names;
mod namespaces;
mod problem;
mod read;
mod read_items;
mod read_reply;
mod read_tools;
mod response;
mod scan;
mod search;
mod state;
mod stream_items;
mod stream_read;
mod stream_write;
mod strict;
mod types;
pub mod usage;
mod write;
mod write_items;
mod write_parts;
mod write_tools;

use ledger::UsageReport;

pub use self::count::{
    COUNT_PATH, read_count, read_count_request, write_count, write_count_request,
};
pub(crate) use self::items_out::{call_members, is_async};
pub(crate) use self::namespaces::is_in_group;
pub(crate) use self::read_items::{mark_as_state, mark_of_state};
pub(crate) use self::read_tools::terms;
pub use self::response::with_required;
pub(crate) use self::search::search;
pub(crate) use self::state::is_bare;
pub(crate) use self::strict::holds;
use crate::{
    Chat, Dialect, Json, Malformed, Problem, Reader, Reply, Shape, Target, Unsupported, Writer,
    Written, anthropic,
};

/// The name of the dialect.
pub const NAME: &str = "openai_responses";

/// The type of an item that adds tools in the middle of a conversation.
pub(crate) const ADDITIONAL_TOOLS: &str = "additional_tools";

/// `OpenAI` Responses.
pub struct OpenaiResponses;

impl Dialect for OpenaiResponses {
    fn name(&self) -> &'static str {
        NAME
    }
    fn request_path(&self, _: &str, _: bool) -> String {
        "/responses".to_owned()
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
        stream_write::whole(reply, shape)
    }
    fn reader(&self) -> Box<dyn Reader> {
        Box::new(stream_read::StreamReader::default())
    }
    fn writer(&self, shape: Shape) -> Box<dyn Writer> {
        Box::new(stream_write::StreamWriter::new(shape))
    }
    fn echo(&self, body: &[u8]) -> Vec<(String, Json)> {
        response::echo(body)
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
