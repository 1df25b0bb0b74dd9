//! What the scope processes of nodes tell each other.

use std::sync::Arc;

use peerl_node::{Pid, Term};

use super::groups::Groups;
use crate::term_memory::to_keep;

/// Which form of the messages a scope process speaks. One that speaks the later form takes the earlier one, too; the scope
/// process of OTP 25 ends if it gets the later form of `discover`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// OTP 23 to 28: `sync`, `join`, `leave`.
    V0,
    /// OTP 29: `local_data`, `update`.
    V1,
}

/// A message of the scope process of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PeerMessage {
    /// The scope process.
    pub(super) peer: Pid,
    /// What it tells.
    pub(super) content: Content,
}

/// What a scope process tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// It is there, speaks this version, and wants to know this node's groups.
    Discover(Version),
    /// These are all its groups with the processes of its node.
    Data(Version, Vec<(Arc<Term>, Vec<Pid>)>),
    /// Processes of its node have joined or left.
    Update(Vec<Change>),
    /// Each of these processes has left each of these groups, as often as both are there.
    Leave(Vec<Pid>, Vec<Term>),
}

/// Processes of one node that have joined a group, and such that have left it after that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The group.
    pub(super) group: Arc<Term>,
    /// Who has joined.
    pub(super) joined: Vec<Pid>,
    /// Who has left.
    pub(super) left: Vec<Pid>,
}

impl PeerMessage {
    /// Reads a message; none if the term is something else.
    pub(super) fn read(term: &Term) -> Option<Self> {
        let [kind, Term::Pid(peer), rest @ ..] = term.as_tuple()? else { return None };
        let content = match (kind.as_atom()?.as_str(), rest) {
            ("discover", []) => Content::Discover(Version::V0),
            ("discover", [version]) => Content::Discover(Version::read(version)?),
            ("sync", [groups]) => {
                let pair = |pair: &Term| match pair.as_tuple()? {
                    [group, pids] => Some((name(group), pids_of(pids)?)),
                    _ => None,
                };
                Content::Data(Version::V0, groups.as_list()?.iter().map(pair).collect::<Option<_>>()?)
            }
            ("local_data", [version, groups]) => {
                let pair = |(group, pids): (&Term, &Term)| Some((name(group), pids_of(pids)?));
                Content::Data(Version::read(version)?, groups.as_map()?.iter().map(pair).collect::<Option<_>>()?)
            }
            ("join", [group, pids]) => {
                let (group, joined) = (name(group), pids_of(pids)?);
                Content::Update(vec![Change { group, joined, left: Vec::new() }])
            }
            ("leave", [pids, groups]) => Content::Leave(pids_of(pids)?, groups.as_list()?.to_vec()),
            ("update", [changes]) => {
                let change = |change: &Term| match change.as_tuple()? {
                    [group, joined, left] => {
                        let group = name(group);
                        Some(Change { group, joined: pids_of(joined)?, left: pids_of(left)? })
                    }
                    _ => None,
                };
                Content::Update(changes.as_list()?.iter().map(change).collect::<Option<_>>()?)
            }
            _ => return None,
        };
        Some(Self { peer: (**peer).clone(), content })
    }
}

impl Version {
    /// A version that comes after those known here is spoken to in the last of these.
    fn read(term: &Term) -> Option<Self> {
        match term.as_integer()? {
            0 => Some(Self::V0),
            1.. => Some(Self::V1),
            _ => None,
        }
    }
}

/// The name of a group, to be kept.
fn name(group: &Term) -> Arc<Term> {
    Arc::new(to_keep(group))
}

/// `PidOrPids`: OTP up to 28 writes a single process without a list.
pub(super) fn pids_of(term: &Term) -> Option<Vec<Pid>> {
    match term {
        Term::Pid(pid) => Some(vec![(**pid).clone()]),
        Term::List(pids) => pids.iter().map(|pid| pid.as_pid().cloned()).collect(),
        _ => None,
    }
}

/// The message by which a scope process makes itself known.
pub(super) fn discover(own: &Pid, version: Version) -> Term {
    let own = own.clone().into();
    match version {
        Version::V0 => Term::tuple([Term::atom("discover"), own]),
        Version::V1 => Term::tuple([Term::atom("discover"), own, Term::from(1)]),
    }
}

/// The message with all groups of this node, which is a cast of `gen_server`.
pub(super) fn data(own: &Pid, version: Version, groups: &Groups) -> Term {
    let own: Term = own.clone().into();
    let pairs = groups.iter().map(|(group, members)| (Term::clone(group), list(members.iter())));
    let data = match version {
        Version::V0 => {
            let pairs = pairs.map(|(group, pids)| Term::tuple([group, pids]));
            Term::tuple([Term::atom("sync"), own, Term::list(pairs)])
        }
        Version::V1 => Term::tuple([Term::atom("local_data"), own, Term::from(1), Term::map(pairs)]),
    };
    Term::tuple([Term::atom("$gen_cast"), data])
}

