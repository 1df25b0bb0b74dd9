//! The messages of EPMD, the Erlang port mapper daemon, both ways and without I/O.
//!
//! A node registers its name and port with [`Alive2Request`] and keeps the connection open as its lease; its peers
//! look it up with [`PortPlease2Request`]. Every request is a two-byte length and a body that starts with a tag.
//! Answers have no length; those to `NAMES`, `DUMP`, `KILL` and `STOP` end when the connection closes.
//!
//! | request | tag | answer |
//! |---|---|---|
//! | [`Alive2Request`] | 120 | [`Alive2Response`], then the connection stays open |
//! | [`PortPlease2Request`] | 122 | [`PortPlease2Response`] |
//! | [`NamesRequest`] | 110 | [`NamesResponse`] |
//! | [`DumpRequest`] | 100 | [`DumpResponse`] |
//! | [`KillRequest`] | 107 | [`KillResponse`] |
//! | [`StopRequest`] | 115 | [`StopResponse`] |
//!
//! A server reads with [`Request::read`] and encodes the answers. A client uses the crate `erl_dist` for `ALIVE2`,
//! `PORT_PLEASE2` and `KILL`; here are the parts that this crate lacks or supports less completely: the requests
//! `NAMES`, `DUMP` and `STOP`, and the answers that end with the connection.
//!
//! See [EPMD Protocol](https://www.erlang.org/doc/apps/erts/erl_dist_protocol.html#epmd-protocol).
//!
//! ```
//! use peerl_proto::epmd::{AliveName, PortPlease2Request, PortPlease2Response, Request};
//!
//! let mut input = bytes::BytesMut::from(&b"\x00\x05zalfa"[..]);
//! let request = PortPlease2Request { name: AliveName::new("alfa")? };
//! assert_eq!(Request::read(&mut input)?, Some(Request::PortPlease2(request)));
//! assert_eq!(PortPlease2Response::Unknown.encode(), b"w\x01");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alive2_request;
pub use alive2_request::Alive2Request;
mod alive2_response;
pub use alive2_response::{Alive2Outcome, Alive2Response, CreationWidth};
mod alive_name;
pub use alive_name::{AliveName, NameError};
mod dump_request;
pub use dump_request::DumpRequest;
mod dump_response;
pub use dump_response::{DumpEntry, DumpResponse, DumpState};
mod kill_request;
pub use kill_request::KillRequest;
mod kill_response;
pub use kill_response::KillResponse;
mod names_request;
pub use names_request::NamesRequest;
mod names_response;
pub use names_response::{NameEntry, NamesResponse};
mod node_info;
pub use node_info::{NodeInfo, NodeInfoError, NodeType, TransportProtocol};
mod port_please2_request;
pub use port_please2_request::PortPlease2Request;
mod port_please2_response;
pub use port_please2_response::PortPlease2Response;
mod request;
pub use request::{Request, RequestError};
mod response;
pub use response::ResponseError;
mod stop_request;
pub use stop_request::StopRequest;
mod stop_response;
pub use stop_response::StopResponse;

/// EPMD's port, unless `ERL_EPMD_PORT` sets another.
pub const DEFAULT_PORT: u16 = 4369;

/// The highest distribution protocol version that OTP 23 and later offer.
pub const HIGHEST_VERSION: u16 = 6;

/// The lowest distribution protocol version that OTP 25 to 29 offer.
pub const LOWEST_VERSION: u16 = 5;

/// The longest request body in bytes that EPMD accepts, measured on the `epmd` of OTP 25.
pub const MAX_REQUEST: usize = 3057;
