//! Reading a request's JSON. Whoever sent the wrong thing is told which field it is and what would be right.

use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Reads a JSON object.
pub(crate) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() {
        return Err(Problem::bad_request("the request body is empty; expected a JSON object"));
    }
    wire::read_object(body).map_err(Problem::malformed)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, expecting = "an object")]
    struct Outer {
        #[expect(dead_code, reason = "read by serde only")]
        list: Vec<Inner>,
        #[expect(dead_code, reason = "read by serde only")]
        number: Option<f64>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, expecting = "an object")]
    struct Inner {
        #[expect(dead_code, reason = "read by serde only")]
        count: u64,
    }

    #[test]
    fn an_error_names_the_field_and_what_would_be_right() {
        for (body, message) in [
            ("", "the request body is empty; expected a JSON object"),
            (" \n", "the request body is empty; expected a JSON object"),
            ("5", "the request body: expected an object, not integer `5`"),
            (" [[], 1.0]", "the request body: expected an object, not a list"),
            ("{}", "list: is missing"),
            (r#"{"list":5}"#, "list: expected a list, not integer `5`"),
            (r#"{"list":[{}]}"#, "list[0].count: is missing"),
            (r#"{"list":[[1]]}"#, "list[0]: expected an object, not a list"),
            (
                r#"{"list":[{"count":-1}]}"#,
                "list[0].count: expected a whole number, not integer `-1`",
            ),
            (r#"{"list":[],"list":[]}"#, "list: is given twice"),
            (
                r#"{"list":[{"count":1},{"a":1}]}"#,
                "list[1].a: there is no such field, expected `count`",
            ),
            (r#"{"list":[],"number":"2"}"#, r#"number: expected a number, not string "2""#),
            (
                r#"{"list":[],"number":NaN}"#,
                "number: not valid JSON: expected value at line 1 column 21",
            ),
            (
                r#"{"list":[]} x"#,
                "the request body: not valid JSON: trailing characters at line 1 column 13",
            ),
        ] {
            let problem = read_json::<Outer>(body.as_bytes()).expect_err(body);
            assert_eq!(problem.message, message, "{body}");
        }
    }

    #[test]
    fn a_long_value_is_not_repeated_whole() {
        let body = format!(r#"{{"list":"{}"}}"#, "é".repeat(1_000));
        let problem = read_json::<Outer>(body.as_bytes()).expect_err("a text for a list");
        assert!(problem.message.chars().count() < 100, "{}", problem.message);
        let body = format!(r#"{{"{}":1}}"#, "x".repeat(1_000));
        let problem = read_json::<Outer>(body.as_bytes()).expect_err("an unknown field");
        assert!(problem.message.len() < 150, "{}", problem.message);
    }
}
