/// A stack whose growth moves nothing: a term may have millions of levels, and a vector of so many would be copied to one
/// of twice the size while both are in memory.
#[derive(Debug)]
pub(crate) struct Stack<T> {
    top: Vec<T>,
    /// The chunks below.
    full: Vec<Vec<T>>,
}

impl<T> Stack<T> {
    /// The elements of a chunk.
    const CHUNK: usize = 256;

    pub(crate) const fn new() -> Self {
        Self { top: Vec::new(), full: Vec::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, element: T) {
        if self.top.len() == Self::CHUNK {
            self.full.push(std::mem::replace(&mut self.top, Vec::with_capacity(Self::CHUNK)));
        }
        self.top.push(element);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        let element = self.top.pop();
        if element.is_some() {
            return element;
        }
        self.top = self.full.pop()?;
        self.top.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back_across_chunks() {
        let mut stack = Stack::new();
        assert_eq!(stack.pop(), None);
        for round in 0..3 {
            (0..1000).for_each(|i| stack.push(i));
            for i in (round..1000).rev() {
                assert_eq!(stack.pop(), Some(i));
            }
        }
        assert_eq!(stack.pop(), Some(1));
        assert_eq!(stack.pop(), Some(0));
        assert_eq!(stack.pop(), Some(0));
        assert_eq!(stack.pop(), None);
    }
}
