//! The how-to pages, executed literally: each command block runs, in order, in one shell, with replacements for AWS
//! and for the instances. Blocks that cannot run here are marked on the page.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use crate::kit::page::{Page, blocks_without_a_reason, has_blocks_to_run, how_to_pages};
use crate::kit::{path, texts};
use peerl_test_support::{HttpServer, Lan, Machine, Moto, ProcessGuard, Response, aws_env, peerl_command, python_tool};

const A_WHILE: Duration = Duration::from_secs(60);

/// The pages that a test below executes.
const WORKED_THROUGH: [&str; 6] =
    ["how-to-ec2.md", "how-to-ecs.md", "how-to-sidecar.md", "how-to-systemd.md", "how-to-tls.md", "how-to-web-page.md"];

#[test]
fn every_block_is_run_or_says_that_it_is_not() {
    for page in how_to_pages() {
        assert_eq!(blocks_without_a_reason(&page), [0; 0], "docs/{page} says of these lines that nothing runs them");
        let worked_through = WORKED_THROUGH.contains(&page.as_str());
        assert_eq!(has_blocks_to_run(&page), worked_through, "docs/{page}");
    }
}

/// `aws` of these pages uses moto.
fn with_aws(page: &mut Page, endpoint: &str) {
    for (name, value) in aws_env(endpoint) {
        page.set(name, &value);
    }
    // Version 1 of the command line reads the region from this variable, and has no pager.
    page.set("AWS_DEFAULT_REGION", Moto::REGION);
    let program = |name: &str| python_tool(name).get_program().to_owned().into_string().unwrap();
    let (aws, python, instead) = (program("aws"), program("python"), path("tests/kit/aws.py").display().to_string());
    page.program(
        "aws",
        &format!(
            "case \"$1 $2\" in
             'cloudformation deploy' | 'ecs run-task') exec {python} {instead} \"$@\" ;;
             *) exec {aws} \"$@\" ;;
             esac"
        ),
    );
}

/// Web pages for the checksums, in the place of those on the page.
fn with_web_pages(page: &mut Page, lan: &Lan) -> HttpServer {
    let server = HttpServer::start(|request: peerl_test_support::Request| Response::text(200, &request.path));
    let address = lan.expose(&server.endpoint());
    page.replace("https://example.org", &format!("{address}/example"));
    page.replace("https://www.erlang.org", &format!("{address}/erlang"));
    server
}

/// `sha256sum` of the paths that [`with_web_pages`] answers with.
const EXAMPLE: &str = "99d0533064c83d0483dc07145a0aa887cb104311dac8cc2ca57843c6723a5b69";
const ERLANG: &str = "da3f718982f2080815b82cef5e1d2f728232fa61403dec23c67f195e28be67eb";

fn write_private(file: &std::path::Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
    fs::set_permissions(file, PermissionsExt::from_mode(0o400)).unwrap();
}

fn worker(machine: &Machine, page: &Page, name: &str) -> ProcessGuard {
    let mut command = peerl_command();
    command.args(["worker", "--name", name, "--cookie-file", page.at("etc/cookie").to_str().unwrap()]);
    let worker = ProcessGuard::spawn(&mut machine.command(command));
    worker.wait_for_line("ready", A_WHILE);
    worker
}

#[test]
fn ec2() {
    let (moto, lan) = (Moto::start(), Lan::start());
    let mut page = Page::open("how-to-ec2.md");
    with_aws(&mut page, &lan.expose(&moto.endpoint()));
    let _web = with_web_pages(&mut page, &lan);
    page.replace("/etc/peerl", page.at("etc").to_str().unwrap());
    page.run();
    page.run();
    // Packer's result.
    page.meanwhile(
        "builder=$(aws ec2 run-instances --image-id ami-12c6146b --query 'Instances[0].InstanceId' --output text)
         aws ec2 create-image --instance-id $builder --name peerl-$RELEASE \
             --tag-specifications \"ResourceType=image,Tags=[{Key=csrelease,Value=$RELEASE}]\"
         aws ec2 terminate-instances --instance-ids $builder",
    );
    page.run();
    let members = page.run();
    assert_eq!(members.matches("InService").count(), 2, "{members}");

    // The work of the instances' user data.
    let cookie = page.meanwhile(
        "aws ssm get-parameter --name /peerl/cookie --with-decryption --query Parameter.Value --output text",
    );
    write_private(&page.at("etc/cookie"), &cookie);
    fs::write(page.at("etc/release"), page.meanwhile("echo $RELEASE")).unwrap();
    let names = page.meanwhile(
        "aws ec2 describe-instances --filters Name=tag:csrelease,Values=$RELEASE \
             --query 'Reservations[].Instances[].PrivateDnsName' --output text",
    );
    let names: Vec<&str> = names.split_whitespace().collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let instances: Vec<(Machine, ProcessGuard)> = (10..)
        .zip(&names)
        .map(|(number, name)| {
            let machine = lan.machine(lan.address(number));
            lan.name_host(name, machine.address());
            let worker = worker(&machine, &page, &format!("node@{name}"));
            (machine, worker)
        })
        .collect();
    let (first, _) = &instances[0];
    // The command for SSM, run here; and then the block, of which moto's SSM runs nothing.
    let (_, command) = page.peek().split_once("commands=[\"").unwrap();
    let (command, _) = command.split_once("\"]").unwrap();
    let sums = page.meanwhile_on(first, command);
    assert!(sums.contains(EXAMPLE) && sums.contains(ERLANG), "{sums}");
    page.run();
    let said = page.run_on(first);
    for name in names {
        assert!(said.contains(&format!("node@{name}")), "{said}");
    }
    assert!(said.contains(EXAMPLE) && said.contains(ERLANG), "{said}");
    page.end();
}

