//! A watched file that lists the nodes.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use peerl_proto::node_name::{NodeName, NodeNameError};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

use super::{Answer, Peers, Strategy, StrategyError};
use crate::spec::{SpecError, StrategySettings};

/// How often a watched file is checked. Unlike change notifications, checking works on network file systems, and for
/// a link into a directory that is swapped, as in a Kubernetes ConfigMap.
const LOOK: Duration = Duration::from_millis(200);

/// How long a changed file must stay unchanged before it is read: it may be half written.
const REST: Duration = Duration::from_millis(100);

/// How often a file that keeps changing is read.
const ATTEMPTS: usize = 20;

/// The strategy `file`: the nodes that a file lists.
///
/// The file has one node per line, with comments from `#` on; or it is JSON: a list of strings, or an object with
/// such a list as its `nodes`. An invalid line, a missing file and one that keeps changing are errors, never a
/// shorter list. Writers should write another file and rename it.
pub struct FileList {
    name: String,
    path: PathBuf,
    /// The file's fingerprint when it was last read; `None` if it was missing.
    seen: Mutex<Option<Fingerprint>>,
}

impl FileList {
    /// The longest file that is read; the limit protects the memory from a wrong path.
    pub const LONGEST: u64 = 4 << 20;

    /// Reads this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { name: format!("file:{}", path.display()), path, seen: Mutex::default() }
    }

    async fn read(&self) -> Result<Peers, FileError> {
        for _ in 0..ATTEMPTS {
            let before = Fingerprint::of(&self.path).await;
            *self.seen.lock() = before.as_ref().ok().copied();
            let before = before?;
            let text = before.read(&self.path).await?;
            // An old change is complete; the age is reliable only if the file system uses this machine's clock.
            if !before.is_old() {
                sleep(REST).await;
            }
            if Fingerprint::of(&self.path).await? == before {
                return parse(&text);
            }
        }
        Err(FileError::Restless)
    }
}

impl Strategy for FileList {
    fn name(&self) -> &str {
        &self.name
    }

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(async {
            let failed = |source| StrategyError::File { path: self.path.clone(), source };
            let asked = || format!("the list of nodes in {}", self.path.display());
            self.read().await.map(|peers| Answer::whole(peers).with_asked(asked())).map_err(failed)
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                let now = Fingerprint::of(&self.path).await.ok();
                if now != *self.seen.lock() {
                    return;
                }
                sleep(LOOK).await;
            }
        })
    }
}

/// Why the nodes of a file are unknown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is missing or unreadable.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a directory, a pipe or a device.
    #[error("this is not a regular file")]
    NotAFile,
    /// It is too long.
    #[error("this is longer than {} MiB", FileList::LONGEST >> 20)]
    TooLong,
    /// It keeps changing.
    #[error("this keeps changing; a writer should rename another file to this one")]
    Restless,
    /// It is not UTF-8.
    #[error("this is not UTF-8")]
    NotText,
    /// It begins like JSON, but is invalid, or not a list of strings.
    #[error("this is not a JSON list of nodes")]
    Json(#[source] serde_json::Error),
    /// A line is not a node.
    #[error("line {line}: {text:?} is not a node name: {reason}")]
    Line {
        /// The line number, from 1.
        line: usize,
        /// Its text.
        text: String,
        /// The reason.
        reason: NodeNameError,
    },
    /// A string of the JSON is not a node.
    #[error("{text:?} is not a node name: {reason}")]
    Item {
        /// The string.
        text: String,
        /// The reason.
        reason: NodeNameError,
    },
}

/// The attributes of a file that change when it is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    async fn of(path: &Path) -> Result<Self, FileError> {
        let data = tokio::fs::metadata(path).await?;
        match data.is_file() {
            false => Err(FileError::NotAFile),
            true => Ok(Self {
                device: data.dev(),
                inode: data.ino(),
                length: data.len(),
                modified: (data.mtime(), data.mtime_nsec()),
                changed: (data.ctime(), data.ctime_nsec()),
            }),
        }
    }

    async fn read(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        let mut bytes = Vec::new();
        File::open(path).await?.take(FileList::LONGEST + 1).read_to_end(&mut bytes).await?;
        match bytes.len() as u64 > FileList::LONGEST {
            true => Err(FileError::TooLong),
            false => Ok(bytes),
        }
    }

    fn is_old(&self) -> bool {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let latest = self.modified.0.max(self.changed.0);
        // Whole seconds, with a margin: clocks of file servers may be wrong.
        u64::try_from(latest).is_ok_and(|latest| latest + 5 < now.as_secs())
    }
}

fn parse(bytes: &[u8]) -> Result<Peers, FileError> {
    let text = std::str::from_utf8(bytes).map_err(|_| FileError::NotText)?;
    // Some editors write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['[', '{']) {
        let nodes = match serde_json::from_str(text).map_err(FileError::Json)? {
            Json::Nodes(nodes) | Json::Object { nodes } => nodes,
        };
        let parse = |text: String| NodeName::new(&text).map_err(|reason| FileError::Item { text, reason });
        return nodes.into_iter().map(parse).collect();
    }
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.split('#').next().unwrap_or("").trim()));
    lines
        .filter(|(_, text)| !text.is_empty())
        .map(|(line, text)| NodeName::new(text).map_err(|reason| FileError::Line { line, text: text.into(), reason }))
        .collect()
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected [\"NODE\", …] or {\"nodes\": [\"NODE\", …]}")]
enum Json {
    Nodes(Vec<String>),
    Object { nodes: Vec<String> },
}

/// The settings of `file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileListSettings {
    /// The file.
    pub path: PathBuf,
}

