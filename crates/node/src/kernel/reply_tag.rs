//! The tags of replies to `gen` calls.

use peerl_term::{RawTerm, Reference, Term};

/// The reference in the tag of `{Tag, Reply}`, in whatever form the tag is: the reference itself, `[alias | Ref]`,
/// `[[alias | Ref] | _]`, or `{Ref, Node}`.
pub(crate) fn reply_tag(payload: &RawTerm) -> Option<Reference> {
    let tag = payload.read(|decoder| (decoder.tuple_header()? == 2).then(|| decoder.term()).transpose()).ok()??;
    alias_tag(&tag).or_else(|| match &tag {
        Term::Reference(reference) => Some((**reference).clone()),
        Term::Tuple(pair) => pair.first()?.as_reference().cloned(),
        _ => None,
    })
}

/// The alias in a tag, if the reply is to be sent to one.
pub(crate) fn alias_tag(tag: &Term) -> Option<Reference> {
    let Term::ImproperList(list) = tag else { return None };
    match (list.elements(), list.tail()) {
        ([first], Term::Reference(alias)) if first.is_atom("alias") => Some((**alias).clone()),
        ([inner @ Term::ImproperList(_)], Term::Reference(_)) => alias_tag(inner),
        _ => None,
    }
}
