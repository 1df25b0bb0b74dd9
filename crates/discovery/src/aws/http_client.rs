//! The HTTP client for all requests to AWS: rustls with ring, the authorities of the system and of `AWS_CA_BUNDLE`,
//! proxies, and a size limit for answers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use parking_lot::Mutex;

use super::ca_bundle;

/// Keeps an endless answer from filling the memory. The largest page of DescribeInstances, a thousand instances with
/// all attributes, is below 20 MiB.
const LONGEST_ANSWER: usize = 64 << 20;

static CLIENT: LazyLock<Client> = LazyLock::new(Client::default);

/// The client of this process.
pub(super) fn shared() -> SharedHttpClient {
    static SHARED: LazyLock<SharedHttpClient> = LazyLock::new(|| SharedHttpClient::new(CLIENT.clone()));
    SHARED.clone()
}

/// The same client, for requests outside the SDKs. The settings give the time-outs.
pub(super) fn connector(settings: &HttpConnectorSettings) -> SharedHttpConnector {
    CLIENT.connector(settings)
}

/// Connectors by their time-outs.
#[derive(Clone, Debug, Default)]
struct Client {
    connectors: Arc<Mutex<HashMap<TimeOuts, SharedHttpConnector>>>,
}

/// The time-outs for connecting and for reading.
type TimeOuts = (Option<Duration>, Option<Duration>);

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.connector(settings)
    }
}

impl Client {
    fn connector(&self, settings: &HttpConnectorSettings) -> SharedHttpConnector {
        let key = (settings.connect_timeout(), settings.read_timeout());
        let (trusted, is_final) = match ca_bundle::trusted() {
            Ok(trusted) => (trusted, true),
            // The AWS client reports the error; link-local services need no certificates.
            Err(_) => (TrustStore::default(), false),
        };
        let make = || {
            let connector = |proxy| {
                let builder = Connector::builder()
                    .connector_settings(settings.clone())
                    .proxy_config(proxy)
                    .tls_provider(Provider::Rustls(CryptoMode::Ring));
                match TlsContext::builder().with_trust_store(trusted.clone()).build() {
                    Ok(context) => builder.tls_context(context).build(),
                    Err(_) => builder.build(),
                }
            };
            let mut bounded = Bounded {
                direct: Arc::new(connector(ProxyConfig::disabled())),
                proxied: Arc::new(connector(ProxyConfig::from_env())),
            };
            // The distinction matters only with a proxy.
            if !["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
                .iter()
                .any(|variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty()))
            {
                bounded.proxied = bounded.direct.clone();
            }
            SharedHttpConnector::new(bounded)
        };
        match is_final {
            true => self.connectors.lock().entry(key).or_insert_with(make).clone(),
            false => make(),
        }
    }
}

#[derive(Debug)]
struct Bounded {
    direct: Arc<Connector>,
    proxied: Arc<Connector>,
}

impl HttpConnector for Bounded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = if is_near(request.uri()) { &self.direct } else { &self.proxied };
        let answer = connector.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| SdkBody::from_body_1_x(Limited::new(body, LONGEST_ANSWER))))
        })
    }
}

/// Whether the address is of this machine or its link, like those of the metadata services: a proxy cannot reach
/// them.
fn is_near(uri: &str) -> bool {
    let authority = uri.split_once("://").map_or(uri, |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        // fd00:ec2::254 and fd00:ec2::23 are the metadata services.
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.segments()[..2] == [0xfd00, 0x0ec2],
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_asked_for_what_is_near() {
        for near in [
            "http://169.254.169.254/latest/meta-data/",
            "http://169.254.170.2",
            "http://127.0.0.1:5000/",
            "http://localhost:5000?x",
            "http://[fd00:ec2::254]/latest",
            "http://[::1]:80/",
        ] {
            assert!(is_near(near), "{near}");
        }
        for far in ["https://ec2.eu-west-1.amazonaws.com/", "https://10.0.0.1:443/", "https://[fd00:ec3::1]/", ""] {
            assert!(!is_near(far), "{far}");
        }
    }
}
