//! A row of a job's results.

use serde::{Deserialize, Serialize};

use crate::checksum::ChecksumRecord;

/// What is known of one URL, at one of its places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The place, from 0.
    pub(crate) index: u32,
    /// The URL as it was given.
    pub(crate) url: String,
    /// How far it is.
    pub(crate) state: RowState,
    /// The sum in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// What went wrong, in words.
    pub(crate) error: Option<String>,
    /// The HTTP status, if there was an answer.
    pub(crate) status: Option<u16>,
    /// The size of the page.
    pub(crate) bytes: Option<u64>,
    /// The node that works on it, or did.
    pub(crate) node: Option<String>,
    /// How long it took.
    pub(crate) ms: Option<u64>,
}

/// How far a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RowState {
    /// No node has it yet.
    Waiting,
    /// A node works on it.
    Running,
    /// There is a sum.
    Done,
    /// There is none.
    Failed,
}

impl RowState {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl Row {
    /// A row of which nothing is known yet.
    pub(crate) fn waiting(index: u32, url: &str) -> Self {
        let url = url.to_owned();
        Self {
            index,
            url,
            state: RowState::Waiting,
            sha256: None,
            error: None,
            status: None,
            bytes: None,
            node: None,
            ms: None,
        }
    }

    /// Takes over the outcome.
    pub(crate) fn fill(&mut self, record: &ChecksumRecord) {
        self.state = if record.error.is_some() { RowState::Failed } else { RowState::Done };
        self.sha256.clone_from(&record.sha256);
        self.error.clone_from(&record.error);
        (self.status, self.bytes, self.ms) = (record.status, record.bytes, Some(record.ms));
        self.node.clone_from(&record.node);
    }
}
