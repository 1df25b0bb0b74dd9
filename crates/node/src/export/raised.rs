use std::any::Any;
use std::error::Error;

use peerl_proto::error_chain::ErrorChain;
use peerl_term::Term;

use crate::Exception;
use crate::rpc::CallError;

impl<E: Error + 'static> From<E> for Exception {
    /// The exception of another node's function is raised as it was there; of any other error, `error({failed, Text})`.
    fn from(error: E) -> Self {
        if let Some(CallError::Exception(exception)) = (&error as &dyn Any).downcast_ref() {
            return exception.clone();
        }
        Self::error(Term::tuple([Term::atom("failed"), Term::from(ErrorChain(&error).to_string())]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the order")]
    struct Unread(#[source] std::num::ParseIntError);

    fn raised<T, E: Into<Exception>>(result: Result<T, E>) -> Exception {
        result.map(drop).unwrap_err().into()
    }

    #[test]
    fn errors_become_exceptions_with_their_sources() {
        let exception = raised("x".parse::<i32>().map_err(Unread));
        let text = "cannot read the order: invalid digit found in string";
        assert_eq!(exception, Exception::error(Term::tuple([Term::atom("failed"), Term::from(text)])));
        let thrown = Exception::throw(Term::atom("ball"));
        assert_eq!(raised::<(), _>(Err(CallError::Exception(thrown.clone()))), thrown);
    }
}
