//! One field or feature at a time: in each dialect that has it, the smallest request that says it.

use wire::Chat;

use crate::facts;

/// What a request says of the thing.
pub(crate) enum Fact {
    /// In the canonical form.
    Of(fn(&Chat) -> String),
    /// As a field that one dialect alone has.
    Native(&'static str),
}

/// A row of the table.
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) fact: Fact,
    /// A dialect, and what is added to the smallest request of it.
    pub(crate) asks: &'static [(&'static str, &'static str)],
}

impl Probe {
    pub(crate) fn fact(&self, chat: &Chat) -> String {
        match &self.fact {
            Fact::Of(tell) => tell(chat),
            Fact::Native(field) => facts::native(chat, field),
        }
    }

    /// The request of a dialect.
    pub(crate) fn request(&self, dialect: &str) -> Option<String> {
        let (_, more) = self.asks.iter().find(|(of, _)| *of == dialect)?;
        Some(with(dialect, more))
    }
}

/// The smallest request.
pub(crate) fn least(dialect: &str) -> &'static str {
    match dialect {
        CHAT => r#"{"model":"m","messages":[{"role":"user","content":"Hello"}]}"#,
        RESPONSES => r#"{"model":"m","input":"Hello"}"#,
        CLAUDE => {
            r#"{"model":"m","max_tokens":4000,"messages":[{"role":"user","content":"Hello"}]}"#
        }
        _ => r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#,
    }
}

fn with(dialect: &str, more: &str) -> String {
    let read = |text: &str| -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let mut all = read(least(dialect));
    all.extend(read(&more.replace("TOOL", tool(dialect)).replace("PNG", "iVBORw0KGgo=")));
    serde_json::Value::Object(all).to_string()
}

/// The definition of a tool without anything special.
fn tool(dialect: &str) -> &'static str {
    match dialect {
        CHAT => {
            r#"{"type":"function","function":{"name":"toll","parameters":{"type":"object","properties":{"axles":{"type":"integer"}}}}}"#
        }
        RESPONSES => {
            r#"{"type":"function","name":"toll","strict":false,"parameters":{"type":"object","properties":{"axles":{"type":"integer"}}}}"#
        }
        CLAUDE => {
            r#"{"name":"toll","input_schema":{"type":"object","properties":{"axles":{"type":"integer"}}}}"#
        }
        _ => {
            r#"{"functionDeclarations":[{"name":"toll","parametersJsonSchema":{"type":"object","properties":{"axles":{"type":"integer"}}}}]}"#
        }
    }
}

pub(crate) const CHAT: &str = "openai_chat";
pub(crate) const RESPONSES: &str = "openai_responses";
pub(crate) const CLAUDE: &str = "anthropic";
pub(crate) const GEMINI: &str = "gemini";

const fn of(
    name: &'static str,
    tell: fn(&Chat) -> String,
    asks: &'static [(&'static str, &'static str)],
) -> Probe {
    Probe { name, fact: Fact::Of(tell), asks }
}

const fn own(
    name: &'static str,
    field: &'static str,
    asks: &'static [(&'static str, &'static str)],
) -> Probe {
    Probe { name, fact: Fact::Native(field), asks }
}

