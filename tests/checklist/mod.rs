//! What a node of the BEAM expects of its peers: the lines of `docs/conformance.md`.

use Proof::{ByHand, Tests, TestsFrom, TestsInShort};

/// One expectation.
pub(crate) struct Line {
    pub(crate) number: u8,
    pub(crate) proof: Proof,
    pub(crate) text: &'static str,
}

/// How it is shown that a line holds.
#[derive(Clone, Copy)]
pub(crate) enum Proof {
    /// By tests with all releases.
    Tests,
    /// By tests with this release and later ones: earlier ones have no such thing.
    TestsFrom(u32),
    /// By tests with all releases, in a short form; and how the long one is run.
    TestsInShort(&'static str),
    /// By a program that takes too long for a test run, and how it is run.
    ByHand(&'static str),
}

const fn line(number: u8, proof: Proof, text: &'static str) -> Line {
    Line { number, proof, text }
}

pub(crate) const SECTIONS: &[(&str, &[Line])] = &[
    (
        "EPMD",
        &[
            line(1, Tests, "A node is registered: `epmd -names` and `net_adm:names/1` list it with its port"),
            line(
                2,
                Tests,
                "EPMD tells the port of a registered node, and that it does not know another; then it closes",
            ),
            line(3, Tests, "A node that registers again has the next creation"),
            line(4, Tests, "BEAM nodes register with the EPMD of a peerl node, whose answer comes in one piece"),
            line(5, Tests, "EPMD dies and comes back: nodes register again and keep their creation"),
            line(6, Tests, "A node whose name is taken does not start, and says so"),
        ],
    ),
    (
        "Handshake",
        &[
            line(7, Tests, "Nodes ping each other; `nodes()` lists a visible node, `nodes(hidden)` a hidden one"),
            line(8, Tests, "Another cookie is refused by both sides, and both log it"),
            line(9, Tests, "A peer without a mandatory capability is told `not_allowed`"),
            line(10, Tests, "Both sides connect at the same time, with either order of names: one connection remains"),
            line(11, Tests, "A node that connects again replaces its old connection, with all that belonged to it"),
            line(12, Tests, "A node that gives up its second connection keeps the first"),
            line(13, Tests, "Long and short names connect among themselves; the dialling node refuses the other kind"),
            line(14, Tests, "The capabilities that nodes offer are those of the release"),
            line(15, Tests, "After a restart under the same name, old pids are dead"),
            line(16, Tests, "A handshake that stops half-way is ended by either side"),
        ],
    ),
    (
        "Frames",
        &[
            line(
                17,
                Tests,
                "Thousands of atoms go through the atom cache both ways, more than it holds, and the longest ones",
            ),
            line(18, Tests, "Messages come through without the cache, and without distribution headers"),
            line(19, Tests, "Binaries of one MiB arrive whole, in fragments, both ways"),
            line(20, Tests, "Fragments of several senders and small messages interleave"),
            line(
                21,
                TestsInShort("20 seconds each time; [five minutes by hand](how-to-test.md#tests-that-take-long)"),
                "An idle connection stays up: both sides tick",
            ),
            line(22, Tests, "A BEAM drops a silent peer after its tick time, and never one that ticks"),
            line(23, Tests, "A message of 100 MB on a slow link does not hold up ticks"),
        ],
    ),
    (
        "Signals",
        &[
            line(24, Tests, "A monitor of an unknown process reports `noproc`"),
            line(25, Tests, "A monitor reports the end of a process with its reason, and by name with name and node"),
            line(26, Tests, "A monitor that was taken back reports nothing"),
            line(27, Tests, "The monitors of a process end with it"),
            line(28, Tests, "A link to a dead process gives an exit signal; a live one ends each side with the other"),
            line(29, Tests, "After an unlink nothing comes, whatever becomes of the other side"),
            line(30, Tests, "10,000 links and unlinks that cross leave both sides with the same view"),
            line(31, Tests, "`exit(Pid, kill)` ends a process, and its links as `killed`; `normal` is ignored"),
            line(32, Tests, "The death of a BEAM is reported as `noconnection` to all who monitor or link"),
            line(33, Tests, "The death of a peerl node is reported as `noconnection` to the processes of a BEAM"),
            line(34, Tests, "Group leaders are set over the wire, and print where they are"),
            line(35, Tests, "Messages to nobody are dropped; `{Name, Node} ! Message` arrives with its sender"),
            line(36, Tests, "Signals with a trace token are read, and the token is passed on as by a BEAM"),
            line(37, Tests, "A message to an alias arrives, in the form of the release; after its end it is dropped"),
            line(38, TestsFrom(28), "Priority messages and exit signals are taken"),
            line(
                39,
                Tests,
                "Spawn requests with links, monitors, wrong options and unknown functions are answered as by a BEAM",
            ),
            line(40, Tests, "A spawn request whose reply nobody wants is answered"),
        ],
    ),
    (
        "Terms",
        &[
            line(41, Tests, "All terms survive the way to a BEAM and back, and the way from it and back"),
            line(42, Tests, "Funs, ports and pids of others are kept as they came"),
            line(43, TestsFrom(29), "Native records are read, and sent back"),
            line(44, Tests, "Strings and lists of bytes are the same term; improper lists are kept"),
            line(45, Tests, "A malformed term ends the connection that it came by, and no other"),
        ],
    ),
    (
        "Calls",
        &[
            line(
                46,
                Tests,
                "`net_adm:ping/1`, `Node.ping/1`, `Node.list/0` and `net_kernel:monitor_nodes/1` see a peerl node as any other",
            ),
            line(
                47,
                Tests,
                "`rpc:call` and `erpc:call` give values, throws, exits, errors and `undef` in the shapes of a BEAM",
            ),
            line(48, Tests, "Calls that are given up leave nothing behind; a cast waits for nothing"),
            line(49, Tests, "Multicalls over BEAM and peerl nodes keep the order"),
            line(
                50,
                Tests,
                "`rpc:block_call`, `sbcast`, `abcast`, `multi_server_call`, `pmap` and `parallel_eval` include a peerl node",
            ),
            line(
                51,
                Tests,
                "A peerl node calls a BEAM with the same outcomes, and is told of time-outs and lost nodes",
            ),
            line(52, Tests, "The request for the features of `rpc` is answered"),
        ],
    ),
    (
        "`global`",
        &[
            line(53, Tests, "`global:sync/0` returns in a mesh of three BEAM nodes and a peerl node"),
            line(
                54,
                Tests,
                "Names that are registered, registered anew or given up, or whose process ends, are the same at all nodes",
            ),
            line(55, Tests, "A lock excludes all others, and is free when its holder ends"),
            line(56, Tests, "Of two processes with one name, the right one keeps it, in either order of node names"),
            line(57, Tests, "A node that joins one of two BEAM nodes is connected to both within seconds"),
            line(58, Tests, "When two others part, no node stays connected to both"),
            line(
                59,
                Tests,
                "The report of a lost connection is passed on once; a node that is told to part with another closes the connection",
            ),
            line(60, Tests, "A meeting that is broken off at any moment leaves nothing locked"),
            line(61, Tests, "A node leaves, and the others stay together"),
            line(62, Tests, "Nodes that start at the same time find together"),
        ],
    ),
    (
        "`pg`, Phoenix and Elixir",
        &[
            line(63, Tests, "Members that join, join twice, leave or end are the same at all nodes"),
            line(64, Tests, "A scope that asks for the members of another is told them"),
            line(
                65,
                Tests,
                "`Phoenix.PubSub` broadcasts both ways; tasks, agents and servers of Elixir work with a peerl node",
            ),
            line(66, Tests, "A scope that starts anew is learned anew, at either side"),
        ],
    ),
    (
        "TLS and tools",
        &[
            line(
                67,
                Tests,
                "Distribution over TLS 1.2 and 1.3, both ways, with certificates of both sides; others are refused",
            ),
            line(68, Tests, "Ticks, large messages and addresses as host names over TLS"),
            line(69, Tests, "Observer shows a peerl node"),
            line(70, Tests, "The crash report of a linked task does not wait for a peerl node"),
            line(
                71,
                ByHand("[the soak test](how-to-test.md#tests-that-take-long)"),
                "A day of mixed traffic leaves no monitor, link, alias or lock behind",
            ),
        ],
    ),
];
