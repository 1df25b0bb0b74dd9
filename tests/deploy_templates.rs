//! What the templates of `deploy/` say: that linters find nothing in them, that CloudFormation and Terraform say the
//! same, and that no policy allows what nothing asks for.

mod kit;

use std::collections::{BTreeMap, BTreeSet};

use kit::{path, set, template, terraform, text, texts};
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

/// Texts of both kinds of template with the same words for the same things.
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

/// What a statement of a policy says: its name, actions, resources and conditions.
type Statement = (String, BTreeSet<String>, BTreeSet<String>, BTreeMap<String, String>);

fn cloud_statements(statements: &Value) -> Vec<Statement> {
    let statement = |it: &Value| {
        assert_eq!(it["Effect"], "Allow");
        let tests = it["Condition"].as_object().into_iter().flatten();
        let conditions = tests.flat_map(|(test, of)| {
            let of = of.as_object().unwrap();
            of.iter().map(move |(variable, value)| (format!("{test} {variable}"), cloud_text(value)))
        });
        let sid = it["Sid"].as_str().unwrap().to_owned();
        (sid, texts(&it["Action"]), [cloud_text(&it["Resource"])].into(), conditions.collect())
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
    assert_eq!(cloud_statements(&policy(&cloud, "Policy")), terra_statements(&documents["worker"]));

    let (cloud, terra) = (template("ecs"), terraform("ecs"));
    let documents = &terra["data"]["aws_iam_policy_document"];
    let of_task = policy(&cloud, "TaskPolicy");
    assert_eq!(of_task["Fn::If"][0], "ByCloudMap");
    assert_eq!(cloud_statements(&of_task["Fn::If"][1]), terra_statements(&documents["cloudmap"]));
    assert_eq!(cloud_statements(&of_task["Fn::If"][2]), terra_statements(&documents["ecs"]));
    assert_eq!(cloud_statements(&policy(&cloud, "ExecutionPolicy")), terra_statements(&documents["execution"]));
    let sidecar = template("sidecar");
    assert_eq!(cloud_statements(&policy(&sidecar, "TaskPolicy")), terra_statements(&documents["ecs"]));
}

/// The actions that peerl's strategies and the scripts of `deploy/` ask AWS for.
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
            // Each request names its action for the case that it is refused.
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
    let names = ["release", "name", "drain_seconds", "cookie_parameter"];
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
    // A launch that nobody completes is given up; a worker that cannot say that it has drained holds nothing up.
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
    // The instance knows the hooks by name; the script gives up before the hook does.
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
    // Percentages of what is desired, which may be more than the least size.
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
    for variable in container["Environment"].as_array().unwrap() {
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

/// What the stand-in takes no notice of.
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
    // ECS refuses a grace period where there is no load balancer.
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
    let packer = kit::hcl(&[path("deploy/packer/peerl.pkr.hcl")]);
    assert_eq!(packer["source"]["amazon-ebs"]["worker"]["region"], "${var.region}");
    assert_eq!(packer["variable"]["region"].get("default"), None, "an image elsewhere than the group is not found");
    assert!(text("docs/how-to-ec2.md").contains("packer build -var region=$AWS_REGION "));
}

#[test]
fn images_carry_their_release() {
    let packer = kit::hcl(&[path("deploy/packer/peerl.pkr.hcl")]);
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
    // The file that ec2-prepare compares with the instance's tag.
    assert!(steps.contains("echo '${var.release}' | sudo tee /etc/peerl/release"), "{steps:?}");
    assert!(text("deploy/ec2/ec2-prepare").contains("$etc/release"));
}
