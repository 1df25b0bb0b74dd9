//! The templates of `deploy/`: linters find nothing, CloudFormation and Terraform agree, and no policy allows an
//! unused action.

use std::collections::{BTreeMap, BTreeSet};

use crate::kit::{path, set, template, terraform, text, texts};
use peerl_test_support::python_tool;
use serde_json::{Value, json};

fn finds_nothing(linter: &str, arguments: &[&str]) {
    let output = python_tool(linter).args(arguments).current_dir(path("")).output().unwrap();
    let found = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{linter} {arguments:?}\n{found}");
}

#[test]
fn linters_find_nothing() {
    let templates = ["ec2", "ecs", "sidecar"].map(|name| format!("deploy/cloudformation/{name}.yaml"));
    finds_nothing("cfn-lint", &templates.each_ref().map(String::as_str));
    finds_nothing("hadolint", &["deploy/docker/Dockerfile"]);
}

#[test]
fn every_parameter_without_a_default_is_one_that_only_the_user_knows() {
    for (name, needed) in [
        ("ec2", &["ImageId", "Release", "SubnetIds", "VpcId"][..]),
        ("ecs", &["Cluster", "CookieSecretArn", "Image", "Release", "SubnetIds", "VpcId"]),
        ("sidecar", &["AppImage", "Cluster", "CookieSecretArn", "PeerlImage", "SubnetIds", "VpcId"]),
    ] {
        let template = template(name);
        let parameters = template["Parameters"].as_object().unwrap();
        let without = parameters.iter().filter(|(_, it)| it.get("Default").is_none()).map(|(key, _)| key.clone());
        assert_eq!(without.collect::<BTreeSet<_>>(), set(needed), "{name}");
    }
}

/// Texts of both kinds of template, with the same words for the same things.
fn common(text: &str) -> String {
    let words = [
        ("${AWS::Partition}", "${data.aws_partition.current.partition}", "<partition>"),
        ("${AWS::Region}", "${data.aws_region.current.name}", "<region>"),
        ("${AWS::AccountId}", "${data.aws_caller_identity.current.account_id}", "<account>"),
        ("${AWS::StackName}", "${var.name}", "<name>"),
        ("${Cluster}", "${var.cluster}", "<cluster>"),
        ("${CookieParameter}", "${var.cookie_parameter}", "<cookie parameter>"),
        ("${CookieSecretArn}", "${var.cookie_secret_arn}", "<cookie secret>"),
        ("${Namespace}", "${var.namespace}", "<name space>"),
        ("${Release}", "${var.release}", "<release>"),
        ("${!ec2:InstanceID}", "$${ec2:InstanceID}", "<target instance>"),
        ("${DrainSeconds}", "${var.drain_seconds}", "<drain>"),
        ("${PageUrl}", "${var.page_url}", "<page>"),
        ("${PageTokenParameter}", "${var.page_token_parameter}", "<page token parameter>"),
        ("${PageTokenSecretArn}", "${var.page_token_secret_arn}", "<page token secret>"),
        ("${TlsNodeParameter}", "${var.tls_node_parameter}", "<certificate parameter>"),
        ("${TlsCaParameter}", "${var.tls_ca_parameter}", "<authorities parameter>"),
        ("${TlsNodeSecretArn}", "${var.tls_node_secret_arn}", "<certificate secret>"),
        ("${TlsCaSecretArn}", "${var.tls_ca_secret_arn}", "<authorities secret>"),
        ("${TlsServerName}", "${var.tls_server_name}", "<server name>"),
    ];
    let common = words
        .iter()
        .fold(text.to_owned(), |text, (theirs, others, word)| text.replace(theirs, word).replace(others, word));
    assert!(!common.contains("${"), "{common} has words of its own");
    common
}

/// A text of a CloudFormation template: itself, a reference, or a substitution.
fn cloud_text(value: &Value) -> String {
    match (value.as_str(), value["Ref"].as_str(), value["Fn::Sub"].as_str()) {
        (Some(text), ..) | (_, _, Some(text)) => common(text),
        (_, Some(parameter), _) => common(&format!("${{{parameter}}}")),
        _ => panic!("{value} is no text"),
    }
}

