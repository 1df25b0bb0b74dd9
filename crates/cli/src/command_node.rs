//! The node of a command: its name, its cookie, and its registration.

use std::net::{IpAddr, Ipv6Addr};

use peerl_discovery::{Identity, outgoing, outgoing_far};
use peerl_epmd::environment::loopback;
use peerl_node::{
    ConnectError, Cookie, Epmd, Limits, Node, NodeBuilder, NodeName, StartError, Visibility, read_cookie,
};
use peerl_otp::global::GlobalService;
use peerl_otp::{System, TaskSupervisor};

use crate::failure::Failure;
use crate::output::pass_on;
use crate::remote_log;
use crate::settings::{EpmdChoice, PortRange, Settings, Size, Span};
use crate::transport::with_transport;

/// The role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A member of the cluster, which others find and call.
    Worker,
    /// A temporary caller. It is hidden; unless the user names it, it has one of the names that all guests share, and
    /// is not registered.
    Guest,
    /// It serves a page. It is a guest unless the user names it; then other nodes can reach it, but it is hidden.
    Web,
}

/// Starts the node of a command for these peers.
///
/// A worker without a given name is `worker_N`, with the first N that is free at the EPMD of this host. A name is an
/// atom in the memory of all peers, so repeated starts must not create new ones.
///
/// # Errors
/// If the settings are inconsistent, or the node cannot be started.
pub async fn start(settings: &Settings, role: Role, peers: &[NodeName]) -> Result<Node, Failure> {
    let is_named = settings.name.is_some() || settings.sname.is_some();
    if role == Role::Guest || (role == Role::Web && !is_named) {
        return begin(settings, guest(settings, peers, system(settings)).await?).await;
    }
    if let Some(name) = given_name(settings, peers).await? {
        return begin(settings, member(settings, role, &name)?).await;
    }
    let cookies = cookies(settings)?;
    let mut number = 1;
    loop {
        let name = node_name(&format!("worker_{number}@{}", own_host(peers)))?;
        match member(settings, role, &name)?.start().await {
            Err(StartError::Epmd(peerl_epmd::Error::NameTaken { .. })) if number < MOST_WORKERS => number += 1,
            started => {
                let node = started?;
                cookies.into_iter().for_each(|(peer, cookie)| node.set_cookie(peer, cookie));
                return Ok(node);
            }
        }
    }
}

/// Starts a prepared node, and sets the cookies of peers that differ from the cluster's.
///
/// # Errors
/// If the node cannot be started, or a cookie or name is invalid.
pub async fn begin(settings: &Settings, builder: NodeBuilder) -> Result<Node, Failure> {
    let cookies = cookies(settings)?;
    let node = builder.start().await?;
    cookies.into_iter().for_each(|(peer, cookie)| node.set_cookie(peer, cookie));
    Ok(node)
}

fn cookies(settings: &Settings) -> Result<Vec<(NodeName, Cookie)>, Failure> {
    let cookie = |(peer, cookie): (&String, &String)| {
        let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("cookies: {peer:?}: {error}"));
        let name = NodeName::new(peer).map_err(|error| wrong(&error))?;
        Ok((name, Cookie::new(cookie).map_err(|error| wrong(&error))?))
    };
    settings.cookies.iter().map(cookie).collect()
}

/// The most workers without given names on a host.
const MOST_WORKERS: u32 = 1000;

/// The processes of a guest. The standard output is for the command's own result.
pub fn system(settings: &Settings) -> System {
    let system = System::new().output(|text| drop(pass_on(std::io::stderr(), text)));
    system.log_output(remote_log::show(settings))
}

/// Prepares the guest of a command for these peers, with these processes.
///
/// # Errors
/// If the settings are inconsistent, or the node should be named by its machine, whose identity is unknown.
pub async fn guest(settings: &Settings, peers: &[NodeName], system: System) -> Result<NodeBuilder, Failure> {
    let builder = match given_name(settings, peers).await? {
        Some(name) => with_name(settings, Role::Guest, &name)?,
        None => {
            let builder = with_settings(settings, NodeBuilder::guest().epmd(epmd(settings)?))?;
            let are_short = peers.first().is_some_and(|peer| !peer.is_long());
            if are_short { builder.short_names() } else { builder }
        }
    };
    Ok(builder.service(system))
}

/// Prepares a node that others find and call.
fn member(settings: &Settings, role: Role, name: &NodeName) -> Result<NodeBuilder, Failure> {
    let mut builder = with_name(settings, role, name)?.service(System::new());
    if role == Role::Worker {
        builder = builder.service(TaskSupervisor::new());
    }
    Ok(if settings.no_global.unwrap_or(false) { builder } else { builder.service(GlobalService) })
}

