//! What a request says of one thing, as text that can be compared before and after a translation. Nothing where it says
//! nothing.

use std::collections::HashMap;

use wire::Chat;
use wire::chat::{
    Block, Citation, Effort, Format, Hosted, Media, Reasoning, Role, Source, Tool, WebSearch,
};

fn of<T: std::fmt::Debug>(value: Option<T>) -> String {
    value.map(|value| format!("{value:?}")).unwrap_or_default()
}

fn blocks(chat: &Chat) -> impl Iterator<Item = &Block> {
    let said = chat.turns.iter().flat_map(|turn| &turn.blocks);
    chat.system.iter().chain(said).flat_map(|block| match block {
        Block::ToolResult { blocks, .. } => std::iter::once(block).chain(blocks),
        block => std::iter::once(block).chain(&[]),
    })
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" | ")
}

fn text(blocks: &[Block]) -> String {
    let text = |block: &Block| match block {
        Block::Text(text) => Some(text.clone()),
        _ => None,
    };
    joined(blocks.iter().filter_map(text))
}

pub(crate) fn system(chat: &Chat) -> String {
    text(&chat.system)
}

/// Who says what, one after the other; what the operator says in the middle among it.
pub(crate) fn turns(chat: &Chat) -> String {
    joined(chat.turns.iter().map(|turn| format!("{:?}: {}", turn.role, text(&turn.blocks))))
}

pub(crate) fn speaker(chat: &Chat) -> String {
    joined(chat.turns.iter().filter_map(|turn| turn.name.clone()))
}

pub(crate) fn refusal(chat: &Chat) -> String {
    let refusal = |block: &Block| match block {
        Block::Refusal(text) => Some(text.clone()),
        _ => None,
    };
    joined(blocks(chat).filter_map(refusal))
}

fn media(chat: &Chat, tell: impl Fn(&Media) -> String) -> String {
    let pick = |block: &Block| match block {
        Block::Media(media) => Some(tell(media)),
        _ => None,
    };
    joined(blocks(chat).filter_map(pick).filter(|told| !told.is_empty()))
}

pub(crate) fn content(chat: &Chat) -> String {
    media(chat, |media| match &media.source {
        Source::Url(url) => format!("{:?} {url}", media.kind),
        Source::Base64(data) => format!("{:?} {} {data}", media.kind, of(media.mime.as_ref())),
        Source::Text(text) => format!("{:?} {text}", media.kind),
        Source::File { id, .. } => format!("{:?} {id}", media.kind),
    })
}

pub(crate) fn detail(chat: &Chat) -> String {
    media(chat, |media| of(media.detail.as_ref()))
}

pub(crate) fn file_name(chat: &Chat) -> String {
    media(chat, |media| of(media.name.as_ref()))
}

/// A text document arrives where its text does.
pub(crate) fn document_text(chat: &Chat) -> String {
    let all = joined(blocks(chat).map(|block| match block {
        Block::Text(text) | Block::Media(Media { source: Source::Text(text), .. }) => text.clone(),
        _ => String::new(),
    }));
    if all.contains("twelve euros") { "twelve euros".to_owned() } else { String::new() }
}

fn functions(chat: &Chat, tell: impl Fn(&Tool) -> String) -> String {
    joined(chat.tools.iter().map(tell).filter(|told| !told.is_empty()))
}

pub(crate) fn tool_names(chat: &Chat) -> String {
    functions(chat, |tool| match tool {
        Tool::Function { name, .. } => name.clone(),
        _ => String::new(),
    })
}

pub(crate) fn tool_descriptions(chat: &Chat) -> String {
    functions(chat, |tool| match tool {
        Tool::Function { description, .. } => description.clone().unwrap_or_default(),
        _ => String::new(),
    })
}

/// Without what says nothing: an empty schema, and the order and spelling of keys.
pub(crate) fn tool_schemas(chat: &Chat) -> String {
    functions(chat, |tool| match tool {
        Tool::Function { schema: Some(schema), .. } => {
            serde_json::from_str::<serde_json::Value>(schema.get()).unwrap().to_string()
        }
        _ => String::new(),
    })
}

pub(crate) fn tool_strict(chat: &Chat) -> String {
    functions(chat, |tool| match tool {
        Tool::Function { strict: Some(true), .. } => "strict".to_owned(),
        _ => String::new(),
    }) + &native(chat, "toolConfig.functionCallingConfig.mode").replace("\"VALIDATED\"", "strict")
}

