//! The parts of a certificate that rustls does not give (RFC 5280 section 4.1).

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The names for which a certificate is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) dns: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
    /// The name in the subject, which counts only in a certificate that has no alternative names.
    pub(super) common: Option<String>,
}

/// Reads a certificate, without verifying it; `None` if it is none.
pub(super) fn read(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

impl Names {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut names = Self::default();
        match certificate.subject_alternative_name() {
            Ok(Some(alternatives)) => {
                for name in &alternatives.value.general_names {
                    match name {
                        GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                        GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                        _ => {}
                    }
                }
            }
            Ok(None) => {
                // The most specific one is the last.
                let common = certificate.subject().iter_common_name().last();
                names.common = common.and_then(|name| name.as_str().ok()).map(str::to_owned);
            }
            // It has alternative names, which cannot be read.
            Err(_) => {}
        }
        names
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn names(alternatives: Vec<SanType>) -> Names {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "common");
        params.subject_alt_names = alternatives;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Names::of(&read(certificate.der()).unwrap())
    }

    #[test]
    fn the_common_name_counts_only_without_alternative_names() {
        assert_eq!(names(vec![]), Names { common: Some("common".to_owned()), ..Names::default() });
        let address = IpAddr::from([10, 0, 0, 5]);
        let found = names(vec![SanType::DnsName("host".try_into().unwrap()), SanType::IpAddress(address)]);
        assert_eq!(found, Names { dns: vec!["host".to_owned()], addresses: vec![address], common: None });
    }

    #[test]
    fn bytes_that_are_no_certificate() {
        for bytes in [&[][..], &[0x30], &[0x30, 1], &[0x30, 0x80], &[0x30, 0x82, 1], &[0x30, 0x84, 0, 0, 0, 0]] {
            assert!(read(bytes).is_none(), "{bytes:?}");
        }
    }
}
