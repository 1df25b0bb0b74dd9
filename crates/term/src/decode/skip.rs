use super::vacant::VACANT;
use super::{DecodeError, DecodeErrorKind, Decoder};
use crate::Tag;

impl Decoder<'_> {
    /// Skips any term without building it; returns its bytes.
    ///
    /// # Errors
    /// If the next term is not well-formed.
    pub fn skip_term(&mut self) -> Result<usize, DecodeError> {
        let start = self.position();
        let mut missing: usize = 1;
        while missing > 0 {
            missing -= 1;
            let at = self.position();
            let tag = self.tag()?;
            let inside = match tag {
                Tag::SMALL_TUPLE_EXT => usize::from(self.u8(at)?),
                Tag::LARGE_TUPLE_EXT => self.u32(at)? as usize,
                Tag::LIST_EXT => (self.u32(at)? as usize).saturating_add(1),
                Tag::MAP_EXT => (self.u32(at)? as usize).saturating_mul(2),
                Tag::BINARY_EXT => {
                    let len = self.u32(at)? as usize;
                    self.take(len, at)?;
                    0
                }
                Tag::BIT_BINARY_EXT => {
                    let len = self.u32(at)? as usize;
                    self.take(len.saturating_add(1), at)?;
                    0
                }
                Tag::STRING_EXT => {
                    let len = usize::from(self.u16(at)?);
                    self.take(len, at)?;
                    0
                }
                Tag::NEW_FUN_EXT => {
                    // The size, the arity, the unique value and the index; then the number of free variables. The
                    // module, two integers and a pid come before those.
                    self.take(4 + 1 + 16 + 4, at)?;
                    (self.u32(at)? as usize).saturating_add(4)
                }
                Tag::RECORD_EXT => {
                    let fields = self.u32(at)? as usize;
                    self.u8(at)?;
                    fields.saturating_mul(2).saturating_add(2)
                }
                Tag::SMALL_INTEGER_EXT => {
                    self.u8(at)?;
                    0
                }
                Tag::INTEGER_EXT => {
                    self.u32(at)?;
                    0
                }
                Tag::SMALL_BIG_EXT | Tag::LARGE_BIG_EXT => {
                    self.big(tag, at)?;
                    0
                }
                Tag::SMALL_ATOM_UTF8_EXT => {
                    let len = usize::from(self.u8(at)?);
                    self.utf8_name(len, at)?;
                    0
                }
                tag => {
                    let mut passed = VACANT;
                    self.leaf(tag, at, &mut passed)?;
                    0
                }
            };
            missing = missing.saturating_add(inside);
            if missing > self.remaining() {
                return Err(self.error(at, DecodeErrorKind::Truncated));
            }
        }
        Ok(self.position() - start)
    }
}
