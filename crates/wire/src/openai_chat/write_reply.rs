//! A whole answer for a client.

use super::types::{Choice, Completion, Message};
use super::write_turns;
use super::{cost, custom, legacy};
use crate::json::{self, Json};
use crate::reply::{Finish, Reply};
use crate::stream::Shape;

pub(super) fn reply(reply: &Reply, shape: &Shape) -> Vec<u8> {
    let mut message = Message {
        role: Some("assistant".to_owned()),
        ..write_turns::answer(&reply.blocks, id(&reply.id, shape))
    };
    if let Some(calls) = &mut message.tool_calls {
        custom::restore(calls, &custom::names(&shape.echo));
    }
    let is_legacy = legacy::is_asked(&shape.echo);
    if is_legacy {
        legacy::restore(&mut message);
    }
    let message = Json::of(&message);
    // SDKs require `content` and `refusal` to be there, if only as null.
    let mut absent = Vec::new();
    for field in ["content", "refusal"] {
        if !json::fields(message.get()).iter().any(|(name, _)| name == field) {
            absent.push((field.to_owned(), Json::of(&())));
        }
    }
    let message = json::object_with(&message, &absent);
    let choice = Choice {
        index: Some(0),
        finish_reason: Some(legacy::finish(reply.finish_for_client(), is_legacy).to_owned()),
        ..Choice::default()
    };
    let members = [("message".to_owned(), message), ("logprobs".to_owned(), Json::of(&()))];
    body(reply, shape, "chat.completion", json::object_with(&choice, &members))
}

/// The body around a choice.
pub(super) fn body(reply: &Reply, shape: &Shape, object: &str, choice: Json) -> Vec<u8> {
    let report = reply.usage.as_ref();
    let completion = Completion {
        id: Some(id(&reply.id, shape).to_owned()),
        object: Some(object.to_owned()),
        created: Some(reply.created.unwrap_or(shape.created)),
        model: Some(model(&reply.model, shape).to_owned()),
        usage: report.map(|report| cost::usage(report, shape.cost.as_ref())),
        service_tier: report.map(|report| tier(report.service_tier).to_owned()),
        ..Completion::default()
    };
    // OpenRouter's SDK requires a fingerprint, if only as null.
    let members = [
        ("choices".to_owned(), Json::of(&[choice])),
        ("system_fingerprint".to_owned(), Json::of(&())),
    ];
    let body = json::object_with(&completion, &members);
    body.get().as_bytes().to_vec()
}

pub(super) fn id<'a>(id: &'a str, shape: &'a Shape) -> &'a str {
    if id.is_empty() { &shape.id } else { id }
}

pub(super) fn model<'a>(model: &'a str, shape: &'a Shape) -> &'a str {
    if model.is_empty() { &shape.model } else { model }
}

pub(super) fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::Pause => "stop",
        Finish::ToolUse => "tool_calls",
        Finish::Length => "length",
        Finish::Filter => "content_filter",
        Finish::Failed => "error",
    }
}

pub(super) fn tier(tier: ledger::ServiceTier) -> &'static str {
    match tier {
        ledger::ServiceTier::Flex => "flex",
        ledger::ServiceTier::Priority => "priority",
        ledger::ServiceTier::Standard | ledger::ServiceTier::Batch => "default",
    }
}
