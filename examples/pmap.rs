//! Distributes work among three nodes, one of which ends meanwhile.
//!
//! ```sh
//! cargo run --example pmap
//! ```
//!
//! All nodes run in this program, with their own EPMD on a free port, so that no cluster is needed. With a cluster
//! only the names of the workers differ.

use std::time::Duration;

use futures::StreamExt;
use peerl::epmd::{Client, Config, Server};
use peerl::{Epmd, Mfa, NodeName};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let epmd = Server::bind([([127, 0, 0, 1], 0).into()], Config::default()).await?.spawn();
    let start = |name: &str| {
        peerl::node(format!("{name}@127.0.0.1"))
            .cookie("secret")
            .epmd(Epmd::External)
            .epmd_client(Client::new(epmd.local_addr()))
            .start()
    };
    let mut workers = Vec::new();
    for name in ["one", "two", "three"] {
        let node = start(name).await?;
        node.export("rust", "collatz", |(n,): (u64,)| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(steps(n))
        })?;
        workers.push(node);
    }
    let names: Vec<NodeName> = workers.iter().map(|node| node.name().clone()).collect();
    let boss = start("boss").await?;

    let call = |n: &u64| Mfa::new("rust", "collatz", (*n,)).expect("short names");
    let mut results = Box::pin(boss.pmap(names, call, 1..=1000u64).window(16).run::<u64>());
    let (mut done, mut longest) = (0, (0, 0));
    while let Some(mapped) = results.next().await {
        longest = longest.max((mapped.result?, mapped.item));
        done += 1;
        if done == 500 {
            println!("half is done: {} leaves", workers[2].name());
            workers[2].shutdown().await;
        }
    }
    println!("{done} numbers; the longest way to 1 has {} steps, from {}", longest.0, longest.1);
    Ok(())
}

/// The number of steps of the Collatz sequence from `n` to 1.
fn steps(mut n: u64) -> u64 {
    let mut steps = 0;
    while n != 1 {
        n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
        steps += 1;
    }
    steps
}
