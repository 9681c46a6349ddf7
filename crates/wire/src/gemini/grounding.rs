//! What an answer rests on, both ways. <https://ai.google.dev/gemini-api/docs/google-search#understanding_the_response>
//!
//! Google sends its sources apart from the text, with offsets into the bytes of all visible text; the canonical form has
//! each source behind its text block, with offsets in characters of that block.

use std::collections::BTreeSet;
use std::ops::Range;

use super::types::{Chunk, Grounding, Page, Segment, Support};
use crate::chat::{Citation, Native};
use crate::json::Json;
use crate::searches::{self, Asked, Found, Step};

/// More than any answer has; each costs a look at the text.
const MOST: usize = 1_000;
/// How far from its offsets a piece of text is looked for, in bytes.
const NEAR: usize = 256;

/// The name of a block that tells of searches. It is no part of an answer, so that it belongs to no dialect.
const SEARCHED: &str = "groundingMetadata.webSearchQueries";

/// What such a block says.
pub(crate) fn search(native: &Native) -> Option<Step> {
    if native.field != SEARCHED {
        return None;
    }
    let grounding: Grounding = serde_json::from_str(native.raw.get()).ok()?;
    let page = |chunk: Chunk| {
        let Page { uri, title, .. } = chunk.web?;
        Some(searches::Page { url: uri?, title })
    };
    let pages = grounding.grounding_chunks.into_iter().flatten().filter_map(page).collect();
    Some(Step {
        id: String::new(),
        asked: Some(Asked::Words(grounding.web_search_queries.unwrap_or_default())),
        found: Some(Found { pages, failed: false }),
    })
}

/// Sources of an answer that is being read.
#[derive(Default)]
pub(super) struct Sources {
    /// All visible text so far.
    text: String,
    /// Where the open text block begins.
    begun: usize,
    pages: Vec<Option<Citation>>,
    /// What there is to tell, and whether it was told.
    claims: Vec<(Claim, bool)>,
    known: BTreeSet<(usize, usize, String)>,
    ended: bool,
    /// What was looked for, and how much of it was told.
    queries: Vec<String>,
    asked: usize,
    found: Vec<Citation>,
}

/// That a piece of text rests on a source.
struct Claim {
    start: usize,
    end: usize,
    words: String,
    citation: Citation,
}

impl Sources {
    /// More visible text.
    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A `groundingMetadata`. It may come before the end of the text, and again.
    pub(super) fn take(&mut self, raw: &str) {
        let Ok(found) = serde_json::from_str::<Grounding>(raw) else { return };
        let chunks = found.grounding_chunks.unwrap_or_default();
        if !chunks.is_empty() {
            self.pages = chunks.into_iter().map(page).collect();
        }
        for support in found.grounding_supports.unwrap_or_default() {
            let segment = support.segment.unwrap_or_default();
            let at = |index: Option<u64>| usize::try_from(index.unwrap_or(0)).unwrap_or(usize::MAX);
            for index in support.grounding_chunk_indices.unwrap_or_default() {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                let Some(Some(citation)) = self.pages.get(index) else { continue };
                let (start, end) = (at(segment.start_index), at(segment.end_index));
                let new = self.claims.len() < MOST
                    && self.known.insert((start, end, citation.url.clone()));
                if new {
                    let words = segment.text.clone().unwrap_or_default();
                    let claim = Claim { start, end, words, citation: citation.clone() };
                    self.claims.push((claim, false));
                }
            }
        }
    }

    /// The searches of a `groundingMetadata`.
    pub(super) fn ask(&mut self, raw: &str) {
        let Ok(found) = serde_json::from_str::<Grounding>(raw) else { return };
        for query in found.web_search_queries.unwrap_or_default() {
            let new = self.queries.len() < MOST && !self.queries.contains(&query);
            if new && !query.is_empty() {
                self.queries.push(query);
            }
        }
        if self.queries.len() > self.asked {
            let chunks = found.grounding_chunks.unwrap_or_default();
            self.found = chunks.into_iter().filter_map(page).collect();
        }
    }

    /// The searches that have not been told, as a block of their own, with the pages that were found.
    pub(super) fn searched(&mut self) -> Option<Native> {
        let new: Vec<String> = self.queries.get(self.asked..)?.to_vec();
        if new.is_empty() {
            return None;
        }
        self.asked = self.queries.len();
        let page = |page: &Citation| Chunk {
            web: Some(Page { uri: Some(page.url.clone()), title: page.title.clone(), text: None }),
            ..Chunk::default()
        };
        let chunks: Vec<Chunk> = self.found.iter().map(page).collect();
        Some(Native {
            dialect: "",
            field: SEARCHED.to_owned(),
            raw: Json::of(&Grounding {
                web_search_queries: Some(new),
                grounding_chunks: (!chunks.is_empty()).then_some(chunks),
                grounding_supports: None,
            }),
        })
    }

    /// Whether there are sources that have not been told.
    pub(super) fn have_rest(&self) -> bool {
        self.claims.iter().any(|(_, told)| !told) || !self.bare().is_empty()
    }

