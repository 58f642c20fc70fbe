//! What was typed into a form of the console. It knows no form in particular.

use licence::error::{Code, Error, Result};
use licence::settings::flag;
use web::Request;

/// The fields of a form that was sent; none where nothing was.
#[derive(Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The fields in the body of `request`; [`Code::BadRequest`] when it is no form.
    pub fn of(request: &Request) -> Result<Fields> {
        let wrong = |error: web::BodyError| Error::new(Code::BadRequest).with(error.message.trim_end_matches('.'));
        request.form().map(Fields).map_err(wrong)
    }

    /// What was typed, without spaces around it; empty when the form has no such field.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// What was pasted as `name`, or else chosen as a file; [`Code::BadRequest`] when it is neither.
    pub fn text_or_file(&self, name: &str) -> Result<&str> {
        let given = [name, "file"].into_iter().map(|name| self.get(name)).find(|text| !text.is_empty());
        given.ok_or_else(|| {
            Error::new(Code::BadRequest)
                .with_text("файл не выбран и текст не вставлен", "no file was chosen and no text pasted")
        })
    }

    /// Whether a box was ticked, a switch set to on.
    pub fn is_on(&self, name: &str) -> bool {
        flag(self.get(name)) == Some(true)
    }

    /// Whether the sender wants a request file rather than the centre to be asked at once.
    pub fn by_file(&self) -> bool {
        self.get("how") == "file"
    }
}