impl StrategySettings for FileListSettings {
    const NAME: &'static str = "file";
    const BARE: Option<&'static str> = Some("path");

    fn check(&self) -> Result<(), SpecError> {
        match self.path.as_os_str().is_empty() {
            true => Err(SpecError::settings::<Self>("needs a path: file:PATH")),
            false => Ok(()),
        }
    }

    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        self.check()?;
        Ok(Arc::new(FileList::new(&self.path)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use tempfile::TempDir;
    use tokio::time::timeout;

    use peerl_node::ErrorChain;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    struct Fixture {
        directory: TempDir,
        list: FileList,
    }

    impl Fixture {
        fn new(content: &[u8]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("nodes");
            fs::write(&path, content).unwrap();
            Self { directory, list: FileList::new(path) }
        }

        async fn peers(&self) -> Vec<String> {
            self.list.discover().await.unwrap().iter().map(ToString::to_string).collect()
        }

        async fn error(&self) -> String {
            ErrorChain(&self.list.discover().await.unwrap_err()).to_string()
        }

        async fn change(&self) {
            timeout(SOON, self.list.changed()).await.expect("the change is seen");
        }
    }

    #[tokio::test]
    async fn lines_with_comments_and_json() {
        for content in [
            "# all\na@h\n\n  b@h # the second\r\n",
            "\u{feff}b@h\na@h",
            r#"["a@h", "b@h"]"#,
            r#" {"nodes": ["b@h", "a@h"]}"#,
        ] {
            assert_eq!(Fixture::new(content.as_bytes()).peers().await, ["a@h", "b@h"], "{content}");
        }
        assert_eq!(Fixture::new(b"# nobody yet\n").peers().await, [""; 0]);
    }

    #[tokio::test]
    async fn what_is_wrong_is_an_error_never_a_shorter_list() {
        for (content, says) in [
            (&b"a@h\nb\n"[..], "line 2: \"b\""),
            (br#"["a@h", "b"]"#, "\"b\" is not a node"),
            (br#"["a@h", "#, "JSON"),
            (br#"{"peers": []}"#, "nodes"),
            (b"\xff@h", "UTF-8"),
        ] {
            let fixture = Fixture::new(content);
            let error = fixture.error().await;
            assert!(error.contains(says) && error.contains(fixture.list.path.to_str().unwrap()), "{error}");
        }
        let too_long = "a@h\n".repeat((FileList::LONGEST as usize / 4) + 1);
        assert!(Fixture::new(too_long.as_bytes()).error().await.contains("longer than 4 MiB"));
        let error = FileList::new("/").discover().await.unwrap_err();
        assert!(ErrorChain(&error).to_string().contains("regular file"));
    }

    #[tokio::test]
    async fn a_file_that_vanishes_is_an_error_and_is_seen_to_come_back() {
        let fixture = Fixture::new(b"a@h");
        assert_eq!(fixture.peers().await, ["a@h"]);
        fs::remove_file(&fixture.list.path).unwrap();
        fixture.change().await;
        assert!(fixture.error().await.contains("No such file"));
        let still = timeout(3 * LOOK, fixture.list.changed()).await;
        assert!(still.is_err(), "that it is away is told once");
        fs::write(&fixture.list.path, "b@h").unwrap();
        fixture.change().await;
        assert_eq!(fixture.peers().await, ["b@h"]);
    }

    #[tokio::test]
    async fn changes_are_seen_whether_written_renamed_or_swapped_by_a_link() {
        let fixture = Fixture::new(b"a@h");
        let path = fixture.list.path.clone();
        assert_eq!(fixture.peers().await, ["a@h"]);
        assert!(timeout(3 * LOOK, fixture.list.changed()).await.is_err(), "nothing has changed");
        fs::write(&path, "b@h").unwrap();
        fixture.change().await;
        assert_eq!(fixture.peers().await, ["b@h"]);

        let other = fixture.directory.path().join("other");
        fs::write(&other, "c@h").unwrap();
        fs::rename(&other, &path).unwrap();
        fixture.change().await;
        assert_eq!(fixture.peers().await, ["c@h"]);

        // As in a Kubernetes volume: nodes → data/nodes, and data → the current directory.
        let at = |name: &str| fixture.directory.path().join(name);
        for (version, content) in [("v1", "d@h"), ("v2", "e@h")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("nodes"), content).unwrap();
            std::os::unix::fs::symlink(version, at("next")).unwrap();
            fs::rename(at("next"), at("data")).unwrap();
            if version == "v1" {
                fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink("data/nodes", &path).unwrap();
            }
            fixture.change().await;
            assert_eq!(fixture.peers().await, [content]);
        }
    }

    /// Writes the parts in intervals shorter than [`REST`], in simulated time.
    async fn write(path: PathBuf, parts: Vec<&'static str>) {
        let mut file = fs::File::create(path).unwrap();
        for part in parts {
            file.write_all(part.as_bytes()).unwrap();
            sleep(REST / 4).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_written_file_is_waited_for() {
        let fixture = Fixture::new(b"");
        // Each half of a name would be a valid name too.
        let parts = vec!["a@host", "_one\n", "b@ho", "st_two\n"];
        let (_, peers) = tokio::join!(write(fixture.list.path.clone(), parts), fixture.peers());
        assert_eq!(peers, ["a@host_one", "b@host_two"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_written_all_the_time_is_an_error() {
        let fixture = Fixture::new(b"");
        let writer = tokio::spawn(write(fixture.list.path.clone(), vec!["a@h\n"; 10 * ATTEMPTS]));
        assert!(fixture.error().await.contains("keeps changing"));
        writer.abort();
    }
}
