//! Canonical turns to wire messages.

use super::names::{Names, fit_id};
use super::types::{Audio, CacheControl, Called, Content, Extra, Google, Message, Part, ToolCall};
use super::write::Rules;
use super::write_media::{audio, media_part, picture};
use super::{NAME, citations, custom, details};
use crate::chat::{Block, CacheLife, Chat, Media, MediaKind, Role, Seal, Source, Turn};
use crate::json::{Json, TextOr};
use crate::{Dropped, REFUSAL_AS_TEXT, Unsupported, inline, openai_responses, rounds};

/// `OpenAI` writes at most so many cache entries for one request.
const MOST_MARKS: usize = 4;

pub(super) fn messages(
    chat: &Chat,
    rules: Rules,
    instruction: Option<String>,
    custom: &[String],
    names: &mut Names,
    dropped: &mut Dropped,
) -> Result<Vec<Json>, Unsupported> {
    let blocks = chat.turns.iter().flat_map(|turn| &turn.blocks);
    let marks = chat.system.iter().chain(blocks).map(marks).sum::<usize>();
    let surplus = if rules.marks { marks.saturating_sub(MOST_MARKS) } else { 0 };
    let mut turns = Turns { rules, custom, names, dropped, surplus, out: Vec::new() };
    let operator = if rules.reasons { "developer" } else { "system" };
    let mut system = chat.system.clone();
    system.extend(instruction.map(Block::Text));
    if !system.is_empty() {
        turns.plain(operator, None, &system)?;
    }
    let said = rounds::answered(chat.turns.clone(), goes_on)?;
    for run in said.chunk_by(|a, b| a.role == Role::User && b.role == Role::User) {
        match run {
            [turn, ..] if turn.role == Role::User => turns.user(run)?,
            [turn, ..] if turn.role == Role::System => {
                turns.plain(operator, turn.name.clone(), &turn.blocks)?;
            }
            run => run.iter().for_each(|turn| turns.assistant(turn)),
        }
    }
    Ok(turns.out.iter().map(Json::of).collect())
}

/// Calls in several turns of the assistant are one round, with their results behind all of them.
fn goes_on(before: &Turn, turn: &Turn) -> bool {
    let calls = before.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    turn.role == Role::Assistant && calls
}

fn marks(block: &Block) -> usize {
    match block {
        Block::CachePoint(_) => 1,
        Block::ToolResult { blocks, .. } => blocks.iter().map(marks).sum(),
        _ => 0,
    }
}

struct Turns<'a> {
    rules: Rules,
    /// The client's tools that take free text.
    custom: &'a [String],
    names: &'a mut Names,
    dropped: &'a mut Dropped,
    /// Marks of the beginning that are too many.
    surplus: usize,
    out: Vec<Message>,
}

/// A part of a message: ours, or the client's as it stands.
enum Piece {
    Part(Box<Part>),
    Raw(Json),
}

impl Piece {
    fn json(&self) -> Json {
        match self {
            Self::Part(part) => Json::of(part),
            Self::Raw(raw) => raw.clone(),
        }
    }

    /// The text of a part that is nothing but text.
    fn bare_text(&self) -> Option<&str> {
        match self {
            Self::Part(part)
                if part.cache_control.is_none() && part.prompt_cache_breakpoint.is_none() =>
            {
                part.text.as_deref()
            }
            _ => None,
        }
    }
}

fn content(pieces: &[Piece]) -> Content {
    TextOr::List(pieces.iter().map(Piece::json).collect())
}

