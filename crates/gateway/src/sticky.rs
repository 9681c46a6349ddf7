//! Which of several equal endpoints a conversation goes to: always the same, whichever replica asks, and as many
//! conversations to each as its weight says.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::inbound::Inbound;

/// More than this is as much.
const HEAVIEST: i64 = 100;

/// What is said so far, in the words of the dialects.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, alias = "contents", alias = "input")]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Speaker<'a> {
    role: Option<&'a str>,
}

/// A number that all turns of a conversation have in common: who asks, and all that is said up to the first message of a
/// user.
pub(crate) fn conversation(inbound: &Inbound) -> u64 {
    let mut hasher = DefaultHasher::new();
    inbound.key_id.hash(&mut hasher);
    begin(&inbound.body, &mut hasher);
    hasher.finish()
}

fn begin(body: &[u8], hasher: &mut DefaultHasher) {
    let Ok(said) = serde_json::from_slice::<Said<'_>>(body) else { return };
    let Some(said) = said.messages.or(said.message) else { return };
    let Ok(messages) = serde_json::from_str::<Vec<&RawValue>>(said.get()) else {
        // A single text.
        return said.get().hash(hasher);
    };
    for message in messages {
        message.get().hash(hasher);
        let speaker = serde_json::from_str::<Speaker<'_>>(message.get()).ok();
        let role = speaker.and_then(|speaker| speaker.role).unwrap_or("user");
        if !matches!(role, "system" | "developer") {
            return;
        }
    }
}

/// The lot of an endpoint in a conversation: the highest of as many draws as it has weight. Who has the highest of all gets
/// the conversation; when another comes or goes, only what concerns that one moves.
pub(crate) fn share(conversation: u64, endpoint: &str, weight: i64) -> u64 {
    let draw = |number: i64| {
        let mut hasher = DefaultHasher::new();
        (conversation, endpoint, number).hash(&mut hasher);
        hasher.finish()
    };
    (0..weight.clamp(1, HEAVIEST)).map(draw).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hasher as _};

    use super::{begin, share};

    #[test]
    fn what_comes_later_is_the_same_conversation() {
        let number = |body: &str| {
            let mut hasher = DefaultHasher::new();
            begin(body.as_bytes(), &mut hasher);
            hasher.finish()
        };
        let turns = |name: &str, first: &str, more: &str| {
            format!(
                r#"{{"model":"m","{name}":[{{"role":"system","content":"Be kind."}},{{"role":"user","parts":[{{"text":"{first}"}}]}}{more}],"n":1}}"#
            )
        };
        let later = r#",{"role":"assistant","content":"Yes?"},{"role":"user","content":"Go on."}"#;
        for name in ["messages", "contents", "input"] {
            let begun = number(&turns(name, "Hello", ""));
            assert_eq!(begun, number(&turns(name, "Hello", later)), "{name}");
            assert_ne!(begun, number(&turns(name, "Hallo", later)), "{name}");
        }
        assert_ne!(number(r#"{"input":"one"}"#), number(r#"{"input":"two"}"#));
        assert_eq!(number("no JSON"), number(r#"{"messages":7"#));
    }

    fn chosen(conversation: u64, endpoints: &[(&'static str, i64)]) -> &'static str {
        let lot = |(name, weight): &&(&'static str, i64)| share(conversation, name, *weight);
        endpoints.iter().max_by_key(lot).map(|(name, _)| *name).unwrap()
    }

    #[test]
    fn conversations_are_spread_by_weight_and_stay() {
        let endpoints = [("openai", 1), ("openai/eu", 3)];
        let eu = (0..10_000).filter(|number| chosen(*number, &endpoints) == "openai/eu").count();
        assert!((7_300..7_700).contains(&eu), "{eu} of 10,000");
        // Where another comes, what does not go to it stays where it was.
        let more = [("openai", 1), ("openai/eu", 3), ("openai/us", 4)];
        let mut moved = 0;
        for number in 0..10_000 {
            let (before, after) = (chosen(number, &endpoints), chosen(number, &more));
            assert!(after == before || after == "openai/us");
            moved += usize::from(after != before);
        }
        assert!((4_800..5_200).contains(&moved), "{moved} of 10,000");
    }
}
