//! Parts to canonical blocks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::types::{Blob, Content, FileData, FunctionCall, FunctionResponse, Part, Resolution};
use super::{NAME, names, signature};
use crate::chat::{Block, Media, MediaKind, Native, Seal, Source};
use crate::inline::standard_base64;
use crate::json::{self, Json, Malformed};
use crate::openai_responses::mark_of_state;
use crate::unknown;

/// Calls without an id get one here, and results without an id the one of the first open call of their function.
#[derive(Default)]
pub(super) struct Calls {
    /// The calls of each function, as long as they have no result.
    open: BTreeMap<String, VecDeque<String>>,
    answered: BTreeSet<String>,
    ids: BTreeSet<String>,
    /// Those of the calls since the last results, in their order.
    latest: Vec<String>,
    made: usize,
    /// Every place before this one is taken.
    free: usize,
}

impl Calls {
    fn call(&mut self, id: Option<String>, name: &str) -> String {
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| self.free(name));
        self.ids.insert(id.clone());
        self.made += 1;
        self.open.entry(name.to_owned()).or_default().push_back(id.clone());
        id
    }

    /// An id that no call before has; the client may have ids that look like ours.
    fn free(&mut self, name: &str) -> String {
        self.free = self.free.max(self.made);
        loop {
            let id = names::made_up_in_history(self.free, name);
            self.free += 1;
            if !self.ids.contains(&id) {
                return id;
            }
        }
    }

    fn answer(&mut self, id: Option<String>, name: &str) -> String {
        if let Some(id) = id {
            self.answered.insert(id.clone());
            return id;
        }
        let open = self.open.get_mut(name);
        let mut open = open.into_iter().flat_map(|calls| std::iter::from_fn(|| calls.pop_front()));
        let found = open.find(|id| !self.answered.contains(id));
        found.unwrap_or_else(|| nobodys(name))
    }

    /// Pairs the results of a content whose names no call has by order, as Google does: some clients write the names of their
    /// tools in two ways.
    fn pair(&mut self, blocks: &mut [Block]) {
        let ids = blocks.iter().filter_map(|block| match block {
            Block::ToolUse { id, .. } => Some(id.clone()),
            _ => None,
        });
        self.latest.extend(ids);
        let results = blocks.iter_mut().filter_map(|block| match block {
            Block::ToolResult { id, name, .. } => Some((id, name)),
            _ => None,
        });
        let results: Vec<_> = results.collect();
        if results.is_empty() {
            return;
        }
        let latest = std::mem::take(&mut self.latest);
        if results.len() != latest.len() {
            return;
        }
        let known: BTreeSet<String> = results.iter().map(|(id, _)| (*id).clone()).collect();
        let mut open = latest.into_iter().filter(|id| !known.contains(id));
        for (id, name) in results {
            let lost =
                *id == nobodys(name.as_deref().unwrap_or_default()) && !self.ids.contains(id);
            if lost && let Some(call) = open.next() {
                self.answered.insert(call.clone());
                *id = call;
            }
        }
    }
}

/// The id of a result that no call is known of.
fn nobodys(name: &str) -> String {
    format!("call_{name}")
}

/// Adds the blocks of a content; `lost` gets the members of its parts that no block has a place for.
pub(super) fn parts(
    content: Option<Content>,
    path: &str,
    calls: &mut Calls,
    lost: &mut Vec<Native>,
    blocks: &mut Vec<Block>,
) -> Result<(), Malformed> {
    let before = blocks.len();
    for (i, raw) in content.and_then(|content| content.parts).iter().flatten().enumerate() {
        let path = format!("{path}.parts[{i}]");
        let known = lost.len();
        let part: Part = unknown::read(raw.get(), &path, "", "parts", lost)?;
        noted((part, known), raw, &path, calls, lost, blocks)?;
    }
    calls.pair(blocks.get_mut(before..).unwrap_or_default());
    Ok(())
}

