//! `OpenAI` Chat Completions, which `DeepSeek` and many others speak too.
//! <https://platform.openai.com/docs/api-reference/chat>

mod alike;
mod audio;
mod citations;
pub mod completions;
mod cost;
pub(crate) mod custom;
mod details;
mod legacy;
pub(crate) mod names;
pub mod openrouter;
mod plain;
mod problem;
mod read;
mod read_reply;
mod read_turns;
mod skim;
mod stream_read;
mod stream_write;
mod types;
pub mod usage;
mod write;
mod write_media;
mod write_reply;
mod write_tools;
mod write_turns;

use ledger::UsageReport;

use crate::names::Names;
use crate::{
    Chat, Dialect, Json, Malformed, Problem, Reader, Reply, Shape, Target, Unsupported, Writer,
    Written, anthropic,
};

/// Whether a model takes the older field for the ceiling of its answer, `max_tokens`: those of `OpenAI` that reason do not.
pub fn takes_max_tokens(target: &Target<'_>) -> bool {
    !write::Rules::of(target).reasons
}

pub(crate) use cost::cost_members;
pub use cost::{add_cost, is_usage_only, may_tell_usage, without_null_usage};
pub(crate) use read::terms;

/// The name of the dialect.
pub const NAME: &str = "openai_chat";

/// `OpenRouter`'s plugins, one of which searches the web.
const PLUGINS: &str = "plugins";

/// Members of a request that are between the client and a gateway such as this one or `OpenRouter`. No provider sees
/// them.
pub const GATEWAY_FIELDS: [&str; 6] =
    ["models", "provider", "route", "usage", "session_id", "trace"];

/// Members that other servers of this dialect take and `OpenAI` refuses: a request that has one cannot go to `OpenAI` as
/// it stands, it has to be read and written.
pub const EXTENSION_FIELDS: [&str; 18] = [
    "reasoning",
    "include_reasoning",
    "thinking",
    "user_id",
    "top_k",
    "min_p",
    "top_a",
    "repetition_penalty",
    "cache_control",
    "image_config",
    "debug",
    "preset",
    "structured_outputs",
    "transforms",
    PLUGINS,
    "stop_server_tools_when",
    "deferred_tools",
    "extra_body",
];

/// `OpenAI` Chat Completions.
pub struct OpenaiChat;

impl Dialect for OpenaiChat {
    fn name(&self) -> &'static str {
        NAME
    }
    fn request_path(&self, _: &str, _: bool) -> String {
        "/chat/completions".to_owned()
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
        Box::new(stream_read::StreamReader::new())
    }
    fn writer(&self, shape: Shape) -> Box<dyn Writer> {
        Box::new(stream_write::StreamWriter::new(shape))
    }
    fn echo(&self, body: &[u8]) -> Vec<(String, Json)> {
        custom::echo(body).into_iter().chain(legacy::echo(body)).collect()
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

    fn look_at_body(&self, body: &[u8]) -> Result<(Option<UsageReport>, Names), Malformed> {
        usage::look_at(body)
    }
}
