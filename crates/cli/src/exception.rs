//! Classifies the exception of a call: of a missing function, or of Elixir.

mod elixir;

use peerl_node::{Atom, Class, Exception, Term};
use peerl_term::text::Syntax;

pub use elixir::banner;

/// A function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Its module.
    pub module: Atom,
    /// Its name.
    pub name: Atom,
    /// The number of its arguments.
    pub arity: usize,
}

/// In Erlang's notation.
impl std::fmt::Display for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |atom: &Atom| Syntax::Erlang.display(&Term::Atom(atom.clone())).to_string();
        write!(f, "{}:{}/{}", text(&self.module), text(&self.name), self.arity)
    }
}

/// The missing function, if the exception is about one.
pub fn undefined(exception: &Exception) -> Option<Function> {
    if exception.class != Class::Error || !exception.reason.is_atom("undef") {
        return None;
    }
    match exception.stack.as_list()?.first()?.as_tuple()? {
        [Term::Atom(module), Term::Atom(name), arguments, _] => {
            let arity = match arguments {
                Term::List(arguments) => arguments.len(),
                arity => usize::try_from(arity.as_integer()?).ok()?,
            };
            Some(Function { module: module.clone(), name: name.clone(), arity })
        }
        _ => None,
    }
}

/// Whether the exception should be formatted like Elixir does.
pub fn is_elixirs(exception: &Exception, syntax: Syntax) -> bool {
    syntax == Syntax::Elixir || elixir::is_struct(&exception.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(module: &str, name: &str, arity: usize) -> Function {
        Function { module: Atom::new(module).unwrap(), name: Atom::new(name).unwrap(), arity }
    }

    #[test]
    fn the_function_that_is_undefined() {
        let frame = |arguments: Term| Term::tuple([Term::atom("m"), Term::atom("f"), arguments, Term::nil()]);
        let undef = |frame| Exception { stack: Term::list([frame]), ..Exception::error(Term::atom("undef")) };
        assert_eq!(undefined(&undef(frame(Term::list([Term::from(1)])))), Some(function("m", "f", 1)));
        assert_eq!(undefined(&undef(frame(Term::from(3)))), Some(function("m", "f", 3)));
        assert_eq!(undefined(&Exception::error(Term::atom("undef"))), None);
        assert_eq!(undefined(&Exception::badarg()), None);
    }
}
