//! The CloudFormation templates of `deploy/`, deployed into moto, the simulation of AWS.
//!
//! Its CloudFormation ignores lifecycle hooks, Cloud Map, a service's load balancer, and a task's network, roles and
//! tags; `deploy_templates.rs` tests these parts of the templates.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::kit::{actions, deploy, json, set, texts};
use peerl_test_support::{Authority, Epmd, Moto, ProcessGuard, peerl_command, python_tool, unique_name};
use serde_json::{Value, json};

const WHERE: [&str; 2] = ["VpcId={vpc}", "SubnetIds={subnets}"];
const SECRET: &str = "CookieSecretArn=arn:aws:secretsmanager:eu-central-1:123456789012:secret:cookie-AbCdEf";

fn workers(moto: &Moto, stack: &str, release: &str) -> Value {
    deploy(moto, stack, "ec2", &[WHERE[0], WHERE[1], "ImageId={image}", &format!("Release={release}")])
}

/// Members reach each other's EPMD and nodes; other machines reach no port.
fn only_members_come_in(stack: &Value) {
    let groups = stack["security_groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1);
    let mut open = Vec::new();
    for rule in groups[0]["IpPermissions"].as_array().unwrap() {
        let from: Vec<&Value> = rule["UserIdGroupPairs"].as_array().unwrap().iter().map(|it| &it["GroupId"]).collect();
        assert_eq!(from, [&groups[0]["GroupId"]], "{rule}");
        for others in ["IpRanges", "Ipv6Ranges", "PrefixListIds"] {
            assert_eq!(rule[others], json!([]), "{rule}");
        }
        open.push((rule["IpProtocol"].as_str().unwrap(), rule["FromPort"].as_u64(), rule["ToPort"].as_u64()));
    }
    open.sort_unstable();
    assert_eq!(open, [("tcp", Some(4369), Some(4369)), ("tcp", Some(9100), Some(9110))]);
    assert_eq!(stack["outputs"]["SecurityGroupId"], groups[0]["GroupId"]);
}

#[test]
fn a_group_of_instances() {
    let moto = Moto::start();
    let stack = workers(&moto, "workers", "r1");
    assert_eq!(stack["status"], "CREATE_COMPLETE");
    let release = |instance: &Value| {
        let tags = instance["Tags"].as_array().unwrap();
        tags.iter().find(|tag| tag["Key"] == "csrelease").map(|tag| tag["Value"].as_str().unwrap().to_owned())
    };
    let releases = |stack: &Value| -> Vec<_> { stack["instances"].as_array().unwrap().iter().map(release).collect() };
    assert_eq!(releases(&stack), [Some("r1".to_owned()), Some("r1".to_owned())]);
    assert_eq!(stack["groups"][0]["MinSize"], 2);
    assert_eq!(stack["groups"][0]["AutoScalingGroupName"], stack["outputs"]["GroupName"]);
    instances_are_closed_but_to_members(&stack);
    instances_may_do_what_they_need_and_no_more(&stack);

    assert_eq!(
        stack["groups"][0]["Tags"],
        json!([]),
        "tags of the group would outlive a roll-back of its launch template"
    );

    let other = workers(&moto, "others", "r2");
    assert_eq!(releases(&other), [Some("r2".to_owned()), Some("r2".to_owned())]);
    // Moto starts instances of the new version of the launch template when the size changes.
    let arguments = [WHERE[0], WHERE[1], "ImageId={image}", "Release=r3", "MinSize=3"];
    let stack = deploy(&moto, "workers", "ec2", &arguments);
    assert_eq!(stack["status"], "UPDATE_COMPLETE");
    assert_eq!(releases(&stack), vec![Some("r3".to_owned()); 3]);
}

fn instances_are_closed_but_to_members(stack: &Value) {
    only_members_come_in(stack);
    let launch = &stack["launch_templates"][0]["LaunchTemplateData"];
    let metadata = &launch["MetadataOptions"];
    assert_eq!(metadata["HttpTokens"], "required");
    assert_eq!(metadata["HttpPutResponseHopLimit"], 1);
    assert_eq!(metadata["InstanceMetadataTags"], "enabled");
    assert_eq!(launch["SecurityGroupIds"], json!([stack["outputs"]["SecurityGroupId"]]));
    assert_eq!(launch["BlockDeviceMappings"][0]["Ebs"]["Encrypted"], true);
    assert_eq!(launch.get("KeyName"), None, "nobody logs in");
    for instance in stack["instances"].as_array().unwrap() {
        assert_eq!(instance["SecurityGroups"][0]["GroupId"], stack["outputs"]["SecurityGroupId"]);
        assert_eq!(instance.get("PublicIpAddress"), None);
    }
}

fn instances_may_do_what_they_need_and_no_more(stack: &Value) {
    let role = &stack["roles"]["Role"];
    let needed =
        set(&["ec2:DescribeInstances", "ssm:GetParameter", "autoscaling:CompleteLifecycleAction", "ec2:CreateTags"]);
    assert_eq!(actions(&role["inline"]), needed);
    assert_eq!(role["attached"], json!([]));
    for statement in role["inline"][0]["Statement"].as_array().unwrap() {
        let resource = match statement["Sid"].as_str().unwrap() {
            "FindPeers" => "*",
            "ReadCookie" => "arn:aws:ssm:eu-central-1:123456789012:parameter/peerl/cookie",
            "SayThatItIsReadyOrHasDrained" => {
                "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/workers"
            }
            "TagItselfWhenItDrains" => {
                let itself = "arn:aws:ec2:eu-central-1:123456789012:instance/${ec2:InstanceID}";
                let only = json!({
                    "ArnEquals": { "ec2:SourceInstanceARN": itself },
                    "ForAllValues:StringEquals": { "aws:TagKeys": "peerl:draining" },
                });
                assert_eq!(statement["Condition"], only);
                "arn:aws:ec2:eu-central-1:123456789012:instance/*"
            }
            other => panic!("{other} is new"),
        };
        assert_eq!(statement["Resource"], resource);
    }
    let profile = &stack["launch_templates"][0]["LaunchTemplateData"]["IamInstanceProfile"]["Arn"];
    let name = stack["resources"]["InstanceProfile"].as_str().unwrap();
    assert_eq!(profile, &format!("arn:aws:iam::123456789012:instance-profile/{name}"));
}

const PAGE: [&str; 2] = ["PageUrl=https://checksums.example.org", "PageCertificateArn={certificate}"];

/// Visitors reach a load balancer by TLS; only the load balancer reaches the workers.
fn visitors_reach_the_page_by_its_load_balancer_only(stack: &Value) {
    let groups = stack["security_groups"].as_array().unwrap();
    let members = groups.iter().find(|group| group["GroupId"] == stack["outputs"]["SecurityGroupId"]).unwrap();
    let visitors = groups.iter().find(|group| group["GroupId"] != members["GroupId"]).unwrap();
    assert_eq!(groups.len(), 2);
    let port = |rule: &Value| rule["FromPort"].as_u64().unwrap();
    let page = members["IpPermissions"].as_array().unwrap().iter().find(|rule| port(rule) == 8080).unwrap();
    assert_eq!(page["UserIdGroupPairs"][0]["GroupId"], visitors["GroupId"]);
    for rule in members["IpPermissions"].as_array().unwrap() {
        assert_eq!(rule["IpRanges"], json!([]), "{rule}");
    }
    let [entrance] = &visitors["IpPermissions"].as_array().unwrap()[..] else { panic!("{visitors}") };
    assert_eq!((port(entrance), &entrance["IpRanges"][0]["CidrIp"]), (443, &json!("10.0.0.0/8")));

    let (balancer, listener) = (&stack["load_balancers"][0], &stack["listeners"][0]);
    assert_eq!(balancer["Scheme"], "internal");
    assert_eq!(balancer["SecurityGroups"], json!([visitors["GroupId"]]));
    assert_eq!(balancer["DNSName"], stack["outputs"]["PageAddress"]);
    assert_eq!((&listener["Protocol"], &listener["Port"]), (&json!("HTTPS"), &json!(443)));
    assert!(listener["Certificates"][0]["CertificateArn"].as_str().unwrap().contains(":acm:"), "{listener}");
    let targets = &stack["target_groups"][0];
    assert_eq!(listener["DefaultActions"][0]["TargetGroupArn"], targets["TargetGroupArn"]);
    assert_eq!((&targets["Port"], &targets["HealthCheckPath"]), (&json!(8080), &json!("/")));
}

/// The certificate for workers, as parameters of a template: where the node's is, and where the authorities' are.
fn tls<'a>(node: &'a str, authorities: &'a str) -> [&'a str; 3] {
    [node, authorities, "TlsServerName=workers.example"]
}

