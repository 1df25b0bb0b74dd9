//! The pages: served from memory, after a delay if requested.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A page server in this process.
pub(crate) struct Pages {
    address: SocketAddr,
}

/// The common properties of a job's pages.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) bytes: usize,
    pub(crate) wait: Duration,
}

impl Pages {
    const LONGEST: usize = 4 << 20;

    pub(crate) fn serve(runtime: &Runtime) -> Self {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let noise: Bytes = (0..Self::LONGEST + 65_536).map(|at| (at * at / 7 % 251) as u8).collect::<Vec<_>>().into();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let noise = noise.clone();
                let service = service_fn(move |request| answer(request, noise.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address }
    }

    /// The URLs of this many pages with different contents.
    pub(crate) fn urls(&self, count: usize, kind: Kind) -> Vec<String> {
        let wait = kind.wait.as_millis();
        (0..count).map(|number| format!("http://{}/{number}/{}/{wait}", self.address, kind.bytes)).collect()
    }
}

/// `/NUMBER/BYTES/MILLISECONDS`
async fn answer(request: Request<Incoming>, noise: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut numbers = request.uri().path().split('/').skip(1).map(|number| number.parse().unwrap_or(0_usize));
    let mut next = || numbers.next().unwrap_or(0);
    let (number, bytes, wait) = (next() % 65_536, next().min(Pages::LONGEST), next());
    if wait > 0 {
        tokio::time::sleep(Duration::from_millis(wait as u64)).await;
    }
    Ok(Response::new(Full::new(noise.slice(number..number + bytes))))
}
