//! The command line finds nodes by AWS, names a worker after its instance, and reports errors in one line.

use std::process::Command;
use std::time::Duration;

use peerl_test_support::{COOKIE, Epmd, Fault, FaultProxy, MetadataService, Moto, ProcessGuard, Request, Times};
use tempfile::TempDir;

/// Long, since the machine may be busy with other tests.
const A_WHILE: Duration = Duration::from_secs(60);

struct Cluster {
    epmd: Epmd,
    home: TempDir,
}

impl Cluster {
    fn start() -> Self {
        Self { epmd: Epmd::start(), home: tempfile::tempdir().unwrap() }
    }
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Starts this many instances with these tags, and returns their private addresses.
fn launch(moto: &Moto, count: usize, tags: &[(&str, &str)]) -> Vec<String> {
    let mut form = format!(
        "Action=RunInstances&Version=2016-11-15&ImageId=ami-12c6146b&MinCount={count}&MaxCount={count}\
         &TagSpecification.1.ResourceType=instance"
    );
    for (index, (key, value)) in tags.iter().enumerate() {
        let tag = format!("TagSpecification.1.Tag.{}", index + 1);
        form.push_str(&format!("&{tag}.Key={key}&{tag}.Value={value}"));
    }
    let scope = format!("testing/20260101/{}/ec2/aws4_request", Moto::REGION);
    let request = Request::new("POST", "/")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", &format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
        .body(form);
    let answer = request.send(&moto.endpoint()).unwrap().body_text();
    let mut addresses: Vec<String> =
        answer.split("<privateIpAddress>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), count, "{answer}");
    addresses
}

/// `peerl`, run as on an instance: with this environment, and no AWS variables of the user.
fn command(cluster: &Cluster, arguments: &[&str], environment: &[(&'static str, String)]) -> Command {
    let mut command = peerl_test_support::peerl_command();
    command
        .args(arguments)
        .current_dir(cluster.home.path())
        .env("HOME", cluster.home.path())
        .env("PEERL_COOKIE", COOKIE)
        .env("ERL_EPMD_PORT", cluster.epmd.port().to_string());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

fn without(environment: Vec<(&'static str, String)>, names: &[&str]) -> Vec<(&'static str, String)> {
    environment.into_iter().filter(|(name, _)| !names.iter().any(|without| name.starts_with(without))).collect()
}

#[test]
fn a_worker_is_found_under_the_name_of_its_instance() {
    let (cluster, moto, metadata) = (Cluster::start(), Moto::start(), MetadataService::start());
    let addresses = launch(&moto, 2, &[("csrelease", "0123abcd")]);
    launch(&moto, 2, &[("csrelease", "0123abce")]);
    let mut environment = without(moto.env(), &["AWS_EC2_METADATA"]);
    environment.push(("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint()));
    metadata.set("local-ipv4", &addresses[0]);

    let rule = "auto:ec2,host=private-ip,basename=w";
    let arguments = ["worker", "--name", rule, "--listen", "127.0.0.1", "--discover", "ec2:tag=csrelease=0123abcd"];
    let worker = ProcessGuard::spawn(&mut command(&cluster, &arguments, &environment));
    let ready = worker.wait_for_line("ready", A_WHILE);
    assert!(ready.starts_with(&format!("ready w@{} ", addresses[0])), "{ready}");

    let spec = "ec2:tag=csrelease=0123abcd,host=private-ip,basename=w";
    let found = run(command(&cluster, &["discover", spec, "--format", "json"], &environment));
    assert_eq!(found.code, 0, "{}", found.err);
    for address in &addresses {
        assert!(found.out.contains(&format!("w@{address}")), "{}", found.out);
    }
    assert_eq!(found.out.matches("w@").count(), 2, "{}", found.out);
}

/// The one-line error of `peerl discover`.
fn complaint(ran: &Ran) -> &str {
    let last = ran.err.trim_end().lines().last().unwrap_or_default();
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(last.starts_with("peerl: "), "{}", ran.err);
    last
}

#[test]
fn what_is_wrong_is_one_line_with_a_hint() {
    let (cluster, moto) = (Cluster::start(), Moto::start());
    let proxy = FaultProxy::before(&moto.endpoint());
    let environment = || peerl_test_support::aws_env(&proxy.endpoint());
    let ask = |environment: Vec<(&'static str, String)>| {
        run(command(&cluster, &["discover", "ec2:tag=csrelease=1"], &environment))
    };

    // There are no nodes: the message names the request.
    let ran = ask(environment());
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("finds no nodes") && ran.err.contains("tag=csrelease=1"), "{}", ran.err);

    let mut nowhere = without(environment(), &["AWS_ACCESS", "AWS_SECRET", "AWS_SESSION"]);
    nowhere.push(("AWS_EC2_METADATA_DISABLED", "true".to_owned()));
    let ran = ask(nowhere.clone());
    assert!(complaint(&ran).contains("no AWS credentials"), "{}", ran.err);
    assert!(complaint(&ran).contains("(hint: attach an instance profile"), "{}", ran.err);

    let ran = ask(without(nowhere, &["AWS_REGION"]));
    assert!(complaint(&ran).contains("no AWS region"), "{}", ran.err);
    assert!(complaint(&ran).contains("AWS_REGION"), "{}", ran.err);

    proxy.fail("DescribeInstances", Fault::AccessDenied, Times::Always);
    let ran = ask(environment());
    assert!(complaint(&ran).contains("(hint: allow the action ec2:DescribeInstances"), "{}", ran.err);
    proxy.heal();

    proxy.fail("DescribeInstances", Fault::ExpiredCredentials, Times::Always);
    let ran = ask(environment());
    assert!(complaint(&ran).contains("credentials have expired"), "{}", ran.err);
    proxy.heal();

    proxy.refuse();
    let ran = ask(environment());
    assert!(complaint(&ran).contains("refused"), "{}", ran.err);
    assert!(complaint(&ran).contains("(hint: check the route"), "{}", ran.err);
}

#[test]
fn the_region_and_the_credentials_of_the_instance_do() {
    let (cluster, moto, metadata) = (Cluster::start(), Moto::start(), MetadataService::start());
    let addresses = launch(&moto, 1, &[("csrelease", "1")]);
    let mut environment =
        without(moto.env(), &["AWS_EC2_METADATA", "AWS_ACCESS", "AWS_SECRET", "AWS_SESSION", "AWS_REGION"]);
    environment.push(("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint()));
    metadata.set("placement/region", Moto::REGION);
    metadata.set("iam/security-credentials/", "worker-role");
    metadata.set(
        "iam/security-credentials/worker-role",
        r#"{"Code": "Success", "LastUpdated": "2026-01-01T00:00:00Z", "Type": "AWS-HMAC", "AccessKeyId": "ASIAEXAMPLE",
            "SecretAccessKey": "secret", "Token": "token", "Expiration": "2099-01-01T00:00:00Z"}"#,
    );
    let ran = run(command(&cluster, &["discover", "ec2:tag=csrelease=1,host=private-ip"], &environment));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains(&format!("node@{}", addresses[0])), "{}", ran.out);
}

#[test]
fn names_and_strategies_that_make_no_sense_are_usage_errors() {
    let cluster = Cluster::start();
    for (arguments, complaint) in [
        (&["discover", "ec2:tag=csrelease="][..], "is a variable not set?"),
        (&["discover", "ec2:"][..], "needs a tag"),
        (&["discover", "ec2:tag=a=b,host=color"][..], "{private_dns}"),
        (&["worker", "--name", "auto:color"][..], "auto:ec2, auto:ecs, auto:ip, auto:hostname"),
        (&["worker", "--name", "auto:ec2,host=color"][..], "{private_dns}"),
        (&["worker", "--sname", "auto:hostname"][..], "use --name"),
    ] {
        let ran = run(command(&cluster, arguments, &[]));
        assert_eq!(ran.code, 64, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(complaint), "{arguments:?}: {}", ran.err);
    }
}