#[test]
fn instances_get_a_page_and_certificates() {
    let moto = Moto::start();
    let tls = tls("TlsNodeParameter=/peerl/node", "TlsCaParameter=/peerl/ca");
    let arguments = [&WHERE[..], &["ImageId={image}", "Release=r1"], &PAGE, &tls].concat();
    let stack = deploy(&moto, "workers", "ec2", &arguments);
    assert_eq!(stack["status"], "CREATE_COMPLETE");
    visitors_reach_the_page_by_its_load_balancer_only(&stack);
    let statements = stack["roles"]["Role"]["inline"][0]["Statement"].as_array().unwrap();
    let token = statements.iter().find(|statement| statement["Sid"] == "ReadPageToken").unwrap();
    assert_eq!(token["Resource"], "arn:aws:ssm:eu-central-1:123456789012:parameter/peerl/page-token");
    let script = &stack["launch_templates"][0]["LaunchTemplateData"]["UserData"];
    let script = json(python_tool("python").args(["-c", DECODE, script.as_str().unwrap()]));
    let script = script.as_str().unwrap();
    assert!(script.contains("PEERL_PUBLIC_URL=https://checksums.example.org"), "{script}");
    let certificates = statements.iter().find(|statement| statement["Sid"] == "ReadCertificates").unwrap();
    let parameter = |name: &str| format!("arn:aws:ssm:eu-central-1:123456789012:parameter/peerl/{name}");
    assert_eq!(certificates["Resource"], json!([parameter("node"), parameter("ca")]));
    for line in ["ec2-prepare --tls-node-parameter /peerl/node", "ec2-prepare --tls-ca-parameter /peerl/ca"] {
        assert!(script.contains(line), "{script}");
    }
    assert!(script.contains("PEERL_TLS_SERVER_NAME=workers.example"), "{script}");
    assert_eq!(stack["groups"][0]["TargetGroupARNs"], json!([stack["target_groups"][0]["TargetGroupArn"]]));
}

