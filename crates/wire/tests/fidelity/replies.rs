//! What a client gets of an answer that its own dialect has no word for, whole and as a stream.

use ledger::{Meter, ServiceTier, Usage, UsageReport};
use wire::chat::{Block, Citation, Media, MediaKind, Native, Seal, Source};
use wire::reply::Finish;
use wire::sse::{Framing, Splitter};
use wire::stream::End;
use wire::{DIALECTS, Dialect, Json, Reply, collect};

use crate::probes::{CHAT, CLAUDE, GEMINI, RESPONSES};
use crate::recorded::{shape, written};

/// A row: what it is called, an answer that has it, and what an answer says of it.
struct Feature {
    name: &'static str,
    reply: fn() -> Reply,
    fact: fn(&Reply) -> String,
}

/// What is lost, and why nothing better can be done. The client's dialects, then the feature.
const LOST: [(&[&str], &str, &str); 19] = [
    (&[RESPONSES], "id", "an id of the gateway's own"),
    (&[CLAUDE, GEMINI], "refusal", "text, and the reason of the end"),
    (&[CLAUDE], "seal of a call, from Gemini", "a block of its own behind the call"),
    (&[CLAUDE], "source: place in the text", "behind the text that rests on it"),
    (&[RESPONSES, GEMINI], "source: words taken from it", "no place for it"),
    (&[RESPONSES, CLAUDE], "picture made by the model", "no place for it"),
    (&[RESPONSES, CLAUDE], "sound made by the model", "its words, as text"),
    (&[RESPONSES], "work of Anthropic's own tools", "comes back with the next request"),
    (&[GEMINI], "work of Anthropic's own tools", "no place for it"),
    (&[CHAT], "search of the web: its words, from Gemini", "no place for it"),
    (&[CHAT, RESPONSES, GEMINI], "end: at a stop text", "an ordinary end"),
    (&[CHAT, RESPONSES, GEMINI], "the stop text that ended it", "no word for it"),
    (
        &[CHAT, RESPONSES, GEMINI],
        "end: a tool of the provider wants another round",
        "an ordinary end",
    ),
    (&[GEMINI], "usage: written to the cache", "counted as input"),
    (
        &[CHAT, RESPONSES],
        "usage: written to the cache for long",
        "counted as written for a short time",
    ),
    (&[GEMINI], "usage: written to the cache for long", "counted as input"),
    (&[CHAT, GEMINI], "usage: searches of the web", "not among the counters"),
    (&[RESPONSES, CLAUDE], "usage: sound heard", "counted as input"),
    (&[RESPONSES, CLAUDE], "usage: sound made", "counted as output"),
];

fn of(blocks: Vec<Block>) -> Reply {
    Reply { id: "answer-1".to_owned(), model: "model-1".to_owned(), blocks, ..Reply::default() }
}

fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

fn seal(dialect: &'static str) -> Seal {
    Seal { dialect, value: "c2ln".to_owned() }
}

fn call(seal: Option<Seal>) -> Block {
    Block::ToolUse {
        id: "call_1".to_owned(),
        name: "toll".to_owned(),
        input: Json::parse(r#"{"axles":3}"#).unwrap(),
        seal,
    }
}

fn used(meters: &[(Meter, u64)]) -> Reply {
    let usage = Some(UsageReport::single(Usage::of(meters)));
    Reply { usage, ..of(vec![text("Twelve euros.")]) }
}

fn ended(finish: Finish) -> Reply {
    Reply { finish, ..of(vec![text("Twelve euros.")]) }
}

fn blocks(reply: &Reply, pick: fn(&Block) -> Option<String>) -> String {
    reply.blocks.iter().filter_map(pick).collect::<Vec<_>>().join(" | ")
}

fn meter(reply: &Reply, meter: Meter) -> String {
    reply.usage.as_ref().map(|usage| usage.total().get(meter).to_string()).unwrap_or_default()
}

fn thoughts(reply: &Reply) -> String {
    blocks(reply, |block| match block {
        Block::Thinking { text, .. } => Some(text.clone()),
        _ => None,
    })
}

fn seals(reply: &Reply) -> String {
    blocks(reply, |block| match block {
        Block::Thinking { seal: Some(seal), .. } | Block::ToolUse { seal: Some(seal), .. } => {
            // An id may have been added to it.
            Some(format!("{} {}", seal.dialect, seal.value.contains("c2ln")))
        }
        _ => None,
    })
}

fn thinking(dialect: &'static str) -> Reply {
    let thoughts = Block::Thinking { text: "Hm.".to_owned(), seal: Some(seal(dialect)) };
    of(vec![thoughts, text("Twelve euros.")])
}

const CLAUDE_SEARCH: &str = r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"night tolls"}}"#;
const OPENAI_SEARCH: &str = r#"{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"night tolls"}}"#;
const GOOGLE_SEARCH: &str = r#"{"webSearchQueries":["night tolls"]}"#;

