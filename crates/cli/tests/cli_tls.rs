//! Pages by HTTPS.

mod cluster;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use cluster::{Cluster, Pages, run};
use peerl_cli::page_client::Sum;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const BODY: &str = "a page that nobody else can read";

/// A server with a certificate for `localhost` that it has signed itself; and the certificate.
fn serve() -> (SocketAddr, String) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let chain = vec![CertificateDer::from(certified.cert.der().to_vec())];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream);
            // A client that does not trust us hangs up.
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
        }
    });
    (address, certified.cert.pem())
}

#[test]
fn a_page_of_a_server_that_is_trusted() {
    let (cluster, (address, certificate)) = (Cluster::start(), serve());
    let file = cluster.write("trusted.pem", certificate);
    let url = format!("https://localhost:{}/", address.port());
    let fetch = |trusted: &str, url: &str| {
        let mut command = cluster.command(&["checksum", url, "--local", "1", "--format", "json"]);
        command.env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR");
        run(command)
    };
    let ran = fetch(&file, &url);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()[0]["sha256"], Sum::of(BODY.as_bytes()).to_string());
    // Another name than that of the certificate.
    let ran = fetch(&file, &format!("https://127.0.0.1:{}/", address.port()));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.json()[0]["error"].as_str().unwrap().contains("TLS"), "{ran:?}");
}

#[test]
fn without_trusted_certificates_https_fails_and_http_does_not() {
    let (cluster, (address, _), pages) = (Cluster::start(), serve(), Pages::serve());
    let fetch = |url: &str| {
        let mut command = cluster.command(&["checksum", url, "--local", "1", "--format", "json"]);
        command.env("SSL_CERT_FILE", "/no/such/file").env("SSL_CERT_DIR", "/no/such/directory");
        run(command)
    };
    let ran = fetch(&format!("https://localhost:{}/", address.port()));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.json()[0]["error"].as_str().unwrap().contains("TLS"), "{ran:?}");
    assert_eq!(fetch(&pages.url("/0/x")).code, 0);
}
