//! What is wrong with the settings of TLS, and why peers do not agree.

use std::fmt;
use std::io;
use std::path::PathBuf;

use peerl_proto::handshake::ForeignProtocol;
use peerl_term::text::ParseError;
use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

/// The part of a node in a connection: the node that opens it is the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsRole {
    /// For peers that connect to this node.
    Server,
    /// For peers to which this node connects.
    Client,
}

impl fmt::Display for TlsRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// Why the settings of TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file of options is not an Erlang term.
    #[error("{} is not a file of TLS options, [{{server, [...]}}, {{client, [...]}}]", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The place.
        source: ParseError,
    },
    /// The file of options is a term of another shape.
    #[error("{} has {found} where {expected} should be", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// An option that peerl does not know.
    #[error("{}: peerl has no option {option} for the {role}", path.display())]
    UnknownOption {
        /// The file.
        path: PathBuf,
        /// The role.
        role: TlsRole,
        /// Its name.
        option: String,
    },
    /// An option whose value peerl cannot honour.
    #[error("{}: the option {option} of the {role} {problem}", path.display())]
    Option {
        /// The file.
        path: PathBuf,
        /// The role.
        role: TlsRole,
        /// Its name.
        option: String,
        /// What is wrong.
        problem: String,
    },
    /// A role lacks an option that it needs.
    #[error("TLS needs the option {option} for the {role}, {purpose}")]
    Missing {
        /// The role.
        role: TlsRole,
        /// The option that is missing.
        option: &'static str,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// A file holds no certificate.
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// A certificate cannot be used.
    #[error("a certificate in {} {problem}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The reason.
        problem: String,
    },
    /// A file holds no private key.
    #[error("{} holds no private key in PEM form", .0.display())]
    NoKey(PathBuf),
    /// A key is encrypted.
    #[error("the private key in {} is encrypted, and peerl reads keys that are not", .0.display())]
    EncryptedKey(PathBuf),
    /// A key cannot be used, or is not the certificate's.
    #[error("the private key in {} cannot be used with the certificate in {}: {problem}", key.display(), certificate.display())]
    Key {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
        /// The reason.
        problem: String,
    },
    /// The versions and the cipher suites leave nothing to offer.
    #[error("no cipher suite of the {role} is one of its versions")]
    NoCipherSuite {
        /// The role.
        role: TlsRole,
    },
}

/// Why two nodes do not agree on TLS. It is the cause in the [`io::Error`] of the attempt to connect.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// The peer's certificate is refused.
    #[error("its certificate {}", reason(.0))]
    Certificate(CertificateError),
    /// The certificate has other names than the peer's host.
    #[error("its certificate is for {names}, and not for {host}")]
    Name {
        /// The host of the peer's name.
        host: String,
        /// The names in the certificate.
        names: String,
    },
    /// The peer's certificate is of a kind that rustls does not take.
    #[error("its certificate {0}")]
    UnusableCertificate(String),
    /// The peer shows no certificate.
    #[error("it has no certificate, which this node requires")]
    NoCertificate,
    /// The peer refuses this node.
    #[error("it refuses this node: {}", refusal(*.0))]
    Refused(AlertDescription),
    /// The versions or the cipher suites have nothing in common.
    #[error("no TLS version and cipher suite is common to both nodes: {0}")]
    Incompatible(String),
    /// The peer speaks the distribution without TLS.
    #[error("it speaks no TLS: it is a node without -proto_dist inet_tls (of peerl: --proto-dist inet_tls)")]
    Plain,
    /// The peer speaks another protocol.
    #[error("it speaks no TLS, but {0}")]
    Foreign(ForeignProtocol),
    /// The peer's bytes are not of TLS.
    #[error("it speaks no TLS")]
    NoTls,
    /// The peer closed the connection before any handshake.
    #[error(
        "it closed the connection in the TLS handshake without a reason: perhaps it is a node without -proto_dist inet_tls"
    )]
    Closed,
    /// The host of the peer's name cannot be in a certificate.
    #[error("its host {0:?} cannot be the name in a certificate")]
    Host(String),
    /// The settings of this node cannot be used.
    #[error("the TLS settings of this node: {0}")]
    Settings(String),
    /// Something else.
    #[error("TLS: {0}")]
    Other(String),
}

impl TlsFault {
    /// The fault that is the cause of an error.
    pub fn of(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?;
        if let Some(fault) = inner.downcast_ref::<Self>() {
            return Some(fault.clone());
        }
        inner.downcast_ref::<rustls::Error>().map(Self::of_rustls)
    }

    /// The error of a stream.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }

    pub(super) fn of_rustls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
                match other.0.downcast_ref::<TlsFault>() {
                    Some(fault) => fault.clone(),
                    None => Self::UnusableCertificate(unusable(&other.to_string())),
                }
            }
            rustls::Error::InvalidCertificate(error) => Self::Certificate(error.clone()),
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::AlertReceived(alert) => Self::Refused(*alert),
            rustls::Error::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon) => {
                Self::Other("no kind of signature is common to both nodes".to_owned())
            }
            rustls::Error::PeerIncompatible(why) => Self::Incompatible(format!("{why:?}")),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NoTls,
            other => Self::Other(other.to_string()),
        }
    }
}

/// What is wrong with a certificate that rustls cannot use, of its own or of a peer: it has no enum for these errors.
pub(super) fn unusable(error: &str) -> String {
    match error {
        text if text.contains("CaUsedAsEndEntity") => {
            "is that of an authority (CA:TRUE), which no node may have: sign one for the node with it".to_owned()
        }
        text if text.contains("UnsupportedCertVersion") => {
            "is of X.509 version 1: sign it again with extensions, such as its names (openssl x509 -extfile)".to_owned()
        }
        text => format!("cannot be used: {text}"),
    }
}

/// What is wrong with a certificate.
fn reason(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: check the clocks of both hosts".to_owned()
        }
        CertificateError::UnknownIssuer => "is not signed by an authority of this node's cacertfile".to_owned(),
        CertificateError::BadSignature => {
            "is signed by another authority of the same name as one of this node's cacertfile".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for this purpose: its extended key usage must have serverAuth and clientAuth, or be absent"
                .to_owned()
        }
        other => format!("is refused: {other}"),
    }
}

/// What a peer says by an alert.
fn refusal(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => "this node's certificate is not signed by an authority that it knows".to_owned(),
        AlertDescription::CertificateExpired => "this node's certificate has expired, or is not valid yet".to_owned(),
        AlertDescription::BadCertificate => "this node's certificate is bad".to_owned(),
        AlertDescription::CertificateUnknown => "it does not accept this node's certificate".to_owned(),
        AlertDescription::UnsupportedCertificate => "it cannot use this node's kind of certificate".to_owned(),
        AlertDescription::CertificateRequired => "it requires a certificate, and this node has none".to_owned(),
        AlertDescription::HandshakeFailure => {
            "this node's certificate is missing, or not for its host or this purpose; or no cipher suite is common to both"
                .to_owned()
        }
        AlertDescription::InsufficientSecurity => "no cipher suite is common to both".to_owned(),
        AlertDescription::ProtocolVersion => "no TLS version is common to both".to_owned(),
        other => format!("alert {other:?}"),
    }
}
