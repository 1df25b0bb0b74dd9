use bytes::{Buf, BufMut, Bytes};

use super::{AliveName, HIGHEST_VERSION, LOWEST_VERSION, NameError};

/// A node's description, as it registers it and as EPMD returns it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NodeInfo {
    /// The name before the `@`.
    pub name: AliveName,
    /// The TCP port on which the node takes distribution connections.
    pub port: u16,
    /// Whether it is a normal or a hidden node.
    pub node_type: NodeType,
    /// The transport of its port.
    pub protocol: TransportProtocol,
    /// The highest distribution protocol version it speaks.
    pub highest_version: u16,
    /// The lowest distribution protocol version it speaks.
    pub lowest_version: u16,
    extra: Bytes,
}

impl NodeInfo {
    /// The most bytes that [`NodeInfo::extra`] can have.
    pub const MAX_EXTRA: usize = 1020;

    /// Describes a node as OTP 25 to 29 describe themselves: type `M`, TCP, versions 5 to 6, nothing extra.
    pub fn new(name: AliveName, port: u16) -> Self {
        Self {
            name,
            port,
            node_type: NodeType::NORMAL,
            protocol: TransportProtocol::TCP,
            highest_version: HIGHEST_VERSION,
            lowest_version: LOWEST_VERSION,
            extra: Bytes::new(),
        }
    }

    /// Sets the kind of the node.
    pub fn with_type(self, node_type: NodeType) -> Self {
        Self { node_type, ..self }
    }

    /// Sets the extra field, which no OTP release uses.
    ///
    /// # Errors
    /// It is longer than [`NodeInfo::MAX_EXTRA`].
    pub fn with_extra(self, extra: Bytes) -> Result<Self, NodeInfoError> {
        if extra.len() > Self::MAX_EXTRA {
            return Err(NodeInfoError::ExtraTooLong { length: extra.len() });
        }
        Ok(Self { extra, ..self })
    }

    /// The extra field; empty for every OTP node.
    pub fn extra(&self) -> &Bytes {
        &self.extra
    }

    /// Appends the fields as `ALIVE2` and the answer to `PORT_PLEASE2` have them, from the port on.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.port);
        out.put_u8(self.node_type.0);
        out.put_u8(self.protocol.0);
        out.put_u16(self.highest_version);
        out.put_u16(self.lowest_version);
        // The name and the extra field have at most 1,020 bytes each.
        out.put_u16(self.name.len() as u16);
        out.put_slice(self.name.as_bytes());
        out.put_u16(self.extra.len() as u16);
        out.put_slice(&self.extra);
    }
}

/// The kind of a node. The BEAM registers as [`NodeType::NORMAL`] even when hidden, and ignores the kind of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeType(pub u8);

impl NodeType {
    /// A normal node, `M`.
    pub const NORMAL: Self = Self(77);
    /// A hidden node, `H`, as C nodes register.
    pub const HIDDEN: Self = Self(72);
}

/// The transport of a node's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportProtocol(pub u8);

impl TransportProtocol {
    /// TCP, the only transport in use.
    pub const TCP: Self = Self(0);
}

/// Why the description of a node is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeInfoError {
    /// The name breaks a rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The extra field is longer than [`NodeInfo::MAX_EXTRA`].
    #[error("the extra field has {length} bytes, at most 1020 are taken")]
    ExtraTooLong {
        /// Its bytes.
        length: usize,
    },
}

/// The fields of a [`NodeInfo`] in a message, split but not yet validated.
pub(super) struct RawNodeInfo<'a> {
    pub(super) highest_version: u16,
    port: u16,
    node_type: u8,
    protocol: u8,
    lowest_version: u16,
    name: &'a [u8],
    extra: &'a [u8],
}

impl<'a> RawNodeInfo<'a> {
    /// Splits the fields off the front of `input`; `None` if the input is shorter than its own lengths say.
    pub(super) fn split(input: &mut &'a [u8]) -> Option<Self> {
        Some(Self {
            port: input.try_get_u16().ok()?,
            node_type: input.try_get_u8().ok()?,
            protocol: input.try_get_u8().ok()?,
            highest_version: input.try_get_u16().ok()?,
            lowest_version: input.try_get_u16().ok()?,
            name: split_counted(input)?,
            extra: split_counted(input)?,
        })
    }

    pub(super) fn judge(&self) -> Result<NodeInfo, NodeInfoError> {
        let node = NodeInfo {
            name: AliveName::from_bytes(self.name)?,
            port: self.port,
            node_type: NodeType(self.node_type),
            protocol: TransportProtocol(self.protocol),
            highest_version: self.highest_version,
            lowest_version: self.lowest_version,
            extra: Bytes::new(),
        };
        node.with_extra(Bytes::copy_from_slice(self.extra))
    }
}

fn split_counted<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(input.try_get_u16().ok()?);
    let (field, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(field)
}
