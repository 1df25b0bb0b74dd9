//! What many connections do at the same time.

use std::time::{Duration, Instant};

use peerl_node::Term;

use super::attacker::{Attacker, Written, head};
use super::terms::Shape;
use super::{Attack, Fate, Target};

/// For how long the attacker waits for a crowd of connections, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many connections of other names that do nothing, and end at the same time.
pub fn ends_at_once(connections: usize) -> Attack {
    Attack::new(format!("up to {connections} connections that end at once"), move |target, end| {
        let crowd = crowd(target, connections);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        crowd.into_iter().map(Attacker::fate).sum()
    })
}

/// So many connections that each send an exit signal that takes some work, at the same moment, while another one has the worker
/// decode much longer ones.
pub fn long_work_at_once(connections: usize) -> Attack {
    const BYTES: usize = 70 << 10;
    const LONG: usize = 8_000_000;
    Attack::new(format!("exit signals of {BYTES} bytes by {connections} connections at once"), move |target, end| {
        let mut crowd = crowd(target, connections);
        let mut longest = Attacker::connect(target);
        let Some(rex) = longest.pid_of("rex", end + PATIENCE) else { return longest.fate() };
        let exit = Term::tuple([26.into(), longest.process(1).into(), rex.clone()]);
        let long = Shape::Nils.encode(LONG);
        let long = [&head(&exit, long.len())[..], &long].concat();
        let end = end.max(Instant::now() + Duration::from_secs(1));
        let short = Shape::Nils.encode(BYTES);
        let (begin, last) = short.split_at(short.len() - 1);
        while Instant::now() < end {
            for attacker in &mut crowd {
                let exit = Term::tuple([26.into(), attacker.process(1).into(), rex.clone()]);
                if attacker.write(&[&head(&exit, short.len()), begin], end + PATIENCE) == Written::All {
                    attacker.sent += 1;
                }
            }
            for _ in 0..2 {
                longest.write(&[&long], end + PATIENCE);
            }
            for attacker in &mut crowd {
                attacker.write(&[last], end + PATIENCE);
            }
        }
        crowd.into_iter().chain([longest]).map(Attacker::fate).sum::<Fate>()
    })
}

/// Peers, so many at a time, that connect anew while the worker decodes long messages of theirs.
pub fn replaced_within_long_work(peers: usize) -> Attack {
    const LONG: usize = 8_000_000;
    const PAUSE: Duration = Duration::from_millis(30);
    Attack::new(format!("{peers} peers that connect anew within long work"), move |target, end| {
        let mut scout = Attacker::connect(target);
        let Some(rex) = scout.pid_of("rex", end + PATIENCE) else { return scout.fate() };
        let long = Shape::Nils.encode(LONG);
        let run = |rex: &Term| {
            let mut last = Attacker::deaf(target);
            let (name, mut fates) = (last.intruder.name.clone(), Vec::new());
            while Instant::now() < end {
                let exit = Term::tuple([26.into(), last.process(1).into(), rex.clone()]);
                last.write(&[&head(&exit, long.len()), &long], end + PATIENCE);
                last.sent += 1;
                std::thread::sleep(PAUSE);
                fates.push(std::mem::replace(&mut last, Attacker::deaf_as(&name, target)).fate());
            }
            fates.push(last.fate());
            fates.into_iter().sum::<Fate>()
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..peers).map(|_| scope.spawn(|| run(&rex))).collect();
            all.into_iter().map(|one| one.join().expect("an attacker does not fail")).sum()
        })
    })
}

/// One peer has many links with `rex`, another one has a single one and connects over and over.
pub fn ends_beside_many_links(links: u32) -> Attack {
    Attack::new(format!("{links} links, and connections with one each"), move |target, end| {
        let mut many = Attacker::connect(target);
        let Some(rex) = many.pid_of("rex", end + PATIENCE) else { return many.fate() };
        for first in (0..links).step_by(1000) {
            let frames: Vec<u8> = (first..first + 1000)
                .flat_map(|id| head(&Term::tuple([1.into(), many.process(id + 10).into(), rex.clone()]), 0))
                .collect();
            if many.write(&[&frames], end + PATIENCE) != Written::All {
                break;
            }
            many.sent += 1000;
        }
        let end = end.max(Instant::now() + Duration::from_secs(1));
        let mut fates = Vec::new();
        while Instant::now() < end {
            let mut one = Attacker::deaf(target);
            one.write(&[&head(&Term::tuple([1.into(), one.process(1).into(), rex.clone()]), 0)], end);
            one.sent += 1;
            fates.push(one.fate());
        }
        fates.push(many.fate());
        fates.into_iter().sum::<Fate>()
    })
}

/// As many of so many connections as the worker takes.
fn crowd(target: &Target, connections: usize) -> Vec<Attacker> {
    (0..connections).map(|_| Attacker::deaf(target)).collect()
}
