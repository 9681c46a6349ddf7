//! Data files of types, and whether a value is of a type.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::parse::{Type, parse};

/// The fields that tell the alternatives of a union apart.
const DISCRIMINATORS: [&str; 2] = ["type", "role"];

/// What a data file says.
pub(super) struct Schema {
    roots: BTreeMap<String, String>,
    types: BTreeMap<String, Named>,
    /// Protocol buffers as JSON: names in either spelling, enums in either case, null for absent.
    proto: bool,
}

enum Named {
    Object(Object),
    Alias(Type),
}

#[derive(Default)]
struct Object {
    fields: BTreeMap<String, Field>,
    /// What other fields may hold; without it there are none.
    rest: Option<Type>,
}

struct Field {
    required: bool,
    ty: Type,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    proto: bool,
    roots: BTreeMap<String, String>,
    types: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Alias(String),
    Object(BTreeMap<String, String>),
}

impl Schema {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut types = BTreeMap::new();
        for (name, entry) in file.types {
            let named = match entry {
                Entry::Alias(text) => Named::Alias(parse(&text)?),
                Entry::Object(fields) => Named::Object(object(fields)?),
            };
            types.insert(name, named);
        }
        let schema = Self { roots: file.roots, types, proto: file.proto };
        let roots: Vec<Type> = schema.roots.values().cloned().map(Type::Named).collect();
        roots.iter().try_for_each(|root| schema.known(root))?;
        schema.types.values().try_for_each(|named| match named {
            Named::Alias(ty) => schema.known(ty),
            Named::Object(object) => {
                let fields = object.fields.values().map(|field| &field.ty);
                fields.chain(&object.rest).try_for_each(|ty| schema.known(ty))
            }
        })?;
        Ok(schema)
    }

    fn known(&self, ty: &Type) -> Result<(), String> {
        match ty {
            Type::Named(name) if !self.types.contains_key(name) => Err(format!("no type `{name}`")),
            Type::Array(inner) | Type::Map(inner) => self.known(inner),
            Type::Union(all) => all.iter().try_for_each(|one| self.known(one)),
            _ => Ok(()),
        }
    }

    /// Every way in which `value` is not what the root of that name says.
    pub(super) fn check(&self, root: &str, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        match self.roots.get(root) {
            Some(name) => self.value(&Type::Named(name.clone()), value, "$", &mut faults),
            None => faults.push(format!("$: no root `{root}`")),
        }
        faults
    }

    fn value(&self, ty: &Type, value: &Value, path: &str, faults: &mut Vec<String>) {
        let mut alternatives = Vec::new();
        self.flatten(ty, &mut alternatives);
        if alternatives.iter().any(|one| matches!(one, Alternative::Plain(Type::Any))) {
            return;
        }
        if self.proto && value.is_null() {
            return;
        }
        match value {
            Value::Array(items) => self.array(&alternatives, items, path, faults),
            Value::Object(fields) => self.object(&alternatives, fields, path, faults),
            scalar => self.scalar(&alternatives, scalar, path, faults),
        }
    }

    /// The alternatives of a type, with names and nested unions resolved.
    fn flatten<'a>(&'a self, ty: &'a Type, into: &mut Vec<Alternative<'a>>) {
        match ty {
            Type::Union(all) => all.iter().for_each(|one| self.flatten(one, into)),
            Type::Named(name) => match self.types.get(name) {
                Some(Named::Alias(alias)) => self.flatten(alias, into),
                Some(Named::Object(object)) => into.push(Alternative::Object(object)),
                None => {}
            },
            plain => into.push(Alternative::Plain(plain)),
        }
    }

    fn scalar(&self, all: &[Alternative<'_>], value: &Value, path: &str, faults: &mut Vec<String>) {
        let fits = |one: &Alternative<'_>| match one {
            Alternative::Plain(Type::Null) => value.is_null(),
            Alternative::Plain(Type::Bool) => value.is_boolean(),
            Alternative::Plain(Type::Int) => value.is_i64() || value.is_u64(),
            Alternative::Plain(Type::Number) => value.is_number(),
            Alternative::Plain(Type::String) => value.is_string(),
            Alternative::Plain(Type::Literal(literal)) => self.same(literal, value),
            _ => false,
        };
        if !all.iter().any(fits) {
            let expected: Vec<String> = all.iter().map(Alternative::name).collect();
            faults.push(format!("{path}: {value} is not {}", expected.join(" or ")));
        }
    }

    fn same(&self, literal: &Value, value: &Value) -> bool {
        match (literal.as_str(), value.as_str()) {
            (Some(literal), Some(value)) if self.proto => literal.eq_ignore_ascii_case(value),
            _ => literal == value,
        }
    }

    fn array(
        &self,
        all: &[Alternative<'_>],
        items: &[Value],
        path: &str,
        faults: &mut Vec<String>,
    ) {
        let arrays = all.iter().filter_map(|one| match one {
            Alternative::Plain(Type::Array(item)) => Some(&**item),
            _ => None,
        });
        let attempts = arrays.map(|item| {
            let mut faults = Vec::new();
            for (index, value) in items.iter().enumerate() {
                self.value(item, value, &format!("{path}[{index}]"), &mut faults);
            }
            faults
        });
        best(attempts, || mismatch(path, "an array", all), faults);
    }

    fn object(
        &self,
        all: &[Alternative<'_>],
        value: &Map<String, Value>,
        path: &str,
        faults: &mut Vec<String>,
    ) {
        let objects: Vec<&Object> = all.iter().filter_map(Alternative::object).collect();
        let matching: Vec<&&Object> =
            objects.iter().filter(|one| self.selects(one, value)).collect();
        let maps = all.iter().filter_map(|one| match one {
            Alternative::Plain(Type::Map(inner)) => Some(&**inner),
            _ => None,
        });
        let of_map = maps.map(|inner| {
            let mut faults = Vec::new();
            for (name, value) in value {
                self.value(inner, value, &join(path, name), &mut faults);
            }
            faults
        });
        let of_object = matching.iter().map(|object| {
            let mut faults = Vec::new();
            self.fields(object, value, path, &mut faults);
            faults
        });
        let none = || {
            if objects.is_empty() {
                return mismatch(path, "an object", all);
            }
            self.unselected(&objects, value, path)
        };
        best(of_object.chain(of_map), none, faults);
    }

    /// Whether the discriminators of `value` are those of `object`.
    fn selects(&self, object: &Object, value: &Map<String, Value>) -> bool {
        DISCRIMINATORS.iter().all(|name| match (object.fields.get(*name), value.get(*name)) {
            (Some(field), Some(value)) => self.accepts(&field.ty, value),
            (Some(field), None) => {
                !field.required || !matches!(field.ty, Type::Literal(_) | Type::Union(_))
            }
            (None, _) => true,
        })
    }

    fn accepts(&self, ty: &Type, value: &Value) -> bool {
        let mut faults = Vec::new();
        self.value(ty, value, "", &mut faults);
        faults.is_empty()
    }

    /// Why no alternative is meant by `value`.
    fn unselected(&self, objects: &[&Object], value: &Map<String, Value>, path: &str) -> String {
        for name in DISCRIMINATORS {
            let fields: Vec<&Field> =
                objects.iter().filter_map(|one| one.fields.get(name)).collect();
            if fields.is_empty() {
                continue;
            }
            match value.get(name) {
                None => return format!("{}: missing", join(path, name)),
                Some(found) if !fields.iter().any(|field| self.accepts(&field.ty, found)) => {
                    return format!("{}: {found} is not possible here", join(path, name));
                }
                Some(_) => {}
            }
        }
        format!("{path}: no alternative has this type and role")
    }

    fn fields(
        &self,
        object: &Object,
        value: &Map<String, Value>,
        path: &str,
        faults: &mut Vec<String>,
    ) {
        for (name, inner) in value {
            let path = join(path, name);
            match (self.field(object, name), &object.rest) {
                (Some(field), _) => self.value(&field.ty, inner, &path, faults),
                (None, Some(rest)) => self.value(rest, inner, &path, faults),
                (None, None) => faults.push(format!("{path}: unknown field")),
            }
        }
        for (name, _) in object.fields.iter().filter(|(_, field)| field.required) {
            let present = if self.proto {
                get(value, name).is_some_and(|value| !value.is_null())
            } else {
                value.contains_key(name)
            };
            if !present {
                faults.push(format!("{}: missing", join(path, name)));
            }
        }
    }

    fn field<'a>(&self, object: &'a Object, name: &str) -> Option<&'a Field> {
        let exact = object.fields.get(name);
        if exact.is_some() || !self.proto {
            return exact;
        }
        object.fields.iter().find(|(own, _)| snake_case(own) == name).map(|(_, field)| field)
    }
}