fn searched(dialect: &'static str, field: &str, raw: &str) -> Vec<Block> {
    let raw = Json::parse(raw).unwrap();
    let native = Native { dialect, field: field.to_owned(), raw };
    vec![Block::Native(native), text("Twelve euros.")]
}

fn looked_for(reply: &Reply) -> String {
    let said = |block: &Block| match block {
        Block::Native(native) => native.raw.get().contains("night tolls"),
        _ => false,
    };
    reply.blocks.iter().any(said).to_string()
}

fn cited(span: Option<(u64, u64)>) -> Reply {
    let citation = Citation {
        url: "https://example.com/tolls".to_owned(),
        title: Some("Tolls".to_owned()),
        cited_text: Some("Lorries: 12".to_owned()),
        span,
        native: None,
    };
    of(vec![text("Twelve euros."), Block::Citation(citation)])
}

fn citation(reply: &Reply, tell: fn(&Citation) -> String) -> String {
    let cited = reply.blocks.iter().filter_map(|block| match block {
        Block::Citation(citation) => Some(tell(citation)),
        _ => None,
    });
    cited.collect::<Vec<_>>().join(" | ")
}

fn media(reply: &Reply) -> String {
    blocks(reply, |block| match block {
        Block::Media(media) => Some(format!("{:?} {:?}", media.kind, media.source)),
        _ => None,
    })
}

fn made(kind: MediaKind, mime: &str) -> Reply {
    let mut media = Media::new(kind, Source::Base64("AAAA".to_owned()), Some(mime.to_owned()));
    media.transcript = (kind == MediaKind::Audio).then(|| "Twelve.".to_owned());
    of(vec![text("Here."), Block::Media(media)])
}

fn server_tool() -> Reply {
    let raw = Json::parse(
        r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}"#,
    )
    .unwrap();
    let native = Native { dialect: CLAUDE, field: "server_tool_use".to_owned(), raw };
    of(vec![Block::Native(native), text("Twelve euros.")])
}

