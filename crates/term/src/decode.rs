//! Reading terms in the external term format.

mod chunks;
mod compound;
mod compressed;
mod decoder;
mod enclosing;
mod error;
mod identifier;
mod leaf;
mod limits;
mod measure;
mod sharing;
mod skip;
mod small;
mod term;
mod vacant;

pub use decoder::Decoder;
pub use error::{DecodeError, DecodeErrorKind};
pub use limits::Limits;
pub use measure::Measure;

use bytes::Bytes;

use crate::tag::VERSION;
use crate::{AtomTable, Tag, Term};

impl Term {
    /// Decodes a term with its version byte 131, as `binary_to_term/1` does, within the default limits.
    ///
    /// # Errors
    /// If the bytes are not one well-formed term.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        Self::decode_with(bytes, &Limits::default())
    }

    /// Decodes a term with its version byte 131. Large binaries share the buffer.
    ///
    /// # Errors
    /// If the bytes are not one well-formed term within the limits.
    pub fn decode_with(bytes: &Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        match bytes[..] {
            [VERSION, tag, ..] if Tag(tag) == Tag::COMPRESSED => {
                let inflated = compressed::inflate(bytes, limits)?;
                decode_body(&inflated, 0, limits)
            }
            [VERSION, ..] => decode_body(bytes, 1, limits),
            [] => Err(DecodeError::new(0, Tag(0), DecodeErrorKind::Truncated)),
            [other, ..] => Err(DecodeError::new(0, Tag(other), DecodeErrorKind::Version)),
        }
    }
}

fn decode_body(bytes: &Bytes, start: usize, limits: &Limits) -> Result<Term, DecodeError> {
    let atoms = AtomTable::empty();
    let mut decoder = Decoder::new(bytes, &atoms, limits);
    decoder.skip(start)?;
    let mut term = vacant::VACANT;
    decoder.term_into(&mut term)?;
    decoder.finish()?;
    Ok(term)
}
