use std::sync::Arc;

use peerl_proto::budget::{Lease, Share};

/// What the messages of peers that wait in a mailbox take of the shares of those peers.
#[derive(Debug, Default)]
pub(super) struct Debts(Vec<Debt>);

/// What waits of one sender. The share of one that is gone is not kept.
#[derive(Debug, Default)]
struct Debt {
    lease: Option<Lease>,
    /// What waits.
    bytes: usize,
}

/// To whom the bytes of a message belong: an entry of [`Debts`], or nobody.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Debtor(Option<u32>);

impl Debtor {
    pub(super) fn is_somebody(self) -> bool {
        self.0.is_some()
    }
}

impl Debts {
    /// How much is taken of a share at a time.
    const STEP: usize = 16 << 10;

    /// Takes the bytes of a message from the share of its sender. If that does not suffice, the share is exceeded: a message
    /// cannot be refused.
    pub(super) fn add(&mut self, sender: &Arc<Share>, bytes: usize) -> Debtor {
        let index = self.entry(sender);
        let debt = &mut self.0[index];
        debt.bytes += bytes;
        let lease = debt.lease.get_or_insert_with(|| Lease::nothing(sender.clone()));
        if debt.bytes > lease.amount() && !lease.grow(bytes.next_multiple_of(Self::STEP)) {
            sender.exceed();
        }
        Debtor(u32::try_from(index).ok())
    }

    /// Gives back the bytes of a message.
    pub(super) fn remove(&mut self, debtor: Debtor, bytes: usize) {
        let Some(debt) = debtor.0.and_then(|index| self.0.get_mut(index as usize)) else { return };
        debt.bytes = debt.bytes.saturating_sub(bytes);
        let kept = debt.bytes.next_multiple_of(Self::STEP);
        match &mut debt.lease {
            lease if debt.bytes == 0 => *lease = None,
            Some(lease) if kept + Self::STEP < lease.amount() => lease.shrink(lease.amount() - kept),
            _ => {}
        }
    }

    /// The entry of a sender; one of which nothing waits any more may become another's.
    fn entry(&mut self, sender: &Arc<Share>) -> usize {
        let of = |debt: &Debt| debt.lease.as_ref().is_some_and(|lease| Arc::ptr_eq(lease.share(), sender));
        let place = self.0.iter().position(of).or_else(|| self.0.iter().position(|debt| debt.bytes == 0));
        place.unwrap_or_else(|| {
            self.0.push(Debt::default());
            self.0.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use peerl_proto::budget::Budget;

    use super::*;

    #[test]
    fn each_sender_pays_for_its_messages() {
        let budget = Budget::new(1 << 20, 1);
        let [a, b, c] = [(); 3].map(|()| Arc::new(budget.share()));
        let mut debts = Debts::default();
        let of_a: Vec<Debtor> = (0..100).map(|_| debts.add(&a, 1000)).collect();
        let of_b = debts.add(&b, 1000);
        assert!((100_000..140_000).contains(&a.taken()) && b.taken() < 20_000);
        for debtor in of_a {
            debts.remove(debtor, 1000);
        }
        assert_eq!((a.taken(), Arc::strong_count(&a)), (0, 1));
        let of_c = debts.add(&c, 1000);
        assert_eq!(debts.0.len(), 2, "the entry of one that has nothing there any more is used again");
        debts.remove(of_b, 1000);
        debts.remove(of_c, 1000);
        debts.remove(Debtor::default(), 1000);
        assert_eq!(budget.lent(), 0);
        while !a.is_exceeded() {
            debts.add(&a, 1000);
        }
        assert!((512 << 10) - a.taken() <= Debts::STEP);
        drop(debts);
        assert_eq!(a.taken(), 0);
    }
}
