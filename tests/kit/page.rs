//! A page of the documentation as a user works through it: its command blocks, pasted one after the other.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use peerl_test_support::{Machine, ProcessGuard, peerl_binary};
use tempfile::TempDir;

use super::{path, text};

/// What is said in the line above a block that no test runs.
const NOT_RUN: &str = "*Not run by the tests: ";

/// What blocks that no test runs are about: the stand-ins have none of these, or the block changes the machine.
const NOT_THERE: [&str; 8] =
    ["docker ", "packer ", "terraform ", "systemctl ", "apt ", "rustup ", "dumpcap ", "tshark "];

/// A shell in which the ```sh blocks of a page run in their order, with the variables of those before.
///
/// What blocks do as root stays in a directory of the page's own, which is put in the place of `/etc/peerl` and the
/// like.
pub(crate) struct Page {
    name: String,
    blocks: VecDeque<Block>,
    directory: TempDir,
    substitutions: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

struct Block {
    line: usize,
    text: String,
}

impl Page {
    /// The blocks of a page of `docs/` that are to be run.
    pub(crate) fn open(name: &str) -> Self {
        let page = Self {
            name: name.to_owned(),
            blocks: blocks(&text(&format!("docs/{name}"))).0.into(),
            directory: tempfile::tempdir().unwrap(),
            substitutions: Vec::new(),
            environment: Vec::new(),
        };
        fs::create_dir(page.at("bin")).unwrap();
        page.program("sudo", "exec \"$@\"");
        page.program("peerl", &format!("exec {} \"$@\"", peerl_binary().display()));
        page
    }

    /// Has blocks run with another text in the place of one.
    pub(crate) fn replace(&mut self, from: &str, to: &str) {
        self.substitutions.push((from.to_owned(), to.to_owned()));
    }

    /// Sets a variable of the environment.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// A path in the page's directory.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a shell script into the place of a program.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let file = self.at("bin").join(name);
        fs::write(&file, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Runs the next block, and gives what it has printed.
    pub(crate) fn run(&mut self) -> String {
        let block = self.next();
        self.finished(&block.text, block.line, None)
    }

    /// Runs the next block on a machine.
    pub(crate) fn run_on(&mut self, machine: &Machine) -> String {
        let block = self.next();
        self.finished(&block.text, block.line, Some(machine))
    }

    /// Starts the next block, which does not end by itself, on a machine.
    pub(crate) fn start_on(&mut self, machine: &Machine) -> ProcessGuard {
        let block = self.next();
        ProcessGuard::spawn(&mut machine.command(self.shell(&block.text)))
    }

    /// Runs what is not on the page but done by something that the tests do not have, in the same shell.
    pub(crate) fn meanwhile(&self, script: &str) -> String {
        self.finished(script, 0, None)
    }

    /// The same on a machine.
    pub(crate) fn meanwhile_on(&self, machine: &Machine, script: &str) -> String {
        self.finished(script, 0, Some(machine))
    }

    /// The text of the next block.
    pub(crate) fn peek(&self) -> &str {
        &self.blocks.front().expect("the page has another block").text
    }

    /// All blocks have been run.
    pub(crate) fn end(self) {
        let left: Vec<usize> = self.blocks.iter().map(|block| block.line).collect();
        assert!(left.is_empty(), "docs/{}: nothing runs the blocks of lines {left:?}", self.name);
    }

    fn next(&mut self) -> Block {
        self.blocks.pop_front().unwrap_or_else(|| panic!("docs/{} has no more blocks", self.name))
    }

    fn finished(&self, block: &str, line: usize, machine: Option<&Machine>) -> String {
        let command = self.shell(block);
        let mut command = match machine {
            Some(machine) => machine.command(command),
            None => command,
        };
        let output = command.output().unwrap();
        let (printed, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success(),
            "docs/{}, line {line}: {}\n{block}\n{printed}\n{complaints}",
            self.name,
            output.status
        );
        printed.into_owned()
    }

    fn shell(&self, block: &str) -> Command {
        let block = self.substitutions.iter().fold(block.to_owned(), |block, (from, to)| block.replace(from, to));
        let state = self.at("state").display().to_string();
        // A user's shell goes on after a command that failed; here, it is the end.
        let script = format!("set -euo pipefail\nset -a\n[ ! -e {state} ] || . {state}\n{block}\nexport -p >{state}\n");
        let mut command = Command::new("bash");
        let path_variable = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap());
        command.args(["-c", &script]).current_dir(path("")).env("PATH", path_variable);
        for name in ["PEERL_BIN", "PEERL_OTP_CACHE", "PEERL_OTP_MATRIX"] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The ```sh blocks of a page that tests run, and those that they do not.
fn blocks(page: &str) -> (Vec<Block>, Vec<Block>) {
    let (mut run, mut not_run) = (Vec::new(), Vec::new());
    let mut note = "";
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line == "```sh" {
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            let text = inside.collect::<Vec<_>>().join("\n");
            let block = Block { line: number + 2, text };
            if note.starts_with(NOT_RUN) { &mut not_run } else { &mut run }.push(block);
        }
        if !line.is_empty() {
            note = line;
        }
    }
    (run, not_run)
}

/// The how-to pages.
pub(crate) fn how_to_pages() -> Vec<String> {
    let names = fs::read_dir(path("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> = names.filter(|name| name.starts_with("how-to-")).collect();
    pages.sort();
    pages
}

/// Whether a page has blocks that tests run.
pub(crate) fn has_blocks_to_run(page: &str) -> bool {
    !blocks(&text(&format!("docs/{page}"))).0.is_empty()
}

/// What no test runs has its reason: something is named in it that the tests do not have.
pub(crate) fn blocks_without_a_reason(page: &str) -> Vec<usize> {
    let (_, not_run) = blocks(&text(&format!("docs/{page}")));
    let without = not_run.iter().filter(|block| !NOT_THERE.iter().any(|program| block.text.contains(program)));
    without.map(|block| block.line).collect()
}
