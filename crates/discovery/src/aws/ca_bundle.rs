//! The certificate authorities of `AWS_CA_BUNDLE`, trusted in addition to the system's: for networks whose proxy
//! decrypts traffic.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use aws_smithy_http_client::tls::TrustStore;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::StrategyError;

/// The trusted authorities: those of the system, and those in the file that `AWS_CA_BUNDLE` names.
///
/// # Errors
/// If the file is named but unusable; the next call reads it again.
pub(super) fn trusted() -> Result<TrustStore, StrategyError> {
    static TRUSTED: OnceLock<TrustStore> = OnceLock::new();
    if let Some(trusted) = TRUSTED.get() {
        return Ok(trusted.clone());
    }
    let trusted = match std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from) {
        Some(path) => with_bundle(&path).map_err(|message| StrategyError::CaBundle { path, message })?,
        None => TrustStore::default(),
    };
    Ok(TRUSTED.get_or_init(|| trusted).clone())
}

fn with_bundle(path: &Path) -> Result<TrustStore, String> {
    /// System-wide bundles have a few hundred kilobytes.
    const LARGEST: u64 = 16 << 20;
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if about.len() > LARGEST {
        return Err(format!("it is larger than {} MiB", LARGEST >> 20));
    }
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut trusted = TrustStore::default();
    let (mut good, mut bad) = (0, 0);
    for certificate in certificates(&String::from_utf8_lossy(&text)) {
        // The store accepts only usable certificates.
        let is_good = CertificateDer::from_pem_slice(certificate.as_bytes())
            .is_ok_and(|certificate| RootCertStore::empty().add(certificate).is_ok());
        if is_good {
            trusted.add_pem_certificate(certificate.as_bytes());
            good += 1;
        } else {
            bad += 1;
        }
    }
    match (good, bad) {
        (0, 0) => Err("it has no certificates (PEM)".to_owned()),
        (0, bad) => Err(format!("none of its {bad} certificates can be read")),
        (_, 0) => Ok(trusted),
        (_, bad) => {
            tracing::warn!(path = %path.display(), bad, "certificates of AWS_CA_BUNDLE that cannot be read are left out");
            Ok(trusted)
        }
    }
}

/// The certificates of a PEM file, each with its first and last line.
fn certificates(text: &str) -> impl Iterator<Item = &str> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    text.match_indices(BEGIN).map(|(start, _)| {
        let rest = &text[start..];
        // Skip a truncated certificate.
        rest.find(END).map_or(BEGIN, |end| &rest[..end + END.len()])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<TrustStore, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bundle.pem");
        std::fs::write(&path, text).unwrap();
        with_bundle(&path)
    }

    #[test]
    fn what_is_no_bundle_is_told() {
        assert_eq!(with("").unwrap_err(), "it has no certificates (PEM)");
        assert_eq!(with("\u{fffd}\0").unwrap_err(), "it has no certificates (PEM)");
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        let wrong = format!("{cut}-----END CERTIFICATE-----\n");
        assert_eq!(with(cut).unwrap_err(), "none of its 1 certificates can be read");
        assert_eq!(with(&format!("{wrong}{wrong}{cut}")).unwrap_err(), "none of its 3 certificates can be read");
        assert!(with_bundle(Path::new("/no/such/file")).unwrap_err().contains("No such file"));
        assert!(with_bundle(Path::new("/")).is_err());
    }
}
