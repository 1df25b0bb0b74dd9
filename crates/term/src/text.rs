//! Terms as text: Erlang and Elixir syntax, calls written in either, and JSON.
//!
//! ```
//! use peerl_term::text::{Syntax, elixir, erlang};
//!
//! let term = erlang::parse(r#"{ok, <<"page">>, #{status => 16#C8}}"#)?;
//! assert_eq!(elixir::display(&term).to_string(), r#"{:ok, "page", %{status: 200}}"#);
//! assert_eq!(elixir::parse(r#"{:ok, "page", %{status: 200}}"#)?, term);
//!
//! let call = Syntax::detect_call(":lists.reverse([1, 2])").parse_call(":lists.reverse([1, 2])")?;
//! assert_eq!((&*call.module, &*call.function), ("lists", "reverse"));
//! # Ok::<(), peerl_term::text::ParseError>(())
//! ```

mod call;
pub mod elixir;
pub mod erlang;
mod error;
#[cfg(feature = "json")]
pub mod json;
mod number;
mod print;
mod program;
mod reader;
mod segment;
mod source;
mod syntax;

pub use call::{Call, Template};
pub use error::ParseError;
pub use print::alters_display;
pub(crate) use print::beginning;
pub use syntax::Syntax;
