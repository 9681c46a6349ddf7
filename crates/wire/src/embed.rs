//! Embeddings: texts to vectors. `OpenAI` and Gemini have them, each in a shape of its own.
//!
//! A vector stays as the provider wrote it unless the client asked for the other form: numbers in their own spelling, or
//! the bytes of 32-bit floats, little end first, in base64.

pub mod gemini;
pub mod openai;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledger::UsageReport;

use crate::chat::Native;
use crate::json::{Json, Malformed};
use crate::{Dropped, Unsupported};

/// One request for embeddings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Embed {
    /// The model as the client wrote it; empty where only the path names it (Gemini).
    pub model: String,
    /// What to embed; one vector each.
    pub inputs: Vec<Input>,
    /// The length of the vectors, where it is not to be the model's own.
    pub dimensions: Option<u64>,
    /// What the vectors are for: `RETRIEVAL_QUERY` and others (Gemini).
    pub task: Option<String>,
    /// The title of the document (Gemini).
    pub title: Option<String>,
    /// How the vectors are to be written (`OpenAI`).
    pub encoding: Encoding,
    /// An opaque name of the end user.
    pub user: Option<String>,
    /// Fields that only the source dialect knows.
    pub native: Vec<Native>,
}

/// A text, or something else to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A text.
    Text(String),
    /// What only its own dialect takes: a text that is already cut into tokens (`OpenAI`), a content of several parts or
    /// of pictures (Gemini).
    Native(Native),
}

/// How vectors are written.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As numbers.
    #[default]
    Float,
    /// As bytes in base64.
    Base64,
}

/// The answer to an [`Embed`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embedded {
    /// The model that answered; empty where the provider does not say.
    pub model: String,
    /// One vector for each input, in order.
    pub vectors: Vec<Vector>,
    /// What was used; older models of Gemini do not say.
    pub usage: Option<UsageReport>,
}

/// A vector as its provider wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vector {
    /// An array of numbers.
    Numbers(Json),
    /// 32-bit floats, little end first, in base64.
    Base64(String),
}

impl Vector {
    /// The vector as an array of numbers.
    pub fn numbers(&self) -> Result<Cow<'_, Json>, Malformed> {
        let bytes = match self {
            Self::Numbers(json) => return Ok(Cow::Borrowed(json)),
            Self::Base64(text) => STANDARD.decode(text).map_err(|_| unreadable())?,
        };
        let (floats, rest) = bytes.as_chunks::<4>();
        let floats: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if !rest.is_empty() || !floats.iter().all(|float| float.is_finite()) {
            return Err(unreadable());
        }
        Ok(Cow::Owned(Json::of(&floats)))
    }

    /// The vector as bytes in base64.
    pub fn base64(&self) -> Result<Cow<'_, str>, Malformed> {
        let json = match self {
            Self::Base64(text) => return Ok(Cow::Borrowed(text)),
            Self::Numbers(json) => json,
        };
        let floats: Vec<f32> = serde_json::from_str(json.get()).map_err(|_| unreadable())?;
        let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
        Ok(Cow::Owned(STANDARD.encode(bytes)))
    }
}

fn unreadable() -> Malformed {
    Malformed::new("embedding", "must be an array of numbers, or 32-bit floats in base64")
}

impl Embed {
    /// The inputs for a provider of `dialect`, and what of the request it does not take.
    fn for_dialect(&self, dialect: &str) -> Result<(Members, Dropped), Unsupported> {
        let mut dropped = Dropped::default();
        let mut own = Vec::new();
        for native in &self.native {
            if native.dialect == dialect {
                own.push((native.field.clone(), native.raw.clone()));
            } else {
                dropped.note(&native.field);
            }
        }
        for input in &self.inputs {
            if let Input::Native(native) = input
                && native.dialect != dialect
            {
                return Err(crate::foreign(native, "input"));
            }
        }
        Ok((own, dropped))
    }
}

type Members = Vec<(String, Json)>;
