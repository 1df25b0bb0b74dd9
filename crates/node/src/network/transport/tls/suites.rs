//! The cipher suites.

use std::sync::LazyLock;

use rustls::crypto::CipherSuiteCommon;
use rustls::crypto::ring::cipher_suite;
use rustls::{SupportedCipherSuite, Tls12CipherSuite};

use super::wear::MOST_RECORDS;

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

/// Those of TLS 1.2, each with as many records as OTP sends by its keys. By itself rustls closes a session of AES-GCM after a
/// sixteenth of them: it reckons with records of 16 KiB, and those of a distribution connection are mostly much smaller.
static LASTING: LazyLock<Vec<Tls12CipherSuite>> = LazyLock::new(|| {
    let of_tls12 = CIPHER_SUITES.iter().filter_map(|(_, _, suite)| match suite {
        SupportedCipherSuite::Tls12(suite) => Some(*suite),
        SupportedCipherSuite::Tls13(_) => None,
    });
    let lasting = |suite: &'static Tls12CipherSuite| Tls12CipherSuite {
        common: CipherSuiteCommon { confidentiality_limit: MOST_RECORDS, ..suite.common },
        ..*suite
    };
    of_tls12.map(lasting).collect()
});

/// A suite whose sessions end not before their keys have protected the most records.
pub(super) fn lasting(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    match suite {
        SupportedCipherSuite::Tls12(_) => LASTING
            .iter()
            .find(|lasting| lasting.common.suite == suite.suite())
            .map_or(suite, SupportedCipherSuite::Tls12),
        SupportedCipherSuite::Tls13(_) => suite,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_every_suite_last_as_long_as_those_of_otp() {
        for (name, _, suite) in CIPHER_SUITES {
            if let SupportedCipherSuite::Tls12(lasting) = lasting(suite) {
                assert_eq!(
                    (lasting.common.suite, lasting.common.confidentiality_limit),
                    (suite.suite(), MOST_RECORDS),
                    "{name}"
                );
            }
        }
    }
}
