//! Endpoints whose host cannot have a prefix.

use std::net::IpAddr;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::endpoint::EndpointPrefix;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// Removes the prefix that some operations put before the host's name (`data-` for DiscoverInstances), if the
/// endpoint is an address or `localhost`: `data-127.0.0.1` does not exist.
#[derive(Debug)]
pub(crate) struct NoHostPrefix;

impl Intercept for NoHostPrefix {
    fn name(&self) -> &'static str {
        "NoHostPrefix"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let prefix = bag.load::<EndpointPrefix>().map(EndpointPrefix::as_str);
        let request = context.request_mut();
        if let Some(uri) = prefix.and_then(|prefix| without(prefix, request.uri())) {
            request.set_uri(uri)?;
        }
        Ok(())
    }
}

/// The URI without the prefix, if its host cannot have subdomains.
fn without(prefix: &str, uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let rest = rest.strip_prefix(prefix)?;
    let authority = rest.split(['/', '?']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(inside) => inside.split(']').next()?,
        None => authority.split(':').next()?,
    };
    let is_alone = host.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost");
    is_alone.then(|| format!("{scheme}://{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_no_prefix_and_names_do() {
        for (uri, found) in [
            ("http://data-127.0.0.1:5000/", Some("http://127.0.0.1:5000/")),
            ("http://data-localhost:5000/x?y", Some("http://localhost:5000/x?y")),
            ("https://data-[::1]:1/", Some("https://[::1]:1/")),
            ("https://data-10.1.2.3", Some("https://10.1.2.3")),
            ("https://data-servicediscovery.eu-west-1.amazonaws.com/", None),
            ("https://data-localhost.localstack.cloud:4566/", None),
            ("https://127.0.0.1/", None),
            ("", None),
        ] {
            assert_eq!(without("data-", uri).as_deref(), found, "{uri}");
        }
    }
}
