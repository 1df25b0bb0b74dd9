//! What the peers of a node share: each may have a multiple of what it leaves for the others.
//!
//! If that is once as much, one peer that wants all gets half, two get a third each, and so on: what is left is for peers
//! that want little, and a part of the whole is only for those.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

/// A quantity of which peers have [shares](Share).
#[derive(Debug)]
pub struct Budget {
    most: usize,
    lent: AtomicUsize,
    /// How much a share borrows at a time.
    chunk: usize,
    /// How many times what it leaves a share may have.
    factor: usize,
}

/// What one peer has of a budget. It borrows more than it needs, and keeps a little: as long as that suffices, nothing is touched
/// that other peers touch.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    taken: AtomicUsize,
    lent: AtomicUsize,
    /// Held to borrow and to give back.
    changing: Mutex<()>,
    /// More is kept for the peer than it may have.
    is_exceeded: AtomicBool,
}

impl Budget {
    /// This part of the whole is for shares that are small: any number of peers that want all leave it.
    const RESERVE: usize = 8;

    /// A share of up to this part of the whole is small.
    const SMALL: usize = 512;

    /// A budget of so much, of which shares borrow this much at a time, or less if it is small. Each may have as much as
    /// it leaves for the others.
    pub fn new(most: usize, chunk: usize) -> Arc<Self> {
        Self::with_factor(most, chunk, 1)
    }

    /// A budget of which each share may have so many times what it leaves for the others.
    pub fn with_factor(most: usize, chunk: usize, factor: usize) -> Arc<Self> {
        Arc::new(Self { most, lent: AtomicUsize::new(0), chunk: chunk.min(most / 1024).max(1), factor })
    }

    /// The whole.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How much the shares have, what they keep for later included.
    pub fn lent(&self) -> usize {
        self.lent.load(Ordering::Relaxed)
    }

    /// A new share, of nothing yet.
    pub fn share(self: &Arc<Self>) -> Share {
        Share {
            budget: self.clone(),
            taken: AtomicUsize::new(0),
            lent: AtomicUsize::new(0),
            changing: Mutex::default(),
            is_exceeded: AtomicBool::new(false),
        }
    }

    /// Lends more to a share that has this much, if enough is left.
    fn lend(&self, has: usize, more: usize) -> bool {
        let lend = |lent| self.with_more(lent, has, more);
        self.lent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lend).is_ok()
    }

    fn could_lend(&self, has: usize, more: usize) -> bool {
        self.with_more(self.lent(), has, more).is_some()
    }

    /// What is lent after more is lent to a share that has this much, if enough is left.
    fn with_more(&self, lent: usize, has: usize, more: usize) -> Option<usize> {
        let lent = lent.checked_add(more)?;
        let left = self.most.checked_sub(lent)?;
        let will_have = has.saturating_add(more);
        let is_fair = will_have <= left.saturating_mul(self.factor) && left >= self.most / Self::RESERVE;
        (is_fair || will_have <= self.most / Self::SMALL).then_some(lent)
    }

    fn take_back(&self, amount: usize) {
        self.lent.fetch_sub(amount, Ordering::Relaxed);
    }
}

impl Share {
    /// Takes an amount, if there is that much for this peer.
    pub fn take(&self, amount: usize) -> bool {
        // Who drains looks at this after it has said that it drains, and who takes looks at that afterwards.
        let taken = self.taken.fetch_add(amount, Ordering::SeqCst) + amount;
        let is_lent = taken <= self.lent.load(Ordering::Relaxed) || self.borrow(taken);
        if !is_lent {
            self.taken.fetch_sub(amount, Ordering::SeqCst);
        }
        is_lent
    }

    /// Gives back what was taken.
    pub fn give_back(&self, amount: usize) {
        let taken = self.taken.fetch_sub(amount, Ordering::SeqCst) - amount;
        // A little is kept, and some of it used and given back, without a word to the budget.
        let keep = self.budget.chunk - 1;
        if self.lent.load(Ordering::Relaxed) > taken + 2 * keep {
            let _held = self.changing.lock();
            let lent = self.lent.load(Ordering::Relaxed);
            // Another thread may take some of this at the same time: then the share has less than it has taken, by less than a
            // few chunks, until it borrows again.
            let unused = lent.saturating_sub(self.taken.load(Ordering::SeqCst) + keep);
            self.lent.store(lent - unused, Ordering::Relaxed);
            self.budget.take_back(unused);
        }
    }

    /// How much is taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// How much is lent and not taken.
    pub fn unused(&self) -> usize {
        self.lent.load(Ordering::Relaxed).saturating_sub(self.taken())
    }

