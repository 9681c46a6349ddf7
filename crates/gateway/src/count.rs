//! Counting tokens: asked of the provider, which does it for nothing; where it has no way to count, an estimate.

use bytes::Bytes;
use http::Response;
use wire::{Chat, Malformed, Unsupported, Written};

use crate::answer::{Answer, Head};
use crate::failure;
use crate::inbound::Inbound;
use crate::outbound::{Outbound, pass, translated};
use crate::pipeline::Attempt;
use crate::problem::Problem;
use crate::routing::Target;
use crate::settle;
use crate::upstream::Body;

/// How a dialect counts.
struct Counting {
    /// Reads a client's question.
    ask: fn(&[u8]) -> Result<Chat, Malformed>,
    /// Below the provider's base URL.
    path: fn(&str) -> String,
    write: fn(&Chat, &wire::Target<'_>) -> Result<Written, Unsupported>,
    read: fn(&[u8]) -> Result<u64, Malformed>,
    answer: fn(u64) -> Vec<u8>,
}

const ANTHROPIC: Counting = Counting {
    path: |_| "/v1/messages/count_tokens".to_owned(),
    ask: wire::anthropic::read_count_request,
    write: wire::anthropic::write_count_request,
    read: wire::anthropic::read_count,
    answer: wire::anthropic::write_count,
};
const GEMINI: Counting = Counting {
    path: |model| wire::gemini::path(model, "countTokens"),
    ask: wire::gemini::read_count_request,
    write: wire::gemini::write_count_request,
    read: wire::gemini::read_count,
    answer: wire::gemini::write_count,
};
const RESPONSES: Counting = Counting {
    path: |_| "/responses/input_tokens".to_owned(),
    ask: wire::openai_responses::read_count_request,
    write: wire::openai_responses::write_count_request,
    read: wire::openai_responses::read_count,
    answer: wire::openai_responses::write_count,
};

/// How a target counts; `DeepSeek` does not.
fn of(target: &Target) -> Option<&'static Counting> {
    match target.provider {
        "openai" => Some(&RESPONSES),
        "anthropic" => Some(&ANTHROPIC),
        "gemini" => Some(&GEMINI),
        _ => None,
    }
}

/// How a client is answered.
fn answering(inbound: &Inbound) -> &'static Counting {
    match inbound.face.dialect().map(wire::Dialect::name) {
        Some(wire::anthropic::NAME) => &ANTHROPIC,
        Some(wire::gemini::NAME) => &GEMINI,
        _ => &RESPONSES,
    }
}

/// The dialect in which a target counts is the client's own.
pub(crate) fn is_same(inbound: &Inbound, target: &Target) -> bool {
    of(target).is_some_and(|own| std::ptr::eq(own, answering(inbound)))
}

/// The question for a target; none where only an estimate is to be had.
pub(crate) fn prepare(inbound: &Inbound, target: &Target) -> Result<Option<Outbound>, Problem> {
    let Some(counting) = of(target) else { return Ok(None) };
    let path = (counting.path)(&target.model);
    if is_same(inbound, target) {
        let path = match &inbound.query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        return Ok(Some(pass(inbound, target, path, |dialect| dialect.reader())));
    }
    translated(inbound.face, path, (counting.write)(inbound.chat()?, &target.wire())).map(Some)
}

/// The client's question in the canonical form.
pub(crate) fn read_request(inbound: &Inbound) -> Result<Chat, Problem> {
    (answering(inbound).ask)(&inbound.body).map_err(Problem::malformed)
}

/// An estimate from the bytes of text.
pub(crate) fn estimate(inbound: &Inbound, head: &mut Head) {
    let tokens = settle::prompt(inbound);
    answer((answering(inbound).answer)(tokens), &[], head);
}

/// Gives the provider's count to the client.
pub(crate) async fn relay(
    attempt: &Attempt<'_>,
    response: Response<Body>,
    head: &mut Head,
) -> Result<(), Problem> {
    let body = attempt.read(response.into_body()).await?;
    let body = match (of(attempt.target), is_same(attempt.inbound, attempt.target)) {
        (Some(counting), false) => {
            let tokens =
                (counting.read)(&body).map_err(|error| failure::of_reply(&error, attempt))?;
            (answering(attempt.inbound).answer)(tokens)
        }
        _ => body.to_vec(),
    };
    answer(body, &attempt.outbound.dropped, head);
    Ok(())
}

fn answer(body: Vec<u8>, dropped: &[String], head: &mut Head) {
    head.send(Ok(Answer::whole(Bytes::from(body), None).with_dropped(dropped)));
}