/// Adds the blocks of a part, of which `lost` has the members beyond the first `known`.
fn noted(
    (part, known): (Part, usize),
    raw: &Json,
    path: &str,
    calls: &mut Calls,
    lost: &mut Vec<Native>,
    blocks: &mut Vec<Block>,
) -> Result<(), Malformed> {
    let before = blocks.len();
    part_to_blocks(part, raw, path, calls, lost, blocks)?;
    if matches!(blocks.get(before..), Some([Block::Native(_)])) {
        // What only Google knows is kept as it was written.
        lost.truncate(known);
    }
    Ok(())
}

fn part_to_blocks(
    part: Part,
    raw: &Json,
    path: &str,
    calls: &mut Calls,
    lost: &mut Vec<Native>,
    blocks: &mut Vec<Block>,
) -> Result<(), Malformed> {
    let (mut seal, ahead) = part.thought_signature.as_deref().map(signature::read).unzip();
    let thought = part.thought == Some(true);
    match part {
        Part { function_call: Some(call), .. } => {
            let FunctionCall { id, name, args } = call;
            let name = name.unwrap_or_default();
            let id = calls.call(id, &name);
            let input = args.unwrap_or_else(Json::empty_object);
            if ahead == Some(true) {
                restored(seal.take(), blocks);
            }
            blocks.push(Block::ToolUse { id, name, input, seal });
        }
        Part { function_response: Some(response), .. } => {
            blocks.push(result(response, path, calls, lost)?);
        }
        Part { inline_data: Some(_), .. } | Part { file_data: Some(_), .. } if thought => {
            blocks.extend(native(raw));
        }
        Part { inline_data: Some(blob), media_resolution, .. } => {
            sealed(seal, blocks);
            let blob = plain(blob, path)?;
            blocks.push(Block::Media(detailed(blob.into_media(), media_resolution, lost)));
        }
        Part { file_data: Some(file), media_resolution, .. } => {
            sealed(seal, blocks);
            blocks.push(Block::Media(detailed(file.into_media(), media_resolution, lost)));
        }
        Part { text: Some(text), .. } if thought => thinking(text, seal, blocks),
        Part { text: Some(text), .. } => {
            let signed = seal.is_some();
            sealed(seal, blocks);
            if !text.is_empty() || !signed {
                blocks.push(Block::Text(text));
            }
        }
        _ => match native(raw) {
            Some(block) => blocks.push(block),
            None => sealed(seal, blocks),
        },
    }
    Ok(())
}

/// Google's libraries write bytes in the alphabet that is safe in URLs, which no other provider takes.
fn plain(blob: Blob, path: &str) -> Result<Blob, Malformed> {
    let bad = || Malformed::new(format!("{path}.inlineData.data"), "must be base64");
    let data = blob.data.map(|data| standard_base64(data).ok_or_else(bad)).transpose()?;
    Ok(Blob { data, ..blob })
}

/// Thoughts come in pieces, the last of which may carry the state of the provider that thought them.
fn thinking(more: String, seal: Option<Seal>, blocks: &mut Vec<Block>) {
    if let Some(mark) = seal.as_ref().and_then(mark_of_state) {
        return blocks.push(mark);
    }
    match blocks.last_mut() {
        Some(Block::Thinking { text, seal: open @ None }) => {
            text.push_str(&more);
            *open = seal;
        }
        _ => blocks.push(Block::Thinking { text: more, seal }),
    }
}

/// State of another provider's thoughts, which a call has brought back. Where the client has left the thoughts out, they stood
/// ahead of the text that the call is behind.
fn restored(state: Option<Seal>, blocks: &mut Vec<Block>) {
    if let Some(Block::Thinking { seal: open @ None, .. }) = blocks.last_mut() {
        *open = state;
        return;
    }
    let is_known = |block: &Block| matches!(block, Block::Thinking { seal, .. } if *seal == state);
    if blocks.iter().any(is_known) {
        return;
    }
    let is_text = |block: &Block| matches!(block, Block::Text(_));
    let at = blocks.iter().rposition(|block| !is_text(block)).map_or(0, |at| at + 1);
    blocks.insert(at, Block::Thinking { text: String::new(), seal: state });
}

/// A signature that is not of a call goes to the thinking ahead of it.
fn sealed(seal: Option<Seal>, blocks: &mut Vec<Block>) {
    if seal.is_some() {
        thinking(String::new(), seal, blocks);
    }
}

