//! `{forward_to_local, Topic, Message, Dispatcher}`: what a worker is sent.

use peerl_node::{Atom, Message, Term};

use crate::Received;

/// The message for a worker: it is to tell the subscribers of the topic on its node.
pub fn forward_to_local(topic: &str, message: Term, dispatcher: &Atom) -> Term {
    Term::tuple([Term::atom("forward_to_local"), Term::from(topic), message, dispatcher.clone().into()])
}

/// Reads what has come to a worker; none if it is nothing that is to be told to subscribers.
pub(crate) fn read(message: &Message) -> Option<Received> {
    let Message::User(payload) = message else { return None };
    let parts = payload.read(|decoder| {
        if decoder.tuple_header()? != 4 || decoder.atom()? != "forward_to_local" {
            return Ok(None);
        }
        let topic = decoder.binary()?.to_vec();
        let start = decoder.position();
        decoder.skip_term()?;
        let end = decoder.position();
        Ok(Some((topic, start..end, decoder.atom()?)))
    });
    let (topic, range, dispatcher) = parts.ok()??;
    Some(Received { topic: String::from_utf8(topic).ok()?, message: payload.part(range), dispatcher })
}

#[cfg(test)]
mod tests {
    use peerl_term::RawTerm;

    use super::*;

    #[test]
    fn a_message_is_read_as_it_is_written() {
        let (term, dispatcher) = (Term::tuple([Term::atom("ok"), Term::from(1)]), Atom::from_static("Elixir.D"));
        let written = forward_to_local("é", term.clone(), &dispatcher);
        let received = read(&Message::User(RawTerm::encoded_from(&written))).unwrap();
        assert_eq!((received.topic.as_str(), received.dispatcher), ("é", dispatcher));
        assert_eq!(received.message.decode().unwrap(), term);
    }

    #[test]
    fn other_messages_are_none() {
        let forward = Term::atom("forward_to_local");
        for term in [
            forward.clone(),
            Term::tuple([forward.clone()]),
            Term::tuple([forward.clone(), Term::atom("t"), Term::nil(), Term::atom("d")]),
            Term::tuple([forward.clone(), Term::binary(vec![0xff]), Term::nil(), Term::atom("d")]),
            Term::tuple([forward, Term::from("t"), Term::nil(), Term::from("d")]),
        ] {
            assert!(read(&Message::User(RawTerm::encoded_from(&term))).is_none(), "{term:?}");
        }
    }
}