    /// Whether there is that much for this peer now. Nothing is taken.
    pub fn has_room(&self, amount: usize) -> bool {
        let (taken, lent) = (self.taken.load(Ordering::Relaxed), self.lent.load(Ordering::Relaxed));
        taken + amount <= lent || self.budget.could_lend(lent, taken + amount - lent)
    }

    /// Whether there would be that much for this peer if nothing were taken.
    pub fn could_have(&self, amount: usize) -> bool {
        self.budget.with_more(0, 0, amount).is_some()
    }

    /// Says that more is kept for the peer than it may have: of what it sends, something could be neither kept nor refused.
    pub fn exceed(&self) {
        self.is_exceeded.store(true, Ordering::Relaxed);
    }

    /// Whether more has been kept for the peer than it may have.
    #[inline]
    pub fn is_exceeded(&self) -> bool {
        self.is_exceeded.load(Ordering::Relaxed)
    }

    /// A share of which everything can be taken.
    pub fn unlimited() -> Self {
        Budget::new(usize::MAX, 1 << 16).share()
    }

    /// Takes an amount that is given back when the lease is dropped, if there is that much for this peer.
    pub fn lease(self: &Arc<Self>, amount: usize) -> Option<Lease> {
        let mut lease = Lease::nothing(self.clone());
        lease.grow(amount).then_some(lease)
    }

    fn borrow(&self, taken: usize) -> bool {
        let _held = self.changing.lock();
        let lent = self.lent.load(Ordering::Relaxed);
        let Some(needed) = taken.checked_sub(lent).filter(|needed| *needed > 0) else { return true };
        let borrowed = [needed.max(self.budget.chunk), needed].into_iter().find(|more| self.budget.lend(lent, *more));
        if let Some(more) = borrowed {
            self.lent.store(lent + more, Ordering::Relaxed);
        }
        borrowed.is_some()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.take_back(*self.lent.get_mut());
    }
}

/// An amount that is taken from a [`Share`], and given back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    share: Arc<Share>,
    amount: usize,
}

impl Lease {
    /// A lease of nothing yet.
    pub fn nothing(share: Arc<Share>) -> Self {
        Self { share, amount: 0 }
    }

    /// The share that it is taken from.
    pub fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// How much is taken.
    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Takes more, if there is that much.
    pub fn grow(&mut self, more: usize) -> bool {
        let grows = self.share.take(more);
        if grows {
            self.amount += more;
        }
        grows
    }

    /// Gives a part back.
    pub fn shrink(&mut self, less: usize) {
        let less = less.min(self.amount);
        self.amount -= less;
        self.share.give_back(less);
    }

    /// Takes more or gives back, so that this amount is taken. Returns whether there was enough.
    pub fn resize(&mut self, amount: usize) -> bool {
        match amount.checked_sub(self.amount) {
            Some(more) => self.grow(more),
            None => {
                self.shrink(self.amount - amount);
                true
            }
        }
    }

    /// These bytes, with which the lease is held as long as anything shares them.
    pub fn hold_for(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Leased { bytes, _lease: self })
    }

    /// Moves so much of it into another lease, or all if it is less.
    pub fn split(&mut self, most: usize) -> Self {
        let amount = most.min(self.amount);
        self.amount -= amount;
        Self { share: self.share.clone(), amount }
    }
}

/// Bytes for which a lease is held as long as they are there.
struct Leased {
    bytes: Bytes,
    _lease: Lease,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.share.give_back(self.amount);
        }
    }
}

/// As a [`Lease`], of an amount that its type tells: it has the size of a pointer, for the entries of large tables.
#[derive(Debug)]
pub struct FixedLease<const AMOUNT: usize>(Arc<Share>);

impl<const AMOUNT: usize> FixedLease<AMOUNT> {
    /// Takes the amount from the share, if there is that much for this peer.
    pub fn of(share: &Arc<Share>) -> Option<Self> {
        share.take(AMOUNT).then(|| Self(share.clone()))
    }
}

