//! Error messages of the command line, each class of error with its own hint.

use peerl_discovery::{IdentityError, Obstacle, StrategyError};
use peerl_node::transport::TlsFault;
use peerl_node::{CallError, Class, ConnectError, CookieFileError, ErrorChain, Exception, Loss, Node, StartError};
use peerl_proto::handshake::{ForeignProtocol, HandshakeError};
use peerl_term::Term;
use peerl_term::text::Syntax;

use crate::exception;
use crate::failure::Failure;
use crate::out_file::OutFileError;

const START_EPMD: &str = "start it with `peerl epmd` or `epmd -daemon`, or set ERL_EPMD_PORT to its port";

impl From<peerl_epmd::Error> for Failure {
    fn from(error: peerl_epmd::Error) -> Self {
        use peerl_epmd::Error;
        match error {
            Error::NoEpmd { address, source } => {
                Failure::new(format!("no EPMD answers at {address}: {}", os_words(&source))).hint(START_EPMD)
            }
            Error::NameTaken { address, name } => {
                Failure::new(format!("the name {name} is taken: a node that runs has it at the EPMD of {address}"))
                    .hint("choose another --name or --sname, or end that node; `peerl names` lists them")
            }
            Error::UnknownHost { host, source } => {
                Failure::new(format!("the host {host} has no address: {}", os_words(&source)))
                    .hint("check the part of the node's name after the @")
            }
            Error::BadEnvironment { .. } => Failure::usage(error),
            other => Failure::from_error(&other),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Epmd(error) => error.into(),
            StartError::CookieFile(error) => error.into(),
            StartError::Name(_) | StartError::AliveName(_) => {
                Failure::usage(ErrorChain(&error)).hint("a node is named NAME@HOST, as worker@10.0.0.7")
            }
            StartError::Cookie(_) => Failure::usage(ErrorChain(&error)),
            StartError::Listen { .. } => Failure::from_error(&error)
                .hint("choose other ports with --dist-port, or another address with --listen"),
            other => Failure::from_error(&other),
        }
    }
}

impl From<CookieFileError> for Failure {
    fn from(error: CookieFileError) -> Self {
        let hint = match &error {
            CookieFileError::Accessible { path } => format!("run `chmod 400 {}`", path.display()),
            _ => "give the cookie with PEERL_COOKIE or --cookie-file".to_owned(),
        };
        Failure::from_error(&error).hint(hint)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match &error {
            ConnectError::NameKind { ours, peer } => Failure::new(format!(
                "{ours} and {peer} cannot connect: one has a long host name, the other a short one"
            ))
            .hint("give this node the same kind of name: --name NAME@HOST.DOMAIN for long ones, --sname NAME for short ones"),
            ConnectError::Epmd { peer, source } => match &**source {
                peerl_epmd::Error::NoEpmd { address, source } => {
                    Failure::new(format!("{peer} cannot be found, since no EPMD answers at {address}: {}", os_words(source)))
                        .hint(START_EPMD)
                }
                peerl_epmd::Error::UnknownHost { host, source } => {
                    Failure::new(format!("{peer} cannot be found: the host {host} has no address: {}", os_words(source)))
                        .hint("check the part of the node's name after the @")
                }
                other => Failure::new(format!("{peer} cannot be found: {}", ErrorChain(other))),
            },
            ConnectError::UnknownNode(peer) => {
                Failure::new(format!("there is no node {}: it is not registered at the EPMD of {}", peer, peer.host()))
                    .hint(format!("`peerl names {}` lists those that it knows", peer.host()))
            }
            ConnectError::Io { peer, port, source } => match TlsFault::of(source) {
                Some(fault) => Failure::new(format!("no TLS with {peer} at port {port}: {fault}")),
                None => Failure::new(format!("{peer} cannot be reached at port {port}: {}", os_words(source)))
                    .hint("does the node still run, and does a firewall let its port through?"),
            },
            ConnectError::Handshake { peer, source } => match source {
                HandshakeError::CookieMismatch { .. } => wrong_cookie(&format!("{peer} has another cookie")),
                HandshakeError::NotAllowed { .. } => Failure::new(format!("{peer} does not allow this node to connect"))
                    .hint("it may allow only some nodes (net_kernel:allow/1): give this one a name of its list with --name or --sname"),
                HandshakeError::WrongName { dialled, answered } => {
                    let host = answered.split_once('@').map_or(answered.as_str(), |(_, host)| host);
                    Failure::new(format!("{dialled} calls itself {answered}"))
                        .hint(format!("name it so, with the host {host}, also in --discover epmd:{host}"))
                }
                HandshakeError::Foreign { protocol } => {
                    let failure = Failure::new(format!("{peer} speaks {protocol}"));
                    match protocol {
                        ForeignProtocol::Tls => failure.hint(
                            "give --tls-cert, --tls-key and --tls-ca with certificates of the cluster, or --tls-config with its \
                             -ssl_dist_optfile",
                        ),
                        _ => failure.hint(format!("EPMD at {} gives the port of another program", peer.host())),
                    }
                }
                HandshakeError::Closed { .. } => Failure::new(format!("{peer} refused the connection: {source}"))
                    .hint(format!("is it an Erlang node? `peerl names {}` lists those that run there", peer.host())),
                other => Failure::new(format!("{peer} did not accept the connection: {}", ErrorChain(other))),
            },
            ConnectError::NoGuestName(_) => {
                Failure::from_error(&error).hint("end some of them, or name this node with --name or --sname")
            }
            _ => Failure::from_error(&error),
        }
    }
}

