//! What no text may have in it: a character that the books cannot keep. It is refused where it comes in, by the name of
//! its field, before anything is looked up.

use http::request::Parts;
use serde_json::Value;

use crate::problem::Problem;

/// Whether path, query and body are texts that can be kept.
pub(super) fn check(
    params: &[(String, String)],
    parts: &Parts,
    body: &[u8],
) -> Result<(), Problem> {
    if let Some((name, _)) = params.iter().find(|(_, value)| value.contains('\0')) {
        return Err(refused(name));
    }
    let query = parts.uri.query().unwrap_or_default();
    if let Some(name) = in_pairs(query) {
        return Err(refused(name));
    }
    if body.first().is_some_and(|byte| matches!(byte, b'{' | b'[')) {
        return if escaped(body) { Err(refused(&in_json(body))) } else { Ok(()) };
    }
    if body.contains(&0) {
        return Err(refused("the body"));
    }
    let form = std::str::from_utf8(body).unwrap_or_default();
    in_pairs(form).map_or(Ok(()), |name| Err(refused(name)))
}

fn refused(name: &str) -> Problem {
    let message = format!("{name}: has the character U+0000 in it, which no text here may have");
    Problem::bad_request(message)
}

/// The name of the first pair that has it, as it is written in a query or a form.
fn in_pairs(text: &str) -> Option<&str> {
    let pair = text.split('&').find(|pair| pair.contains("%00"))?;
    let name = pair.split('=').next().filter(|name| !name.contains('%'));
    Some(name.unwrap_or("a field"))
}

/// Where JSON has it, as `limits[0].name`.
fn in_json(body: &[u8]) -> String {
    fn find(value: &Value, at: &str) -> Option<String> {
        match value {
            Value::String(text) => text.contains('\0').then(|| at.to_owned()),
            Value::Array(items) => {
                items.iter().enumerate().find_map(|(i, item)| find(item, &format!("{at}[{i}]")))
            }
            Value::Object(members) => members.iter().find_map(|(name, value)| {
                let dot = if at.is_empty() { "" } else { "." };
                find(value, &format!("{at}{dot}{name}"))
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }
    let found = serde_json::from_slice(body).ok().and_then(|value| find(&value, ""));
    found.filter(|name| !name.is_empty()).unwrap_or_else(|| "the body".to_owned())
}

/// Whether JSON has it as an escape, or as it is.
fn escaped(body: &[u8]) -> bool {
    let is_escape = |at: usize| {
        let before = body.get(..at).unwrap_or_default();
        before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    };
    body.contains(&0) || memchr::memmem::find_iter(body, b"\\u0000").any(is_escape)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn told(path: &str, query: &str, body: &str) -> Option<String> {
        let request = Request::get(format!("/x?{query}")).body(()).unwrap();
        let params = [("name".to_owned(), path.to_owned())];
        let checked = check(&params, &request.into_parts().0, body.as_bytes());
        checked.err().map(|problem| problem.message.into_owned())
    }

    #[test]
    fn it_is_refused_by_the_name_of_its_field() {
        for (path, query, body, name) in [
            ("a\0b", "", "", "name"),
            ("", "a=1&q=%00", "", "q"),
            ("", "", "user=a%00b&password=x", "user"),
            ("", "%00=1", "", "a field"),
            ("", "", r#"{"name":"a\u0000"}"#, "name"),
            ("", "", r#"{"a":[1,{"b":"\\\u0000"}]}"#, "a[1].b"),
            ("", "", r#"{"\u0000":1}"#, "the body"),
            ("", "", "a=\0", "the body"),
        ] {
            let told = told(path, query, body).unwrap_or_default();
            assert!(
                told.starts_with(&format!("{name}: has the character")),
                "{query} {body}: {told}"
            );
        }
    }

    #[test]
    fn what_only_looks_like_it_passes() {
        for (query, body) in
            [("q=%2500", "a=%2500"), ("q=100", r#"{"name":"a\\u0000"}"#), ("", "models=gpt,0.00")]
        {
            assert_eq!(told("a", query, body), None, "{query} {body}");
        }
    }
}
