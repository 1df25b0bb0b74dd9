//! Pages, and a service of AWS, by HTTPS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::cluster::{Cluster, Pages, run};
use peerl_cli::page_client::Sum;
use peerl_test_support::aws_env;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const BODY: &str = "a page that nobody else can read";

/// A server with a self-signed certificate for `localhost` that answers each request with a body; and the
/// certificate.
fn serve(body: &'static str) -> (SocketAddr, String) {
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
            // A client that does not trust the certificate disconnects.
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    (address, certified.cert.pem())
}

#[test]
fn a_page_of_a_server_that_is_trusted() {
    let (cluster, (address, certificate)) = (Cluster::start(), serve(BODY));
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
    // A name that is not in the certificate.
    let ran = fetch(&file, &format!("https://127.0.0.1:{}/", address.port()));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.json()[0]["error"].as_str().unwrap().contains("TLS"), "{ran:?}");
}

#[test]
fn without_trusted_certificates_https_fails_and_http_does_not() {
    let (cluster, (address, _), pages) = (Cluster::start(), serve(BODY), Pages::serve());
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

/// `AWS_CA_BUNDLE` adds authorities to the system's.
#[test]
fn a_service_of_aws_behind_an_authority_of_ones_own() {
    /// A running instance.
    const ANSWER: &str = "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
        <reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><privateIpAddress>10.0.0.7</privateIpAddress>\
        <instanceState><code>16</code><name>running</name></instanceState><tagSet><item><key>release</key><value>r1</value>\
        </item></tagSet></item></instancesSet></item></reservationSet></DescribeInstancesResponse>";
    let (cluster, (address, certificate)) = (Cluster::start(), serve(ANSWER));
    let good = cluster.write("bundle.pem", format!("# the proxy's\n{certificate}"));
    let wrong = certificate.lines().map(|line| if line.contains("--") { line } else { "AAAA" });
    let wrong = wrong.collect::<Vec<_>>().join("\n");
    let mixed = cluster.write("mixed.pem", format!("{wrong}\n{certificate}"));
    let (wrong, empty) = (cluster.write("wrong.pem", wrong), cluster.write("empty.pem", "nothing"));
    let discover = |bundle: Option<&str>| {
        let mut command = cluster.command(&["discover", "ec2:tag=release=r1,host=private-ip"]);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.envs(aws_env(&format!("https://localhost:{}", address.port())));
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        if let Some(bundle) = bundle {
            command.env("AWS_CA_BUNDLE", bundle);
        }
        run(command)
    };
    for bundle in [&good, &mixed] {
        let ran = discover(Some(bundle));
        assert!(ran.code == 0 && ran.out.contains("node@10.0.0.7"), "{ran:?}");
    }
    assert!(discover(Some(&mixed)).err.contains("certificates of AWS_CA_BUNDLE that cannot be read are left out"));
    for bundle in [None, Some("")] {
        let failure = discover(bundle).failure(1);
        assert!(failure.contains("certificate") && failure.contains("(hint: name the file"), "{failure}");
        assert!(failure.contains("in AWS_CA_BUNDLE"), "{failure}");
    }
    for (bundle, what) in [
        ("/no/such.pem", "No such file"),
        (&wrong, "none of its 1 certificates can be read"),
        (&empty, "it has no certificates (PEM)"),
    ] {
        let failure = discover(Some(bundle)).failure(1);
        assert!(failure.contains(&format!("AWS_CA_BUNDLE names {bundle}, which cannot be used: {what}")), "{failure}");
        assert!(failure.contains("(hint: name a file with certificates of authorities (PEM), or unset"), "{failure}");
    }
}
