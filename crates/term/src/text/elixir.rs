//! Elixir syntax.
//!
//! A BEAM prints local pids and similar terms without their node. Here they are written with it, so that they can be
//! parsed:
//!
//! | term | text |
//! |---|---|
//! | pid | `#PID<node@host.id.serial.creation>` |
//! | port | `#Port<node@host.id.creation>` |
//! | reference | `#Reference<node@host.word.word.word.creation>`, 1 to 5 words |
//! | external fun | `&Enum.map/2`, `&:lists.map/2` |
//! | record (OTP 29) | `#Record<module.name, key: 1>` |
//! | local fun | `#Function<index.unique/arity in module>`, only to be looked at |
//!
//! Names inside `#...<>` are quoted where necessary: `#PID<"w@127.0.0.1".38.0.1700000000>`.

mod label;
mod parse;
mod print;
mod quoted;

pub use parse::{parse, parse_call, parse_template};
pub use print::{Display, display};
