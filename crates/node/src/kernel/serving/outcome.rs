//! The outcome of a call that a peer has made, in the forms in which it travels.

use std::sync::Arc;

use peerl_proto::budget::Share;
use peerl_proto::connection::LARGE;
use peerl_term::Term;

use crate::kernel::exception::{Class, Exception};
use crate::kernel::exports::Outcome;
use crate::kernel::reason::{CallId, JobEnd, Reason, Returned};

/// The exit reason of the process that has made a call for `erpc`: `{Id, return, Value}` and its kin.
pub(super) fn erpc_reason(id: CallId, outcome: Outcome) -> JobEnd {
    let exception = match outcome {
        Ok(value) => return JobEnd::Returned(Returned { id, value, lease: None }),
        Err(exception) => exception,
    };
    let Exception { class, reason, stack } = exception;
    let reason = match class {
        Class::Throw => Term::tuple([id.into(), Term::atom("throw"), reason]),
        Class::Exit => Term::tuple([id.into(), Term::atom("exit"), reason]),
        Class::Error => Term::tuple([id.into(), Term::atom("error"), reason, stack]),
    };
    JobEnd::Other(reason.into())
}

/// Takes room for a large value of the caller's memory. If that does not suffice, the call fails with `system_limit`.
pub(super) fn fit(ended: JobEnd, caller: &Arc<Share>) -> JobEnd {
    match ended {
        JobEnd::Returned(Returned { id, value, .. }) if value.bytes().len() > LARGE => {
            match caller.lease(value.bytes().len()) {
                Some(lease) => JobEnd::Returned(Returned { id, value, lease: Some(lease) }),
                None => erpc_reason(id, Err(Exception::system_limit())),
            }
        }
        other => other,
    }
}

/// The exit reason of a process that has made a call by `erpc:cast/4`: an error is marked as one of the function.
pub(super) fn cast_reason(outcome: Outcome) -> Reason {
    let outcome = outcome.map_err(|exception| match exception.class {
        Class::Error => {
            let error = Term::tuple([exception.reason, exception.stack]);
            let error = Exception::error(Term::tuple([Term::atom("exception"), error]));
            let place = [Term::atom("erpc"), Term::atom("execute_cast"), Term::from(3), Term::nil()];
            Exception { stack: Term::list([Term::tuple(place)]), ..error }
        }
        _ => exception,
    });
    exit_reason(outcome)
}

/// The exit reason of a process whose function has ended so.
pub(super) fn exit_reason(outcome: Outcome) -> Reason {
    match outcome {
        Ok(_) => crate::kernel::reason::atom("normal"),
        Err(Exception { class: Class::Exit, reason, .. }) => reason.into(),
        Err(Exception { class: Class::Error, reason, stack }) => Term::tuple([reason, stack]).into(),
        Err(Exception { class: Class::Throw, reason, stack }) => {
            let reason = Term::tuple([Term::atom("nocatch"), reason]);
            Term::tuple([reason, stack]).into()
        }
    }
}
