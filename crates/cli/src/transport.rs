//! How the node of a command reaches its peers: by TCP or by TLS.

use peerl_node::NodeBuilder;
use std::path::Path;

use peerl_node::transport::{Family, Pem, Tcp, Tls, TlsConfig, TlsError};

use crate::failure::Failure;
use crate::settings::{ProtoDist, Settings};

/// Sets the transport of a node. Certificates without `--proto-dist` are for TLS, with addresses of any family.
///
/// # Errors
/// If TLS is set without certificates, or they cannot be used.
pub fn with_transport(settings: &Settings, builder: NodeBuilder) -> Result<NodeBuilder, Failure> {
    let family = settings.proto_dist.map_or(Family::Any, ProtoDist::family);
    let has_tls = match settings.proto_dist {
        Some(proto_dist) => proto_dist.has_tls(),
        None => settings.tls_config.is_some() || settings.has_tls_files(),
    };
    Ok(match has_tls {
        true => builder.transport(Tls::over(Tcp::of_family(family), tls_config(settings)?)?),
        false => builder.transport(Tcp::of_family(family)),
    })
}

/// The file of a setting, or the text itself: containers get secrets as variables.
fn pem(name: &str, setting: &Path) -> Pem {
    match setting.to_str() {
        Some(text) if text.trim_start().starts_with("-----BEGIN ") => Pem::text(name, text),
        _ => setting.into(),
    }
}

fn tls_config(settings: &Settings) -> Result<TlsConfig, Failure> {
    if let Some(path) = &settings.tls_config {
        return Ok(TlsConfig::from_optfile(path)?);
    }
    match (&settings.tls_cert, &settings.tls_ca) {
        (Some(certificate), Some(authorities)) => {
            let certificate = pem("the text of tls_cert", certificate);
            // The key may be in the file of the certificate.
            let key = settings.tls_key.as_ref().map_or(certificate.clone(), |key| pem("the text of tls_key", key));
            let config = TlsConfig::mutual(certificate, key, pem("the text of tls_ca", authorities));
            Ok(match &settings.tls_server_name {
                Some(name) => config.server_name(name),
                None => config,
            })
        }
        _ => Err(Failure::usage("TLS needs the certificates of this node and of the cluster's authority").hint(
            "give --tls-cert, --tls-key and --tls-ca, or with --tls-config the file that the cluster's nodes have as -ssl_dist_optfile",
        )),
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        let failure = Failure::from_error(&error);
        match &error {
            TlsError::UnknownOption { .. } | TlsError::Option { .. } => {
                failure.hint("give peerl a file without this option; docs/how-to-tls.md lists those that it has")
            }
            TlsError::EncryptedKey(path) => failure.hint(format!(
                "decrypt it into a file that only peerl's user can read, as by openssl pkey -in {} -out FILE",
                path.display()
            )),
            _ => failure,
        }
    }
}
