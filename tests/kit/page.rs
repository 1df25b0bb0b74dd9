//! A page of the documentation, executed as by a user: its command blocks, one after the other.

use std::collections::VecDeque;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use peerl_test_support::{Machine, ProcessGuard, peerl_binary};
use tempfile::TempDir;

use super::{path, text};

/// The line above a block that no test runs.
const NOT_RUN: &str = "*Not run by the tests: ";

/// The programs of blocks that no test runs: the tests have none of these, or the block changes the machine.
const NOT_THERE: [&str; 9] =
    ["docker ", "packer ", "terraform ", "systemctl ", "apt ", "rustup ", "dumpcap ", "tshark ", "--pubsub MyApp."];

/// A shell that runs the ```sh blocks of a page in order, with the variables of earlier blocks.
///
/// Changes by root are made in a directory of the page, which replaces `/etc/peerl` and the like.
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

/// IEx in a terminal, as started by a block of a page.
pub(crate) struct Session {
    process: ProcessGuard,
    input: fs::File,
}

impl Session {
    /// Starts the next block of the page, `iex …`, on a machine.
    pub(crate) fn start(page: &mut Page, machine: &Machine) -> Self {
        let input = page.at("iex.input");
        assert!(Command::new("mkfifo").arg(&input).status().unwrap().success());
        let iex = find_program("iex");
        // Open for reading and writing, so that opening does not wait for the other end.
        page.program("iex", &format!("exec 3<>{}; exec {} \"$@\" <&3", input.display(), iex.display()));
        let process = page.start_on(machine);
        let input = fs::File::options().read(true).write(true).open(input).unwrap();
        let session = Self { process, input };
        session.answer("node()", "prompt");
        session
    }

    /// Types an expression, and returns IEx's answer. The text at the end of the answer must not occur twice.
    fn answer(&self, typed: &str, end: &str) -> String {
        let before = self.process.stdout().len();
        (&self.input).write_all(format!("{typed}\nIO.puts(\"end of {end}\")\n").as_bytes()).unwrap();
        let end = self.process.wait_for_line(&format!("end of {end}"), Duration::from_secs(60));
        let printed = self.process.stdout();
        printed[before..].split(&end).next().unwrap().to_owned()
    }

    /// Types the expressions at the prompts of the page's ```elixir blocks, and compares IEx's answers with the text
    /// below: `…` and an empty answer match anything. Returns the number of compared answers.
    pub(crate) fn work_through(&self, page: &Page) -> usize {
        let mut compared = 0;
        for (number, (typed, expected)) in prompts(&page.substituted(&page.text())).into_iter().enumerate() {
            let answer = self.answer(&typed, &format!("answer {number}"));
            if !expected.is_empty() {
                assert!(fits(&squeezed(&answer), &squeezed(&expected)), "{typed}\n{expected}\nis\n{answer}");
                compared += 1;
            }
        }
        compared
    }
}

/// The expression at each prompt of the ```elixir blocks, and the page's answer.
fn prompts(page: &str) -> Vec<(String, String)> {
    let blocks = page.split("```elixir\n").skip(1).filter_map(|rest| rest.split("```").next());
    let exchanges = blocks.flat_map(|block| block.split("iex> ").skip(1)).map(|exchange| {
        let (typed, answer) = exchange.split_once('\n').unwrap_or((exchange, ""));
        (typed.to_owned(), answer.trim().to_owned())
    });
    exchanges.collect()
}

/// Without white space, which depends on the width of the terminal.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Whether the parts of the pattern between `…` are in the text, in their order, and the last one ends an answer.
fn fits(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    pattern.split('…').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

fn find_program(name: &str) -> PathBuf {
    let path_variable = std::env::var_os("PATH").unwrap();
    let mut places = std::env::split_paths(&path_variable).map(|place| place.join(name));
    places.find(|file| file.exists()).unwrap_or_else(|| panic!("{name} is not installed: run scripts/setup-tests"))
}

impl Page {
    /// The blocks of a page of `docs/` that tests run.
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

    /// Replaces a text in the blocks.
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

    /// Replaces a program with a shell script.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let file = self.at("bin").join(name);
        fs::write(&file, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Runs the next block, and returns its output.
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

    /// Runs a script in the same shell, in the place of something that the tests lack.
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

    fn text(&self) -> String {
        text(&format!("docs/{}", self.name))
    }

    fn substituted(&self, text: &str) -> String {
        self.substitutions.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn shell(&self, block: &str) -> Command {
        let block = self.substituted(block);
        let state = self.at("state").display().to_string();
        // A user's shell continues after a failed command; here, it ends.
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

/// The ```sh blocks of a page that tests run, and the others.
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

/// The blocks that no test runs and that have no reason: they name nothing that the tests lack.
pub(crate) fn blocks_without_a_reason(page: &str) -> Vec<usize> {
    let (_, not_run) = blocks(&text(&format!("docs/{page}")));
    let without = not_run.iter().filter(|block| !NOT_THERE.iter().any(|program| block.text.contains(program)));
    without.map(|block| block.line).collect()
}
