use peerl_node::NodeName;
use peerl_term::Atom;

/// A log event of a process of a peer that works for this node, as OTP's `logger` forwards it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEvent {
    /// The peer that has sent it.
    pub node: NodeName,
    /// The level: `error`, `warning`, `notice` and so on.
    pub level: Atom,
    /// The message, as the peer's `logger_formatter` gives it. It may have several lines, and any characters.
    pub text: String,
}

impl LogEvent {
    /// Makes one.
    pub fn new(node: NodeName, level: Atom, text: String) -> Self {
        Self { node, level, text }
    }

    /// Makes it an event of this program's own log.
    pub(super) fn trace(&self) {
        let (node, text) = (&self.node, self.text.trim_end());
        match self.level.as_str() {
            "emergency" | "alert" | "critical" | "error" => {
                tracing::error!(target: "peerl::remote", %node, level = %self.level, "{text:?}");
            }
            "warning" => tracing::warn!(target: "peerl::remote", %node, "{text:?}"),
            "notice" | "info" => tracing::info!(target: "peerl::remote", %node, level = %self.level, "{text:?}"),
            _ => tracing::debug!(target: "peerl::remote", %node, level = %self.level, "{text:?}"),
        }
    }
}
