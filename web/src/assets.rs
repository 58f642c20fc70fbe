//! Static files of the consoles, embedded in the program.
//! Names come from the embedded list only: no path of a request ever reaches a file system.

use crate::{Request, Response};
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "assets/"]
struct Files;

/// Names of all files, served at `/assets/{name}`.
pub fn names() -> impl Iterator<Item = String> {
    Files::iter().map(|name| name.into_owned())
}

/// The file `name`, or 304 when the browser has it already; `None` when there is no such file.
pub fn respond(request: &Request, name: &str) -> Option<Response> {
    let name = names().find(|known| known == name)?;
    let file: EmbeddedFile = Files::get(&name)?;
    let hash = file.metadata.sha256_hash();
    let tag = format!("\"{}\"", hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>());
    let known = request.headers.get_all("if-none-match").flat_map(|line| line.split(','));
    let response = match known.map(|item| item.trim().trim_start_matches("W/")).any(|item| item == tag || item == "*") {
        true => Response::empty(304),
        false => Response::new(200, media_type(&name), file.data.into_owned()),
    };
    Some(response.with_header("ETag", &tag).with_header("Cache-Control", "no-cache"))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    fn request(tag: Option<&str>) -> Request {
        let mut headers = Headers::new();
        if let Some(tag) = tag {
            headers.set("If-None-Match", tag).unwrap();
        }
        Request::build("GET", "/", headers, "127.0.0.1:1".parse().unwrap(), false).unwrap()
    }

    #[test]
    fn every_asset_has_a_media_type_and_a_tag_that_spares_sending_it_again() {
        assert!(names().any(|name| name == "console.css"));
        for name in names() {
            let response = respond(&request(None), &name).unwrap();
            assert!(response.status == 200 && !response.body.is_empty(), "{name}");
            assert_ne!(response.headers.get("content-type"), Some("application/octet-stream"), "{name}");
            let tag = response.headers.get("etag").unwrap();
            let again = respond(&request(Some(&format!("\"x\", W/{tag}"))), &name).unwrap();
            assert!(again.status == 304 && again.body.is_empty(), "{name}");
        }
    }

    #[test]
    fn only_names_of_the_list_are_served() {
        for name in ["", ".", "..", "../Cargo.toml", "/etc/passwd", "..\\Cargo.toml", "console.css/", "CONSOLE.CSS"] {
            assert!(respond(&request(None), name).is_none(), "{name}");
        }
    }

    #[test]
    fn assets_load_nothing_from_elsewhere() {
        for name in names() {
            let body = respond(&request(None), &name).unwrap().body;
            let text = String::from_utf8(body).unwrap().replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("//") && !text.contains("@import"), "{name}");
        }
    }
}
