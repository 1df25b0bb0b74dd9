use peerl_term::RawTerm;
use peerl_term::serde::{Error, from_raw};
use serde::de::DeserializeOwned;

/// The arguments of an exported function: a tuple of up to 12 types that serde reads. One argument is `(A,)`.
pub trait Arguments: Sized {
    /// How many there are.
    const ARITY: u8;

    /// Reads them from a list of as many.
    ///
    /// # Errors
    /// If one of them is of another type.
    fn read(list: &RawTerm) -> Result<Self, Error>;
}

impl Arguments for () {
    const ARITY: u8 = 0;

    fn read(_: &RawTerm) -> Result<Self, Error> {
        Ok(())
    }
}

macro_rules! arguments {
    ($($arity:literal: $($name:ident)*;)*) => {
        $(
            impl<$($name: DeserializeOwned),*> Arguments for ($($name,)*) {
                const ARITY: u8 = $arity;

                fn read(list: &RawTerm) -> Result<Self, Error> {
                    from_raw(list)
                }
            }
        )*
    };
}

arguments! {
    1: A;
    2: A B;
    3: A B C;
    4: A B C D;
    5: A B C D E;
    6: A B C D E F;
    7: A B C D E F G;
    8: A B C D E F G H;
    9: A B C D E F G H I;
    10: A B C D E F G H I J;
    11: A B C D E F G H I J K;
    12: A B C D E F G H I J K L;
}