/// Why a node cannot connect to a peer, in the same words as for peerl's own connections.
pub fn obstacle(obstacle: &Obstacle) -> Failure {
    match obstacle {
        Obstacle::Seen(error) => ConnectError::clone(error).into(),
        other => Failure::new(other),
    }
}

fn wrong_cookie(message: &str) -> Failure {
    Failure::new(message)
        .hint("wrong cookie? give the cluster's with PEERL_COOKIE or --cookie-file; the default is in ~/.erlang.cookie, or else in ~/.config/erlang/.erlang.cookie")
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        match &error {
            IdentityError::UnknownKind(_) | IdentityError::NotBuilt { .. } | IdentityError::Settings { .. } => {
                Failure::usage(error)
            }
            IdentityError::Unknown { source, .. } => {
                let hint = discovery_hint(source);
                let failure = Failure::from_error(&error);
                match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
            IdentityError::NoAddress { .. } => Failure::from_error(&error)
                .hint("give an address that is reached with towards=ADDRESS, or the name itself"),
            IdentityError::NoName { .. } => Failure::from_error(&error).hint("choose another host=… or basename=…"),
            _ => Failure::from_error(&error),
        }
    }
}

impl From<OutFileError> for Failure {
    fn from(error: OutFileError) -> Self {
        let failure = Failure::from_error(&error);
        match &error {
            OutFileError::Exists { .. } => {
                failure.hint("continue it with --resume, give --out another name, or remove it")
            }
            OutFileError::NoHeader { .. } | OutFileError::NoRecord { .. } | OutFileError::OtherVersion { .. } => {
                failure.hint("give --out another name")
            }
            OutFileError::OtherCall { .. } => {
                Failure::usage(&error).hint("give --out another name, or make the call of the earlier run")
            }
            OutFileError::InUse { .. } => failure.hint("wait for it to end, or give --out another name"),
            OutFileError::Io { .. } => failure,
        }
    }
}

/// A hint for a failed strategy.
pub fn discovery_hint(error: &StrategyError) -> Option<String> {
    Some(match error {
        StrategyError::NoCredentials { .. } => {
            "attach an instance profile or a task role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY"
                .to_owned()
        }
        StrategyError::NoRegion { .. } => "give one with region=…, AWS_REGION or a profile".to_owned(),
        StrategyError::AccessDenied { action, .. } => {
            format!("allow the action {action} in the policy of this role or user")
        }
        StrategyError::ExpiredCredentials { .. } => "get new ones, or check the clock of this machine".to_owned(),
        StrategyError::WrongCredentials { .. } => {
            "check which credentials the environment or the profile has, and whether the region is enabled for the account"
                .to_owned()
        }
        StrategyError::ClockSkew { .. } => "set the clock of this machine, as by NTP".to_owned(),
        StrategyError::RegionNotEnabled { .. } => {
            "enable the region in the settings of the account, or give another one with region=…".to_owned()
        }
        StrategyError::Unreachable { message, .. } if message.contains("lookup address") => {
            "the region's endpoint has no address: check the spelling of the region, and DNS".to_owned()
        }
        StrategyError::Unreachable { message, .. } if message.contains("certificate") => {
            "name the file with the certificate (PEM) of the authority that signs for the endpoint, or for the proxy \
             before it, in AWS_CA_BUNDLE"
                .to_owned()
        }
        StrategyError::CaBundle { .. } => {
            "name a file with certificates of authorities (PEM), or unset AWS_CA_BUNDLE".to_owned()
        }
        StrategyError::Throttled { .. } => "ask less often with --interval, or try again later".to_owned(),
        StrategyError::ServiceFailure { .. } => "try again later".to_owned(),
        StrategyError::Unreachable { .. } => {
            "check the route to the endpoint of AWS, HTTPS_PROXY and AWS_ENDPOINT_URL".to_owned()
        }
        StrategyError::InstanceMetadata { .. } => {
            "is this an EC2 instance? If it is, in a container the hop limit of its metadata options must be 2"
                .to_owned()
        }
        StrategyError::TaskMetadata { .. } => {
            "is this a task of ECS? If it is not, give the cluster, service or revision instead of @mine".to_owned()
        }
        StrategyError::Unnamed { .. } => {
            "choose another host=… or basename=…; tasks need the network mode awsvpc for an address of their own"
                .to_owned()
        }
        _ => return None,
    })
}

