//! Capability flags that two nodes exchange in the handshake.

use bitflags::bitflags;

bitflags! {
    /// The distribution flags, with OTP's bits and OTP's names (`DFLAG_` left out).
    ///
    /// Each side sends what it can do; what both can do is the bitwise AND
    /// ([`DistributionFlags::negotiate`]). Erlang docs: *Distribution Protocol*, section "Distribution Flags".
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct DistributionFlags: u64 {
        /// The node is published: part of `nodes()`. Both sides must set it for a visible connection.
        const PUBLISHED = 0x1;
        /// The atom cache of before R13. Dead.
        const ATOM_CACHE = 0x2;
        /// References of more than one word.
        const EXTENDED_REFERENCES = 0x4;
        /// Remote monitors. Works only together with [`Self::DIST_MONITOR_NAME`].
        const DIST_MONITOR = 0x8;
        /// Funs have a tag of their own (not tuples).
        const FUN_TAGS = 0x10;
        /// Remote monitors of registered names.
        const DIST_MONITOR_NAME = 0x20;
        /// The atom cache of before R13, between hidden nodes. Dead.
        const HIDDEN_ATOM_CACHE = 0x40;
        /// `NEW_FUN_EXT`.
        const NEW_FUN_TAGS = 0x80;
        /// Pids and ports with more than 18 bits.
        const EXTENDED_PIDS_PORTS = 0x100;
        /// `EXPORT_EXT`.
        const EXPORT_PTR_TAG = 0x200;
        /// `BIT_BINARY_EXT`.
        const BIT_BINARIES = 0x400;
        /// `NEW_FLOAT_EXT`.
        const NEW_FLOATS = 0x800;
        /// The I/O protocol carries an encoding.
        const UNICODE_IO = 0x1000;
        /// Messages start with a distribution header that feeds an atom cache.
        const DIST_HDR_ATOM_CACHE = 0x2000;
        /// `SMALL_ATOM_EXT`.
        const SMALL_ATOM_TAGS = 0x4000;
        /// `ATOM_UTF8_EXT` and `SMALL_ATOM_UTF8_EXT`.
        const UTF8_ATOMS = 0x10000;
        /// `MAP_EXT`.
        const MAP_TAG = 0x20000;
        /// Creations of 32 bits.
        const BIG_CREATION = 0x40000;
        /// `SEND_SENDER` instead of `SEND`.
        const SEND_SENDER = 0x80000;
        /// Any term may be the label of a sequential trace token.
        const BIG_SEQTRACE_LABELS = 0x100000;
        /// Exit reasons travel as payload (`PAYLOAD_EXIT` and its like).
        const EXIT_PAYLOAD = 0x400000;
        /// Large messages may be cut into fragments.
        const FRAGMENTS = 0x800000;
        /// The handshake of OTP 23 (`N` messages, creation in the challenge).
        const HANDSHAKE_23 = 0x1000000;
        /// `UNLINK_ID` and `UNLINK_ID_ACK`.
        const UNLINK_ID = 0x2000000;
        /// Stands for all that OTP 25 made mandatory ([`Self::MANDATORY_25`]).
        ///
        /// The public documentation says bit 36; on the wire it is this one.
        const MANDATORY_25_DIGEST = 0x4000000;
        /// `SPAWN_REQUEST` and `SPAWN_REPLY`.
        const SPAWN = 1 << 32;
        /// A request for a name made by the acceptor (dynamic node name); not a capability.
        const NAME_ME = 1 << 33;
        /// Pids, ports and references with all their bits (version 4 of node containers).
        const V4_NC = 1 << 34;
        /// `ALIAS_SEND`.
        const ALIAS = 1 << 35;
        /// `ALTACT_SIG_SEND`: alias sends and priority signals of OTP 28.
        const ALTACT_SIG = 1 << 37;
        /// `RECORD_EXT`: native records of OTP 29.
        const NATIVE_RECORDS = 1 << 38;

        /// Bits of a later OTP are kept, so that they can be shown and ANDed away.
        const _ = !0;
    }
}

