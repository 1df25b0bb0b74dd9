//! Which certificates of peers are accepted.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme};

use super::certificate::{self, Names};
use super::config::ServerName as NameToVerify;
use super::error::TlsFault;

/// Verifies the certificates of peers to which this node connects.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    /// `None`: any certificate is accepted (`verify_none`).
    pub(super) authorities: Option<Arc<RootCertStore>>,
    pub(super) depth: usize,
    pub(super) name: NameToVerify,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let intermediates = &intermediates[..self.depth.min(intermediates.len())];
        verify_server_cert_signed_by_trust_anchor(&certificate, authorities, intermediates, now, self.algorithms.all)?;
        if self.name != NameToVerify::Any {
            match verify_server_name(&certificate, server_name) {
                Ok(()) => {}
                Err(rustls::Error::InvalidCertificate(_)) => verify_name_as_otp(end_entity, &server_name.to_str())?,
                Err(error) => return Err(error),
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts two kinds of names that OTP accepts and rustls does not: an address that is written as a DNS name, as OTP 25 needs
/// it, and the name in the subject of a certificate without alternative names, as up to OTP 28.
fn verify_name_as_otp(certificate: &CertificateDer<'_>, host: &str) -> Result<(), rustls::Error> {
    let names = certificate::read(certificate).map(|certificate| Names::of(&certificate)).unwrap_or_default();
    let is_address = host.parse::<IpAddr>().is_ok();
    let is_named = match &names.common {
        Some(name) => name.eq_ignore_ascii_case(host),
        None => is_address && names.dns.iter().any(|name| name == host),
    };
    if is_named {
        return Ok(());
    }
    let fault = TlsFault::Name { host: host.to_owned(), names: listed(names) };
    Err(CertificateError::Other(OtherError(Arc::new(fault))).into())
}

/// The names of a certificate for a message: a few, since a peer has chosen them.
fn listed(names: Names) -> String {
    const MOST: usize = 5;
    let addresses = names.addresses.iter().map(IpAddr::to_string);
    let all: Vec<String> = names.dns.into_iter().chain(addresses).chain(names.common).collect();
    let shown: Vec<String> = all.iter().take(MOST).map(|name| name.escape_debug().take(100).collect()).collect();
    match all.len() {
        0 => "no name".to_owned(),
        count if count > MOST => format!("{} and {} more", shown.join(", "), count - MOST),
        _ => shown.join(", "),
    }
}

/// Verifies the certificates of peers that connect to this node, as rustls does, to a certain depth.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    pub(super) inner: Arc<dyn ClientCertVerifier>,
    pub(super) depth: usize,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.inner.verify_client_cert(end_entity, &intermediates[..self.depth.min(intermediates.len())], now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
