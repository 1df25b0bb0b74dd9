use crate::Term;
use crate::elements::Elements;

/// A proper list; it dereferences to its elements. The empty one is Erlang's `[]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct List(pub(crate) Elements);

sequence!(List);

impl List {
    /// The bytes, if every element is an integer from 0 to 255, as in a Latin-1 `"string"`.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        self.iter().map(|term| term.as_integer().and_then(|i| u8::try_from(i).ok())).collect()
    }

    /// The text, if every element is a Unicode code point: what Elixir calls a charlist.
    pub fn to_text(&self) -> Option<String> {
        self.iter().map(|term| term.as_integer().and_then(|i| u32::try_from(i).ok()).and_then(char::from_u32)).collect()
    }
}

/// A list whose last tail is not `[]`, as `[a, b | c]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImproperList(pub(crate) Elements);

impl ImproperList {
    /// The elements before the tail: at least one.
    pub fn elements(&self) -> &[Term] {
        self.0.split_last().map_or(&[], |(_, elements)| elements)
    }

    /// The last tail: any term except a list.
    pub fn tail(&self) -> &Term {
        &self.0[self.0.len() - 1]
    }
}

impl Term {
    /// Makes the list `[elements... | tail]`: a proper list if the tail is one, and only the tail if there are no
    /// elements.
    pub fn list_with_tail(elements: impl IntoIterator<Item = Term>, tail: Term) -> Term {
        let mut all: Vec<Term> = elements.into_iter().collect();
        if all.is_empty() {
            return tail;
        }
        match tail {
            Term::List(rest) => {
                all.extend(rest.into_vec());
                Term::List(List(all.into()))
            }
            Term::ImproperList(rest) => {
                all.extend(rest.0.into_vec());
                Term::ImproperList(ImproperList(all.into()))
            }
            tail => {
                all.push(tail);
                Term::ImproperList(ImproperList(all.into()))
            }
        }
    }
}
