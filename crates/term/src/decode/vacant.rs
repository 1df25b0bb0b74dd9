//! Placeholders for terms that are still to be read.

use std::mem;

use crate::Term;

/// The placeholder of a missing element.
pub(super) const VACANT: Term = Term::Integer(1);

/// Writes a value in place of a placeholder, which needs no drop.
#[inline(always)]
pub(super) fn put<T>(place: &mut T, value: T) {
    mem::forget(mem::replace(place, value));
}
