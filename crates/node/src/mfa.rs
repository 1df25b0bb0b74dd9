use std::fmt;

use peerl_term::{Atom, Encoded, RawTerm, Sink, Tag, Term, encode};
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
    /// The arguments cannot be terms, or are not a sequence: one argument is `(argument,)`.
    #[error("the arguments cannot be encoded")]
    Arguments(#[from] peerl_term::serde::Error),
}

impl Mfa {
    /// The room for arguments to begin with: most need no more.
    const USUAL: usize = 256;

    /// Makes a call of arguments that are any serializable sequence, such as a tuple: `("a", 1)`, `(x,)`, `()`.
    ///
    /// # Errors
    /// If a name is too long for an atom, or the arguments are no sequence or cannot be encoded.
    pub fn new(module: &str, function: &str, arguments: impl Serialize) -> Result<Self, MfaError> {
        let (module, function) = (Atom::new(module)?, Atom::new(function)?);
        let mut encoded = Encoded::with_capacity(Self::USUAL);
        peerl_term::serde::list_to_sink(&arguments, &mut encoded)?;
        let arity = arity_of(encoded.bytes());
        // Few bytes are copied into memory that is not larger than they are.
        let is_small = encoded.bytes().len() < Self::USUAL;
        let arguments = RawTerm::from(encoded);
        let arguments = if is_small { arguments.unshared() } else { arguments };
        Ok(Self { module, function, arity, arguments })
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

    /// Whether the function may spawn a process: no, if it is one of OTP's or Elixir's that compute something or ask
    /// the emulator, and gets no function to call in turn.
    pub(crate) fn may_spawn(&self) -> bool {
        /// Larger arguments are not searched.
        const SEARCHED: usize = 4096;
        let computes = match self.module.as_str() {
            "lists" | "maps" | "string" | "binary" | "unicode" | "math" | "base64" | "calendar" | "io_lib"
            | "logger_formatter" => true,
            "Elixir.Enum" | "Elixir.String" | "Elixir.Map" | "Elixir.List" | "Elixir.Integer" | "Elixir.System" => true,
            "erlang" => {
                let function = self.function.as_str();
                !(function.starts_with("spawn") || matches!(function, "apply" | "hibernate"))
            }
            "application" => matches!(self.function.as_str(), "which_applications" | "loaded_applications" | "get_env"),
            _ => false,
        };
        let arguments = self.arguments.bytes();
        let is_fun = |byte: &u8| matches!(Tag(*byte), Tag::NEW_FUN_EXT | Tag::EXPORT_EXT);
        // A byte of a text may look like the tag of a function, which only means that more is looked at later.
        !computes || arguments.len() > SEARCHED || arguments.iter().any(is_fun)
    }

    /// Writes `Module, Function`.
    pub(crate) fn encode_function(&self, sink: &mut impl Sink) {
        encode::atom(&self.module, sink);
        encode::atom(&self.function, sink);
    }
}

/// The number of elements of a list that has just been encoded.
fn arity_of(list: &[u8]) -> usize {
    match *list {
        [tag, a, b, ..] if Tag(tag) == Tag::STRING_EXT => usize::from(u16::from_be_bytes([a, b])),
        [tag, a, b, c, d, ..] if Tag(tag) == Tag::LIST_EXT => u32::from_be_bytes([a, b, c, d]) as usize,
        _ => 0,
    }
}

impl fmt::Debug for Mfa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.module, self.function, self.arity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(mfa: &Mfa) -> Term {
        mfa.arguments().decode().unwrap()
    }

    #[test]
    fn what_may_spawn_a_process() {
        let may_spawn = |module, function, arguments: Vec<Term>| {
            Mfa::with_terms(Atom::from_static(module), Atom::from_static(function), arguments).may_spawn()
        };
        assert!(!may_spawn("erlang", "memory", vec![]));
        assert!(!may_spawn("Elixir.Enum", "sum", vec![Term::list([Term::from(1), Term::from(2)])]));
        assert!(may_spawn("erlang", "spawn", vec![]) && may_spawn("erlang", "apply", vec![]));
        assert!(may_spawn("shop", "open", vec![]));
        let fun = peerl_term::ExternalFun {
            module: Atom::from_static("erlang"),
            function: Atom::from_static("spawn"),
            arity: 1,
        };
        assert!(may_spawn("lists", "map", vec![Term::ExternalFun(fun.into()), Term::nil()]));
    }

    #[test]
    fn arguments_are_any_sequence() {
        let pair = Mfa::new("m", "f", ("a", 1)).unwrap();
        assert_eq!((pair.arity(), arguments(&pair)), (2, Term::list([Term::from("a"), Term::from(1)])));
        let bytes = Mfa::new("m", "f", vec![1u8, 2, 3]).unwrap();
        assert_eq!((bytes.arity(), arguments(&bytes)), (3, Term::list([1, 2, 3].map(Term::from))));
        let none = Mfa::new("m", "f", ()).unwrap();
        assert_eq!((none.arity(), arguments(&none)), (0, Term::nil()));
    }

    #[test]
    fn a_single_value_is_no_sequence() {
        #[derive(Serialize)]
        struct Unit;
        assert!(matches!(Mfa::new("m", "f", 1), Err(MfaError::Arguments(_))));
        assert!(matches!(Mfa::new("m", "f", "text"), Err(MfaError::Arguments(_))));
        assert!(matches!(Mfa::new("m", "f", Unit), Err(MfaError::Arguments(_))));
        assert!(matches!(Mfa::new(&"m".repeat(256), "f", ()), Err(MfaError::Atom(_))));
    }
}
