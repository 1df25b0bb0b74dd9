//! Erlang syntax.
//!
//! A BEAM prints local pids and similar terms without their node. Here they are written with it, so that they can be
//! parsed:
//!
//! | term | text |
//! |---|---|
//! | pid | `#Pid<node@host.id.serial.creation>` |
//! | port | `#Port<node@host.id.creation>` |
//! | reference | `#Ref<node@host.word.word.word.creation>`, 1 to 5 words |
//! | external fun | `fun module:function/2` |
//! | record (OTP 29) | `#module:name{key = 1}` |
//! | local fun | `#Fun<module.index.unique>`, only to be looked at |
//!
//! Node names are atoms in Erlang syntax: `#Pid<'w@127.0.0.1'.38.0.1700000000>`.

mod parse;
mod print;

pub use parse::{parse, parse_call, parse_template};
pub use print::{Display, display};