impl Turns<'_> {
    /// Results first, each a message of its own: they must follow the calls directly.
    fn user(&mut self, run: &[Turn]) -> Result<(), Unsupported> {
        // Tool messages hold text only; a picture that a tool returned follows as the user's.
        let mut shown = Vec::new();
        let mut rests = Vec::new();
        for turn in run {
            let mut rest = Vec::new();
            let mut blocks = turn.blocks.iter().peekable();
            while let Some(block) = blocks.next() {
                let Block::ToolResult { id, blocks: result, failed, .. } = block else {
                    match block {
                        // Nothing of it is written, not even an empty message.
                        Block::Native(native) if native.dialect != NAME => self.note(block),
                        _ => rest.push(block.clone()),
                    }
                    continue;
                };
                if *failed {
                    self.dropped.note("is_error");
                }
                let mark = blocks.next_if(|next| matches!(next, Block::CachePoint(_)));
                self.result(id, result.iter().chain(mark), &mut shown);
            }
            rests.push((turn, rest));
        }
        let last = rests.len().saturating_sub(1);
        for (at, (turn, mut rest)) in rests.into_iter().enumerate() {
            // What was shown goes with the user's next words.
            if at < last && rest.is_empty() && !turn.blocks.is_empty() {
                continue;
            }
            if !shown.is_empty() {
                self.dropped.note("tool_result.media: result -> user message");
                rest.splice(0..0, shown.drain(..));
            }
            if !rest.is_empty() || turn.blocks.is_empty() {
                self.plain("user", turn.name.clone(), &rest)?;
            }
        }
        Ok(())
    }

    fn result<'b>(
        &mut self,
        id: &str,
        blocks: impl Iterator<Item = &'b Block>,
        shown: &mut Vec<Block>,
    ) {
        let mut pieces = Vec::new();
        for block in blocks {
            match block {
                Block::Text(text) => pieces.push(text_part(text)),
                Block::Media(media) => match inline::words(media) {
                    Some(words) => pieces.push(text_part(&words)),
                    None => shown.push(Block::Media(media.clone())),
                },
                Block::CachePoint(life) => self.mark(&mut pieces, *life),
                other => self.note(other),
            }
        }
        let texts: Option<Vec<&str>> = pieces.iter().map(Piece::bare_text).collect();
        let content = texts.map_or_else(|| content(&pieces), |texts| TextOr::Text(texts.concat()));
        self.out.push(Message {
            role: Some("tool".to_owned()),
            tool_call_id: Some(self.id(id)),
            content: Some(content),
            ..Message::default()
        });
    }

    fn id(&self, id: &str) -> String {
        if self.rules.openai { fit_id(id) } else { id.to_owned() }
    }

    /// Marks the end of what is to be cached, as far as the provider takes such marks.
    fn mark(&mut self, pieces: &mut [Piece], life: CacheLife) {
        let part = match pieces.last_mut() {
            Some(Piece::Part(part)) if self.rules.any() || self.rules.marks => part,
            _ => return self.dropped.note("cache_control"),
        };
        if self.rules.any() {
            part.cache_control = Some(cache_control(life));
        } else if part.image_url.is_some() {
            self.dropped.note("cache_control");
        } else if self.surplus > 0 {
            self.surplus -= 1;
            self.dropped.note(format!("cache_control: more than {MOST_MARKS} -> {MOST_MARKS}"));
        } else {
            if life == CacheLife::Long {
                self.dropped.note("cache_control: long -> 30m");
            }
            part.prompt_cache_breakpoint =
                Some(CacheControl { mode: Some("explicit".to_owned()), ..CacheControl::default() });
        }
    }

    /// Notes a block that has no place in this dialect.
    fn note(&mut self, block: &Block) {
        match block {
            Block::Citation(_) => self.dropped.note("annotations"),
            Block::CachePoint(_) => self.dropped.note("cache_control"),
            Block::Thinking { .. } => self.dropped.note("thinking"),
            Block::Native(native) => self.dropped.note(&native.field),
            Block::Media(media) => self.dropped.note(media.kind.name()),
            Block::Text(_)
            | Block::Refusal(_)
            | Block::ToolUse { .. }
            | Block::ToolResult { .. } => {}
        }
    }

    fn plain(
        &mut self,
        role: &str,
        name: Option<String>,
        blocks: &[Block],
    ) -> Result<(), Unsupported> {
        let mut pieces = Vec::new();
        for block in blocks {
            match block {
                Block::Text(text) | Block::Refusal(text) => pieces.push(text_part(text)),
                Block::Media(media) => {
                    pieces.push(Piece::Part(Box::new(media_part(media, self.rules)?)));
                }
                Block::Native(native) if native.dialect == NAME => {
                    pieces.push(Piece::Raw(native.raw.clone()));
                }
                Block::CachePoint(life) => self.mark(&mut pieces, *life),
                other => self.note(other),
            }
        }
        // A lone text is sent as a string, which every server takes; DeepSeek takes several only as one string.
        let texts: Option<Vec<&str>> = pieces.iter().map(Piece::bare_text).collect();
        let content = match texts {
            Some(texts) if texts.len() <= 1 || self.rules.deepseek => {
                TextOr::Text(texts.join("\n\n"))
            }
            _ => content(&pieces),
        };
        let (role, content) = (Some(role.to_owned()), Some(content));
        self.out.push(Message { role, content, name, ..Message::default() });
        Ok(())
    }

    fn assistant(&mut self, turn: &Turn) {
        let mut message = said(&turn.blocks);
        message.role = Some("assistant".to_owned());
        message.name.clone_from(&turn.name);
        self.in_parts(&turn.blocks, &mut message);
        if !self.rules.deepseek {
            custom::restore(message.tool_calls.as_deref_mut().unwrap_or_default(), self.custom);
        }
        for call in message.tool_calls.iter_mut().flatten() {
            if let Some(name) = call.function.as_mut().and_then(|function| function.name.as_mut()) {
                *name = self.names.fit(name);
            }
            call.id = call.id.take().map(|id| self.id(&id));
            if !(self.rules.gemini || self.rules.any()) {
                // The state of one provider is no other's business.
                if call.extra_content.take().is_some() {
                    self.dropped.note("thoughtSignature");
                }
            }
        }
        if self.rules.deepseek
            && let Some(refusal) = message.refusal.take()
        {
            self.dropped.note(REFUSAL_AS_TEXT);
            match message.content.as_mut() {
                Some(TextOr::Text(text)) => text.push_str(&refusal),
                _ => message.content = Some(TextOr::Text(refusal)),
            }
        }
        if let Some(audio) = message.audio.take().filter(|audio| audio.id.is_some()) {
            message.audio = Some(Audio { id: audio.id, ..Audio::default() });
        }
        self.thoughts(&turn.blocks, &mut message);
        if self.rules.any() {
            let citations = citations::write(&turn.blocks);
            message.annotations = (!citations.is_empty()).then_some(citations);
        } else {
            message.images = None;
        }
        if message.content.is_none() && message.tool_calls.is_none() && message.refusal.is_none() {
            message.content = Some(TextOr::Text(String::new()));
        }
        for block in &turn.blocks {
            match block {
                Block::Native(native) if native.dialect == NAME && self.keeps(&native.field) => {}
                Block::Media(Media { source: Source::File { dialect, .. }, .. })
                    if *dialect == NAME => {}
                Block::Media(Media { kind: MediaKind::Image, .. }) | Block::Citation(_)
                    if self.rules.any() => {}
                // Told by then.
                Block::Thinking { .. } | Block::CachePoint(_) => {}
                // Any server is given it beside its thoughts.
                Block::ToolUse { name, seal, .. } if !self.rules.any() => {
                    self.dropped.call_members(name, seal.as_ref());
                }
                other => self.note(other),
            }
        }
        self.out.push(message);
    }

    fn keeps(&self, field: &str) -> bool {
        field == "tool_calls" && !self.rules.deepseek || field == "annotations" && self.rules.any()
    }

    /// Writes the text of an answer in parts where there are several, or where one of them is marked.
    fn in_parts(&mut self, blocks: &[Block], message: &mut Message) {
        let mut pieces = Vec::new();
        for block in blocks {
            match block {
                Block::Text(text) => pieces.push(text_part(text)),
                Block::CachePoint(life) => self.mark(&mut pieces, *life),
                _ => {}
            }
        }
        let several = pieces.len() > 1 && !self.rules.deepseek;
        if several || pieces.iter().any(|piece| piece.bare_text().is_none()) {
            message.content = Some(content(&pieces));
        }
    }

    /// Gives the provider the thoughts back that it takes. Those of another provider are none of its own, and are never
    /// told as if they were.
    fn thoughts(&mut self, blocks: &[Block], message: &mut Message) {
        let mut own: Option<String> = None;
        for block in blocks {
            let Block::Thinking { text, seal } = block else { continue };
            let foreign = |seal: &Seal| seal.dialect != NAME && !openai_responses::is_bare(seal);
            let foreign = seal.as_ref().is_some_and(foreign);
            let gemini = seal.as_ref().filter(|seal| seal.dialect == crate::gemini::NAME);
            match gemini {
                Some(seal) if self.rules.gemini && text.is_empty() => {
                    message.extra_content = Some(extra(seal));
                }
                _ if self.rules.any() || (self.rules.deepseek && !foreign) => {
                    own.get_or_insert_default().push_str(text);
                }
                _ if foreign || !text.is_empty() => self.dropped.note("thinking"),
                _ => {}
            }
        }
        if self.rules.any() {
            let theirs = |block: &&Block| !matches!(block, Block::Native(_));
            let blocks: Vec<Block> = blocks.iter().filter(theirs).cloned().collect();
            let details = details::write(&blocks);
            message.reasoning_details = (!details.is_empty()).then_some(details);
            message.reasoning.clone_from(&own);
        }
        message.reasoning_content = own;
        if self.rules.deepseek && message.tool_calls.is_some() {
            // DeepSeek refuses a call without the thoughts that led to it; where they are lost, a space will do.
            message.reasoning_content.get_or_insert_with(|| " ".to_owned());
            message.content.get_or_insert_with(|| TextOr::Text(String::new()));
        }
    }
}

