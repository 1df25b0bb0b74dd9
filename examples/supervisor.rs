//! A supervisor with a counting server and a task, which start again when they fail, until Ctrl-C.
//!
//! ```sh
//! cargo run --example supervisor -- rust@127.0.0.1 secret
//! erl -name beam@127.0.0.1 -setcookie secret        # in another terminal, and there:
//! 1> supervisor:which_children({supervisor, 'rust@127.0.0.1'}).
//! [{uptime,<14531.21.0>,worker,[]},{counter,<14531.20.0>,worker,[]}]
//! 2> exit(rpc:call('rust@127.0.0.1', erlang, whereis, [counter]), kill).
//! true
//! 3> gen_server:call({counter, 'rust@127.0.0.1'}, {increment, 2}).
//! 2
//! ```

use std::time::Duration;

use peerl::Caller;
use peerl::otp::{ChildSpec, Context, Intensity, Outcome, Parent, Server, Strategy, Supervisor, reply};
use serde::Deserialize;

struct Counter(i64);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Increment(i64),
}

impl Server for Counter {
    type Call = Request;
    type Reply = i64;
    type Cast = ();

    async fn handle_call(&mut self, Request::Increment(by): Request, _: Caller, _: &mut Context) -> Outcome<i64> {
        self.0 += by;
        reply(self.0)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "rust@127.0.0.1".to_owned());
    let cookie = arguments.next().unwrap_or_else(|| "secret".to_owned());
    let node = peerl::node(name).cookie(cookie).start().await?;
    let counter = ChildSpec::new("counter", |parent: &Parent| parent.start(Counter(0)).name("counter"));
    let uptime = ChildSpec::task("uptime", |_| async {
        for minutes in 0.. {
            println!("up for {minutes} minutes");
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        Ok(())
    });
    let mut supervisor = Supervisor::new(Strategy::OneForOne)
        .intensity(Intensity { restarts: 3, period: Duration::from_secs(5) })
        .child(counter)
        .child(uptime)
        .start(&node)
        .name("supervisor")
        .await?;
    println!("ready {} {}", node.name(), node.port());
    tokio::select! {
        reason = supervisor.ended() => println!("the supervisor has ended: {reason:?}"),
        _ = tokio::signal::ctrl_c() => {}
    }
    node.shutdown().await;
    Ok(())
}
