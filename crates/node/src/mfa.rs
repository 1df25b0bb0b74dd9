use std::fmt;

use peerl_term::{Atom, RawTerm, Term, encode};
use serde::Serialize;

/// A function and its arguments: what is to be called.
#[derive(Clone)]
pub struct Mfa {
    module: Atom,
    function: Atom,
    arity: usize,
    /// The list of arguments, encoded once however often the call is made.
    arguments: RawTerm,
}

/// What was given cannot be a call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MfaError {
    /// A name is too long for an atom.
    #[error(transparent)]
    Atom(#[from] peerl_term::AtomError),
    /// The arguments cannot be terms.
    #[error("the arguments cannot be encoded: {0}")]
    Arguments(#[from] peerl_term::serde::Error),
    /// The arguments are not a sequence.
    #[error("arguments are given as a tuple or another sequence, ({shape} came): one argument is `(argument,)`")]
    NotASequence {
        /// What was given.
        shape: &'static str,
    },
}

impl Mfa {
    /// Makes a call of arguments that are any serializable sequence, such as a tuple: `("a", 1)`, `(x,)`, `()`.
    ///
    /// # Errors
    /// If a name is too long for an atom, or the arguments are no sequence or cannot be encoded.
    pub fn new(module: &str, function: &str, arguments: impl Serialize) -> Result<Self, MfaError> {
        let (module, function) = (Atom::new(module)?, Atom::new(function)?);
        match peerl_term::serde::to_term(&arguments)? {
            Term::Tuple(arguments) => Ok(Self::with_terms(module, function, arguments.into_vec())),
            Term::List(arguments) => Ok(Self::with_terms(module, function, arguments.into_vec())),
            Term::Atom(unit) if size_of_val(&arguments) == 0 => {
                drop(unit);
                Ok(Self::with_terms(module, function, Vec::new()))
            }
            Term::Map(_) => Err(MfaError::NotASequence { shape: "a map" }),
            _ => Err(MfaError::NotASequence { shape: "a single value" }),
        }
    }

    /// Makes a call of terms.
    pub fn with_terms(module: Atom, function: Atom, arguments: Vec<Term>) -> Self {
        let arity = arguments.len();
        let arguments = RawTerm::encoded_from(&Term::List(arguments.into()));
        Self { module, function, arity, arguments }
    }

    /// The module.
    pub fn module(&self) -> &Atom {
        &self.module
    }

    /// The function.
    pub fn function(&self) -> &Atom {
        &self.function
    }

    /// The number of arguments.
    pub fn arity(&self) -> usize {
        self.arity
    }

    /// The encoded list of arguments.
    pub fn arguments(&self) -> &RawTerm {
        &self.arguments
    }

    /// Writes `Module, Function`.
    pub(crate) fn encode_function(&self, out: &mut Vec<u8>) {
        encode::atom(&self.module, out);
        encode::atom(&self.function, out);
    }
}

impl fmt::Debug for Mfa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.module, self.function, self.arity)
    }
}
