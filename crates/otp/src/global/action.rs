use std::sync::Arc;

use peerl_node::Caller;
use peerl_term::{Atom, Pid, Term};

use super::ids::{CallId, MonitorId, RequestId, ResolutionId};
use super::message::{Message, Request};

/// What the driver of a [`State`](super::State) is to do, in this order. What is sent to a node that is not connected
/// vanishes: nothing here but [`Connect`](Self::Connect) makes a connection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Sends to the server of a node.
    Send(Atom, Message),
    /// Sends to a process.
    SendProcess(Pid, Term),
    /// Calls the server of a node from the server of this one: a monitor, then the call.
    /// [`Event::Answered`](super::Event::Answered) tells the outcome.
    Call(CallId, Atom, Arc<Request>),
    /// Nobody waits for the answer to a call any more.
    AbandonCall(CallId),
    /// Answers a call of a peer.
    Reply(Caller, Term),
    /// Answers a request of this node itself.
    Answer(RequestId, Term),
    /// Monitors a process, of this node or of a connected one.
    Monitor(MonitorId, Pid),
    /// Ends a monitor.
    Demonitor(MonitorId),
    /// Sends a process the exit signal `kill`.
    Kill(Pid),
    /// Connects to a node. [`Event::NodeUp`](super::Event::NodeUp) or
    /// [`Event::ConnectFailed`](super::Event::ConnectFailed) tells the outcome.
    Connect(Atom),
    /// Ends the connection to a node.
    Disconnect(Atom),
    /// Calls `global:resolve_it(Method, Name, Pid1, Pid2)` at a node. [`Event::Returned`](super::Event::Returned) tells the
    /// outcome.
    Resolve(ResolutionId, Atom, [Term; 4]),
}
