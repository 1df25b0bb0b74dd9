//! `peerl completions`: completions for shells.
//!
//! The scripts query the program itself, so they need no update with it, and can complete nodes.

use std::ffi::OsStr;
use std::future::Future;
use std::time::Duration;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use peerl_discovery::Spec;
use peerl_epmd::Client;
use peerl_epmd::environment::loopback;

use crate::command_node;
use crate::failure::{Failure, Status};
use crate::output::print_script;
use crate::settings::{Settings, Sources};

/// Print a shell's completions of peerl.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl completions bash > ~/.local/share/bash-completion/completions/peerl
  peerl completions zsh > ~/.zfunc/_peerl
  peerl completions fish > ~/.config/fish/completions/peerl.fish

Nodes are completed with those that EPMD knows at this host or at the host that is written after the @, and with those that
the strategies static:, epmd: and file: of `discover` in peerl.toml or PEERL_DISCOVER find.")]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

/// The variable with which a script queries the program.
const VARIABLE: &str = "_PEERL_COMPLETE";

/// The time-out of a query to a host: a user waits at a terminal.
const LIMIT: Duration = Duration::from_millis(800);

impl Completions {
    pub(super) fn run(self) -> Result<Status, Failure> {
        if self.shell == Shell::Bash {
            return print_script(&BASH.replace("VARIABLE", VARIABLE)).map(|()| Status::Success);
        }
        let mut script = Vec::new();
        let shells = Shells::builtins();
        let Some(shell) = shells.completer(&self.shell.to_string()) else {
            return Err(Failure::usage(format!("there are no completions for {}", self.shell)));
        };
        shell.write_registration(VARIABLE, "peerl", "peerl", "peerl", &mut script).map_err(Failure::new)?;
        print_script(String::from_utf8_lossy(&script).trim()).map(|()| Status::Success)
    }
}

/// Answers the query of a script, if there is one.
pub(super) fn answer(command: impl Fn() -> Command) -> bool {
    let answered = CompleteEnv::with_factory(|| with_nodes(command()))
        .var(VARIABLE)
        .try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref());
    // An error would not be shown there.
    answered.unwrap_or(true)
}

/// readline splits words at `@` and `:`, which are parts of nodes and calls.
const BASH: &str = r#"_peerl() {
    local IFS=$'\013' rest=${COMP_LINE:0:COMP_POINT} word
    local -a words=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if ((${#words[@]})) && [[ -n $word && $rest == "$word"* || -z $word$rest ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        rest=${rest#*"$word"}
    done
    local current=${words[${#words[@]} - 1]}
    COMPREPLY=($(
        _CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) _CLAP_COMPLETE_COMP_TYPE="$COMP_TYPE" \
            _CLAP_COMPLETE_SPACE=true VARIABLE=bash peerl -- "${words[@]}" 2>/dev/null
    ))
    COMPREPLY=("${COMPREPLY[@]#"${current%"$2"}"}")
}
complete -o bashdefault -o default -F _peerl peerl"#;

/// Makes node arguments complete with nodes.
fn with_nodes(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        let is_node = argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "NODE"));
        if is_node { argument.add(ArgValueCompleter::new(nodes)) } else { argument }
    });
    command.mut_subcommands(with_nodes)
}

/// The nodes with this prefix.
fn nodes(beginning: &OsStr) -> Vec<CompletionCandidate> {
    let beginning = beginning.to_string_lossy();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let mut found = runtime.block_on(find(&beginning));
    runtime.shutdown_background();
    found.retain(|node| node.starts_with(&*beginning));
    found.sort();
    found.dedup();
    found.into_iter().map(CompletionCandidate::new).collect()
}

async fn find(beginning: &str) -> Vec<String> {
    let host = beginning.split_once('@').map_or("", |(_, host)| host);
    let (here, there, listed) =
        tokio::join!(in_time(registered_here()), in_time(registered_at(host)), in_time(listed()));
    [here, there, listed].concat()
}

async fn in_time(nodes: impl Future<Output = Vec<String>>) -> Vec<String> {
    tokio::time::timeout(LIMIT, nodes).await.unwrap_or_default()
}

/// EPMD stores names without hosts: nodes of this host may use any of these.
async fn registered_here() -> Vec<String> {
    let host = command_node::host_name();
    let short = host.split('.').next().unwrap_or_default().to_owned();
    let hosts = [loopback().to_string(), short, host];
    let Ok(client) = Client::from_env() else { return Vec::new() };
    let names = names(client).await;
    names.iter().flat_map(|name| hosts.iter().map(move |host| format!("{name}@{host}"))).collect()
}

async fn registered_at(host: &str) -> Vec<String> {
    // A partial address must not be resolved: `10.0` means 10.0.0.0 to resolvers.
    let is_whole = host.parse::<std::net::IpAddr>().is_ok() || host.contains(|c: char| c.is_ascii_alphabetic());
    match Client::from_env() {
        Ok(client) if is_whole => {
            names(client.for_host(host)).await.into_iter().map(|name| format!("{name}@{host}")).collect()
        }
        _ => Vec::new(),
    }
}

async fn names(client: Client) -> Vec<String> {
    let names = client.with_timeout(LIMIT).names().await.unwrap_or_default();
    names.into_iter().map(|entry| entry.name.to_string()).collect()
}

/// The nodes that the configured strategies find, except strategies that need remote services.
async fn listed() -> Vec<String> {
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let sources = Sources::read(variables, None).unwrap_or_default();
    let settings = Settings::load(&Settings::default(), &sources).unwrap_or_default();
    let mut found = Vec::new();
    for spec in settings.discover.unwrap_or_default() {
        let strategy = match spec {
            Spec::Static(_) | Spec::Epmd(_) | Spec::File(_) => spec.build(),
            _ => continue,
        };
        if let Ok(strategy) = strategy
            && let Ok(nodes) = strategy.discover().await
        {
            found.extend(nodes.iter().map(ToString::to_string));
        }
    }
    found
}
