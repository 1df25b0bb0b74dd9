//! The parts that moto's ECS lacks: services with tasks, pages, and digests of images.

use std::sync::{Arc, Mutex};

use peerl_test_support::{HttpServer, Request, Response};
use serde_json::{Value, json};

/// A server that answers ListTasks and DescribeTasks like ECS, in its JSON protocol and within its limits, with tasks
/// that a test defines.
pub struct EcsServer {
    server: HttpServer,
    tasks: Arc<Mutex<Vec<ServedTask>>>,
}

/// A task of the cluster `prod`.
#[derive(Clone, Debug)]
pub struct ServedTask {
    pub id: String,
    pub service: String,
    pub family: String,
    pub revision: u32,
    pub digest: String,
    pub private_ip: String,
    pub last_status: String,
    pub desired_status: String,
    pub tags: Vec<(String, String)>,
}

impl ServedTask {
    /// A running task of the service `web`.
    pub fn new(id: &str, private_ip: &str) -> Self {
        Self {
            id: id.to_owned(),
            service: "web".to_owned(),
            family: "web".to_owned(),
            revision: 1,
            digest: "sha256:1".to_owned(),
            private_ip: private_ip.to_owned(),
            last_status: "RUNNING".to_owned(),
            desired_status: "RUNNING".to_owned(),
            tags: Vec::new(),
        }
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:ecs:eu-central-1:123456789012:task/prod/{}", self.id)
    }

    fn described(&self, with_tags: bool) -> Value {
        let Self { family, revision, digest, .. } = self;
        let tags = self.tags.iter().filter(|_| with_tags).map(|(key, value)| json!({"key": key, "value": value}));
        json!({
            "taskArn": self.arn(),
            "clusterArn": "arn:aws:ecs:eu-central-1:123456789012:cluster/prod",
            "taskDefinitionArn": format!("arn:aws:ecs:eu-central-1:123456789012:task-definition/{family}:{revision}"),
            "lastStatus": self.last_status,
            "desiredStatus": self.desired_status,
            "group": format!("service:{}", self.service),
            "launchType": "FARGATE",
            "createdAt": 1_767_225_600.5,
            "tags": tags.collect::<Vec<_>>(),
            "attachments": [{"id": "1", "type": "ElasticNetworkInterface", "status": "ATTACHED", "details": [
                {"name": "subnetId", "value": "subnet-1"},
                {"name": "privateIPv4Address", "value": self.private_ip},
            ]}],
            "containers": [
                {"name": "log", "image": "log:1", "imageDigest": "sha256:log", "lastStatus": "RUNNING"},
                {"name": "app", "image": format!("{family}:latest"), "imageDigest": digest, "lastStatus": "RUNNING"},
            ],
        })
    }
}

impl EcsServer {
    pub fn start(tasks: impl IntoIterator<Item = ServedTask>) -> Self {
        let tasks: Arc<Mutex<Vec<ServedTask>>> = Arc::new(Mutex::new(tasks.into_iter().collect()));
        let served = tasks.clone();
        let server = HttpServer::start(move |request: Request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let signed = request.get("authorization").is_some_and(|it| it.contains("AWS4-HMAC-SHA256"));
            assert!(signed, "{request:?} is not signed");
            let tasks = served.lock().unwrap().clone();
            match (request.action().as_str(), body["cluster"].as_str()) {
                (_, cluster) if cluster.and_then(|cluster| cluster.rsplit('/').next()) != Some("prod") => {
                    refusal("ClusterNotFoundException", "Cluster not found.")
                }
                ("ListTasks", _) => list_tasks(&tasks, &body),
                ("DescribeTasks", _) => describe_tasks(&tasks, &body),
                (other, _) => refusal("UnknownOperationException", other),
            }
        });
        Self { server, tasks }
    }

    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// Changes the tasks.
    pub fn change<T>(&self, change: impl FnOnce(&mut Vec<ServedTask>) -> T) -> T {
        change(&mut self.tasks.lock().unwrap())
    }
}

fn list_tasks(tasks: &[ServedTask], body: &Value) -> Response {
    let is = |key: &str, value: &str| body[key].as_str().is_none_or(|wanted| wanted == value);
    if body["serviceName"].as_str().is_some_and(|service| tasks.iter().all(|task| task.service != service)) {
        return refusal("ServiceNotFoundException", "Service not found.");
    }
    // As documented: without a desired status, the tasks that should run.
    let desired = body["desiredStatus"].as_str().unwrap_or("RUNNING");
    let listed = tasks.iter().filter(|task| {
        is("serviceName", &task.service) && is("family", &task.family) && task.desired_status == desired
    });
    let size = usize::try_from(body["maxResults"].as_u64().unwrap_or(100)).unwrap().min(100);
    let start: usize = body["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let listed: Vec<String> = listed.map(ServedTask::arn).collect();
    let page: Vec<&String> = listed.iter().skip(start).take(size).collect();
    let end = start + page.len();
    let mut answer = json!({"taskArns": page});
    if end < listed.len() {
        answer["nextToken"] = json!(end.to_string());
    }
    Response::json(200, &answer.to_string())
}

fn describe_tasks(tasks: &[ServedTask], body: &Value) -> Response {
    let arns: Vec<&str> = body["tasks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if arns.is_empty() || arns.len() > 100 {
        return refusal("InvalidParameterException", "Tasks cannot be empty, nor more than 100.");
    }
    let with_tags = body["include"].as_array().is_some_and(|include| include.contains(&json!("TAGS")));
    let (mut described, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        match tasks.iter().find(|task| task.arn() == arn) {
            Some(task) => described.push(task.described(with_tags)),
            None => failures.push(json!({"arn": arn, "reason": "MISSING"})),
        }
    }
    Response::json(200, &json!({"tasks": described, "failures": failures}).to_string())
}

fn refusal(code: &str, message: &str) -> Response {
    Response::json(400, &json!({"__type": code, "message": message}).to_string())
}
