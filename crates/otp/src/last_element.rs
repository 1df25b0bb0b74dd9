use peerl_node::Term;

/// The last element of a tuple, such as the request in a message. It may be large: it is not copied. The empty list, if there is
/// none.
pub(crate) fn last_element(tuple: Term) -> Term {
    let last = match tuple {
        Term::Tuple(elements) => elements.into_vec().pop(),
        _ => None,
    };
    last.unwrap_or_else(Term::nil)
}
