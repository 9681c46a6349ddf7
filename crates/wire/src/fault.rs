//! What is wrong with a body that cannot be read: the place, and what would be right there, in everybody's words.

use crate::Malformed;

/// The most characters of a wrong value that its error repeats.
const LONGEST_SHOWN: usize = 60;

/// The fault that serde found at `path`: empty for the whole body.
pub(crate) fn fault(path: &str, error: &serde_json::Error) -> Malformed {
    let whole = error.to_string();
    // The place inside a part says nothing about the place in the body; of a syntax error it is all there is.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = whole.strip_suffix(&place).unwrap_or(&whole);
    if !error.is_data() {
        return Malformed::new(path, format!("not valid JSON: {whole}"));
    }
    let inside = |name: &str| match path {
        "" => shown(name),
        // The path may end with the very field.
        path if path == name || path.ends_with(&format!(".{name}")) => shown(path),
        path => format!("{path}.{}", shown(name)),
    };
    if let Some((name, _)) = named(text, "missing field `") {
        return Malformed::new(inside(name), "is missing");
    }
    if let Some((name, _)) = named(text, "duplicate field `") {
        return Malformed::new(inside(name), "is given twice");
    }
    if let Some((name, rest)) = named(text, "unknown field `") {
        return Malformed::new(inside(name), format!("there is no such field{rest}"));
    }
    match text.rsplit_once(", expected ") {
        Some((found, wanted)) => {
            let found = found.strip_prefix("invalid type: ").unwrap_or(found);
            let found = found.strip_prefix("invalid value: ").unwrap_or(found);
            let found = match found {
                "sequence" => "a list",
                "map" => "an object",
                found => found,
            };
            Malformed::new(path, format!("expected {}, not {}", in_words(wanted), shown(found)))
        }
        None => Malformed::new(path, shown(text)),
    }
}

/// The name that `text` begins with after `words`, and what follows.
fn named<'a>(text: &'a str, words: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(words)?.split_once('`')
}

/// Rust's words for what was expected, in everybody's.
fn in_words(wanted: &str) -> &str {
    match wanted {
        "u64" | "u32" | "u16" | "u8" | "i64" | "i32" | "usize" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        wanted if wanted.starts_with("struct ") => "an object",
        wanted => wanted,
    }
}

/// `text`, and where it is longer than `most` characters its beginning and a sign that there is more.
pub fn shortened(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn shown(text: &str) -> String {
    shortened(text, LONGEST_SHOWN)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Part {
        #[expect(dead_code, reason = "read by serde only")]
        count: u64,
        #[expect(dead_code, reason = "read by serde only")]
        on: Option<bool>,
    }

    #[test]
    fn a_fault_has_its_place_and_what_would_be_right() {
        let long = format!(r#"{{"count":"{}"}}"#, "é".repeat(1_000));
        let shortened = format!("part: expected a whole number, not string \"{}…", "é".repeat(52));
        for (text, path, told) in [
            ("5", "part", "part: expected an object, not integer `5`"),
            ("5", "", "expected an object, not integer `5`"),
            ("{}", "part", "part.count: is missing"),
            ("{}", "", "count: is missing"),
            (r#"{"count":-1}"#, "count", "count: expected a whole number, not integer `-1`"),
            (r#"{"count":1,"count":2}"#, "a.count", "a.count: is given twice"),
            (r#"{"count":1,"on":"x"}"#, "", r#"expected true or false, not string "x""#),
            (r#"{"no":1}"#, "a", "a.no: there is no such field, expected `count` or `on`"),
            (r#"{"count":"#, "", "not valid JSON: EOF while parsing a value at line 1 column 9"),
            (&long, "part", &shortened),
        ] {
            let error = serde_json::from_str::<Part>(text).expect_err(text);
            assert_eq!(fault(path, &error).to_string(), told, "{text}");
        }
    }
}