/// A statement of a policy: its name, actions, resources and conditions.
type Statement = (String, BTreeSet<String>, BTreeSet<String>, BTreeMap<String, String>);

/// The elements that are always present, those that only a page adds, and those that only TLS adds.
fn by_condition(list: &Value) -> [Value; 3] {
    let elements = list.as_array().unwrap();
    ["", "WithPage", "WithTls"].map(|condition| {
        let of_it = elements.iter().filter_map(|it| match it.get("Fn::If") {
            None => condition.is_empty().then(|| it.clone()),
            Some(branches) => {
                assert_eq!(branches[2], json!({"Ref": "AWS::NoValue"}));
                assert!(branches[0] == "WithPage" || branches[0] == "WithTls", "{branches}");
                (branches[0] == condition).then(|| branches[1].clone())
            }
        });
        of_it.collect()
    })
}

fn cloud_statements(statements: &Value) -> Vec<Statement> {
    let statement = |it: &Value| {
        assert_eq!(it["Effect"], "Allow");
        let tests = it["Condition"].as_object().into_iter().flatten();
        let conditions = tests.flat_map(|(test, of)| {
            let of = of.as_object().unwrap();
            of.iter().map(move |(variable, value)| (format!("{test} {variable}"), cloud_text(value)))
        });
        let sid = it["Sid"].as_str().unwrap().to_owned();
        let resources = match &it["Resource"] {
            Value::Array(resources) => resources.iter().map(cloud_text).collect(),
            resource => [cloud_text(resource)].into(),
        };
        (sid, texts(&it["Action"]), resources, conditions.collect())
    };
    statements.as_array().unwrap().iter().map(statement).collect()
}

fn terra_statements(document: &Value) -> Vec<Statement> {
    let statement = |it: &Value| {
        assert_eq!(it.get("effect"), None);
        let conditions = it["condition"].as_array().into_iter().flatten().map(|condition| {
            let [value] = &condition["values"].as_array().unwrap()[..] else { panic!("{condition}") };
            let (test, variable) = (condition["test"].as_str().unwrap(), condition["variable"].as_str().unwrap());
            (format!("{test} {variable}"), common(value.as_str().unwrap()))
        });
        let resources = texts(&it["resources"]).iter().map(|resource| common(resource)).collect();
        (it["sid"].as_str().unwrap().to_owned(), texts(&it["actions"]), resources, conditions.collect())
    };
    document["statement"].as_array().unwrap().iter().map(statement).collect()
}

#[test]
fn policies_are_the_same_in_both_languages() {
    let policy =
        |template: &Value, name: &str| template["Resources"][name]["Properties"]["PolicyDocument"]["Statement"].clone();
    let (cloud, terra) = (template("ec2"), terraform("ec2"));
    let documents = &terra["data"]["aws_iam_policy_document"];
    let [always, with_page, with_tls] = by_condition(&policy(&cloud, "Policy"));
    assert_eq!(cloud_statements(&always), terra_statements(&documents["worker"]));
    assert_eq!(cloud_statements(&with_page), terra_statements(&documents["page"]));
    assert_eq!(cloud_statements(&with_tls), terra_statements(&documents["tls"]));

    let (cloud, terra) = (template("ecs"), terraform("ecs"));
    let documents = &terra["data"]["aws_iam_policy_document"];
    let of_task = policy(&cloud, "TaskPolicy");
    assert_eq!(of_task["Fn::If"][0], "ByCloudMap");
    assert_eq!(cloud_statements(&of_task["Fn::If"][1]), terra_statements(&documents["cloudmap"]));
    assert_eq!(cloud_statements(&of_task["Fn::If"][2]), terra_statements(&documents["ecs"]));
    let [always, with_page, with_tls] = by_condition(&policy(&cloud, "ExecutionPolicy"));
    assert_eq!(cloud_statements(&always), terra_statements(&documents["execution"]));
    assert_eq!(cloud_statements(&with_page), terra_statements(&documents["page"]));
    assert_eq!(cloud_statements(&with_tls), terra_statements(&documents["tls"]));
    let sidecar = template("sidecar");
    assert_eq!(by_condition(&policy(&sidecar, "ExecutionPolicy"))[2], with_tls);
    assert_eq!(cloud_statements(&policy(&sidecar, "TaskPolicy")), terra_statements(&documents["ecs"]));
}

