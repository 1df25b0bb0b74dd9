//! Terms as text: Erlang and Elixir syntax, calls written in either, and JSON.
//!
//! ```
//! use peerl_term::Term;
//! use peerl_term::text::{elixir, erlang};
//!
//! let term = Term::tuple([Term::atom("ok"), Term::map([(Term::atom("status"), Term::from(200))])]);
//! assert_eq!(erlang::display(&term).to_string(), "{ok,#{status => 200}}");
//! assert_eq!(elixir::display(&term).to_string(), "{:ok, %{status: 200}}");
//! ```

pub mod elixir;
pub mod erlang;
mod number;
mod print;
