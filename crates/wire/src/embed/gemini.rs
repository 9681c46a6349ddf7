//! Gemini `embedContent` and `batchEmbedContents`. <https://ai.google.dev/api/embeddings>
//!
//! A provider is always sent a batch, which may be of one. A client of `embedContent` gets one vector.

use serde::Serialize;

use super::{Embed, Embedded, Input, Vector};
use crate::chat::Native;
use crate::gemini::{NAME, one_or_many, usage};
use crate::json::{self, Json, Malformed, wire};
use crate::{Target, Unsupported, Written, unknown};

wire! {
    struct Batch { requests: Vec<Json> }
    #[serde(rename_all = "camelCase")]
    struct Request {
        model: String,
        content: Json,
        #[serde(alias = "task_type")]
        task_type: String,
        title: String,
        #[serde(alias = "output_dimensionality")]
        output_dimensionality: u64,
    }
    struct Content {
        #[serde(default, deserialize_with = "one_or_many")]
        parts: Vec<Json>,
    }
    struct Part { text: String }
    #[serde(rename_all = "camelCase")]
    struct Answer {
        embedding: Values,
        embeddings: Vec<Values>,
        usage_metadata: Json,
    }
    struct Values { values: Json }
}

/// Reads a client's request of either kind. The terms of a batch must be the same for all of it: no other dialect has
/// them for each input.
pub fn read_request(body: &[u8]) -> Result<Embed, Malformed> {
    let text = json::utf8(body)?;
    let batch: Batch = json::read(text, "")?;
    let Some(requests) = batch.requests else {
        let (input, terms) = one(text, "")?;
        return Ok(Embed { inputs: vec![input], ..terms });
    };
    let mut all: Option<Embed> = None;
    let mut inputs = Vec::new();
    for (i, raw) in requests.iter().enumerate() {
        let path = format!("requests[{i}]");
        let (input, terms) = one(raw.get(), &path)?;
        inputs.push(input);
        if *all.get_or_insert_with(|| terms.clone()) != terms {
            let problem = "must ask for the same as the first request, but for the content";
            return Err(Malformed::new(path, problem));
        }
    }
    let terms = all.ok_or_else(|| Malformed::new("requests", "must hold at least one request"))?;
    Ok(Embed { inputs, ..terms })
}

/// One input, and its terms as a request without inputs.
fn one(text: &str, path: &str) -> Result<(Input, Embed), Malformed> {
    let mut native = Vec::new();
    let request: Request = unknown::read(text, path, NAME, "", &mut native)?;
    let at = format!("{path}{}content", if path.is_empty() { "" } else { "." });
    let content = request.content.ok_or_else(|| Malformed::new(&at, "missing"))?;
    let terms = Embed {
        model: request.model.unwrap_or_default(),
        dimensions: request.output_dimensionality,
        task: request.task_type,
        title: request.title,
        native,
        ..Embed::default()
    };
    Ok((input(&content, &at)?, terms))
}

fn input(content: &Json, path: &str) -> Result<Input, Malformed> {
    let parts = json::read::<Content>(content.get(), path)?.parts.unwrap_or_default();
    if let [only] = parts.as_slice()
        && unknown::members::<Part>(only.get(), "").is_empty()
        && let Some(text) = json::read::<Part>(only.get(), &format!("{path}.parts[0]"))?.text
    {
        return Ok(Input::Text(text));
    }
    let field = "content".to_owned();
    Ok(Input::Native(Native { dialect: NAME, field, raw: content.clone() }))
}

/// Writes a `batchEmbedContents` for a provider.
pub fn write_request(embed: &Embed, target: &Target<'_>) -> Result<Written, Unsupported> {
    let (own, mut dropped) = embed.for_dialect(NAME)?;
    dropped.unless_none("user", embed.user.as_ref());
    let id = target.model.strip_prefix("models/").unwrap_or(target.model);
    let request = |input: &Input| {
        let content = match input {
            Input::Text(text) => {
                let part = Json::of(&Part { text: Some(text.clone()) });
                Json::of(&Content { parts: Some(vec![part]) })
            }
            Input::Native(native) => native.raw.clone(),
        };
        let request = Request {
            model: Some(format!("models/{id}")),
            content: Some(content),
            task_type: embed.task.clone(),
            title: embed.title.clone(),
            output_dimensionality: embed.dimensions,
        };
        json::object_with(&request, &own)
    };
    let requests = embed.inputs.iter().map(request).collect();
    Ok(dropped.written(&Json::of(&Batch { requests: Some(requests) })))
}

/// Reads a provider's answer of either kind.
pub fn read_reply(body: &[u8]) -> Result<Embedded, Malformed> {
    let answer: Answer = json::read(json::utf8(body)?, "")?;
    let all = match (answer.embeddings, answer.embedding) {
        (Some(all), _) => all,
        (None, Some(one)) => vec![one],
        (None, None) => return Err(Malformed::new("embeddings", "missing")),
    };
    let none = || Json::of(&[0_u8; 0]);
    let vector = |values: Values| Vector::Numbers(values.values.unwrap_or_else(none));
    let usage = answer
        .usage_metadata
        .map(|raw| usage::read_embeddings(raw.get()).unwrap_or_else(|_| json::unreadable()));
    Ok(Embedded { model: String::new(), vectors: all.into_iter().map(vector).collect(), usage })
}

/// Writes an answer for a client of `batchEmbedContents`, or of `embedContent`. Fails on a vector that is none.
pub fn write_reply(embedded: &Embedded, batch: bool) -> Result<Vec<u8>, Malformed> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct OutUsage {
        prompt_token_count: u64,
    }
    let values = |vector: &Vector| Ok(Values { values: Some(vector.numbers()?.into_owned()) });
    let mut vectors = embedded.vectors.iter().map(values);
    let mut answer = Answer::default();
    if batch {
        answer.embeddings = Some(vectors.collect::<Result<_, Malformed>>()?);
    } else {
        let first = vectors.next().transpose()?;
        answer.embedding = Some(first.ok_or_else(|| Malformed::new("embedding", "missing"))?);
    }
    let tokens = embedded.usage.as_ref().map(|report| report.total().input_tokens());
    answer.usage_metadata = tokens.map(|n| Json::of(&OutUsage { prompt_token_count: n }));
    Ok(Json::of(&answer).get().as_bytes().to_vec())
}