impl DistributionFlags {
    /// What OTP 25 requires of a peer, and what [`Self::MANDATORY_25_DIGEST`] stands for.
    pub const MANDATORY_25: Self = Self::EXTENDED_REFERENCES
        .union(Self::FUN_TAGS)
        .union(Self::EXTENDED_PIDS_PORTS)
        .union(Self::UTF8_ATOMS)
        .union(Self::NEW_FUN_TAGS)
        .union(Self::BIG_CREATION)
        .union(Self::NEW_FLOATS)
        .union(Self::MAP_TAG)
        .union(Self::EXPORT_PTR_TAG)
        .union(Self::BIT_BINARIES)
        .union(Self::HANDSHAKE_23);

    /// What OTP 26 and later require of a peer.
    pub const MANDATORY_26: Self = Self::MANDATORY_25.union(Self::V4_NC).union(Self::UNLINK_ID);

    /// What a hidden node offers: everything of [`Self::FULL_MEMBER`] but being published.
    pub const HIDDEN: Self = Self::FULL_MEMBER.difference(Self::PUBLISHED);

    /// What a full member of a cluster offers: the flags of an OTP 29 node (`0x6D07DF7FBD`).
    pub const FULL_MEMBER: Self = Self::MANDATORY_26
        .union(Self::MANDATORY_25_DIGEST)
        .union(Self::PUBLISHED)
        .union(Self::DIST_MONITOR)
        .union(Self::DIST_MONITOR_NAME)
        .union(Self::UNICODE_IO)
        .union(Self::DIST_HDR_ATOM_CACHE)
        .union(Self::SMALL_ATOM_TAGS)
        .union(Self::SEND_SENDER)
        .union(Self::BIG_SEQTRACE_LABELS)
        .union(Self::EXIT_PAYLOAD)
        .union(Self::FRAGMENTS)
        .union(Self::SPAWN)
        .union(Self::ALIAS)
        .union(Self::ALTACT_SIG)
        .union(Self::NATIVE_RECORDS);

    /// Adds what [`Self::MANDATORY_25_DIGEST`] stands for, as every receiver does before it looks at a peer's flags.
    pub fn expand_digest(self) -> Self {
        if self.contains(Self::MANDATORY_25_DIGEST) { self | Self::MANDATORY_25 } else { self }
    }

    /// The flags of `mandatory` that these (with their digest expanded) lack.
    pub fn missing_mandatory(self, mandatory: Self) -> Self {
        mandatory.difference(self.expand_digest())
    }

    /// What both sides can do.
    pub fn negotiate(self, peer: Self) -> Self {
        self.expand_digest() & peer.expand_digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_real_nodes() {
        // OTP 25 and 27 send the first, OTP 29 the second.
        let otp25 = DistributionFlags::from_bits_retain(0x0D_07DF_7FBD);
        let otp29 = DistributionFlags::from_bits_retain(0x6D_07DF_7FBD);
        assert_eq!(DistributionFlags::FULL_MEMBER, otp29);
        assert_eq!(otp29.difference(otp25), DistributionFlags::ALTACT_SIG | DistributionFlags::NATIVE_RECORDS);
        assert_eq!(otp29.negotiate(otp25), otp25);
        assert_eq!(DistributionFlags::HIDDEN.bits(), 0x6D_07DF_7FBC);
    }

    #[test]
    fn accepted_minimum() {
        assert_eq!(DistributionFlags::MANDATORY_25.bits(), 0x107_0F94);
        assert_eq!(DistributionFlags::MANDATORY_26.bits(), 0x4_0307_0F94);
        let digest = DistributionFlags::from_bits_retain(0x400_0000);
        assert!(digest.missing_mandatory(DistributionFlags::MANDATORY_25).is_empty());
        assert_eq!(
            digest.missing_mandatory(DistributionFlags::MANDATORY_26),
            DistributionFlags::V4_NC | DistributionFlags::UNLINK_ID
        );
    }
}
