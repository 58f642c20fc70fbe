//! HTTP statuses as the administrator's guide writes them.
//! It owns their texts and the shape of an error body; it must never know why an error happened.

use serde::Serialize;

/// The error body of the guide, appendix "Внешнее API": `Code`, `Text`, `Message`, `Exception`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ErrorBody {
    /// HTTP status.
    pub code: u16,
    /// Text of the HTTP status.
    pub text: String,
    /// `(class) what happened`.
    pub message: String,
    /// Class of the exception.
    pub exception: String,
}

impl ErrorBody {
    /// An error of the HTTP layer itself: its class is `EHTTP` and the status text without spaces.
    pub fn http(status: u16, message: &str) -> Self {
        let exception = format!("EHTTP{}", class(status));
        Self { code: status, text: text(status).to_owned(), message: format!("({exception}) {message}"), exception }
    }
}

/// Text of a status, for example `Not found` for 404; `Error` when the status is not one that we send.
pub fn text(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Updated",
        204 => "No content",
        303 => "See other",
        304 => "Not modified",
        400 => "Bad request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not found",
        405 => "Method not allowed",
        408 => "Request timeout",
        409 => "Conflict",
        411 => "Length required",
        413 => "Content too large",
        414 => "URI too long",
        415 => "Unsupported media type",
        421 => "Misdirected request",
        422 => "Unprocessable content",
        429 => "Too many requests",
        431 => "Request header fields too large",
        500 => "Internal server error",
        501 => "Not implemented",
        502 => "Bad gateway",
        503 => "Service unavailable",
        504 => "Gateway timeout",
        505 => "HTTP version not supported",
        _ => "Error",
    }
}

fn class(status: u16) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    text(status).split(' ').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_body_has_the_shape_of_the_guide() {
        let body = ErrorBody::http(404, "The requested URL \"/api/someurl\" was not found.");
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"Code":404,"Text":"Not found","Message":"(EHTTPNotFound) The requested URL \"/api/someurl\" was not found.","Exception":"EHTTPNotFound"}"#
        );
    }
}
