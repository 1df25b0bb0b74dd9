//! Certificates for the nodes of the demo, which are deleted with it.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use peerl_node::transport::TlsConfig;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::failure::Failure;

/// An authority, and one certificate for all nodes of a host, in a directory that only this user can read.
pub(super) struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    pub(super) fn make(host: IpAddr) -> Result<Self, Failure> {
        let directory = std::env::temp_dir().join(format!("peerl-demo-{:016x}", fastrand::u64(..)));
        // It must be new: another user could have made it.
        DirBuilder::new().mode(0o700).create(&directory).map_err(|error| cannot_write(&directory, &error))?;
        let certificates = Self { directory };
        let (authority, node) =
            sign(host).map_err(|error| Failure::new(format!("cannot sign certificates: {error}")))?;
        for (name, text) in [(AUTHORITY, authority), (NODE, node)] {
            let path = certificates.directory.join(name);
            fs::write(&path, text).map_err(|error| cannot_write(&path, &error))?;
        }
        Ok(certificates)
    }

    /// The settings of a node.
    pub(super) fn config(&self) -> TlsConfig {
        let node = self.directory.join(NODE);
        TlsConfig::mutual(&node, &node, self.directory.join(AUTHORITY))
    }

    /// The options of a worker.
    pub(super) fn options(&self) -> [(&'static str, PathBuf); 2] {
        [("--tls-cert", self.directory.join(NODE)), ("--tls-ca", self.directory.join(AUTHORITY))]
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!(%error, "cannot delete {}", self.directory.display());
        }
    }
}

const AUTHORITY: &str = "ca.pem";

/// The certificate and its key.
const NODE: &str = "node.pem";

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}

/// Makes an authority, and has it sign a certificate; both in PEM form.
fn sign(host: IpAddr) -> Result<(String, String), rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "the authority of peerl demo");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = params.self_signed(&authority_key)?;
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([host.to_string()])?;
    params.distinguished_name.push(DnType::CommonName, "a node of peerl demo");
    let node = params.signed_by(&key, &issuer)?;
    Ok((authority.pem(), node.pem() + &key.serialize_pem()))
}
