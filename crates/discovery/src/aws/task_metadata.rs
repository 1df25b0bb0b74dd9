//! The metadata service (version 4) of this process's ECS task.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use super::http_client;
use crate::StrategyError;
use crate::backoff::jitter;

/// A client of the metadata service (version 4) of this process's ECS task.
///
/// The address is `ECS_CONTAINER_METADATA_URI_V4`, which the ECS agent sets in every container. Constant values are
/// requested once.
pub struct TaskMetadata {
    uri: Option<String>,
    task: OnceCell<OwnTask>,
}

impl TaskMetadata {
    /// The service is on the same machine, so a later answer will not come.
    const TIMEOUT: Duration = Duration::from_secs(1);
    /// The number of attempts, with a pause between them.
    const ATTEMPTS: u32 = 3;
    const PAUSE: Duration = Duration::from_millis(200);
    /// Far more than the description of a task with ten containers and many labels.
    const LONGEST_ANSWER: usize = 1 << 20;

    /// A client by the environment.
    pub fn from_env() -> Self {
        let uri = std::env::var("ECS_CONTAINER_METADATA_URI_V4").ok().filter(|uri| !uri.is_empty());
        Self { uri, task: OnceCell::new() }
    }

    /// A client of the service at this URI.
    pub fn at(uri: &str) -> Self {
        Self { uri: Some(uri.to_owned()), task: OnceCell::new() }
    }

    /// Whether this process runs in an ECS task.
    pub fn is_there(&self) -> bool {
        self.uri.is_some()
    }

    /// This process's task and container.
    ///
    /// # Errors
    /// If there is none, or the service does not answer, or not with a valid description.
    pub async fn task(&self) -> Result<&OwnTask, StrategyError> {
        self.task.get_or_try_init(|| self.load()).await
    }

    /// The current tags of the task. The container instance, or the task execution role, needs the permission
    /// `ecs:ListTagsForResource`.
    ///
    /// # Errors
    /// If the service does not answer, or not with a valid description.
    pub async fn tags(&self) -> Result<BTreeMap<String, String>, StrategyError> {
        Ok(self.get::<TaskAnswer>("/taskWithTags").await?.task_tags.unwrap_or_default())
    }

    async fn load(&self) -> Result<OwnTask, StrategyError> {
        let (task, container) = tokio::try_join!(self.get("/task"), self.get(""))?;
        Ok(OwnTask::new(task, container))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, StrategyError> {
        let wrong = |message: String| StrategyError::TaskMetadata { message };
        let Some(base) = &self.uri else {
            return Err(wrong("ECS_CONTAINER_METADATA_URI_V4 is not set, so this is not an ECS container".to_owned()));
        };
        let uri = format!("{}{path}", base.trim_end_matches('/'));
        let mut attempt = 1;
        let body = loop {
            let (message, again) = match timeout(Self::TIMEOUT, request(&uri)).await {
                Ok(Ok((200, body))) => break body,
                Ok(Ok((status, _))) => (format!("{uri}: status {status}"), status == 429 || status >= 500),
                Ok(Err(message)) => (format!("{uri}: {message}"), true),
                Err(_) => (format!("{uri}: no answer within {:?}", Self::TIMEOUT), true),
            };
            if !again || attempt == Self::ATTEMPTS {
                return Err(wrong(message));
            }
            attempt += 1;
            sleep(jitter(Self::PAUSE)).await;
        };
        serde_json::from_slice(&body).map_err(|error| wrong(format!("{uri}: {error}")))
    }
}

impl fmt::Debug for TaskMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskMetadata").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// One attempt; returns the status and the body.
async fn request(uri: &str) -> Result<(u16, Vec<u8>), String> {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(TaskMetadata::TIMEOUT)
        .read_timeout(TaskMetadata::TIMEOUT)
        .build();
    let request = HttpRequest::get(uri).map_err(|error| error.to_string())?;
    let answer =
        http_client::connector(&settings).call(request).await.map_err(|error| super::refusal::causes(&error))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), TaskMetadata::LONGEST_ANSWER).collect().await;
    Ok((status, body.map_err(|error| super::refusal::causes(&*error))?.to_bytes().to_vec()))
}

/// This process's task and container.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnTask {
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The task's ARN.
    pub arn: String,
    /// The family of the task definition.
    pub family: String,
    /// The revision of the task definition.
    pub revision: String,
    /// The service that started the task, if any.
    pub service: Option<String>,
    /// The availability zone.
    pub availability_zone: Option<String>,
    /// The name of this container in the task definition.
    pub container: String,
    /// The address of the task's network interface, if the task has its own.
    pub private_ip: Option<String>,
    /// The IPv6 address of the task's network interface.
    pub ipv6: Option<String>,
    /// The VPC's DNS name of the address.
    pub private_dns: Option<String>,
}

