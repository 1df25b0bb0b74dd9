//! A cluster in memory: work continues while a node cannot be reached. The program needs nothing else.
//!
//! ```sh
//! cargo run --example cluster_in_memory
//! ```

use std::time::Duration;

use futures::StreamExt;
use peerl::{Mfa, NodeName};
use tokio::time::{Instant, sleep};

/// A minute of the cluster takes milliseconds, because time is paused.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = peerl::testing::cluster(4).await;
    for node in &cluster[1..] {
        node.export("rust", "square", |(n,): (u64,)| async move {
            sleep(Duration::from_millis(10)).await;
            Ok(n * n)
        })?;
    }
    let workers: Vec<NodeName> = cluster[1..].iter().map(|node| node.name().clone()).collect();
    let call = |n: &u64| Mfa::new("rust", "square", (*n,)).expect("short names");
    let mut results = Box::pin(cluster[0].pmap(workers, call, 1..=1000_u64).run::<u64>());
    let (start, mut done, mut sum) = (Instant::now(), 0, 0);
    while let Some(mapped) = results.next().await {
        sum += mapped.result?;
        done += 1;
        if done == 500 {
            println!("half is done: {} cannot be reached any more", cluster[2].name());
            cluster.partition(0, 2);
        }
    }
    println!("the sum of {done} squares is {sum}, after {} s", start.elapsed().as_secs());
    Ok(())
}
