//! A worker that any node of the cluster can call, until Ctrl-C.
//!
//! ```sh
//! cargo run --example worker -- rust@127.0.0.1 secret
//! erl -name beam@127.0.0.1 -setcookie secret        # in another terminal, and there:
//! 1> rpc:call('rust@127.0.0.1', rust, word_count, [<<"so it goes">>]).
//! #{<<"goes">> => 1,<<"it">> => 1,<<"so">> => 1}
//! ```

use std::collections::BTreeMap;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "rust@127.0.0.1".to_owned());
    let cookie = arguments.next().unwrap_or_else(|| "secret".to_owned());
    let node = peerl::node(name).cookie(cookie).start().await?;

    node.export("rust", "word_count", |(text,): (String,)| async move {
        let mut counts = BTreeMap::new();
        for word in text.split_whitespace() {
            *counts.entry(word.to_owned()).or_insert(0u64) += 1;
        }
        Ok(counts)
    })?;
    println!("ready {} {}", node.name(), node.port());

    tokio::signal::ctrl_c().await?;
    node.drain().await;
    node.shutdown().await;
    Ok(())
}
