//! Which of several equal endpoints a conversation goes to: always the same, whichever replica asks, and as many
//! conversations to each as its weight says.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use memchr::memmem;

use crate::inbound::Inbound;

/// Where the messages begin, in the dialects.
const BEGINNINGS: [&[u8]; 4] = [b"\"messages\"", b"\"contents\"", b"\"input\"", b"\"message\""];
/// How much of the first message tells a conversation, in bytes. What comes later changes with every turn.
const TELLING: usize = 256;
/// More than this is as much.
const HEAVIEST: i64 = 100;

/// A number that all turns of a conversation have in common: who asks, and how the first message begins.
pub(crate) fn conversation(inbound: &Inbound) -> u64 {
    let body = &inbound.body;
    let begins = BEGINNINGS.iter().filter_map(|name| memmem::find(body, name)).min();
    let start = begins.and_then(|at| body.get(at..)).unwrap_or_default();
    let start = start.get(..TELLING).unwrap_or(start);
    let mut hasher = DefaultHasher::new();
    (inbound.key_id, start).hash(&mut hasher);
    hasher.finish()
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
    use super::share;

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
