//! `peerl completions`: for shells.

use clap::Args;
use clap_complete::Shell;

use crate::failure::{Failure, Status};
use crate::output::print_script;

/// Print a shell's completions of peerl.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl completions bash > ~/.local/share/bash-completion/completions/peerl
  peerl completions zsh > ~/.zfunc/_peerl
  peerl completions fish > ~/.config/fish/completions/peerl.fish")]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, command: &mut clap::Command) -> Result<Status, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "peerl", &mut script);
        print_script(String::from_utf8_lossy(&script).trim_end()).map(|()| Status::Success)
    }
}