    /// No more text comes: what has not been told is told with the block that closes next.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The sources of the text block that closes here.
    pub(super) fn close(&mut self) -> Vec<Citation> {
        let begun = std::mem::replace(&mut self.begun, self.text.len());
        let mut cites = Vec::new();
        for (claim, told) in self.claims.iter_mut().filter(|(_, told)| !told) {
            let elsewhere = claim.end.saturating_add(NEAR) < begun
                || claim.start > self.text.len().saturating_add(NEAR);
            if elsewhere && !self.ended {
                continue;
            }
            let at = claim.find(&self.text);
            let inside = at.end > begun && !at.is_empty();
            if inside || self.ended {
                *told = true;
                let span = inside.then(|| characters(&self.text, begun, &at));
                cites.push(Citation { span, ..claim.citation.clone() });
            }
        }
        if self.ended {
            let whole = begun..self.text.len();
            let span = (!whole.is_empty()).then(|| characters(&self.text, begun, &whole));
            cites.extend(self.bare().into_iter().map(|citation| Citation { span, ..citation }));
            self.pages.clear();
        }
        cites
    }

    /// Sources that no piece of the text is said to rest on, where that goes for all of them.
    fn bare(&self) -> Vec<Citation> {
        if self.claims.is_empty() {
            self.pages.iter().flatten().take(MOST).cloned().collect()
        } else {
            Vec::new()
        }
    }
}

impl Claim {
    /// Where the piece stands. Offsets are sometimes off by a few bytes: then its words say where.
    fn find(&self, text: &str) -> Range<usize> {
        let end = text.floor_char_boundary(self.end);
        let at = text.floor_char_boundary(self.start).min(end)..end;
        if self.words.is_empty() || text.get(at.clone()) == Some(self.words.as_str()) {
            return at;
        }
        let from = text.floor_char_boundary(self.start.saturating_sub(NEAR));
        let near = from..text.floor_char_boundary(self.end.saturating_add(NEAR)).max(from);
        let found = text.get(near).and_then(|near| near.find(&self.words));
        found.map_or(at, |offset| from + offset..from + offset + self.words.len())
    }
}

fn characters(text: &str, begun: usize, at: &Range<usize>) -> (u64, u64) {
    let count = |range: Range<usize>| text.get(range).unwrap_or_default().chars().count() as u64;
    let start = at.start.max(begun);
    let before = count(begun..start);
    (before, before + count(start..at.end))
}

/// A source, if it can be named outside of Google.
fn page(chunk: Chunk) -> Option<Citation> {
    let Page { uri, title, text } = chunk.web.or(chunk.retrieved_context).or(chunk.maps)?;
    Some(Citation { url: uri?, title, cited_text: text, span: None, native: None })
}

/// Sources of an answer that is being written.
#[derive(Default)]
pub(super) struct Cited {
    queries: Vec<String>,
    chunks: Vec<Chunk>,
    supports: Vec<Support>,
}

impl Cited {
    /// Adds what another provider looked for.
    pub(super) fn searched(&mut self, native: &Native) {
        let step = searches::step(native);
        let Some(Step { asked: Some(Asked::Words(words)), .. }) = step else { return };
        for query in words {
            if self.queries.len() < MOST && !self.queries.contains(&query) {
                self.queries.push(query);
            }
        }
    }

    /// Adds a source of the text `block`, which begins at byte `begun` of all visible text.
    pub(super) fn add(&mut self, citation: Citation, begun: usize, block: &str) {
        if self.supports.len() + self.chunks.len() >= 2 * MOST {
            return;
        }
        let Citation { url, title, span, cited_text: _, native: _ } = citation;
        let is_it = |chunk: &Chunk| {
            chunk.web.as_ref().is_some_and(|page| page.uri.as_deref() == Some(url.as_str()))
        };
        let index = self.chunks.iter().position(is_it).unwrap_or_else(|| {
            let web = Some(Page { uri: Some(url.clone()), title, text: None });
            self.chunks.push(Chunk { web, ..Chunk::default() });
            self.chunks.len() - 1
        }) as u64;
        // A source of no piece in particular is one of all of the text.
        let at = span.map(|span| bytes(block, span)).filter(|at| !at.is_empty());
        let at = at.unwrap_or(0..block.len());
        let words = block.get(at.clone()).unwrap_or_default();
        if words.is_empty() {
            return;
        }
        // Proto3: nothing is written as nothing.
        let some = |at: usize| Some((begun + at) as u64).filter(|n| *n > 0);
        let (start_index, end_index) = (some(at.start), some(at.end));
        let same = self.supports.iter_mut().find(|support| {
            let segment = support.segment.as_ref();
            segment.is_some_and(|s| s.start_index == start_index && s.end_index == end_index)
        });
        if let Some(indices) = same.and_then(|same| same.grounding_chunk_indices.as_mut()) {
            if !indices.contains(&index) {
                indices.push(index);
            }
            return;
        }
        let segment = Segment { start_index, end_index, text: Some(words.to_owned()) };
        self.supports
            .push(Support { segment: Some(segment), grounding_chunk_indices: Some(vec![index]) });
    }

    pub(super) fn metadata(&self) -> Option<Grounding> {
        if self.chunks.is_empty() && self.queries.is_empty() {
            return None;
        }
        Some(Grounding {
            grounding_chunks: (!self.chunks.is_empty()).then(|| self.chunks.clone()),
            grounding_supports: (!self.supports.is_empty()).then(|| self.supports.clone()),
            web_search_queries: (!self.queries.is_empty()).then(|| self.queries.clone()),
        })
    }
}

/// A span of characters in bytes.
fn bytes(text: &str, (from, to): (u64, u64)) -> Range<usize> {
    let at = |n: u64| {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        text.char_indices().nth(n).map_or(text.len(), |(at, _)| at)
    };
    let start = at(from);
    start..at(to).max(start)
}
