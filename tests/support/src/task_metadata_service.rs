//! The metadata service of an ECS task.

use crate::http::{HttpServer, Request, Response};

/// The metadata service (version 4) of one container, on a free port of 127.0.0.1; it ends when dropped.
pub struct TaskMetadataService {
    server: HttpServer,
}

/// The answers of a [`TaskMetadataService`].
#[derive(Clone, Debug)]
pub struct TaskFacts {
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The task's ARN.
    pub arn: String,
    /// The family of the task definition.
    pub family: String,
    /// The revision of the task definition.
    pub revision: u32,
    /// The service that started the task; empty if none did.
    pub service: String,
    /// The name of the container.
    pub container: String,
    /// The IPv4 address of the network interface.
    pub private_ip: String,
    /// Its name in the VPC.
    pub private_dns: String,
    /// The tags, as the fields of a JSON object: `"csrelease": "1"`.
    pub tags: String,
}

impl TaskMetadataService {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn start(facts: TaskFacts) -> Self {
        Self { server: HttpServer::start(move |request| answer(&request, &facts)) }
    }

    /// For `ECS_CONTAINER_METADATA_URI_V4`.
    pub fn uri(&self) -> String {
        format!("{}/v4/0123456789abcdef", self.server.endpoint())
    }

    /// Refuses connections from now on.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn refuse(&self) {
        self.server.refuse();
    }
}

/// The form of <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-examples.html>.
fn answer(request: &Request, facts: &TaskFacts) -> Response {
    let TaskFacts { cluster, arn, family, revision, service, container, private_ip, private_dns, tags } = facts;
    let this = format!(
        r#"{{"DockerId": "0123456789abcdef", "Name": "{container}", "DockerName": "ecs-{family}-{revision}-{container}",
            "Image": "registry.example.org/{family}:latest", "ImageID": "sha256:0123", "DesiredStatus": "RUNNING",
            "KnownStatus": "RUNNING", "Type": "NORMAL", "Networks": [{{"NetworkMode": "awsvpc",
            "IPv4Addresses": ["{private_ip}"], "AttachmentIndex": 0, "PrivateDNSName": "{private_dns}",
            "SubnetGatewayIpv4Address": "10.0.0.1/24"}}]}}"#
    );
    let task = |tags: &str| {
        format!(
            r#"{{"Cluster": "{cluster}", "TaskARN": "{arn}", "Family": "{family}", "Revision": "{revision}",
                "ServiceName": "{service}", "DesiredStatus": "RUNNING", "KnownStatus": "RUNNING", "LaunchType": "FARGATE",
                "AvailabilityZone": "eu-central-1a", {tags} "Containers": [{this}]}}"#
        )
    };
    let body = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/v4/0123456789abcdef") => this,
        ("GET", "/v4/0123456789abcdef/task") => task(""),
        ("GET", "/v4/0123456789abcdef/taskWithTags") => task(&format!(r#""TaskTags": {{{tags}}},"#)),
        _ => return Response::text(404, "404 page not found"),
    };
    Response::json(200, &body)
}
