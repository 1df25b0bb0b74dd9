use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use peerl_proto::epmd::{AliveName, NameError};

/// Why a conversation with EPMD, or serving as EPMD, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing answers where EPMD should be. Start one, or correct the address.
    #[error(
        "no EPMD answers at {address} ({source}): start one with `epmd -daemon`, or set ERL_EPMD_PORT to the port of the one that runs"
    )]
    NoEpmd {
        /// The host and port that were tried.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The name of EPMD's host has no address. Correct the name, or the resolver.
    #[error("the host {host:?} has no address ({source}): check its spelling and the name service")]
    UnknownHost {
        /// The name of the host.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// EPMD did not answer in time. It hangs, or a firewall drops what is sent to it.
    #[error(
        "EPMD at {address} gave no answer to {request} within {after:?}: check that it is EPMD, and the firewall between"
    )]
    TimedOut {
        /// The host and port that were tried.
        address: String,
        /// The request's name in Erlang's documentation.
        request: &'static str,
        /// How long it had.
        after: Duration,
    },
    /// EPMD closed the connection instead of answering. It does so to requests that only its own host may
    /// make, and when it has too many connections.
    #[error(
        "EPMD at {address} closed the connection without an answer to {request}: it may have too many connections, or take that request from its own host only"
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
    /// What answers does not speak EPMD's protocol. Correct the port.
    #[error("what answers at {address} does not speak EPMD's protocol ({reason}): check that EPMD has that port")]
    Malformed {
        /// The host and port that were tried.
        address: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer is longer than the client takes. Raise the limit if EPMD has that many names.
    #[error("the answer of EPMD at {address} is longer than the {limit} bytes that are taken")]
    AnswerTooLarge {
        /// The host and port of EPMD.
        address: String,
        /// The limit of [`Client::with_answer_limit`](crate::Client::with_answer_limit).
        limit: usize,
    },
    /// The name asked for cannot be a node's. Give the part before the `@`.
    #[error("{name:?} is no node name: {reason}; give the part before the `@`")]
    BadName {
        /// The text.
        name: String,
        /// The rule that it breaks.
        reason: NameError,
    },
    /// An environment variable makes no sense. Correct or unset it.
    #[error("{variable} is {value:?}, and should be {expected}: correct it or unset it")]
    BadEnvironment {
        /// The variable.
        variable: &'static str,
        /// Its value, or the part of it that makes no sense.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The connection broke for a reason that has no variant of its own.
    #[error("the connection to EPMD at {address} broke: {source}")]
    Broken {
        /// The host and port of EPMD.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The server's port is in use, most likely by another EPMD. Use that one, or another port.
    #[error(
        "port {} of {} is in use, most likely by another EPMD: use that one, or set ERL_EPMD_PORT to another port",
        address.port(), address.ip()
    )]
    AddressInUse {
        /// The address that the server should listen on.
        address: SocketAddr,
    },
    /// The server cannot listen on an address.
    #[error("can't listen on {address}: {source}")]
    Bind {
        /// The address that the server should listen on.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The server was given no address to listen on.
    #[error("EPMD needs at least one address to listen on")]
    NoAddress,
}
