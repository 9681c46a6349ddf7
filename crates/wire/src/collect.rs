//! A stream as a whole answer, and a whole answer as a stream.

use crate::Problem;
use crate::chat::Block;
use crate::json::Json;
use crate::problem::Kind;
use crate::reply::Reply;
use crate::stream::{Event, Metered, Opening};

/// The answer that these events bring.
///
/// # Errors
/// The stream's own problem, or that it has no end.
pub fn collect(events: impl IntoIterator<Item = Event>) -> Result<Reply, Problem> {
    let mut reply = Reply::default();
    let mut open: Vec<(u32, Draft)> = Vec::new();
    for event in events {
        let draft = |index: u32, open: &mut Vec<(u32, Draft)>, add: &dyn Fn(&mut Draft)| {
            if let Some((_, draft)) = open.iter_mut().find(|(at, _)| *at == index) {
                add(draft);
            }
        };
        match event {
            Event::Start { id, model } => (reply.id, reply.model) = (id, model),
            Event::Open { index, block } => open.push((index, Draft::new(block))),
            Event::Text { index, text: part } | Event::Json { index, part } => {
                draft(index, &mut open, &|draft| draft.text.push_str(&part));
            }
            Event::Cite { index, citation } => {
                let block = Block::Citation(citation);
                draft(index, &mut open, &|draft| draft.behind.push(block.clone()));
            }
            Event::Seal { index, seal } => {
                draft(index, &mut open, &|draft| draft.seal = Some(seal.clone()));
            }
            Event::Close { .. } => {}
            Event::Usage(Metered { report, .. }) => reply.usage = Some(report),
            Event::Finish { finish, stop_sequence } => {
                (reply.finish, reply.stop_sequence) = (finish, stop_sequence);
            }
            Event::Problem(problem) => return Err(problem),
            Event::End => {
                open.sort_by_key(|(index, _)| *index);
                reply.blocks = open.into_iter().flat_map(|(_, draft)| draft.blocks()).collect();
                return Ok(reply);
            }
        }
    }
    Err(Problem::own(Kind::Upstream, "the stream has no end"))
}

/// A block in the making.
struct Draft {
    opening: Opening,
    text: String,
    seal: Option<crate::chat::Seal>,
    behind: Vec<Block>,
}

impl Draft {
    fn new(opening: Opening) -> Self {
        Self { opening, text: String::new(), seal: None, behind: Vec::new() }
    }

    fn blocks(self) -> Vec<Block> {
        let Self { opening, text, seal, behind } = self;
        let block = match opening {
            Opening::Text => Block::Text(text),
            Opening::Refusal => Block::Refusal(text),
            Opening::Thinking => Block::Thinking { text, seal },
            Opening::ToolUse { id, name } => {
                Block::ToolUse { id, name, input: Json::from_arguments(&text), seal }
            }
            Opening::Media(media) => Block::Media(media),
            Opening::Native(native) => Block::Native(native),
        };
        std::iter::once(block).chain(behind).collect()
    }
}

/// The events of a whole answer: for a client who asked for a stream and a provider that gave none.
pub fn events(reply: Reply) -> Vec<Event> {
    let mut events = vec![Event::Start { id: reply.id.clone(), model: reply.model.clone() }];
    let finish = reply.finish_for_client();
    let mut next = 0;
    let mut blocks = reply.blocks.into_iter().peekable();
    while let Some(block) = blocks.next() {
        let index = next;
        let Some((opening, body)) = opened(block, index) else { continue };
        next += 1;
        events.push(Event::Open { index, block: opening });
        events.extend(body);
        while let Some(Block::Citation(citation)) =
            blocks.next_if(|block| matches!(block, Block::Citation(_)))
        {
            events.push(Event::Cite { index, citation });
        }
        events.push(Event::Close { index });
    }
    events.extend(reply.usage.map(|report| Event::Usage(Metered::new(report))));
    events.push(Event::Finish { finish, stop_sequence: reply.stop_sequence });
    events.push(Event::End);
    events
}

/// How a block begins and what it holds; nothing for what is no block of an answer.
fn opened(block: Block, index: u32) -> Option<(Opening, Vec<Event>)> {
    let text = |text: String| {
        if text.is_empty() { Vec::new() } else { vec![Event::Text { index, text }] }
    };
    let sealed = |mut events: Vec<Event>, seal: Option<crate::chat::Seal>| {
        events.extend(seal.map(|seal| Event::Seal { index, seal }));
        events
    };
    Some(match block {
        Block::Text(part) => (Opening::Text, text(part)),
        Block::Refusal(part) => (Opening::Refusal, text(part)),
        Block::Thinking { text: part, seal } => (Opening::Thinking, sealed(text(part), seal)),
        Block::ToolUse { id, name, input, seal } => {
            let arguments = vec![Event::Json { index, part: input.get().to_owned() }];
            (Opening::ToolUse { id, name }, sealed(arguments, seal))
        }
        Block::Media(media) => (Opening::Media(media), Vec::new()),
        Block::Native(native) => (Opening::Native(native), Vec::new()),
        Block::ToolResult { .. } | Block::Citation(_) | Block::CachePoint(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Citation, Seal};
    use crate::reply::Finish;

    #[test]
    fn there_and_back() {
        let seal = Some(Seal { dialect: "anthropic", value: "c2ln".to_owned() });
        let reply = Reply {
            id: "a".to_owned(),
            model: "m".to_owned(),
            blocks: vec![
                Block::Thinking { text: "hm".to_owned(), seal },
                Block::Text("hello".to_owned()),
                Block::Citation(Citation {
                    url: "https://example.com".to_owned(),
                    ..Citation::default()
                }),
                Block::ToolUse {
                    id: "c".to_owned(),
                    name: "f".to_owned(),
                    input: Json::from_arguments("{\"a\":1}"),
                    seal: None,
                },
            ],
            finish: Finish::ToolUse,
            ..Reply::default()
        };
        assert_eq!(collect(events(reply.clone())), Ok(reply));
    }

    #[test]
    fn no_end_is_no_answer() {
        let mut cut = events(Reply::default());
        cut.pop();
        assert!(collect(cut).is_err());
    }
}
