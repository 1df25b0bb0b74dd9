//! Certificates for TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use crate::tool;

/// An authority that signs certificates, each in a directory of its own that is visible to all BEAM nodes at the same path.
/// The directories are deleted with the authority.
pub struct Authority {
    directory: TempDir,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate and of its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, and those between it and the authority's.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The certificate of the authority.
    pub authority: PathBuf,
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// P-256.
    Ec,
    /// RSA with 2048 bits.
    Rsa,
}

impl KeyKind {
    fn generate(self) -> KeyPair {
        match self {
            Self::Ec => KeyPair::generate().expect("a key"),
            Self::Rsa => {
                let mut command = Command::new(tool::require("openssl"));
                command.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
                let output = command.output().expect("openssl runs");
                assert!(output.status.success(), "{output:?}");
                KeyPair::from_pem(&String::from_utf8(output.stdout).expect("PEM is text")).expect("a key")
            }
        }
    }
}

impl Authority {
    /// A new authority with an elliptic key.
    pub fn new() -> Self {
        Self::named("an authority of tests", KeyKind::Ec)
    }

    /// A new authority with this name, and a key of this kind.
    pub fn named(name: &str, kind: KeyKind) -> Self {
        let key = kind.generate();
        let params = Self::params(name);
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let directory = tempfile::tempdir_in("/tmp").expect("a directory for certificates");
        fs::write(directory.path().join("ca.pem"), &certificate).expect("the directory can be written");
        Self { directory, certificate, issuer: Issuer::new(params, key) }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    /// The file of its certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Signs a certificate with an elliptic key for these names, in files that begin with `stem`.
    pub fn issue(&self, stem: &str, names: &[&str]) -> Identity {
        self.issue_with(stem, KeyKind::Ec, names, |_| {})
    }

    /// Signs a certificate that differs from the usual one, for these names.
    pub fn issue_with(
        &self,
        stem: &str,
        kind: KeyKind,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        self.write(stem, kind, names, change, &self.issuer, "")
    }

    /// Signs a certificate by another one between it and the authority's. Its file has both.
    pub fn issue_by_intermediate(&self, stem: &str, names: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = Self::params("an authority between");
        let intermediate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        self.write(stem, KeyKind::Ec, names, |_| {}, &Issuer::new(params, key), &intermediate)
    }

    fn write(
        &self,
        stem: &str,
        kind: KeyKind,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
        issuer: &Issuer<'_, KeyPair>,
        more: &str,
    ) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names for a certificate");
        params.distinguished_name.push(DnType::CommonName, stem);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = kind.generate();
        let certificate = params.signed_by(&key, issuer).expect("a certificate").pem();
        let file = |suffix: &str, text: String| {
            let path = self.directory.path().join(format!("{stem}{suffix}"));
            // At once, as an orderly renewal does.
            let new = path.with_extension("new");
            fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).expect("the directory can be written");
            path
        };
        Identity {
            certificate: file(".pem", certificate + more),
            key: file("-key.pem", key.serialize_pem()),
            authority: self.file(),
        }
    }

    /// The authority's certificate, in PEM form.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Identity {
    /// Writes a file of options for OTP's `-ssl_dist_optfile`: mutual verification, with further options for both roles
    /// (each of which begins with a comma).
    pub fn optfile(&self, more: &str) -> PathBuf {
        self.optfile_of("verify_peer", more)
    }

    /// Writes a file of options with this value of `verify`.
    pub fn optfile_of(&self, verify: &str, more: &str) -> PathBuf {
        let [certificate, key, authority] =
            [&self.certificate, &self.key, &self.authority].map(|path| path.display().to_string());
        let both = format!(
            "{{certfile, \"{certificate}\"}}, {{keyfile, \"{key}\"}}, {{cacertfile, \"{authority}\"}}, {{verify, {verify}}}{more}"
        );
        let required = if verify == "verify_peer" { ", {fail_if_no_peer_cert, true}" } else { "" };
        let path = self.certificate.with_extension("conf");
        fs::write(&path, format!("[{{server, [{both}{required}]}},\n {{client, [{both}]}}].\n"))
            .expect("the directory can be written");
        path
    }
}