fn with_name(settings: &Settings, role: Role, name: &NodeName) -> Result<NodeBuilder, Failure> {
    // A visible node without `global` would make `global:sync/0` of all others wait for ever.
    let hidden = role != Role::Worker || settings.hidden.unwrap_or(false) || settings.no_global.unwrap_or(false);
    let mut builder = NodeBuilder::new(name.as_str())
        .visibility(if hidden { Visibility::Hidden } else { Visibility::Visible })
        .epmd(epmd(settings)?);
    // Without EPMD, that port is the peers'; no node connects to a guest there.
    let is_peers_port = role == Role::Guest && settings.epmd == Some(EpmdChoice::None);
    if let (Some(PortRange { first, last }), false) = (settings.dist_port, is_peers_port) {
        builder = builder.listen(first..=last);
    }
    match settings.listen_address() {
        Some(address) => builder = builder.listen_address(address),
        None if role == Role::Guest => builder = builder.listen_address(loopback_of(name)),
        None => {}
    }
    if role == Role::Worker {
        builder = builder.make_cookie();
    }
    with_settings(settings, builder)
}

/// The loopback address to which a node's name resolves on this host.
fn loopback_of(name: &NodeName) -> IpAddr {
    match name.host().parse() {
        Ok(IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
        _ => loopback(),
    }
}

/// Applies common settings: the cookie, the tick time, the limits and the transport.
fn with_settings(settings: &Settings, mut builder: NodeBuilder) -> Result<NodeBuilder, Failure> {
    if let Some(Span(time)) = settings.net_ticktime {
        builder = builder.net_ticktime(time);
    }
    builder = with_transport(settings, builder.limits(limits(settings)?))?;
    Ok(match cookie(settings)? {
        Some(cookie) => builder.cookie(cookie),
        None => builder,
    })
}

fn limits(settings: &Settings) -> Result<Limits, Failure> {
    let bytes = |size: &Option<Size>| size.as_ref().map(|Size(bytes)| usize::try_from(*bytes).unwrap_or(usize::MAX));
    let mut limits = match bytes(&settings.memory) {
        Some(memory) if memory < Limits::LEAST_MEMORY => {
            let least = Limits::LEAST_MEMORY >> 20;
            return Err(Failure::usage(format!("--memory: a node needs {least}MiB or more for its peers")));
        }
        memory => memory.map_or_else(Limits::default, Limits::of_memory),
    };
    let set = |limit: &mut usize, setting: Option<usize>| *limit = setting.unwrap_or(*limit);
    set(&mut limits.channel.message, bytes(&settings.max_message));
    set(&mut limits.channel.reassembly, bytes(&settings.max_reassembly));
    // A limit of 0 would end the connection with the first fragment.
    set(&mut limits.channel.sequences, settings.max_fragmented.map(|most| most.max(1)));
    set(&mut limits.calls, settings.max_calls);
    set(&mut limits.queued, settings.max_queued);
    Ok(limits)
}

fn cookie(settings: &Settings) -> Result<Option<String>, Failure> {
    let Some(path) = &settings.cookie_file else {
        return Ok(settings.cookie.clone());
    };
    read_cookie(path)?;
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read the cookie file {}: {error}", path.display())))?;
    Ok(Some(text.trim_end().to_owned()))
}

fn epmd(settings: &Settings) -> Result<Epmd, Failure> {
    Ok(match settings.epmd.unwrap_or_default() {
        EpmdChoice::Auto => Epmd::Auto,
        EpmdChoice::External => Epmd::External,
        EpmdChoice::Embedded => Epmd::Embedded,
        EpmdChoice::None => match settings.dist_port {
            Some(PortRange { first, last }) if first == last && first > 0 => Epmd::None { port: first },
            _ => {
                return Err(Failure::usage("--epmd none needs the port at which all nodes listen")
                    .hint("give it with --dist-port N"));
            }
        },
    })
}

/// The name that the user gave, or that of the machine if requested.
async fn given_name(settings: &Settings, peers: &[NodeName]) -> Result<Option<NodeName>, Failure> {
    let name = match settings.name.as_deref().filter(|name| name.starts_with(Identity::PREFIX)) {
        Some(rule) => {
            let name = rule.parse::<Identity>()?.name().await?;
            tracing::info!(%name, rule, "named after the machine");
            of_given_kind(settings, name)?
        }
        None => match written_name(settings, peers)? {
            Some(name) => name,
            None => return Ok(None),
        },
    };
    match peers.iter().find(|peer| peer.is_long() != name.is_long()) {
        Some(peer) => Err(ConnectError::NameKind { ours: name, peer: peer.clone() }.into()),
        None => Ok(Some(name)),
    }
}

/// The given name, completed with a long host if it is a long name without one.
fn written_name(settings: &Settings, peers: &[NodeName]) -> Result<Option<NodeName>, Failure> {
    let text = match (&settings.name, &settings.sname) {
        (Some(name), _) if name.contains('@') => name.clone(),
        (Some(name), _) => format!("{name}@{}", long_host(peers)),
        (None, Some(sname)) if sname.starts_with(Identity::PREFIX) => {
            return Err(Failure::usage(format!("--sname {sname} is not possible")).hint("use --name, or --sname NAME"));
        }
        (None, Some(sname)) if sname.contains('@') => sname.clone(),
        (None, Some(sname)) => format!("{sname}@{}", short_host()),
        (None, None) => return Ok(None),
    };
    of_given_kind(settings, node_name(&text)?).map(Some)
}

fn node_name(text: &str) -> Result<NodeName, Failure> {
    NodeName::new(text).map_err(|error| {
        Failure::usage(format!("{text:?} is not a node name: {error}")).hint("use NAME@HOST, as worker@10.0.0.7")
    })
}

/// Checks that the name's host is of the kind that the option requires.
fn of_given_kind(settings: &Settings, name: NodeName) -> Result<NodeName, Failure> {
    match (&settings.name, &settings.sname) {
        (Some(_), _) if !name.is_long() => {
            Err(Failure::usage(format!("--name needs a long host name, and {} has no dot", name.host()))
                .hint("use --sname for short names, or an address as the host"))
        }
        (None, Some(_)) if name.is_long() => {
            Err(Failure::usage(format!("--sname needs a short host name, and {} has a dot", name.host()))
                .hint("use --name for long names"))
        }
        _ => Ok(name),
    }
}

/// The host of a worker without a given name: of the same kind as its peers'.
fn own_host(peers: &[NodeName]) -> String {
    match peers {
        _ if peers.iter().any(NodeName::is_long) => long_host(peers),
        // The only short name that works without a name service.
        _ if peers.iter().any(|peer| peer.host() == "localhost") => "localhost".to_owned(),
        _ => short_host(),
    }
}

fn short_host() -> String {
    let host = host_name();
    host.split('.').next().filter(|host| !host.is_empty()).unwrap_or("localhost").to_owned()
}

/// The host's full name, or the source address for this peer or for distant hosts.
fn long_host(peers: &[NodeName]) -> String {
    let host = host_name();
    if peers.is_empty() && host.contains('.') {
        return host;
    }
    let own = match peers.iter().find(|peer| peer.is_long()) {
        Some(peer) => peer.host().parse().ok().and_then(|peer| outgoing(peer).ok()),
        None => outgoing_far().ok(),
    };
    own.unwrap_or_else(loopback).to_string()
}

/// The name of this machine.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: Option<&str>, sname: Option<&str>) -> Result<String, Failure> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let settings = Settings { name: owned(name), sname: owned(sname), ..Settings::default() };
        super::written_name(&settings, &[]).map(|name| name.unwrap().to_string())
    }

    #[test]
    fn names_that_are_given_are_checked() {
        assert_eq!(named(Some("a@10.0.0.1"), None).unwrap(), "a@10.0.0.1");
        assert_eq!(named(None, Some("a@box")).unwrap(), "a@box");
        assert!(named(None, Some("a")).unwrap().starts_with("a@"));
        let hint = |result: Result<String, Failure>| result.unwrap_err().to_string();
        assert!(hint(named(Some("a@box"), None)).contains("--sname"));
        assert!(hint(named(None, Some("a@box.lan"))).contains("--name"));
        assert!(hint(named(Some("a@b@c.d"), None)).contains("NAME@HOST"));
    }

    #[test]
    fn hosts_of_workers_are_of_the_peers_kind() {
        let host =
            |peer: Option<&str>| own_host(&peer.iter().map(|peer| peer.parse().unwrap()).collect::<Vec<NodeName>>());
        assert_eq!(host(Some("a@127.0.0.1")), "127.0.0.1");
        assert_eq!(host(Some("a@::1")), "::1");
        assert_eq!(host(Some("a@localhost")), "localhost");
        assert!(!host(Some("a@box")).contains('.'));
        assert!(!host(None).contains('.'));
    }

    #[test]
    fn no_epmd_needs_a_port() {
        let settings = Settings { epmd: Some(EpmdChoice::None), ..Settings::default() };
        assert!(epmd(&settings).unwrap_err().to_string().contains("--dist-port"));
        let settings = Settings { dist_port: Some("9100".parse().unwrap()), ..settings };
        assert_eq!(epmd(&settings).unwrap(), Epmd::None { port: 9100 });
    }
}
