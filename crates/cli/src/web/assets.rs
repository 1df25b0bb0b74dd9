//! The files that pages load. They are compiled into the program.

use std::fmt::Write;
use std::sync::OnceLock;

use axum::body::Body;
use axum::response::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use sha2::{Digest, Sha256};

/// A file that pages load.
#[derive(Debug)]
pub(crate) struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
    path: OnceLock<String>,
}

/// The style sheet.
pub(crate) static STYLE: Asset = Asset::new("style.css", "text/css; charset=utf-8", include_str!("style.css"));

/// The script.
pub(crate) static SCRIPT: Asset = Asset::new("script.js", "text/javascript; charset=utf-8", include_str!("script.js"));

/// The icon.
pub(crate) static ICON: Asset = Asset::new("icon.svg", "image/svg+xml", include_str!("icon.svg"));

impl Asset {
    const fn new(name: &'static str, kind: &'static str, content: &'static str) -> Self {
        Self { name, kind, content, path: OnceLock::new() }
    }

    /// The path, which changes with the content.
    pub(crate) fn path(&self) -> &str {
        self.path.get_or_init(|| {
            let digest = Sha256::digest(self.content);
            let mut path = format!("/{}?v=", self.name);
            for byte in &digest[..6] {
                // Writing to a string cannot fail.
                let _ = write!(path, "{byte:02x}");
            }
            path
        })
    }

    /// The answer with the file.
    pub(crate) fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.content));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        response
    }
}
