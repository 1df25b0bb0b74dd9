//! Where certificates and keys come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Certificates or a key in PEM form: a file, which is read again when it changes, or the text itself.
#[derive(Clone)]
pub struct Pem {
    path: PathBuf,
    text: Option<Arc<str>>,
}

impl Pem {
    /// A text. Errors call it by the name.
    pub fn text(name: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Self {
        Self { path: name.into(), text: Some(text.into()) }
    }

    /// The path of the file, or the name of the text.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

/// A file.
impl<P: Into<PathBuf>> From<P> for Pem {
    fn from(path: P) -> Self {
        Self { path: path.into(), text: None }
    }
}

/// Does not show the text: it may be that of a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pem").field(&self.path).finish()
    }
}