/// A part of a kind that only Google knows.
fn native(raw: &Json) -> Option<Block> {
    let field = payload(raw)?;
    Some(Block::Native(Native { dialect: NAME, field, raw: raw.clone() }))
}

/// The name of what a part holds, beside which it may have modifiers.
pub(super) fn payload(raw: &Json) -> Option<String> {
    const MODIFIERS: [&str; 3] = ["thought", "thoughtSignature", "thought_signature"];
    let fields = json::fields(raw.get()).into_iter().map(|(name, _)| name);
    fields.into_iter().find(|name| !MODIFIERS.contains(&name.as_str()))
}

impl Blob {
    pub(super) fn into_media(self) -> Media {
        let kind = self.mime_type.as_deref().map_or(MediaKind::Document, MediaKind::of_mime);
        Media::new(kind, Source::Base64(self.data.unwrap_or_default()), self.mime_type)
    }
}

impl FileData {
    pub(super) fn into_media(self) -> Media {
        let uri = self.file_uri.unwrap_or_default();
        let kind = match self.mime_type.as_deref() {
            Some(mime) => MediaKind::of_mime(mime),
            None if is_film(&uri) => MediaKind::Video,
            None => MediaKind::Document,
        };
        Media::new(kind, at(uri), self.mime_type)
    }
}

/// Google plays these from their page.
fn is_film(uri: &str) -> bool {
    const HOSTS: [&str; 3] = ["youtube.com", "www.youtube.com", "youtu.be"];
    let host = uri.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    host.is_some_and(|host| HOSTS.contains(&host))
}

/// Google's own file URIs mean nothing elsewhere; other `https` URIs do.
fn at(uri: String) -> Source {
    let own = uri.contains("generativelanguage.googleapis.com") || !uri.starts_with("http");
    if own { Source::File { dialect: NAME, id: uri } } else { Source::Url(uri) }
}

/// `mediaResolution` in the words of `detail`.
pub(super) const RESOLUTIONS: [(&str, &str); 3] = [
    ("MEDIA_RESOLUTION_LOW", "low"),
    ("MEDIA_RESOLUTION_HIGH", "high"),
    ("MEDIA_RESOLUTION_ULTRA_HIGH", "original"),
];

fn detailed(media: Media, resolution: Option<Resolution>, lost: &mut Vec<Native>) -> Media {
    let level = resolution.and_then(|resolution| resolution.level);
    let known = RESOLUTIONS.iter().find(|(theirs, _)| level.as_deref() == Some(*theirs));
    if let (None, Some(level)) = (known, level.filter(|level| !level.ends_with("_UNSPECIFIED"))) {
        let field = "parts.mediaResolution".to_owned();
        lost.push(Native { dialect: "", field, raw: Json::of(&level) });
    }
    Media { detail: known.map(|(_, ours)| (*ours).to_owned()), ..media }
}

fn result(
    response: FunctionResponse,
    path: &str,
    calls: &mut Calls,
    lost: &mut Vec<Native>,
) -> Result<Block, Malformed> {
    let name = response.name.unwrap_or_default();
    let id = calls.answer(response.id.filter(|id| !id.is_empty()), &name);
    let whole = response.response.unwrap_or_else(Json::empty_object);
    let fields = json::fields(whole.get());
    // Google's convention: `output` or `error`, else the whole object is the output.
    let text = |raw: &Json| raw.as_string().unwrap_or_else(|| raw.get().to_owned());
    let (said, failed) = match fields.as_slice() {
        [(key, raw)] if key == "output" => (text(raw), false),
        [(key, raw)] if key == "error" => (text(raw), true),
        _ => (whole.get().to_owned(), false),
    };
    let mut blocks = vec![Block::Text(said)];
    for (i, raw) in response.parts.iter().flatten().enumerate() {
        let path = format!("{path}.functionResponse.parts[{i}]");
        let place = "parts.functionResponse.parts";
        let known = lost.len();
        let part: Part = unknown::read(raw.get(), &path, "", place, lost)?;
        noted((part, known), raw, &path, calls, lost, &mut blocks)?;
    }
    Ok(Block::ToolResult { id, name: Some(name), blocks, failed })
}