pub(super) fn cache_control(life: CacheLife) -> CacheControl {
    CacheControl {
        kind: Some("ephemeral".to_owned()),
        ttl: (life == CacheLife::Long).then(|| "1h".to_owned()),
        mode: None,
    }
}

fn text_part(text: &str) -> Piece {
    Piece::Part(Box::new(Part {
        kind: Some("text".to_owned()),
        text: Some(text.to_owned()),
        ..Part::default()
    }))
}

/// The message of an answer to a client, thoughts under both names that clients look for and with the state of their
/// provider.
pub(super) fn answer(blocks: &[Block], id: &str) -> Message {
    let mut message = said(blocks);
    let thoughts: String = blocks
        .iter()
        .filter_map(|block| match block {
            Block::Thinking { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    message.reasoning_content = (!thoughts.is_empty()).then_some(thoughts);
    message.reasoning.clone_from(&message.reasoning_content);
    let (details, citations) = (details::tell(blocks), citations::write(blocks));
    message.reasoning_details = (!details.is_empty()).then_some(details);
    message.annotations = (!citations.is_empty()).then_some(citations);
    if let Some(audio) = message.audio.as_mut() {
        // Clients want both; there is nothing to refer to, and so nothing that expires.
        audio.id.get_or_insert_with(|| format!("audio_{id}"));
        audio.expires_at = Some(0);
        audio.transcript.get_or_insert_default();
    }
    message
}

/// What of an answer has the same place in a history and in a fresh one.
fn said(blocks: &[Block]) -> Message {
    let mut message = Message::default();
    let (mut text, mut refusal) = (String::new(), String::new());
    let (mut calls, mut images) = (Vec::new(), Vec::new());
    for block in blocks {
        match block {
            Block::Text(part) => text.push_str(part),
            Block::Refusal(part) => refusal.push_str(part),
            Block::ToolUse { id, name, input, seal } => {
                calls.push(call(id, name, input, seal.as_ref()));
            }
            Block::Native(native) if native.dialect == NAME && native.field == "tool_calls" => {
                calls.extend(serde_json::from_str::<ToolCall>(native.raw.get()).ok());
            }
            Block::Media(media) if media.kind == MediaKind::Image => {
                images.extend(picture(media, None));
            }
            Block::Media(Media { kind: MediaKind::Audio, source, transcript, .. }) => {
                message.audio = Some(audio(source, transcript.as_ref()));
            }
            _ => {}
        }
    }
    let some = |text: String| (!text.is_empty()).then_some(text);
    message.content = some(text).map(TextOr::Text);
    message.refusal = some(refusal);
    message.tool_calls = (!calls.is_empty()).then_some(calls);
    message.images = (!images.is_empty()).then_some(images);
    message
}

fn call(id: &str, name: &str, input: &Json, seal: Option<&Seal>) -> ToolCall {
    let signature = seal.filter(|seal| seal.dialect == crate::gemini::NAME);
    ToolCall {
        id: Some(id.to_owned()),
        kind: Some("function".to_owned()),
        function: Some(Called {
            name: Some(name.to_owned()),
            arguments: Some(Json::of(&input.to_arguments())),
        }),
        custom: None,
        extra_content: signature.map(extra),
        index: None,
    }
}

pub(super) fn extra(signature: &Seal) -> Extra {
    Extra { google: Some(Google { thought_signature: Some(signature.value.clone()) }) }
}
