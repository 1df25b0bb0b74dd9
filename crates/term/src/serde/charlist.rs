//! `#[serde(with = "peerl_term::serde::charlist")]`: a string field that is written as a charlist, for older modules
//! of Erlang. Binaries and atoms are read too.
//!
//! ```
//! use peerl_term::serde::to_term;
//! use peerl_term::Term;
//!
//! #[derive(serde::Serialize)]
//! struct Request {
//!     #[serde(with = "peerl_term::serde::charlist")]
//!     host: String,
//! }
//!
//! let request = to_term(&Request { host: "a.b".into() })?;
//! assert_eq!(request, Term::map([(Term::atom("host"), Term::charlist("a.b"))]));
//! # Ok::<(), peerl_term::serde::Error>(())
//! ```

use std::fmt;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;

/// Writes the code points of a text as a list.
///
/// # Errors
/// If the format rejects it.
pub fn serialize<T: AsRef<str>, S: Serializer>(text: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(text.as_ref().chars().map(u32::from))
}

/// Reads a list of code points, or text in another form.
///
/// # Errors
/// If it is neither.
pub fn deserialize<'de, T: From<String>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Text).map(T::from)
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a charlist or a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut code_points: A) -> Result<String, A::Error> {
        let mut text = String::new();
        while let Some(code_point) = code_points.next_element::<u32>()? {
            let refuse = || de::Error::invalid_value(de::Unexpected::Unsigned(code_point.into()), &"a code point");
            text.push(char::from_u32(code_point).ok_or_else(refuse)?);
        }
        Ok(text)
    }
}