/// The actions of AWS that peerl's strategies and the scripts of `deploy/` request.
fn actions_asked_for() -> BTreeSet<String> {
    let mut actions = BTreeSet::new();
    let mut directories = vec![path("crates/discovery/src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                directories.push(entry);
                continue;
            }
            // Each request names its action for the error message.
            for quoted in std::fs::read_to_string(entry).unwrap().split('"') {
                if let Some((service, action)) = quoted.split_once(':')
                    && ["autoscaling", "ec2", "ecs", "servicediscovery"].contains(&service)
                    && action.starts_with(|first: char| first.is_ascii_uppercase())
                    && action.chars().all(|symbol| symbol.is_ascii_alphanumeric())
                {
                    actions.insert(quoted.to_owned());
                }
            }
        }
    }
    for script in ["ec2-prepare", "ec2-lifecycle"] {
        let script = text(&format!("deploy/ec2/{script}"));
        for command in script.split("aws ").skip(1) {
            let mut words = command.split_whitespace();
            let (service, words) = (words.next().unwrap(), words.next().unwrap_or_default().split('-'));
            let action: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
            actions.insert(format!("{service}:{action}"));
        }
    }
    actions
}

#[test]
fn no_policy_allows_what_nothing_asks_for() {
    let asked = actions_asked_for();
    let needed = ["ec2:DescribeInstances", "ecs:ListTasks", "servicediscovery:DiscoverInstances", "ssm:GetParameter"];
    assert!(asked.is_superset(&set(&needed)), "{asked:?}");
    let mut allowed = BTreeSet::new();
    for name in ["ec2", "ecs", "sidecar"] {
        let template = template(name);
        for resource in template["Resources"].as_object().unwrap().values() {
            let statements = &resource["Properties"]["PolicyDocument"]["Statement"];
            let lists = match &statements["Fn::If"] {
                Value::Null => vec![statements],
                branches => vec![&branches[1], &branches[2]],
            };
            for statement in lists.into_iter().filter_map(Value::as_array).flatten() {
                let statement = statement.get("Fn::If").map_or(statement, |branches| &branches[1]);
                allowed.extend(texts(&statement["Action"]));
            }
        }
    }
    assert!(allowed.len() > 5, "{allowed:?}");
    assert!(allowed.is_subset(&asked), "{:?}", allowed.difference(&asked));
}

#[test]
fn instances_start_the_same_in_both_languages() {
    let (cloud, terra) = (template("ec2"), terraform("ec2"));
    let launch = &cloud["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"];
    let script = text("deploy/terraform/ec2/user-data.sh.tftpl");
    let arguments = terra["resource"]["aws_launch_template"]["worker"]["user_data"].as_str().unwrap();
    let arguments = arguments.split_whitespace().collect::<Vec<_>>().join(" ");
    let names = [
        "release",
        "name",
        "drain_seconds",
        "cookie_parameter",
        "tls_node_parameter",
        "tls_ca_parameter",
        "tls_server_name",
        "page_url",
        "page_token_parameter",
    ];
    let script = names.iter().fold(script, |script, name| {
        assert!(arguments.contains(&format!("{name} = var.{name}")), "{arguments}");
        script.replace(&format!("${{{name}}}"), &format!("${{var.{name}}}"))
    });
    assert_eq!(cloud_text(&launch["UserData"]["Fn::Base64"]), common(&script));

    let theirs = &terra["resource"]["aws_launch_template"]["worker"];
    let (ours, theirs) = (&launch["MetadataOptions"], &theirs["metadata_options"][0]);
    for (key, name) in [
        ("HttpEndpoint", "http_endpoint"),
        ("HttpTokens", "http_tokens"),
        ("HttpPutResponseHopLimit", "http_put_response_hop_limit"),
        ("InstanceMetadataTags", "instance_metadata_tags"),
    ] {
        assert!(!ours[key].is_null());
        assert_eq!(ours[key], theirs[name], "{key}");
    }
}

