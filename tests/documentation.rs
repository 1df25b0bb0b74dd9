//! The documentation agrees with the code: commands, strategies, metrics, paths and links.

use std::path::Path;

use peerl_test_support::peerl_command;

#[test]
fn every_command_is_in_the_reference() {
    let help = peerl_command().arg("help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // Further indentation continues the previous line.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 8, "{help}");
    let reference = include_str!("../docs/cli.md");
    for command in commands {
        assert!(reference.contains(&format!("`peerl {command}")), "docs/cli.md has no line for `peerl {command}`");
    }
}

#[test]
fn every_page_of_the_book_is_there() {
    let summary = include_str!("../docs/SUMMARY.md");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pages: Vec<&str> = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(pages.len() > 5);
    for page in pages {
        assert!(docs.join(page).exists(), "docs/SUMMARY.md names {page}, which is not there");
    }
}

#[test]
fn every_path_in_the_architecture_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["docs/architecture.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let names = text.split('`').skip(1).step_by(2).filter(|name| name.contains('/') && !name.contains(['*', ' ']));
        let paths: Vec<&str> = names.filter(|name| name.starts_with("crates/") || name.starts_with("tests/")).collect();
        assert!(!paths.is_empty(), "{page}");
        for path in paths.iter().filter(|path| !path.contains("NAME")).flat_map(|path| alternatives(path)) {
            assert!(root.join(&path).exists(), "{page} names {path}, which does not exist");
        }
    }
}

/// The paths of `a/{b,c}.rs`.
fn alternatives(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (names, after))) => names.split(',').map(|name| format!("{before}{name}{after}")).collect(),
        None => vec![path.to_owned()],
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let book = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = book.chain(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    let mut links = 0;
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(file.exists(), "{} links to {target}, which does not exist", page.display());
            let has_heading =
                heading.is_empty() || headings(&std::fs::read_to_string(&file).unwrap()).contains(&heading.to_owned());
            assert!(has_heading, "{} links to {target}, a heading that does not exist", page.display());
            links += 1;
        }
    }
    assert!(links > 50, "{links}");
}

/// The anchors of a page's headings.
fn headings(page: &str) -> Vec<String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix('#'));
    let titles = lines.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let letters = |title: String| {
        title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>()
    };
    titles.map(|title| letters(title).replace(' ', "-")).collect()
}

/// Each claim of the page about security names tests that exist.
#[test]
fn every_claim_about_security_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let names = page.split('`').skip(1).step_by(2).filter_map(|name| name.split_once("::"));
    let places = [
        "tests",
        "crates/cli/tests",
        "crates/epmd/tests",
        "crates/epmd/src",
        "crates/term/tests",
        "crates/term/src/text/erlang",
        "crates/cli/src",
        "crates/otp/src/global",
        "crates/otp/src/system",
        "crates/otp/src",
    ];
    let mut count = 0;
    for (file, test) in names {
        let mut texts = places.iter().flat_map(|place| {
            let topics = std::fs::read_dir(root.join(place)).unwrap().map(|entry| entry.unwrap().path());
            let directories = topics.filter(|path| path.is_dir()).chain([root.join(place)]);
            directories.filter_map(|directory| std::fs::read_to_string(directory.join(format!("{file}.rs"))).ok())
        });
        let function = format!("fn {test}()");
        let is_test = texts.any(|text| text.split("#[").any(|part| part.contains("test") && part.contains(&function)));
        assert!(is_test, "docs/security.md names {file}::{test}, which is no test");
        count += 1;
    }
    assert!(count > 30, "{count}");
}

#[test]
fn every_strategy_is_in_the_table() {
    let page = include_str!("../docs/discovery.md");
    for strategy in peerl::discovery::Spec::STRATEGIES {
        let rows = page.lines().filter(|line| line.starts_with(&format!("| `{strategy}")));
        let described = rows.filter(|row| row.contains(&format!("{{ strategy = \"{strategy}\""))).count();
        assert_eq!(described, 1, "docs/discovery.md has no line for {strategy}");
    }
}