pub(crate) fn tool_cache(chat: &Chat) -> String {
    functions(chat, |tool| match tool {
        Tool::Function { cache, .. } => of(cache.as_ref()),
        _ => String::new(),
    })
}

/// Calls and results by the name of the tool: ids may change as long as both do.
pub(crate) fn calls(chat: &Chat) -> String {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut told = Vec::new();
    for block in chat.turns.iter().flat_map(|turn| &turn.blocks) {
        match block {
            Block::ToolUse { id, name, input, .. } => {
                names.insert(id, name);
                let input: serde_json::Value = serde_json::from_str(input.get()).unwrap();
                told.push(format!("{name}({input})"));
            }
            Block::ToolResult { id, blocks, .. } => {
                told.push(format!("{} gave {}", names[id.as_str()], text(blocks)));
            }
            _ => {}
        }
    }
    told.join(" | ")
}

pub(crate) fn failed(chat: &Chat) -> String {
    let failed = |block: &Block| match block {
        Block::ToolResult { failed, .. } => failed.then(|| "failed".to_owned()),
        _ => None,
    };
    joined(blocks(chat).filter_map(failed))
}

/// Media within results of tools.
pub(crate) fn result_media(chat: &Chat) -> String {
    let inside = |block: &Block| match block {
        Block::ToolResult { blocks, .. } => {
            let inner = Chat {
                turns: vec![wire::chat::Turn {
                    role: Role::User,
                    blocks: blocks.clone(),
                    name: None,
                }],
                ..Chat::default()
            };
            Some(content(&inner)).filter(|told| !told.is_empty())
        }
        _ => None,
    };
    joined(blocks(chat).filter_map(inside))
}

pub(crate) fn tool_choice(chat: &Chat) -> String {
    format!("{:?}", chat.tool_choice)
}

pub(crate) fn parallel(chat: &Chat) -> String {
    of(chat.parallel_tools.as_ref())
}

pub(crate) fn format(chat: &Chat) -> String {
    match &chat.output.format {
        Format::Text => String::new(),
        Format::JsonObject => "object".to_owned(),
        Format::JsonSchema { schema, .. } => {
            serde_json::from_str::<serde_json::Value>(schema.get()).unwrap().to_string()
        }
    }
}

pub(crate) fn format_description(chat: &Chat) -> String {
    match &chat.output.format {
        Format::JsonSchema { description, .. } => of(description.as_ref()),
        _ => String::new(),
    }
}

fn reasoning(chat: &Chat, tell: impl Fn(&Reasoning) -> String) -> String {
    chat.reasoning.as_ref().map(tell).unwrap_or_default()
}

/// A budget is the level that it stands for.
pub(crate) fn effort(chat: &Chat) -> String {
    reasoning(chat, |asked| of(asked.effort.or(asked.budget.map(Effort::from_budget))))
}

pub(crate) fn budget(chat: &Chat) -> String {
    reasoning(chat, |asked| of(asked.budget.as_ref()))
}

pub(crate) fn show(chat: &Chat) -> String {
    reasoning(chat, |asked| of(asked.show.as_ref()))
}

/// Thinking itself, without a level.
pub(crate) fn thinks(chat: &Chat) -> String {
    reasoning(chat, |_| "thinks".to_owned())
}

pub(crate) fn thoughts(chat: &Chat) -> String {
    let thought = |block: &Block| match block {
        Block::Thinking { text, seal } => Some(format!("{text} {}", of(seal.as_ref()))),
        _ => None,
    };
    joined(blocks(chat).filter_map(thought))
}

pub(crate) fn call_seal(chat: &Chat) -> String {
    let seal = |block: &Block| match block {
        Block::ToolUse { seal: Some(seal), .. } => Some(seal.value.clone()),
        _ => None,
    };
    joined(blocks(chat).filter_map(seal))
}

pub(crate) fn temperature(chat: &Chat) -> String {
    of(chat.sampling.temperature.as_ref())
}
pub(crate) fn top_p(chat: &Chat) -> String {
    of(chat.sampling.top_p.as_ref())
}
pub(crate) fn top_k(chat: &Chat) -> String {
    of(chat.sampling.top_k.as_ref())
}
pub(crate) fn presence(chat: &Chat) -> String {
    of(chat.sampling.presence_penalty.as_ref())
}
pub(crate) fn frequency(chat: &Chat) -> String {
    of(chat.sampling.frequency_penalty.as_ref())
}
pub(crate) fn seed(chat: &Chat) -> String {
    of(chat.sampling.seed.as_ref())
}
pub(crate) fn stop(chat: &Chat) -> String {
    joined(chat.sampling.stop.iter().cloned())
}
pub(crate) fn max_tokens(chat: &Chat) -> String {
    of(chat.max_tokens.as_ref())
}
pub(crate) fn stream(chat: &Chat) -> String {
    chat.stream.to_string()
}
pub(crate) fn user(chat: &Chat) -> String {
    of(chat.user.as_ref())
}
pub(crate) fn tier(chat: &Chat) -> String {
    of(chat.service_tier.as_ref())
}
pub(crate) fn verbosity(chat: &Chat) -> String {
    of(chat.output.verbosity.as_ref())
}

