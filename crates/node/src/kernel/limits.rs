use peerl_proto::channel::ChannelLimits;

/// What a node accepts from a peer. A peer knows the cookie, but may run amok.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of messages. One beyond these limits fails alone: its caller gets `system_limit`, an exit reason is replaced, anything
    /// else is dropped.
    pub channel: ChannelLimits,
    /// The most calls of peers that are served at a time; more are refused with `system_limit`.
    pub calls: usize,
    /// The most bytes that may wait to be written to a peer that asks and does not read the answers. One message alone
    /// may be larger, and so may the large answers of a peer that reads.
    pub queued: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { channel: ChannelLimits::default(), calls: 1 << 18, queued: 256 << 20 }
    }
}
