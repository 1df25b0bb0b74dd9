use std::time::Duration;

use crate::environment;

/// The limits and permissions of a [`Server`](crate::Server).
///
/// ```
/// let mut config = peerl_epmd::Config::default();
/// config.names = 100;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How many connections may be open, those of registered nodes excluded; 256. For a further one, the oldest
    /// connection of the address with the most is closed; one address can have half of them.
    pub connections: usize,
    /// How many nodes may be registered; 512. A further one is refused as if its name were in use.
    pub names: usize,
    /// How long a client may take to send its request and to read the answer; 60 seconds.
    pub idle: Duration,
    /// Who may end the server and unregister nodes; [`CommandCheck::Strict`].
    pub command_check: CommandCheck,
}

/// What clients of this host may do to EPMD and to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandCheck {
    /// They may end EPMD only when no node is registered, and may not unregister nodes.
    Strict,
    /// They may do both at any time, as with `epmd -relaxed_command_check`.
    Relaxed,
}

impl Config {
    /// The default limits, with the command check of `ERL_EPMD_RELAXED_COMMAND_CHECK`.
    pub fn from_env() -> Self {
        let command_check = match environment::relaxed_command_check() {
            true => CommandCheck::Relaxed,
            false => CommandCheck::Strict,
        };
        Self { command_check, ..Self::default() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // The sum is below the usual limit of 1,024 file descriptors.
            connections: 256,
            names: 512,
            idle: Duration::from_secs(60),
            command_check: CommandCheck::Strict,
        }
    }
}