#[test]
fn ecs() {
    let moto = Moto::start();
    let mut page = Page::open("how-to-ecs.md");
    with_aws(&mut page, &moto.endpoint());
    page.replace("…/shop@sha256:…", "shop.example.org/shop@sha256:0123");
    page.run();
    page.run();
    // The effect of `docker push`.
    page.meanwhile(
        r#"aws ecr put-image --repository-name peerl --image-tag $RELEASE --image-manifest '{"schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 1, "digest": "sha256:0"},
            "layers": []}'"#,
    );
    page.run();
    page.run();
    page.run();
    let printed = page.run();
    // The log has the container's arguments, which are a command of peerl.
    let command: Vec<String> = serde_json::from_str(printed.trim()).unwrap();
    assert_eq!(command[0], "checksum");
    let output = peerl_command().args(&command).args(["--cookie", "c"]).envs(moto.env()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(!complaints.contains("Usage:"), "{complaints}");
    page.run();
    page.run();
    page.run();
    let told = page.meanwhile(
        "aws ecs describe-task-definition --task-definition shop --query 'taskDefinition.containerDefinitions[0]'",
    );
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(texts(&told["command"]).iter().any(|it| it.ends_with("exec env PHX_SERVER=true bin/shop start")), "{told}");
    assert_eq!(told["portMappings"][0]["containerPort"], 4000);
    page.end();
}

#[test]
fn sidecar() {
    let lan = Lan::start();
    let mut page = Page::open("how-to-sidecar.md");
    let hosts = [5, 6].map(|number| lan.machine(lan.address(number)));
    for (host, of_page) in hosts.iter().zip(["10.0.0.5", "10.0.0.6"]) {
        page.replace(of_page, &host.address().to_string());
    }
    page.replace("/run/secrets", page.at("secrets").to_str().unwrap());
    // A release's own script starts EPMD and a node with this name.
    page.program("release", "exec erl -noinput -name $RELEASE_NODE -setcookie $RELEASE_COOKIE");
    page.replace("bin/app start", "exec release");
    page.run();
    let sidecar = page.start_on(&hosts[0]);
    sidecar.wait_for_line("waiting", A_WHILE);
    let other = format!("app@{}", hosts[1].address());
    let start_other =
        format!("exec erl -noinput -name {other} -setcookie $(cat {})", page.at("secrets/cookie").display());
    let mut command = Command::new("bash");
    command.args(["-c", &start_other]).env("HOME", page.at("bin"));
    let _other = ProcessGuard::spawn(&mut hosts[1].command(command));
    page.set("HOME", page.at("bin").to_str().unwrap());
    let _app = page.start_on(&hosts[0]);
    sidecar.wait_for_line(&format!("connected {other}"), A_WHILE);
    let plan = page.run_on(&hosts[0]);
    assert!(plan.contains(&other), "{plan}");
    page.end();
}

#[test]
fn systemd() {
    let lan = Lan::start();
    let mut page = Page::open("how-to-systemd.md");
    let _web = with_web_pages(&mut page, &lan);
    let host = lan.machine(lan.address(7));
    page.replace("10.0.0.7", &host.address().to_string());
    fs::create_dir(page.at("etc")).unwrap();
    page.replace("/etc/peerl", page.at("etc").to_str().unwrap());
    page.program("systemctl", "");
    page.run();
    // The settings of the service.
    let settings = fs::read_to_string(page.at("etc/peerl.env")).unwrap();
    let name = settings.lines().find_map(|line| line.strip_prefix("PEERL_NAME=")).unwrap();
    let _worker = worker(&host, &page, name);
    let sums = page.run_on(&host);
    assert!(sums.contains(EXAMPLE), "{sums}");
    page.end();
}

