use std::io::Read;

use bytes::Bytes;
use flate2::read::ZlibDecoder;

use super::{DecodeError, DecodeErrorKind, Limits};
use crate::Tag;

/// Inflates `131, 80, Size:32, Zlib`; returns the term without a version byte.
///
/// The output grows with the inflated data and stops at the stated size: a small input that claims gigabytes, or
/// inflates to them, costs no more than the limit.
pub(super) fn inflate(bytes: &Bytes, limits: &Limits) -> Result<Bytes, DecodeError> {
    let error = |kind| DecodeError::new(1, Tag::COMPRESSED, kind);
    let size = bytes.get(2..6).and_then(|size| <[u8; 4]>::try_from(size).ok());
    let size = size.map(|size| u32::from_be_bytes(size) as usize).ok_or(error(DecodeErrorKind::Truncated))?;
    if bytes.len() > limits.bytes || size > limits.decompressed {
        return Err(error(DecodeErrorKind::TooManyBytes));
    }
    let mut inflater = ZlibDecoder::new(&bytes[6..]);
    let mut inflated = Vec::new();
    inflater
        .by_ref()
        .take(size as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| error(DecodeErrorKind::Compression))?;
    if inflated.len() != size {
        return Err(error(DecodeErrorKind::Compression));
    }
    if inflater.total_in() != (bytes.len() - 6) as u64 {
        return Err(error(DecodeErrorKind::Trailing));
    }
    Ok(inflated.into())
}