impl OwnTask {
    /// The attributes of a task that node names can use.
    pub const VARIABLES: &[&str] = &[
        "private_ip",
        "private_dns",
        "ipv6",
        "task_id",
        "family",
        "revision",
        "service",
        "availability_zone",
        "tag:*",
    ];

    /// The default host of a node's name.
    pub const HOST: &str = "private-ip";

    fn new(task: TaskAnswer, container: ContainerAnswer) -> Self {
        // Other tasks cannot reach the address of a bridge.
        let network = container.networks.into_iter().find(|network| network.network_mode.as_deref() == Some("awsvpc"));
        let network = network.unwrap_or_default();
        Self {
            cluster: task.cluster,
            arn: task.task_arn,
            family: task.family,
            revision: task.revision,
            service: task.service_name.filter(|service| !service.is_empty()),
            availability_zone: task.availability_zone.filter(|zone| !zone.is_empty()),
            container: container.name,
            private_ip: network.ipv4_addresses.into_iter().next(),
            ipv6: network.ipv6_addresses.into_iter().next(),
            private_dns: network.private_dns_name.filter(|name| !name.is_empty()),
        }
    }

    /// The last part of the ARN.
    pub fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// `FAMILY:REVISION`.
    pub fn definition(&self) -> String {
        format!("{}:{}", self.family, self.revision)
    }

    /// The value of a variable of the strategy `ecs`, except for tags.
    pub fn value(&self, variable: &str) -> Option<String> {
        match variable {
            "private_ip" => self.private_ip.clone(),
            "private_dns" => self.private_dns.clone(),
            "ipv6" => self.ipv6.clone(),
            "task_id" => Some(self.id().to_owned()),
            "family" => Some(self.family.clone()),
            "revision" => Some(self.revision.clone()),
            "service" => self.service.clone(),
            "availability_zone" => self.availability_zone.clone(),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskAnswer {
    cluster: String,
    #[serde(rename = "TaskARN")]
    task_arn: String,
    family: String,
    revision: String,
    service_name: Option<String>,
    availability_zone: Option<String>,
    task_tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerAnswer {
    name: String,
    #[serde(default)]
    networks: Vec<Network>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Network {
    network_mode: Option<String>,
    #[serde(rename = "IPv4Addresses")]
    ipv4_addresses: Vec<String>,
    #[serde(rename = "IPv6Addresses")]
    ipv6_addresses: Vec<String>,
    #[serde(rename = "PrivateDNSName")]
    private_dns_name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the documentation of ECS, shortened.
    const TASK: &str = r#"{"Cluster": "arn:aws:ecs:us-west-2:111122223333:cluster/default",
        "TaskARN": "arn:aws:ecs:us-west-2:111122223333:task/default/e9028f8d5d8e4f258373e7b93ce9a3c3",
        "Family": "curltest", "ServiceName": "", "Revision": "3", "DesiredStatus": "RUNNING", "KnownStatus": "RUNNING",
        "Containers": [{"DockerId": "1"}], "LaunchType": "FARGATE", "AvailabilityZone": "us-west-2a"}"#;
    const CONTAINER: &str = r#"{"DockerId": "ea32192c8553fbff06c9340478a2ff089b2bb5646fb718b4ee206641c9086d66",
        "Name": "curl", "Image": "111122223333.dkr.ecr.us-west-2.amazonaws.com/curltest:latest",
        "Labels": {"com.amazonaws.ecs.task-definition-family": "curltest"}, "KnownStatus": "RUNNING",
        "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.2.100"], "AttachmentIndex": 0,
            "MACAddress": "0e:9e:32:c7:48:85", "IPv4SubnetCIDRBlock": "10.0.2.0/24",
            "PrivateDNSName": "ip-10-0-2-100.us-west-2.compute.internal"}]}"#;

    #[test]
    fn a_task_is_what_the_documentation_shows() {
        let own = OwnTask::new(serde_json::from_str(TASK).unwrap(), serde_json::from_str(CONTAINER).unwrap());
        assert_eq!((own.id(), own.definition().as_str()), ("e9028f8d5d8e4f258373e7b93ce9a3c3", "curltest:3"));
        assert_eq!((own.service.as_deref(), own.container.as_str()), (None, "curl"));
        for (variable, value) in [
            ("private_ip", Some("10.0.2.100")),
            ("private_dns", Some("ip-10-0-2-100.us-west-2.compute.internal")),
            ("ipv6", None),
            ("family", Some("curltest")),
            ("revision", Some("3")),
            ("availability_zone", Some("us-west-2a")),
            ("color", None),
        ] {
            assert_eq!(own.value(variable).as_deref(), value, "{variable}");
        }
    }

    #[test]
    fn a_bridge_has_no_address_for_others() {
        let bridge = CONTAINER.replace("awsvpc", "bridge");
        let own = OwnTask::new(serde_json::from_str(TASK).unwrap(), serde_json::from_str(&bridge).unwrap());
        assert_eq!((own.private_ip, own.private_dns), (None, None));
    }
}
