//! The spawn requests by which `erpc` calls functions.
//!
//! Erlang docs: *kernel*, module `erpc`. The requests have the form that `erpc` of OTP 23 and later sends.

use peerl_term::{Atom, Pid, Reference, Sink, Tag, encode};

use super::{BorrowedSpawnRequest, Content, Control, SpawnOptions, sealed::Sealed};
use crate::flags::DistributionFlags;

/// The module whose functions are spawned.
pub static ERPC: Atom = Atom::from_static("erpc");

/// The function spawned for a call: `execute_call(Id, Module, Function, Arguments)`. Its exit reason holds the value.
pub static EXECUTE_CALL: Atom = Atom::from_static("execute_call");

/// The function spawned for a cast: `execute_cast(Module, Function, Arguments)`.
pub static EXECUTE_CAST: Atom = Atom::from_static("execute_cast");

/// A spawn request for a function call on the peer.
///
/// Its payload is what [`encode_start`](Self::encode_start) writes, then the list of the function's arguments, then
/// [`END`](Self::END).
#[derive(Clone, Copy, Debug)]
pub struct ErpcRequest<'a> {
    /// The identity of the request; for a call, also of the monitor.
    pub reference: &'a Reference,
    /// The requesting process.
    pub from: &'a Pid,
    /// The group leader of the process that runs the function.
    pub group_leader: &'a Pid,
    /// Whether the caller waits for the value.
    pub kind: ErpcKind,
    /// The function's module.
    pub module: &'a Atom,
    /// The function's name.
    pub function: &'a Atom,
}

/// Whether the caller waits for the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErpcKind {
    /// The caller waits: `erpc:call/4`. It monitors the process that runs the function.
    Call,
    /// The caller does not wait: `erpc:cast/4`.
    Cast,
}

impl ErpcRequest<'_> {
    /// The bytes after the function's arguments.
    pub const END: &'static [u8] = &[Tag::NIL_EXT.0];

    /// Writes the bytes before the function's arguments.
    #[inline]
    pub fn encode_start<S: Sink>(&self, sink: &mut S) {
        encode::list_header(self.arity().into(), sink);
        if self.kind == ErpcKind::Call {
            encode::reference(self.reference, sink);
        }
        encode::atom(self.module, sink);
        encode::atom(self.function, sink);
    }

    fn arity(&self) -> u8 {
        match self.kind {
            ErpcKind::Call => 4,
            ErpcKind::Cast => 3,
        }
    }

    #[inline]
    fn spawn_request(&self) -> BorrowedSpawnRequest<'_> {
        let function = match self.kind {
            ErpcKind::Call => &EXECUTE_CALL,
            ErpcKind::Cast => &EXECUTE_CAST,
        };
        BorrowedSpawnRequest {
            reference: self.reference,
            from: self.from,
            group_leader: self.group_leader,
            module: &ERPC,
            function,
            arity: self.arity(),
            options: SpawnOptions { link: false, monitor: self.kind == ErpcKind::Call },
        }
    }
}

impl Sealed for ErpcRequest<'_> {}

impl Control for ErpcRequest<'_> {
    fn operation(&self) -> u8 {
        self.spawn_request().operation()
    }

    fn content(&self) -> Content {
        Content::Payload
    }

    fn is_offered(&self, flags: DistributionFlags) -> bool {
        self.spawn_request().is_offered(flags)
    }

    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.spawn_request().encode(sink);
    }
}

#[cfg(test)]
mod tests {
    use peerl_term::Term;

    use super::*;
    use crate::{
        control::{Mfa, Signal, SpawnRequest},
        test_support::{a, a_ref, atom, read_bytes},
    };

    /// The request and the argument list, as the peer reads them.
    fn read(kind: ErpcKind) -> (Signal, Term) {
        let reference = a_ref([1, 2, 3]);
        let request = ErpcRequest {
            reference: &reference,
            from: &a(9),
            group_leader: &a(0x47),
            kind,
            module: &atom("lists"),
            function: &atom("sum"),
        };
        let (mut control, mut payload) = (Vec::new(), vec![131]);
        request.encode(&mut control);
        request.encode_start(&mut payload);
        encode::term(&Term::list([Term::from(7)]), &mut payload);
        payload.extend_from_slice(ErpcRequest::END);
        (read_bytes(&control).unwrap().1, Term::decode(&payload.into()).unwrap())
    }

    fn expected(function: &Atom, arity: u32, monitor: bool) -> Signal {
        Signal::SpawnRequest(SpawnRequest {
            reference: a_ref([1, 2, 3]),
            from: a(9),
            group_leader: a(0x47),
            function: Mfa { module: ERPC.clone(), function: function.clone(), arity },
            options: Ok(SpawnOptions { link: false, monitor }),
        })
    }

    #[test]
    fn calls_and_casts() {
        let function = || [Term::atom("lists"), Term::atom("sum"), Term::list([Term::from(7)])];
        let [module, name, arguments] = function();
        let call = Term::list([a_ref([1, 2, 3]).into(), module, name, arguments]);
        assert_eq!(read(ErpcKind::Call), (expected(&EXECUTE_CALL, 4, true), call));
        assert_eq!(read(ErpcKind::Cast), (expected(&EXECUTE_CAST, 3, false), Term::list(function())));
    }
}
