//! The notation of types in the data files.
//!
//! `'a' | 'b'` are literals, `[T]` an array, `{T}` an object whose values are all `T`, a word in lower case is a
//! primitive, another word the name of a type.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Any,
    Null,
    Bool,
    Int,
    Number,
    String,
    Literal(Value),
    Array(Box<Type>),
    Map(Box<Type>),
    Named(String),
    Union(Vec<Type>),
}

/// Reads one type.
pub(super) fn parse(text: &str) -> Result<Type, String> {
    let mut rest = text;
    let parsed = union(&mut rest).map_err(|error| format!("{error} in `{text}`"))?;
    if rest.trim().is_empty() {
        Ok(parsed)
    } else {
        Err(format!("`{rest}` is left over in `{text}`"))
    }
}

fn union(rest: &mut &str) -> Result<Type, String> {
    let mut alternatives = vec![single(rest)?];
    while eat(rest, '|') {
        alternatives.push(single(rest)?);
    }
    if alternatives.len() > 1 {
        return Ok(Type::Union(alternatives));
    }
    alternatives.pop().ok_or_else(|| "no type".to_owned())
}

fn single(rest: &mut &str) -> Result<Type, String> {
    if eat(rest, '[') {
        return Ok(Type::Array(Box::new(enclosed(rest, ']')?)));
    }
    if eat(rest, '{') {
        return Ok(Type::Map(Box::new(enclosed(rest, '}')?)));
    }
    if eat(rest, '\'') {
        let (literal, after) = rest.split_once('\'').ok_or("an open quote")?;
        *rest = after;
        return Ok(Type::Literal(Value::from(literal)));
    }
    word(rest)
}

fn enclosed(rest: &mut &str, end: char) -> Result<Type, String> {
    let inner = union(rest)?;
    if eat(rest, end) { Ok(inner) } else { Err(format!("no `{end}`")) }
}

fn word(rest: &mut &str) -> Result<Type, String> {
    let trimmed = rest.trim_start();
    let end = trimmed.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(trimmed.len());
    let (name, after) = trimmed.split_at(end);
    *rest = after;
    Ok(match name {
        "" => return Err("no type".to_owned()),
        "any" => Type::Any,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "number" => Type::Number,
        "string" => Type::String,
        "true" => Type::Literal(Value::Bool(true)),
        "false" => Type::Literal(Value::Bool(false)),
        _ => match name.parse::<i64>() {
            Ok(number) => Type::Literal(Value::from(number)),
            Err(_) => Type::Named(name.to_owned()),
        },
    })
}

fn eat(rest: &mut &str, wanted: char) -> bool {
    let after = rest.trim_start().strip_prefix(wanted);
    if let Some(after) = after {
        *rest = after;
    }
    after.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notation_is_read() {
        let named = |name: &str| Type::Named(name.to_owned());
        assert_eq!(parse("string"), Ok(Type::String));
        assert_eq!(
            parse("'a' | [Block | {int}] | null"),
            Ok(Type::Union(vec![
                Type::Literal(Value::from("a")),
                Type::Array(Box::new(Type::Union(vec![
                    named("Block"),
                    Type::Map(Box::new(Type::Int))
                ]))),
                Type::Null,
            ]))
        );
        assert_eq!(
            parse("false | 3"),
            Ok(Type::Union(
                vec![Type::Literal(Value::Bool(false)), Type::Literal(Value::from(3)),]
            ))
        );
        for wrong in ["", "[string", "'a", "string string", "string |", "{}"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
