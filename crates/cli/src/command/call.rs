//! `peerl call`: a single call.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use peerl_node::{CallError, Mfa, NodeName};
use peerl_term::Term;
use peerl_term::text::Syntax;

use crate::call_errors::CallErrors;
use crate::command_node;
use crate::exception::Function;
use crate::explain;
use crate::failure::{Failure, Status};
use crate::output::{Output, pass_on};
use crate::settings::{Format, Settings, Span};
use crate::shutdown;

/// Call a function of a node, and show its value.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl call app@10.0.0.5 'lists:sum([1, 2, 3])'
  peerl call app@10.0.0.5 'Enum.sum([1, 2, 3])'
  peerl call app@10.0.0.5 ':erlang.memory()' --format json
  peerl call app@10.0.0.5 'application:which_applications()' --timeout 5s

The call is written in Erlang or Elixir, and the value is shown in the same syntax unless --format sets another.
What the function prints is printed before it; a terminal gets control characters in it as escapes. What the function
logs comes on the standard error. Processes that it leaves behind print on the console of their own node when the
command has ended (not if that was killed with SIGKILL).")]
pub(super) struct Call {
    /// The node.
    node: NodeName,

    /// The call: module:function(arguments) or Module.function(arguments).
    call: String,

    /// How long to wait for the value [default: no limit].
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
}

impl Call {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let written = Syntax::detect_call(&self.call);
        let call = written.parse_call(&self.call).map_err(|error| {
            Failure::usage(format!("{:?} is not a call: {} at column {}", self.call, error.message(), error.column()))
                .hint("write 'lists:reverse([1,2])' or 'Enum.reverse([1,2])'")
        })?;
        let shown = match settings.format() {
            Format::Erlang => Syntax::Erlang,
            Format::Elixir => Syntax::Elixir,
            Format::Text | Format::Json | Format::JsonLines => written,
        };
        let printed = Printed { is_text: settings.format() == Format::Text, in_line: Arc::default() };
        let showing = printed.clone();
        let system = command_node::system(settings).output(move |text| showing.show(text));
        let builder = command_node::guest(settings, std::slice::from_ref(&self.node), system).await?;
        let node = command_node::begin(settings, builder).await?;
        let function =
            Function { module: call.module.clone(), name: call.function.clone(), arity: call.arguments.len() };
        let name = function.to_string();
        let mfa = Mfa::with_terms(call.module, call.function, call.arguments);
        let mut called = node.call::<Term>(&self.node, mfa);
        if let Some(Span(time)) = self.timeout {
            called = called.timeout(time);
        }
        let mut end = std::pin::pin!(shutdown::signal(shutdown::LIMIT)?);
        let result = tokio::select! {
            result = called.into_future() => Ok(result),
            signal = &mut end => Err(signal),
        };
        let result = match result {
            Ok(Ok(value)) => Ok(Ok(value)),
            Ok(Err(error)) => {
                if let CallError::Exception(exception) = &error {
                    for line in explain::stack_lines(&exception.stack, shown) {
                        tracing::info!("in {line}");
                    }
                }
                Ok(Err(CallErrors::new(node.clone(), function, shown).explain(Some(&self.node), error).await))
            }
            Err(signal) => Err(signal),
        };
        // Processes spawned by the call would lose this command as their group leader when it exits.
        let again = shutdown::signal(shutdown::LIMIT)?;
        tokio::select! {
            () = node.shutdown() => {}
            _ = again => {}
        }
        printed.end_line();
        let result = result.map_err(|signal| {
            Failure::interrupted(format!("interrupted before {name} gave a value"), signal)
                .hint(format!("it goes on at {}", self.node))
        })?;
        result.and_then(|value| output.term(&value, shown)).map(|()| Status::Success)
    }
}

/// Prints the output of the called function: in text format before the value, on a line of its own; else to the
/// standard error.
#[derive(Clone)]
struct Printed {
    is_text: bool,
    in_line: Arc<AtomicBool>,
}

impl Printed {
    fn show(&self, text: &str) {
        // The reader may have closed the pipe; printing the value will report it.
        let _ = match self.is_text {
            true => pass_on(std::io::stdout(), text),
            false => pass_on(std::io::stderr(), text),
        };
        if !text.is_empty() {
            self.in_line.store(!text.ends_with('\n'), Ordering::Relaxed);
        }
    }

    fn end_line(&self) {
        if self.in_line.load(Ordering::Relaxed) {
            self.show("\n");
        }
    }
}
