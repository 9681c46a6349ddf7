//! The fixtures are complete, and what they say about usage adds up with their bodies.

use std::collections::BTreeSet;

use super::*;

const COUNTERS: [&str; 13] = [
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "audio_input",
    "audio_cache_read",
    "output",
    "reasoning",
    "audio_output",
    "image_output",
    "web_search",
    "search_query",
    "grounded_prompt",
];

fn sum(usage: &BTreeMap<String, u64>, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| usage.get(*name)).sum()
}

fn number(body: &Value, pointer: &str) -> u64 {
    body.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

const PROMPT: [&str; 6] =
    ["input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "audio_cache_read"];

#[test]
fn every_file_is_listed_and_can_be_read() {
    for file in FILES {
        parse(*file).unwrap_or_else(|error| panic!("{}/{}: {error}", file.0, file.1));
    }
    let listed: BTreeSet<String> =
        FILES.iter().map(|(provider, name, _)| format!("{provider}/{name}.json")).collect();
    assert_eq!(listed.len(), FILES.len(), "a file is listed twice");
    let mut found = BTreeSet::new();
    for provider in Provider::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(provider.as_str());
        for entry in folder.read_dir().expect("a folder for each provider") {
            let path = entry.expect("an entry").path();
            // Streams are read by the tests of the dialects, not served.
            if path.extension().is_some_and(|extension| extension == "json") {
                let name = path.file_name().expect("a name").to_string_lossy();
                found.insert(format!("{provider}/{name}"));
            }
        }
    }
    assert_eq!(found, listed);
}

#[test]
fn usage_is_given_for_answers_only_and_with_known_counters() {
    for fixture in fixtures() {
        let at = format!("{}/{}", fixture.provider, fixture.name);
        assert_eq!(fixture.usage.is_some(), fixture.status == 200, "{at}");
        let others = fixture.usage_by_other_model.values();
        for usage in fixture.usage.iter().chain(others) {
            for (name, count) in usage {
                assert!(COUNTERS.contains(&name.as_str()), "{at}: {name}");
                assert!(*count > 0, "{at}: {name} is zero and can be left out");
            }
        }
    }
}

#[test]
fn openai_and_deepseek_usage_adds_up() {
    for fixture in fixtures() {
        let Some(usage) = &fixture.usage else { continue };
        if !matches!(fixture.provider, Provider::OpenAi | Provider::DeepSeek) {
            continue;
        }
        let at = format!("{}/{}", fixture.provider, fixture.name);
        let wire = &fixture.body["usage"];
        let (prompt, completion) =
            (number(wire, "/prompt_tokens"), number(wire, "/completion_tokens"));
        assert_eq!(sum(usage, &PROMPT), prompt, "{at}");
        assert_eq!(sum(usage, &["output", "reasoning", "audio_output"]), completion, "{at}");
        assert_eq!(prompt + completion, number(wire, "/total_tokens"), "{at}");
        assert_eq!(
            sum(usage, &["cache_read"]),
            number(wire, "/prompt_tokens_details/cached_tokens"),
            "{at}"
        );
        if fixture.provider == Provider::DeepSeek {
            let hit = number(wire, "/prompt_cache_hit_tokens");
            assert_eq!(sum(usage, &["cache_read"]), hit, "{at}");
            assert_eq!(hit + number(wire, "/prompt_cache_miss_tokens"), prompt, "{at}");
        }
    }
}

#[test]
fn anthropic_usage_adds_up() {
    for fixture in fixtures() {
        let Some(usage) = &fixture.usage else { continue };
        if fixture.provider != Provider::Anthropic {
            continue;
        }
        let wire = &fixture.body["usage"];
        let written = number(wire, "/cache_creation_input_tokens");
        assert_eq!(sum(usage, &["cache_write_5m", "cache_write_1h"]), written, "{}", fixture.name);
        assert_eq!(sum(usage, &["input"]), number(wire, "/input_tokens"), "{}", fixture.name);
        assert_eq!(sum(usage, &["cache_read"]), number(wire, "/cache_read_input_tokens"));
        assert_eq!(sum(usage, &["output", "reasoning"]), number(wire, "/output_tokens"));
        let own_passes = wire["iterations"].as_array().map(|passes| {
            let own = passes.iter().filter(|pass| pass["type"] == "message");
            own.map(|pass| number(pass, "/input_tokens")).sum::<u64>()
        });
        if let Some(input) = own_passes {
            assert_eq!(input, number(wire, "/input_tokens"), "{}", fixture.name);
            assert!(!fixture.usage_by_other_model.is_empty(), "{}", fixture.name);
        }
    }
}

#[test]
fn gemini_usage_adds_up() {
    for fixture in fixtures() {
        let Some(usage) = &fixture.usage else { continue };
        if fixture.provider != Provider::Gemini {
            continue;
        }
        let wire = &fixture.body["usageMetadata"];
        let prompt = number(wire, "/promptTokenCount") + number(wire, "/toolUsePromptTokenCount");
        let candidates = number(wire, "/candidatesTokenCount");
        let thoughts = number(wire, "/thoughtsTokenCount");
        assert_eq!(sum(usage, &PROMPT), prompt, "{}", fixture.name);
        let produced = sum(usage, &["output", "audio_output", "image_output"]);
        assert_eq!(produced, candidates, "{}", fixture.name);
        assert_eq!(sum(usage, &["reasoning"]), thoughts, "{}", fixture.name);
        assert_eq!(prompt + candidates + thoughts, number(wire, "/totalTokenCount"));
    }
}

#[test]
fn the_text_is_what_the_body_shows() {
    for fixture in fixtures() {
        let (list, key) = match fixture.provider {
            Provider::Gemini => ("/candidates/0/content/parts", "text"),
            Provider::Anthropic => ("/content", "text"),
            Provider::OpenAi | Provider::DeepSeek => {
                let content = fixture.body.pointer("/choices/0/message/content");
                let content = content.and_then(Value::as_str);
                assert_eq!(content, fixture.text.as_deref(), "{}", fixture.name);
                continue;
            }
        };
        let parts = fixture.body.pointer(list).and_then(Value::as_array);
        let shown = parts.into_iter().flatten().filter(|part| part["thought"] != true);
        let text: Vec<&str> = shown.filter_map(|part| part[key].as_str()).collect();
        let text = (!text.is_empty()).then(|| text.concat());
        assert_eq!(text, fixture.text, "{}/{}", fixture.provider, fixture.name);
    }
}
