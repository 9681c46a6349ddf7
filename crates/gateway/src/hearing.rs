//! Sound for a model that takes none. The provider's own refusal names a message, and costs the way there: this one names the
//! part.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::inbound::Inbound;
use crate::problem::Problem;
use crate::routing::{Plan, Target};

/// Refuses the sound of a client of Chat Completions, as far as the price list says that a model takes none. Of Google's
/// older models it does not tell.
pub(crate) fn check(inbound: &Inbound, plan: &Plan, target: &Target) -> Result<(), Problem> {
    if !inbound.face.is(wire::openai_chat::NAME)
        || !inbound.marks().sound
        || target.provider == "gemini"
    {
        return Ok(());
    }
    let model = plan.catalogue.get(target.provider, &target.model);
    let info = model.map(|model| &model.info);
    let is_deaf =
        info.is_some_and(|info| !info.attributes.is_empty() && !info.has("supports_audio_input"));
    match first_sound(&inbound.body).filter(|_| is_deaf) {
        Some(part) => Err(refused(&part, target)),
        None => Ok(()),
    }
}

fn refused(part: &str, target: &Target) -> Problem {
    let message = format!("{part}: {}/{} takes no sound", target.provider, target.model);
    Problem::bad_request(message).with_code("invalid_value").about(part)
}

/// Where the first part is that is sound.
fn first_sound(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        messages: Vec<Message<'a>>,
    }
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        content: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Part {
        r#type: Option<String>,
    }
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    request.messages.iter().enumerate().find_map(|(i, message)| {
        let parts: Vec<Part> = serde_json::from_str(message.content?.get()).ok()?;
        let at = parts.iter().position(|part| part.r#type.as_deref() == Some("input_audio"))?;
        Some(format!("messages[{i}].content[{at}]"))
    })
}
