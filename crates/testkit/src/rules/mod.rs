//! What the real providers refuse although it is well formed: what a model cannot do, and state
//! that did not come back as it was given out.

mod chat;
mod claude;
mod families;
mod gemini;
mod responses;
mod turns;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::compose::Asked;
use crate::provider::{Api, Provider};

pub(crate) fn check(asked: &Asked<'_>, ask: &Ask) -> Result<(), Answer> {
    let body = asked.body;
    match (asked.api, asked.provider) {
        (Api::Chat, Provider::DeepSeek) => {
            chat::deepseek(body, ask)?;
            turns::chat(Provider::DeepSeek, body)
        }
        (Api::Chat, provider) => {
            chat::openai(body, ask)?;
            turns::chat(provider, body)
        }
        (Api::Responses, provider) => responses::check(provider, body, ask),
        (Api::Messages, Provider::DeepSeek) => claude::deepseek(body),
        (Api::Messages, _) => {
            claude::abilities(asked.version, body, ask)?;
            claude::thinking(body)?;
            turns::messages(body)
        }
        (Api::Generate, _) => gemini::check(body, ask),
        _ => Ok(()),
    }
}