const FEATURES: [Feature; 36] = [
    Feature {
        name: "id",
        reply: || of(vec![text("a")]),
        fact: |reply| reply.id.trim_start_matches("resp_").to_owned(),
    },
    Feature { name: "model", reply: || of(vec![text("a")]), fact: |reply| reply.model.clone() },
    Feature { name: "text", reply: || of(vec![text("Twelve euros.")]), fact: Reply::text },
    Feature {
        name: "refusal",
        reply: || Reply { finish: Finish::Filter, ..of(vec![Block::Refusal("No.".to_owned())]) },
        fact: |reply| {
            blocks(reply, |block| match block {
                Block::Refusal(text) => Some(text.clone()),
                _ => None,
            })
        },
    },
    Feature {
        name: "calls of tools",
        reply: || {
            of(vec![
                call(None),
                Block::ToolUse {
                    id: "call_2".to_owned(),
                    name: "weigh".to_owned(),
                    input: Json::empty_object(),
                    seal: None,
                },
            ])
        },
        fact: |reply| {
            blocks(reply, |block| match block {
                Block::ToolUse { id, name, input, .. } => {
                    Some(format!("{id} {name} {}", input.get()))
                }
                _ => None,
            })
        },
    },
    Feature { name: "thoughts", reply: || thinking(CLAUDE), fact: thoughts },
    Feature { name: "seal of thoughts, from Anthropic", reply: || thinking(CLAUDE), fact: seals },
    Feature { name: "seal of thoughts, from Gemini", reply: || thinking(GEMINI), fact: seals },
    Feature {
        name: "seal of thoughts, from Responses",
        reply: || thinking(RESPONSES),
        fact: seals,
    },
    Feature {
        name: "seal of a call, from Gemini",
        reply: || of(vec![call(Some(seal(GEMINI)))]),
        fact: seals,
    },
    Feature {
        name: "source: address and title",
        reply: || cited(Some((0, 13))),
        fact: |reply| citation(reply, |c| format!("{} {:?}", c.url, c.title)),
    },
    Feature {
        name: "source: place in the text",
        reply: || cited(Some((0, 6))),
        fact: |reply| citation(reply, |c| format!("{:?}", c.span)),
    },
    Feature {
        name: "source: words taken from it",
        reply: || cited(Some((0, 13))),
        fact: |reply| citation(reply, |c| format!("{:?}", c.cited_text)),
    },
    Feature {
        name: "picture made by the model",
        reply: || made(MediaKind::Image, "image/png"),
        fact: media,
    },
    Feature {
        name: "sound made by the model",
        reply: || made(MediaKind::Audio, "audio/wav"),
        fact: media,
    },
    Feature {
        name: "work of Anthropic's own tools",
        reply: server_tool,
        fact: |reply| {
            blocks(reply, |block| match block {
                Block::Native(native) => Some(native.raw.get().to_owned()),
                _ => None,
            })
        },
    },
    Feature {
        name: "search of the web: its words, from Anthropic",
        reply: || of(searched(CLAUDE, "server_tool_use", CLAUDE_SEARCH)),
        fact: looked_for,
    },
    Feature {
        name: "search of the web: its words, from OpenAI",
        reply: || of(searched(RESPONSES, "web_search_call", OPENAI_SEARCH)),
        fact: looked_for,
    },
    Feature {
        name: "search of the web: its words, from Gemini",
        reply: || of(searched("", "groundingMetadata.webSearchQueries", GOOGLE_SEARCH)),
        fact: looked_for,
    },
    Feature {
        name: "end: complete",
        reply: || ended(Finish::Stop),
        fact: |reply| format!("{:?}", reply.finish),
    },
    Feature {
        name: "end: at a stop text",
        reply: || ended(Finish::StopSequence),
        fact: |reply| format!("{:?}", reply.finish),
    },
    Feature {
        name: "the stop text that ended it",
        reply: || Reply { stop_sequence: Some("END".to_owned()), ..ended(Finish::StopSequence) },
        fact: |reply| format!("{:?}", reply.stop_sequence),
    },
    Feature {
        name: "end: calls of tools",
        reply: || Reply { finish: Finish::ToolUse, ..of(vec![call(None)]) },
        fact: |reply| format!("{:?}", reply.finish_for_client()),
    },
    Feature {
        name: "end: the most tokens",
        reply: || ended(Finish::Length),
        fact: |reply| format!("{:?}", reply.finish),
    },
    Feature {
        name: "end: a filter",
        reply: || ended(Finish::Filter),
        fact: |reply| format!("{:?}", reply.finish),
    },
    Feature {
        name: "end: a tool of the provider wants another round",
        reply: || ended(Finish::Pause),
        fact: |reply| format!("{:?}", reply.finish),
    },
    Feature {
        name: "usage: input",
        reply: || used(&[(Meter::Input, 7)]),
        fact: |reply| meter(reply, Meter::Input),
    },
    Feature {
        name: "usage: output",
        reply: || used(&[(Meter::Input, 7), (Meter::Output, 5)]),
        fact: |reply| meter(reply, Meter::Output),
    },
    Feature {
        name: "usage: thinking",
        reply: || used(&[(Meter::Output, 5), (Meter::Reasoning, 3)]),
        fact: |reply| meter(reply, Meter::Reasoning),
    },
    Feature {
        name: "usage: read from the cache",
        reply: || used(&[(Meter::Input, 7), (Meter::CacheRead, 4)]),
        fact: |reply| meter(reply, Meter::CacheRead),
    },
    Feature {
        name: "usage: written to the cache",
        reply: || used(&[(Meter::Input, 7), (Meter::CacheWrite5m, 4)]),
        fact: |reply| meter(reply, Meter::CacheWrite5m),
    },
    Feature {
        name: "usage: written to the cache for long",
        reply: || used(&[(Meter::Input, 7), (Meter::CacheWrite1h, 4)]),
        fact: |reply| {
            (meter(reply, Meter::CacheWrite1h).parse::<u64>().unwrap_or(0)
                + meter(reply, Meter::CacheWrite12h).parse::<u64>().unwrap_or(0))
            .to_string()
        },
    },
    Feature {
        name: "usage: searches of the web",
        reply: || used(&[(Meter::Input, 7), (Meter::WebSearch, 2)]),
        fact: |reply| meter(reply, Meter::WebSearch),
    },
    Feature {
        name: "usage: sound heard",
        reply: || used(&[(Meter::Input, 7), (Meter::AudioInput, 4)]),
        fact: |reply| meter(reply, Meter::AudioInput),
    },
    Feature {
        name: "usage: sound made",
        reply: || used(&[(Meter::Output, 7), (Meter::AudioOutput, 4)]),
        fact: |reply| meter(reply, Meter::AudioOutput),
    },
    Feature {
        name: "tier that served",
        reply: || {
            let mut reply = used(&[(Meter::Input, 7)]);
            if let Some(usage) = &mut reply.usage {
                usage.service_tier = ServiceTier::Priority;
            }
            reply
        },
        fact: |reply| format!("{:?}", reply.usage.as_ref().map(|usage| usage.service_tier)),
    },
];

