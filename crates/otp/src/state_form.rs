//! The form in which `sys:get_state/1` of a release gives and takes a state.

use std::time::Duration;

use peerl_node::{Mfa, Node, NodeName, Term};
use peerl_term::{Atom, Encoded, RawTerm, encode};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateForm {
    /// The state itself: up to OTP 25.
    Bare,
    /// `{ok, State}`.
    Tagged,
}

/// How long a node may take to say which release it runs.
const RELEASE: Duration = Duration::from_secs(2);

/// The last release with the bare form.
const LAST_BARE: u32 = 25;

impl StateForm {
    /// The form at a node. No flag of the handshake tells its release: it is asked.
    pub(crate) async fn at(node: &Node, peer: &Atom) -> Self {
        match release(node, peer).await {
            Some(..=LAST_BARE) => Self::Bare,
            _ => Self::Tagged,
        }
    }

    /// The answer with this encoded state.
    pub(crate) fn answer(self, state: RawTerm) -> RawTerm {
        match self {
            Self::Bare => state,
            Self::Tagged => {
                let mut answer = Encoded::with_capacity(8 + state.bytes().len());
                encode::tuple_header(2, &mut answer);
                encode::atom(&Atom::from_static("ok"), &mut answer);
                answer.put_term(&state);
                answer.into()
            }
        }
    }

    /// The state in an answer.
    pub(crate) fn state(self, answer: Term) -> Term {
        match answer.as_tuple() {
            Some([ok, state]) if self == Self::Tagged && ok.is_atom("ok") => state.clone(),
            _ => answer,
        }
    }
}

async fn release(node: &Node, peer: &Atom) -> Option<u32> {
    let peer = NodeName::new(peer).ok().filter(|peer| peer != node.name())?;
    let ask = Mfa::new("erlang", "system_info", (Atom::from_static("otp_release"),)).ok()?;
    match node.call(&peer, ask).if_connected().timeout(RELEASE).await.ok()? {
        Term::List(release) => release.to_text()?.parse().ok(),
        _ => None,
    }
}
