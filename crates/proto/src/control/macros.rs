//! The macro that defines a control message.

use peerl_term::Decoder;

use super::{Content, ControlError, Signal};

/// A control message that can be received, as a [`Signal`].
pub(super) trait Received {
    const OPERATION: u8;

    /// The number of elements, without a trace token and a term inside.
    const ARITY: usize;

    const CONTENT: Content;

    /// Reads the elements between the operation and the trace token or term inside.
    fn read_elements(signal: &mut Signal, decoder: &mut Decoder<'_>) -> Result<(), ControlError>;
}

/// A control message that has a twin (`_TT`) with a sequential trace token.
pub(super) trait Traced: Received {
    const TRACED: u8;
}

/// Defines the struct of a control message, which is sent, and reads the message as a [`Signal`]. The fields are in
/// the order of the tuple's elements; `unused` stands for the element that held the cookie, and `absent` for a field
/// of the signal that the message lacks. The second operation has a trace token; it is sent as a
/// [`WithToken`](super::WithToken). The content is a `payload`, a term `inside` as the last element, or `empty`. `needs` names the flags that a peer must
/// offer to be sent the message.
macro_rules! control_message {
    (
        $(#[$meta:meta])* $name:ident = $operation:literal $(| $traced:literal)?, $content:ident
        $(, needs $($flag:ident)|+)? => $signal:ident { $($fields:tt)* }
    ) => {
        $(
            impl $crate::control::macros::Traced for $name {
                const TRACED: u8 = $traced;
            }

            impl $crate::control::Traceable for $name {
                fn traced_operation(&self) -> u8 {
                    $traced
                }

                fn encode_traced<S: peerl_term::Sink>(&self, token: &$crate::control::TraceToken, sink: &mut S) {
                    use $crate::control::macros::Received;
                    let arity = Self::ARITY + 1 + usize::from(Self::CONTENT.is_inside());
                    $crate::control::trace_token::put_head(arity, $traced, sink);
                    self.encode_elements(sink);
                    token.encode(sink);
                }
            }
        )?
        $crate::control::control_message! {
            @fields [$(#[$meta])* $name $operation $content [$($($flag)+)?] $signal] [decoder sink this]
            struct [] vacant [] bind [] sent [] read [] encode [] arity [1]
            $($fields)*
        }
    };
    (
        @fields $head:tt [$decoder:ident $sink:ident $this:ident]
        struct $struct:tt vacant $vacant:tt bind $bind:tt sent $sent:tt read [$($read:tt)*] encode [$($encode:tt)*]
        arity [$($arity:tt)*]
        unused, $($rest:tt)*
    ) => {
        $crate::control::control_message! {
            @fields $head [$decoder $sink $this]
            struct $struct vacant $vacant bind $bind sent $sent
            read [$($read)* $decoder.skip_term()?;]
            encode [$($encode)* $crate::control::field::put_unused($sink);]
            arity [$($arity)* + 1]
            $($rest)*
        }
    };
    (
        @fields $head:tt [$decoder:ident $sink:ident $this:ident]
        struct $struct:tt vacant [$($vacant:tt)*] bind $bind:tt sent [$($sent:tt)*] read $read:tt
        encode $encode:tt arity $arity:tt
        absent $field:ident, $($rest:tt)*
    ) => {
        $crate::control::control_message! {
            @fields $head [$decoder $sink $this]
            struct $struct vacant [$($vacant)* $field: None,] bind $bind sent [$($sent)* $field: None,]
            read $read encode $encode arity $arity
            $($rest)*
        }
    };
    (
        @fields $head:tt [$decoder:ident $sink:ident $this:ident]
        struct [$($struct:tt)*] vacant [$($vacant:tt)*] bind [$($bind:tt)*] sent [$($sent:tt)*]
        read [$($read:tt)*] encode [$($encode:tt)*] arity [$($arity:tt)*]
        $(#[$meta:meta])* $field:ident: $type:ty, $($rest:tt)*
    ) => {
        $crate::control::control_message! {
            @fields $head [$decoder $sink $this]
            struct [$($struct)* $(#[$meta])* pub $field: $type,]
            vacant [$($vacant)* $field: $crate::control::field::Field::vacant(),]
            bind [$($bind)* $field,]
            sent [$($sent)* $field: $this.$field.clone().into(),]
            read [$($read)* $crate::control::field::Field::read($field, $decoder)?;]
            encode [$($encode)* $crate::control::field::Element::encode(&$this.$field, $sink);]
            arity [$($arity)* + 1]
            $($rest)*
        }
    };
    (
        @fields [$(#[$meta:meta])* $name:ident $operation:literal $content:ident [$($flag:ident)*] $signal:ident]
        [$decoder:ident $sink:ident $this:ident]
        struct [$($struct:tt)*] vacant [$($vacant:tt)*] bind [$($bind:tt)*] sent [$($sent:tt)*]
        read [$($read:tt)*] encode [$($encode:tt)*] arity [$($arity:tt)*]
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
            fn content(&self) -> $crate::control::Content {
                $crate::control::control_message!(@$content)
            }

            #[inline]
            fn is_offered(&self, flags: $crate::flags::DistributionFlags) -> bool {
                flags.contains(
                    $crate::flags::DistributionFlags::empty()$(.union($crate::flags::DistributionFlags::$flag))*
                )
            }

            #[inline]
            fn encode<S: peerl_term::Sink>(&self, sink: &mut S) {
                const ARITY: u8 = $($arity)* + $crate::control::control_message!(@$content).is_inside() as u8;
                sink.put(&[
                    peerl_term::Tag::SMALL_TUPLE_EXT.0,
                    ARITY,
                    peerl_term::Tag::SMALL_INTEGER_EXT.0,
                    $operation,
                ]);
                self.encode_elements(sink);
            }
        }

        impl $name {
            /// Writes the elements between the operation and the trace token or term inside.
            #[inline(always)]
            fn encode_elements<S: peerl_term::Sink>(&self, $sink: &mut S) {
                let $this = self;
                $($encode)*
            }
        }

        impl $crate::control::sealed::Sealed for $name {}

        #[cfg(test)]
        impl From<&$name> for $crate::control::Signal {
            fn from($this: &$name) -> Self {
                $crate::control::Signal::$signal { $($sent)* }
            }
        }

        impl $crate::control::macros::Received for $name {
            const OPERATION: u8 = $operation;
            const ARITY: usize = $($arity)*;
            const CONTENT: $crate::control::Content = $crate::control::control_message!(@$content);

            #[inline(always)]
            fn read_elements(
                signal: &mut $crate::control::Signal,
                $decoder: &mut peerl_term::Decoder<'_>,
            ) -> Result<(), $crate::control::ControlError> {
                *signal = $crate::control::Signal::$signal { $($vacant)* };
                if let $crate::control::Signal::$signal { $($bind)* .. } = signal {
                    $($read)*
                }
                Ok(())
            }
        }
    };
    (@payload) => {
        $crate::control::Content::Payload
    };
    (@inside) => {
        $crate::control::Content::Inside
    };
    (@empty) => {
        $crate::control::Content::Empty
    };
}

pub(super) use control_message;
