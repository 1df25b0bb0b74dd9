//! The documentation names what there is: each command and each function that a worker serves has its line.

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
        // What is indented further is the rest of the line before.
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
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pages: Vec<&str> = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(pages.len() > 5);
    for page in pages {
        assert!(docs.join(page).exists(), "docs/SUMMARY.md names {page}, which is not there");
    }
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
fn every_figure_is_explained() {
    let pages = [include_str!("../docs/discovery.md"), include_str!("../docs/control-door.md")].concat();
    let sources = [
        include_str!("../crates/discovery/src/mesh_metrics.rs"),
        include_str!("../crates/cli/src/control_door/answer.rs"),
        include_str!("../crates/cli/src/control_door/member.rs"),
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
