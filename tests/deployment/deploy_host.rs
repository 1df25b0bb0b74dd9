//! The parts of `deploy/` that run on a host: the systemd units, the scripts of EC2 instances, and the contents of
//! packages.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::kit::{path, text};
use peerl_test_support::{Epmd, HttpServer, ProcessGuard, Request, Response, peerl_binary, peerl_command, unique_name};
use serde_json::Value;
use tempfile::TempDir;

const UNITS: [&str; 2] = ["peerl-worker.service", "peerl-lifecycle.service"];

/// The values of a setting of a unit, in order.
fn settings(unit: &str, key: &str) -> Vec<String> {
    let text = text(&format!("deploy/systemd/{unit}"));
    text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned).collect()
}

fn setting(unit: &str, key: &str) -> String {
    let [value] = &settings(unit, key)[..] else { panic!("{unit} has not one {key}") };
    value.clone()
}

fn systemd_analyze(arguments: &[&str]) -> Output {
    let output = Command::new("systemd-analyze").args(arguments).output();
    output
        .unwrap_or_else(|error| panic!("systemd-analyze: {error}: run scripts/setup-tests, or apt-get install systemd"))
}

#[test]
fn systemd_takes_the_units() {
    let directory = tempfile::tempdir().unwrap();
    for unit in UNITS {
        // The programs that they start are not installed here.
        let here = text(&format!("deploy/systemd/{unit}"))
            .replace("/usr/bin/peerl", peerl_binary().to_str().unwrap())
            .replace("/usr/libexec/peerl", path("deploy/ec2").to_str().unwrap());
        let file = directory.path().join(unit);
        std::fs::write(&file, here).unwrap();
        let verified = systemd_analyze(&["verify", "--man=no", file.to_str().unwrap()]);
        let complaints = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && complaints.is_empty(), "{unit}: {complaints}");
        // On a scale from 0 (safe) to 100.
        let most = if unit == "peerl-worker.service" { "15" } else { "25" };
        let file = path(&format!("deploy/systemd/{unit}"));
        let judged = systemd_analyze(&["security", "--offline=true", "--threshold", most, file.to_str().unwrap()]);
        assert!(judged.status.success(), "{unit}: {}", String::from_utf8_lossy(&judged.stdout));
    }
}

#[test]
fn the_unit_starts_a_worker_with_what_it_is_given() {
    let unit = "peerl-worker.service";
    let (directory, epmd) = (tempfile::tempdir().unwrap(), Epmd::start());
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("credentials")).unwrap();
    std::fs::write(at("credentials/cookie"), "secret\n").unwrap();
    // As systemd 255 and later pass it: with the mask of an access list in the place of the group's bits.
    std::fs::set_permissions(at("credentials/cookie"), PermissionsExt::from_mode(0o440)).unwrap();
    std::fs::copy(path("deploy/systemd/peerl.toml"), at("peerl.toml")).unwrap();
    let name = format!("{}@127.0.0.1", unique_name("w"));
    // The user's file: its commented lines are valid settings.
    let lines = text("deploy/systemd/peerl.env").replace("#PEERL_DRAIN=30s", "PEERL_DRAIN=20s");
    let lines = lines.replace("#PEERL_WORKER_OPTIONS=--interval 10s", "PEERL_WORKER_OPTIONS=--interval 10s");
    let lines = lines.replace("#PEERL_NAME=auto:ec2", &format!("PEERL_NAME={name}"));
    assert_eq!(setting(unit, "LoadCredential"), "cookie:/etc/peerl/cookie");
    assert_eq!(setting(unit, "EnvironmentFile"), "-/etc/peerl/peerl.env");

    let notifications = UnixDatagram::bind(at("notify")).unwrap();
    notifications.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut environment: Vec<(String, String)> = Vec::new();
    let file = lines.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned);
    for line in settings(unit, "Environment").into_iter().chain(file) {
        let (key, value) = line.split_once('=').unwrap();
        let value = value.replace("%d", at("credentials").to_str().unwrap());
        environment.retain(|(other, _)| other != key);
        environment.push((key.to_owned(), value.replace("/etc/peerl", directory.path().to_str().unwrap())));
    }
    let value = |key: &str| environment.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone());
    let start = setting(unit, "ExecStart");
    let mut words = start.split_whitespace();
    assert_eq!(words.next(), Some("/usr/bin/peerl"));
    let mut command = peerl_command();
    for word in words {
        match word.strip_prefix('$').map(|name| name.trim_matches(['{', '}'])) {
            // Without braces, a variable is any number of words.
            Some(name) if !word.contains('{') => {
                command.args(value(name).unwrap_or_default().split_whitespace());
            }
            Some(name) => {
                command.arg(value(name).unwrap());
            }
            None => {
                command.arg(word);
            }
        }
    }
    command
        .args(["--listen", "127.0.0.1"])
        .envs(environment)
        .env("CREDENTIALS_DIRECTORY", at("credentials"))
        .env("NOTIFY_SOCKET", at("notify"))
        .env("ERL_EPMD_PORT", epmd.port().to_string())
        .current_dir("/");
    let worker = ProcessGuard::spawn(&mut command);
    let mut message = [0; 4096];
    let length = notifications.recv(&mut message).unwrap();
    assert!(String::from_utf8_lossy(&message[..length]).starts_with("READY=1\n"), "Type={}", setting(unit, "Type"));
    let ready = worker.wait_for_line("ready", Duration::from_secs(60));
    let port: u16 = ready.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((9100..=9110).contains(&port), "{ready}");
    worker.sigterm();
    loop {
        let length = notifications.recv(&mut message).unwrap();
        let heard = String::from_utf8_lossy(&message[..length]).into_owned();
        if heard.starts_with("STOPPING=1\n") {
            assert!(heard.contains("EXTEND_TIMEOUT_USEC=30000000\n"), "the file's --drain counts: {heard}");
            break;
        }
    }
    assert_eq!(worker.wait(Duration::from_secs(60)).code(), Some(0));
}

