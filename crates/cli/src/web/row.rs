//! A row of a job's results.

use serde::{Deserialize, Serialize};

use crate::checksum::ChecksumRecord;

/// The state of one URL, at one of its positions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The position, from 0.
    pub(crate) index: u32,
    /// The URL as given.
    pub(crate) url: String,
    /// The progress.
    pub(crate) state: RowState,
    /// The sum in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// The error message.
    pub(crate) error: Option<String>,
    /// The HTTP status, if there was an answer.
    pub(crate) status: Option<u16>,
    /// The size of the page.
    pub(crate) bytes: Option<u64>,
    /// The node that works on it, or has.
    pub(crate) node: Option<String>,
    /// The duration in milliseconds.
    pub(crate) ms: Option<u64>,
}

/// The progress of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RowState {
    /// No node has begun it.
    Waiting,
    /// A node is working on it.
    Running,
    /// There is a sum.
    Done,
    /// There is no sum.
    Failed,
}

impl RowState {
    /// Its name.
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
    /// A row that no node has begun.
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

    /// Sets the outcome.
    pub(crate) fn fill(&mut self, record: &ChecksumRecord) {
        self.state = if record.error.is_some() { RowState::Failed } else { RowState::Done };
        self.sha256.clone_from(&record.sha256);
        self.error.clone_from(&record.error);
        (self.status, self.bytes, self.ms) = (record.status, record.bytes, Some(record.ms));
        self.node.clone_from(&record.node);
    }
}
