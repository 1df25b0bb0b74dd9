//! Certificates and keys, read from their PEM form.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};

use super::certificate;
use super::config::RoleOptions;
use super::error::{TlsError, unusable};
use super::pem::Pem;

/// What a role shows its peers, and whom it trusts.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) own: Option<Arc<CertifiedKey>>,
    pub(super) authorities: Option<Arc<RootCertStore>>,
}

impl Credentials {
    /// Reads the files of a role.
    pub(super) fn read(options: &RoleOptions, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let authorities = options.authorities.as_ref().map(|pem| Ok((pem.path(), certificates(pem)?))).transpose()?;
        let known = authorities.as_ref().map_or(&[][..], |(_, certificates)| certificates);
        let own = options.certificate.as_ref().map(|certificate| {
            let key = options.key.as_ref().unwrap_or(certificate);
            own(certificate, key, known, provider).map(Arc::new)
        });
        let own = own.transpose()?;
        let authorities =
            authorities.map(|(path, certificates)| trusted(path, certificates).map(Arc::new)).transpose()?;
        Ok(Self { own, authorities })
    }
}

fn own(
    certificate: &Pem,
    key: &Pem,
    known: &[CertificateDer<'static>],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let mut chain = certificates(certificate)?;
    complete(&mut chain, known);
    let (path, key_path) = (certificate.path(), key.path());
    let mismatch = |problem: String| {
        let (key, certificate) = (key_path.to_owned(), path.to_owned());
        TlsError::Key { key, certificate, problem }
    };
    let key = private_key(key)?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| mismatch(error.to_string()))?;
    let own = CertifiedKey::new(chain, key);
    match own.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(own),
        Err(rustls::Error::InconsistentKeys(_)) => Err(mismatch("it does not belong to it".to_owned())),
        Err(error) => Err(TlsError::Certificate { path: path.to_owned(), problem: unusable(&error.to_string()) }),
    }
}

/// Adds the certificates between the node's and an authority's, as far as they are among the authorities: OTP builds its chain
/// from them.
fn complete(chain: &mut Vec<CertificateDer<'static>>, known: &[CertificateDer<'static>]) {
    // No chain is longer than the certificates that are known.
    for _ in known {
        let Some(last) = chain.last().and_then(|last| certificate::read(last)) else { return };
        if last.issuer().as_raw() == last.subject().as_raw() {
            return;
        }
        let issuer = known.iter().find(|known| {
            certificate::read(known).is_some_and(|known| known.subject().as_raw() == last.issuer().as_raw())
        });
        match issuer {
            Some(issuer) if !chain.contains(issuer) => chain.push(issuer.clone()),
            _ => return,
        }
    }
}

fn trusted(path: &Path, certificates: Vec<CertificateDer<'static>>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store
            .add(certificate)
            .map_err(|error| TlsError::Certificate { path: path.to_owned(), problem: unusable(&error.to_string()) })?;
    }
    Ok(store)
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let path = pem.path();
    let pem = contents(pem)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(TlsError::NoCertificate(path.to_owned())),
        Err(_) => {
            Err(TlsError::Certificate { path: path.to_owned(), problem: "is damaged in its PEM form".to_owned() })
        }
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path = pem.path();
    let pem = contents(pem)?;
    // PKCS #8 says so in its label, the older forms in a header.
    let is_encrypted = ["ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| pem.windows(mark.len()).any(|window| window == mark.as_bytes()));
    match PrivateKeyDer::from_pem_slice(&pem) {
        _ if is_encrypted => Err(TlsError::EncryptedKey(path.to_owned())),
        Ok(key) => Ok(key),
        Err(_) => Err(TlsError::NoKey(path.to_owned())),
    }
}

fn contents(pem: &Pem) -> Result<Vec<u8>, TlsError> {
    match pem.as_text() {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => fs::read(pem.path()).map_err(|source| TlsError::Read { path: pem.path().to_owned(), source }),
    }
}
