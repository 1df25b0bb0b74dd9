//! Places for terms that are still to be read.

use std::mem;

use crate::Term;

/// The place of an element that is still missing.
pub(super) const VACANT: Term = Term::Integer(1);

/// Puts a value into its vacant place, where it is made: there is nothing to drop.
#[inline(always)]
pub(super) fn put<T>(place: &mut T, value: T) {
    mem::forget(mem::replace(place, value));
}
