//! The configuration of rustls for each role, made anew when a file has changed.

use std::fs;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use peerl_proto::error_chain::ErrorChain;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ConfigBuilder, ConfigSide, ServerConfig, WantsVerifier, WantsVersions};

use super::config::{CipherOrder, ClientCertificate, RoleOptions, ServerName, TlsConfig, Verify};
use super::credentials::Credentials;
use super::error::{TlsError, TlsRole};
use super::suites::lasting;
use super::verifier::{ClientVerifier, ServerVerifier};

/// A configuration, and the files from which it was made.
#[derive(Debug)]
pub(super) struct Role<C> {
    options: RoleOptions,
    make: fn(&RoleOptions) -> Result<C, TlsError>,
    loaded: Mutex<Loaded<C>>,
}

#[derive(Debug)]
struct Loaded<C> {
    config: Arc<C>,
    /// The files when the configuration was made, or when that failed last.
    files: Vec<Option<Stamp>>,
}

/// What changes when a file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Role<ServerConfig> {
    pub(super) fn server(options: RoleOptions) -> Result<Self, TlsError> {
        Self::new(options, server)
    }
}

impl Role<ClientConfig> {
    pub(super) fn client(options: RoleOptions) -> Result<Self, TlsError> {
        Self::new(options, client)
    }
}

impl<C> Role<C> {
    fn new(options: RoleOptions, make: fn(&RoleOptions) -> Result<C, TlsError>) -> Result<Self, TlsError> {
        // Before the files are read: one that changes meanwhile is read again.
        let files = stamps(&options);
        let config = Arc::new(make(&options)?);
        Ok(Self { options, make, loaded: Mutex::new(Loaded { config, files }) })
    }

    pub(super) fn options(&self) -> &RoleOptions {
        &self.options
    }

    /// The configuration of the files as they are now. While they cannot be used, perhaps because not all have been replaced
    /// yet, it is the last one that could.
    pub(super) fn config(&self) -> Arc<C> {
        let files = stamps(&self.options);
        let mut loaded = self.loaded.lock();
        if loaded.files != files {
            match (self.make)(&self.options) {
                Ok(config) => {
                    tracing::info!("the TLS certificates have changed, and count from now on");
                    loaded.config = Arc::new(config);
                }
                Err(error) => {
                    let error = ErrorChain(&error);
                    tracing::warn!(%error, "the TLS certificates have changed, but the earlier ones still count");
                }
            }
            loaded.files = files;
        }
        loaded.config.clone()
    }
}

fn stamps(options: &RoleOptions) -> Vec<Option<Stamp>> {
    let stamp = |path| {
        let file = fs::metadata(path).ok()?;
        Some(Stamp { modified: file.modified().ok(), length: file.len(), inode: inode(&file) })
    };
    TlsConfig::files(options).map(stamp).collect()
}

#[cfg(unix)]
fn inode(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
fn inode(_file: &fs::Metadata) -> u64 {
    0
}

fn server(options: &RoleOptions) -> Result<ServerConfig, TlsError> {
    let role = TlsRole::Server;
    let provider = provider(options);
    let credentials = Credentials::read(options, &provider)?;
    let missing = |option, purpose| TlsError::Missing { role, option, purpose };
    let own = credentials.own.ok_or_else(|| missing("certfile", "to show a certificate"))?;
    let builder = versions(ServerConfig::builder_with_provider(provider.clone()), options, role)?;
    let builder = match options.verify {
        Verify::None => builder.with_no_client_auth(),
        Verify::Peer => {
            let authorities = credentials.authorities.ok_or_else(|| missing("cacertfile", "to verify peers"))?;
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider);
            let verifier = match options.client_certificate {
                ClientCertificate::Required => verifier,
                ClientCertificate::Optional => verifier.allow_unauthenticated(),
            };
            let inner = verifier.build().map_err(|_| missing("cacertfile", "to verify peers"))?;
            builder.with_client_cert_verifier(Arc::new(ClientVerifier { inner, depth: options.depth }))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.ignore_client_order = options.cipher_order == CipherOrder::OfServer;
    // A session that is used again would not be verified.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(options: &RoleOptions) -> Result<ClientConfig, TlsError> {
    let role = TlsRole::Client;
    let provider = provider(options);
    let credentials = Credentials::read(options, &provider)?;
    let authorities = match (options.verify, credentials.authorities) {
        (Verify::None, _) => None,
        (Verify::Peer, Some(authorities)) => Some(authorities),
        (Verify::Peer, None) => {
            return Err(TlsError::Missing { role, option: "cacertfile", purpose: "to verify peers" });
        }
    };
    let algorithms = provider.signature_verification_algorithms;
    let verifier = ServerVerifier { authorities, depth: options.depth, name: options.server_name.clone(), algorithms };
    let builder = versions(ClientConfig::builder_with_provider(provider), options, role)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match credentials.own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.enable_sni = options.server_name != ServerName::Any;
    Ok(config)
}

fn provider(options: &RoleOptions) -> Arc<CryptoProvider> {
    let cipher_suites = options.cipher_suites.iter().copied().map(lasting).collect();
    Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() })
}

fn versions<S: ConfigSide>(
    builder: ConfigBuilder<S, WantsVersions>,
    options: &RoleOptions,
    role: TlsRole,
) -> Result<ConfigBuilder<S, WantsVerifier>, TlsError> {
    builder.with_protocol_versions(&options.versions).map_err(|_| TlsError::NoCipherSuite { role })
}
