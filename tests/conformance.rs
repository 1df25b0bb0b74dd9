//! `docs/conformance.md`: each line of the checklist has tests, and the page says what these have shown.
//!
//! A test calls `conformance::holds(otp, [7, 8])` after it has shown that lines 7 and 8 hold with a release. The calls
//! in the sources tell which test shows what. In a run whose results are wanted, each call leaves a record; after all
//! tests have passed, the records are compared with the page.

mod checklist;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use checklist::{Line, Proof, SECTIONS};
use peerl_test_support::conformance::Record;
use peerl_test_support::{Otp, matrix};

const RELEASES: [Otp; 3] = [Otp::V25, Otp::V27, Otp::V29];

const INTRODUCTION: &str = "# Conformance

What a node of the BEAM expects of its peers, line by line, and what the tests of peerl have shown with real nodes of OTP 25,
27 and 29. This page is made by the tests: `scripts/test` fails if a line has no test, or if a test that the page
names has not passed with a release for which the page says so (`tests/conformance.rs`).

- **passed**: a test has shown it, with real nodes of this release.
- **–**: this release has no such thing.
- **by hand**: a program shows it that takes too long for each run; the page names its command.
";

const OTHER_RELEASES: &str = "
## OTP 26 and 28

No test runs with these releases. They differ from their neighbours in what a peer sees as follows:

- OTP 26 requires `V4_NC` and `UNLINK_ID` of its peers, and ends the connection at the old `UNLINK`, as OTP 27 does. All else is as
  in OTP 25 and 27.
- OTP 28 sends to aliases in the form of OTP 29 (`ALTACT_SIG`), and has priority signals, as OTP 29 does. It has no native
  records, and takes none.
";

/// A call of `conformance::holds` in the sources.
#[derive(Debug)]
struct Claim {
    file: String,
    /// The line of the file.
    place: u32,
    test: String,
    /// The numbers of the checklist.
    lines: Vec<u8>,
}

impl Claim {
    /// The test as `cargo nextest run` names it, without its package.
    fn name(&self) -> String {
        let stem = Path::new(&self.file).file_stem().and_then(|stem| stem.to_str()).unwrap();
        format!("{stem}::{}", self.test)
    }
}

fn lines() -> impl Iterator<Item = &'static Line> {
    SECTIONS.iter().flat_map(|(_, lines)| *lines)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All claims of the tests of the workspace, in the order of files and places.
fn claims() -> Vec<Claim> {
    let crates = std::fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path().join("tests"));
    let directories = crates.chain([root().join("tests")]).filter(|directory| directory.exists());
    let entries = |directory: PathBuf| std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    // Files of a topic are in a directory with its `main.rs`.
    let topic = |path: PathBuf| if path.join("main.rs").exists() { entries(path).collect() } else { vec![path] };
    let mut files: Vec<PathBuf> = directories.flat_map(entries).flat_map(topic).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.retain(|file| *file != root().join(file!()));
    files.sort_by(|one, two| one.file_name().cmp(&two.file_name()));
    files.iter().flat_map(|file| claims_of(file)).collect()
}

fn claims_of(path: &Path) -> Vec<Claim> {
    let file = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let (mut claims, mut function, mut is_test, mut attributed) = (Vec::new(), "", false, false);
    for (index, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("#[test]") || code.starts_with("#[tokio::test") {
            attributed = true;
        } else if !line.starts_with(' ')
            && let Some((_, rest)) = line.split_once("fn ")
        {
            (function, is_test) = (rest.split(['(', '<']).next().unwrap(), std::mem::take(&mut attributed));
        }
        let Some((_, arguments)) = code.split_once("conformance::holds(") else { continue };
        assert!(is_test, "{file}: {function} is no test, and claims that lines of the checklist hold");
        let numbers = arguments.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        let (numbers, _) = numbers.unwrap_or_else(|| panic!("{file}:{}: the numbers are not on one line", index + 1));
        let lines = numbers.split(',').map(|number| number.trim().parse().unwrap()).collect();
        claims.push(Claim { file: file.clone(), place: index as u32 + 1, test: function.to_owned(), lines });
    }
    claims
}

/// The tests that show each line of the checklist.
fn tests(claims: &[Claim]) -> BTreeMap<u8, Vec<&Claim>> {
    let mut tests = BTreeMap::<u8, Vec<&Claim>>::new();
    for claim in claims {
        for &line in &claim.lines {
            tests.entry(line).or_default().push(claim);
        }
    }
    tests
}

