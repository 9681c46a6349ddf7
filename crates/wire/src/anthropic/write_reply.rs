//! Canonical answer to wire.

use super::types::{Answer, Block as WireBlock, Citation as WireCitation, StopDetails, Thinking};
use super::write_blocks::{of_kind, thought, tool_use};
use super::{AHEAD, CALL_SEAL, NAME, REDACTED, THINKING, UNSIGNED, search, usage};
use crate::chat::{Block, Citation, Media, Seal};
use crate::json::{self, Json};
use crate::openai_responses::mark_as_state;
use crate::reply::{Finish, Reply};
use crate::{Shape, seal};

pub(super) fn reply(reply: &Reply, shape: &Shape) -> Vec<u8> {
    let or =
        |own: &String, other: &String| if own.is_empty() { other.clone() } else { own.clone() };
    let zero = ledger::UsageReport::default();
    let mut answer = Answer {
        id: Some(or(&reply.id, &shape.id)),
        kind: Some("message".to_owned()),
        role: Some("assistant".to_owned()),
        model: Some(or(&reply.model, &shape.model)),
        content: Some(content(&reply.blocks, &or(&reply.id, &shape.id), is_shown(&shape.echo))),
        ..Answer::default()
    };
    let refusal: String = reply
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Refusal(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let finish = refused(reply.finish_for_client(), &refusal);
    answer.stop_reason = Some(stop_reason(finish).to_owned());
    let usage = usage::with_cost(reply.usage.as_ref().unwrap_or(&zero), shape.cost.as_ref());
    // SDKs require `stop_sequence` to be there, if only as null.
    let more = [
        ("stop_sequence".to_owned(), Json::of(&reply.stop_sequence)),
        ("stop_details".to_owned(), stop_details(finish, &refusal)),
        ("usage".to_owned(), usage),
    ];
    json::object_with(&answer, &more).get().as_bytes().to_vec()
}

/// Other providers call an answer that is a refusal complete.
pub(super) const fn refused(finish: Finish, refusal: &str) -> Finish {
    match finish {
        Finish::Stop if !refusal.is_empty() => Finish::Filter,
        finish => finish,
    }
}

pub(super) const fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Failed => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::ToolUse => "tool_use",
        Finish::Length => "max_tokens",
        Finish::Filter => "refusal",
        Finish::Pause => "pause_turn",
    }
}

/// Why the answer was refused, if it was.
pub(super) fn stop_details(finish: Finish, explanation: &str) -> Json {
    if finish != Finish::Filter {
        return Json::of(&());
    }
    Json::of(&StopDetails {
        kind: Some("refusal".to_owned()),
        category: Some(Json::of(&())),
        explanation: (!explanation.is_empty()).then(|| explanation.to_owned()),
    })
}

/// Whether a client has asked for thoughts, as the writer of its answer is told.
pub(super) fn echo(body: &[u8]) -> Vec<(String, Json)> {
    let members = json::fields(std::str::from_utf8(body).unwrap_or_default());
    let asks = |(name, value): &(String, Json)| {
        name == THINKING && serde_json::from_str(value.get()).is_ok_and(|it: Thinking| !it.is_off())
    };
    members.into_iter().filter(asks).collect()
}

/// The same from what was echoed.
pub(super) fn is_shown(echo: &[(String, Json)]) -> bool {
    echo.iter().any(|(name, _)| name == THINKING)
}

/// What a client sees of thoughts: their text with a signature, or what was withheld, or another provider's state of them, or
/// nothing.
pub(super) enum Thoughts {
    Signed(String),
    Withheld(String),
    State(String),
    Nothing,
}

impl Thoughts {
    /// Clients send thoughts back only with a signature, so there always is one.
    pub(super) fn of(text: bool, seal: Option<&Seal>) -> Self {
        let Some(seal) = seal else {
            return if text { Self::Signed(UNSIGNED.to_owned()) } else { Self::Nothing };
        };
        let own = seal.dialect == NAME;
        match seal.value.strip_prefix(REDACTED).filter(|_| own && !text) {
            Some(data) => Self::Withheld(data.to_owned()),
            None if own || text => Self::Signed(seal::wrap(seal, NAME)),
            None => Self::State(seal::wrap(seal, NAME)),
        }
    }
}

pub(super) fn withheld(data: &str) -> WireBlock {
    WireBlock { data: Some(data.to_owned()), ..of_kind("redacted_thinking") }
}

/// The state of a call, which comes behind it as withheld thinking.
pub(super) fn call_state(seal: &Seal) -> Option<WireBlock> {
    let foreign = seal.dialect != NAME;
    foreign.then(|| withheld(&format!("{CALL_SEAL}{}", seal::wrap(seal, NAME))))
}

