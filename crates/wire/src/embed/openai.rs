//! `OpenAI` embeddings. <https://platform.openai.com/docs/api-reference/embeddings>

use serde::Serialize;

use super::{Embed, Embedded, Encoding, Input, Vector};
use crate::chat::Native;
use crate::json::{self, Json, Malformed, wire};
use crate::openai_chat::{NAME, usage};
use crate::{Target, Unsupported, Written, unknown};

wire! {
    struct Request {
        model: String,
        input: Json,
        dimensions: u64,
        encoding_format: String,
        user: String,
    }
    struct Answer {
        data: Vec<Item>,
        model: String,
    }
    struct Item {
        embedding: Json,
        index: u64,
    }
}

/// Reads a client's request.
pub fn read_request(body: &[u8]) -> Result<Embed, Malformed> {
    let text = json::utf8(body)?;
    let mut native = Vec::new();
    let request: Request = unknown::read(text, "", NAME, "", &mut native)?;
    let encoding = match request.encoding_format.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => return Err(Malformed::new("encoding_format", "must be float or base64")),
    };
    let missing = |name: &str| Malformed::new(name, "missing; it is required");
    Ok(Embed {
        model: request.model.ok_or_else(|| missing("model"))?,
        inputs: inputs(&request.input.ok_or_else(|| missing("input"))?)?,
        dimensions: request.dimensions,
        task: None,
        title: None,
        encoding,
        user: request.user,
        native,
    })
}

/// A text, a list of texts, a text in tokens, or a list of those.
fn inputs(input: &Json) -> Result<Vec<Input>, Malformed> {
    let wrong = || Malformed::new("input", "must be a string or an array of strings or of tokens");
    if let Some(text) = input.as_string() {
        return Ok(vec![Input::Text(text)]);
    }
    let list: Vec<Json> = serde_json::from_str(input.get()).map_err(|_| wrong())?;
    let is_token = |item: &Json| item.get().starts_with(|first: char| first.is_ascii_digit());
    let tokens = |raw: &Json| Native { dialect: NAME, field: "input".to_owned(), raw: raw.clone() };
    if list.first().is_some_and(is_token) {
        return Ok(vec![Input::Native(tokens(input))]);
    }
    let one = |item: &Json| match item.as_string() {
        Some(text) => Ok(Input::Text(text)),
        None if item.get().starts_with('[') => Ok(Input::Native(tokens(item))),
        None => Err(wrong()),
    };
    match list.as_slice() {
        [] => Err(wrong()),
        list => list.iter().map(one).collect(),
    }
}

/// Writes a request for a provider.
pub fn write_request(embed: &Embed, target: &Target<'_>) -> Result<Written, Unsupported> {
    let (own, mut dropped) = embed.for_dialect(NAME)?;
    dropped.unless_none("taskType", embed.task.as_ref());
    dropped.unless_none("title", embed.title.as_ref());
    let inputs = embed.inputs.iter().map(|input| match input {
        Input::Text(text) => Json::of(text),
        Input::Native(native) => native.raw.clone(),
    });
    let inputs: Vec<Json> = inputs.collect();
    let request = Request {
        model: Some(target.model.to_owned()),
        input: Some(Json::of(&inputs)),
        dimensions: embed.dimensions,
        encoding_format: Some(
            match embed.encoding {
                Encoding::Float => "float",
                Encoding::Base64 => "base64",
            }
            .to_owned(),
        ),
        user: embed.user.clone(),
    };
    Ok(dropped.written(&json::object_with(&request, &own)))
}

/// Reads a provider's answer.
pub fn read_reply(body: &[u8]) -> Result<Embedded, Malformed> {
    let answer: Answer = json::read(json::utf8(body)?, "")?;
    let mut items = answer.data.ok_or_else(|| Malformed::new("data", "missing"))?;
    items.sort_by_key(|item| item.index);
    let vector = |item: Item| {
        let raw = item.embedding.ok_or_else(|| Malformed::new("data.embedding", "missing"))?;
        Ok(raw.as_string().map_or(Vector::Numbers(raw), Vector::Base64))
    };
    Ok(Embedded {
        model: answer.model.unwrap_or_default(),
        vectors: items.into_iter().map(vector).collect::<Result<_, _>>()?,
        usage: usage::read_body(body)?,
    })
}

/// Writes an answer for a client who asked for vectors in that encoding. Fails on a vector that is none.
pub fn write_reply(embedded: &Embedded, encoding: Encoding) -> Result<Vec<u8>, Malformed> {
    #[derive(Serialize)]
    struct Out<'a> {
        object: &'static str,
        data: Vec<OutItem>,
        model: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<OutUsage>,
    }
    #[derive(Serialize)]
    struct OutItem {
        object: &'static str,
        index: usize,
        embedding: Json,
    }
    #[derive(Serialize)]
    struct OutUsage {
        prompt_tokens: u64,
        total_tokens: u64,
    }
    let mut data = Vec::new();
    for (index, vector) in embedded.vectors.iter().enumerate() {
        let embedding = match encoding {
            Encoding::Float => vector.numbers()?.into_owned(),
            Encoding::Base64 => Json::of(&vector.base64()?),
        };
        data.push(OutItem { object: "embedding", index, embedding });
    }
    let tokens = embedded.usage.as_ref().map(|report| report.total().input_tokens());
    let usage = tokens.map(|n| OutUsage { prompt_tokens: n, total_tokens: n });
    let out = Out { object: "list", data, model: &embedded.model, usage };
    Ok(Json::of(&out).get().as_bytes().to_vec())
}