/// The page, with the result of each line and release.
fn page(claims: &[Claim], result: impl Fn(&Line, Otp) -> &'static str) -> String {
    let tests = tests(claims);
    let mut page = INTRODUCTION.to_owned();
    for (title, lines) in SECTIONS {
        write!(page, "\n## {title}\n\n| | | OTP 25 | OTP 27 | OTP 29 | shown by |\n|---|---|---|---|---|---|\n")
            .unwrap();
        for line in *lines {
            let results = RELEASES.map(|otp| result(line, otp));
            let mut names: Vec<String> =
                tests.get(&line.number).into_iter().flatten().map(|claim| format!("`{}`", claim.name())).collect();
            names.dedup();
            if let Proof::ByHand(how) | Proof::TestsInShort(how) = line.proof {
                names.push(how.to_owned());
            }
            let [v25, v27, v29] = results;
            let (number, text, names) = (line.number, line.text, names.join(", "));
            writeln!(page, "| {number} | {text} | {v25} | {v27} | {v29} | {names} |").unwrap();
        }
    }
    page + OTHER_RELEASES
}

/// The result if all tests pass.
fn expected(line: &Line, otp: Otp) -> &'static str {
    match line.proof {
        Proof::Tests | Proof::TestsInShort(_) => "passed",
        Proof::TestsFrom(first) if otp.number() < first => "–",
        Proof::TestsFrom(_) => "passed",
        Proof::ByHand(_) => "by hand",
    }
}

/// Compares a page with the one in the book; with `PEERL_WRITE=1` it becomes that one.
fn assert_is_in_the_book(page: &str) {
    let path = root().join("docs/conformance.md");
    if std::env::var("PEERL_WRITE").as_deref() == Ok("1") {
        std::fs::write(&path, page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = there.lines().zip(page.lines()).find(|(there, here)| there != here);
    assert!(
        there == page,
        "docs/conformance.md is not what the tests give: {differing:?}; run PEERL_WRITE=1 cargo test --test conformance"
    );
}

#[test]
fn lines_are_numbered_and_have_tests() {
    let numbers: Vec<u8> = lines().map(|line| line.number).collect();
    assert!(numbers.iter().copied().eq(1..=71), "{numbers:?}");
    let claims = claims();
    let tests = tests(&claims);
    for line in lines() {
        let is_tested = matches!(line.proof, Proof::Tests | Proof::TestsInShort(_) | Proof::TestsFrom(_));
        assert_eq!(tests.contains_key(&line.number), is_tested, "the tests of line {}: {}", line.number, line.text);
    }
    let unknown = tests.keys().find(|number| !numbers.contains(number));
    assert_eq!(unknown, None, "a test names a line that the checklist does not have");
}

#[test]
fn the_page_says_what_the_tests_claim() {
    assert_is_in_the_book(&page(&claims(), expected));
}

/// After a run with `CONFORMANCE_RECORDS`: every test that claims something has been there, with all releases of the run.
#[ignore = "run by scripts/test after all other tests"]
#[test]
fn the_page_says_what_the_run_has_shown() {
    let records = Record::of_run();
    let (claims, releases) = (claims(), matrix());
    // A line of a later release is not shown by a run without it.
    let is_of_run = |number: &u8| {
        let first = lines().find(|line| line.number == *number).and_then(|line| match line.proof {
            Proof::TestsFrom(first) => Some(first),
            _ => None,
        });
        releases.iter().any(|otp| first.is_none_or(|first| otp.number() >= first))
    };
    for claim in claims.iter().filter(|claim| claim.lines.iter().any(is_of_run)) {
        let was_reached = records.iter().any(|record| (&record.file, record.place) == (&claim.file, claim.place));
        assert!(was_reached, "{} claims {:?}, and has not run", claim.name(), claim.lines);
    }
    let shown = |line: &Line, otp: Otp| {
        let found = records.iter().any(|record| (record.line, record.otp) == (line.number, otp.number()));
        match line.proof {
            Proof::Tests | Proof::TestsInShort(_) | Proof::TestsFrom(_) if found => "passed",
            // A run with OTP 25 alone says nothing about the others.
            _ if !releases.contains(&otp) => expected(line, otp),
            Proof::Tests | Proof::TestsInShort(_) => "not shown",
            Proof::TestsFrom(first) if otp.number() >= first => "not shown",
            _ => expected(line, otp),
        }
    };
    assert_is_in_the_book(&page(&claims, shown));
}