#[test]
fn an_instance_is_held_until_its_worker_is_ready_and_again_until_it_has_drained() {
    let (cloud, terra) = (template("ec2"), terraform("ec2"));
    let hooks = &cloud["Resources"]["Group"]["Properties"]["LifecycleHookSpecificationList"];
    let theirs = &terra["resource"]["aws_autoscaling_group"]["workers"]["initial_lifecycle_hook"];
    let longest = cloud["Parameters"]["DrainSeconds"]["MaxValue"].as_u64().unwrap();
    // A launch that is never completed is abandoned; a worker that cannot report that it has drained delays nothing.
    for (place, transition, result, least) in
        [(0, "EC2_INSTANCE_LAUNCHING", "ABANDON", 300 + 30), (1, "EC2_INSTANCE_TERMINATING", "CONTINUE", longest + 30)]
    {
        let (hook, theirs) = (&hooks[place], &theirs[place]);
        assert_eq!(hook["LifecycleTransition"], format!("autoscaling:{transition}"));
        assert_eq!(hook["DefaultResult"], result);
        assert!(hook["HeartbeatTimeout"].as_u64().unwrap() >= least, "{hook}");
        assert_eq!(theirs["lifecycle_transition"], hook["LifecycleTransition"]);
        assert_eq!(theirs["default_result"], hook["DefaultResult"]);
        assert_eq!(theirs["name"], hook["LifecycleHookName"]);
    }
    assert_eq!(theirs[0]["heartbeat_timeout"], hooks[0]["HeartbeatTimeout"]);
    assert_eq!(theirs[1]["heartbeat_timeout"], "${var.drain_seconds + 30}");
    // The instance knows the hooks by name; the script times out before the hook does.
    let script = text("deploy/terraform/ec2/user-data.sh.tftpl");
    for (variable, place) in [("PEERL_LAUNCH_HOOK", 0), ("PEERL_LIFECYCLE_HOOK", 1)] {
        let name = hooks[place]["LifecycleHookName"].as_str().unwrap();
        assert!(script.contains(&format!("{variable}={name}\n")), "{script}");
    }
    assert!(text("deploy/ec2/ec2-lifecycle").contains("PEERL_READY_SECONDS:-300"));
}

#[test]
fn a_release_replaces_instances_and_keeps_as_many_as_are_desired_in_service() {
    let (cloud, terra) = (template("ec2"), terraform("ec2"));
    let cloud = &cloud["Resources"]["Group"];
    let terra = &terra["resource"]["aws_autoscaling_group"]["workers"];
    let (ours, theirs) = (&cloud["UpdatePolicy"]["AutoScalingInstanceRefresh"], &terra["instance_refresh"][0]);
    assert_eq!(ours["Strategy"], theirs["strategy"]);
    let (ours, theirs) = (&ours["Preferences"], &theirs["preferences"][0]);
    // Percentages of the desired size, which may exceed the minimum size.
    assert_eq!(ours["MinHealthyPercentage"], 100);
    assert!(ours["MaxHealthyPercentage"].as_u64().unwrap() > 100, "new instances are started before old ones end");
    for (key, name) in [
        ("MinHealthyPercentage", "min_healthy_percentage"),
        ("MaxHealthyPercentage", "max_healthy_percentage"),
        ("InstanceWarmup", "instance_warmup"),
    ] {
        assert_eq!(ours[key], theirs[name], "{key}");
    }
    // CloudFormation rolls a stack back; with Terraform, the group does it.
    assert_eq!(theirs["auto_rollback"], true);
    let latest = json!({"Fn::GetAtt": ["LaunchTemplate", "LatestVersionNumber"]});
    assert_eq!(cloud["Properties"]["LaunchTemplate"]["Version"], latest);
    assert_eq!(terra["launch_template"][0]["version"], "${aws_launch_template.worker.latest_version}");
}