/// The message for a failed call, with terms in this syntax.
pub fn call(error: CallError, called: &str, peer: &str, syntax: Syntax) -> Failure {
    match error {
        CallError::Connect(error) => error.into(),
        CallError::NodeDown => Failure::new(format!("the connection to {peer} ended before the answer came: the peer or its host closed it"))
            .hint("the node may have died; its log says more"),
        CallError::Disconnected(reason) => Failure::new(format!("peerl ended the connection to {peer}: {reason}"))
            .hint("the call may or may not have been made"),
        CallError::AnswerLost { loss: Loss::TooLarge, bytes } => {
            Failure::new(format!("the answer of {peer} has {bytes} bytes, which exceeds peerl's limit"))
                .hint("raise the limit with --max-message")
        }
        CallError::Timeout(time) => {
            Failure::new(format!("no answer from {peer} within {}", humantime::format_duration(time)))
                .hint("give it longer with --timeout")
        }
        CallError::Exception(error) => match exception::undefined(&error) {
            Some(function) if !exception::is_elixirs(&error, syntax) => {
                let function = function.to_string();
                match function == called {
                    true => Failure::new(format!("{peer} has no function {called}")),
                    false => Failure::new(format!("{peer} has no function {function}, which is called for {called}")),
                }
            }
            _ => self::exception(&error, syntax),
        },
        CallError::Signal(reason) => {
            Failure::new(format!("the process that made the call was ended: {}", syntax.display(&reason)))
        }
        CallError::Erpc(reason) => Failure::new(format!("{peer} refused the call: {}", syntax.display(&reason))),
        CallError::NoRex => Failure::new(format!(
            "{peer} takes no calls: this kind of node (a C node, Jinterface) spawns no processes for others, and nothing \
             there answers at rex"
        ))
        .hint("its program must answer messages of ei_rpc; for a slow one, raise --timeout"),
        CallError::NotSpawned(reason) if reason == "noconnection" => {
            Failure::new(format!("{peer} refused the call")).hint("it is shutting down")
        }
        CallError::NotSpawned(reason) => {
            Failure::new(format!("{peer} refused the call: {reason}"))
                .hint("it is busy, or does not accept a message of this size")
        }
        other => Failure::new(other),
    }
}

/// An exception, formatted like in the shells of Erlang and Elixir.
pub fn exception(exception: &Exception, syntax: Syntax) -> Failure {
    if exception::is_elixirs(exception, syntax) {
        return Failure::new(exception::banner(exception));
    }
    let class = match exception.class {
        Class::Error => "error",
        Class::Exit => "exit",
        Class::Throw => "throw",
    };
    let text = format!("exception {class}: {}", syntax.display(&exception.reason));
    match exception.cause() {
        Some(cause) => Failure::new(format!("{text}: {cause}")),
        None => Failure::new(text),
    }
}

/// A stack trace, one call per line.
pub fn stack_lines(stack: &Term, syntax: Syntax) -> Vec<String> {
    stack.as_list().unwrap_or_default().iter().map(|frame| syntax.display(frame).to_string()).collect()
}

/// Connects to those of these nodes that can be reached.
///
/// # Errors
/// The error of the first node, if none can be reached.
pub async fn reachable(node: &Node, peers: Vec<peerl_node::NodeName>) -> Result<Vec<peerl_node::NodeName>, Failure> {
    let attempts = peers.into_iter().map(|peer| async move {
        let result = node.connect(&peer).await;
        (peer, result)
    });
    let (mut reached, mut first) = (Vec::new(), None);
    for (peer, result) in futures::future::join_all(attempts).await {
        match result {
            Ok(()) => reached.push(peer),
            Err(error) => {
                let failure = Failure::from(error);
                tracing::warn!(node = %peer, "left out: {failure}");
                first.get_or_insert(failure);
            }
        }
    }
    match first {
        Some(failure) if reached.is_empty() => Err(failure),
        _ => Ok(reached),
    }
}

/// The operating system's message without the error number.
pub fn os_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}
