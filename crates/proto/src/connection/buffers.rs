//! The frames of small messages that wait to be written.

use std::{collections::VecDeque, mem};

use super::SendHalf;
use crate::channel::Fragments;

/// Frames in the order in which they are written: in one buffer, or in several if they are many.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    last: Vec<u8>,
    /// What is written before that.
    full: VecDeque<Vec<u8>>,
    /// The bytes in those.
    full_bytes: usize,
    /// What those take.
    full_memory: usize,
    /// What the buffer takes that is being written.
    writing: usize,
}

impl Buffers {
    /// A buffer with so many bytes is full, and another one follows: none is copied into one of twice its size, and each is freed
    /// when it has been written.
    const FULL: usize = SendHalf::BUSY;

    /// What a buffer takes that follows a full one.
    const NEXT: usize = Self::FULL + 2 * Fragments::LARGE;

    /// Where the next frame is appended.
    #[inline]
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.last
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_empty() && self.full.is_empty()
    }

    /// How many bytes wait.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.full_bytes + self.last.len()
    }

    /// What the buffers take, that which is being written included, after the next small message.
    pub(super) fn memory(&self) -> usize {
        let capacity = self.last.capacity();
        let grows = capacity - self.last.len() < Fragments::LARGE;
        let next = if grows { 2 * capacity } else { capacity };
        self.full_memory + next + self.writing
    }

    /// Whether further buffers follow the one that is written next. What goes with the last frames must wait for those.
    pub(super) fn is_first_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// Appends to another buffer from now on, if the last one is full.
    pub(super) fn begin_next_if_full(&mut self) {
        if self.last.len() >= Self::FULL {
            let full = mem::replace(&mut self.last, Vec::with_capacity(Self::NEXT));
            self.push_full(full);
        }
    }

    /// Appends a large frame, as a buffer of its own.
    pub(super) fn push(&mut self, frame: Vec<u8>) {
        if !self.last.is_empty() {
            let last = mem::take(&mut self.last);
            self.push_full(last);
        }
        self.push_full(frame);
    }

    fn push_full(&mut self, full: Vec<u8>) {
        self.full_bytes += full.len();
        self.full_memory += full.capacity();
        self.full.push_back(full);
    }

    /// Takes the first buffer, to be written, in exchange for the one that has been written.
    pub(super) fn take(&mut self, written: &mut Vec<u8>) {
        written.clear();
        if let Some(full) = self.full.pop_front() {
            self.full_bytes -= full.len();
            self.full_memory -= full.capacity();
            *written = full;
        } else {
            if written.capacity() > 2 * Self::NEXT {
                // It was a large frame.
                *written = Vec::new();
            }
            mem::swap(&mut self.last, written);
        }
        self.writing = written.capacity();
    }

    /// Frees the two buffers of an empty queue that take more than so many bytes.
    pub(super) fn shrink(&mut self, written: &mut Vec<u8>, most: usize) {
        for buffer in [&mut self.last, &mut *written] {
            if buffer.capacity() > most {
                *buffer = Vec::new();
            }
        }
        self.writing = written.capacity();
    }
}
