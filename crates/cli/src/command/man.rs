//! `peerl man`: manual pages.

use std::path::PathBuf;

use clap::Args;

use crate::failure::{Failure, Status};

/// Write the manual pages of peerl and its commands into a directory.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl man ~/.local/share/man/man1")]
pub(super) struct Man {
    /// The directory; it is made if it is not there.
    directory: PathBuf,
}

impl Man {
    pub(super) fn run(self, command: clap::Command) -> Result<Status, Failure> {
        let failed =
            |error| Failure::new(format!("cannot write manual pages to {}: {error}", self.directory.display()));
        std::fs::create_dir_all(&self.directory).map_err(failed)?;
        clap_mangen::generate_to(command, &self.directory).map_err(failed)?;
        Ok(Status::Success)
    }
}
