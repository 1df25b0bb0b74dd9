//! What attacks do to a `peerl worker` with 1 GiB of memory, and to its other peers.
//! `cargo build --release -p peerl-cli && cargo bench -p peerl --bench hostile -- [--only WORDS] [--slice SECONDS]`

#![allow(missing_docs)]

#[path = "../tests/attacks/mod.rs"]
mod attacks;
mod harness;
#[path = "../tests/intruder/mod.rs"]
mod intruder;

use std::process::Command;
use std::time::Duration;

use attacks::catalogue::{calls, connections, crowds, floods, fragments, pages, services, tables, terms, visitors};
use attacks::{Outcome, Trial, Victim};
use harness::{Settings, describe};
use peerl_test_support::Epmd;

/// How long an attack lasts, if the settings do not say.
const USUAL: Duration = Duration::from_secs(5);

fn main() {
    let settings = Settings::from_args();
    let time = if settings.slice == Settings::SLICE { USUAL } else { settings.slice };
    println!("{}", describe(&settings));
    let Some(peerl) = peerl() else {
        println!("`peerl` is not built: `cargo build --release` makes it");
        return;
    };
    println!("\n{}", Outcome::HEADER);
    let epmd = Epmd::start();
    let all = [terms(), fragments(), tables(), calls(), floods(), services(), connections(), crowds(), pages()];
    for attack in all.into_iter().flatten().filter(|attack| settings.wants(&attack.name)) {
        let trial = Trial::start(&epmd, &peerl);
        println!("{}", trial.run(&attack, time));
    }
    for attack in visitors().into_iter().filter(|attack| settings.wants(&attack.name)) {
        let trial = Trial::of(Victim::with_page(&epmd, &peerl), &epmd);
        println!("{}", trial.run(&attack, time));
    }
}

/// The binary of the profile, beside this benchmark.
fn peerl() -> Option<Command> {
    let own = std::env::current_exe().ok()?;
    let program = own.parent()?.parent()?.join("peerl");
    program.exists().then(|| Command::new(program))
}
