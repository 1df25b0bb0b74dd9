use crate::Term;
use crate::elements::Elements;

/// A tuple: a fixed number of terms. It dereferences to its elements.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tuple(pub(crate) Elements);

sequence!(Tuple);
