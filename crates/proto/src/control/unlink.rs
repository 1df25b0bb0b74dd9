//! `UNLINK`.

use peerl_term::{Decoder, Pid};

use super::{Content, ControlError, Signal, field::Field, macros::Received};

/// Removes a link. Obsolete: OTP 26 and later close the connection on it, and every peer accepts
/// [`UnlinkId`](super::UnlinkId). It is read, but never sent.
///
/// `{4, FromPid, To}`. Erlang docs: *Distribution Protocol*, `UNLINK`.
pub(super) struct Unlink;

impl Received for Unlink {
    const OPERATION: u8 = 4;
    const ARITY: usize = 3;
    const CONTENT: Content = Content::Empty;

    fn read_elements(signal: &mut Signal, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        let (mut from, mut to) = (Pid::VACANT, Pid::VACANT);
        from.read(decoder)?;
        to.read(decoder)?;
        *signal = Signal::Unlink { id: None, from, to };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, assert_read, b};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_read(
            "6803 6104 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9",
            Signal::Unlink { id: None, from: a(9), to: b(0x58) },
            None,
        );
    }
}