pub(crate) fn cache(chat: &Chat) -> String {
    let point = |block: &Block| match block {
        Block::CachePoint(life) => Some(format!("{life:?}")),
        _ => None,
    };
    joined(blocks(chat).filter_map(point))
}

pub(crate) fn citations(chat: &Chat) -> String {
    let cited = |block: &Block| match block {
        Block::Citation(Citation { url, title, .. }) => {
            Some(format!("{url} {}", of(title.as_ref())))
        }
        _ => None,
    };
    joined(blocks(chat).filter_map(cited))
}

pub(crate) fn hosted(chat: &Chat) -> String {
    functions(chat, |tool| match tool {
        Tool::Hosted { kind: Hosted::WebSearch(_), .. } => "search".to_owned(),
        Tool::Hosted { kind, .. } => format!("{kind:?}"),
        Tool::Native(native) => native.field.clone(),
        Tool::Function { .. } => String::new(),
    })
}

/// The tools that take free text, by what is kept of them.
pub(crate) fn free_text(chat: &Chat) -> String {
    let kept = chat.native.iter().filter(|native| native.field == "tools.custom");
    let count = kept.filter(|native| native.raw.get().contains("\"note\"")).count();
    if count == 0 { String::new() } else { format!("{count} note") }
}

fn search(chat: &Chat, tell: impl Fn(&WebSearch) -> String) -> String {
    functions(chat, |tool| match tool {
        Tool::Hosted { kind: Hosted::WebSearch(search), .. } => tell(search),
        _ => String::new(),
    })
}

pub(crate) fn search_uses(chat: &Chat) -> String {
    search(chat, |search| of(search.max_uses.as_ref()))
}
pub(crate) fn search_only(chat: &Chat) -> String {
    search(chat, |search| search.allowed_domains.join(" "))
}
pub(crate) fn search_not(chat: &Chat) -> String {
    search(chat, |search| search.blocked_domains.join(" "))
}
pub(crate) fn search_place(chat: &Chat) -> String {
    search(chat, |search| {
        let place = search.user_location.as_ref();
        place
            .map(|json| serde_json::from_str::<serde_json::Value>(json.get()).unwrap().to_string())
            .unwrap_or_default()
    })
}
pub(crate) fn search_depth(chat: &Chat) -> String {
    search(chat, |search| of(search.context_size.as_ref()))
}

/// A field that a dialect alone has, wherever it came from.
pub(crate) fn native(chat: &Chat, field: &str) -> String {
    let found = chat.native.iter().filter(|native| native.field == field);
    joined(found.map(|native| native.raw.get().to_owned()))
}

/// Blocks that a dialect alone has.
pub(crate) fn native_blocks(chat: &Chat) -> String {
    let own = |block: &Block| match block {
        Block::Native(native) => Some(format!("{} {}", native.field, native.raw.get())),
        _ => None,
    };
    joined(blocks(chat).filter_map(own))
}

/// All that is said, whoever says it; text documents too.
pub(crate) fn words(chat: &Chat) -> String {
    let word = |block: &Block| match block {
        Block::Text(text)
        | Block::Refusal(text)
        | Block::Media(Media { source: Source::Text(text), .. }) => Some(text.clone()),
        _ => None,
    };
    joined(blocks(chat).filter_map(word))
}

/// What pictures, sound and PDF hold, without what they are called.
pub(crate) fn inline(chat: &Chat) -> String {
    media(chat, |media| match &media.source {
        Source::Base64(_) if media.mime.as_ref().is_some_and(|mime| mime.starts_with("text/")) => {
            // May be told as text.
            String::new()
        }
        Source::Url(text) | Source::Base64(text) => text.clone(),
        Source::Text(_) | Source::File { .. } => String::new(),
    })
}

pub(crate) fn format_kind(chat: &Chat) -> String {
    match chat.output.format {
        Format::Text => String::new(),
        Format::JsonObject => "object".to_owned(),
        Format::JsonSchema { .. } => "schema".to_owned(),
    }
}