#[test]
fn an_instance_is_tagged_by_the_launch_template_that_has_its_image() {
    let (cloud, terra) = (template("ec2"), terraform("ec2"));
    let launch = &cloud["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"];
    let theirs = &terra["resource"]["aws_launch_template"]["worker"];
    let (ours, tags) = (&launch["TagSpecifications"][0], &theirs["tag_specifications"][0]);
    assert_eq!(ours["ResourceType"], "instance");
    assert_eq!(ours["ResourceType"], tags["resource_type"]);
    for tag in ours["Tags"].as_array().unwrap() {
        let key = tag["Key"].as_str().unwrap();
        assert_eq!(cloud_text(&tag["Value"]), common(tags["tags"][key].as_str().unwrap()), "{key}");
    }
    assert_eq!(ours["Tags"][0], json!({"Key": "csrelease", "Value": {"Ref": "Release"}}));
    // A group's own tags go before those of the launch template, and stay when that is rolled back.
    assert_eq!(cloud["Resources"]["Group"]["Properties"].get("Tags"), None);
    assert_eq!(terra["resource"]["aws_autoscaling_group"]["workers"].get("tag"), None);
}

#[test]
fn no_file_sets_a_variable_that_nothing_reads() {
    for file in [
        "deploy/cloudformation/ec2.yaml",
        "deploy/cloudformation/ecs.yaml",
        "deploy/cloudformation/sidecar.yaml",
        "deploy/docker/Dockerfile",
        "deploy/systemd/peerl.env",
        "deploy/terraform/ec2/user-data.sh.tftpl",
        "deploy/terraform/ecs/main.tf",
    ] {
        assert!(!text(file).contains("RELEASE_HASH"), "{file}");
    }
}

