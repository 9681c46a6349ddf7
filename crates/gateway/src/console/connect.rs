//! `/connect`: what to write into a program, for the SDKs that there are.

use askama::Template;
use axum::response::Response;
use http::header;

use super::page::{self, Desk, Frame};
use crate::problem::Problem;
use crate::web::Call;

struct Snippet {
    id: &'static str,
    title: &'static str,
    note: &'static str,
    text: String,
}

#[derive(Template)]
#[template(path = "connect.html")]
struct Page {
    frame: Frame,
    base: String,
    snippets: Vec<Snippet>,
}

/// The address under which this is reached: that of the settings, or that which the browser has used.
pub(crate) fn base(call: &Call) -> String {
    if let Some(url) = call.app.settings.public_url() {
        return url.to_owned();
    }
    let host = call.parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let authority = call.parts.uri.authority().map(http::uri::Authority::as_str);
    format!("http://{}", host.or(authority).unwrap_or("localhost:3000"))
}

/// `GET /connect`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let base = base(&call);
    let page = Page { frame: Frame::new(&call, &desk, "Connect"), snippets: snippets(&base), base };
    page::show(&page)
}

fn snippets(base: &str) -> Vec<Snippet> {
    let snippet = |id, title, note, text: String| Snippet { id, title, note, text };
    vec![
        snippet(
            "openai",
            "OpenAI SDK",
            "Python; every model, whoever serves it.",
            format!(
                "from openai import OpenAI\n\nclient = OpenAI(\n    base_url=\"{base}/v1\",\n    api_key=\"tg-…\",\n)\nanswer = client.chat.completions.create(\n    model=\"openai/gpt-4o-mini\",\n    messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}],\n)\nprint(answer.choices[0].message.content)"
            ),
        ),
        snippet(
            "anthropic",
            "Anthropic SDK",
            "Python; the base has no version.",
            format!(
                "from anthropic import Anthropic\n\nclient = Anthropic(\n    base_url=\"{base}\",\n    api_key=\"tg-…\",\n)\nanswer = client.messages.create(\n    model=\"anthropic/claude-sonnet-4-5\",\n    max_tokens=1024,\n    messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}],\n)\nprint(answer.content[0].text)"
            ),
        ),
        snippet(
            "gemini",
            "Google Gen AI SDK",
            "Python; the base has no version.",
            format!(
                "from google import genai\n\nclient = genai.Client(\n    api_key=\"tg-…\",\n    http_options={{\"base_url\": \"{base}\"}},\n)\nanswer = client.models.generate_content(\n    model=\"gemini-2.5-flash\", contents=\"Hello\"\n)\nprint(answer.text)"
            ),
        ),
        snippet(
            "openrouter",
            "OpenRouter clients",
            "TypeScript; whatever speaks to OpenRouter speaks to this.",
            format!(
                "import OpenAI from \"openai\";\n\nconst client = new OpenAI({{\n  baseURL: \"{base}/api/v1\",\n  apiKey: \"tg-…\",\n}});\nconst answer = await client.chat.completions.create({{\n  model: \"anthropic/claude-sonnet-4-5\",\n  messages: [{{ role: \"user\", content: \"Hello\" }}],\n}});\nconsole.log(answer.choices[0].message.content);"
            ),
        ),
        snippet(
            "curl",
            "curl",
            "A shell, and nothing else.",
            format!(
                "curl {base}/v1/chat/completions \\\n  -H \"authorization: Bearer tg-…\" \\\n  -H \"content-type: application/json\" \\\n  -d '{{\"model\":\"openai/gpt-4o-mini\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'"
            ),
        ),
        snippet(
            "variables",
            "Environment",
            "Most tools read these.",
            format!(
                "export OPENAI_BASE_URL=\"{base}/v1\"\nexport OPENAI_API_KEY=\"tg-…\"\n\nexport ANTHROPIC_BASE_URL=\"{base}\"\nexport ANTHROPIC_API_KEY=\"tg-…\""
            ),
        ),
    ]
}