/// A citation as a client sees it. Without an index of Anthropic's it is not sent on when it comes back.
pub(super) fn citation(citation: &Citation) -> Json {
    match citation.native.as_ref().filter(|native| native.dialect == NAME) {
        Some(native) => native.raw.clone(),
        None => json::object_with(
            &WireCitation {
                kind: Some("web_search_result_location".to_owned()),
                url: Some(citation.url.clone()),
                cited_text: Some(citation.cited_text.clone().unwrap_or_default()),
                encrypted_index: Some(String::new()),
                title: None,
            },
            &[("title".to_owned(), Json::of(&citation.title))],
        ),
    }
}

/// What stands in for a picture or sound, for which answers have no place.
pub(super) fn in_words(media: &Media) -> String {
    match (&media.transcript, media.url().filter(|url| !url.starts_with("data:"))) {
        (Some(said), _) => said.clone(),
        (None, Some(url)) => format!("[{}: {url}]", media.kind.name()),
        (None, None) => format!("[{}, which this format cannot carry]", media.kind.name()),
    }
}

/// State as the text has it that it went ahead of.
pub(super) fn behind_text(data: &str) -> Json {
    Json::of(&withheld(&format!("{AHEAD}{data}")))
}

/// State of thoughts comes where it stands, but not behind the last text, which some clients take for all of the answer. Those who
/// have not asked for thoughts take the first block for it: what led to that comes behind it, and only where more does.
fn content(blocks: &[Block], answer: &str, thinks: bool) -> Vec<Json> {
    let mut content = Vec::new();
    let (mut ahead, mut behind): (Vec<String>, Vec<String>) = Default::default();
    let mut ends_in_text = false;
    let mut blocks = blocks.iter().peekable();
    while let Some(block) = blocks.next() {
        if let Block::Native(native) = block
            && let Some(state) = mark_as_state(native)
        {
            ahead.push(seal::wrap(&state, NAME));
            continue;
        }
        let (mut citations, mut more) = (Vec::new(), Vec::new());
        while let Some(behind) = blocks.next_if(|block| belongs_behind(block)) {
            match behind {
                Block::Citation(source) => citations.push(citation(source)),
                Block::Native(native) => match native.field.trim_start_matches("content.") {
                    "citations" => citations.push(native.raw.clone()),
                    name => more.push((name.to_owned(), native.raw.clone())),
                },
                _ => {}
            }
        }
        let name = format!("{answer}_{}", content.len());
        let told = told(block, &name, &mut ahead, |mut wire| {
            if !citations.is_empty() {
                wire.citations = Some(Json::of(&citations));
            }
            json::object_with(&wire, &more)
        });
        if told.is_empty() {
            continue;
        }
        content.extend(behind.drain(..).map(|data| behind_text(&data)));
        ends_in_text = matches!(block, Block::Text(_) | Block::Refusal(_) | Block::Media(_));
        let in_place = thinks || !content.is_empty();
        if ends_in_text && !in_place {
            behind.append(&mut ahead);
        } else if in_place || !matches!(block, Block::Thinking { .. }) {
            content.extend(ahead.drain(..).map(|data| Json::of(&withheld(&data))));
        }
        content.extend(told);
    }
    if !ends_in_text {
        content.extend(ahead.into_iter().map(|data| Json::of(&withheld(&data))));
    }
    content
}

/// What a block is on the wire; state that waits for what comes goes to `ahead`.
fn told(
    block: &Block,
    name: &str,
    ahead: &mut Vec<String>,
    whole: impl Fn(WireBlock) -> Json,
) -> Vec<Json> {
    let text = |text: &str| whole(WireBlock { text: Some(text.to_owned()), ..of_kind("text") });
    match block {
        Block::Text(part) | Block::Refusal(part) => vec![text(part)],
        Block::Media(media) => vec![text(&in_words(media))],
        Block::Thinking { text, seal } => match Thoughts::of(!text.is_empty(), seal.as_ref()) {
            Thoughts::Signed(signature) => vec![whole(thought(text, &signature))],
            Thoughts::Withheld(data) => vec![whole(withheld(&data))],
            Thoughts::State(data) => {
                ahead.push(data);
                Vec::new()
            }
            Thoughts::Nothing => Vec::new(),
        },
        Block::ToolUse { id, name, input, seal } => {
            let state = seal.as_ref().and_then(call_state);
            [whole(tool_use(id, name, input))]
                .into_iter()
                .chain(state.as_ref().map(Json::of))
                .collect()
        }
        Block::Native(native) if native.dialect == NAME => vec![native.raw.clone()],
        Block::Native(native) => search::blocks(native, name).into_iter().flatten().collect(),
        _ => Vec::new(),
    }
}

fn belongs_behind(block: &Block) -> bool {
    match block {
        Block::Citation(_) => true,
        Block::Native(native) => native.dialect == NAME && native.field.starts_with("content."),
        _ => false,
    }
}
