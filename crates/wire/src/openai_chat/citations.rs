//! Sources of a text, both ways: `annotations` of the kind `url_citation`, whose places are characters of the message.

use super::NAME;
use super::types::{Annotation, UrlCitation};
use crate::chat::{Block, Citation, Native};
use crate::json::Json;

/// An annotation that is a source on the web; nothing for any other.
pub(super) fn one(raw: &Json) -> Option<Citation> {
    let annotation: Annotation = serde_json::from_str(raw.get()).ok()?;
    // Some servers leave out the inner object, as Responses does.
    let inner = annotation.url_citation;
    let cited = match inner {
        Some(cited) => cited,
        None if annotation.kind.as_deref() == Some("url_citation") => {
            serde_json::from_str::<UrlCitation>(raw.get()).ok()?
        }
        None => return None,
    };
    Some(Citation {
        url: cited.url?,
        title: cited.title,
        cited_text: cited.content,
        span: cited.start_index.zip(cited.end_index),
        native: None,
    })
}

/// Puts the sources of a message behind the text blocks that they rest on.
pub(super) fn place(blocks: Vec<Block>, annotations: &[Json]) -> Vec<Block> {
    if annotations.is_empty() {
        return blocks;
    }
    let mut others = Vec::new();
    let mut cited = Vec::new();
    for raw in annotations {
        match one(raw) {
            Some(citation) => cited.push(citation),
            None => others.push(Block::Native(Native {
                dialect: NAME,
                field: "annotations".to_owned(),
                raw: raw.clone(),
            })),
        }
    }
    let texts = blocks.iter().filter(|block| matches!(block, Block::Text(_))).count();
    let mut placed = Vec::new();
    let (mut base, mut seen) = (0_u64, 0);
    for block in blocks {
        let length = match &block {
            Block::Text(text) => text.chars().count() as u64,
            _ => 0,
        };
        let is_text = matches!(block, Block::Text(_));
        placed.push(block);
        if !is_text {
            continue;
        }
        seen += 1;
        let end = base + length;
        let here = |citation: &Citation| {
            seen == texts || citation.span.is_some_and(|(start, _)| start < end)
        };
        let (now, later): (Vec<_>, Vec<_>) = cited.into_iter().partition(here);
        placed.extend(now.into_iter().map(|citation| Block::Citation(relative(citation, base))));
        (cited, base) = (later, end);
    }
    // Without any text they have nothing to rest on, and still are the answer's.
    placed.extend(cited.into_iter().map(Block::Citation));
    placed.extend(others);
    placed
}

/// The source with its place told from the start of its text block.
pub(super) fn relative(citation: Citation, base: u64) -> Citation {
    let span = citation
        .span
        .and_then(|(start, end)| Some((start.checked_sub(base)?, end.checked_sub(base)?)));
    Citation { span, ..citation }
}

/// The annotation of a source whose text block begins `base` characters into the message and is `length` long. Clients
/// want a place and a title: the whole block and the address stand in for them.
pub(super) fn annotation(citation: &Citation, base: u64, length: u64, index: Option<u64>) -> Json {
    let (start, end) = citation.span.unwrap_or((0, length));
    Json::of(&Annotation {
        kind: Some("url_citation".to_owned()),
        url_citation: Some(UrlCitation {
            url: Some(citation.url.clone()),
            title: Some(citation.title.clone().unwrap_or_else(|| citation.url.clone())),
            content: citation.cited_text.clone(),
            start_index: Some(base.saturating_add(start)),
            end_index: Some(base.saturating_add(end)),
        }),
        index,
    })
}

/// The annotations of a whole answer.
pub(super) fn write(blocks: &[Block]) -> Vec<Json> {
    let (mut base, mut length) = (0_u64, 0_u64);
    let mut annotations = Vec::new();
    for block in blocks {
        match block {
            Block::Text(text) => {
                base += length;
                length = text.chars().count() as u64;
            }
            Block::Citation(citation) => {
                annotations.push(annotation(citation, base, length, None));
            }
            Block::Native(native) if native.dialect == NAME && native.field == "annotations" => {
                annotations.push(native.raw.clone());
            }
            _ => {}
        }
    }
    annotations
}
