//! The image of `deploy/docker`: its build context, without the ignored files, has everything that the build needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::kit::{path, text};
use peerl_test_support::peerl_binary;

/// The patterns of an ignore file. The last one that matches a file or a directory above it decides.
struct IgnoreFile {
    patterns: Vec<(String, Verdict)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Leave,
    Take,
}

impl IgnoreFile {
    fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let patterns = lines.map(|line| {
            let (pattern, verdict) = match line.strip_prefix('!') {
                Some(pattern) => (pattern, Verdict::Take),
                None => (line, Verdict::Leave),
            };
            (pattern.trim().trim_matches('/').to_owned(), verdict)
        });
        Self { patterns: patterns.collect() }
    }

    fn takes(&self, file: &str) -> bool {
        let decided = self.patterns.iter().rev().find(|(pattern, _)| matches_with_parents(pattern, file));
        decided.is_none_or(|(_, verdict)| *verdict == Verdict::Take)
    }

    /// A directory with no included files need not be walked.
    fn takes_a_part_of(&self, directory: &str) -> bool {
        let begins = format!("{directory}/");
        self.takes(directory)
            || self.patterns.iter().any(|(it, verdict)| *verdict == Verdict::Take && it.starts_with(&begins))
    }
}

fn matches_with_parents(pattern: &str, file: &str) -> bool {
    let ends = file.match_indices('/').map(|(end, _)| end).chain([file.len()]);
    ends.into_iter()
        .any(|end| matches(&pattern.split('/').collect::<Vec<_>>(), &file[..end].split('/').collect::<Vec<_>>()))
}

fn matches(pattern: &[&str], file: &[&str]) -> bool {
    match (pattern, file) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            matches(rest, file) || file.split_first().is_some_and(|(_, file)| matches(pattern, file))
        }
        ([first, rest @ ..], [name, file @ ..]) => matches_name(first, name) && matches(rest, file),
        _ => false,
    }
}

/// `*` is any number of characters of a name.
fn matches_name(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches_name(after, &rest[at..]))
        }),
    }
}

/// The files that are sent to the builder, by their paths in the project.
fn context() -> BTreeSet<String> {
    let ignore = IgnoreFile::parse(&text("deploy/docker/Dockerfile.dockerignore"));
    let mut files = BTreeSet::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(path("").join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let relative = directory.join(entry.file_name());
            let name = relative.to_str().unwrap().to_owned();
            match entry.file_type().unwrap().is_dir() {
                true if ignore.takes_a_part_of(&name) => directories.push(relative),
                false if ignore.takes(&name) => {
                    files.insert(name);
                }
                _ => {}
            }
        }
    }
    files
}

/// Cargo reads all manifests of the workspace, and the lock file, as it does before it builds for this platform.
fn resolved(workspace: &Path) -> Output {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--locked", "--offline", "--format-version", "1"]).current_dir(workspace);
    command.args(["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)]);
    command.output().unwrap()
}

#[test]
fn the_build_context_is_a_workspace_that_cargo_takes() {
    let directory = tempfile::tempdir().unwrap();
    let files = context();
    assert!(!files.iter().any(|file| file.starts_with("target/") || file.starts_with(".git/")));
    for file in &files {
        let copy = directory.path().join(file);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(path(file), copy).unwrap();
    }
    let output = resolved(directory.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // As without a member.
    std::fs::remove_dir_all(directory.path().join("tests/aws")).unwrap();
    assert!(!resolved(directory.path()).status.success(), "cargo does not need all members of the workspace");
}

#[test]
fn the_build_context_holds_every_file_that_the_binary_is_made_of() {
    // Beside the binary, cargo lists its source files.
    let list = peerl_binary().with_extension("d");
    let list = std::fs::read_to_string(&list).unwrap_or_else(|error| panic!("{}: {error}", list.display()));
    let (_, sources) = list.split_once(": ").unwrap();
    let sources: Vec<&str> = sources.split_whitespace().collect();
    let root = sources.iter().find_map(|source| source.strip_suffix("crates/cli/src/main.rs")).unwrap();
    let context = context();
    let of_workspace: Vec<&str> = sources.iter().filter_map(|source| source.strip_prefix(root)).collect();
    assert!(of_workspace.len() > 100, "{list}");
    // The binary may be older than some files of the tree.
    for source in of_workspace.into_iter().filter(|source| path(source).exists()) {
        assert!(context.contains(source), "the image is built without {source}");
    }
}

#[test]
fn the_build_context_holds_what_the_image_copies() {
    let dockerfile = text("deploy/docker/Dockerfile");
    let context = context();
    let copied: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--from"))
        .flat_map(|line| line.split_whitespace().rev().skip(1))
        .filter(|source| *source != ".")
        .collect();
    assert!(!copied.is_empty());
    for source in copied {
        assert!(context.contains(source), "{source} is not in the context");
    }
    // The compiler is the one that the workspace requires, and its output exists.
    let manifest = text("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"')).unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{version}-")), "{dockerfile}");
    assert!(dockerfile.contains("cargo build --locked --release --package peerl-cli --bin peerl"), "{dockerfile}");
}

#[test]
fn the_last_pattern_that_matches_decides() {
    let ignore = IgnoreFile::parse("*\n# comment\n!src\n!LICENSE-*\n!tests/support\nsrc/*.tmp\n**/*.orig\n");
    for (file, taken) in [
        ("src/lib.rs", true),
        ("src/deep/er.rs", true),
        ("src/x.tmp", false),
        ("src/deep/er.rs.orig", false),
        ("LICENSE-MIT", true),
        ("tests/support/src/lib.rs", true),
        ("tests/aws/Cargo.toml", false),
        ("target/debug/peerl", false),
    ] {
        assert_eq!(ignore.takes(file), taken, "{file}");
    }
    assert!(ignore.takes_a_part_of("tests") && !ignore.takes_a_part_of("target"));
}
