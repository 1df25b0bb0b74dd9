//! Capability flags that two nodes exchange in the handshake.

use bitflags::bitflags;

bitflags! {
    /// The distribution flags, with OTP's bits and OTP's names (`DFLAG_` left out).
    ///
    /// Each side sends its own; the connection has the bitwise AND of both ([`DistributionFlags::negotiate`]). Erlang
    /// docs: *Distribution Protocol*, section "Distribution Flags".
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct DistributionFlags: u64 {
        /// The node is visible: part of `nodes()`. A connection is visible if both sides set it.
        const PUBLISHED = 0x1;
        /// The atom cache before R13. Obsolete.
        const ATOM_CACHE = 0x2;
        /// References of more than one word.
        const EXTENDED_REFERENCES = 0x4;
        /// Remote monitors. Requires [`Self::DIST_MONITOR_NAME`] too.
        const DIST_MONITOR = 0x8;
        /// Funs have a tag of their own, instead of being tuples.
        const FUN_TAGS = 0x10;
        /// Remote monitors of registered names.
        const DIST_MONITOR_NAME = 0x20;
        /// The atom cache before R13, between hidden nodes. Obsolete.
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
        /// Messages start with a distribution header that updates an atom cache.
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
        /// Any term can be the label of a sequential trace token.
        const BIG_SEQTRACE_LABELS = 0x100000;
        /// Exit reasons are payloads (`PAYLOAD_EXIT` and similar).
        const EXIT_PAYLOAD = 0x400000;
        /// Large messages may be fragmented.
        const FRAGMENTS = 0x800000;
        /// The handshake of OTP 23 (`N` messages, creation in the challenge).
        const HANDSHAKE_23 = 0x1000000;
        /// `UNLINK_ID` and `UNLINK_ID_ACK`.
        const UNLINK_ID = 0x2000000;
        /// Stands for all flags that OTP 25 made mandatory ([`Self::MANDATORY_25`]).
        ///
        /// The public documentation says bit 36; on the wire it is bit 26.
        const MANDATORY_25_DIGEST = 0x4000000;
        /// `SPAWN_REQUEST` and `SPAWN_REPLY`.
        const SPAWN = 1 << 32;
        /// A request for a name from the acceptor (dynamic node name); not a capability.
        const NAME_ME = 1 << 33;
        /// Pids, ports and references with all their bits (version 4 of node containers).
        const V4_NC = 1 << 34;
        /// `ALIAS_SEND`.
        const ALIAS = 1 << 35;
        /// `ALTACT_SIG_SEND`: alias sends and priority signals of OTP 28.
        const ALTACT_SIG = 1 << 37;
        /// `RECORD_EXT`: native records of OTP 29.
        const NATIVE_RECORDS = 1 << 38;

        /// Keeps the bits of later OTP releases, so that they can be shown and masked.
        const _ = !0;
    }
}

impl DistributionFlags {
    /// The flags that OTP 25 requires of a peer, and for which [`Self::MANDATORY_25_DIGEST`] stands.
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

    /// The flags that OTP 26 and later require of a peer.
    pub const MANDATORY_26: Self = Self::MANDATORY_25.union(Self::V4_NC).union(Self::UNLINK_ID);

    /// The flags of a hidden node: those of [`Self::FULL_MEMBER`] without [`Self::PUBLISHED`].
    pub const HIDDEN: Self = Self::FULL_MEMBER.difference(Self::PUBLISHED);

    /// The flags of a full member of a cluster: those of an OTP 29 node (`0x6D07DF7FBD`).
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

    /// Adds the flags for which [`Self::MANDATORY_25_DIGEST`] stands, as every receiver does first.
    pub fn expand_digest(self) -> Self {
        if self.contains(Self::MANDATORY_25_DIGEST) { self | Self::MANDATORY_25 } else { self }
    }

    /// The flags of `mandatory` that are missing here, after expansion of the digest.
    pub fn missing_mandatory(self, mandatory: Self) -> Self {
        mandatory.difference(self.expand_digest())
    }

    /// The flags that both sides have.
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