fn object(fields: BTreeMap<String, String>) -> Result<Object, String> {
    let mut object = Object::default();
    for (name, text) in fields {
        let ty = parse(&text)?;
        if name == "*" {
            object.rest = Some(ty);
            continue;
        }
        let (name, required) = match name.strip_suffix('!') {
            Some(name) => (name.to_owned(), true),
            None => (name, false),
        };
        object.fields.insert(name, Field { required, ty });
    }
    Ok(object)
}

enum Alternative<'a> {
    Plain(&'a Type),
    Object(&'a Object),
}

impl<'a> Alternative<'a> {
    fn object(&self) -> Option<&'a Object> {
        match self {
            Alternative::Object(object) => Some(object),
            Alternative::Plain(_) => None,
        }
    }

    fn name(&self) -> String {
        match self {
            Alternative::Plain(Type::Literal(literal)) => literal.to_string(),
            Alternative::Plain(Type::Null) => "null".to_owned(),
            Alternative::Plain(Type::Bool) => "a boolean".to_owned(),
            Alternative::Plain(Type::Int) => "an integer".to_owned(),
            Alternative::Plain(Type::Number) => "a number".to_owned(),
            Alternative::Plain(Type::String) => "a string".to_owned(),
            Alternative::Plain(Type::Array(_)) => "an array".to_owned(),
            Alternative::Plain(_) | Alternative::Object(_) => "an object".to_owned(),
        }
    }
}

fn mismatch(path: &str, found: &str, all: &[Alternative<'_>]) -> String {
    let mut expected: Vec<String> = all.iter().map(Alternative::name).collect();
    expected.dedup();
    format!("{path}: {found} is not {}", expected.join(" or "))
}

/// Adds the faults of the attempt that has the fewest, and of two such of the one that got further.
fn best(
    attempts: impl Iterator<Item = Vec<String>>,
    none: impl FnOnce() -> String,
    faults: &mut Vec<String>,
) {
    match attempts.min_by_key(|faults| (faults.len(), Reverse(depth(faults)))) {
        Some(fewest) => faults.extend(fewest),
        None => faults.push(none()),
    }
}

fn depth(faults: &[String]) -> usize {
    let path = faults.first().and_then(|fault| fault.split(": ").next());
    path.map_or(0, |path| path.matches(['.', '[']).count())
}

pub(super) fn join(path: &str, name: &str) -> String {
    let plain =
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain { format!("{path}.{name}") } else { format!("{path}[{}]", Value::from(name)) }
}

/// A field by its camel case name, in whichever spelling it is present.
pub(super) fn get<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).or_else(|| fields.get(&snake_case(name)))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
