//! Changes of inputs. Most keep JSON JSON and a stream a stream.

use rand::rngs::SmallRng;
use rand::{Rng, RngExt as _};
use serde_json::{Map, Value};

use crate::corpus::{Corpus, Input, Kind};

/// No input grows beyond this.
const LARGEST: usize = 64 * 1024;

/// A changed copy of one of the inputs.
pub fn changed(corpus: &Corpus, chance: &mut SmallRng) -> Option<Input> {
    let input = pick(&corpus.inputs, chance)?;
    let mut bytes = input.bytes.clone();
    let times = chance.random_range(1..=4);
    for _ in 0..times {
        let new = match (input.kind, chance.random_range(0..10)) {
            (_, 0) => changed_bytes(bytes.clone(), chance),
            (Kind::Stream, _) => changed_stream(&bytes, corpus, chance),
            _ => changed_json(&bytes, corpus, chance),
        };
        if new.len() <= LARGEST {
            bytes = new;
        }
    }
    Some(Input { kind: input.kind, bytes })
}

fn pick<'a, T>(list: &'a [T], chance: &mut SmallRng) -> Option<&'a T> {
    if list.is_empty() { None } else { list.get(chance.random_range(0..list.len())) }
}

/// A place in something of that length, its end included.
fn place(length: usize, chance: &mut SmallRng) -> usize {
    chance.random_range(0..=length)
}

fn changed_bytes(mut bytes: Vec<u8>, chance: &mut SmallRng) -> Vec<u8> {
    const PIECES: [&[u8]; 16] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b"\xEF\xBB\xBF",
        b"\\ud800",
        b"-1e999",
        "🦀".as_bytes(),
    ];
    let (a, b) = (place(bytes.len(), chance), place(bytes.len(), chance));
    let (from, to) = (a.min(b), a.max(b));
    match chance.random_range(0..6) {
        0 => bytes.truncate(from),
        1 => drop(bytes.drain(from..to.min(from + 32))),
        2 => {
            let again = bytes.get(from..to.min(from + 64)).unwrap_or_default().to_vec();
            bytes.splice(to..to, again);
        }
        3 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte = byte.wrapping_add(1 << chance.random_range(0..8));
            }
        }
        _ => {
            let piece = pick(&PIECES, chance).copied().unwrap_or_default();
            bytes.splice(from..from, piece.iter().copied());
        }
    }
    bytes
}

fn changed_json(bytes: &[u8], corpus: &Corpus, chance: &mut SmallRng) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
        return changed_bytes(bytes.to_vec(), chance);
    };
    change(&mut value, corpus, chance);
    value.to_string().into_bytes()
}

/// Changes one node.
fn change(value: &mut Value, corpus: &Corpus, chance: &mut SmallRng) {
    let size = nodes(value);
    let mut at = chance.random_range(0..size);
    let Some(node) = nth(value, &mut at) else { return };
    let structural = chance.random_range(0..3) > 0;
    match node {
        Value::Object(members) if structural => change_members(members, corpus, chance),
        Value::Array(items) if structural => change_items(items, corpus, chance),
        Value::String(text) if structural => change_text(text, corpus, chance),
        node => *node = replacement(node.take(), corpus, chance),
    }
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, at)),
        Value::Object(members) => members.values_mut().find_map(|member| nth(member, at)),
        _ => None,
    }
}

fn change_members(members: &mut Map<String, Value>, corpus: &Corpus, chance: &mut SmallRng) {
    let own = members.keys().nth(chance.random_range(0..members.len().max(1))).cloned();
    let other = pick(&corpus.names, chance).cloned();
    match (chance.random_range(0..4), own) {
        (0, Some(own)) => drop(members.remove(&own)),
        (1, Some(own)) => {
            let value = members.remove(&own).unwrap_or_default();
            members.insert(other.unwrap_or(own), value);
        }
        (2, Some(own)) => {
            // The same value under another name too.
            let value = members.get(&own).cloned().unwrap_or_default();
            members.insert(other.unwrap_or(own), value);
        }
        _ => {
            let name = other.unwrap_or_default();
            members.insert(name, replacement(Value::Null, corpus, chance));
        }
    }
}

fn change_items(items: &mut Vec<Value>, corpus: &Corpus, chance: &mut SmallRng) {
    let at = chance.random_range(0..items.len().max(1));
    let to = place(items.len(), chance);
    match chance.random_range(0..4) {
        0 if at < items.len() => drop(items.remove(at)),
        1 if at < items.len() => {
            let again = items.get(at).cloned().unwrap_or_default();
            items.insert(to, again);
        }
        2 if at < items.len() && to < items.len() => items.swap(at, to),
        _ => items.insert(to, replacement(Value::Null, corpus, chance)),
    }
}

