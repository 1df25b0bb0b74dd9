use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive};

/// An integer that does not fit an `i64`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BigInteger(Box<BigInt>);

impl BigInteger {
    /// Wraps an integer that does not fit an `i64`; returns one that does as the error.
    ///
    /// # Errors
    /// The value, if it fits an `i64`.
    pub fn new(value: BigInt) -> Result<Self, i64> {
        match value.to_i64() {
            Some(small) => Err(small),
            None => Ok(Self(Box::new(value))),
        }
    }

    /// The integer.
    pub fn get(&self) -> &BigInt {
        &self.0
    }

    /// Returns the integer.
    pub fn into_inner(self) -> BigInt {
        *self.0
    }
}

/// A float. Erlang has no infinities and no NaN, so it is always finite. `-0.0` is kept, and differs from `0.0` (as
/// with `=:=` since OTP 27).
#[derive(Debug, Clone, Copy)]
pub struct Float(f64);

impl Float {
    /// Wraps a float, if it is finite.
    pub fn new(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }

    /// The float.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Float {}

impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// Compares two finite floats by value; `-0.0` and `0.0` are equal.
pub(crate) fn compare_floats(a: Float, b: Float) -> Ordering {
    a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal)
}

/// Compares an integer with a float by their exact values.
pub(crate) fn compare_integer_float(integer: i64, float: Float) -> Ordering {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if float.0 >= END {
        return Ordering::Less;
    }
    if float.0 < -END {
        return Ordering::Greater;
    }
    let whole = float.0.trunc();
    integer.cmp(&(whole as i64)).then_with(|| whole.partial_cmp(&float.0).unwrap_or(Ordering::Equal))
}

/// Compares a big integer with a float by their exact values.
pub(crate) fn compare_big_float(integer: &BigInteger, float: Float) -> Ordering {
    BigInt::from_f64(float.0.trunc()).map_or(Ordering::Equal, |whole| integer.0.as_ref().cmp(&whole))
}