fn streamed(client: &dyn Dialect, reply: Reply) -> Reply {
    let stream = written(client, &collect::events(reply));
    let (mut reader, mut events) = (client.reader(), Vec::new());
    let mut splitter = Splitter::new(Framing::Sse, 1_000_000);
    splitter.push(&stream, |frame| reader.frame(&frame, &mut events)).unwrap();
    splitter.end(|frame| reader.frame(&frame, &mut events));
    reader.end(End::Closed, &mut events);
    collect::collect(events).unwrap()
}

/// Whether the whole answer keeps it, and whether the stream does.
fn kept(feature: &Feature, client: &dyn Dialect) -> (bool, bool) {
    let reply = (feature.reply)();
    let said = (feature.fact)(&reply);
    let whole = client.read_reply(&client.write_reply(&reply, &shape())).unwrap();
    let stream = streamed(client, reply);
    ((feature.fact)(&whole) == said, (feature.fact)(&stream) == said)
}

fn why(client: &str, name: &str) -> Option<&'static str> {
    let known = LOST.iter().find(|(of, what, _)| of.contains(&client) && *what == name);
    known.map(|(_, _, why)| *why)
}

#[test]
fn what_an_answer_loses_is_known() {
    let mut wrong = Vec::new();
    for feature in &FEATURES {
        for client in DIALECTS {
            let fate = kept(feature, client);
            // Neither more nor less than is listed.
            if (fate == (true, true)) == why(client.name(), feature.name).is_some() {
                wrong.push(format!("{} for {}: {fate:?}", feature.name, client.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "kept by the whole answer, by the stream:\n{}", wrong.join("\n"));
}

/// The rows of the page.
pub(crate) fn rows() -> Vec<Vec<String>> {
    let clients = [CHAT, RESPONSES, CLAUDE, GEMINI];
    let header = ["what", "Chat Completions", "Responses", "Anthropic", "Gemini"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for feature in &FEATURES {
        let mut row = vec![feature.name.to_owned()];
        for name in clients {
            let client = wire::dialect(name).unwrap();
            let fate = match (kept(feature, client), why(name, feature.name)) {
                ((true, true), _) => "kept".to_owned(),
                ((false, false), Some(why)) => why.to_owned(),
                ((_, true), Some(why)) => format!("kept in a stream; whole: {why}"),
                ((true, false), Some(why)) => format!("kept whole; in a stream: {why}"),
                _ => "lost".to_owned(),
            };
            row.push(fate);
        }
        rows.push(row);
    }
    rows
}
