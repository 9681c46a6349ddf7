//! Canonical turns to wire contents.

use serde::Serialize;

use super::names::{self, Names};
use super::parts::{self, Parts};
use super::types::{Content, FunctionResponse, Part};
use super::{NAME, signature, unsigned};
use crate::chat::{Block, Chat, Media, Role, Source, Turn};
use crate::families::Gemini;
use crate::json::Json;
use crate::{Dropped, REFUSAL_AS_TEXT, SYSTEM_AS_NOTE, Unsupported, inline, rounds};

pub(super) fn system(
    blocks: &[Block],
    names: &Names,
    dropped: &mut Dropped,
) -> Result<Vec<Json>, Unsupported> {
    let mut writer = Writer { family: Gemini::Old, names, dropped, parts: Parts::default() };
    for block in blocks {
        writer.block(block)?;
    }
    Ok(writer.parts.finish())
}

/// What one side says, turns of one role together.
struct Side<'a> {
    model: bool,
    blocks: Vec<Said<'a>>,
}

enum Said<'a> {
    Block(&'a Block),
    /// The operator speaks in the middle, which Google has no role for.
    Operator,
}

/// Turns of one role are merged. Results stand ahead of anything else, one for each call of the turn before, in the
/// order of the calls: Google pairs them that way where there are no ids.
pub(super) fn contents(
    chat: &Chat,
    family: Gemini,
    names: &Names,
    dropped: &mut Dropped,
) -> Result<Vec<Json>, Unsupported> {
    chat.says_something()?;
    let turns = rounds::answered(chat.turns.clone(), |_, turn| turn.role == Role::Assistant)?;
    let sides = sides(&turns, dropped);
    // Google asks for signatures of what came after the user's last own words only.
    let current = sides.iter().rposition(begins_turn);
    let mut contents = Vec::new();
    let mut before: &[Said<'_>] = &[];
    for (at, side) in sides.iter().enumerate() {
        let mut writer = Writer { family, names, dropped, parts: Parts::default() };
        if side.model {
            let signed = current.is_some_and(|current| at < current) || family != Gemini::Level;
            writer.model(&side.blocks, signed)?;
        } else {
            writer.user(&side.blocks, before)?;
        }
        let mut parts = writer.parts.finish();
        if parts.is_empty() {
            parts.push(Json::of(&Part { text: Some(" ".to_owned()), ..Part::default() }));
        }
        let role = if side.model { "model" } else { "user" };
        contents.push(Json::of(&Content { role: Some(role.to_owned()), parts: Some(parts) }));
        before = &side.blocks;
    }
    if contents.is_empty() {
        let go_on = Json::of(&Part { text: Some("Go on.".to_owned()), ..Part::default() });
        contents
            .push(Json::of(&Content { role: Some("user".to_owned()), parts: Some(vec![go_on]) }));
    }
    Ok(contents)
}

fn sides<'a>(turns: &'a [Turn], dropped: &mut Dropped) -> Vec<Side<'a>> {
    let mut sides: Vec<Side<'_>> = Vec::new();
    for turn in turns {
        dropped.unless_none("name", turn.name.as_ref());
        let model = turn.role == Role::Assistant;
        if sides.last().is_none_or(|last| last.model != model) {
            sides.push(Side { model, blocks: Vec::new() });
        }
        let Some(side) = sides.last_mut() else { continue };
        if turn.role == Role::System {
            dropped.note(SYSTEM_AS_NOTE);
            side.blocks.push(Said::Operator);
        }
        side.blocks.extend(turn.blocks.iter().map(Said::Block));
    }
    sides
}

/// Whether the user's own words begin a turn here. What stands beside results are the words of a program, mostly, and
/// Google does not say whether they do.
fn begins_turn(side: &Side<'_>) -> bool {
    let is_result = |said: &Said<'_>| matches!(said, Said::Block(Block::ToolResult { .. }));
    let is_word = |said: &Said<'_>| match said {
        Said::Block(Block::CachePoint(_)) => false,
        // Nothing of another dialect's is written.
        Said::Block(Block::Native(native)) => native.dialect == NAME,
        Said::Block(_) | Said::Operator => true,
    };
    !side.model && !side.blocks.iter().any(is_result) && side.blocks.iter().any(is_word)
}

fn is_sealed_call(said: &Said<'_>) -> bool {
    let Said::Block(Block::ToolUse { seal, .. }) = said else { return false };
    signature::own(seal.as_ref()).is_some()
}

struct Writer<'a> {
    family: Gemini,
    names: &'a Names,
    dropped: &'a mut Dropped,
    parts: Parts,
}

