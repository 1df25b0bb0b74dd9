//! A process with a registered name that answers `gen_server:call/2` and echoes messages, until Ctrl-C.
//!
//! ```sh
//! cargo run --example echo_process -- rust@127.0.0.1 secret
//! erl -name beam@127.0.0.1 -setcookie secret        # in another terminal, and there:
//! 1> gen_server:call({echo, 'rust@127.0.0.1'}, {hello, 1}).
//! {echo,{hello,1}}
//! 2> {echo, 'rust@127.0.0.1'} ! {self(), hello}, receive M -> M end.
//! hello
//! ```

use std::pin::pin;

use peerl::term::{Atom, Term};
use peerl::{GenRequest, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "rust@127.0.0.1".to_owned());
    let cookie = arguments.next().unwrap_or_else(|| "secret".to_owned());
    let node = peerl::node(name).cookie(cookie).start().await?;

    let mut echo = node.process();
    echo.register(Atom::from_static("echo"))?;
    println!("ready {} {}", node.name(), node.port());
    let mut stop = pin!(tokio::signal::ctrl_c());
    loop {
        let message = tokio::select! {
            message = echo.receive() => message?,
            _ = &mut stop => break,
        };
        let Message::User(payload) = message else { continue };
        // A message that is not a term ends only its connection.
        let Ok(message) = payload.decode() else { continue };
        match GenRequest::from_term(message) {
            Ok(call) => echo.reply(&call.from, &Term::tuple([Term::atom("echo"), call.request]))?,
            Err(message) => {
                if let Some([Term::Pid(from), body]) = message.as_tuple()
                    && let Err(error) = echo.send_term(&**from, body).await
                {
                    eprintln!("no answer: {error}");
                }
            }
        }
    }
    node.shutdown().await;
    Ok(())
}