#[test]
fn the_unit_waits_as_long_as_the_worker_drains() {
    let unit = "peerl-worker.service";
    let seconds = |text: &str| text.strip_suffix('s').unwrap().parse::<u64>().unwrap();
    let drain = settings(unit, "Environment").iter().find_map(|it| it.strip_prefix("PEERL_DRAIN=").map(seconds));
    assert_eq!(seconds(&setting(unit, "TimeoutStopSec")), drain.unwrap() + 10);
    assert_eq!(setting(unit, "Type"), "notify");
    assert!(seconds(&setting(unit, "WatchdogSec")) >= 10);
}

/// An instance: its metadata service, and replacements for `aws` and `systemctl`.
struct Instance {
    directory: TempDir,
    metadata: HttpServer,
}

impl Instance {
    /// With metadata by path; each request without the token is refused.
    fn new(metadata: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let answer = move |request: Request| match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/latest/api/token") if request.get("x-aws-ec2-metadata-token-ttl-seconds").is_some() => {
                Response::text(200, "token")
            }
            ("GET", path) if request.get("x-aws-ec2-metadata-token") == Some("token") => {
                match path.strip_prefix("/latest/meta-data/").and_then(&metadata) {
                    Some(text) if text == "500" => Response::text(500, "away"),
                    Some(text) => Response::text(200, &text),
                    None => Response::text(404, "none"),
                }
            }
            _ => Response::text(401, "no token"),
        };
        let instance = Self { directory, metadata: HttpServer::start(answer) };
        std::fs::create_dir(instance.at("bin")).unwrap();
        std::fs::create_dir(instance.at("etc")).unwrap();
        instance.program("aws", "");
        instance.program("systemctl", "");
        instance
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// A program that records its arguments and then does this.
    fn program(&self, name: &str, then: &str) {
        let calls = self.at("calls");
        let script = format!("#!/bin/sh\necho {name} \"$@\" >>{}\n{then}\n", calls.display());
        let file = self.at("bin").join(name);
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.at("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    fn script(&self, name: &str) -> Command {
        let path_variable = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(path(&format!("deploy/ec2/{name}")));
        command
            .env("PATH", path_variable)
            .env("PEERL_ETC", self.at("etc"))
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.metadata.endpoint());
        command
    }

    fn prepare(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.script("ec2-prepare").args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    }
}

fn of_release(release: &'static str) -> impl Fn(&str) -> Option<String> {
    move |path| match path {
        "placement/region" => Some("eu-central-1".to_owned()),
        "tags/instance/csrelease" => Some(release.to_owned()),
        _ => None,
    }
}

