use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use peerl_proto::epmd::{AliveName, NameError};

/// Why a request to EPMD, or serving as EPMD, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing listens at EPMD's address. Start EPMD, or correct the address.
    #[error(
        "no EPMD answers at {address}: start one with `epmd -daemon`, or set ERL_EPMD_PORT to the port of the one that runs"
    )]
    NoEpmd {
        /// The host and port that were tried.
        address: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The name of EPMD's host has no address. Correct the name, or the resolver.
    #[error("the host {host:?} has no address: check its spelling and the name service")]
    UnknownHost {
        /// The name of the host.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// EPMD did not answer in time. It hangs, or a firewall drops the packets.
    #[error(
        "EPMD at {address} gave no answer to {request} within {after:?}: check that it is EPMD, and the firewall between"
    )]
    TimedOut {
        /// The host and port that were tried.
        address: String,
        /// The request's name in Erlang's documentation.
        request: &'static str,
        /// The time-out.
        after: Duration,
    },
    /// EPMD closed the connection without an answer. It does so for requests that only its own host may make, and
    /// when it has too many connections.
    #[error(
        "EPMD at {address} closed the connection without an answer to {request}: it may have too many connections, or accept that request only from its own host"
    )]
    Closed {
        /// The host and port that were tried.
        address: String,
        /// The request's name in Erlang's documentation.
        request: &'static str,
    },
    /// Another node has the name. End that node, or choose another name.
    #[error(
        "EPMD at {address} refuses the name {name:?}, most likely because another node has it: end that node or choose another name"
    )]
    NameTaken {
        /// The host and port of EPMD.
        address: String,
        /// The name.
        name: AliveName,
    },
    /// The answer does not follow EPMD's protocol. Correct the port.
    #[error("the answer of {address} does not follow EPMD's protocol: check that EPMD has that port")]
    Malformed {
        /// The host and port that were tried.
        address: String,
        /// The error in the answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer exceeds the client's limit. Raise the limit if EPMD has that many names.
    #[error("the answer of EPMD at {address} exceeds the limit of {limit} bytes")]
    AnswerTooLarge {
        /// The host and port of EPMD.
        address: String,
        /// The limit of [`Client::with_answer_limit`](crate::Client::with_answer_limit).
        limit: usize,
    },
    /// The name is invalid. Give the part of the node's name before the `@`.
    #[error("{name:?} is not a node name: give the part before the `@`")]
    BadName {
        /// The text.
        name: String,
        /// The rule that it breaks.
        source: NameError,
    },
    /// An environment variable is invalid. Correct or unset it.
    #[error("{variable} is {value:?} instead of {expected}: correct it or unset it")]
    BadEnvironment {
        /// The variable.
        variable: &'static str,
        /// Its value, or the invalid part of it.
        value: String,
        /// The expected form.
        expected: &'static str,
    },
    /// The connection broke for another reason.
    #[error("the connection to EPMD at {address} broke")]
    Broken {
        /// The host and port of EPMD.
        address: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The server's port is in use, most likely by another EPMD. Use that one, or another port.
    #[error(
        "port {} of {} is in use, most likely by another EPMD: use that one, or set ERL_EPMD_PORT to another port",
        address.port(), address.ip()
    )]
    AddressInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The server cannot listen on an address.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// The server was given no address to listen on.
    #[error("EPMD needs at least one address to listen on")]
    NoAddress,
}
