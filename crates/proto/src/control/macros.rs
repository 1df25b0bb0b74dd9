//! What writes the same code for every control message.

use peerl_term::Decoder;

use super::{Control, ControlError};

/// A control message whose operation is known by its type.
pub(super) trait Operation: Control + Sized {
    const OPERATION: u8;

    /// One that is yet to be read.
    fn vacant() -> Self;

    /// Reads what follows the operation in a tuple of `arity` elements into a vacant one.
    fn read_elements(&mut self, decoder: &mut Decoder<'_>, arity: usize) -> Result<(), ControlError>;
}

impl<T: Operation> Operation for Box<T> {
    const OPERATION: u8 = T::OPERATION;

    fn vacant() -> Self {
        Box::new(T::vacant())
    }

    fn read_elements(&mut self, decoder: &mut Decoder<'_>, arity: usize) -> Result<(), ControlError> {
        T::read_elements(self, decoder, arity)
    }
}

/// Defines the struct of a control message and its codec. The fields stand in the order of the tuple's elements;
/// `unused` stands for the place of the cookie. `needs` names the flags without which a peer is not sent the message;
/// `obsolete` is a message that is read, but sent to nobody.
macro_rules! control_message {
    (
        $(#[$meta:meta])* $name:ident = $operation:literal, $payload:ident $(, needs $($flag:ident)|+)? { $($fields:tt)* }
    ) => {
        $crate::control::control_message! {
            @fields [$(#[$meta])* $name $operation $payload { needs $($($flag)+)? }] [decoder sink this]
            struct [] vacant [] read [] encode [] arity [1]
            $($fields)*
        }
    };
    ($(#[$meta:meta])* $name:ident = $operation:literal, $payload:ident, obsolete { $($fields:tt)* }) => {
        $crate::control::control_message! {
            @fields [$(#[$meta])* $name $operation $payload { obsolete }] [decoder sink this]
            struct [] vacant [] read [] encode [] arity [1]
            $($fields)*
        }
    };
    (
        @fields $head:tt [$decoder:ident $sink:ident $this:ident]
        struct $struct:tt vacant $vacant:tt read [$($read:tt)*] encode [$($encode:tt)*] arity [$($arity:tt)*]
        unused, $($rest:tt)*
    ) => {
        $crate::control::control_message! {
            @fields $head [$decoder $sink $this]
            struct $struct
            vacant $vacant
            read [$($read)* $crate::control::field::Field::read(&mut $crate::control::field::Unused, $decoder)?;]
            encode [$($encode)* $crate::control::field::Field::encode(&$crate::control::field::Unused, $sink);]
            arity [$($arity)* + 1]
            $($rest)*
        }
    };
    (
        @fields $head:tt [$decoder:ident $sink:ident $this:ident]
        struct [$($struct:tt)*] vacant [$($vacant:tt)*] read [$($read:tt)*] encode [$($encode:tt)*]
        arity [$($arity:tt)*]
        $(#[$meta:meta])* $field:ident: $type:ty, $($rest:tt)*
    ) => {
        $crate::control::control_message! {
            @fields $head [$decoder $sink $this]
            struct [$($struct)* $(#[$meta])* pub $field: $type,]
            vacant [$($vacant)* $field: $crate::control::field::Field::vacant(),]
            read [$($read)* $crate::control::field::Field::read(&mut $this.$field, $decoder)?;]
            encode [$($encode)* $crate::control::field::Field::encode(&$this.$field, $sink);]
            arity [$($arity)* + 1]
            $($rest)*
        }
    };
    (
        @fields [$(#[$meta:meta])* $name:ident $operation:literal $payload:ident $offer:tt]
        [$decoder:ident $sink:ident $this:ident]
        struct [$($struct:tt)*] vacant [$($vacant:tt)*] read [$($read:tt)*] encode [$($encode:tt)*]
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
            fn is_offered(&self, flags: $crate::flags::DistributionFlags) -> bool {
                $crate::control::control_message!(@offered flags $offer)
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

        impl $crate::control::sealed::Sealed for $name {}

        impl $crate::control::macros::Operation for $name {
            const OPERATION: u8 = $operation;

            #[inline(always)]
            fn vacant() -> Self {
                $name { $($vacant)* }
            }

            #[inline(always)]
            fn read_elements(
                &mut self,
                $decoder: &mut peerl_term::Decoder<'_>,
                arity: usize,
            ) -> Result<(), $crate::control::ControlError> {
                let $this = self;
                if arity != $($arity)* {
                    return Err($crate::control::ControlError::WrongArity { operation: $operation, arity });
                }
                $($read)*
                Ok(())
            }
        }
    };
    (@payload) => {
        true
    };
    (@no_payload) => {
        false
    };
    (@offered $flags:ident { needs }) => {{
        let _ = $flags;
        true
    }};
    (@offered $flags:ident { needs $($flag:ident)+ }) => {
        $flags.contains(
            $crate::flags::DistributionFlags::empty()$(.union($crate::flags::DistributionFlags::$flag))+
        )
    };
    (@offered $flags:ident { obsolete }) => {{
        let _ = $flags;
        false
    }};
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
            pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
                let mut message = Self::vacant();
                message.read(decoder)?;
                Ok(message)
            }

            /// Reads a control message in the place of this one, which spares moving it there.
            #[inline(always)]
            pub(crate) fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
                let arity = decoder.tuple_header()?;
                let operation = decoder.unsigned()?;
                let Ok(operation) = u8::try_from(operation) else {
                    return Err(ControlError::UnknownOperation(operation));
                };
                match operation {
                    $(
                        <$type as Operation>::OPERATION => {
                            *self = ControlMessage::$name(Operation::vacant());
                            match self {
                                ControlMessage::$name(message) => message.read_elements(decoder, arity),
                                // It has just been made one.
                                _ => Err(ControlError::UnknownOperation(operation.into())),
                            }
                        }
                    )*
                    _ => Err(ControlError::UnknownOperation(operation.into())),
                }
            }
        }

        impl sealed::Sealed for ControlMessage {}

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

            fn is_offered(&self, flags: DistributionFlags) -> bool {
                match self {
                    $(ControlMessage::$name(message) => message.is_offered(flags),)*
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
