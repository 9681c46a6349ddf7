//! One change to a sound body, and where its faults are: ` + ` between the paths where one change breaks two things.

use serde_json::Value;
use testkit::strict::{Api, check};

pub(crate) enum Change {
    Put(&'static str, Value),
    Cut(&'static str),
}

impl Change {
    fn apply(&self, body: &mut Value) {
        let (Self::Put(pointer, _) | Self::Cut(pointer)) = self;
        let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
        let parent = body.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}"));
        match (self, parent) {
            (Self::Put(_, value), Value::Object(fields)) => {
                fields.insert(last.to_owned(), value.clone());
            }
            (Self::Cut(_), Value::Object(fields)) => {
                fields.remove(last).unwrap_or_else(|| panic!("nothing at {pointer}"));
            }
            (Self::Put(_, value), Value::Array(items)) => {
                let at = last.parse().unwrap_or(items.len());
                items.insert(at, value.clone());
            }
            (Self::Cut(_), Value::Array(items)) => {
                items.remove(last.parse().expect("an index"));
            }
            (_, other) => panic!("{other} has no {last}"),
        }
    }
}

/// Puts a field, or an element before an index or, at `-`, behind the last.
pub(crate) fn put(pointer: &'static str, value: impl Into<Value>) -> Change {
    Change::Put(pointer, value.into())
}

pub(crate) fn cut(pointer: &'static str) -> Change {
    Change::Cut(pointer)
}

pub(crate) fn paths(faults: &[String]) -> Vec<&str> {
    let mut paths: Vec<&str> =
        faults.iter().map(|fault| fault.split(": ").next().unwrap_or(fault)).collect();
    paths.dedup();
    paths
}

pub(crate) fn each_is_found(api: Api, sound: &Value, table: Vec<(Change, &str)>) {
    each_is_found_by(|body| check(api, body), sound, table);
}

pub(crate) fn each_is_found_by(
    check: impl Fn(&Value) -> Vec<String>,
    sound: &Value,
    table: Vec<(Change, &str)>,
) {
    assert_eq!(check(sound), Vec::<String>::new(), "the sound body");
    let mut missed = Vec::new();
    for (change, expected) in table {
        let mut body = sound.clone();
        change.apply(&mut body);
        let faults = check(&body);
        let found = paths(&faults).join(" + ");
        if found != expected {
            missed.push(format!("expected {expected}, not {found}: {faults:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    no_shape_is_too_much(check, sound);
}

/// Puts each kind of value in each place. Whatever it is, it is looked at without a panic.
fn no_shape_is_too_much(check: impl Fn(&Value) -> Vec<String>, sound: &Value) {
    let mut pointers = Vec::new();
    collect(sound, String::new(), &mut pointers);
    for pointer in pointers {
        for value in ["null", "true", "-1", "\"\"", "[]", "[[]]", "{}", r#"{"type": {}}"#] {
            let mut body = sound.clone();
            *body.pointer_mut(&pointer).expect("its own pointer") =
                serde_json::from_str(value).expect("JSON");
            drop(check(&body));
        }
    }
}

fn collect(value: &Value, pointer: String, into: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{pointer}/{index}"), into);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(field, format!("{pointer}/{}", name.replace('/', "~1")), into);
            }
        }
        _ => {}
    }
    into.push(pointer);
}
