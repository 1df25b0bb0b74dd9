//! The settings of TLS.

use std::path::Path;

use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use super::pem::Pem;
use super::suites::CIPHER_SUITES;
use super::wear::MOST_RECORDS;

/// How a node shows its peers by TLS who it is, and which of them it accepts: certificates, and what is verified. Files are read
/// when the node starts, and again when they change.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    pub(super) server: Option<RoleOptions>,
    pub(super) client: Option<RoleOptions>,
}

impl TlsConfig {
    /// Mutual verification, in both roles: each node has a certificate that an authority of `authorities` has signed, and the
    /// certificate of a node to which this one connects is for the host of its name. After the certificate those between it and its
    /// authority may follow.
    pub fn mutual(certificate: impl Into<Pem>, key: impl Into<Pem>, authorities: impl Into<Pem>) -> Self {
        let options = RoleOptions {
            verify: Verify::Peer,
            client_certificate: ClientCertificate::Required,
            certificate: Some(certificate.into()),
            key: Some(key.into()),
            authorities: Some(authorities.into()),
            ..RoleOptions::default()
        };
        Self { server: Some(options.clone()), client: Some(options) }
    }

    /// Looks for this name in the certificates of the nodes to which this one connects, instead of the hosts of their names: for
    /// nodes that share a certificate.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        if let Some(client) = &mut self.client {
            client.server_name = ServerName::Given(name.into());
        }
        self
    }

    /// All files on which the settings depend.
    pub(super) fn files(options: &RoleOptions) -> impl Iterator<Item = &Path> {
        let all = [&options.certificate, &options.key, &options.authorities].into_iter().flatten();
        all.filter(|pem| pem.as_text().is_none()).map(Pem::path)
    }
}

/// The settings of one role.
#[derive(Debug, Clone)]
pub(super) struct RoleOptions {
    pub(super) verify: Verify,
    pub(super) client_certificate: ClientCertificate,
    pub(super) certificate: Option<Pem>,
    /// Without it, the key is in the file of the certificate.
    pub(super) key: Option<Pem>,
    pub(super) authorities: Option<Pem>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) cipher_suites: Vec<SupportedCipherSuite>,
    /// The most certificates between that of a peer and an authority's.
    pub(super) depth: usize,
    pub(super) server_name: ServerName,
    pub(super) cipher_order: CipherOrder,
    /// After how many records by TLS 1.2 the peers renegotiate.
    pub(super) renegotiate_at: u64,
}

impl Default for RoleOptions {
    fn default() -> Self {
        Self {
            verify: Verify::None,
            client_certificate: ClientCertificate::Optional,
            certificate: None,
            key: None,
            authorities: None,
            versions: vec![&version::TLS13, &version::TLS12],
            cipher_suites: CIPHER_SUITES.iter().map(|(_, _, suite)| *suite).collect(),
            depth: 10,
            server_name: ServerName::OfPeer,
            cipher_order: CipherOrder::OfClient,
            renegotiate_at: MOST_RECORDS,
        }
    }
}

/// Whether the peer's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verify {
    Peer,
    None,
}

/// Whether a server that verifies its peers takes those without a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientCertificate {
    Required,
    Optional,
}

/// Which name a client tells the server, and looks for in its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerName {
    /// The host of the peer's name.
    OfPeer,
    Given(String),
    /// None: a certificate for any name will do.
    Any,
}

/// Whose order of the cipher suites counts for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CipherOrder {
    OfClient,
    OfServer,
}