#[test]
fn an_instance_fetches_its_secrets() {
    let instance = Instance::new(of_release("r1"));
    std::fs::write(instance.at("etc/release"), "r1\n").unwrap();
    instance.program("aws", "echo 'a secret'");
    for kind in ["cookie", "page-token", "tls-node", "tls-ca"] {
        let secret = instance.at("etc").join(kind);
        for (from, call) in [
            ("parameter", "ssm get-parameter --region eu-central-1 --name /the/name --with-decryption"),
            ("secret", "secretsmanager get-secret-value --region eu-central-1 --secret-id /the/name"),
        ] {
            let (done, said) = instance.prepare(&[&format!("--{kind}-{from}"), "/the/name"]);
            assert!(done, "{said}");
            let called = instance.calls().pop().unwrap();
            assert!(called.starts_with(&format!("aws {call} --query ")), "{called}");
            assert_eq!(std::fs::read_to_string(&secret).unwrap(), "a secret\n");
            assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o400);
            std::fs::remove_file(&secret).unwrap();
        }
    }
}

#[test]
fn an_instance_of_another_release_than_its_image_does_not_start() {
    let instance = Instance::new(of_release("r2"));
    instance.program("aws", "echo 'a secret'");
    std::fs::write(instance.at("etc/release"), "r1\n").unwrap();
    let (done, said) = instance.prepare(&["--cookie-parameter", "/peerl/cookie"]);
    assert!(!done);
    assert!(said.contains("the image is of release r1, and the instance is tagged csrelease=r2"), "{said}");
    assert!(!instance.at("etc/cookie").exists());
    assert_eq!(instance.calls(), [""; 0]);
}

#[test]
fn an_instance_without_a_cookie_does_not_start() {
    let instance = Instance::new(of_release("r1"));
    for (aws, complaint) in [("echo None", "/peerl/cookie holds no cookie"), ("echo denied >&2; exit 254", "denied")] {
        instance.program("aws", aws);
        let (done, said) = instance.prepare(&["--cookie-parameter", "/peerl/cookie"]);
        assert!(!done && said.contains(complaint), "{said}");
        assert!(!instance.at("etc/cookie").exists());
    }
    assert!(!instance.prepare(&[]).0);
    for option in ["--cookie-file", "--page-token-file", "--token-parameter"] {
        let (done, said) = instance.prepare(&[option, "x"]);
        assert!(!done && said.contains(&format!("there is no option {option}")), "{said}");
    }
}

#[test]
fn the_worker_is_drained_before_its_instance_goes() {
    let asked = Arc::new(AtomicUsize::new(0));
    let times = asked.clone();
    let instance = Instance::new(move |path| match path {
        "placement/region" => Some("eu-central-1".to_owned()),
        "instance-id" => Some("i-0123".to_owned()),
        // In service; then the metadata service is unavailable for a while; then the instance is to terminate.
        "autoscaling/target-lifecycle-state" => Some(match times.fetch_add(1, Ordering::SeqCst) {
            0..3 => "InService".to_owned(),
            3..6 => "500".to_owned(),
            _ => "Terminated".to_owned(),
        }),
        _ => None,
    });
    // The first attempts to tag the instance and to report that it has drained fail.
    let tried = instance.at("tried");
    instance.program("aws", &format!("test -e {0}.$1 || {{ touch {0}.$1; exit 1; }}", tried.display()));
    let mut command = instance.script("ec2-lifecycle");
    command.envs([("PEERL_LIFECYCLE_HOOK", "drain"), ("PEERL_AUTO_SCALING_GROUP", "workers")]);
    let lifecycle = ProcessGuard::spawn(command.env("PEERL_LIFECYCLE_INTERVAL", "0.05"));
    assert!(lifecycle.wait(Duration::from_secs(60)).success());
    assert!(asked.load(Ordering::SeqCst) > 6);
    let complete = "aws autoscaling complete-lifecycle-action --region eu-central-1 --instance-id i-0123 \
                    --lifecycle-hook-name drain --auto-scaling-group-name workers --lifecycle-action-result CONTINUE";
    let tag = "aws ec2 create-tags --region eu-central-1 --resources i-0123 --tags Key=peerl:draining,Value=true";
    assert_eq!(instance.calls(), [tag, "systemctl stop peerl-worker.service", complete, complete]);
}

