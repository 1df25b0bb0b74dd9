use std::fmt;
use std::str::FromStr;

use super::{Call, ParseError, Template, elixir, erlang};
use crate::Term;

/// A language in which terms are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Syntax {
    /// Erlang.
    Erlang,
    /// Elixir.
    Elixir,
}

impl Syntax {
    /// Guesses the syntax of a call: Elixir if it begins with an alias, such as `MyApp.Page.fetch(1)`, or with a
    /// colon, such as `:page.fetch(1)`; else Erlang.
    pub fn detect_call(text: &str) -> Self {
        let mut rest = text.trim_start();
        loop {
            rest = match rest.chars().next() {
                Some('%') => rest.split_once('\n').map_or("", |(_, after)| after).trim_start(),
                Some('#' | ':' | 'A'..='Z') => return Self::Elixir,
                _ => return Self::Erlang,
            }
        }
    }

    /// Parses a term.
    ///
    /// # Errors
    /// If the text is not a term of this syntax.
    pub fn parse(self, text: &str) -> Result<Term, ParseError> {
        match self {
            Self::Erlang => erlang::parse(text),
            Self::Elixir => elixir::parse(text),
        }
    }

    /// Parses a call.
    ///
    /// # Errors
    /// If the text is not a call of this syntax.
    pub fn parse_call(self, text: &str) -> Result<Call, ParseError> {
        match self {
            Self::Erlang => erlang::parse_call(text),
            Self::Elixir => elixir::parse_call(text),
        }
    }

    /// Parses a call in which each `_` is a placeholder for an item.
    ///
    /// # Errors
    /// If the text is not a call of this syntax.
    pub fn parse_template(self, text: &str) -> Result<Template, ParseError> {
        match self {
            Self::Erlang => erlang::parse_template(text),
            Self::Elixir => elixir::parse_template(text),
        }
    }

    /// Formats a term.
    pub fn display(self, term: &Term) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| match self {
            Self::Erlang => fmt::Display::fmt(&erlang::display(term), f),
            Self::Elixir => fmt::Display::fmt(&elixir::display(term), f),
        })
    }
}

/// Parses a term in Erlang syntax.
impl FromStr for Term {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        erlang::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_show_their_syntax() {
        for (text, syntax) in [
            ("lists:reverse([1])", Syntax::Erlang),
            ("'Elixir.Enum':count([])", Syntax::Erlang),
            ("% first\n lists:reverse([1])", Syntax::Erlang),
            (" :lists.reverse([1])", Syntax::Elixir),
            ("Enum.count([])", Syntax::Elixir),
            ("# first\nEnum.count([])", Syntax::Elixir),
        ] {
            assert_eq!(Syntax::detect_call(text), syntax);
            let call = syntax.parse_call(text).unwrap();
            assert_eq!(call.arguments.len(), 1);
        }
    }

    #[test]
    fn same_syntax_comes_out() {
        let term = Syntax::Erlang.parse("{ok, <<\"a\">>}").unwrap();
        assert_eq!(Syntax::Elixir.display(&term).to_string(), "{:ok, \"a\"}");
        assert_eq!("{ok, <<\"a\">>}".parse::<Term>().unwrap(), term);
    }
}
