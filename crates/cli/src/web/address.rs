//! The address of a job: the node that runs it, and its name there.

use std::fmt::Write;

use peerl_node::Node;

use super::job::JobHead;

/// What a node is called in the addresses of its jobs. Guests share their names with others, and nobody can reach them.
pub(crate) fn name_of(node: &Node) -> String {
    let is_guest = node.port() == 0;
    if is_guest { "guest".to_owned() } else { node.name().to_string() }
}

/// Which job is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobAddress {
    /// The node that runs it, or has run it.
    pub(crate) node: String,
    /// Its name there.
    pub(crate) id: String,
}

impl JobAddress {
    /// Where the page of the job is, at any web node of the cluster.
    pub(crate) fn path(&self) -> String {
        path(&self.node, &self.id)
    }
}

impl JobHead {
    /// Where the page of the job is, at any web node of the cluster.
    pub(crate) fn path(&self) -> String {
        path(&self.node, &self.id)
    }
}

fn path(node: &str, id: &str) -> String {
    let mut path = "/jobs/".to_owned();
    for byte in node.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'@' | b':' => path.push(char::from(byte)),
            // A string takes all that is written to it.
            byte => drop(write!(path, "%{byte:02X}")),
        }
    }
    path + "/" + id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_s_name_stays_one_segment() {
        let path = |node: &str| JobAddress { node: node.to_owned(), id: "7".to_owned() }.path();
        assert_eq!(path("web@10.0.0.7"), "/jobs/web@10.0.0.7/7");
        assert_eq!(path("a/b?c#é@h"), "/jobs/a%2Fb%3Fc%23%C3%A9@h/7");
    }
}
