//! The commands, one file each.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::failure::{Failure, Status};
use crate::log;
use crate::output::Output;
use crate::settings::{ConfigFile, Listen, Settings, Sources};

mod call;
mod checksum;
mod completions;
mod demo;
mod discover;
mod epmd;
mod health;
mod man;
mod mesh;
mod names;
mod nodes;
mod ping;
mod pmap;
mod publish;
mod sidecar;
mod subscribe;
mod web;
mod worker;

/// A node of Erlang and Elixir clusters, and the shell's way to them.
#[derive(Parser, Debug)]
#[command(name = "peerl", version, max_term_width = 110, after_help = EXAMPLES, disable_help_subcommand = false)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  peerl demo                                            see it work, without any cluster
  peerl worker --name w1@10.0.0.7 --discover epmd:10.0.0.5
  peerl web --discover epmd:10.0.0.5                    a page for a browser
  peerl checksum https://example.org --node w1@10.0.0.7
  peerl call app@10.0.0.5 'erlang:system_info(otp_release)'
  peerl call app@10.0.0.5 'MyApp.Repo.count(\"users\")'
  peerl publish --pubsub MyApp.PubSub --topic orders --message '{:paid, 7}' --node app@10.0.0.5

Each option of every command can also be set by a variable (PEERL_COOKIE, PEERL_DIST_PORT, …) or in peerl.toml.
Exit codes: 0 all is well, 1 failure, 2 a part of the work failed, 64 usage.";

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::Demo),
    Worker(worker::Worker),
    Checksum(checksum::Checksum),
    Call(call::Call),
    Pmap(pmap::Pmap),
    Ping(ping::Ping),
    Names(names::Names),
    Nodes(nodes::Nodes),
    Discover(discover::Discover),
    Mesh(mesh::Mesh),
    Sidecar(sidecar::Sidecar),
    Publish(publish::Publish),
    Subscribe(subscribe::Subscribe),
    Web(web::Web),
    Epmd(epmd::Epmd),
    Health(health::Health),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Whether it serves others until it is stopped.
    fn is_service(&self) -> bool {
        matches!(self, Self::Worker(_) | Self::Sidecar(_) | Self::Web(_) | Self::Epmd(_))
    }
}

/// All commands and their options.
pub(crate) fn parser() -> clap::Command {
    Arguments::command()
}

/// Runs the command line; returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Status {
    if completions::answer(parser) {
        return Status::Success;
    }
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let sources = Sources::read(variables, config_file(&arguments).as_deref());
    let defaults = sources.as_ref().map(|sources| sources.options().clone()).unwrap_or_default();
    let matches = defaults.apply(parser()).try_get_matches_from(arguments);
    let arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => {
            if let Some(failure) = defaults.explain(&error) {
                return report(&failure);
            }
            // The reader of the help may have closed the pipe.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Status::Success,
                _ => Status::Usage,
            };
        }
    };
    sources.and_then(|sources| execute(arguments, &sources)).unwrap_or_else(|failure| report(&failure))
}

/// Prints a failure; returns its exit code.
fn report(failure: &Failure) -> Status {
    if !failure.is_silent() {
        let _ = writeln!(std::io::stderr(), "peerl: {failure}");
        for line in failure.details() {
            let _ = writeln!(std::io::stderr(), "    {line}");
        }
    }
    failure.status()
}

/// The configuration file named by the arguments or the environment: it provides the defaults of the other arguments.
fn config_file(arguments: &[OsString]) -> Option<PathBuf> {
    let options = arguments.iter().take_while(|argument| *argument != "--");
    let mut found = None;
    let mut is_next = false;
    for option in options {
        if std::mem::replace(&mut is_next, option == "--config") {
            found = Some(PathBuf::from(option));
        } else if let Some(path) = option.as_bytes().strip_prefix(b"--config=") {
            found = Some(PathBuf::from(OsStr::from_bytes(path)));
        }
    }
    found.or_else(|| std::env::var_os("PEERL_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from))
}

/// Only `web` has a port in its listening address.
fn refuse_port(listen: Listen) -> Result<(), Failure> {
    match listen.port {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!("--listen {listen}: only `peerl web` takes a port with the address"))
            .hint("other nodes connect to the port of --dist-port")),
    }
}

fn execute(arguments: Arguments, sources: &Sources) -> Result<Status, Failure> {
    let settings = Settings::load(&arguments.settings, sources)?;
    if let (Some(listen), false) = (settings.listen, matches!(arguments.command, Command::Web(_))) {
        refuse_port(listen)?;
    }
    let members = match arguments.command {
        Command::Worker(_) => log::Members::All,
        _ => log::Members::Lost,
    };
    let writing = if arguments.command.is_service() { log::Writing::Background } else { log::Writing::Direct };
    let _log = log::start(settings.verbosity(), settings.log_format.unwrap_or_default(), members, writing);
    sources.warn();
    match arguments.command {
        Command::Completions(command) => return command.run(),
        Command::Man(command) => return command.run(parser()),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let status = runtime.block_on(async {
        let output = Output::new(&settings);
        match arguments.command {
            Command::Demo(command) => command.run(&settings, &output).await,
            Command::Worker(command) => command.run(&settings, &output).await,
            Command::Checksum(command) => command.run(&settings, &output).await,
            Command::Call(command) => command.run(&settings, &output).await,
            Command::Pmap(command) => command.run(&settings, &output).await,
            Command::Ping(command) => command.run(&settings, &output).await,
            Command::Names(command) => command.run(&settings, &output).await,
            Command::Nodes(command) => command.run(&settings, &output).await,
            Command::Discover(command) => command.run(&settings, &output).await,
            Command::Mesh(command) => command.run(&settings, &output).await,
            Command::Sidecar(command) => command.run(&settings, &output).await,
            Command::Publish(command) => command.run(&settings, &output).await,
            Command::Subscribe(command) => command.run(&settings, &output).await,
            Command::Web(command) => command.run(&settings, &output).await,
            Command::Epmd(command) => command.run(&settings, &output).await,
            Command::Health(command) => command.run(&settings, &output).await,
            Command::Completions(_) | Command::Man(_) => Ok(Status::Success),
        }
    });
    // A resolver that hangs in a thread must not keep the command from ending.
    runtime.shutdown_background();
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
