//! A real BEAM node.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::control::{self, Control, EvalError, Request};
use crate::output::Output;
use crate::process::{Group, Whom};
use crate::{Epmd, Machine, Otp, unique_name};

/// The cookie of every fixture that is not given another one.
pub const COOKIE: &str = "peerl_test_cookie";

/// The time that an evaluation may take; long, since the machine may be busy with other tests.
const EVAL_LIMIT: Duration = Duration::from_secs(30);

/// The time that a node may take to start.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running Erlang or Elixir node. Clones are the same node, which is killed when the last of them is dropped; if a
/// test fails meanwhile, the node's output is printed.
#[derive(Clone)]
pub struct Beam(Arc<Running>);

struct Running {
    name: String,
    otp: Otp,
    control: Control,
    log: Output,
    group: Group,
    home: TempDir,
}

impl Beam {
    /// An Erlang node of this release, to be configured and started.
    pub fn erlang(otp: Otp) -> BeamBuilder {
        BeamBuilder::new(otp, Language::Erlang)
    }

    /// An Elixir node on this release, to be configured and started.
    pub fn elixir(otp: Otp) -> BeamBuilder {
        BeamBuilder::new(otp, Language::Elixir)
    }

    /// Evaluates Erlang expressions (`A = 1, A + 1`) in the node, in a new process each time, and gives the value of
    /// the last one as text (`~0tp`).
    ///
    /// # Errors
    ///
    /// The exception, no answer within 30 s, or the node's end.
    pub fn eval(&self, expression: &str) -> Result<String, EvalError> {
        self.eval_within(expression, EVAL_LIMIT)
    }

    /// Like [`eval`](Self::eval) with a time limit of the caller's.
    ///
    /// # Errors
    ///
    /// The exception, no answer within the limit, or the node's end.
    pub fn eval_within(&self, expression: &str, limit: Duration) -> Result<String, EvalError> {
        self.eval_with(expression, &[], limit)
    }

    /// Like [`eval_within`](Self::eval_within) with variables bound to values that are given in external term format
    /// (beginning with 131).
    ///
    /// # Errors
    ///
    /// The exception, no answer within the limit, or the node's end.
    pub fn eval_with(
        &self,
        expression: &str,
        bindings: &[(&str, &[u8])],
        limit: Duration,
    ) -> Result<String, EvalError> {
        self.0.control.request(Request::Text, &with_dot(expression), bindings, limit).map(into_text)
    }

    /// Like [`eval_with`](Self::eval_with), but the value in external term format, as `term_to_binary/1` makes it.
    ///
    /// # Errors
    ///
    /// The exception, no answer within the limit, or the node's end.
    pub fn eval_external(
        &self,
        expression: &str,
        bindings: &[(&str, &[u8])],
        limit: Duration,
    ) -> Result<Vec<u8>, EvalError> {
        self.0.control.request(Request::External, &with_dot(expression), bindings, limit)
    }

    /// Evaluates Elixir expressions in the node and gives the last value as `inspect` shows it.
    ///
    /// # Errors
    ///
    /// The exception, no answer within 30 s, or the node's end.
    pub fn eval_elixir(&self, expression: &str) -> Result<String, EvalError> {
        self.eval_elixir_within(expression, EVAL_LIMIT)
    }

    /// Like [`eval_elixir`](Self::eval_elixir) with a time limit of the caller's.
    ///
    /// # Errors
    ///
    /// The exception, no answer within the limit, or the node's end.
    pub fn eval_elixir_within(&self, expression: &str, limit: Duration) -> Result<String, EvalError> {
        self.0.control.request(Request::Elixir, expression, &[], limit).map(into_text)
    }

