use super::program::Program;
use crate::{Atom, Term};

/// A call of a function on another node, as parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The module.
    pub module: Atom,
    /// The function.
    pub function: Atom,
    /// The arguments.
    pub arguments: Vec<Term>,
}

/// A call with placeholders for an item, written `_`, anywhere in the arguments.
///
/// ```
/// use peerl_term::{Term, text::erlang};
///
/// let template = erlang::parse_template("page:fetch(<<\"GET\">>, {url, _}, #{tries => 3})")?;
/// assert!(template.has_hole());
/// let call = template.fill(&Term::from("http://localhost/"));
/// assert_eq!(call.arguments[1].to_string(), r#"{url,<<"http://localhost/">>}"#);
/// # Ok::<(), peerl_term::text::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    module: Atom,
    function: Atom,
    arguments: Program,
}

impl Template {
    pub(super) fn new(module: Atom, function: Atom, arguments: Program) -> Self {
        Self { module, function, arguments }
    }

    /// The module.
    pub fn module(&self) -> &Atom {
        &self.module
    }

    /// The function.
    pub fn function(&self) -> &Atom {
        &self.function
    }

    /// Whether there is a placeholder.
    pub fn has_hole(&self) -> bool {
        self.arguments.has_hole()
    }

    /// Makes the call with an item in place of every placeholder.
    pub fn fill(&self, item: &Term) -> Call {
        let arguments = match self.arguments.clone().run(item) {
            Term::List(list) => list.into_vec(),
            other => vec![other],
        };
        Call { module: self.module.clone(), function: self.function.clone(), arguments }
    }
}
