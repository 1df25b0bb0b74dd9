//! Monitors: a process is told when another one ends.
//!
//! Erlang docs: *Reference Manual*, section "Monitors".

use peerl_term::Reference;

use super::{Destination, Process};
use crate::kernel::process::{Message, Monitored};

impl Process {
    /// Monitors a process: when it ends, [`Message::Down`](crate::Message::Down) comes; at once, if it is not there or cannot
    /// be reached. Of a node that takes no monitors (nodes on `ei`, Jinterface) only the loss of the connection is noticed, as
    /// in OTP.
    pub async fn monitor(&self, target: impl Into<Destination>) -> Reference {
        let object = self.monitored(target.into());
        self.inner.reach((&object).into()).await;
        self.begin_monitor(object)
    }

    /// Monitors a process as [`monitor`](Self::monitor) does, but neither connects nor waits: if its node is not connected,
    /// [`Message::Down`](crate::Message::Down) with `noconnection` is in the mailbox at once. It is in order with what this
    /// process [sends](Self::send_connected).
    pub fn monitor_connected(&self, target: impl Into<Destination>) -> Reference {
        self.begin_monitor(self.monitored(target.into()))
    }

    /// Ends a monitor. Returns whether it was still there; if not, its [`Message::Down`](crate::Message::Down) has come or is in
    /// the mailbox.
    pub fn demonitor(&self, reference: &Reference) -> bool {
        self.inner.kernel.demonitor(&self.core, reference)
    }

    /// Ends a monitor of which nothing is to be received any more, as `erlang:demonitor(Monitor, [flush])`: if its
    /// [`Message::Down`](crate::Message::Down) is in the mailbox, it is removed.
    pub fn demonitor_and_flush(&self, reference: &Reference) {
        if self.demonitor(reference) {
            return;
        }
        if let Some(mut state) = self.core.alive() {
            state
                .mailbox
                .remove_first(|message| matches!(message, Message::Down(down) if down.reference == *reference));
        }
    }

    fn begin_monitor(&self, object: Monitored) -> Reference {
        let reference = self.inner.kernel.identity.next_reference();
        self.inner.kernel.monitor(&self.core, object, &reference);
        reference
    }

    fn monitored(&self, target: Destination) -> Monitored {
        match target {
            Destination::Process(pid) => Monitored::Process(pid),
            Destination::Name(name) => Monitored::Name(name, self.inner.kernel.identity.name.clone()),
            Destination::Remote(name, node) => Monitored::Name(name, node),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::process::Message;
    use crate::{Epmd, NodeBuilder};

    #[tokio::test]
    async fn of_a_monitor_that_is_flushed_nothing_is_received() {
        let node = NodeBuilder::new("alone@127.0.0.1").cookie("c").epmd(Epmd::None { port: 1 }).start().await.unwrap();
        let (mut watcher, ended, alive) = (node.process(), node.process(), node.process());
        let flushed = [watcher.monitor(ended.pid()).await, watcher.monitor(alive.pid()).await];
        let kept = watcher.monitor(ended.pid()).await;
        drop(ended);
        flushed.iter().for_each(|monitor| watcher.demonitor_and_flush(monitor));
        drop(alive);
        watcher.send(watcher.pid(), &7).await.unwrap();
        assert!(matches!(watcher.receive().await.unwrap(), Message::Down(down) if down.reference == kept));
        assert!(matches!(watcher.receive().await.unwrap(), Message::User(_)));
    }
}