#[test]
fn every_metric_is_explained() {
    let pages = [include_str!("../docs/discovery.md"), include_str!("../docs/admin-endpoint.md")].concat();
    let sources = [
        include_str!("../crates/discovery/src/mesh_metrics.rs"),
        include_str!("../crates/cli/src/admin/routes.rs"),
        include_str!("../crates/cli/src/admin/member.rs"),
        include_str!("../crates/node/src/metrics.rs"),
        include_str!("../crates/cli/src/sidecar/app.rs"),
    ]
    .concat();
    let figures: Vec<&str> =
        sources.split('"').filter(|text| text.starts_with("peerl_") && !text.contains(' ')).collect();
    assert!(figures.len() > 20);
    for figure in figures {
        assert!(pages.contains(&format!("| `{figure}` |")), "{figure} is in neither page");
    }
}

/// The first command of the README builds without the SDKs of AWS; the installed program has them.
#[test]
fn a_newcomer_builds_without_the_sdks_of_aws() {
    let readme = include_str!("../README.md");
    let first = readme.split("```sh\n").nth(1).unwrap().lines().next().unwrap();
    assert_eq!(first, "cargo run --no-default-features -- demo");
    assert!(readme.contains("\ncargo install --locked --path crates/cli\n"));
    let packages = |features: &[&str]| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = std::process::Command::new(cargo);
        command.args([
            "tree",
            "--locked",
            "--offline",
            "--package",
            "peerl-cli",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ]);
        let output = command.args(features).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(packages(&[]).contains("aws-sdk-ec2 "));
    let without = packages(&["--no-default-features"]);
    assert!(without.contains("peerl-node ") && !without.contains("aws-"), "{without}");
}

/// Each item on the page about observing is answered as the page says, and each item of a process is on the page.
#[tokio::test]
async fn every_observed_item_is_explained() {
    use peerl::{Atom, Epmd, Mfa, Pid, Term};

    let page = include_str!("../docs/observing.md");
    let node = peerl::node("observed@127.0.0.1").cookie("c").epmd(Epmd::Unregistered).start().await.unwrap();
    let pid: Pid = node.whereis("rex").unwrap();
    let value = async |function: &str, name: &str| {
        let item = Term::Atom(Atom::new(name).unwrap());
        let arguments = match function {
            "process_info" => vec![Term::from(pid.clone()), item],
            _ => vec![item],
        };
        let mfa = Mfa::with_terms(Atom::from_static("erlang"), Atom::new(function).unwrap(), arguments);
        let value = node.call::<Term>(node.name(), mfa).await;
        let value = value.unwrap_or_else(|error| panic!("{function}: {name} is refused: {error}"));
        match (function, value) {
            ("process_info", Term::Tuple(pair)) => pair[1].clone(),
            (_, value) => value,
        }
    };
    let mut explained = Vec::new();
    let mut function = "";
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (items, meaning) = (cells.next().unwrap(), cells.next().unwrap());
        if let Some(named) = ["process_info", "memory", "statistics", "system_info"]
            .into_iter()
            .find(|name| items.starts_with(&format!("`{name}`")) || items.starts_with(&format!("`erlang:{name}`")))
        {
            function = named;
        } else if !function.is_empty() {
            for item in items.split('`').skip(1).step_by(2) {
                let value = value(function, item).await;
                let (is_unknown, is_empty) = (value == Term::atom("undefined"), value == Term::nil());
                let zeros =
                    [Term::from(0), Term::tuple([0, 0].map(Term::from)), Term::tuple([0, 0, 0].map(Term::from))];
                match meaning {
                    _ if meaning.starts_with("`undefined`") => assert!(is_unknown, "{item}: {value:?}"),
                    _ if meaning.starts_with("`[]`") => assert!(is_empty, "{item}: {value:?}"),
                    _ if meaning.starts_with("0: ") => assert!(zeros.contains(&value), "{item}: {value:?}"),
                    _ => assert!(!is_unknown || meaning.contains("`undefined`"), "{item} is unknown"),
                }
                explained.push((function, item));
            }
        }
    }
    assert!(explained.len() > 100, "{}", explained.len());
    let source = include_str!("../crates/otp/src/functions/process.rs");
    let items = source.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    for item in items {
        assert!(explained.contains(&("process_info", item)), "docs/observing.md does not explain {item}");
    }
}

