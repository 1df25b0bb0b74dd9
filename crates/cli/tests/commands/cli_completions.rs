//! The completions in the shells themselves: they parse the scripts and offer the right words.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::cluster::{A_WHILE, Cluster, Ran, run};
use peerl_test_support::peerl_command;

/// A cluster with nodes to complete, and the scripts of all shells.
struct Terminal {
    cluster: Cluster,
    path: String,
}

impl Terminal {
    fn open() -> Self {
        let cluster = Cluster::start();
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = cluster.run(&["completions", shell]).ok();
            cluster.write(&format!("peerl.{shell}"), script);
        }
        let binary = peerl_command().get_program().to_owned();
        let directory = Path::new(&binary).parent().unwrap().display().to_string();
        let path = format!("{directory}:{}", std::env::var("PATH").unwrap());
        Self { cluster, path }
    }

    fn shell(&self, shell: &str, arguments: &[&str]) -> Ran {
        let as_peerl = self.cluster.command(&[]);
        let mut command = Command::new(shell);
        command.args(arguments).current_dir(self.cluster.home.path()).env("PATH", &self.path);
        for (name, value) in as_peerl.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            command.env(name, value);
        }
        run(command)
    }

    /// What a shell offers at the end of a line.
    fn offered(&self, shell: &str, line: &str) -> Vec<String> {
        let bash = "source ./peerl.bash
            line=$1; COMP_LINE=$line; COMP_POINT=${#line}; COMP_TYPE=9
            # As readline divides it: also at @ and :, outside of quotes.
            mapfile -t COMP_WORDS < <(sed -E 's/ +/\\n/g; s/([@:]+)/\\n\\1\\n/g' <<<\"$line\" | sed '/^$/d')
            case $line in *[' @:']) COMP_WORDS+=('') ;; esac
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _peerl peerl \"${COMP_WORDS[COMP_CWORD]}\" ''
            printf '%s\\n' \"${COMPREPLY[@]}\"";
        // The zsh function passes its results to `_describe`, which prints them here.
        let zsh = "compdef() { :; }
            _describe() { local -a shown; shown=(\"${(@P)@[-1]}\"); print -rl -- ${shown%%:*} }
            source ./peerl.zsh
            words=(${(z)1}); [[ $1 == *' ' ]] && words+=('')
            CURRENT=$#words; _clap_dynamic_completer_peerl";
        let fish = "source ./peerl.fish; complete --do-complete $argv[1]";
        let ran = match shell {
            "bash" => self.shell("bash", &["--norc", "-c", bash, "bash", line]),
            "zsh" => self.shell("zsh", &["-f", "-c", zsh, "zsh", line]),
            _ => self.shell("fish", &["--no-config", "-c", fish, line]),
        };
        assert!(ran.err.is_empty(), "{shell}, {line}: {ran:?}");
        let out = ran.ok();
        let words = out.lines().map(|line| line.split('\t').next().unwrap_or_default().trim_end());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

#[test]
fn the_shells_can_read_them() {
    let terminal = Terminal::open();
    for (shell, arguments) in [
        ("bash", &["-n", "peerl.bash"][..]),
        ("zsh", &["-n", "peerl.zsh"]),
        ("fish", &["--no-execute", "peerl.fish"]),
        // fish detects some errors only when it executes a script.
        ("fish", &["--no-config", "-c", "source ./peerl.fish"]),
    ] {
        let ran = terminal.shell(shell, arguments);
        assert!(ran.err.is_empty(), "{shell}: {ran:?}");
        ran.ok();
    }
}

#[test]
fn commands_and_options_are_offered() {
    let terminal = Terminal::open();
    for shell in SHELLS {
        assert_eq!(terminal.offered(shell, "peerl checks"), ["checksum"], "{shell}");
        let formats = terminal.offered(shell, "peerl names --format j");
        assert_eq!(formats, ["json", "jsonl"], "{shell}");
        let options = terminal.offered(shell, "peerl pmap 'erlang:abs(_)' --retr");
        assert_eq!(options, ["--retries", "--retry-failed"], "{shell}");
        assert_eq!(terminal.offered(shell, "peerl pmap x --items-format er"), ["erlang"], "{shell}");
    }
}

#[test]
fn nodes_are_those_that_epmd_knows() {
    let terminal = Terminal::open();
    let (_one, one) = terminal.cluster.worker(&[]);
    let (_two, two) = terminal.cluster.worker(&[]);
    let both = |mut nodes: Vec<String>| {
        nodes.retain(|node| node.ends_with("@127.0.0.1"));
        nodes.sort();
        nodes
    };
    let mut expected = [one.clone(), two];
    expected.sort();
    for shell in SHELLS {
        for line in ["peerl call ", "peerl ping w", "peerl nodes ", "peerl checksum --node ", "peerl sidecar --node w_"]
        {
            // A completion waits for EPMD for less than a second.
            let end = Instant::now() + A_WHILE;
            while both(terminal.offered(shell, line)) != expected {
                assert!(Instant::now() < end, "{shell}: {line}");
            }
        }
        let (name, _) = one.split_once('@').unwrap();
        let rest = terminal.offered(shell, &format!("peerl call {name}@127.0"));
        // readline replaces only the text after the @.
        let whole = if shell == "bash" { "127.0.0.1" } else { &one };
        assert_eq!(rest, [whole], "{shell}");
    }
    // Nodes that are only in the configuration; and no EPMD.
    terminal.cluster.write("peerl.toml", "discover = ['static:app@10.1.2.3']\n");
    for shell in SHELLS {
        assert_eq!(terminal.offered(shell, "peerl ping app"), ["app@10.1.2.3"], "{shell}");
        assert!(terminal.offered(shell, "peerl ping zzz").is_empty(), "{shell}");
    }
}
