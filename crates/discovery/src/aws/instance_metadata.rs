//! The metadata service (IMDSv2) of this process's instance.

use std::fmt;
use std::time::Duration;

use aws_config::imds::Client;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use tokio::sync::OnceCell;

use super::http_client;
use super::refusal::causes;
use crate::StrategyError;

/// A client of the metadata service (IMDSv2) of this process's instance.
///
/// The address is `AWS_EC2_METADATA_SERVICE_ENDPOINT`, else 169.254.169.254; `AWS_EC2_METADATA_DISABLED=true`
/// disables all requests.
#[derive(Clone)]
pub struct InstanceMetadata {
    client: Client,
    instance_id: OnceCell<String>,
}

impl InstanceMetadata {
    /// The service is on the same link, so a later answer will not come.
    const TIMEOUT: Duration = Duration::from_secs(1);
    /// The number of attempts, with a pause between them.
    const ATTEMPTS: u32 = 3;
    /// Host names, tags and addresses are far shorter; a longer value is an error.
    const LONGEST_VALUE: usize = 4096;

    /// A client by the environment and the profile files.
    pub fn from_env() -> Self {
        Self::with(Client::builder())
    }

    /// A client of the service at this URL.
    ///
    /// # Errors
    /// If it is not a URL.
    pub fn at(url: &str) -> Result<Self, StrategyError> {
        let wrong = |error| StrategyError::InstanceMetadata { message: format!("{url:?} is not a URL: {error}") };
        Client::builder().endpoint(url).map(Self::with).map_err(wrong)
    }

    fn with(builder: aws_config::imds::client::Builder) -> Self {
        let provider = ProviderConfig::without_region().with_http_client(http_client::shared());
        let client = builder
            .configure(&provider)
            .max_attempts(Self::ATTEMPTS)
            .connect_timeout(Self::TIMEOUT)
            .read_timeout(Self::TIMEOUT)
            .build();
        Self { client, instance_id: OnceCell::new() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The value at this path below `/latest/meta-data/`; `None` if the instance has none.
    ///
    /// # Errors
    /// If the service does not answer, or not with a short text.
    pub async fn get(&self, path: &str) -> Result<Option<String>, StrategyError> {
        if std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
            let message = "AWS_EC2_METADATA_DISABLED says not to ask it".to_owned();
            return Err(StrategyError::InstanceMetadata { message });
        }
        match self.client.get(format!("/latest/meta-data/{path}")).await {
            Ok(value) if value.as_ref().len() > Self::LONGEST_VALUE => {
                let message = format!("{path} is longer than {} bytes", Self::LONGEST_VALUE);
                Err(StrategyError::InstanceMetadata { message })
            }
            Ok(value) => Ok(Some(value.as_ref().trim().to_owned()).filter(|value| !value.is_empty())),
            Err(ImdsError::ErrorResponse(answer)) => match answer.response().status().as_u16() {
                404 => Ok(None),
                status => Err(StrategyError::InstanceMetadata { message: format!("{path}: status {status}") }),
            },
            Err(error) => Err(StrategyError::InstanceMetadata { message: causes(&error) }),
        }
    }

    /// The instance's id; requested once, since it never changes.
    ///
    /// # Errors
    /// If the service does not answer.
    pub async fn instance_id(&self) -> Result<&str, StrategyError> {
        self.instance_id.get_or_try_init(|| self.required("instance-id")).await.map(String::as_str)
    }

    /// The region, such as `eu-west-1`.
    ///
    /// # Errors
    /// If the service does not answer.
    pub async fn region(&self) -> Result<String, StrategyError> {
        self.required("placement/region").await
    }

    /// The value of a tag of the instance; `None` if it has no such tag, or its metadata options do not expose tags
    /// (`InstanceMetadataTags`).
    ///
    /// # Errors
    /// If the service does not answer.
    pub async fn tag(&self, key: &str) -> Result<Option<String>, StrategyError> {
        self.get(&format!("tags/instance/{key}")).await
    }

    async fn required(&self, path: &str) -> Result<String, StrategyError> {
        let nothing = || StrategyError::InstanceMetadata { message: format!("it has no {path}") };
        self.get(path).await?.ok_or_else(nothing)
    }
}

impl fmt::Debug for InstanceMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceMetadata").field("instance_id", &self.instance_id.get()).finish_non_exhaustive()
    }
}
