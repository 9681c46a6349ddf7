//! `OpenAI` Chat Completions, which `DeepSeek` and many others speak too.
//! <https://platform.openai.com/docs/api-reference/chat>

mod problem;
mod read;
mod types;
pub mod usage;
mod write;
mod write_turns;

use ledger::UsageReport;

use crate::{Chat, Dialect, Malformed, Problem, Reply, Target, Unsupported, Written};

/// The name of the dialect.
pub const NAME: &str = "openai_chat";

/// `OpenAI` Chat Completions.
pub struct OpenaiChat;

impl Dialect for OpenaiChat {
    fn name(&self) -> &'static str {
        NAME
    }
    fn request_path(&self, _: &str) -> String {
        "/chat/completions".to_owned()
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
    fn write_reply(&self, reply: &Reply) -> Vec<u8> {
        write::reply(reply)
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
