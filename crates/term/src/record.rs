use crate::elements::Elements;
use crate::{Atom, Term};

/// A native record of OTP 29, as `#Module:Name{Key = Value}`. (Tag 67 of the external term format.)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    pub(crate) exported: bool,
    pub(crate) module: Atom,
    pub(crate) name: Atom,
    pub(crate) keys: Box<[Atom]>,
    pub(crate) values: Elements,
}

impl Record {
    /// Makes a record of its fields, in the order of its definition.
    pub fn new(module: Atom, name: Atom, fields: impl IntoIterator<Item = (Atom, Term)>) -> Self {
        let (keys, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        Self { exported: true, module, name, keys: keys.into(), values: values.into() }
    }

    /// Whether other modules may access the record's fields.
    pub fn is_exported(&self) -> bool {
        self.exported
    }

    /// The module that defines the record.
    pub fn module(&self) -> &Atom {
        &self.module
    }

    /// The record's name.
    pub fn name(&self) -> &Atom {
        &self.name
    }

    /// The fields, in the order of the definition.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&Atom, &Term)> {
        self.keys.iter().zip(self.values.iter())
    }

    /// The value of a field.
    pub fn get(&self, key: &str) -> Option<&Term> {
        self.fields().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}
