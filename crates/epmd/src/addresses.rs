//! The addresses of hosts.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

tokio::task_local! {
    static OF_WORK: Vec<Arc<Semaphore>>;
}

/// The most names that are resolved at a time. A resolution keeps a thread until the name server answers, even when nobody waits for
/// it any more, and the runtime needs free threads for work that blocks.
static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(128)));

/// Does work whose look-ups of names take a place of each of these, too, and keep it until they end, even if the work is dropped
/// before: for work that somebody else asks for, who may name hosts of which no name server tells anything.
pub async fn in_places<T>(places: Vec<Arc<Semaphore>>, work: impl Future<Output = T>) -> T {
    OF_WORK.scope(places, work).await
}

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
    let mut held = Vec::new();
    // The common one last: who waits for others keeps none of it.
    for places in OF_WORK.try_with(Vec::clone).unwrap_or_default().iter().chain([places]) {
        held.push(places.clone().acquire_owned().await.map_err(io::Error::other)?);
    }
    let resolve = move || {
        let _held = held;
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

    #[tokio::test]
    async fn slow_names_of_some_work_keep_the_places_of_that_work() {
        const SOON: Duration = Duration::from_millis(50);
        let [places, of_work] = [(); 2].map(|()| Arc::new(Semaphore::new(2)));
        let mut answers = Vec::new();
        for number in 0..4 {
            let (answer, silent) = mpsc::channel::<()>();
            answers.push(answer);
            let slow = resolve(&places, "slow", 1, move || {
                let _ = silent.recv();
                Ok(Vec::new())
            });
            let own = Arc::new(Semaphore::new(1));
            let limits = if number == 0 { vec![of_work.clone(), own] } else { vec![own.clone(), of_work.clone(), own] };
            // Only the first one gets a thread: the others wait for a place that they have themselves.
            assert!(timeout(SOON, in_places(limits, slow)).await.is_err());
        }
        assert_eq!((places.available_permits(), of_work.available_permits()), (1, 1));
        let found = || Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 1))]);
        assert_eq!(timeout(SOON, resolve(&places, "next", 1, found)).await.unwrap().unwrap().len(), 1);
        drop(answers);
        assert_eq!(in_places(vec![of_work], resolve(&places, "next", 1, found)).await.unwrap().len(), 1);
    }
}