/// The messages that tell of processes which join a group.
pub(super) fn joined(own: &Pid, version: Version, group: &Term, pids: &[Pid]) -> Term {
    let (own, pids) = (own.clone().into(), list(pids));
    match version {
        Version::V0 => Term::tuple([Term::atom("join"), own, group.clone(), pids]),
        Version::V1 => {
            let update = Term::tuple([group.clone(), pids, Term::nil()]);
            Term::tuple([Term::atom("update"), own, Term::list([update])])
        }
    }
}

/// The message that tells of processes which leave groups; each is as often in the list as it is left.
pub(super) fn left(own: &Pid, version: Version, groups: &[Arc<Term>], pids: &[Pid]) -> Term {
    let (own, pids) = (own.clone().into(), list(pids));
    match version {
        Version::V0 => {
            Term::tuple([Term::atom("leave"), own, pids, Term::list(groups.iter().map(|group| Term::clone(group)))])
        }
        Version::V1 => {
            let update = |group: &Arc<Term>| Term::tuple([Term::clone(group), Term::nil(), pids.clone()]);
            Term::tuple([Term::atom("update"), own, Term::list(groups.iter().map(update))])
        }
    }
}

fn list<'a>(pids: impl IntoIterator<Item = &'a Pid>) -> Term {
    Term::list(pids.into_iter().cloned().map(Term::from))
}

#[cfg(test)]
mod tests {
    use peerl_node::Atom;

    use super::*;

    fn pid(node: &'static str, id: u32) -> Pid {
        Pid { node: Atom::from_static(node), id, serial: 0, creation: 1 }
    }

    fn content(term: Term) -> Option<Content> {
        PeerMessage::read(&term).map(|message| message.content)
    }

    #[test]
    fn each_version_is_read_as_it_is_written() {
        let (own, member, group) = (pid("a@h", 1), pid("a@h", 2), Arc::new(Term::atom("g")));
        let mut groups = Groups::default();
        groups.add(&group, &member);
        groups.add(&group, &member);
        for version in [Version::V0, Version::V1] {
            assert_eq!(content(discover(&own, version)), Some(Content::Discover(version)));
            let cast = data(&own, version, &groups);
            let both = vec![(group.clone(), vec![member.clone(), member.clone()])];
            assert_eq!(content(cast.as_tuple().unwrap()[1].clone()), Some(Content::Data(version, both)));
            let change = Change { group: group.clone(), joined: vec![member.clone()], left: vec![] };
            let pids = [member.clone()];
            assert_eq!(content(joined(&own, version, &group, &pids)), Some(Content::Update(vec![change])));
            let message = left(&own, version, &["g", "h"].map(|name| Arc::new(Term::atom(name))), &pids);
            let change =
                |name| Change { group: Arc::new(Term::atom(name)), joined: vec![], left: vec![member.clone()] };
            assert_eq!(
                content(message),
                Some(match version {
                    Version::V0 => Content::Leave(pids.to_vec(), vec![Term::atom("g"), Term::atom("h")]),
                    Version::V1 => Content::Update(vec![change("g"), change("h")]),
                })
            );
        }
    }

    #[test]
    fn a_single_process_comes_without_a_list() {
        let (own, member): (Term, Term) = (pid("a@h", 1).into(), pid("a@h", 2).into());
        let join = Term::tuple([Term::atom("join"), own.clone(), Term::from(7), member.clone()]);
        let change = Change { group: Arc::new(Term::from(7)), joined: vec![pid("a@h", 2)], left: vec![] };
        assert_eq!(content(join), Some(Content::Update(vec![change])));
        let leave = Term::tuple([Term::atom("leave"), own, member, Term::list([Term::from(7)])]);
        assert_eq!(content(leave), Some(Content::Leave(vec![pid("a@h", 2)], vec![Term::from(7)])));
    }

    #[test]
    fn what_is_no_message_of_a_scope_process_is_none() {
        let own: Term = pid("a@h", 1).into();
        let atom = Term::atom;
        for term in [
            atom("discover"),
            Term::tuple([atom("discover")]),
            Term::tuple([atom("discover"), atom("a")]),
            Term::tuple([atom("discover"), own.clone(), atom("x")]),
            Term::tuple([atom("discover"), own.clone(), Term::from(-1)]),
            Term::tuple([atom("sync"), own.clone(), atom("x")]),
            Term::tuple([atom("sync"), own.clone(), Term::list([atom("x")])]),
            Term::tuple([atom("join"), own.clone(), atom("g"), Term::list([atom("x")])]),
            Term::tuple([atom("leave"), own.clone(), own.clone(), atom("g")]),
            Term::tuple([atom("update"), own.clone(), Term::list([Term::tuple([atom("g"), Term::nil()])])]),
            Term::tuple([atom("local_data"), own, Term::from(1), Term::nil()]),
        ] {
            assert_eq!(PeerMessage::read(&term), None, "{term:?}");
        }
    }
}