impl Writer<'_> {
    fn model(&mut self, blocks: &[Said<'_>], mut signed: bool) -> Result<(), Unsupported> {
        let mut rest = blocks.iter().peekable();
        while let Some(said) = rest.next() {
            let Said::Block(block) = said else { continue };
            match block {
                // Google seals the call and not the thoughts ahead of it.
                Block::Thinking { text, seal: None }
                    if rest.peek().is_some_and(|next| is_sealed_call(next)) =>
                {
                    self.parts.thought(text);
                }
                Block::Thinking { text, seal } => match seal.as_ref() {
                    Some(seal) if seal.dialect == NAME => {
                        self.parts.thought(text);
                        self.parts.seal(seal);
                    }
                    _ => self.dropped.note("thinking"),
                },
                Block::ToolUse { id, name, input, seal } => {
                    self.dropped.call_members(name, seal.as_ref());
                    self.dropped.unless_object(input);
                    let own = signature::own(seal.as_ref()).map(str::to_owned);
                    let missing = own.is_none() && !self.parts.is_waiting() && !signed;
                    // Only the first call of a turn has one.
                    signed = true;
                    if missing {
                        self.dropped.note(unsigned::note());
                    }
                    let stand_in = || missing.then(|| signature::STAND_IN.to_owned());
                    let id = self.id(id);
                    self.parts.call(id, &self.names.get(name), input, own.or_else(stand_in));
                }
                block => self.block(block)?,
            }
        }
        Ok(())
    }

    fn user(&mut self, blocks: &[Said<'_>], before: &[Said<'_>]) -> Result<(), Unsupported> {
        let mut results: Vec<(&str, &Block)> = Vec::new();
        for said in blocks {
            if let Said::Block(block @ Block::ToolResult { id, .. }) = said {
                results.push((id, block));
            }
        }
        for said in before {
            let Said::Block(Block::ToolUse { id, name, .. }) = said else { continue };
            let Some(at) = results.iter().position(|(of, _)| of == id) else {
                return Err(unpaired(id, "the call has no result in the turn behind it"));
            };
            if let (_, Block::ToolResult { blocks, failed, .. }) = results.remove(at) {
                self.result(id, name, blocks, *failed)?;
            }
        }
        if let Some((id, _)) = results.first() {
            return Err(unpaired(id, "the result has no call in the turn ahead of it"));
        }
        for said in blocks {
            match said {
                Said::Block(Block::ToolResult { .. }) => {}
                Said::Block(block) => self.block(block)?,
                Said::Operator => self.parts.text("[Instruction of the operator]"),
            }
        }
        Ok(())
    }

    fn block(&mut self, block: &Block) -> Result<(), Unsupported> {
        match block {
            Block::Text(part) => self.parts.text(part),
            Block::Refusal(part) => {
                self.dropped.note(REFUSAL_AS_TEXT);
                self.parts.text(part);
            }
            Block::Media(media) => {
                let part = self.media(media)?;
                self.parts.media(part);
            }
            Block::Native(native) if native.dialect == NAME => self.parts.push(native.raw.clone()),
            Block::Native(native) => self.dropped.note(&native.field),
            Block::Citation(_) => self.dropped.note("citations"),
            Block::CachePoint(_) => self.dropped.note("cache_control"),
            Block::Thinking { .. } => self.dropped.note("thinking"),
            Block::ToolUse { id, .. } | Block::ToolResult { id, .. } => {
                return Err(unpaired(id, "only the model calls, and only the user answers"));
            }
        }
        Ok(())
    }

    fn media(&mut self, media: &Media) -> Result<Part, Unsupported> {
        // That of a text is told ahead of it.
        let lost = media.name.as_ref().filter(|_| !matches!(media.source, Source::Text(_)));
        self.dropped.unless_none("filename", lost);
        let detail = media.detail.as_deref().filter(|detail| *detail != "auto");
        let resolution =
            detail.filter(|_| self.family == Gemini::Level).and_then(parts::resolution);
        if resolution.is_none() {
            self.dropped.unless_none("detail", detail);
        }
        Ok(Part { media_resolution: resolution, ..parts::media(media)? })
    }

    fn result(
        &mut self,
        id: &str,
        name: &str,
        blocks: &[Block],
        failed: bool,
    ) -> Result<(), Unsupported> {
        let (mut said, mut shown) = (String::new(), Vec::new());
        for block in blocks {
            match block {
                Block::Text(part) | Block::Refusal(part) => said.push_str(part),
                Block::Media(media @ Media { source: Source::Text(_), .. }) => {
                    said.extend(inline::words(media));
                }
                Block::Media(media) => shown.push(Json::of(&self.media(media)?)),
                Block::Native(native) if native.dialect == NAME => shown.push(native.raw.clone()),
                Block::Native(native) => self.dropped.note(&native.field),
                Block::CachePoint(_) => self.dropped.note("cache_control"),
                _ => {}
            }
        }
        let inside = self.family == Gemini::Level;
        let response = FunctionResponse {
            id: self.id(id).map(str::to_owned),
            name: Some(self.names.get(name)),
            response: Some(response(said, failed)),
            // Older models take pictures beside the result only.
            parts: (inside && !shown.is_empty()).then(|| shown.clone()),
        };
        self.parts.push(Json::of(&Part { function_response: Some(response), ..Part::default() }));
        if !inside && !shown.is_empty() {
            self.dropped.note("tool_result.media: result -> beside it");
            for part in shown {
                self.parts.push(part);
            }
        }
        Ok(())
    }

    /// The id as Google gave it. It never saw ours, and models before 3 may refuse the field.
    fn id<'b>(&self, id: &'b str) -> Option<&'b str> {
        Some(id).filter(|id| self.family == Gemini::Level && !names::is_made_up(id))
    }
}

fn unpaired(id: &str, reason: &str) -> Unsupported {
    Unsupported::new(format!("tool call {id}"), reason)
}

/// Under one key, as text: an object with a key `$ref` would be read as a pointer to a part.
fn response(said: String, failed: bool) -> Json {
    #[derive(Serialize)]
    struct Response {
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }
    let (output, error) = if failed { (None, Some(said)) } else { (Some(said), None) };
    Json::of(&Response { output, error })
}
