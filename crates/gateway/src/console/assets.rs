//! What browsers are given beside pages, from the binary. A hash of the content is in each name, so that it is kept for good.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;
use crate::web::Call;

const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// One file.
struct Asset {
    /// Below `/assets/`, with the hash.
    name: String,
    content_type: &'static str,
    content: &'static [u8],
}

impl Asset {
    fn new(name: &str, content_type: &'static str, content: &'static [u8]) -> Self {
        let digest = ledger::to_hex(&Sha256::digest(content));
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let hash = digest.get(..12).unwrap_or_default();
        Self { name: format!("{stem}-{hash}.{extension}"), content_type, content }
    }

    fn href(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static ALL: LazyLock<[Asset; 5]> = LazyLock::new(|| {
    [
        Asset::new("app.css", CSS, include_bytes!("../../assets/app.css")),
        Asset::new("app.js", JS, include_bytes!("../../assets/app.js")),
        Asset::new("htmx.js", JS, include_bytes!("../../assets/htmx.min.js")),
        Asset::new("icons.svg", SVG, include_bytes!("../../assets/icons.svg")),
        Asset::new("favicon.svg", SVG, include_bytes!("../../assets/favicon.svg")),
    ]
});

/// Where a page finds them.
pub(crate) struct Assets {
    pub(crate) css: String,
    pub(crate) js: String,
    pub(crate) htmx: String,
    pub(crate) icons: String,
    pub(crate) favicon: String,
}

static HREFS: LazyLock<Assets> = LazyLock::new(|| {
    let [css, js, htmx, icons, favicon] = ALL.each_ref().map(Asset::href);
    Assets { css, js, htmx, icons, favicon }
});

/// Where a page finds them.
pub(crate) fn hrefs() -> &'static Assets {
    &HREFS
}

/// `GET /assets/{name}`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let name = call.param("name");
    let found = ALL.iter().find(|asset| asset.name == name).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
    })?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(found.content_type)),
        (header::CACHE_CONTROL, FOR_GOOD),
    ];
    Ok((headers, found.content).into_response())
}
