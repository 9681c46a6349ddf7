use serde_json::{Value, json};
use testkit::strict::{Api, check};

use crate::wrong::{cut, each_is_found, put};

fn generate() -> Value {
    json!({
        "contents": [
            {"role": "user", "parts": [
                {"text": "What is this?"},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
            ]},
            {"role": "model", "parts": [
                {"text": "Hm.", "thought": true},
                {"functionCall": {"id": "1", "name": "look", "args": {}}, "thoughtSignature": "AAAA"},
                {"functionCall": {"id": "2", "name": "smell.it", "args": {}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "1", "name": "look", "response": {"output": "a cat"}}},
                {"functionResponse": {"id": "2", "name": "smell.it", "response": {"output": "a cat"}}},
            ]},
        ],
        "systemInstruction": {"parts": [{"text": "Be short."}]},
        "tools": [{"functionDeclarations": [
            {"name": "look", "parametersJsonSchema": {"type": "object", "properties": {"at": {"type": "string"}}}},
            {"name": "smell.it", "parameters": {
                "type": "OBJECT",
                "properties": {"what": {"type": "string", "enum": ["a"]}, "all": {"type": "ARRAY", "items": {"type": "NUMBER"}}},
                "required": ["what"],
            }},
        ]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "generationConfig": {
            "temperature": 1.0,
            "maxOutputTokens": 10,
            "stopSequences": ["END"],
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "LOW"},
        },
    })
}

#[test]
fn types_of_generate_content() {
    each_is_found(
        Api::Gemini,
        &generate(),
        vec![
            (cut("/contents"), "$.contents"),
            (put("/model", "gemini-3-pro"), "$.model"),
            (put("/temperature", 1), "$.temperature"),
            (put("/messages", json!([])), "$.messages"),
            (put("/contents/0/role", "assistant"), "$.contents[0].role"),
            (cut("/contents/0/parts"), "$.contents[0].parts"),
            (put("/contents/0/content", "x"), "$.contents[0].content"),
            (put("/contents/0/parts/0/text", 1), "$.contents[0].parts[0].text"),
            (put("/contents/0/parts/0/type", "text"), "$.contents[0].parts[0].type"),
            (
                cut("/contents/0/parts/1/inlineData/mimeType"),
                "$.contents[0].parts[1].inlineData.mimeType",
            ),
            (put("/contents/1/parts/0/thought", "Hm."), "$.contents[1].parts[0].thought"),
            (
                put("/contents/1/parts/1/functionCall/args", "{}"),
                "$.contents[1].parts[1].functionCall.args",
            ),
            (
                put("/contents/1/parts/1/functionCall/partialArgs", json!([])),
                "$.contents[1].parts[1].functionCall.partialArgs",
            ),
            (
                cut("/contents/2/parts/0/functionResponse/response"),
                "$.contents[2].parts[0].functionResponse.response",
            ),
            (
                put("/contents/2/parts/0/functionResponse/response", "a cat"),
                "$.contents[2].parts[0].functionResponse.response",
            ),
        ],
    );
}

#[test]
fn types_of_settings() {
    each_is_found(
        Api::Gemini,
        &generate(),
        vec![
            (put("/systemInstruction", "Be short."), "$.systemInstruction"),
            (put("/tools/0/function", json!({})), "$.tools[0].function"),
            (
                put("/tools/0/googleSearch", json!({"filters": []})),
                "$.tools[0].googleSearch.filters",
            ),
            (
                put("/tools/0/functionDeclarations/0/strict", true),
                "$.tools[0].functionDeclarations[0].strict",
            ),
            (
                put("/tools/0/functionDeclarations/1/parameters/$schema", "x"),
                "$.tools[0].functionDeclarations[1].parameters[\"$schema\"]",
            ),
            (
                put("/tools/0/functionDeclarations/1/parameters/properties/what/const", "a"),
                "$.tools[0].functionDeclarations[1].parameters.properties.what.const",
            ),
            (
                put(
                    "/tools/0/functionDeclarations/1/parameters/properties/what/type",
                    json!(["string", "null"]),
                ),
                "$.tools[0].functionDeclarations[1].parameters.properties.what.type + \
$.tools[0].functionDeclarations[1].parameters.properties.what.enum",
            ),
            (
                put("/toolConfig/functionCallingConfig/mode", "REQUIRED"),
                "$.toolConfig.functionCallingConfig.mode",
            ),
            (put("/safetySettings/0/threshold", "LOW"), "$.safetySettings[0].threshold"),
            (put("/generationConfig/max_tokens", 1), "$.generationConfig.max_tokens"),
            (put("/generationConfig/stopSequences", "END"), "$.generationConfig.stopSequences"),
            (put("/generationConfig/audioTimestamp", true), "$.generationConfig.audioTimestamp"),
            (
                put("/generationConfig/thinkingConfig/effort", "low"),
                "$.generationConfig.thinkingConfig.effort",
            ),
            (
                put("/generationConfig/thinkingConfig/thinkingLevel", "MAX"),
                "$.generationConfig.thinkingConfig.thinkingLevel",
            ),
        ],
    );
}

#[test]
fn rules_of_generate_content() {
    each_is_found(
        Api::Gemini,
        &generate(),
        vec![
            (put("/contents", json!([])), "$.contents"),
            (put("/contents/0/parts", json!([])), "$.contents[0].parts"),
            (put("/contents/0/parts/-", json!({"thought": true})), "$.contents[0].parts[2]"),
            (put("/contents/0/parts/1/text", "two"), "$.contents[0].parts[1]"),
            (
                put("/contents/0/parts/1/inlineData/data", "data:image/png;base64,AAAA"),
                "$.contents[0].parts[1].inlineData.data",
            ),
            (
                put("/contents/0/parts/1/inlineData/data", "AA+_"),
                "$.contents[0].parts[1].inlineData.data",
            ),
            (cut("/contents/2/parts/1"), "$.contents[2].parts"),
            (cut("/contents/1/parts/2"), "$.contents[2].parts"),
            (cut("/contents/2"), "$.contents"),
            (
                put("/contents/2", json!({"role": "user", "parts": [{"text": "Well?"}]})),
                "$.contents[2].parts + $.contents[3].parts",
            ),
            (put("/contents/2/parts/0/functionResponse/name", "see"), "$.contents[2].parts"),
            (
                put("/contents/2/parts/0/functionResponse/response/$ref", "a"),
                "$.contents[2].parts[0].functionResponse.response",
            ),
        ],
    );
}

#[test]
fn rules_of_settings() {
    each_is_found(
        Api::Gemini,
        &generate(),
        vec![
            (
                put("/tools/0/functionDeclarations/0/parameters", json!({"type": "OBJECT"})),
                "$.tools[0].functionDeclarations[0].parametersJsonSchema",
            ),
            (
                put("/tools/0/functionDeclarations/-", json!({"name": "1st"})),
                "$.tools[0].functionDeclarations[2].name",
            ),
            (
                put("/tools/0/functionDeclarations/-", json!({"name": "look"})),
                "$.tools[0].functionDeclarations[2].name",
            ),
            (
                put("/tools/0/functionDeclarations/0/parametersJsonSchema/type", "string"),
                "$.tools[0].functionDeclarations[0].parametersJsonSchema.type",
            ),
            (
                put("/tools/0/functionDeclarations/1/parameters/required/-", "how"),
                "$.tools[0].functionDeclarations[1].parameters.required",
            ),
            (
                cut("/tools/0/functionDeclarations/1/parameters/properties/all/items"),
                "$.tools[0].functionDeclarations[1].parameters.properties.all.items",
            ),
            (
                put("/tools/0/functionDeclarations/1/parameters/properties/what/type", "INTEGER"),
                "$.tools[0].functionDeclarations[1].parameters.properties.what.enum",
            ),
            (
                put("/toolConfig/functionCallingConfig/mode", "AUTO"),
                "$.toolConfig.functionCallingConfig.allowedFunctionNames",
            ),
            (
                put("/toolConfig/functionCallingConfig/allowedFunctionNames/-", "see"),
                "$.toolConfig.functionCallingConfig.allowedFunctionNames",
            ),
            (
                put("/generationConfig/thinkingConfig/thinkingBudget", 0),
                "$.generationConfig.thinkingConfig.thinkingLevel",
            ),
            (
                put("/generationConfig/responseSchema", json!({"type": "OBJECT"})),
                "$.generationConfig.responseJsonSchema",
            ),
            (cut("/generationConfig/responseMimeType"), "$.generationConfig.responseMimeType"),
            (
                put("/generationConfig/responseMimeType", "text/html"),
                "$.generationConfig.responseMimeType",
            ),
            (put("/generationConfig/temperature", 3), "$.generationConfig.temperature"),
            (
                put("/generationConfig/stopSequences", json!(["1", "2", "3", "4", "5", "6"])),
                "$.generationConfig.stopSequences",
            ),
            (put("/generationConfig/seed", 3_000_000_000_u64), "$.generationConfig.seed"),
            (put("/generationConfig/logprobs", 1), "$.generationConfig.logprobs"),
        ],
    );
}

#[test]
fn the_other_spelling_is_held_to_the_same_rules() {
    let body = json!({
        "contents": [{"role": "user", "parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]}],
        "generation_config": {"top_p": 0.5, "thinking_config": {"thinking_budget": -1}},
    });
    each_is_found(
        Api::Gemini,
        &body,
        vec![
            (put("/generation_config/top_p", 2), "$.generationConfig.topP"),
            (put("/generation_config/top_q", 2), "$.generation_config.top_q"),
            (
                cut("/contents/0/parts/0/inline_data/mime_type"),
                "$.contents[0].parts[0].inline_data.mimeType",
            ),
            (
                put("/generation_config/thinking_config/thinking_level", "LOW"),
                "$.generationConfig.thinkingConfig.thinkingLevel",
            ),
            (put("/contents/0/parts/0/text", "two"), "$.contents[0].parts[0]"),
        ],
    );
}

#[test]
fn counting_and_embedding() {
    let contents = json!([{"role": "user", "parts": [{"text": "hello"}]}]);
    each_is_found(
        Api::GeminiCountTokens,
        &json!({"generateContentRequest": {"model": "models/m", "contents": contents}}),
        vec![
            (put("/contents", contents.clone()), "$.generateContentRequest"),
            (cut("/generateContentRequest"), "$.contents"),
            (cut("/generateContentRequest/model"), "$.generateContentRequest.model"),
            (put("/systemInstruction", json!({"parts": [{"text": "x"}]})), "$.systemInstruction"),
            (
                put("/generateContentRequest/contents/0/parts/0/text", 1),
                "$.generateContentRequest.contents[0].parts[0].text",
            ),
        ],
    );
    assert_eq!(check(Api::GeminiCountTokens, &json!({"contents": contents})), Vec::<String>::new());
    let embed = json!({"content": {"parts": [{"text": "hello"}]}, "outputDimensionality": 3});
    each_is_found(
        Api::GeminiEmbed,
        &embed,
        vec![(cut("/content"), "$.content"), (put("/autoTruncate", true), "$.autoTruncate")],
    );
    let mut item = embed;
    item["model"] = json!("models/m");
    each_is_found(
        Api::GeminiBatchEmbed,
        &json!({"requests": [item]}),
        vec![
            (cut("/requests/0/model"), "$.requests[0].model"),
            (put("/requests/0/taskType", 1), "$.requests[0].taskType"),
            (put("/model", "m"), "$.model"),
        ],
    );
}

#[test]
fn bytes_may_be_safe_in_urls() {
    let mut body = generate();
    for data in ["AA-_", "AA-_AA", "AA-_AA==", "AA+/AA=="] {
        body["contents"][0]["parts"][1]["inlineData"]["data"] = data.into();
        assert_eq!(check(Api::Gemini, &body), Vec::<String>::new(), "{data}");
    }
}
