//! The settings of TLS.

use std::path::{Path, PathBuf};

use rustls::crypto::ring::cipher_suite;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// How a node shows its peers by TLS who it is, and which of them it accepts: the names of files and what is verified. The files
/// are read when the node starts, and again when they change.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    pub(super) server: Option<RoleOptions>,
    pub(super) client: Option<RoleOptions>,
}

impl TlsConfig {
    /// Mutual verification, in both roles: each node has a certificate that an authority of `authorities` has signed, and the
    /// certificate of a node to which this one connects is for the host of its name. All files are in PEM form; after the
    /// certificate those between it and its authority may follow.
    pub fn mutual(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>, authorities: impl Into<PathBuf>) -> Self {
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

    /// All files on which the settings depend.
    pub(super) fn files(options: &RoleOptions) -> impl Iterator<Item = &Path> {
        [&options.certificate, &options.key, &options.authorities].into_iter().flatten().map(PathBuf::as_path)
    }
}

/// The settings of one role.
#[derive(Debug, Clone)]
pub(super) struct RoleOptions {
    pub(super) verify: Verify,
    pub(super) client_certificate: ClientCertificate,
    pub(super) certificate: Option<PathBuf>,
    /// Without it, the key is in the file of the certificate.
    pub(super) key: Option<PathBuf>,
    pub(super) authorities: Option<PathBuf>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) cipher_suites: Vec<SupportedCipherSuite>,
    /// The most certificates between that of a peer and an authority's.
    pub(super) depth: usize,
    pub(super) server_name: ServerName,
    pub(super) cipher_order: CipherOrder,
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

/// The cipher suites of rustls, in its order of preference, by the names of OpenSSL, which OTP uses too, and of the standard.
pub(super) const CIPHER_SUITES: [(&str, &str, SupportedCipherSuite); 9] = [
    ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", cipher_suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", cipher_suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];
