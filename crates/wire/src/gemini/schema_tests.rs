use super::*;

fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

fn modern(text: &str) -> (String, Vec<String>) {
    let mut dropped = Dropped::default();
    let schema = to_json_schema(&json(text), "p", &mut dropped).unwrap();
    (schema.get().to_owned(), dropped.written(&Json::empty_object()).dropped)
}

fn old(text: &str) -> (String, Vec<String>) {
    let mut dropped = Dropped::default();
    let schema = to_openapi(&json(text), "p", &mut dropped).unwrap();
    (schema.get().to_owned(), dropped.written(&Json::empty_object()).dropped)
}

#[test]
fn most_of_json_schema_stays_as_it_is() {
    let schema = r##"{"type":"object","title":"T","properties":{"z":{"type":["array","null"],"items":{"$ref":"#/$defs/X"},"minItems":1},"a":{"enum":[1,2.50,"x"]},"b":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}},"required":["z"],"additionalProperties":false,"$defs":{"X":{"type":"string","format":"date","pattern":"^a"}}}"##;
    assert_eq!(modern(schema), (schema.to_owned(), vec![]));
}

#[test]
fn words_that_google_does_not_know() {
    assert_eq!(
        modern(
            r#"{"$schema":"x","type":"object","properties":{"k":{"const":"a"},"any":true},"examples":[1]}"#
        ),
        (r#"{"type":"object","properties":{"k":{"enum":["a"]},"any":{}}}"#.to_owned(), vec![])
    );
    assert_eq!(
        modern(
            r#"{"type":"object","not":{"type":"null"},"properties":{"not":{"type":"string"}},"if":{},"then":{}}"#
        ),
        (
            r#"{"type":"object","properties":{"not":{"type":"string"}}}"#.to_owned(),
            vec!["p.not".to_owned(), "p.if".to_owned(), "p.then".to_owned()]
        )
    );
    assert_eq!(
        modern(r#"{"allOf":[{"type":"object","properties":{"a":{}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}]}"#).0,
        r#"{"type":"object","properties":{"a":{},"b":{}},"required":["a","b"]}"#
    );
    let conflict = modern(r#"{"maximum":9,"allOf":[{"maximum":5}]}"#);
    assert_eq!(conflict, (r#"{"maximum":9}"#.to_owned(), vec!["p.allOf".to_owned()]));
}

#[test]
fn a_reference_stands_alone_and_old_definitions_get_their_new_name() {
    assert_eq!(
        modern(r##"{"properties":{"a":{"$ref":"#/definitions/N","title":"t","default":1},"b":{"description":"d","$ref":"#/$defs/N"}},"definitions":{"N":{"type":"object","properties":{"next":{"$ref":"#/definitions/N"}}}}}"##).0,
        r##"{"properties":{"a":{"$ref":"#/$defs/N"},"b":{"description":"d","anyOf":[{"$ref":"#/$defs/N"}]}},"$defs":{"N":{"type":"object","properties":{"next":{"$ref":"#/$defs/N"}}}}}"##
    );
}

#[test]
fn a_reference_among_other_parts_is_what_it_refers_to() {
    let base = r#""Base":{"type":"object","properties":{"id":{"type":"string"},"both":{"type":"string"}},"required":["id"]}"#;
    let more =
        r#""properties":{"tag":{"type":"string"},"both":{"minLength":1}},"required":["tag","id"]"#;
    let merged = |name: &str| {
        [
            format!(r##"{{"allOf":[{{"$ref":"#/{name}/Base"}},{{{more}}}],"{name}":{{{base}}}}}"##),
            format!(r##"{{"$ref":"#/{name}/Base",{more},"{name}":{{{base}}}}}"##),
        ]
    };
    for schema in ["$defs", "definitions"].iter().flat_map(|name| merged(name)) {
        for (written, lost) in [modern(&schema), old(&schema)] {
            assert_eq!(lost, Vec::<String>::new(), "{schema}");
            let json: serde_json::Value = serde_json::from_str(&written).unwrap();
            let properties = json["properties"].as_object().unwrap();
            assert_eq!(properties.keys().collect::<Vec<_>>(), ["both", "id", "tag"], "{written}");
            assert_eq!(properties["both"]["minLength"], 1, "{written}");
            assert_eq!(properties["both"]["type"].as_str().unwrap().to_lowercase(), "string");
            let mut required = json["required"].as_array().unwrap().clone();
            required.sort_by_key(ToString::to_string);
            assert_eq!(required, ["id", "tag"], "{written}");
            assert!(json.get("allOf").is_none() && json.get("$ref").is_none(), "{written}");
        }
    }
    // What refers to itself, or to what is not there, is named as before; one alone stays.
    for (schema, lost) in [
        (r##"{"$defs":{"N":{"allOf":[{"$ref":"#/$defs/N"},{"required":["a"]}]}}}"##, "p.required"),
        (r#"{"$ref":"https://example.com/a","required":["a"]}"#, "p.required"),
    ] {
        assert_eq!(modern(schema).1, [lost], "{schema}");
    }
    let alone = r##"{"properties":{"a":{"allOf":[{"$ref":"#/$defs/N"}]}},"$defs":{"N":{}}}"##;
    assert!(modern(alone).0.contains(r##""a":{"$ref":"#/$defs/N"}"##));
    // Each definition has the next one twice.
    let twice = |n: usize| {
        format!(
            r##""D{n}":{{"allOf":[{{"$ref":"#/$defs/D{0}"}},{{"properties":{{"a{n}":{{"allOf":[{{"$ref":"#/$defs/D{0}"}},{{"minProperties":1}}]}}}}}}]}}"##,
            n + 1
        )
    };
    let bomb: Vec<String> = (0..30).map(twice).collect();
    let (written, lost) = modern(&format!(r#"{{"$defs":{{{},"D30":{{}}}}}}"#, bomb.join(",")));
    assert!(written.len() < 5_000_000 && !lost.is_empty(), "{}", written.len());
}

#[test]
fn the_older_variant_has_one_type_and_texts_in_its_lists() {
    for (schema, expected) in [
        (
            r#"{"type":["array","null"],"items":{"type":"string"}}"#,
            r#"{"type":"ARRAY","items":{"type":"STRING"},"nullable":true}"#,
        ),
        (
            r#"{"anyOf":[{"type":"integer"},{"type":"null"}],"description":"d"}"#,
            r#"{"type":"INTEGER","description":"d","nullable":true}"#,
        ),
        (
            r#"{"anyOf":[{"type":"integer"},{"type":"string"}],"type":"object","title":"t"}"#,
            r#"{"title":"t","anyOf":[{"type":"INTEGER"},{"type":"STRING"}]}"#,
        ),
        (r#"{"type":["integer","string"]}"#, r#"{"anyOf":[{"type":"INTEGER"},{"type":"STRING"}]}"#),
        (r#"{"type":"integer","enum":[1,2]}"#, r#"{"type":"STRING","enum":["1","2"]}"#),
        (r#"{"const":"a"}"#, r#"{"type":"STRING","enum":["a"]}"#),
        (r#"{"enum":["a",null]}"#, r#"{"type":"STRING","enum":["a"],"nullable":true}"#),
        (r#"{"oneOf":[{"type":"string"}]}"#, r#"{"type":"STRING"}"#),
        (r#"{"type":"string","format":"email","default":"x","$id":"i"}"#, r#"{"type":"STRING"}"#),
        (r#"{"type":"array","items":true}"#, r#"{"type":"ARRAY","items":{}}"#),
    ] {
        assert_eq!(old(schema).0, expected, "{schema}");
    }
    let (_, dropped) = old(
        r#"{"type":"string","format":"email","uniqueItems":true,"additionalProperties":false}"#,
    );
    assert_eq!(dropped, ["p.format", "p.uniqueItems"]);
}

#[test]
fn the_older_variant_has_no_references() {
    assert_eq!(
        old(r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/N","description":"mine"}},"$defs":{"N":{"type":"string","description":"theirs"}}}"##).0,
        r#"{"type":"OBJECT","properties":{"a":{"type":"STRING","description":"mine"}}}"#
    );
    let refused = |text: &str| to_openapi(&json(text), "p", &mut Dropped::default()).unwrap_err();
    for text in [
        r##"{"$ref":"#/$defs/N","$defs":{"N":{"properties":{"next":{"$ref":"#/$defs/N"}}}}}"##,
        r##"{"properties":{"me":{"$ref":"#"}}}"##,
    ] {
        assert_eq!(refused(text), RECURSIVE);
    }
    // Each definition holds the next one twice.
    let twice = |n: usize| {
        format!(
            r##""D{n}":{{"anyOf":[{{"$ref":"#/$defs/D{0}"}},{{"$ref":"#/$defs/D{0}"}}]}}"##,
            n + 1
        )
    };
    let bomb: Vec<String> = (0..30).map(twice).collect();
    let bomb = format!(r##"{{"$ref":"#/$defs/D0","$defs":{{{},"D30":{{}}}}}}"##, bomb.join(","));
    assert!([TOO_LARGE, TOO_DEEP].contains(&refused(&bomb)));
    let chain = |n: usize| format!(r##""D{n}":{{"items":{{"$ref":"#/$defs/D{}"}}}}"##, n + 1);
    let chain: Vec<String> = (0..5_000).map(chain).collect();
    let chain = format!(r##"{{"$ref":"#/$defs/D0","$defs":{{{}}}}}"##, chain.join(","));
    assert_eq!(refused(&chain), TOO_DEEP);
}

#[test]
fn a_schema_without_a_bottom_is_refused() {
    let deep = format!("{}{}", "{\"items\":".repeat(5_000), "{}".to_owned() + &"}".repeat(5_000));
    let mut dropped = Dropped::default();
    assert_eq!(to_json_schema(&json(&deep), "p", &mut dropped).unwrap_err(), TOO_DEEP);
    assert_eq!(to_openapi(&json(&deep), "p", &mut dropped).unwrap_err(), TOO_DEEP);
    assert_eq!(from_openapi(&json(&deep)).get(), deep);
}

#[test]
fn the_older_variant_is_read() {
    assert_eq!(
        from_openapi(&json(
            r#"{"properties":{"b":{"type":"STRING","nullable":true},"a":{"any_of":[{"type":"INTEGER"}],"nullable":true},"nullable":{"type":"NUMBER"}},"property_ordering":["a","b"],"type":"OBJECT","min_properties":"1"}"#
        ))
        .get(),
        r#"{"type":"object","properties":{"a":{"anyOf":[{"type":"integer"},{"type":"null"}]},"b":{"type":["string","null"]},"nullable":{"type":"number"}},"minProperties":1}"#
    );
    assert_eq!(
        from_openapi(&json(r#"{"type":"STRING","enum":["a","b"],"nullable":true}"#)).get(),
        r#"{"type":["string","null"],"enum":["a","b",null]}"#
    );
    assert_eq!(from_openapi(&json(r#"{"type":"TYPE_UNSPECIFIED"}"#)).get(), "{}");
    for (said, meant) in [
        (r#"{"type":["string","number"]}"#, r#"{"type":["string","number"]}"#),
        (r#"{"type":["STRING","NULL"],"nullable":true}"#, r#"{"type":["string","null"]}"#),
        (
            r#"{"type":["STRING","NUMBER"],"nullable":true}"#,
            r#"{"type":["string","number","null"]}"#,
        ),
        (r#"{"type":["ARRAY"],"items":{}}"#, r#"{"type":"array","items":{}}"#),
    ] {
        assert_eq!(from_openapi(&json(said)).get(), meant);
    }
    assert_eq!(from_openapi(&json("true")).get(), "true");
}

#[test]
fn nothing_but_the_empty_object() {
    for text in ["{}", r#"{"type":"object"}"#, r#"{"type":"object","properties":{}}"#] {
        assert!(is_empty(&json(text)), "{text}");
    }
    for text in [r#"{"properties":{"a":{}}}"#, r##"{"$ref":"#/x"}"##] {
        assert!(!is_empty(&json(text)), "{text}");
    }
}