#[test]
fn tls() {
    let lan = Lan::start();
    let mut page = Page::open("how-to-tls.md");
    let host = lan.machine(lan.address(5));
    page.replace("10.0.0.5", &host.address().to_string());
    page.replace("/etc/peerl", page.at("etc").to_str().unwrap());
    page.set("HOME", page.at("bin").to_str().unwrap());
    page.run();
    page.run();
    let shop = page.start_on(&host);
    while !page.meanwhile_on(&host, "peerl names || true").contains("\nshop ") {
        assert!(shop.is_running(), "{}", shop.stderr());
        std::thread::sleep(Duration::from_millis(200));
    }
    page.run();
    let worker = page.start_on(&host);
    worker.wait_for_line("ready", A_WHILE);
    let pinged = page.run_on(&host);
    assert_eq!(pinged.matches("pong").count(), 2, "{pinged}");
    let mesh = page.run_on(&host);
    assert!(mesh.contains("worker@") && mesh.contains("shop@"), "{mesh}");
    page.end();
}

#[test]
fn web_page() {
    let (moto, lan) = (Moto::start(), Lan::start());
    let mut page = Page::open("how-to-web-page.md");
    with_aws(&mut page, &lan.expose(&moto.endpoint()));
    let _web = with_web_pages(&mut page, &lan);
    let hosts = [5, 6, 9].map(|number| lan.machine(lan.address(number)));
    for (host, of_page) in hosts.iter().zip(["10.0.0.5", "10.0.0.6", "10.0.0.9"]) {
        page.replace(of_page, &host.address().to_string());
    }
    page.replace("/run/secrets", page.at("secrets").to_str().unwrap());
    fs::create_dir(page.at("secrets")).unwrap();
    page.set("PEERL_COOKIE", "secret");
    write_private(&page.at("etc/cookie"), "secret");
    let _workers = [&hosts[0], &hosts[1]].map(|host| worker(host, &page, &format!("w@{}", host.address())));
    let web = page.start_on(&hosts[2]);
    web.wait_for_line("http://127.0.0.1:8080/", A_WHILE);
    let results = page.run_on(&hosts[2]);
    assert!(results.contains(EXAMPLE), "{results}");
    drop(web);
    let guarded = page.start_on(&hosts[2]);
    let address = format!("http://{}:8080/", hosts[2].address());
    guarded.wait_for_line(&address, A_WHILE);
    // The health check of the page, from another machine.
    let check =
        page.meanwhile_on(&hosts[0], &format!("curl -fsS --output /dev/null --write-out '%{{http_code}}' {address}"));
    assert_eq!(check, "200");
    drop(guarded);

    // The state of the shell of the other how-to pages.
    page.meanwhile(
        "export RELEASE=r1
         export VPC=$(aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text)
         export SUBNETS=$(aws ec2 describe-subnets --filters Name=vpc-id,Values=$VPC --query 'Subnets[].SubnetId' \
             --output text | tr '[:space:]' , | sed 's/,$//')
         export IMAGE=$(aws ec2 describe-images --query 'Images[0].ImageId' --output text)
         aws acm request-certificate --domain-name checksums.example.org",
    );
    page.run();
    // Moto has no outputs for stacks that are deployed by a change set.
    let balancers = "aws elbv2 describe-load-balancers --query 'LoadBalancers[].Scheme' --output text";
    assert_eq!(page.meanwhile(balancers).trim(), "internal");
    page.meanwhile(
        "aws cloudformation delete-stack --stack-name workers
         aws ecs create-cluster --cluster-name main
         export IMAGE=peerl@sha256:0123
         export COOKIE=$(aws secretsmanager create-secret --name peerl/cookie --secret-string secret --query ARN \
             --output text)",
    );
    assert_eq!(page.meanwhile(balancers).trim(), "");
    page.run();
    assert_eq!(page.meanwhile(balancers).trim(), "internal");
    page.end();
}

/// The arguments of a `module` block are variables of the module, and include the required ones.
#[test]
fn terraform_blocks_fit_their_modules() {
    // The block of this page continues that of another.
    let page = crate::kit::text("docs/how-to-web-page.md");
    let arguments = page.lines().filter_map(|line| line.strip_prefix("  page_")?.split_once(' '));
    let arguments: Vec<String> = arguments.map(|(argument, _)| format!("page_{argument}")).collect();
    let variables = crate::kit::terraform("ecs")["variable"].clone();
    assert!(arguments.len() > 2 && arguments.iter().all(|it| variables.get(it).is_some()), "{arguments:?}");
    for (page, module) in [("how-to-ec2.md", "ec2"), ("how-to-ecs.md", "ecs")] {
        let text = crate::kit::text(&format!("docs/{page}"));
        let (_, block) = text.split_once("```hcl\n").unwrap();
        let (block, _) = block.split_once("```").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("main.tf");
        fs::write(&file, block).unwrap();
        let given = &crate::kit::hcl(&[file])["module"]["workers"];
        assert_eq!(given["source"], format!("./deploy/terraform/{module}"));
        let terraform = crate::kit::terraform(module);
        let variables = terraform["variable"].as_object().unwrap();
        for argument in given.as_object().unwrap().keys().filter(|key| *key != "source") {
            assert!(variables.contains_key(argument), "docs/{page}: {argument}");
        }
        for (variable, of) in variables {
            assert!(of.get("default").is_some() || given.get(variable).is_some(), "docs/{page} lacks {variable}");
        }
    }
}
