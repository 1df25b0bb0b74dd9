//! Joins a cluster as a hidden node and calls functions there.
//!
//! ```sh
//! erl -name beam@127.0.0.1 -setcookie secret        # in one terminal
//! cargo run --example join_and_call -- beam@127.0.0.1 secret
//! ```

use std::time::Duration;

use peerl::term::Atom;
use peerl::{Mfa, NodeName, Visibility};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(peer), Some(cookie)) = (arguments.next(), arguments.next()) else {
        return Err("usage: join_and_call NODE COOKIE".into());
    };
    let peer: NodeName = peer.parse()?;
    let name = format!("joiner{}@{}", std::process::id(), peer.host());
    let node = peerl::node(name).cookie(cookie).visibility(Visibility::Hidden).start().await?;

    println!("{peer} answered a ping in {:?}", node.ping(&peer).await?);
    let mfa = Mfa::new("erlang", "system_info", (Atom::new("otp_release")?,))?;
    let release: Vec<u8> = node.call(&peer, mfa).timeout(Duration::from_secs(5)).await?;
    println!("it runs OTP {}", String::from_utf8(release)?);
    let sorted: Vec<i64> = node.call(&peer, Mfa::new("lists", "sort", (vec![3, 1, 2],))?).await?;
    println!("lists:sort([3, 1, 2]) = {sorted:?}");

    node.shutdown().await;
    Ok(())
}