#[test]
fn the_worker_is_drained_before_its_spot_instance_is_reclaimed() {
    let instance = Instance::new(|path| (path == "spot/instance-action").then(|| "{}".to_owned()));
    let lifecycle = ProcessGuard::spawn(instance.script("ec2-lifecycle").env("PEERL_LIFECYCLE_INTERVAL", "0.05"));
    assert!(lifecycle.wait(Duration::from_secs(60)).success());
    assert_eq!(instance.calls(), ["systemctl stop peerl-worker.service"]);
}

/// A package with the maintainer scripts of the real one, installed, removed and purged in a separate directory.
#[test]
fn a_purge_removes_the_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir_all(at("package/DEBIAN")).unwrap();
    std::fs::create_dir_all(at("package/etc/peerl")).unwrap();
    std::fs::write(at("package/etc/peerl/peerl.toml"), "").unwrap();
    std::fs::write(at("package/DEBIAN/conffiles"), "/etc/peerl/peerl.toml\n").unwrap();
    let control = "Package: peerl\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n\
                   Description: a test\n";
    std::fs::write(at("package/DEBIAN/control"), control).unwrap();
    for script in ["postinst", "prerm", "postrm"] {
        let file = at("package/DEBIAN").join(script);
        std::fs::write(&file, text(&format!("deploy/package/debian/{script}"))).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let deb = at("peerl.deb");
    let built = Command::new("dpkg-deb").arg("--build").arg(at("package")).arg(&deb).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    std::fs::create_dir_all(at("root/var/lib/dpkg/info")).unwrap();
    std::fs::create_dir_all(at("root/var/lib/dpkg/updates")).unwrap();
    std::fs::write(at("root/var/lib/dpkg/status"), "").unwrap();
    std::fs::write(at("root/var/lib/dpkg/available"), "").unwrap();
    let dpkg = |arguments: &[&str]| {
        let mut command = Command::new("dpkg");
        let root = format!("--root={}", at("root").display());
        let done = command.args([&root, "--force-script-chrootless"]).args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    let secrets = ["cookie", "page-token", "tls-node", "tls-ca"].map(|secret| at("root/etc/peerl").join(secret));
    let write = || secrets.iter().for_each(|secret| std::fs::write(secret, "secret").unwrap());
    dpkg(&["--install", deb.to_str().unwrap()]);
    write();
    dpkg(&["--remove", "peerl"]);
    assert!(secrets.iter().all(|secret| secret.exists()), "a package that is removed may come back");
    dpkg(&["--purge", "peerl"]);
    assert!(!at("root/etc/peerl").exists());

    // The user's own files beside it stay.
    dpkg(&["--install", deb.to_str().unwrap()]);
    write();
    std::fs::write(at("root/etc/peerl/mine"), "").unwrap();
    dpkg(&["--purge", "peerl"]);
    assert!(!secrets.iter().any(|secret| secret.exists()) && at("root/etc/peerl/mine").exists());
}

/// An instance that its group has just started, with consecutive answers of `peerl health`.
fn launched(answers: &[&str]) -> Instance {
    let instance = Instance::new(|path| match path {
        "placement/region" => Some("eu-west-1".to_owned()),
        "instance-id" => Some("i-0456".to_owned()),
        "tags/instance/csrelease" => Some("r7".to_owned()),
        _ => None,
    });
    // The last answer is repeated.
    let (file, last) = (instance.at("answers"), answers.last().unwrap());
    std::fs::write(&file, answers.join("\n") + "\n").unwrap();
    let next = format!("line=$(head -n 1 {0}); sed -i 1d {0}; eval \"${{line:-{last}}}\"", file.display());
    instance.program("peerl", &next);
    let hooks = "PEERL_AUTO_SCALING_GROUP=fleet\nPEERL_LAUNCH_HOOK=ready\nPEERL_LIFECYCLE_HOOK=drain\n";
    std::fs::write(instance.at("etc/lifecycle.env"), hooks).unwrap();
    instance
}

fn completed(result: &str) -> String {
    format!(
        "aws autoscaling complete-lifecycle-action --region eu-west-1 --instance-id i-0456 \
         --lifecycle-hook-name ready --auto-scaling-group-name fleet --lifecycle-action-result {result}"
    )
}

#[test]
fn an_instance_is_in_service_when_its_worker_is_ready() {
    let instance = launched(&["exit 1", "exit 1", "exit 0"]);
    let mut command = instance.script("ec2-lifecycle");
    let output = command.arg("--launched").env("PEERL_LIFECYCLE_INTERVAL", "0.05").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let health = "peerl health --ready --admin 127.0.0.1:9180".to_owned();
    assert_eq!(instance.calls(), [health.clone(), health.clone(), health, completed("CONTINUE")]);
}

#[test]
fn an_instance_whose_worker_does_not_get_ready_is_given_back() {
    let instance = launched(&["echo 'the admin endpoint does not answer'; exit 2"]);
    let mut command = instance.script("ec2-lifecycle");
    command.arg("--launched").envs([("PEERL_LIFECYCLE_INTERVAL", "0.1"), ("PEERL_READY_SECONDS", "1")]);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("not ready after 1 seconds: the admin endpoint does not answer"), "{said}");
    assert_eq!(instance.calls().pop(), Some(completed("ABANDON")));
    assert_eq!(instance.calls().iter().filter(|call| call.starts_with("aws")).count(), 1);
}

