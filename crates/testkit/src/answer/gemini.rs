//! Gemini generateContent, filled into a plain text answer.

use serde_json::{Map, Value, json};

use super::reply::{self, End, Reply};
use super::set;
use crate::ask::Ask;
use crate::stream::words;
use crate::{ids, seal};

pub(crate) fn whole(template: &Value, ask: &Ask, seed: u64) -> Value {
    let replies: Vec<Reply> =
        (0..ask.answers.clamp(1, 8)).map(|number| reply::to(ask, number)).collect();
    let mut body = template.clone();
    let model = template.pointer("/candidates/0").cloned().unwrap_or_default();
    let candidates: Vec<Value> = replies
        .iter()
        .enumerate()
        .map(|(index, reply)| candidate(&model, ask, reply, index, seed))
        .collect();
    let output = replies.iter().map(|reply| reply.tokens).sum::<u64>();
    let thoughts = replies.iter().map(Reply::thought_tokens).sum::<u64>();
    set(&mut body, "/candidates", candidates);
    set(&mut body, "/usageMetadata/promptTokenCount", ask.input_tokens);
    set(&mut body, "/usageMetadata/candidatesTokenCount", output);
    let total = ask.input_tokens.saturating_add(output).saturating_add(thoughts);
    set(&mut body, "/usageMetadata/totalTokenCount", total);
    set(&mut body, "/usageMetadata/promptTokensDetails/0/tokenCount", ask.input_tokens);
    if thoughts > 0 {
        body["usageMetadata"]["thoughtsTokenCount"] = thoughts.into();
    }
    set(&mut body, "/modelVersion", ask.model.as_str());
    set(&mut body, "/responseId", ids::base62(seed, 22));
    body
}

fn candidate(model: &Value, ask: &Ask, reply: &Reply, index: usize, seed: u64) -> Value {
    let mut candidate = model.clone();
    let mut parts = Vec::new();
    if let Some(thought) = reply.thought.as_ref().filter(|thought| thought.shown) {
        parts.push(json!({"text": thought.text, "thought": true}));
    }
    // From Gemini 3 on, calls are signed and have names of their own.
    let modern = is_modern(&ask.model);
    let signed = reply.thought.is_some() || modern;
    if !reply.text.is_empty() {
        let mut part = json!({ "text": reply.text });
        if reply.thought.is_some() {
            part["thoughtSignature"] = seal::seal(&reply.text).into();
        }
        parts.push(part);
    }
    for (place, call) in (0_u64..).zip(&reply.calls) {
        // Arguments that were cut short are no object, and so they are lost here.
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or(json!({}));
        let mut function = Map::new();
        if modern {
            let id = ids::base62(ids::mix(seed).wrapping_add(place), 8).to_lowercase();
            function.insert("id".to_owned(), id.into());
        }
        let signature = seal::seal(&signed_call(&call.name, &arguments));
        function.insert("name".to_owned(), call.name.as_str().into());
        function.insert("args".to_owned(), arguments);
        let mut part = json!({ "functionCall": function });
        // Of parallel calls only the first one is signed.
        if signed && place == 0 {
            part["thoughtSignature"] = signature.into();
        }
        parts.push(part);
    }
    let finish = if reply.end == End::Length { "MAX_TOKENS" } else { "STOP" };
    set(&mut candidate, "/finishReason", finish);
    set(&mut candidate, "/index", index);
    if parts.is_empty() {
        candidate["content"] = json!({"role": "model"});
    } else {
        set(&mut candidate, "/content/parts", parts);
    }
    if ask.logprobs && reply.calls.is_empty() {
        let chosen = words(&reply.text).into_iter();
        let chosen: Vec<Value> = chosen
            .map(|piece| json!({"token": piece, "tokenId": 1, "logProbability": -0.25}))
            .collect();
        candidate["avgLogprobs"] = json!(-0.25);
        candidate["logprobsResult"] = json!({ "chosenCandidates": chosen });
    }
    candidate
}

/// What the signature of a call stands for.
pub(crate) fn signed_call(name: &str, arguments: &Value) -> String {
    format!("{name}\n{}", crate::replay::canonical_text(arguments))
}

/// Whether a model is Gemini 3 or later.
pub(crate) fn is_modern(model: &str) -> bool {
    let version = model.trim_start_matches("models/").strip_prefix("gemini-");
    let major = version.and_then(|version| version.split(['.', '-']).next()?.parse::<u32>().ok());
    major.is_some_and(|major| major >= 3)
}