impl<const AMOUNT: usize> Drop for FixedLease<AMOUNT> {
    fn drop(&mut self) {
        self.0.give_back(AMOUNT);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take_all(share: &Share) -> usize {
        std::iter::repeat_with(|| share.take(1)).take_while(|taken| *taken).count()
    }

    #[test]
    fn one_peer_gets_half_and_the_next_half_of_the_rest() {
        for (most, chunk) in [(10, 16), (100_000, 16)] {
            let budget = Budget::new(most, chunk);
            let (greedy, next) = (budget.share(), budget.share());
            assert_eq!(take_all(&greedy), most / 2);
            let second = take_all(&next);
            assert!(second >= most / 4 - 1 && second <= most / 4 + 1, "{second} of {most}");
            assert!(budget.share().take(1), "others find something");
            greedy.give_back(most / 2);
            assert!(take_all(&next) > 0, "what is given back is there for all");
        }
    }

    #[test]
    fn a_share_may_have_a_multiple_of_what_it_leaves() {
        let budget = Budget::with_factor(1000, 1, 4);
        let (greedy, next) = (budget.share(), budget.share());
        assert_eq!(take_all(&greedy), 800);
        assert_eq!(take_all(&next), 1000 - 800 - 1000 / Budget::RESERVE);
    }

    #[test]
    fn many_that_want_all_leave_something_for_those_that_want_little() {
        for factor in [1, 4] {
            let budget = Budget::with_factor(1 << 20, 1, factor);
            let greedy: Vec<Share> = (0..40).map(|_| budget.share()).collect();
            greedy.iter().for_each(|share| while share.take(64) {});
            let modest: Vec<Share> = (0..20).map(|_| budget.share()).collect();
            assert!(modest.iter().all(|share| share.take((1 << 20) / Budget::SMALL)));
        }
    }

    #[test]
    fn a_lease_gives_back_what_it_has() {
        let budget = Budget::new(1000, 1);
        let share = Arc::new(budget.share());
        let mut lease = share.lease(300).unwrap();
        assert!(share.lease(300).is_none());
        assert!(!lease.grow(300) && lease.grow(100) && lease.resize(50) && !lease.resize(700));
        let moved = lease.split(30);
        assert_eq!((lease.amount(), moved.amount(), share.taken()), (20, 30, 50));
        let bytes = moved.hold_for(Bytes::from_static(b"abc"));
        let part = bytes.slice(1..);
        drop((bytes, lease));
        assert_eq!((&part[..], share.taken()), (&b"bc"[..], 30));
        drop(part);
        assert_eq!((share.taken(), budget.lent()), (0, 0));
    }

    #[test]
    fn a_fixed_lease_gives_back_what_it_has() {
        let budget = Budget::new(1000, 1);
        let share = Arc::new(budget.share());
        assert!(share.has_room(500) && !share.has_room(501) && share.could_have(500) && !share.could_have(501));
        let leases: Vec<FixedLease<100>> = std::iter::from_fn(|| FixedLease::of(&share)).collect();
        assert_eq!((leases.len(), share.taken(), share.has_room(1)), (5, 500, false));
        assert!(share.could_have(500));
        drop(leases);
        assert_eq!((share.taken(), share.unused(), budget.lent()), (0, 0, 0));
    }

    #[test]
    fn nothing_is_lent_after_the_last_share() {
        let budget = Budget::new(1 << 20, 64);
        let shares: Vec<Share> = (0..10).map(|_| budget.share()).collect();
        for share in &shares {
            assert!(share.take(100));
            share.give_back(90);
        }
        assert!(budget.lent.load(Ordering::Relaxed) > 0);
        drop(shares);
        assert_eq!(budget.lent.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn threads_take_no_more_than_there_is() {
        let budget = Budget::new(1000, 1);
        let shares: Vec<Share> = (0..4).map(|_| budget.share()).collect();
        std::thread::scope(|scope| {
            for share in &shares {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for _ in 0..10_000 {
                            if share.take(3) {
                                assert!(budget.lent.load(Ordering::Relaxed) <= 1000);
                                share.give_back(3);
                            }
                        }
                    });
                }
            }
        });
        assert!(shares.iter().all(|share| share.taken() == 0));
        drop(shares);
        assert_eq!(budget.lent.load(Ordering::Relaxed), 0);
    }

    proptest! {
        #[test]
        fn what_is_lent_covers_what_is_taken(
            most in 1_usize..5000,
            steps in prop::collection::vec((0_usize..4, 1_usize..200, any::<bool>()), 1..200),
        ) {
            let budget = Budget::new(most, 16);
            let shares: [Share; 4] = std::array::from_fn(|_| budget.share());
            for (index, amount, takes) in steps {
                let share = &shares[index];
                if takes {
                    share.take(amount);
                } else {
                    share.give_back(amount.min(share.taken()));
                }
                let lent: usize = shares.iter().map(|share| share.lent.load(Ordering::Relaxed)).sum();
                prop_assert_eq!(lent, budget.lent.load(Ordering::Relaxed));
                prop_assert!(lent <= most);
                prop_assert!(shares.iter().all(|share| share.taken() <= share.lent.load(Ordering::Relaxed)));
            }
        }
    }
}