/// The user data of the template, run as on an instance of the group, with other directories, and perhaps a page or a
/// certificate.
fn user_data(instance: &Instance, page_url: &str, certificate: &str) -> Output {
    let script = text("deploy/terraform/ec2/user-data.sh.tftpl");
    let values = [
        ("release", "r7"),
        ("name", "fleet"),
        ("drain_seconds", "30"),
        ("cookie_parameter", "/peerl/cookie"),
        ("tls_node_parameter", certificate),
        ("tls_ca_parameter", "/peerl/ca"),
        ("tls_server_name", "workers.example"),
        ("page_url", page_url),
        ("page_token_parameter", "/peerl/page-token"),
    ];
    let script = values.iter().fold(script, |script, (name, value)| script.replace(&format!("${{{name}}}"), value));
    let script = script.replace("/etc/peerl", instance.at("etc").to_str().unwrap());
    let script = script.replace("/etc/systemd/system", instance.at("units").to_str().unwrap());
    let script = script.replace("/usr/libexec/peerl", path("deploy/ec2").to_str().unwrap());
    let file = instance.at("user-data");
    std::fs::write(&file, script).unwrap();
    let path_variable = format!("{}:{}", instance.at("bin").display(), std::env::var("PATH").unwrap());
    Command::new("bash")
        .arg(file)
        .env("PATH", path_variable)
        .env("PEERL_ETC", instance.at("etc"))
        .env("PEERL_LIFECYCLE_INTERVAL", "0.05")
        .env("PEERL_READY_SECONDS", "30")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance.metadata.endpoint())
        .output()
        .unwrap()
}

