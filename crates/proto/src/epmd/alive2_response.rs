use bytes::BufMut;

/// `ALIVE2_X_RESP` (118) or `ALIVE2_RESP` (121): whether the node is registered, and its creation.
///
/// ```text
/// 118 | u8 result | u32 creation          the node speaks version 6
/// 121 | u8 result | u16 creation (1..3)   it does not
/// ```
///
/// It must be sent in one write: OTP's client stops reading at four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alive2Response {
    /// The form of the answer.
    pub width: CreationWidth,
    /// EPMD's decision.
    pub outcome: Alive2Outcome,
}

/// The form of an [`Alive2Response`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreationWidth {
    /// Tag 121, with a creation of 16 bits.
    Narrow,
    /// Tag 118, with a creation of 32 bits.
    Wide,
}

/// EPMD's decision about a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive2Outcome {
    /// The node has the name while the connection stays open.
    Registered {
        /// Distinguishes this use of the name from earlier ones.
        creation: u32,
    },
    /// The name is in use, or invalid.
    Refused {
        /// EPMD's result byte, 1 in all known versions.
        code: u8,
    },
}

/// The creation field of a refusal.
const NO_CREATION: u32 = 99;

impl Alive2Response {
    /// The first byte of the wide form, `v`.
    pub const TAG_WIDE: u8 = 118;

    /// The first byte of the narrow form, `y`.
    pub const TAG_NARROW: u8 = 121;

    /// The answer to a registered node, in the form for the node's highest version.
    ///
    /// The narrow form reduces `creation` to 1, 2 or 3, like OTP's EPMD.
    pub fn registered(highest_version: u16, creation: u32) -> Self {
        let width = CreationWidth::of(highest_version);
        let creation = match width {
            CreationWidth::Wide => creation,
            CreationWidth::Narrow => creation % 3 + 1,
        };
        Self { width, outcome: Alive2Outcome::Registered { creation } }
    }

    /// The answer to a refused node, in the form for the node's highest version.
    pub fn refused(highest_version: u16) -> Self {
        Self { width: CreationWidth::of(highest_version), outcome: Alive2Outcome::Refused { code: 1 } }
    }

    /// The answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (code, creation) = match self.outcome {
            Alive2Outcome::Registered { creation } => (0, creation),
            Alive2Outcome::Refused { code } => (code, NO_CREATION),
        };
        let mut out = Vec::with_capacity(6);
        match self.width {
            CreationWidth::Wide => {
                out.put_slice(&[Self::TAG_WIDE, code]);
                out.put_u32(creation);
            }
            CreationWidth::Narrow => {
                out.put_slice(&[Self::TAG_NARROW, code]);
                out.put_u16(creation as u16);
            }
        }
        out
    }
}

impl CreationWidth {
    /// The form for a node whose highest distribution protocol version is `highest_version`.
    pub fn of(highest_version: u16) -> Self {
        if highest_version >= 6 { Self::Wide } else { Self::Narrow }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_epmd_of_otp_25_answers() {
        assert_eq!(Alive2Response::registered(6, 0x6b01_da6e).encode(), b"v\x00k\x01\xdan");
        assert_eq!(Alive2Response::refused(6).encode(), b"v\x01\x00\x00\x00c");
        // The creation after 0x6b01da8b, for a node that speaks version 5 only.
        assert_eq!(Alive2Response::registered(5, 0x6b01_da8c).encode(), b"y\x00\x00\x02");
    }
}
