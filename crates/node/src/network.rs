//! Finding peers, listening, handshakes, and the bytes of connections. It brings connections up and down; the kernel sees
//! those that are up.

pub(crate) mod accept;
pub(crate) mod attempts;
pub(crate) mod bring_up;
pub(crate) mod connect_error;
pub(crate) mod cookie_file;
pub(crate) mod dial;
pub(crate) mod epmd;
pub(crate) mod granted_names;
pub(crate) mod guest;
pub(crate) mod handshake;
pub(crate) mod lookups;
pub(crate) mod reader;
pub(crate) mod state;
pub mod transport;
pub(crate) mod writer;
