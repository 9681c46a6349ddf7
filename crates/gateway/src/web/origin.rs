//! Whether a form was sent by a page of ours, where there is no session yet whose word it could bring back: else a foreign
//! page could sign its visitor in as somebody else.

use http::request::Parts;
use http::{HeaderMap, StatusCode, header};

use crate::problem::Problem;

/// Refuses what another site's page has sent. Programs that are no browsers say nothing of the kind, and do nothing in
/// anybody's name but their own.
pub(super) fn check(parts: &Parts, public_url: Option<&str>) -> Result<(), Problem> {
    let ours = match text(&parts.headers, "sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => match text(&parts.headers, header::ORIGIN.as_str()) {
            Some(origin) => is_ours(origin, parts, public_url),
            None => !parts.headers.contains_key(header::ORIGIN),
        },
    };
    if ours {
        return Ok(());
    }
    let message = "this form was sent by a page of another site";
    Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", message))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn is_ours(origin: &str, parts: &Parts, public_url: Option<&str>) -> bool {
    let bare = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().filter(|text| !text.is_empty())?;
        Some((scheme.to_ascii_lowercase(), authority.to_ascii_lowercase()))
    };
    let Some((scheme, authority)) = bare(origin) else { return false };
    if let Some(public) = public_url {
        return bare(public) == Some((scheme, authority));
    }
    let host = text(&parts.headers, header::HOST.as_str());
    let host = host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str));
    host.is_some_and(|host| host.eq_ignore_ascii_case(&authority))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::check;

    #[test]
    fn a_form_of_a_page_of_ours() {
        let taken = |headers: &[(&str, &str)], public: Option<&str>| {
            let mut request = Request::builder().header("host", "gate.example:3000");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            check(&parts, public).is_ok()
        };
        let public = Some("https://gate.example.com/");
        for (headers, public, ours) in [
            (&[][..], None, true),
            (&[("sec-fetch-site", "same-origin")], None, true),
            (&[("sec-fetch-site", "none")], None, true),
            (&[("sec-fetch-site", "same-site")], None, false),
            (&[("sec-fetch-site", "cross-site")], None, false),
            (&[("sec-fetch-site", "?")], None, false),
            (
                &[("sec-fetch-site", "cross-site"), ("origin", "http://gate.example:3000")],
                None,
                false,
            ),
            (&[("origin", "http://gate.example:3000")], None, true),
            (&[("origin", "http://gate.example")], None, false),
            (&[("origin", "http://evil.example")], None, false),
            (&[("origin", "null")], None, false),
            (&[("origin", "")], None, false),
            (&[("origin", "https://gate.example.com")], public, true),
            (&[("origin", "http://gate.example.com")], public, false),
            (&[("origin", "http://gate.example:3000")], public, false),
            (&[("origin", "https://gate.example.com.evil.example")], public, false),
        ] {
            assert_eq!(taken(headers, public), ours, "{headers:?} {public:?}");
        }
    }
}