fn change_text(text: &mut String, corpus: &Corpus, chance: &mut SmallRng) {
    const ODD: [&str; 12] = [
        "",
        " ",
        "null",
        "\u{0}",
        "🦀",
        "\u{202e}",
        "data:;base64,",
        "https://x",
        "{\"a\":",
        "[]",
        "-0",
        "\r\n\r\ndata: x",
    ];
    match chance.random_range(0..6) {
        0 => pick(&ODD, chance).copied().unwrap_or_default().clone_into(text),
        1 => {
            let at =
                text.char_indices().map(|(at, _)| at).nth(chance.random_range(0..8)).unwrap_or(0);
            text.truncate(at);
        }
        2 => *text = text.repeat(chance.random_range(2..50)),
        3 => text.push_str(pick(&ODD, chance).copied().unwrap_or_default()),
        _ => *text = pick(&corpus.words, chance).cloned().unwrap_or_default(),
    }
}

/// Something else in the place of `old`.
fn replacement(old: Value, corpus: &Corpus, chance: &mut SmallRng) -> Value {
    const NUMBERS: [f64; 8] = [0.0, -1.0, 0.5, 1e9, 2e19, -2e19, 1e300, 9_007_199_254_740_993.0];
    match chance.random_range(0..10) {
        0 => Value::Null,
        1 => Value::Bool(chance.random()),
        2 => pick(&NUMBERS, chance).map_or(Value::Null, |number| Value::from(*number)),
        3 => Value::from(chance.random::<i64>() >> chance.random_range(0..63)),
        4 => Value::String(pick(&corpus.words, chance).cloned().unwrap_or_default()),
        5 => Value::Array(Vec::new()),
        6 => Value::Object(Map::new()),
        7 => {
            let depth = chance.random_range(1..90);
            (0..depth).fold(old, |inner, _| Value::Array(vec![inner]))
        }
        8 => {
            let name = pick(&corpus.names, chance).cloned().unwrap_or_default();
            Value::Object(Map::from_iter([(name, old)]))
        }
        _ => piece(corpus, chance).unwrap_or(old),
    }
}

/// A part of another input.
fn piece(corpus: &Corpus, chance: &mut SmallRng) -> Option<Value> {
    let other = pick(&corpus.inputs, chance)?;
    let mut value: Value = serde_json::from_slice(&other.bytes).ok()?;
    let mut at = chance.random_range(0..nodes(&value));
    nth(&mut value, &mut at).map(Value::take)
}

/// The frames of a stream, as far as blank lines tell them apart.
fn frames(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.split_inclusive("\n\n").map(str::to_owned).collect()
}

fn changed_stream(bytes: &[u8], corpus: &Corpus, chance: &mut SmallRng) -> Vec<u8> {
    let mut all = frames(bytes);
    let at = chance.random_range(0..all.len().max(1));
    let to = place(all.len(), chance);
    match chance.random_range(0..12) {
        0 if at < all.len() => drop(all.remove(at)),
        1 if at < all.len() => {
            let again = all.get(at).cloned().unwrap_or_default();
            all.insert(to, again);
        }
        2 if at < all.len() && to < all.len() => all.swap(at, to),
        3 => all.truncate(at),
        4 => all.insert(to, ": a comment\n\n".to_owned()),
        5 => {
            let end = if chance.random() { "\r\n" } else { "\r" };
            return all.concat().replace('\n', end).into_bytes();
        }
        6 => {
            let others = pick(&corpus.inputs, chance).map(|other| frames(&other.bytes));
            let frame = others.and_then(|frames| pick(&frames, chance).cloned());
            all.insert(to, frame.unwrap_or_default());
        }
        7 => return changed_bytes(bytes.to_vec(), chance),
        _ => {
            if let Some(frame) = all.get_mut(at) {
                *frame = changed_frame(frame, corpus, chance);
            }
        }
    }
    all.concat().into_bytes()
}

/// Changes the JSON in a frame.
fn changed_frame(frame: &str, corpus: &Corpus, chance: &mut SmallRng) -> String {
    let mut out = String::new();
    for line in frame.split_inclusive('\n') {
        let data = line.strip_prefix("data:").map(str::trim);
        match data.and_then(|data| serde_json::from_str::<Value>(data).ok()) {
            Some(mut value) => {
                change(&mut value, corpus, chance);
                out.push_str("data: ");
                out.push_str(&value.to_string());
                out.push('\n');
            }
            None => out.push_str(line),
        }
    }
    out
}

/// A chance of its own for each use, told by a number alone.
pub fn chance(seed: u64) -> SmallRng {
    rand::SeedableRng::seed_from_u64(seed)
}

/// The next number.
pub fn number(chance: &mut impl Rng) -> u64 {
    chance.next_u64()
}
