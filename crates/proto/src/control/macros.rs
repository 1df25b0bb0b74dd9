//! What writes the same code for every control message.

use peerl_term::Decoder;

use super::{Control, ControlError};

/// A control message whose operation is known by its type.
pub(super) trait Operation: Control + Sized {
    const OPERATION: u8;

    /// Reads what follows the operation in a tuple of `arity` elements.
    fn decode_elements(decoder: &mut Decoder<'_>, arity: usize) -> Result<Self, ControlError>;
}

impl<T: Operation> Operation for Box<T> {
    const OPERATION: u8 = T::OPERATION;

    fn decode_elements(decoder: &mut Decoder<'_>, arity: usize) -> Result<Self, ControlError> {
        T::decode_elements(decoder, arity).map(Box::new)
    }
}

/// Defines the struct of a control message and its codec. The fields stand in the order of the tuple's elements;
/// `unused` stands for the place of the cookie.
macro_rules! control_message {
    ($(#[$meta:meta])* $name:ident = $operation:literal, $payload:ident { $($fields:tt)* }) => {
        $crate::control::control_message! {
            @fields [$(#[$meta])* $name $operation $payload] [decoder sink this]
            struct [] decode [] names [] encode [] arity [1]
            $($fields)*
        }
    };
    (
        @fields $head:tt [$decoder:ident $sink:ident $this:ident]
        struct $struct:tt decode [$($decode:tt)*] names $names:tt encode [$($encode:tt)*] arity [$($arity:tt)*]
        unused, $($rest:tt)*
    ) => {
        $crate::control::control_message! {
            @fields $head [$decoder $sink $this]
            struct $struct
            decode [$($decode)* <$crate::control::field::Unused as $crate::control::field::Field>::decode($decoder)?;]
            names $names
            encode [$($encode)* $crate::control::field::Field::encode(&$crate::control::field::Unused, $sink);]
            arity [$($arity)* + 1]
            $($rest)*
        }
    };
    (
        @fields $head:tt [$decoder:ident $sink:ident $this:ident]
        struct [$($struct:tt)*] decode [$($decode:tt)*] names [$($names:tt)*] encode [$($encode:tt)*]
        arity [$($arity:tt)*]
        $(#[$meta:meta])* $field:ident: $type:ty, $($rest:tt)*
    ) => {
        $crate::control::control_message! {
            @fields $head [$decoder $sink $this]
            struct [$($struct)* $(#[$meta])* pub $field: $type,]
            decode [$($decode)* let $field = $crate::control::field::Field::decode($decoder)?;]
            names [$($names)* $field,]
            encode [$($encode)* $crate::control::field::Field::encode(&$this.$field, $sink);]
            arity [$($arity)* + 1]
            $($rest)*
        }
    };
    (
        @fields [$(#[$meta:meta])* $name:ident $operation:literal $payload:ident]
        [$decoder:ident $sink:ident $this:ident]
        struct [$($struct:tt)*] decode [$($decode:tt)*] names [$($names:tt)*] encode [$($encode:tt)*]
        arity [$($arity:tt)*]
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($struct)*
        }

        impl $crate::control::Control for $name {
            #[inline]
            fn operation(&self) -> u8 {
                $operation
            }

            #[inline]
            fn has_payload(&self) -> bool {
                $crate::control::control_message!(@$payload)
            }

            #[inline]
            fn encode<S: peerl_term::Sink>(&self, $sink: &mut S) {
                let $this = self;
                const ARITY: u8 = $($arity)*;
                $sink.put(&[
                    peerl_term::Tag::SMALL_TUPLE_EXT.0,
                    ARITY,
                    peerl_term::Tag::SMALL_INTEGER_EXT.0,
                    $operation,
                ]);
                $($encode)*
            }
        }

        impl $crate::control::macros::Operation for $name {
            const OPERATION: u8 = $operation;

            #[inline(always)]
            fn decode_elements(
                $decoder: &mut peerl_term::Decoder<'_>,
                arity: usize,
            ) -> Result<Self, $crate::control::ControlError> {
                if arity != $($arity)* {
                    return Err($crate::control::ControlError::WrongArity { operation: $operation, arity });
                }
                $($decode)*
                Ok($name { $($names)* })
            }
        }
    };
    (@payload) => {
        true
    };
    (@no_payload) => {
        false
    };
}

/// Defines the enum of all control messages.
macro_rules! control_messages {
    ($($name:ident($type:ty),)*) => {
        /// Any control message.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum ControlMessage {
            $(
                #[doc = concat!("See [`", stringify!($name), "`](struct@", stringify!($name), ").")]
                $name($type),
            )*
        }

        impl ControlMessage {
            /// Reads a control message, and leaves the decoder at the payload.
            #[inline(always)]
            pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
                let arity = decoder.tuple_header()?;
                let operation = decoder.unsigned()?;
                let Ok(operation) = u8::try_from(operation) else {
                    return Err(ControlError::UnknownOperation(operation));
                };
                match operation {
                    $(
                        <$type as Operation>::OPERATION => {
                            Operation::decode_elements(decoder, arity).map(ControlMessage::$name)
                        }
                    )*
                    _ => Err(ControlError::UnknownOperation(operation.into())),
                }
            }
        }

        impl Control for ControlMessage {
            fn operation(&self) -> u8 {
                match self {
                    $(ControlMessage::$name(message) => message.operation(),)*
                }
            }

            fn has_payload(&self) -> bool {
                match self {
                    $(ControlMessage::$name(message) => message.has_payload(),)*
                }
            }

            #[inline]
            fn encode<S: Sink>(&self, sink: &mut S) {
                match self {
                    $(ControlMessage::$name(message) => message.encode(sink),)*
                }
            }
        }

        $(
            impl From<$type> for ControlMessage {
                fn from(message: $type) -> Self {
                    ControlMessage::$name(message)
                }
            }
        )*
    };
}

pub(super) use {control_message, control_messages};
