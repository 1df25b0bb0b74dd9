//! A counting server, which BEAM nodes call like a `gen_server`, until Ctrl-C.
//!
//! ```sh
//! cargo run --example counter -- rust@127.0.0.1 secret
//! erl -name beam@127.0.0.1 -setcookie secret        # in another terminal, and there:
//! 1> gen_server:call({counter, 'rust@127.0.0.1'}, {increment, 2}).
//! 2
//! 2> sys:get_state({counter, 'rust@127.0.0.1'}).
//! 2
//! ```

use peerl::otp::{Context, Outcome, Server, reply};
use peerl::{Caller, Term};
use serde::Deserialize;

struct Counter(i64);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Increment(i64),
    Value,
}

impl Server for Counter {
    type Call = Request;
    type Reply = i64;
    type Cast = ();

    async fn handle_call(&mut self, request: Request, _: Caller, _: &mut Context) -> Outcome<i64> {
        if let Request::Increment(by) = request {
            self.0 += by;
        }
        reply(self.0)
    }

    fn state(&self) -> Term {
        Term::from(self.0)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "rust@127.0.0.1".to_owned());
    let cookie = arguments.next().unwrap_or_else(|| "secret".to_owned());
    let node = peerl::node(name).cookie(cookie).start().await?;
    let mut counter = Counter(0).start(&node).name("counter").await?;
    println!("ready {} {}", node.name(), node.port());
    tokio::select! {
        reason = counter.ended() => println!("the counter has ended: {reason:?}"),
        _ = tokio::signal::ctrl_c() => {}
    }
    node.shutdown().await;
    Ok(())
}