pub(crate) const PROBES: &[Probe] = &[
    of(
        "system instructions",
        facts::system,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hello"}]}"#,
            ),
            (RESPONSES, r#"{"instructions":"Be brief."}"#),
            (CLAUDE, r#"{"system":"Be brief."}"#),
            (GEMINI, r#"{"systemInstruction":{"parts":[{"text":"Be brief."}]}}"#),
        ],
    ),
    of(
        "several turns",
        facts::turns,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"},{"role":"user","content":"Three"}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"},{"role":"user","content":"Three"}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"},{"role":"user","content":"Three"}]}"#,
            ),
            (
                GEMINI,
                r#"{"contents":[{"role":"user","parts":[{"text":"One"}]},{"role":"model","parts":[{"text":"Two"}]},{"role":"user","parts":[{"text":"Three"}]}]}"#,
            ),
        ],
    ),
    of(
        "the operator speaks in the middle",
        facts::turns,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"},{"role":"user","content":"Three"},{"role":"system","content":"Four"}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"},{"role":"user","content":"Three"},{"role":"developer","content":"Four"}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"},{"role":"user","content":"Three"},{"role":"system","content":"Four"}]}"#,
            ),
        ],
    ),
    of(
        "an answer begun by the client",
        facts::turns,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":"Two"}]}"#,
            ),
            (
                GEMINI,
                r#"{"contents":[{"role":"user","parts":[{"text":"One"}]},{"role":"model","parts":[{"text":"Two"}]}]}"#,
            ),
        ],
    ),
    of(
        "name of the speaker",
        facts::speaker,
        &[(CHAT, r#"{"messages":[{"role":"user","name":"ada","content":"Hello"}]}"#)],
    ),
    of(
        "refusal in the history",
        facts::refusal,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":null,"refusal":"No."},{"role":"user","content":"Three"}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":"One"},{"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"No."}]},{"role":"user","content":"Three"}]}"#,
            ),
        ],
    ),
    of(
        "picture, inline",
        facts::content,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,PNG"}}]}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,PNG"}]}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"PNG"}}]}]}"#,
            ),
            (
                GEMINI,
                r#"{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"PNG"}}]}]}"#,
            ),
        ],
    ),
    of(
        "picture, by address",
        facts::content,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://example.com/a.png"}]}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}]}]}"#,
            ),
        ],
    ),
    of(
        "picture, resolution",
        facts::detail,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,PNG","detail":"low"}}]}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":[{"type":"input_image","detail":"low","image_url":"data:image/png;base64,PNG"}]}]}"#,
            ),
            (
                GEMINI,
                r#"{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"PNG"},"mediaResolution":{"level":"MEDIA_RESOLUTION_LOW"}}]}]}"#,
            ),
        ],
    ),
    of(
        "PDF, inline",
        facts::content,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0="}}]}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}]}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}}]}]}"#,
            ),
            (
                GEMINI,
                r#"{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"application/pdf","data":"JVBERi0="}}]}]}"#,
            ),
        ],
    ),
    of(
        "document, by address",
        facts::content,
        &[
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":[{"type":"input_file","file_url":"https://example.com/a.pdf"}]}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}]}]}"#,
            ),
        ],
    ),
    of(
        "document of plain text",
        facts::document_text,
        &[(
            CLAUDE,
            r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"twelve euros"}}]}]}"#,
        )],
    ),
    of(
        "name of a document",
        facts::file_name,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"tolls.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":[{"type":"input_file","filename":"tolls.pdf","file_data":"data:application/pdf;base64,JVBERi0="}]}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":[{"type":"document","title":"tolls.pdf","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}}]}]}"#,
            ),
        ],
    ),
    of(
        "file of the provider, by id",
        facts::content,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file_1"}}]}]}"#,
            ),
            (
                GEMINI,
                r#"{"contents":[{"role":"user","parts":[{"fileData":{"mimeType":"application/pdf","fileUri":"https://generativelanguage.googleapis.com/v1beta/files/1"}}]}]}"#,
            ),
        ],
    ),
    of(
        "sound",
        facts::content,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}]}]}"#,
            ),
            (
                GEMINI,
                r#"{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"audio/wav","data":"UklGRg=="}}]}]}"#,
            ),
        ],
    ),
    of(
        "film",
        facts::content,
        &[(
            GEMINI,
            r#"{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"video/mp4","data":"AAAA"}}]}]}"#,
        )],
    ),
    of(
        "tool: name",
        facts::tool_names,
        &[
            (CHAT, r#"{"tools":[TOOL]}"#),
            (RESPONSES, r#"{"tools":[TOOL]}"#),
            (CLAUDE, r#"{"tools":[TOOL]}"#),
            (GEMINI, r#"{"tools":[TOOL]}"#),
        ],
    ),
    of(
        "tool: schema of the arguments",
        facts::tool_schemas,
        &[
            (CHAT, r#"{"tools":[TOOL]}"#),
            (RESPONSES, r#"{"tools":[TOOL]}"#),
            (CLAUDE, r#"{"tools":[TOOL]}"#),
            (GEMINI, r#"{"tools":[TOOL]}"#),
        ],
    ),
    of(
        "tool: description",
        facts::tool_descriptions,
        &[
            (
                CHAT,
                r#"{"tools":[{"type":"function","function":{"name":"toll","description":"Works out a toll."}}]}"#,
            ),
            (
                RESPONSES,
                r#"{"tools":[{"type":"function","name":"toll","description":"Works out a toll.","strict":false,"parameters":{"type":"object","properties":{}}}]}"#,
            ),
            (
                CLAUDE,
                r#"{"tools":[{"name":"toll","description":"Works out a toll.","input_schema":{"type":"object"}}]}"#,
            ),
            (
                GEMINI,
                r#"{"tools":[{"functionDeclarations":[{"name":"toll","description":"Works out a toll."}]}]}"#,
            ),
        ],
    ),
    of(
        "tool: a name that is too long elsewhere",
        facts::tool_names,
        &[
            (
                CLAUDE,
                r#"{"tools":[{"name":"works_out_the_toll_of_a_lorry_that_crosses_a_bridge_on_a_day_of_the_week","input_schema":{"type":"object"}}]}"#,
            ),
            (GEMINI, r#"{"tools":[{"functionDeclarations":[{"name":"bridge.toll:lorry"}]}]}"#),
        ],
    ),
    of(
        "tool: strict",
        facts::tool_strict,
        &[
            (
                CHAT,
                r#"{"tools":[{"type":"function","function":{"name":"toll","strict":true,"parameters":{"type":"object","properties":{"axles":{"type":"integer"}},"required":["axles"],"additionalProperties":false}}}]}"#,
            ),
            (
                RESPONSES,
                r#"{"tools":[{"type":"function","name":"toll","strict":true,"parameters":{"type":"object","properties":{"axles":{"type":"integer"}},"required":["axles"],"additionalProperties":false}}]}"#,
            ),
            (
                CLAUDE,
                r#"{"tools":[{"name":"toll","strict":true,"input_schema":{"type":"object","properties":{"axles":{"type":"integer"}},"required":["axles"],"additionalProperties":false}}]}"#,
            ),
            (
                GEMINI,
                r#"{"tools":[TOOL],"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}}}"#,
            ),
        ],
    ),
    of(
        "tool: free text as its argument",
        facts::free_text,
        &[
            (CHAT, r#"{"tools":[{"type":"custom","custom":{"name":"note"}}]}"#),
            (RESPONSES, r#"{"tools":[{"type":"custom","name":"note"}]}"#),
        ],
    ),
    of(
        "tool choice: auto",
        facts::tool_choice,
        &[
            (CHAT, r#"{"tools":[TOOL],"tool_choice":"auto"}"#),
            (RESPONSES, r#"{"tools":[TOOL],"tool_choice":"auto"}"#),
            (CLAUDE, r#"{"tools":[TOOL],"tool_choice":{"type":"auto"}}"#),
            (GEMINI, r#"{"tools":[TOOL],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}}}"#),
        ],
    ),
    of(
        "tool choice: none",
        facts::tool_choice,
        &[
            (CHAT, r#"{"tools":[TOOL],"tool_choice":"none"}"#),
            (RESPONSES, r#"{"tools":[TOOL],"tool_choice":"none"}"#),
            (CLAUDE, r#"{"tools":[TOOL],"tool_choice":{"type":"none"}}"#),
            (GEMINI, r#"{"tools":[TOOL],"toolConfig":{"functionCallingConfig":{"mode":"NONE"}}}"#),
        ],
    ),
    of(
        "tool choice: any",
        facts::tool_choice,
        &[
            (CHAT, r#"{"tools":[TOOL],"tool_choice":"required"}"#),
            (RESPONSES, r#"{"tools":[TOOL],"tool_choice":"required"}"#),
            (CLAUDE, r#"{"tools":[TOOL],"tool_choice":{"type":"any"}}"#),
            (GEMINI, r#"{"tools":[TOOL],"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}}"#),
        ],
    ),
    of(
        "tool choice: one by name",
        facts::tool_choice,
        &[
            (
                CHAT,
                r#"{"tools":[TOOL],"tool_choice":{"type":"function","function":{"name":"toll"}}}"#,
            ),
            (RESPONSES, r#"{"tools":[TOOL],"tool_choice":{"type":"function","name":"toll"}}"#),
            (CLAUDE, r#"{"tools":[TOOL],"tool_choice":{"type":"tool","name":"toll"}}"#),
            (
                GEMINI,
                r#"{"tools":[TOOL],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["toll"]}}}"#,
            ),
        ],
    ),
    of(
        "tool choice: some of them",
        facts::tool_choice,
        &[
            (
                CHAT,
                r#"{"tools":[TOOL,{"type":"function","function":{"name":"weigh"}},{"type":"function","function":{"name":"close"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"toll"}},{"type":"function","function":{"name":"weigh"}}]}}}"#,
            ),
            (
                RESPONSES,
                r#"{"tools":[TOOL,{"type":"function","name":"weigh","strict":false},{"type":"function","name":"close","strict":false}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"toll"},{"type":"function","name":"weigh"}]}}"#,
            ),
            (
                GEMINI,
                r#"{"tools":[{"functionDeclarations":[{"name":"toll"},{"name":"weigh"},{"name":"close"}]}],"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED","allowedFunctionNames":["toll","weigh"]}}}"#,
            ),
        ],
    ),
    of(
        "one call at a time",
        facts::parallel,
        &[
            (CHAT, r#"{"tools":[TOOL],"parallel_tool_calls":false}"#),
            (RESPONSES, r#"{"tools":[TOOL],"parallel_tool_calls":false}"#),
            (
                CLAUDE,
                r#"{"tools":[TOOL],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}"#,
            ),
        ],
    ),
    of(
        "calls and results",
        facts::calls,
        &[
            (
                CHAT,
                r#"{"tools":[TOOL],"messages":[{"role":"user","content":"One"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"toll","arguments":"{\"axles\":2}"}},{"id":"b","type":"function","function":{"name":"toll","arguments":"{\"axles\":3}"}}]},{"role":"tool","tool_call_id":"a","content":"8"},{"role":"tool","tool_call_id":"b","content":"12"}]}"#,
            ),
            (
                RESPONSES,
                r#"{"tools":[TOOL],"input":[{"role":"user","content":"One"},{"type":"function_call","call_id":"a","name":"toll","arguments":"{\"axles\":2}"},{"type":"function_call","call_id":"b","name":"toll","arguments":"{\"axles\":3}"},{"type":"function_call_output","call_id":"a","output":"8"},{"type":"function_call_output","call_id":"b","output":"12"}]}"#,
            ),
            (
                CLAUDE,
                r#"{"tools":[TOOL],"messages":[{"role":"user","content":"One"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"toll","input":{"axles":2}},{"type":"tool_use","id":"b","name":"toll","input":{"axles":3}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"8"},{"type":"tool_result","tool_use_id":"b","content":"12"}]}]}"#,
            ),
            (
                GEMINI,
                r#"{"tools":[TOOL],"contents":[{"role":"user","parts":[{"text":"One"}]},{"role":"model","parts":[{"functionCall":{"id":"a","name":"toll","args":{"axles":2}}},{"functionCall":{"id":"b","name":"toll","args":{"axles":3}}}]},{"role":"user","parts":[{"functionResponse":{"id":"a","name":"toll","response":{"output":"8"}}},{"functionResponse":{"id":"b","name":"toll","response":{"output":"12"}}}]}]}"#,
            ),
        ],
    ),
    of(
        "result of a tool that failed",
        facts::failed,
        &[
            (
                CLAUDE,
                r#"{"tools":[TOOL],"messages":[{"role":"user","content":"One"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"toll","input":{"axles":2}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"closed","is_error":true}]}]}"#,
            ),
            (
                GEMINI,
                r#"{"tools":[TOOL],"contents":[{"role":"user","parts":[{"text":"One"}]},{"role":"model","parts":[{"functionCall":{"id":"a","name":"toll","args":{"axles":2}}}]},{"role":"user","parts":[{"functionResponse":{"id":"a","name":"toll","response":{"error":"closed"}}}]}]}"#,
            ),
        ],
    ),
    of(
        "picture in a result",
        facts::result_media,
        &[
            (
                RESPONSES,
                r#"{"tools":[TOOL],"input":[{"role":"user","content":"One"},{"type":"function_call","call_id":"a","name":"toll","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":[{"type":"input_image","image_url":"data:image/png;base64,PNG"}]}]}"#,
            ),
            (
                CLAUDE,
                r#"{"tools":[TOOL],"messages":[{"role":"user","content":"One"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"toll","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"PNG"}}]}]}]}"#,
            ),
            (
                GEMINI,
                r#"{"tools":[TOOL],"contents":[{"role":"user","parts":[{"text":"One"}]},{"role":"model","parts":[{"functionCall":{"id":"a","name":"toll","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"id":"a","name":"toll","response":{"output":""},"parts":[{"inlineData":{"mimeType":"image/png","data":"PNG"}}]}}]}]}"#,
            ),
        ],
    ),
    of(
        "answer as JSON",
        facts::format,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":"As JSON"}],"response_format":{"type":"json_object"}}"#,
            ),
            (RESPONSES, r#"{"input":"As JSON","text":{"format":{"type":"json_object"}}}"#),
            (
                GEMINI,
                r#"{"contents":[{"role":"user","parts":[{"text":"As JSON"}]}],"generationConfig":{"responseMimeType":"application/json"}}"#,
            ),
        ],
    ),
    of(
        "answer by a schema",
        facts::format,
        &[
            (
                CHAT,
                r#"{"response_format":{"type":"json_schema","json_schema":{"name":"toll","strict":true,"schema":{"type":"object","properties":{"axles":{"type":"integer"}},"required":["axles"],"additionalProperties":false}}}}"#,
            ),
            (
                RESPONSES,
                r#"{"text":{"format":{"type":"json_schema","name":"toll","strict":true,"schema":{"type":"object","properties":{"axles":{"type":"integer"}},"required":["axles"],"additionalProperties":false}}}}"#,
            ),
            (
                CLAUDE,
                r#"{"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"axles":{"type":"integer"}},"required":["axles"],"additionalProperties":false}}}}"#,
            ),
            (
                GEMINI,
                r#"{"generationConfig":{"responseMimeType":"application/json","responseJsonSchema":{"type":"object","properties":{"axles":{"type":"integer"}},"required":["axles"],"additionalProperties":false}}}"#,
            ),
        ],
    ),
    of(
        "description of the schema",
        facts::format_description,
        &[
            (
                CHAT,
                r#"{"response_format":{"type":"json_schema","json_schema":{"name":"toll","description":"A toll.","schema":{"type":"object"}}}}"#,
            ),
            (
                RESPONSES,
                r#"{"text":{"format":{"type":"json_schema","name":"toll","description":"A toll.","schema":{"type":"object"}}}}"#,
            ),
        ],
    ),
    of(
        "thinking: little",
        facts::effort,
        &[
            (CHAT, r#"{"reasoning_effort":"low"}"#),
            (RESPONSES, r#"{"reasoning":{"effort":"low"}}"#),
            (CLAUDE, r#"{"thinking":{"type":"adaptive"},"output_config":{"effort":"low"}}"#),
            (GEMINI, r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"LOW"}}}"#),
        ],
    ),
    of(
        "thinking: middling",
        facts::effort,
        &[
            (CHAT, r#"{"reasoning_effort":"medium"}"#),
            (RESPONSES, r#"{"reasoning":{"effort":"medium"}}"#),
            (CLAUDE, r#"{"thinking":{"type":"adaptive"},"output_config":{"effort":"medium"}}"#),
            (GEMINI, r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"MEDIUM"}}}"#),
        ],
    ),
    of(
        "thinking: much",
        facts::effort,
        &[
            (CHAT, r#"{"reasoning_effort":"high"}"#),
            (RESPONSES, r#"{"reasoning":{"effort":"high"}}"#),
            (CLAUDE, r#"{"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}}"#),
            (GEMINI, r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"HIGH"}}}"#),
        ],
    ),
    of(
        "thinking: very much",
        facts::effort,
        &[
            (CHAT, r#"{"reasoning_effort":"xhigh"}"#),
            (RESPONSES, r#"{"reasoning":{"effort":"xhigh"}}"#),
            (CLAUDE, r#"{"thinking":{"type":"adaptive"},"output_config":{"effort":"xhigh"}}"#),
            (GEMINI, r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"XHIGH"}}}"#),
        ],
    ),
    of(
        "thinking: as much as can be",
        facts::effort,
        &[
            (CHAT, r#"{"reasoning_effort":"max"}"#),
            (RESPONSES, r#"{"reasoning":{"effort":"max"}}"#),
            (CLAUDE, r#"{"thinking":{"type":"adaptive"},"output_config":{"effort":"max"}}"#),
        ],
    ),
    of(
        "thinking: none",
        facts::effort,
        &[
            (CHAT, r#"{"reasoning_effort":"none"}"#),
            (RESPONSES, r#"{"reasoning":{"effort":"none"}}"#),
            (CLAUDE, r#"{"thinking":{"type":"disabled"}}"#),
            (GEMINI, r#"{"generationConfig":{"thinkingConfig":{"thinkingBudget":0}}}"#),
        ],
    ),
    of(
        "thinking: as the model sees fit",
        facts::thinks,
        &[
            (CLAUDE, r#"{"thinking":{"type":"adaptive"}}"#),
            (
                GEMINI,
                r#"{"generationConfig":{"thinkingConfig":{"thinkingBudget":-1,"includeThoughts":true}}}"#,
            ),
        ],
    ),
    of(
        "thinking: a budget of tokens",
        facts::budget,
        &[
            (CHAT, r#"{"reasoning":{"max_tokens":2000}}"#),
            (CLAUDE, r#"{"thinking":{"type":"enabled","budget_tokens":2000}}"#),
            (GEMINI, r#"{"generationConfig":{"thinkingConfig":{"thinkingBudget":2000}}}"#),
        ],
    ),
    of(
        "thinking: shown",
        facts::show,
        &[
            (CHAT, r#"{"reasoning":{"effort":"high","exclude":false}}"#),
            (RESPONSES, r#"{"reasoning":{"effort":"high","summary":"auto"}}"#),
            (
                CLAUDE,
                r#"{"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"}}"#,
            ),
            (
                GEMINI,
                r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"HIGH","includeThoughts":true}}}"#,
            ),
        ],
    ),
    of(
        "thinking: hidden",
        facts::show,
        &[
            (CHAT, r#"{"reasoning":{"effort":"high","exclude":true}}"#),
            (
                CLAUDE,
                r#"{"thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"high"}}"#,
            ),
            (
                GEMINI,
                r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"HIGH","includeThoughts":false}}}"#,
            ),
        ],
    ),
    of(
        "thinking: the least",
        facts::effort,
        &[
            (CHAT, r#"{"reasoning_effort":"minimal"}"#),
            (RESPONSES, r#"{"reasoning":{"effort":"minimal"}}"#),
            (GEMINI, r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"MINIMAL"}}}"#),
        ],
    ),
    of(
        "thoughts in the history, with their seal",
        facts::thoughts,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":"Two","reasoning_details":[{"type":"reasoning.text","text":"Hm.","signature":"c2ln","format":"anthropic-claude-v1","index":0}]},{"role":"user","content":"Three"}]}"#,
            ),
            (
                RESPONSES,
                r#"{"store":false,"input":[{"role":"user","content":"One"},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"gAAAA"},{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Two","annotations":[]}]},{"role":"user","content":"Three"}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"text","text":"Two"}]},{"role":"user","content":"Three"}]}"#,
            ),
            (
                GEMINI,
                r#"{"contents":[{"role":"user","parts":[{"text":"One"}]},{"role":"model","parts":[{"text":"Hm.","thought":true},{"text":"Two","thoughtSignature":"c2ln"}]},{"role":"user","parts":[{"text":"Three"}]}]}"#,
            ),
        ],
    ),
    of(
        "thoughts in the history, withheld",
        facts::thoughts,
        &[(
            CLAUDE,
            r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":[{"type":"redacted_thinking","data":"c2ln"},{"type":"text","text":"Two"}]},{"role":"user","content":"Three"}]}"#,
        )],
    ),
    of(
        "thoughts in the history, plain",
        facts::thoughts,
        &[(
            CHAT,
            r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":"Two","reasoning_content":"Hm."},{"role":"user","content":"Three"}]}"#,
        )],
    ),
    of(
        "seal of a call",
        facts::call_seal,
        &[(
            GEMINI,
            r#"{"tools":[TOOL],"contents":[{"role":"user","parts":[{"text":"One"}]},{"role":"model","parts":[{"functionCall":{"id":"a","name":"toll","args":{}},"thoughtSignature":"c2ln"}]},{"role":"user","parts":[{"functionResponse":{"id":"a","name":"toll","response":{"output":"8"}}}]}]}"#,
        )],
    ),
    of(
        "temperature",
        facts::temperature,
        &[
            (CHAT, r#"{"temperature":0.5}"#),
            (RESPONSES, r#"{"temperature":0.5}"#),
            (CLAUDE, r#"{"temperature":0.5}"#),
            (GEMINI, r#"{"generationConfig":{"temperature":0.5}}"#),
        ],
    ),
    of(
        "temperature above 1",
        facts::temperature,
        &[
            (CHAT, r#"{"temperature":1.5}"#),
            (RESPONSES, r#"{"temperature":1.5}"#),
            (GEMINI, r#"{"generationConfig":{"temperature":1.5}}"#),
        ],
    ),
    of(
        "top_p",
        facts::top_p,
        &[
            (CHAT, r#"{"top_p":0.5}"#),
            (RESPONSES, r#"{"top_p":0.5}"#),
            (CLAUDE, r#"{"top_p":0.5}"#),
            (GEMINI, r#"{"generationConfig":{"topP":0.5}}"#),
        ],
    ),
    of(
        "top_k",
        facts::top_k,
        &[(CLAUDE, r#"{"top_k":40}"#), (GEMINI, r#"{"generationConfig":{"topK":40}}"#)],
    ),
    of(
        "presence penalty",
        facts::presence,
        &[
            (CHAT, r#"{"presence_penalty":0.5}"#),
            (GEMINI, r#"{"generationConfig":{"presencePenalty":0.5}}"#),
        ],
    ),
    of(
        "frequency penalty",
        facts::frequency,
        &[
            (CHAT, r#"{"frequency_penalty":0.5}"#),
            (GEMINI, r#"{"generationConfig":{"frequencyPenalty":0.5}}"#),
        ],
    ),
    of(
        "seed",
        facts::seed,
        &[(CHAT, r#"{"seed":7}"#), (GEMINI, r#"{"generationConfig":{"seed":7}}"#)],
    ),
    of("seed of more than 32 bits", facts::seed, &[(CHAT, r#"{"seed":5000000000}"#)]),
    of(
        "stop text",
        facts::stop,
        &[
            (CHAT, r#"{"stop":"END"}"#),
            (CLAUDE, r#"{"stop_sequences":["END"]}"#),
            (GEMINI, r#"{"generationConfig":{"stopSequences":["END"]}}"#),
        ],
    ),
    of(
        "six stop texts",
        facts::stop,
        &[(CLAUDE, r#"{"stop_sequences":["a","b","c","d","e","f"]}"#)],
    ),
    own("log probabilities", "logprobs", &[(CHAT, r#"{"logprobs":true}"#)]),
    own(
        "log probabilities",
        "generationConfig.responseLogprobs",
        &[(GEMINI, r#"{"generationConfig":{"responseLogprobs":true}}"#)],
    ),
    own(
        "likeliest tokens",
        "top_logprobs",
        &[(CHAT, r#"{"logprobs":true,"top_logprobs":3}"#), (RESPONSES, r#"{"top_logprobs":3}"#)],
    ),
    own("several answers", "n", &[(CHAT, r#"{"n":2}"#)]),
    own(
        "several answers",
        "generationConfig.candidateCount",
        &[(GEMINI, r#"{"generationConfig":{"candidateCount":2}}"#)],
    ),
    own("likelihood of tokens", "logit_bias", &[(CHAT, r#"{"logit_bias":{"50256":-100}}"#)]),
    of(
        "most tokens",
        facts::max_tokens,
        &[
            (CHAT, r#"{"max_completion_tokens":2000}"#),
            (RESPONSES, r#"{"max_output_tokens":2000}"#),
            (CLAUDE, r#"{"max_tokens":2000}"#),
            (GEMINI, r#"{"generationConfig":{"maxOutputTokens":2000}}"#),
        ],
    ),
    of(
        "stream",
        facts::stream,
        &[
            (CHAT, r#"{"stream":true}"#),
            (RESPONSES, r#"{"stream":true}"#),
            (CLAUDE, r#"{"stream":true}"#),
        ],
    ),
    of(
        "end user",
        facts::user,
        &[
            (CHAT, r#"{"user":"customer-1"}"#),
            (RESPONSES, r#"{"safety_identifier":"customer-1"}"#),
            (CLAUDE, r#"{"metadata":{"user_id":"customer-1"}}"#),
        ],
    ),
    of(
        "end user, a very long name",
        facts::user,
        &[
            (
                CHAT,
                r#"{"user":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#,
            ),
            (
                CLAUDE,
                r#"{"metadata":{"user_id":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}"#,
            ),
        ],
    ),
    of(
        "tier: flex",
        facts::tier,
        &[
            (CHAT, r#"{"service_tier":"flex"}"#),
            (RESPONSES, r#"{"service_tier":"flex"}"#),
            (GEMINI, r#"{"serviceTier":"flex"}"#),
        ],
    ),
    of(
        "tier: default",
        facts::tier,
        &[
            (CHAT, r#"{"service_tier":"default"}"#),
            (RESPONSES, r#"{"service_tier":"default"}"#),
            (CLAUDE, r#"{"service_tier":"standard_only"}"#),
        ],
    ),
    of(
        "verbosity",
        facts::verbosity,
        &[(CHAT, r#"{"verbosity":"low"}"#), (RESPONSES, r#"{"text":{"verbosity":"low"}}"#)],
    ),
    of(
        "cache marker",
        facts::cache,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"Hello","cache_control":{"type":"ephemeral"}}]}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"Hello","prompt_cache_breakpoint":{"mode":"explicit"}}]}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"Hello","cache_control":{"type":"ephemeral"}}]}]}"#,
            ),
        ],
    ),
    of(
        "cache marker, long",
        facts::cache,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"Hello","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"Hello","prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}}]}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"Hello","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}"#,
            ),
        ],
    ),
    of(
        "cache marker behind tools",
        facts::tool_cache,
        &[
            (
                CHAT,
                r#"{"tools":[{"type":"function","function":{"name":"toll"},"cache_control":{"type":"ephemeral"}}]}"#,
            ),
            (
                CLAUDE,
                r#"{"tools":[{"name":"toll","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}]}"#,
            ),
        ],
    ),
    own(
        "key of the prompt cache",
        "prompt_cache_key",
        &[(CHAT, r#"{"prompt_cache_key":"k"}"#), (RESPONSES, r#"{"prompt_cache_key":"k"}"#)],
    ),
    own(
        "cache made beforehand",
        "cachedContent",
        &[(GEMINI, r#"{"cachedContent":"cachedContents/1"}"#)],
    ),
    of(
        "sources in the history",
        facts::citations,
        &[
            (
                CHAT,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":"Two","annotations":[{"type":"url_citation","url_citation":{"url":"https://example.com","title":"T","start_index":0,"end_index":3}}]},{"role":"user","content":"Three"}]}"#,
            ),
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":"One"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Two","annotations":[{"type":"url_citation","url":"https://example.com","title":"T","start_index":0,"end_index":3}]}]},{"role":"user","content":"Three"}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":[{"type":"text","text":"Two","citations":[{"type":"web_search_result_location","url":"https://example.com","title":"T","cited_text":"t","encrypted_index":"c2ln"}]}]},{"role":"user","content":"Three"}]}"#,
            ),
        ],
    ),
    of(
        "search of the web",
        facts::hosted,
        &[
            (CHAT, r#"{"web_search_options":{}}"#),
            (RESPONSES, r#"{"tools":[{"type":"web_search"}]}"#),
            (CLAUDE, r#"{"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#),
            (GEMINI, r#"{"tools":[{"googleSearch":{}}]}"#),
        ],
    ),
    of(
        "search: most searches",
        facts::search_uses,
        &[(
            CLAUDE,
            r#"{"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3}]}"#,
        )],
    ),
    of(
        "search: only these sites",
        facts::search_only,
        &[
            (
                RESPONSES,
                r#"{"tools":[{"type":"web_search","filters":{"allowed_domains":["example.com"]}}]}"#,
            ),
            (
                CLAUDE,
                r#"{"tools":[{"type":"web_search_20250305","name":"web_search","allowed_domains":["example.com"]}]}"#,
            ),
        ],
    ),
    of(
        "search: not these sites",
        facts::search_not,
        &[(
            CLAUDE,
            r#"{"tools":[{"type":"web_search_20250305","name":"web_search","blocked_domains":["example.com"]}]}"#,
        )],
    ),
    of(
        "search: where the user is",
        facts::search_place,
        &[
            (
                CHAT,
                r#"{"web_search_options":{"user_location":{"type":"approximate","approximate":{"city":"Patras","country":"GR"}}}}"#,
            ),
            (
                RESPONSES,
                r#"{"tools":[{"type":"web_search","user_location":{"type":"approximate","city":"Patras","country":"GR"}}]}"#,
            ),
            (
                CLAUDE,
                r#"{"tools":[{"type":"web_search_20250305","name":"web_search","user_location":{"type":"approximate","city":"Patras","country":"GR"}}]}"#,
            ),
        ],
    ),
    of(
        "search: how much to read",
        facts::search_depth,
        &[
            (CHAT, r#"{"web_search_options":{"search_context_size":"low"}}"#),
            (RESPONSES, r#"{"tools":[{"type":"web_search","search_context_size":"low"}]}"#),
        ],
    ),
    of(
        "reading of web pages",
        facts::hosted,
        &[
            (CLAUDE, r#"{"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]}"#),
            (GEMINI, r#"{"tools":[{"urlContext":{}}]}"#),
        ],
    ),
    of(
        "running of code",
        facts::hosted,
        &[
            (RESPONSES, r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}"#),
            (CLAUDE, r#"{"tools":[{"type":"code_execution_20250825","name":"code_execution"}]}"#),
            (GEMINI, r#"{"tools":[{"codeExecution":{}}]}"#),
        ],
    ),
    of(
        "search in files",
        facts::hosted,
        &[
            (RESPONSES, r#"{"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]}"#),
            (GEMINI, r#"{"tools":[{"fileSearch":{"fileSearchStoreNames":["s"]}}]}"#),
        ],
    ),
    of(
        "work of the provider's tools in the history",
        facts::native_blocks,
        &[
            (
                RESPONSES,
                r#"{"input":[{"role":"user","content":"One"},{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"tolls"}},{"role":"assistant","content":"Two"},{"role":"user","content":"Three"}]}"#,
            ),
            (
                CLAUDE,
                r#"{"messages":[{"role":"user","content":"One"},{"role":"assistant","content":[{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"tolls"}},{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[]},{"type":"text","text":"Two"}]},{"role":"user","content":"Three"}],"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#,
            ),
            (
                GEMINI,
                r#"{"contents":[{"role":"user","parts":[{"text":"One"}]},{"role":"model","parts":[{"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}},{"text":"Two"}]},{"role":"user","parts":[{"text":"Three"}]}]}"#,
            ),
        ],
    ),
    of(
        "phase of an answer",
        facts::native_blocks,
        &[(
            RESPONSES,
            r#"{"input":[{"role":"user","content":"One"},{"type":"message","role":"assistant","phase":"commentary","content":[{"type":"output_text","text":"Two","annotations":[]}]},{"role":"user","content":"Three"}]}"#,
        )],
    ),
    own(
        "labels",
        "metadata",
        &[
            (CHAT, r#"{"store":true,"metadata":{"a":"b"}}"#),
            (RESPONSES, r#"{"metadata":{"a":"b"}}"#),
        ],
    ),
    own(
        "answer kept by the provider",
        "store",
        &[(CHAT, r#"{"store":true}"#), (RESPONSES, r#"{"store":true}"#)],
    ),
    own(
        "an earlier answer, by id",
        "previous_response_id",
        &[(RESPONSES, r#"{"previous_response_id":"resp_1"}"#)],
    ),
    own(
        "a conversation kept by the provider",
        "thread",
        &[(CLAUDE, r#"{"thread":{"type":"create"}}"#)],
    ),
    own("a conversation, by id", "conversation", &[(RESPONSES, r#"{"conversation":"conv_1"}"#)]),
    own("a prompt, by id", "prompt", &[(RESPONSES, r#"{"prompt":{"id":"pmpt_1"}}"#)]),
    own("answer in the background", "background", &[(RESPONSES, r#"{"background":true}"#)]),
    own("cutting of long conversations", "truncation", &[(RESPONSES, r#"{"truncation":"auto"}"#)]),
    own("most calls of tools", "max_tool_calls", &[(RESPONSES, r#"{"max_tool_calls":3}"#)]),
    own(
        "likely text of the answer",
        "prediction",
        &[(CHAT, r#"{"prediction":{"type":"content","content":"x"}}"#)],
    ),
    own(
        "spoken answer",
        "modalities",
        &[(CHAT, r#"{"modalities":["text","audio"],"audio":{"voice":"alloy","format":"wav"}}"#)],
    ),
    own(
        "pictures as an answer",
        "generationConfig.responseModalities",
        &[(GEMINI, r#"{"generationConfig":{"responseModalities":["TEXT","IMAGE"]}}"#)],
    ),
    own(
        "filters of safety",
        "safetySettings",
        &[(
            GEMINI,
            r#"{"safetySettings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}]}"#,
        )],
    ),
    own(
        "servers of tools",
        "mcp_servers",
        &[(
            CLAUDE,
            r#"{"mcp_servers":[{"type":"url","url":"https://example.com/mcp","name":"x"}]}"#,
        )],
    ),
    own("a container that is kept", "container", &[(CLAUDE, r#"{"container":"container_1"}"#)]),
    own(
        "clearing of the context",
        "context_management",
        &[(CLAUDE, r#"{"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}}"#)],
    ),
    own(
        "a field that nobody knows",
        "brand_new",
        &[
            (CHAT, r#"{"brand_new":{"a":1}}"#),
            (RESPONSES, r#"{"brand_new":{"a":1}}"#),
            (CLAUDE, r#"{"brand_new":{"a":1}}"#),
        ],
    ),
    own("a field that nobody knows", "brandNew", &[(GEMINI, r#"{"brandNew":{"a":1}}"#)]),
];
