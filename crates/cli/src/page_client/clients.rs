//! The HTTP clients of a page client.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, ClientBuilder};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;

use super::kept_hosts::KeptHosts;

/// Two HTTP clients: one keeps its connections for further pages, the other does not.
#[derive(Debug)]
pub(super) struct Clients {
    /// Tells the connections of these clients from those of others.
    pub(super) number: u64,
    keeping: OnceLock<Client>,
    closing: OnceLock<Client>,
}

/// What becomes of a connection after its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It is kept for some time.
    Keep,
    /// It is closed.
    Close,
}

impl Clients {
    /// The client for connections of this kind, which is built by the first page.
    ///
    /// # Errors
    /// If it cannot be built.
    pub(super) fn get(
        &self,
        afterwards: Afterwards,
        adapt: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> reqwest::Result<&Client> {
        let (client, idle) = match afterwards {
            Afterwards::Keep => (&self.keeping, KeptHosts::CONNECTIONS),
            Afterwards::Close => (&self.closing, 0),
        };
        if let Some(client) = client.get() {
            return Ok(client);
        }
        let builder = Client::builder()
            .user_agent(concat!("peerl/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(idle)
            .pool_idle_timeout(KeptHosts::TIME)
            .tls_backend_preconfigured(tls().clone());
        let built = adapt(builder).build()?;
        Ok(client.get_or_init(|| built))
    }
}

impl Default for Clients {
    fn default() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { number, keeping: OnceLock::new(), closing: OnceLock::new() }
    }
}

/// The TLS of all clients, with the certificates of the operating system. Callers' rules have clients of their own, and to read the
/// certificates for each would take milliseconds and a megabyte.
fn tls() -> &'static ClientConfig {
    static TLS: OnceLock<ClientConfig> = OnceLock::new();
    TLS.get_or_init(|| {
        // A provider may have been installed already; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let verified = ClientConfig::builder().with_platform_verifier();
        let mut config = match verified {
            Ok(builder) => builder.with_no_client_auth(),
            Err(error) => {
                // A machine without certificates can still fetch by HTTP; HTTPS connections fail.
                tracing::warn!(%error, "no certificates of the operating system; HTTPS will not work");
                let nobody = rustls::RootCertStore::empty();
                ClientConfig::builder().with_root_certificates(nobody).with_no_client_auth()
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    })
}