/// The numbers in the table of limits are those of the code, and every number in it is compared.
#[test]
fn every_limit_is_that_of_the_code() {
    use peerl::Limits;
    use peerl::discovery::Reconciler;
    use peerl::discovery::strategy::FileList;
    use peerl::otp::global::Global;
    use peerl::otp::pg::Scope;
    use peerl::proto::admission::Rejections;
    use peerl::proto::channel::Fragments;
    use peerl::proto::connection::LARGE;
    use peerl::proto::handshake::SetupTimer;

    let seconds = |time: std::time::Duration| format!("{} s", time.as_secs());
    let minutes = |time: std::time::Duration| format!("{} min", time.as_secs() / 60);
    let kibibytes = |bytes: usize| format!("{} KiB", bytes >> 10);
    let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
    let epmd = peerl::epmd::Config::default();
    let monitors = [Limits::MONITOR, Limits::LINK].map(|bytes| bytes.to_string());
    let numbers: [(&str, Vec<String>); 18] = [
        ("a connection: its tasks, buffers and cache of atoms", vec![kibibytes(Limits::CONNECTION)]),
        ("pending handshakes", vec![Limits::HANDSHAKES.to_string(), seconds(SetupTimer::DEFAULT_STEP)]),
        ("unanswered connections to the EPMD", vec![epmd.connections.to_string(), seconds(epmd.idle)]),
        (
            "log lines about rejected connections",
            vec![
                Rejections::KNOWN.to_string(),
                seconds(Rejections::FIRST_INTERVAL),
                minutes(Rejections::LAST_INTERVAL),
            ],
        ),
        ("large frames, messages in fragments, messages above", vec![kibibytes(LARGE)]),
        ("messages above 64 KiB that wait to be written", vec![kibibytes(Fragments::LARGE)]),
        ("calls of a peer", vec![kibibytes(Limits::CALL), format!("{} bytes", Limits::ARGUMENT), kibibytes(LARGE)]),
        ("bytes queued for a peer", vec![mebibytes(Limits::BUSY as u64)]),
        ("monitors and links of a peer", vec![monitors[0].clone(), format!("{} bytes", monitors[1])]),
        ("unlinks that a peer does not acknowledge", vec![format!("{} bytes", monitors[1])]),
        ("calls that were given up before the peer has spawned their process", vec![Limits::ABANDONED.to_string()]),
        ("scope processes of `pg` of a node", vec![Scope::PEERS.to_string(), kibibytes(Scope::PEER)]),
        ("groups of `pg` of a node", vec![format!("{} bytes", Scope::MEMBER), Scope::GROUP.to_string()]),
        (
            "processes of this node that another has join",
            vec![format!("{} bytes", Scope::MEMBER), Scope::GROUP.to_string()],
        ),
        ("names of `global`", vec![format!("{} bytes", Global::NAME)]),
        ("locks of `global`", vec![format!("{} bytes", Global::LOCK_HOLDER)]),
        ("the file of `file:`", vec![mebibytes(FileList::LONGEST)]),
        ("a poll", vec![seconds(Reconciler::<peerl::Node>::POLL_TIMEOUT)]),
    ];
    let page = include_str!("../docs/architecture.md");
    let table = page.split("\n## Limits\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    for (what, _) in &numbers {
        assert!(rows.iter().any(|row| row.starts_with(&format!("| {what}"))), "the table has no row for {what}");
    }
    for row in rows {
        let what = row.split(" | ").next().unwrap().trim_start_matches("| ");
        let expected = numbers.iter().find(|(of, _)| what.starts_with(of)).map_or(&[][..], |(_, numbers)| numbers);
        assert_eq!(numbers_in(row), expected, "{what}");
    }
}

/// The numbers in a text, each with its unit if it has one; those in names of the code are none.
fn numbers_in(text: &str) -> Vec<String> {
    let prose: String = text.split('`').step_by(2).collect();
    let words: Vec<&str> = prose.split_whitespace().map(|word| word.trim_end_matches([',', ';', ':', '.'])).collect();
    let number = |word: &str| {
        let digits = word.replace(',', "");
        (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
    };
    let found = words.iter().enumerate().filter_map(|(index, word)| {
        let number = number(word)?;
        let unit = words.get(index + 1).filter(|unit| ["KiB", "MiB", "GiB", "bytes", "s", "min"].contains(unit));
        Some(unit.map_or(number.clone(), |unit| format!("{number} {unit}")))
    });
    found.collect()
}