#[test]
fn user_data_starts_a_worker_and_waits_until_it_is_ready() {
    let instance = launched(&["exit 1", "exit 0"]);
    instance.program("aws", "echo 'a secret'");
    let output = user_data(&instance, "", "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let environment = std::fs::read_to_string(instance.at("etc/peerl.env")).unwrap();
    assert!(environment.contains("PEERL_DISCOVER=ec2:tag=csrelease=r7\n"), "{environment}");
    assert!(!environment.contains("PEERL_WEB"), "{environment}");
    assert!(!instance.at("etc/page-token").exists() && !instance.at("units").exists());
    assert!(environment.contains("PEERL_ADMIN=127.0.0.1:9180\n"), "{environment}");
    assert!(instance.at("etc/cookie").exists());
    let calls = instance.calls();
    let started = "systemctl enable --now --no-block peerl-worker.service".to_owned();
    let place = |call: &String| calls.iter().position(|it| it == call).unwrap_or_else(|| panic!("{call}: {calls:?}"));
    assert!(place(&"systemctl enable --now peerl-lifecycle.service".to_owned()) < place(&started));
    assert!(place(&started) < place(&completed("CONTINUE")));
}

#[test]
fn user_data_starts_a_worker_with_a_page() {
    let instance = launched(&["exit 0"]);
    instance.program("aws", "echo \"the secret of $*\"");
    let output = user_data(&instance, "https://peerl.example.org", "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let environment = std::fs::read_to_string(instance.at("etc/peerl.env")).unwrap();
    assert!(environment.contains("PEERL_WEB=0.0.0.0:8080\n"), "{environment}");
    assert!(environment.contains("PEERL_PUBLIC_URL=https://peerl.example.org\n"), "{environment}");
    let token = std::fs::read_to_string(instance.at("etc/page-token")).unwrap();
    assert!(token.contains("--name /peerl/page-token"), "{token}");
    // The service gets the token like the cookie.
    let drop_in = std::fs::read_to_string(instance.at("units/peerl-worker.service.d/page.conf")).unwrap();
    let file = instance.at("etc/page-token").display().to_string();
    let expected = format!("[Service]\nLoadCredential=page-token:{file}\nEnvironment=PEERL_TOKEN_FILE=%d/page-token\n");
    assert_eq!(drop_in, expected);
}

#[test]
fn user_data_starts_a_worker_with_a_certificate() {
    let instance = launched(&["exit 0"]);
    instance.program("aws", "echo \"the secret of $*\"");
    let output = user_data(&instance, "", "/peerl/node");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [node, authorities] = ["tls-node", "tls-ca"].map(|file| instance.at("etc").join(file));
    for (file, parameter) in [(&node, "--name /peerl/node"), (&authorities, "--name /peerl/ca")] {
        let fetched = std::fs::read_to_string(file).unwrap();
        assert!(fetched.contains(parameter), "{fetched}");
    }
    let drop_in = std::fs::read_to_string(instance.at("units/peerl-worker.service.d/tls.conf")).unwrap();
    let expected = format!(
        "[Service]\nLoadCredential=tls-node:{}\nLoadCredential=tls-ca:{}\n\
         Environment=PEERL_TLS_CERT=%d/tls-node PEERL_TLS_CA=%d/tls-ca PEERL_TLS_SERVER_NAME=workers.example\n",
        node.display(),
        authorities.display()
    );
    assert_eq!(drop_in, expected);
}

#[test]
fn user_data_gives_an_instance_back_that_it_cannot_prepare() {
    let instance = launched(&["exit 0"]);
    // The image's release differs from the instance's tag.
    std::fs::write(instance.at("etc/release"), "r6\n").unwrap();
    let output = user_data(&instance, "", "");
    assert!(!output.status.success());
    assert_eq!(instance.calls(), ["systemctl enable --now peerl-lifecycle.service".to_owned(), completed("ABANDON")]);
}

#[test]
fn both_packages_hold_the_same_and_all_of_it_is_there() {
    let metadata = crate::kit::json(
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
            .current_dir(path("")),
    );
    let packages = metadata["packages"].as_array().unwrap();
    let cli = packages.iter().find(|package| package["name"] == "peerl-cli").unwrap();
    let is_there = |source: &str| {
        // The binary, its manual pages and its completions are built.
        let built = source.starts_with("../../deploy/package/generated/");
        assert!(built || path("crates/cli").join(source).exists(), "{source}");
    };
    // The installed places of both, where Debian and Amazon Linux agree.
    let place = |source: &str, target: &str| {
        let name = Path::new(source).file_name().unwrap().to_str().unwrap();
        let target = target.trim_start_matches('/');
        match target.ends_with('/') && !name.contains('*') {
            true => format!("{target}{name}"),
            false => target.to_owned(),
        }
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let deb: Vec<(String, String)> = cli["metadata"]["deb"]["assets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|asset| (text(&asset[0]), place(asset[0].as_str().unwrap(), asset[1].as_str().unwrap())))
        .collect();
    let rpm: Vec<(String, String)> = cli["metadata"]["generate-rpm"]["assets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|asset| {
            (text(&asset["source"]), place(asset["source"].as_str().unwrap(), asset["dest"].as_str().unwrap()))
        })
        .collect();
    deb.iter().chain(&rpm).for_each(|(source, _)| is_there(source));
    for (source, target) in &deb {
        if !target.contains("zsh/") {
            assert!(rpm.contains(&(source.clone(), target.clone())), "the RPM has no {target}");
        }
    }
    for unit in UNITS {
        assert!(rpm.iter().any(|(_, target)| *target == format!("usr/lib/systemd/system/{unit}")), "{unit}");
        let units = cli["metadata"]["deb"]["systemd-units"].as_array().unwrap();
        assert!(units.iter().any(|it| unit.strip_suffix(".service") == it["unit-name"].as_str()), "{unit}");
    }
}
