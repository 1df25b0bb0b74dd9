//! `erlang:memory/0,1`: the memory of the program.

use peerl_node::{Exception, Node};
use peerl_term::{AtomError, Term};

use super::{ASKED, Outcome, Place, elements, nullary, unary};

/// `erlang:memory/0` and `erlang:memory/1`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    nullary(node, "erlang", "memory", |node| Ok(Term::list(memory(node))))?;
    unary(node, "erlang", "memory", memory_of)
}

/// The keys of `erlang:memory/0`. Without a BEAM there are no atoms, code or tables. What waits in mailboxes is that of
/// `processes`; all other memory is that of `system`.
const MEMORY: [&str; 9] =
    ["total", "processes", "processes_used", "system", "atom", "atom_used", "binary", "code", "ets"];

/// `[{total, Bytes}, ...]`.
pub(super) fn memory(node: &Node) -> Vec<Term> {
    let processes = node.mailbox_totals().1 as u64;
    // Mailboxes may have been filled since.
    let total = resident_bytes().max(processes);
    let bytes = |key| match key {
        "total" => total,
        "processes" | "processes_used" => processes,
        "system" => total - processes,
        _ => 0,
    };
    MEMORY.into_iter().map(|key| Term::tuple([Term::atom(key), Term::from(bytes(key))])).collect()
}

fn memory_of(node: &Node, which: &Term) -> Outcome {
    let all = memory(node);
    if which.as_list().is_some_and(|keys| keys.len() > ASKED) {
        return Err(Exception::system_limit().of_argument(1, &format!("more than {ASKED} keys")));
    }
    let find = |(key, place): (&Term, Place)| {
        let pair = all.iter().find(|pair| pair.as_tuple().is_some_and(|pair| pair[0] == *key));
        pair.cloned().ok_or_else(|| Exception::bad_argument(1, &format!("{place}no kind of memory")))
    };
    let mut found = elements(which).map(find).collect::<Result<Vec<_>, _>>()?;
    match which {
        Term::List(_) => Ok(Term::list(found)),
        _ => Ok(found.pop().and_then(|pair| Some(pair.as_tuple()?[1].clone())).unwrap_or_else(Term::nil)),
    }
}

/// The memory of this process, if the operating system reports it (Linux); else 0.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use peerl_node::{Epmd, NodeBuilder};

    use super::*;

    #[tokio::test]
    async fn memory_has_the_keys_that_tools_ask_for() {
        let node = NodeBuilder::new("a@127.0.0.1").cookie("c").epmd(Epmd::Unregistered).start().await.unwrap();
        let total = memory_of(&node, &Term::atom("total")).unwrap().as_integer().unwrap();
        assert!(cfg!(not(target_os = "linux")) || total > 1_000_000, "{total}");
        let two = memory_of(&node, &Term::list([Term::atom("ets"), Term::atom("code")])).unwrap();
        assert_eq!(two.as_list().unwrap().len(), 2);
        let wrong = memory_of(&node, &Term::list([Term::atom("ets"), Term::atom("swap")])).unwrap_err();
        assert_eq!(wrong.cause(), Some("argument 1: element 2: no kind of memory"));
        assert_eq!(memory(&node).len(), MEMORY.len());
    }
}
