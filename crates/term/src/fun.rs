use crate::elements::Elements;
use crate::{Atom, Pid, Term};

/// `fun Module:Function/Arity`. (erl_ext_dist, `EXPORT_EXT`.)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExternalFun {
    /// The module.
    pub module: Atom,
    /// The function.
    pub function: Atom,
    /// The number of arguments.
    pub arity: u8,
}

/// A closure of a BEAM module. Only a node that has the module can call it; here it is an opaque value that is sent
/// back unchanged. (erl_ext_dist, `NEW_FUN_EXT`.)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalFun {
    pub(crate) arity: u8,
    pub(crate) unique: [u8; 16],
    pub(crate) index: u32,
    pub(crate) module: Atom,
    pub(crate) old_index: i64,
    pub(crate) old_unique: i64,
    pub(crate) pid: Pid,
    pub(crate) free_variables: Elements,
}

impl LocalFun {
    /// The module that made the fun.
    pub fn module(&self) -> &Atom {
        &self.module
    }

    /// The number of arguments.
    pub fn arity(&self) -> u8 {
        self.arity
    }

    /// The MD5 of the significant parts of the module.
    pub fn unique(&self) -> &[u8; 16] {
        &self.unique
    }

    /// The fun's index in its module.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The process that made the fun.
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// The values that the closure holds.
    pub fn free_variables(&self) -> &[Term] {
        &self.free_variables
    }
}