    /// Like [`eval`](Self::eval), without blocking the runtime of the calling test.
    pub fn eval_async(
        &self,
        expression: impl Into<String>,
    ) -> impl Future<Output = Result<String, EvalError>> + Send + 'static {
        self.eval_within_async(expression, EVAL_LIMIT)
    }

    /// Like [`eval_within`](Self::eval_within), without blocking the runtime of the calling test.
    pub fn eval_within_async(
        &self,
        expression: impl Into<String>,
        limit: Duration,
    ) -> impl Future<Output = Result<String, EvalError>> + Send + 'static {
        let (beam, expression) = (self.clone(), expression.into());
        blocking(move || beam.eval_within(&expression, limit))
    }

    /// Like [`eval_elixir`](Self::eval_elixir), without blocking the runtime of the calling test.
    pub fn eval_elixir_async(
        &self,
        expression: impl Into<String>,
    ) -> impl Future<Output = Result<String, EvalError>> + Send + 'static {
        let (beam, expression) = (self.clone(), expression.into());
        blocking(move || beam.eval_elixir(&expression))
    }

    /// Compiles an Erlang module from its source text and loads it.
    ///
    /// # Errors
    ///
    /// The compiler's (as an exception), or the node's end.
    pub fn load_module(&self, source: &str) -> Result<(), EvalError> {
        self.0.control.request(Request::Module, source, &[], EVAL_LIMIT).map(drop)
    }

    /// True if `net_adm:ping/1` of the other node gives `pong`.
    ///
    /// # Panics
    ///
    /// When it gives no answer at all.
    pub fn ping(&self, node: &str) -> bool {
        self.eval(&format!("net_adm:ping('{node}')")).expect("net_adm:ping answers") == "pong"
    }

    /// Evaluates the expression again and again until its value is the expected text.
    ///
    /// # Panics
    ///
    /// When the time is over.
    pub fn wait_for(&self, expression: &str, expected: &str, limit: Duration) {
        let end = Instant::now() + limit;
        loop {
            let value = self.eval_within(expression, limit);
            if value.as_deref() == Ok(expected) {
                return;
            }
            assert!(Instant::now() < end, "{expression} on {} is {value:?}, not {expected}", self.name());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Like [`wait_for`](Self::wait_for), without blocking the runtime of the calling test.
    ///
    /// # Panics
    ///
    /// When the time is over.
    pub fn wait_for_async(
        &self,
        expression: impl Into<String>,
        expected: impl Into<String>,
        limit: Duration,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (beam, expression, expected) = (self.clone(), expression.into(), expected.into());
        blocking(move || beam.wait_for(&expression, &expected, limit))
    }

    /// Kills the node with SIGKILL and waits for its end.
    pub fn kill(&self) {
        self.0.group.kill();
    }

    /// Ends the node in an orderly way (`init:stop/0`); kills it if it is not done within 30 s.
    pub fn stop(&self) {
        let _ = self.eval_within("init:stop()", Duration::from_secs(5));
        if self.0.group.wait(EVAL_LIMIT).is_none() {
            self.kill();
        }
    }

    /// Stops the node without ending it (SIGSTOP): it answers nothing, and its connections stay open.
    pub fn sigstop(&self) {
        self.0.group.stop(Whom::Group);
    }

    /// Lets a stopped node go on (SIGCONT).
    pub fn sigcont(&self) {
        self.0.group.go_on(Whom::Group);
    }

    /// The full name, such as `a_4711_1@127.0.0.1`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The OTP release.
    pub fn otp(&self) -> Otp {
        self.0.otp
    }

    /// The id of the node's operating system process.
    pub fn pid(&self) -> u32 {
        self.0.group.pid()
    }

    /// The node's home directory, visible to the node at the same path; deleted with the node.
    pub fn home(&self) -> &Path {
        self.0.home.path()
    }

    /// Waits for the node to end by itself.
    ///
    /// # Panics
    ///
    /// When the time is over.
    pub fn wait_for_end(&self, limit: Duration) {
        assert!(self.0.group.wait(limit).is_some(), "{} did not end within {limit:?}", self.name());
    }

    /// True until the operating system process has ended.
    pub fn is_running(&self) -> bool {
        self.0.group.wait(Duration::ZERO).is_none()
    }

    /// The node's output so far, on standard output and standard error.
    pub fn log(&self) -> String {
        self.0.log.text()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.group.kill();
        if std::thread::panicking() {
            self.log.wait_for_end(Duration::from_secs(1));
            eprintln!("---- output of {} (OTP {})\n{}\n----", self.name, self.otp.number(), self.log.text());
        }
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[error("{name} (OTP {}) did not start: {reason}; it printed:\n{log}", .otp.number())]
#[non_exhaustive]
pub struct StartError {
    /// The full name.
    pub name: String,
    /// The release.
    pub otp: Otp,
    /// Whether it ended or was too slow.
    pub reason: EvalError,
    /// What it printed.
    pub log: String,
}

/// A BEAM node that is not yet started. By default: a unique name at 127.0.0.1, [`COOKIE`], visible, and no EPMD (it
/// neither registers nor finds other nodes without [`epmd`](Self::epmd) or its siblings).
#[derive(Clone)]
pub struct BeamBuilder {
    otp: Otp,
    language: Language,
    name: String,
    names: Names,
    cookie: String,
    flags: Vec<String>,
    env: Vec<(OsString, OsString)>,
    epmd_port: Option<u16>,
    /// The flags for the number of schedulers, and for their spinning.
    schedulers: Vec<String>,
    /// The words before the command, which run it on another machine.
    prefix: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Erlang,
    Elixir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Long,
    Short,
    None,
}

impl BeamBuilder {
    fn new(otp: Otp, language: Language) -> Self {
        let stem = match language {
            Language::Erlang => "erlang",
            Language::Elixir => "elixir",
        };
        Self {
            otp,
            language,
            name: unique_name(stem),
            names: Names::Long,
            cookie: COOKIE.to_owned(),
            flags: Vec::new(),
            env: Vec::new(),
            epmd_port: None,
            // One that does not spin, since many nodes share few cores.
            schedulers: ["+S", "1:1", "+SDio", "1", "+sbwt", "none", "+sbwtdio", "none"].map(str::to_owned).into(),
            prefix: Vec::new(),
        }
    }

    /// The node's name: exactly this one, at 127.0.0.1 (or `localhost` with short names) unless it has a host.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Short names (`-sname`), at `localhost`.
    pub fn short_names(mut self) -> Self {
        self.names = Names::Short;
        self
    }

    /// Not distributed: `nonode@nohost` until `net_kernel:start`.
    pub fn undistributed(mut self) -> Self {
        self.names = Names::None;
        self
    }

    /// The cookie.
    pub fn cookie(mut self, cookie: &str) -> Self {
        self.cookie = cookie.to_owned();
        self
    }

    /// A hidden node.
    pub fn hidden(self) -> Self {
        self.arg("-hidden")
    }

    /// Registers with this EPMD.
    pub fn epmd(self, epmd: &Epmd) -> Self {
        self.epmd_port(epmd.port())
    }

    /// Registers with the EPMD on this port of 127.0.0.1.
    pub fn epmd_port(mut self, port: u16) -> Self {
        self.epmd_port = Some(port);
        self
    }

    /// Runs on this machine, with the EPMD there on the usual port, and listens at all of its addresses.
    pub fn on(self, machine: &Machine) -> Self {
        Self { prefix: machine.prefix(), ..self.epmd_port(4369) }
    }

    /// Uses no EPMD (`-erl_epmd_port`): listens on this port, and expects every other node on the same port of the
    /// host in its name. Nodes that connect this way have different hosts, such as 127.0.0.1 and 127.0.0.2.
    pub fn without_epmd(self, port: u16) -> Self {
        self.args(["-erl_epmd_port", &port.to_string()])
    }

    /// Has this many schedulers, or as many as the machine has cores, which spin before they sleep, as usual outside
    /// of tests: for benchmarks. Otherwise it has one, which sleeps at once.
    pub fn usual_schedulers(mut self, count: Option<usize>) -> Self {
        self.schedulers = count.map_or_else(Vec::new, |count| vec!["+S".to_owned(), format!("{count}:{count}")]);
        self
    }

    /// A further argument of `erl` (for an Elixir node one without spaces).
    pub fn arg(mut self, argument: &str) -> Self {
        self.flags.push(argument.to_owned());
        self
    }

    /// Further arguments of `erl` (for an Elixir node ones without spaces).
    pub fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.flags.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// An environment variable. The node has no others but PATH, HOME, LANG and those that these methods set.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts the node and waits until it is up.
    ///
    /// # Panics
    ///
    /// When it does not come up, or a tool is missing.
    pub fn start(self) -> Beam {
        self.try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Like [`start`](Self::start), without blocking the runtime of the calling test (which may serve as EPMD).
    ///
    /// # Panics
    ///
    /// When it does not come up, or a tool is missing.
    pub fn start_async(self) -> impl Future<Output = Beam> + Send + 'static {
        blocking(move || self.start())
    }

    /// Starts the node and waits until it is up.
    ///
    /// # Errors
    ///
    /// When it ends, or is not up within a minute.
    ///
    /// # Panics
    ///
    /// When a tool is missing.
    pub fn try_start(self) -> Result<Beam, StartError> {
        let home = tempfile::tempdir_in("/tmp").expect("a directory for the node");
        let (name, flags) = self.flags();
        let mut command = match self.language {
            Language::Erlang => {
                let mut command = self.otp.command("erl");
                // The control loop comes last: the node is up when it answers.
                command.args(["-boot", "no_dot_erlang"]).args(flags).args(["-eval", control::LOOP]);
                command
            }
            Language::Elixir => {
                const START_LOOP: &str = "\
                    {:ok, tokens, _} = :erl_scan.string(String.to_charlist(System.fetch_env!(\"PEERL_TEST_CONTROL\")))
                    {:ok, expressions} = :erl_parse.parse_exprs(tokens)
                    :erl_eval.exprs(expressions, [])";
                let mut command = self.otp.command("elixir");
                command.args(["--erl", &flags.join(" "), "--no-halt", "-e", START_LOOP]);
                command.env("PEERL_TEST_CONTROL", control::LOOP);
                command
            }
        };
        let control_env = command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)));
        let control_env: Vec<_> = control_env.filter_map(|(name, value)| Some((name, value?))).collect();
        if let [program, arguments @ ..] = &self.prefix[..] {
            let mut outer = Command::new(program);
            outer.args(arguments).arg(command.get_program()).args(command.get_args());
            command = outer;
        }
        command
            .env_clear()
            .envs(control_env)
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", home.path())
            .env("LANG", "C.UTF-8")
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Port 1 has no EPMD, and never the machine's own on 4369.
        command.env("ERL_EPMD_PORT", self.epmd_port.unwrap_or(1).to_string());

        let group = Group::spawn(&mut command).unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let log = Output::default();
        let (pipe, stream) = group.with_child(|child| {
            log.collect(child.stderr.take().expect("stderr is piped"));
            (child.stdin.take().expect("stdin is piped"), child.stdout.take().expect("stdout is piped"))
        });
        let (control, greeting) = Control::new(pipe, stream);
        let greeting = control::await_answer(&greeting, START_LIMIT).map_err(|reason| {
            group.kill();
            log.wait_for_end(Duration::from_secs(1));
            StartError { name: name.clone(), otp: self.otp, reason, log: log.text() }
        })?;

        let greeting = into_text(greeting);
        let (node, release) = greeting.split_once('\n').expect("the greeting has two lines");
        assert_eq!(release, self.otp.number().to_string(), "{name} runs on another OTP: run scripts/setup-tests");
        Ok(Beam(Arc::new(Running { name: node.to_owned(), otp: self.otp, control, log, group, home })))
    }

    /// The node's full name and the flags of the emulator.
    fn flags(&self) -> (String, Vec<String>) {
        let (switch, host) = match self.names {
            Names::Long => ("-name", "127.0.0.1"),
            Names::Short => ("-sname", "localhost"),
            Names::None => ("", "nohost"),
        };
        let name = if self.name.contains('@') { self.name.clone() } else { format!("{}@{host}", self.name) };
        let mut flags: Vec<&str> = vec!["-noinput", "-start_epmd", "false"];
        flags.extend(self.schedulers.iter().map(String::as_str));
        if self.prefix.is_empty() {
            flags.extend(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]);
        }
        flags.extend(["-kernel", "logger_level", "notice"]);
        if self.names != Names::None {
            flags.extend([switch, &name, "-setcookie", &self.cookie]);
        }
        flags.extend(self.flags.iter().map(String::as_str));
        let flags = flags.into_iter().map(str::to_owned).collect();
        (name, flags)
    }
}

fn with_dot(expression: &str) -> String {
    let expression = expression.trim_end();
    if expression.ends_with('.') { expression.to_owned() } else { format!("{expression}\n.") }
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("a node answers in UTF-8")
}

/// Runs the work on a separate thread; a panic there is a panic here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
