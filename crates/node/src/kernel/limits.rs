use peerl_proto::channel::ChannelLimits;
use peerl_proto::connection::SendHalf;

use super::machine_memory;

/// What a node accepts from its peers. A peer knows the cookie, but may be faulty or hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The bytes that the node keeps for its peers: what they send, until it has been received or served, and what is to be sent
    /// to them. A peer may have [`PEER_FACTOR`](Self::PEER_FACTOR) times as much as it leaves for the others. What goes beyond that
    /// fails alone, as if it were too large; a peer whose monitors, links or small messages go beyond loses its connection.
    pub memory: usize,
    /// The limits of messages. A message beyond them fails alone: its caller gets `system_limit`, an exit reason is replaced,
    /// any other message is dropped.
    pub channel: ChannelLimits,
    /// The most calls of peers that run at a time; more are refused with `system_limit`. A peer may have as many of them as it
    /// leaves for the others: one that wants all gets half, two get a third each.
    pub calls: usize,
    /// The most bytes that may wait to be written to a peer that does not read. A single message may be larger, and so may the
    /// large answers for a peer that reads. All takes from the peer's share of [`memory`](Self::memory), too.
    pub queued: usize,
}

impl Limits {
    /// So many bytes that wait to be written to a peer make the senders of further messages wait.
    pub const BUSY: usize = SendHalf::BUSY;

    /// How many times what it leaves for the others a peer may have of the memory: one that wants all gets four fifths.
    pub const PEER_FACTOR: usize = 4;

    /// The most handshakes under way at once: strangers who open connections and say nothing cannot use up the descriptors, nor
    /// keep others out.
    pub const HANDSHAKES: usize = 256;

    /// The most requests to a peer that are remembered after they were given up, before the peer has answered them.
    pub const ABANDONED: usize = 1 << 16;

    /// The bytes that a connection takes of the memory of its peer: its tasks, buffers and atoms, if these are of the usual size.
    pub const CONNECTION: usize = 64 << 10;

    /// The bytes that a call of a peer takes of its memory while it is under way: its task, and a process or a message.
    pub const CALL: usize = 4 << 10;

    /// The bytes that small arguments of a call take for each of their bytes, as terms.
    pub const ARGUMENT: usize = 8;

    /// The bytes that a monitor of a peer on a process of this node takes of the peer's memory, beside the name of the node in
    /// its reference: those of its entries in two hash tables, at the moment when these grow.
    pub const MONITOR: usize = 768;

    /// The bytes that a link of a peer's process takes of the peer's memory.
    pub const LINK: usize = 288;

    /// The least memory with which a node is of use: 16 MiB.
    pub const LEAST_MEMORY: usize = 16 << 20;

    /// The limits of a node that keeps so many bytes for its peers: messages of up to half of that and of 256 MiB; as much may
    /// wait to be written to a peer; 262,144 calls, or fewer if each had less than 4 KiB.
    pub fn of_memory(bytes: usize) -> Self {
        let large = (bytes / 2).min(256 << 20);
        let mut channel = ChannelLimits::default();
        channel.message = large;
        channel.reassembly = channel.reassembly.min(bytes);
        Self { memory: bytes, channel, calls: (bytes / Self::CALL).min(1 << 18), queued: large }
    }
}

impl Default for Limits {
    /// Those of half the memory of the machine, or of what the control group or a resource limit of the process allows.
    fn default() -> Self {
        Self::of_memory(machine_memory::allowed() / 2)
    }
}
