//! Which of several equal endpoints a conversation goes to: always the same, whichever replica asks, and as many
//! conversations to each as its weight says. What goes on from an answer that its provider has stored goes where that is.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _};
use std::mem;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::app::App;
use crate::inbound::Inbound;
use crate::pipeline::Attempt;
use crate::routing::{Plan, Target};

/// More than this is as much.
const HEAVIEST: i64 = 100;

/// What is said so far, in the words of the dialects.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, alias = "contents", alias = "input")]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    /// What the provider keeps of what was said.
    #[serde(borrow)]
    conversation: Option<&'a RawValue>,
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
    if let Some(kept) = said.conversation {
        return id_of(kept).unwrap_or_else(|| kept.get().to_owned()).hash(hasher);
    }
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

/// A conversation is named by its id, or by an object with that.
fn id_of(kept: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Kept {
        Id(String),
        Object { id: String },
    }
    let (Kept::Id(id) | Kept::Object { id }) = serde_json::from_str(kept.get()).ok()?;
    Some(id)
}

/// How many answers of late are known at least; twice as many at most.
const KNOWN: usize = 50_000;

/// Which endpoint has given which answers of late, by hashes of their names: the provider has stored them there alone. In two
/// parts, of which the older one goes when the newer one is full.
#[derive(Default)]
pub(crate) struct Homes {
    hasher: RandomState,
    parts: Mutex<[HashMap<u64, u64>; 2]>,
}

impl Homes {
    fn of(&self, account: Uuid, answer: &str) -> Option<u64> {
        let key = self.hasher.hash_one((account, answer));
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().find_map(|part| part.get(&key).copied())
    }

    fn keep(&self, account: Uuid, answer: &str, endpoint: u64) {
        let key = self.hasher.hash_one((account, answer));
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let [newer, older] = &mut *parts;
        if newer.len() >= KNOWN {
            *older = mem::take(newer);
        }
        newer.insert(key, endpoint);
    }

    /// An endpoint of a provider, called with the house's credential or an account's own key.
    fn endpoint(&self, provider: &str, endpoint: Option<&str>, own: bool) -> u64 {
        self.hasher.hash_one((provider, endpoint, own))
    }

    fn target(&self, target: &Target) -> u64 {
        self.endpoint(target.provider, target.endpoint.endpoint.as_deref(), target.is_direct())
    }
}

/// Remembers where an answer was given that another request may go on from.
pub(crate) fn remember(attempt: &Attempt<'_>, answer: &str) {
    if attempt.target.dialect().name() == wire::openai_responses::NAME {
        let homes = &attempt.app.homes;
        homes.keep(attempt.inbound.account_id, answer, homes.target(attempt.target));
    }
}

/// Leaves a request that goes on from a stored answer no other targets than those at the endpoint that has it: any other would
/// say that there is no such answer. Where nobody knows it, all are left.
pub(crate) async fn bring_home(app: &App, inbound: &Inbound, plan: &mut Plan) {
    #[derive(Deserialize)]
    struct Goes {
        previous_response_id: Option<String>,
    }
    let goes = serde_json::from_slice::<Goes>(&inbound.body).ok();
    let Some(answer) = goes.and_then(|goes| goes.previous_response_id) else { return };
    let home = match app.homes.of(inbound.account_id, &answer) {
        Some(home) => Some(home),
        None => stored(app, inbound, &answer).await,
    };
    let is_home = |target: &Target| home == Some(app.homes.target(target));
    if plan.targets.iter().any(is_home) {
        plan.targets.retain(is_home);
    }
}

/// Where an answer was given, by its receipt: at another replica, or long ago.
async fn stored(app: &App, inbound: &Inbound, answer: &str) -> Option<u64> {
    let found = app.store.receipt_of_upstream(inbound.user_id, inbound.account_id, answer).await;
    let receipt = match found {
        Ok(receipt) => receipt?,
        Err(error) => {
            tracing::warn!(request_id = %inbound.id, %error, "where an answer was given is not known");
            return None;
        }
    };
    let endpoint = receipt.report.route.as_ref().and_then(|route| route.endpoint.as_deref());
    let own = receipt.report.direct().is_some();
    let home = app.homes.endpoint(&receipt.provider, endpoint, own);
    app.homes.keep(inbound.account_id, answer, home);
    Some(home)
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

    use uuid::Uuid;

    use super::{Homes, KNOWN, begin, share};

    #[test]
    fn the_last_answers_are_known_and_no_more_than_that() {
        let (homes, account) = (Homes::default(), Uuid::from_u128(1));
        for number in 0..3 * KNOWN {
            homes.keep(account, &number.to_string(), number as u64);
        }
        let known = |number: usize| homes.of(account, &number.to_string());
        assert_eq!(known(3 * KNOWN - 1), Some(3 * KNOWN as u64 - 1));
        assert_eq!((known(2 * KNOWN), known(0)), (Some(2 * KNOWN as u64), None));
        assert_eq!(homes.of(Uuid::from_u128(2), "149999"), None);
        let kept: usize =
            homes.parts.lock().unwrap().iter().map(std::collections::HashMap::len).sum();
        assert!(kept <= 2 * KNOWN, "{kept}");
    }

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
        // What the provider keeps is named, and what is said goes on from there.
        let kept = |name: &str, text: &str| {
            number(&format!(r#"{{"input":"{text}","conversation":{name}}}"#))
        };
        assert_eq!(kept("\"conv_1\"", "one"), kept("\"conv_1\"", "two"));
        assert_eq!(kept("\"conv_1\"", "one"), kept(r#"{"id":"conv_1"}"#, "two"));
        assert_ne!(kept("\"conv_1\"", "one"), kept("\"conv_2\"", "one"));
        assert_eq!(kept("null", "one"), number(r#"{"input":"one"}"#));
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