#[test]
fn terraform_lets_only_members_in() {
    for name in ["ec2", "ecs"] {
        let terra = terraform(name);
        let rules = terra["resource"]["aws_vpc_security_group_ingress_rule"].as_object().unwrap();
        let open: BTreeSet<(u64, u64)> = rules
            .values()
            .filter(|rule| rule.get("count").is_none())
            .map(|rule| {
                let members = "${aws_security_group.members.id}";
                assert_eq!(rule["security_group_id"], members);
                assert_eq!(rule["referenced_security_group_id"], members);
                assert!(rule.get("cidr_ipv4").is_none() && rule.get("cidr_ipv6").is_none());
                assert_eq!(rule["ip_protocol"], "tcp");
                (rule["from_port"].as_u64().unwrap(), rule["to_port"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(open, [(4369, 4369), (9100, 9110)].into(), "{name}");
        assert!(terra["resource"]["aws_security_group"]["members"].get("ingress").is_none());
    }
}

/// The rules of the page's two connections, from visitors to the load balancer and from there to the workers, by
/// direction: the owner, the other side, and the port.
type Ways = BTreeSet<(&'static str, String, String, u64)>;

fn cloud_ways(cloud: &Value) -> Ways {
    let name = |value: &Value| match value["Fn::GetAtt"][0].as_str() {
        Some("SecurityGroup") => "members".to_owned(),
        Some("PageSecurityGroup") => "page".to_owned(),
        _ => value["Ref"].as_str().unwrap_or_default().to_owned(),
    };
    let port = |rule: &Value| {
        assert_eq!((&rule["IpProtocol"], &rule["FromPort"]), (&json!("tcp"), &rule["ToPort"]));
        rule["FromPort"].as_u64().unwrap()
    };
    let group = &cloud["Resources"]["PageSecurityGroup"]["Properties"];
    let ingress = &cloud["Resources"]["PageIngress"]["Properties"];
    let mut ways = Ways::new();
    for rule in group["SecurityGroupIngress"].as_array().unwrap() {
        ways.insert(("in", "page".to_owned(), name(&rule["CidrIp"]), port(rule)));
    }
    for rule in group["SecurityGroupEgress"].as_array().unwrap() {
        ways.insert(("out", "page".to_owned(), name(&rule["DestinationSecurityGroupId"]), port(rule)));
    }
    ways.insert(("in", name(&ingress["GroupId"]), name(&ingress["SourceSecurityGroupId"]), port(ingress)));
    ways
}

fn terra_ways(terra: &Value) -> Ways {
    let name = |value: &Value| match value.as_str().unwrap() {
        "${aws_security_group.members.id}" => "members".to_owned(),
        "${aws_security_group.page[0].id}" => "page".to_owned(),
        "${var.page_visitors}" => "PageVisitors".to_owned(),
        other => other.to_owned(),
    };
    let mut ways = Ways::new();
    for (direction, kind) in [("in", "ingress"), ("out", "egress")] {
        let rules = terra["resource"][format!("aws_vpc_security_group_{kind}_rule")].as_object().unwrap();
        for rule in rules.values().filter(|rule| rule.get("count").is_some()) {
            assert_eq!((&rule["count"], &rule["ip_protocol"]), (&json!("${local.page}"), &json!("tcp")));
            assert_eq!(rule["from_port"], rule["to_port"]);
            let other = rule.get("cidr_ipv4").unwrap_or(&rule["referenced_security_group_id"]);
            ways.insert((
                direction,
                name(&rule["security_group_id"]),
                name(other),
                rule["from_port"].as_u64().unwrap(),
            ));
        }
    }
    ways
}

#[test]
fn a_page_is_reached_by_its_load_balancer_only() {
    for name in ["ec2", "ecs"] {
        let (cloud, terra) = (template(name), terraform(name));
        let text = |text: &str| text.to_owned();
        let ways: Ways = [
            ("in", text("page"), text("PageVisitors"), 443),
            ("out", text("page"), text("members"), 8080),
            ("in", text("members"), text("page"), 8080),
        ]
        .into();
        assert_eq!(cloud_ways(&cloud), ways, "{name}");
        assert_eq!(terra_ways(&terra), ways, "{name}");

        let resources = cloud["Resources"].as_object().unwrap();
        for (key, resource) in resources.iter().filter(|(key, _)| key.starts_with("Page")) {
            assert_eq!(resource["Condition"], "WithPage", "{name}: {key}");
        }
        let listener = &resources["PageListener"]["Properties"];
        let theirs = &terra["resource"]["aws_lb_listener"]["page"];
        assert_eq!((&listener["Protocol"], &listener["Port"]), (&json!("HTTPS"), &json!(443)));
        assert_eq!((&theirs["protocol"], &theirs["port"]), (&json!("HTTPS"), &json!(443)));
        assert_eq!(listener["SslPolicy"], theirs["ssl_policy"]);
    }
}

#[test]
fn a_load_balancer_asks_a_worker_for_its_first_page() {
    for (name, kind) in [("ec2", "instance"), ("ecs", "ip")] {
        let (cloud, terra) = (template(name), terraform(name));
        let group = &cloud["Resources"]["PageTargetGroup"]["Properties"];
        let theirs = &terra["resource"]["aws_lb_target_group"]["page"];
        let check = &theirs["health_check"][0];
        assert_eq!((&group["TargetType"], &theirs["target_type"]), (&json!(kind), &json!(kind)));
        assert_eq!((&group["HealthCheckPath"], &check["path"]), (&json!("/"), &json!("/")));
        assert_eq!((&group["Matcher"]["HttpCode"], &check["matcher"]), (&json!("200"), &json!("200")));
        for (ours, theirs) in [
            (&group["Port"], &theirs["port"]),
            (&group["Protocol"], &theirs["protocol"]),
            (&group["HealthCheckIntervalSeconds"], &check["interval"]),
            (&group["HealthyThresholdCount"], &check["healthy_threshold"]),
            (&group["UnhealthyThresholdCount"], &check["unhealthy_threshold"]),
        ] {
            assert!(!ours.is_null());
            assert_eq!(ours, theirs, "{name}");
        }
    }
}

/// A template gives a worker only variables that `peerl` knows, and those of its page.
#[test]
fn a_page_is_where_its_load_balancer_looks_for_it() {
    let (cloud, terra) = (template("ecs"), terraform("ecs"));
    let container = &cloud["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0];
    let [_, variables, _] = by_condition(&container["Environment"]);
    let variables = variables.as_array().unwrap().iter().map(|it| (&it["Name"], cloud_text(&it["Value"])));
    let variables: Vec<(&Value, String)> = variables.collect();
    let [(address, port), (url, page)] = &variables[..] else { panic!("{variables:?}") };
    assert_eq!((*address, port.as_str()), (&json!("PEERL_WEB"), "0.0.0.0:8080"));
    assert_eq!((*url, page.as_str()), (&json!("PEERL_PUBLIC_URL"), "<page>"));
    let [_, secrets, _] = by_condition(&container["Secrets"]);
    assert_eq!(secrets, json!([{"Name": "PEERL_TOKEN", "ValueFrom": {"Ref": "PageTokenSecretArn"}}]));
    assert_eq!(container["PortMappings"]["Fn::If"][1], json!([{"ContainerPort": 8080}]));
    let balancer = &cloud["Resources"]["Service"]["Properties"]["LoadBalancers"]["Fn::If"][1];
    let to_worker =
        json!({"ContainerName": "worker", "ContainerPort": 8080, "TargetGroupArn": {"Ref": "PageTargetGroup"}});
    assert_eq!(balancer, &json!([to_worker]));

    let theirs = terra["resource"]["aws_ecs_task_definition"]["worker"]["container_definitions"].as_str().unwrap();
    for part in [
        "name = \"PEERL_WEB\", value = \"0.0.0.0:8080\"",
        "name = \"PEERL_PUBLIC_URL\", value = var.page_url",
        "name = \"PEERL_TOKEN\", valueFrom = var.page_token_secret_arn",
        "containerPort = 8080",
    ] {
        assert!(theirs.contains(part), "{part}: {theirs}");
    }
    let service = &terra["resource"]["aws_ecs_service"]["worker"]["dynamic"][0]["load_balancer"];
    assert_eq!(service["for_each"], "${aws_lb_target_group.page}");
    let content = &service["content"][0];
    assert_eq!((&content["container_name"], &content["container_port"]), (&json!("worker"), &json!(8080)));

    let group = &terraform("ec2")["resource"]["aws_autoscaling_group"]["workers"]["target_group_arns"];
    assert_eq!(group, "${aws_lb_target_group.page[*].arn}");
}

#[test]
fn tasks_are_the_same_in_both_languages() {
    let (cloud, terra) = (template("ecs"), terraform("ecs"));
    let task = &cloud["Resources"]["TaskDefinition"]["Properties"];
    assert_eq!(task["NetworkMode"], "awsvpc");
    assert_eq!(task["TaskRoleArn"], json!({"Fn::GetAtt": ["TaskRole", "Arn"]}));
    assert_eq!(task["ExecutionRoleArn"], json!({"Fn::GetAtt": ["ExecutionRole", "Arn"]}));
    let registries = &cloud["Resources"]["Service"]["Properties"]["ServiceRegistries"];
    assert_eq!(registries[0]["RegistryArn"], json!({"Fn::GetAtt": ["DiscoveryService", "Arn"]}));

    let theirs = &terra["resource"]["aws_ecs_task_definition"]["worker"];
    assert_eq!(theirs["network_mode"], "awsvpc");
    assert_eq!(theirs["task_role_arn"], "${aws_iam_role.task.arn}");
    let registries = &terra["resource"]["aws_ecs_service"]["worker"]["service_registries"];
    assert_eq!(registries[0]["registry_arn"], "${aws_service_discovery_service.worker.arn}");

    let container = &task["ContainerDefinitions"][0];
    let theirs = theirs["container_definitions"].as_str().unwrap();
    let quoted = |words: &Value| -> String {
        let words = words.as_array().unwrap().iter().map(cloud_text);
        words
            .map(|word| format!("\"{}\"", word.replace("<drain>", "${var.drain_seconds}")))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert!(theirs.contains(&format!("command = [{}]", quoted(&container["Command"]))), "{theirs}");
    assert!(theirs.contains(&format!("command = [{}]", quoted(&container["HealthCheck"]["Command"]))), "{theirs}");
    assert!(theirs.contains("stopTimeout = var.drain_seconds + 10"), "{theirs}");
    let both = ["Environment", "Secrets"].map(|of| by_condition(&container[of]));
    for variable in both.iter().flatten().flat_map(|variables| variables.as_array().unwrap()) {
        let name = variable["Name"].as_str().unwrap();
        assert!(theirs.contains(&format!("name = \"{name}\"")), "{name}");
        if name == "PEERL_DISCOVER" {
            let ours = &variable["Value"]["Fn::If"];
            let theirs = &terra["locals"]["discover"];
            assert_eq!(cloud_text(&ours[1]), common(theirs["cloudmap"].as_str().unwrap()));
            assert_eq!(cloud_text(&ours[2]), common(theirs["ecs"].as_str().unwrap()));
        }
    }
    let stop = cloud["Mappings"]["StopTimeout"].as_object().unwrap();
    let drains = texts(&cloud["Parameters"]["DrainSeconds"]["AllowedValues"]);
    assert_eq!(stop.keys().cloned().collect::<BTreeSet<_>>(), drains);
    for (drain, timeout) in stop {
        let timeout = timeout["Seconds"].as_u64().unwrap();
        assert_eq!(timeout, drain.parse::<u64>().unwrap() + 10);
        assert!(timeout <= 120, "Fargate waits no longer");
    }
}

/// The parts that moto ignores.
#[test]
fn a_load_balancer_and_health_checks_reach_an_app_with_a_sidecar() {
    let template = template("sidecar");
    let service = &template["Resources"]["Service"]["Properties"];
    let balancers = &service["LoadBalancers"]["Fn::If"];
    assert_eq!(balancers[0], "WithTargetGroup");
    let to_app = json!({
        "ContainerName": "app", "ContainerPort": {"Ref": "AppPort"}, "TargetGroupArn": {"Ref": "TargetGroupArn"}
    });
    assert_eq!(balancers[1], json!([to_app]));
    // ECS refuses a grace period without a load balancer.
    assert_eq!(service["HealthCheckGracePeriodSeconds"]["Fn::If"][0], "WithTargetGroup");
    let task = &template["Resources"]["TaskDefinition"]["Properties"];
    assert_eq!(task["RuntimePlatform"]["CpuArchitecture"], json!({"Ref": "CpuArchitecture"}));
    let app = &task["ContainerDefinitions"][0];
    assert_eq!(app["PortMappings"], json!([{"ContainerPort": {"Ref": "AppPort"}}]));
    let check = &app["HealthCheck"]["Fn::If"];
    assert_eq!(check[0], "WithHealthCheck");
    assert_eq!(check[1]["Command"], json!(["CMD-SHELL", {"Ref": "AppHealthCommand"}]));
    let ingress = &template["Resources"]["AppIngress"];
    assert_eq!(ingress["Condition"], "WithLoadBalancer");
    assert_eq!(ingress["Properties"]["SourceSecurityGroupId"], json!({"Ref": "LoadBalancerSecurityGroupId"}));
    assert_eq!(ingress["Properties"]["FromPort"], json!({"Ref": "AppPort"}));
}

#[test]
fn images_are_made_in_the_region_that_is_said() {
    let packer = crate::kit::hcl(&[path("deploy/packer/peerl.pkr.hcl")]);
    assert_eq!(packer["source"]["amazon-ebs"]["worker"]["region"], "${var.region}");
    assert_eq!(packer["variable"]["region"].get("default"), None, "an image elsewhere than the group is not found");
    assert!(text("docs/how-to-ec2.md").contains("packer build -var region=$AWS_REGION "));
}

#[test]
fn images_carry_their_release() {
    let packer = crate::kit::hcl(&[path("deploy/packer/peerl.pkr.hcl")]);
    let source = &packer["source"]["amazon-ebs"]["worker"];
    assert_eq!(source["tags"]["csrelease"], "${var.release}");
    assert_eq!(source["imds_support"], "v2.0");
    assert_eq!(source["metadata_options"][0]["http_tokens"], "required");
    assert!(source["source_ami_filter"][0]["filters"]["name"].as_str().unwrap().starts_with("al2023-ami-2023."));
    let provisioners = packer["build"]["provisioner"].as_array().unwrap();
    assert_eq!(provisioners[0]["file"]["source"], "${var.package}");
    let target = provisioners[0]["file"]["destination"].as_str().unwrap();
    let steps = texts(&provisioners[1]["shell"]["inline"]);
    assert!(steps.contains(&format!("sudo dnf --assumeyes install {target}")), "{steps:?}");
    // The file that `ec2-prepare` compares with the instance's tag.
    assert!(steps.contains("echo '${var.release}' | sudo tee /etc/peerl/release"), "{steps:?}");
    assert!(text("deploy/ec2/ec2-prepare").contains("$etc/release"));
}
