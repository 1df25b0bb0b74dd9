use std::fmt;

use peerl_term::{Atom, ExternalFun, Pid, Term};

/// The function that says who keeps a name that two processes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Method {
    /// `global:random_exit_name/3`: one of the two is killed.
    #[default]
    RandomExit,
    /// `global:random_notify_name/3`: one of the two is told, with `{global_name_conflict, Name}`.
    RandomNotify,
    /// `global:notify_all_name/3`: the name goes, and both are told, with `{global_name_conflict, Name, OtherPid}`.
    NotifyAll,
}

/// What such a function has done.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    /// What it returns.
    pub(super) returned: Term,
    /// A process that it kills.
    pub(super) killed: Option<Pid>,
    /// What it tells to whom.
    pub(super) told: Vec<(Pid, Term)>,
}

impl Method {
    const ALL: [Self; 3] = [Self::RandomExit, Self::RandomNotify, Self::NotifyAll];

    fn function(self) -> &'static str {
        match self {
            Self::RandomExit => "random_exit_name",
            Self::RandomNotify => "random_notify_name",
            Self::NotifyAll => "notify_all_name",
        }
    }

    /// `fun global:Function/3`, which any node can call.
    pub fn to_term(self) -> Term {
        let function = Atom::from_static(self.function());
        ExternalFun { module: GLOBAL, function, arity: 3 }.into()
    }

    /// The method that is meant, if it is one of these. A fun that a BEAM's `global` has made itself is that for names that
    /// were registered without a method.
    pub fn from_term(term: &Term) -> Option<Self> {
        let named = |module: &Atom, function: &Atom| {
            let method = Self::ALL.into_iter().find(|method| *function == method.function());
            method.filter(|_| *module == GLOBAL)
        };
        match term {
            Term::ExternalFun(fun) if fun.arity == 3 => named(&fun.module, &fun.function),
            Term::LocalFun(fun) if fun.arity() == 3 && *fun.module() == GLOBAL => Some(Self::RandomExit),
            Term::Tuple(parts) => match &parts[..] {
                [Term::Atom(module), Term::Atom(function)] => named(module, function),
                _ => None,
            },
            _ => None,
        }
    }

    /// Decides who keeps a name.
    pub(super) fn decide(self, name: &Term, one: &Pid, other: &Pid) -> Verdict {
        let conflict = Term::atom("global_name_conflict");
        let (kept, left) = if one.node < other.node { (one, other) } else { (other, one) };
        match self {
            Self::RandomExit => {
                tracing::info!("the global name {name} is taken twice: {} is killed", Term::from(left.clone()));
                Verdict { returned: kept.clone().into(), killed: Some(left.clone()), told: vec![] }
            }
            Self::RandomNotify => {
                let told = vec![(left.clone(), Term::tuple([conflict, name.clone()]))];
                Verdict { returned: kept.clone().into(), killed: None, told }
            }
            Self::NotifyAll => {
                let tell = |pid: &Pid, of: &Pid| {
                    (pid.clone(), Term::tuple([conflict.clone(), name.clone(), of.clone().into()]))
                };
                Verdict { returned: Term::atom("none"), killed: None, told: vec![tell(one, other), tell(other, one)] }
            }
        }
    }
}

/// What a method says that cannot be called here, as OTP's `resolve_it` gives it: the name goes at all nodes.
pub(super) fn unknown(method: &Term) -> Term {
    Term::tuple([Term::atom("EXIT"), Term::tuple([Term::atom("undef"), Term::list([method.clone()])])])
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "global:{}/3", self.function())
    }
}

const GLOBAL: Atom = Atom::from_static("global");

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(node: &str) -> Pid {
        Pid { node: Atom::new(node).unwrap(), id: 1, serial: 0, creation: 1 }
    }

    #[test]
    fn are_known_in_each_form() {
        for method in Method::ALL {
            assert_eq!(Method::from_term(&method.to_term()), Some(method));
            let pair = Term::tuple([Term::atom("global"), Term::Atom(Atom::from_static(method.function()))]);
            assert_eq!(Method::from_term(&pair), Some(method));
        }
        let foreign = ExternalFun { module: Atom::from_static("m"), function: Atom::from_static("f"), arity: 3 };
        assert_eq!(Method::from_term(&foreign.into()), None);
        assert_eq!(Method::from_term(&Term::atom("random_exit_name")), None);
    }

    #[test]
    fn decide_as_otp() {
        let name = Term::atom("n");
        for (one, other) in [("a@h", "b@h"), ("b@h", "a@h")] {
            let (one, other) = (pid(one), pid(other));
            let verdict = Method::RandomExit.decide(&name, &one, &other);
            assert_eq!((verdict.returned, verdict.killed), (pid("a@h").into(), Some(pid("b@h"))));
            let verdict = Method::RandomNotify.decide(&name, &one, &other);
            assert_eq!(verdict.returned, pid("a@h").into());
            let conflict = Term::tuple([Term::atom("global_name_conflict"), name.clone()]);
            assert_eq!(verdict.told, [(pid("b@h"), conflict)]);
            let verdict = Method::NotifyAll.decide(&name, &one, &other);
            assert!(verdict.returned.is_atom("none") && verdict.killed.is_none() && verdict.told.len() == 2);
        }
    }
}
