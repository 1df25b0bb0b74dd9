//! The addresses of hosts.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The most names that are resolved at a time. A resolution keeps a thread until the name server answers, even when nobody waits for
/// it any more, and the runtime needs free threads for work that blocks.
static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(128)));

/// The addresses of a host with this port, as the system resolves its name. An address needs no resolution.
///
/// # Errors
/// If the host has none, or the name server does not answer.
pub async fn addresses_of(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = host.to_owned();
    resolve(&PLACES, &host.clone(), port, move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
}

async fn resolve(
    places: &Arc<Semaphore>,
    host: &str,
    port: u16,
    resolve: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let resolve = move || {
        let _place = place;
        resolve()
    };
    spawn_blocking(resolve).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_resolution_that_was_given_up_keeps_its_place() {
        const SOON: Duration = Duration::from_millis(50);
        let places = Arc::new(Semaphore::new(1));
        let (answer, silent) = mpsc::channel::<()>();
        let slow = resolve(&places, "slow", 1, move || {
            let _ = silent.recv();
            Ok(Vec::new())
        });
        assert!(timeout(SOON, slow).await.is_err());
        let found = || Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 1))]);
        assert!(timeout(SOON, resolve(&places, "next", 1, found)).await.is_err());
        let addresses = resolve(&places, "::1", 1, || Err(io::ErrorKind::NotFound.into())).await;
        assert_eq!(addresses.unwrap(), ["[::1]:1".parse().unwrap()]);
        answer.send(()).unwrap();
        assert_eq!(resolve(&places, "next", 1, found).await.unwrap().len(), 1);
    }
}
