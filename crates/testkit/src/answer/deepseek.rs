//! `DeepSeek` chat: `OpenAI`'s format with fewer roles and cache counters of its own.

use serde_json::Value;

use super::reply::Reply;
use super::{Answer, Prompt, openai, set};
use crate::ids;
use crate::provider::Provider;

const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

pub(super) fn read(body: &Value) -> Result<Prompt, Answer> {
    openai::read_as(Provider::DeepSeek, &ROLES, &["max_tokens"], body)
}

pub(super) fn fill(body: &mut Value, prompt: &Prompt, reply: &Reply, seed: u64) {
    openai::fill_as(body, prompt, reply);
    set(body, "/id", ids::uuid(seed));
    set(body, "/usage/prompt_cache_hit_tokens", 0);
    set(body, "/usage/prompt_cache_miss_tokens", prompt.input_tokens);
}
