//! The address of a job: its node, and its id there.

use std::fmt::Write;

use peerl_node::Node;

use super::job::JobHead;

/// A node's name in the addresses of its jobs. Guests share their names with others, and cannot be reached.
pub(crate) fn name_of(node: &Node) -> String {
    let is_guest = node.port() == 0;
    if is_guest { "guest".to_owned() } else { node.name().to_string() }
}

/// The identity of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct JobAddress {
    /// The name of the node that runs it, or has run it.
    pub(crate) node: String,
    /// Its id at the node.
    pub(crate) id: String,
}

impl JobAddress {
    /// The path of the job's page, at any web node of the cluster.
    pub(crate) fn path(&self) -> String {
        path(&self.node, &self.id)
    }
}

impl JobHead {
    /// The path of the job's page, at any web node of the cluster.
    pub(crate) fn path(&self) -> String {
        path(&self.node, &self.id)
    }
}

fn path(node: &str, id: &str) -> String {
    let mut path = "/jobs/".to_owned();
    for byte in node.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'@' | b':' => path.push(char::from(byte)),
            // Writing to a string cannot fail.
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
