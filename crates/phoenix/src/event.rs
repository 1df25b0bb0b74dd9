use peerl_node::{Atom, Term};

/// `%Phoenix.Socket.Broadcast{}`: what a channel pushes to the clients that have joined it, and what
/// `MyAppWeb.Endpoint.broadcast/3` sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The topic of the channel.
    pub topic: String,
    /// The name of the event.
    pub event: String,
    /// The payload: a map that can be JSON, as a rule.
    pub payload: Term,
}

impl Event {
    /// The struct's module.
    const STRUCT: &str = "Elixir.Phoenix.Socket.Broadcast";

    /// The dispatcher of events, which encodes an event once for all clients of a node. It is there where Phoenix is, not
    /// only phoenix_pubsub.
    pub const DISPATCHER: &str = "Elixir.Phoenix.Channel.Server";

    /// Reads the event that a broadcast brings, if it brings one.
    pub fn from_term(term: &Term) -> Option<Self> {
        let map = term.as_map()?;
        map.get_atom("__struct__").filter(|name| name.is_atom(Self::STRUCT))?;
        let text = |key| Some(map.get_atom(key)?.as_binary()?.as_str()?.to_owned());
        Some(Self { topic: text("topic")?, event: text("event")?, payload: map.get_atom("payload")?.clone() })
    }
}

impl From<Event> for Term {
    fn from(event: Event) -> Self {
        Term::map([
            (Term::atom("__struct__"), Atom::from_static(Event::STRUCT).into()),
            (Term::atom("event"), Term::from(event.event)),
            (Term::atom("payload"), event.payload),
            (Term::atom("topic"), Term::from(event.topic)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_struct_of_phoenix() {
        let payload = Term::map([(Term::atom("body"), Term::from("hi"))]);
        let event = Event { topic: "room:1".to_owned(), event: "new_msg".to_owned(), payload };
        let term = Term::from(event.clone());
        let written = r#"%Phoenix.Socket.Broadcast{event: "new_msg", payload: %{body: "hi"}, topic: "room:1"}"#;
        assert_eq!(peerl_term::text::Syntax::Elixir.parse(written).unwrap(), term);
        assert_eq!(Event::from_term(&term), Some(event));
        assert_eq!(Event::from_term(&Term::map([(Term::atom("topic"), Term::from("x"))])), None);
        assert_eq!(Event::from_term(&Term::atom("x")), None);
    }
}