const DECODE: &str = "import base64, json, sys; print(json.dumps(base64.b64decode(sys.argv[1]).decode()))";

#[test]
fn tasks_get_a_page_and_certificates() {
    let moto = Moto::start();
    let secret = |kind: &str, name: &str| {
        format!("Tls{kind}SecretArn=arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-AbCdEf")
    };
    let (node, authorities) = (secret("Node", "node"), secret("Ca", "ca"));
    let tls = tls(&node, &authorities);
    let token = "PageTokenSecretArn=arn:aws:secretsmanager:eu-central-1:123456789012:secret:page-AbCdEf";
    let own = ["Cluster=cluster", "Image=peerl:r1", "Release=r1", SECRET, token];
    let stack = deploy(&moto, "workers", "ecs", &[&WHERE[..], &own, &PAGE, &tls].concat());
    assert_eq!(stack["status"], "CREATE_COMPLETE");
    visitors_reach_the_page_by_its_load_balancer_only(&stack);
    let container = &stack["task_definitions"][0]["taskDefinition"]["containerDefinitions"][0];
    assert_eq!(container["portMappings"][0]["containerPort"], 8080);
    let secrets = container["secrets"].as_array().unwrap();
    let from =
        |name: &str| secrets.iter().find(|secret| secret["name"] == name).unwrap()["valueFrom"].as_str().unwrap();
    assert!(token.ends_with(from("PEERL_TOKEN")), "{secrets:?}");
    let certificates = from("PEERL_TLS_CERT");
    assert!(node.ends_with(certificates) && authorities.ends_with(from("PEERL_TLS_CA")), "{secrets:?}");
    let readable = stack["roles"]["ExecutionRole"]["inline"][0]["Statement"].as_array().unwrap();
    assert!(readable.iter().any(|statement| texts(&statement["Resource"]).contains(certificates)), "{readable:?}");
    // With the variables of the template, a worker serves a page that requires the token, and has the certificate.
    let authority = Authority::new();
    let identity = authority.issue("shared", &["workers.example"]);
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    let (epmd, name) = (Epmd::start(), unique_name("w"));
    let mut command = peerl_command();
    command.args(["worker", "--name", &format!("{name}@127.0.0.1"), "--listen", "127.0.0.1", "--cookie", "c"]);
    command.env("ERL_EPMD_PORT", epmd.port().to_string()).env("PEERL_TOKEN", "correct-horse-battery-staple");
    command.env("PEERL_TLS_CERT", text(&identity.certificate) + &text(&identity.key));
    command.env("PEERL_TLS_CA", text(&identity.authority));
    for variable in container["environment"].as_array().unwrap() {
        let (name, value) = (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
        if ["PEERL_WEB", "PEERL_PUBLIC_URL", "PEERL_TLS_SERVER_NAME"].contains(&name) {
            command.env(name, value.replace(":8080", ":0"));
        }
    }
    let worker = ProcessGuard::spawn(&mut command);
    let ready = worker.wait_for_line("ready ", Duration::from_secs(60));
    let port = ready.trim_end_matches('/').rsplit(':').next().unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    // Like a load balancer's health check.
    stream.write_all(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("name=\"token\""), "{answer}");
}

/// peerl reads its variables with every command, and refuses invalid strategies.
fn understood(strategy: &str) {
    let output = peerl_command().args(["completions", "bash"]).env("PEERL_DISCOVER", strategy).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn tasks_are_closed_but_to_members_and_may_find_them() {
    let moto = Moto::start();
    let service = |stack: &str, more: &[&str]| {
        let arguments = [&WHERE[..], &["Cluster=cluster", "Image=peerl:r1", "Release=r1", SECRET], more].concat();
        deploy(&moto, stack, "ecs", &arguments)
    };
    let by_tasks = service("by-tasks", &[]);
    // Moto confuses two name spaces in one VPC.
    moto.reset();
    let by_map = service("by-map", &["Discovery=cloudmap", "Namespace=other.internal", "DrainSeconds=110"]);
    for stack in [&by_tasks, &by_map] {
        assert_eq!(stack["status"], "CREATE_COMPLETE");
        only_members_come_in(stack);
        assert_eq!(actions(&stack["roles"]["ExecutionRole"]["inline"]), set(&["secretsmanager:GetSecretValue"]));
        assert_eq!(stack["services"][0]["desiredCount"], 2);
        let map = &stack["discovery"]["DiscoveryService"];
        assert_eq!(map["DnsConfig"]["DnsRecords"], json!([{"Type": "A", "TTL": 10}]));
    }
    let may = |stack: &Value| actions(&stack["roles"]["TaskRole"]["inline"]);
    assert_eq!(may(&by_tasks), set(&["ecs:ListTasks", "ecs:DescribeTasks"]));
    assert_eq!(may(&by_map), set(&["servicediscovery:DiscoverInstances"]));

    let container = |stack: &Value| stack["task_definitions"][0]["taskDefinition"]["containerDefinitions"][0].clone();
    let discover = |stack: &Value| {
        let container = container(stack);
        let variables = container["environment"].as_array().unwrap();
        variables.iter().find(|it| it["name"] == "PEERL_DISCOVER").unwrap()["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(discover(&by_tasks), "ecs:cluster=cluster,revision=@mine");
    assert_eq!(discover(&by_map), "cloudmap:namespace=other.internal,service=worker");
    [&by_tasks, &by_map].into_iter().for_each(|stack| understood(&discover(stack)));
    let longest = |stack: &Value| (container(stack)["command"][2].clone(), container(stack)["stopTimeout"].clone());
    assert_eq!(longest(&by_tasks), (json!("30s"), json!(40)));
    assert_eq!(longest(&by_map), (json!("110s"), json!(120)));
    let cookie = &container(&by_tasks)["secrets"];
    assert_eq!(cookie[0]["name"], "PEERL_COOKIE");
    assert!(SECRET.ends_with(cookie[0]["valueFrom"].as_str().unwrap()));
}

#[test]
fn an_app_gets_a_sidecar() {
    let moto = Moto::start();
    let images = ["Cluster=cluster", "AppImage=app:7", "PeerlImage=peerl:r1", "AppName=shop", SECRET];
    let stack = deploy(&moto, "shop", "sidecar", &[&WHERE[..], &images].concat());
    assert_eq!(stack["status"], "CREATE_COMPLETE");
    only_members_come_in(&stack);
    let containers = &stack["task_definitions"][0]["taskDefinition"]["containerDefinitions"];
    let (app, sidecar) = (&containers[0], &containers[1]);
    let script = app["command"][0].as_str().unwrap();
    assert!(script.contains("RELEASE_NODE=\"shop@$(hostname -i"), "{script}");
    assert!(script.ends_with("exec env bin/app start"), "{script}");
    assert_eq!(app["portMappings"][0]["containerPort"], 4000);
    assert_eq!(app["secrets"][0]["valueFrom"], sidecar["secrets"][0]["valueFrom"], "one cookie");
    let discover = "ecs:cluster=cluster,revision=@mine,basename=shop";
    understood(discover);
    assert_eq!(sidecar["command"], json!(["sidecar", "--node", "auto:ip,basename=shop", "--discover", discover]));
    assert_eq!(sidecar["essential"], false, "the app lives on without it");
    assert_eq!(actions(&stack["roles"]["TaskRole"]["inline"]), set(&["ecs:ListTasks", "ecs:DescribeTasks"]));
}

#[test]
fn an_app_that_visitors_reach_by_a_load_balancer_gets_a_sidecar() {
    let moto = Moto::start();
    let targets = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/live/0123456789abcdef";
    let arguments = [
        "Cluster=cluster",
        "AppImage=live:8",
        "PeerlImage=peerl:r2",
        "AppName=live",
        "AppPort=8080",
        "AppCommand=PHX_SERVER=true bin/live start",
        "AppHealthCommand=wget -qO- http://localhost:8080/up",
        "CpuArchitecture=ARM64",
        "LoadBalancerSecurityGroupId={group}",
        &format!("TargetGroupArn={targets}"),
        SECRET,
    ];
    let stack = deploy(&moto, "live", "sidecar", &[&WHERE[..], &arguments].concat());
    assert_eq!(stack["status"], "CREATE_COMPLETE");
    let rules = stack["security_groups"][0]["IpPermissions"].as_array().unwrap();
    let own = &stack["security_groups"][0]["GroupId"];
    let from_outside: Vec<&Value> =
        rules.iter().filter(|rule| rule["UserIdGroupPairs"][0]["GroupId"] != *own).collect();
    assert_eq!(from_outside.len(), 1, "{rules:?}");
    assert_eq!((&from_outside[0]["FromPort"], &from_outside[0]["ToPort"]), (&json!(8080), &json!(8080)));
    assert_eq!(from_outside[0]["IpRanges"], json!([]));
    let app = &stack["task_definitions"][0]["taskDefinition"]["containerDefinitions"][0];
    assert!(app["command"][0].as_str().unwrap().ends_with("exec env PHX_SERVER=true bin/live start"), "{app}");
    assert_eq!(app["environment"][0], json!({"name": "PORT", "value": "8080"}));
}

/// From here on, moto checks permissions; `peerl discover` has the credentials of a role.
fn discover(moto: &Moto, role: &Value, strategy: &str) -> (bool, String) {
    moto.control("POST", "/moto-api/reset-auth", "0");
    let credentials = |key: &str| role["credentials"][key].as_str().unwrap().to_owned();
    let output = peerl_command()
        .args(["discover", strategy])
        .envs(moto.env())
        .env("AWS_ACCESS_KEY_ID", credentials("AccessKeyId"))
        .env("AWS_SECRET_ACCESS_KEY", credentials("SecretAccessKey"))
        .env("AWS_SESSION_TOKEN", credentials("SessionToken"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

#[test]
fn a_role_suffices_for_its_discovery_and_for_no_other() {
    let moto = Moto::start();
    workers(&moto, "old", "r0");
    let stack = workers(&moto, "workers", "r1");
    let role = &stack["roles"]["Role"];
    let (found, said) = discover(&moto, role, "ec2:tag=csrelease=r1");
    assert!(found, "{said}");
    for instance in stack["instances"].as_array().unwrap() {
        assert!(said.contains(&format!("node@{}", instance["PrivateDnsName"].as_str().unwrap())), "{said}");
    }
    assert_eq!(said.matches("node@").count(), 2, "nobody of another release: {said}");
    let (found, said) = discover(&moto, role, "asg:workers");
    assert!(!found && said.contains("DescribeAutoScalingGroups"), "{said}");
}
