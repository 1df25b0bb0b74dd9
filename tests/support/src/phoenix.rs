/// Elixir modules that make a BEAM node look to others as one with phoenix_pubsub; `StandIn.start/2` starts a pool.
pub const PHOENIX: &str = include_str!("programs/phoenix.ex");
