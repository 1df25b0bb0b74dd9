//! Errors of AWS are reported on one line, with a hint.

use crate::cluster::{Cluster, Ran, run};
use peerl_test_support::{HttpServer, Lan, Request, Response, aws_env};

/// Runs discovery with an endpoint of AWS, or without one.
fn discover(
    cluster: &Cluster,
    spec: &str,
    endpoint: Option<&str>,
    machine: Option<&peerl_test_support::Machine>,
) -> Ran {
    let mut command = cluster.command(&["discover", spec]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.envs(aws_env(endpoint.unwrap_or("http://127.0.0.1:1")));
    if endpoint.is_none() {
        command.env_remove("AWS_ENDPOINT_URL");
    }
    run(match machine {
        Some(machine) => machine.command(command),
        None => command,
    })
}

#[test]
fn each_refusal_has_its_own_words() {
    let cluster = Cluster::start();
    let skewed = "was refused, since the clock of this machine is wrong";
    let (clock, region) =
        ("(hint: set the clock of this machine, as by NTP)", "(hint: enable the region in the settings");
    let credentials = "since the credentials are wrong";
    let which = "and whether the region is enabled for the account)";
    for (status, code, message, words, hint) in [
        (
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            skewed,
            clock,
        ),
        (
            403,
            "SignatureDoesNotMatch",
            "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z",
            skewed,
            clock,
        ),
        (403, "InvalidSignatureException", "Signature not yet current: 20260101T010000Z is still later", skewed, clock),
        (403, "SignatureDoesNotMatch", "The request signature we calculated does not match", credentials, which),
        (401, "AuthFailure", "AWS was not able to validate the provided access credentials", credentials, which),
        (
            400,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            credentials,
            which,
        ),
        (401, "OptInRequired", "You are not subscribed to this service.", "since the region is not enabled", region),
    ] {
        let query = format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
             <RequestID>1</RequestID></Response>"
        );
        let json = format!(r#"{{"__type": "com.amazonaws#{code}", "message": "{message}"}}"#);
        let service = HttpServer::start(move |request: Request| match request.get("x-amz-target") {
            Some(_) => Response::json(status, &json),
            None => Response::xml(status, &query),
        });
        for (spec, action) in [("ec2:tag=a=b", "ec2:DescribeInstances"), ("ecs:cluster=c,service=s", "ecs:ListTasks")] {
            let failure = discover(&cluster, spec, Some(&service.endpoint()), None).failure(1);
            for part in [action, words, hint, code, message] {
                assert!(failure.contains(part), "{code}: {part}: {failure}");
            }
            // No debug dump.
            assert!(!failure.contains("ServiceError") && !failure.contains("Some("), "{failure}");
        }
    }
}

/// On a machine without an answering name server, as for an unknown name.
#[test]
fn a_region_that_does_not_exist() {
    let (cluster, lan) = (Cluster::start(), Lan::start());
    let machine = lan.machine(lan.address(7));
    for spec in ["ec2:tag=a=b,region=eu-wset-1", "ecs:cluster=c,service=s,region=eu-wset-1"] {
        let failure = discover(&cluster, spec, None, Some(&machine)).failure(1);
        for part in
            ["has no answer", "lookup address", "(hint: the region's endpoint has no address: check the spelling"]
        {
            assert!(failure.contains(part), "{part}: {failure}");
        }
    }
}
