use std::hash::{Hash, Hasher};

use crate::Atom;

/// A reference: a value that is unique among all connected nodes.
///
/// It has 1 to 5 words; missing words count as zero. (erl_ext_dist, `NEWER_REFERENCE_EXT`.)
#[derive(Debug, Clone)]
pub struct Reference {
    node: Atom,
    creation: u32,
    len: u8,
    words: [u32; Self::MAX_WORDS],
}

/// The number of words is not 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reference has 1 to {} words", Reference::MAX_WORDS)]
pub struct ReferenceError;

impl Reference {
    /// The most words that a reference may have.
    pub const MAX_WORDS: usize = 5;

    /// Makes a reference.
    ///
    /// # Errors
    /// If the number of words is not 1 to 5.
    #[inline]
    pub fn new(node: Atom, creation: u32, words: &[u32]) -> Result<Self, ReferenceError> {
        if !(1..=Self::MAX_WORDS).contains(&words.len()) {
            return Err(ReferenceError);
        }
        let mut all = [0; Self::MAX_WORDS];
        all[..words.len()].copy_from_slice(words);
        Ok(Self { node, creation, len: words.len() as u8, words: all })
    }

    /// A placeholder for [`Decoder::read_reference`](crate::Decoder::read_reference): a reference of no node.
    pub const VACANT: Self = Self { node: Atom::from_static(""), creation: 0, len: 1, words: [0; Self::MAX_WORDS] };

    /// The parts of a placeholder, for this number of words.
    #[inline]
    pub(crate) fn parts_mut(&mut self, len: usize) -> Option<(&mut Atom, &mut u32, &mut [u32])> {
        if !(1..=Self::MAX_WORDS).contains(&len) {
            return None;
        }
        self.len = len as u8;
        Some((&mut self.node, &mut self.creation, &mut self.words[..len]))
    }

    /// The name of the node that made the reference.
    #[inline]
    pub fn node(&self) -> &Atom {
        &self.node
    }

    /// The incarnation of that node.
    #[inline]
    pub fn creation(&self) -> u32 {
        self.creation
    }

    /// The words, least significant first.
    #[inline]
    pub fn words(&self) -> &[u32] {
        &self.words[..usize::from(self.len)]
    }

    /// All five words; missing ones are zero.
    pub(crate) fn padded(&self) -> &[u32; Self::MAX_WORDS] {
        &self.words
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words && self.creation == other.creation && self.node == other.node
    }
}

impl Eq for Reference {}

impl Hash for Reference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words.hash(state);
        self.creation.hash(state);
        self.node.hash(state);
    }
}
