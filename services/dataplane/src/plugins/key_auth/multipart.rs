//! Bodies of the type `multipart/form-data` (RFC 7578) that have been read whole.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{FutureExt as _, stream};
use http::{HeaderMap, header::CONTENT_DISPOSITION};
use multer::{Field, Multipart};

/// A part of a body.
pub struct Part {
    name: Option<String>,
    is_file: bool,
    headers: HeaderMap,
    content: Bytes,
}

impl Part {
    /// What the form's field is called.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What it says, if it is the field `name`. Files and what is no text say nothing.
    pub fn value_of(&self, name: &str) -> Option<String> {
        let is_it = self.name() == Some(name) && !self.is_file;
        String::from_utf8(self.content.to_vec()).ok().filter(|_| is_it)
    }
}

/// The parts of a body; `None` if it is malformed.
pub fn parts(body: &Bytes, boundary: &str) -> Option<Vec<Part>> {
    let whole = stream::iter([Ok::<_, Infallible>(body.clone())]);
    let mut multipart = Multipart::new(whole, boundary);
    let read = async {
        let mut parts = Vec::new();
        while let Some(field) = multipart.next_field().await? {
            parts.push(part(field).await?);
        }
        Ok::<_, multer::Error>(parts)
    };
    // Nothing is waited for: all of it is there.
    read.now_or_never()?.ok()
}

async fn part(field: Field<'_>) -> multer::Result<Part> {
    let (name, is_file) = (field.name().map(str::to_owned), field.file_name().is_some());
    let headers = field.headers().clone();
    Ok(Part { name, is_file, headers, content: field.bytes().await? })
}

/// The body that has these parts.
pub fn body(parts: &[Part], boundary: &str) -> Bytes {
    let mut body = Vec::new();
    for Part { headers, content, .. } in parts {
        body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        // As everybody expects them: some readers know a header in one spelling only.
        let spelt = |name: &http::HeaderName| match *name == CONTENT_DISPOSITION {
            true => "Content-Disposition".to_owned(),
            false => name.as_str().to_owned(),
        };
        for (name, value) in headers {
            body.extend_from_slice(spelt(name).as_bytes());
            body.extend_from_slice(b": ");
            body.extend_from_slice(value.as_bytes());
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body.into()
}
