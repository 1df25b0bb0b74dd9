//! The admin endpoint for an operator, a load balancer, Prometheus, and attackers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, Otp, ProcessGuard, matrix};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

const TOKEN: &str = "a-token-that-nobody-guesses";

/// A worker with an admin endpoint at a free port.
struct Endpoint {
    worker: ProcessGuard,
    name: String,
    address: String,
}

/// An answer: status, head, body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Endpoint {
    fn open(cluster: &Cluster, more: &[&str]) -> Self {
        let options = ["--admin", "127.0.0.1:0", "--format", "json"];
        let (worker, name) = cluster.worker(&[&options, more].concat());
        let ready: Value = serde_json::from_str(worker.stdout().lines().next().unwrap()).unwrap();
        Self { worker, name, address: ready["admin"].as_str().unwrap().to_owned() }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address))
    }

    fn get_with(&self, path: &str, token: &str) -> Answer {
        let head = format!("GET {path} HTTP/1.1\r\nhost: balancer.example\r\nauthorization: Bearer {token}\r\n");
        self.ask(&format!("{head}connection: close\r\n\r\n"))
    }

    fn connect(&self, peer: &str) -> Answer {
        let (body, length) = (json!({ "node": peer }).to_string(), json!({ "node": peer }).to_string().len());
        let head = format!("POST /connect HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n", self.address);
        self.ask(&format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}"))
    }

    fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(A_WHILE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// Opens a connection and sends only this.
    fn begin(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        // The server may have closed it already for a newer one.
        let _ = stream.write_all(text.as_bytes());
        stream
    }

    fn wait_for(&self, path: &str, status: u16) -> Answer {
        let end = Instant::now() + A_WHILE;
        loop {
            let answer = self.get(path);
            if answer.status == status {
                return answer;
            }
            assert!(Instant::now() < end, "{answer:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn an_operator_connects_a_node_and_sees_it() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [beam, hidden] =
            [Beam::erlang(otp), Beam::erlang(otp).hidden()].map(|beam| beam.epmd(&cluster.epmd).start());
        let endpoint = Endpoint::open(&cluster, &[]);
        assert_eq!(endpoint.get("/nodes").json(), json!({ "name": endpoint.name, "nodes": [], "hidden": [] }));

        let answer = endpoint.connect(beam.name());
        assert_eq!((answer.status, answer.json()), (200, json!({ "node": beam.name(), "connected": true })));
        beam.wait_for("nodes()", &format!("['{}']", endpoint.name), A_WHILE);
        assert_eq!(endpoint.connect(beam.name()).status, 200, "and again");
        assert_eq!(endpoint.connect(hidden.name()).status, 200);
        let expected = json!({ "name": endpoint.name, "nodes": [beam.name()], "hidden": [hidden.name()] });
        assert_eq!(endpoint.get("/nodes").json(), expected);

        let answer = endpoint.connect("nobody@127.0.0.1");
        assert_eq!(answer.status, 502);
        assert!(answer.json()["error"].as_str().unwrap().contains("nobody"), "{answer:?}");
        assert_eq!(endpoint.connect(&endpoint.name).status, 502);
    }
}

#[test]
fn health_is_whether_work_can_be_done_and_epmd_knows_the_node() {
    let cluster = Cluster::start();
    // With another setting it would soon run an EPMD itself.
    let endpoint = Endpoint::open(&cluster, &["--epmd", "external"]);
    let answer = endpoint.wait_for("/healthz", 200);
    assert_eq!(answer.json(), json!({ "status": "ok", "checks": { "work": "ok", "epmd": "ok" } }));
    assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");

    // Without EPMD the node cannot be found; when EPMD is back, the node is registered again.
    cluster.epmd.kill();
    let answer = endpoint.wait_for("/healthz", 503);
    assert_eq!(answer.json()["status"], "failing");
    assert_eq!(answer.json()["checks"]["work"], "ok", "what is connected still works");
    assert_ne!(answer.json()["checks"]["epmd"], "ok");
    cluster.epmd.restart();
    endpoint.wait_for("/healthz", 200);
}

#[test]
fn a_worker_is_ready_once_it_has_joined_and_until_it_drains() {
    let cluster = Cluster::start();
    let file = cluster.write("nodes", "nobody@127.0.0.1\n");
    let endpoint = Endpoint::open(&cluster, &["--discover", &format!("file:{file}"), "--interval", "200ms"]);
    let answer = endpoint.get("/readyz");
    assert_eq!((answer.status, answer.json()["status"].clone()), (503, json!("not ready")));
    endpoint.wait_for("/healthz", 200);

    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    cluster.write("nodes", beam.name());
    endpoint.wait_for("/readyz", 200);

    // A call is pending when the signal arrives: the endpoint stays open and reports not ready.
    beam.eval(&format!("spawn(fun() -> rpc:call('{}', timer, sleep, [12000]) end), ok", endpoint.name)).unwrap();
    let slow = |text: &str| text.lines().any(|line| line.starts_with("peerl_node_calls_active 1"));
    let end = Instant::now() + A_WHILE;
    while !slow(&endpoint.get("/metrics").body) {
        assert!(Instant::now() < end, "the call arrives");
    }
    endpoint.worker.sigterm();
    let answer = endpoint.wait_for("/readyz", 503);
    assert!(answer.json()["reason"].as_str().unwrap().contains("draining"), "{answer:?}");
    assert_eq!(endpoint.worker.wait(A_WHILE).code(), Some(0));
    assert!(TcpStream::connect(&endpoint.address).is_err(), "the endpoint has gone with the worker");
}

#[test]
fn a_worker_that_finds_nobody_is_ready_only_if_it_is_listed_or_may_be_alone() {
    let cluster = Cluster::start();
    let file = cluster.write("nodes", "\n");
    let options = ["--discover", &format!("file:{file}"), "--interval", "200ms"];
    let endpoint = Endpoint::open(&cluster, &options);
    let end = Instant::now() + A_WHILE;
    while !endpoint.get("/readyz").body.contains("finds no nodes") {
        assert!(Instant::now() < end, "{:?}", endpoint.get("/readyz"));
    }
    assert_eq!(endpoint.get("/readyz").status, 503);
    let alone = Endpoint::open(&cluster, &[&options[..], &["--alone-ok"]].concat());
    alone.wait_for("/readyz", 200);
    cluster.write("nodes", format!("{}\n", endpoint.name));
    endpoint.wait_for("/readyz", 200);
}

#[test]
fn prometheus_scrapes_what_was_decided_and_done() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let endpoint = Endpoint::open(&cluster, &["--discover", &format!("static:{}", beam.name()), "--interval", "200ms"]);
    endpoint.wait_for("/readyz", 200);
    for _ in 0..3 {
        assert_eq!(beam.eval(&format!("rpc:call('{}', peerl, echo, [a])", endpoint.name)).unwrap(), "a");
    }
    // A call is under way until its answer has been sent.
    let end = Instant::now() + A_WHILE;
    let answer = loop {
        let answer = endpoint.get("/metrics");
        if answer.body.contains("\npeerl_node_calls_active 0\n") {
            break answer;
        }
        assert!(Instant::now() < end, "{answer:?}");
    };
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{answer:?}");
    let value = |series: &str| -> f64 {
        let line = answer.body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {}", answer.body)).parse().unwrap()
    };
    assert_eq!(value("peerl_node_connections{visibility=\"visible\"}"), 1.0);
    assert!(value("peerl_node_calls_served_total") >= 3.0);
    assert_eq!(value("peerl_node_function_calls_total{function=\"peerl:echo/1\",outcome=\"value\"}"), 3.0);
    for figure in ["received_bytes", "sent_bytes", "received_messages", "sent_messages"] {
        assert!(value(&format!("peerl_node_peer_{figure}_total{{peer=\"{}\"}}", beam.name())) > 0.0, "{figure}");
    }
    assert_eq!(value("peerl_mesh_peers_connected"), 1.0);
    assert_eq!(value("peerl_mesh_connects_total"), 1.0);
    let strategy = format!("strategy=\"static:{}\"", beam.name());
    assert!(value(&format!("peerl_discovery_polls_total{{{strategy},outcome=\"found\"}}")) >= 1.0);
    assert!(value(&format!("peerl_discovery_poll_seconds_count{{{strategy}}}")) >= 1.0);
    assert!(value("peerl_admin_requests_total{path=\"/readyz\",status=\"200\"}") >= 1.0);
    for name in ["peerl_node_calls_served_total", "peerl_mesh_connects_total", "peerl_discovery_polls_total"] {
        assert!(answer.body.contains(&format!("# HELP {name} ")), "{name} is explained");
    }
}

#[test]
fn the_token_opens_and_nothing_else_does() {
    let cluster = Cluster::start();
    let file = cluster.write("token", format!("{TOKEN}\n"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let endpoint = Endpoint::open(&cluster, &["--admin-token-file", &file]);
    for path in ["/nodes", "/metrics", "/connect", "/no-such-path"] {
        let answer = endpoint.get(path);
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
        assert!(!answer.body.contains(&endpoint.name), "{answer:?}");
    }
    assert_eq!(endpoint.connect("a@127.0.0.1").status, 401);
    for wrong in ["", "x", &TOKEN[1..], &format!("{TOKEN}x"), &TOKEN.to_uppercase()] {
        assert_eq!(endpoint.get_with("/nodes", wrong).status, 401, "{wrong}");
    }
    assert_eq!(endpoint.get_with("/nodes", TOKEN).status, 200);
    assert_eq!(endpoint.get_with("/no-such-path", TOKEN).status, 404);
    // Load balancers send no token.
    assert_eq!([endpoint.wait_for("/healthz", 200).status, endpoint.get("/readyz").status], [200, 200]);
    assert!(!endpoint.worker.stderr().contains(TOKEN));
}

#[test]
fn an_endpoint_that_others_could_reach_needs_a_token() {
    let cluster = Cluster::start();
    let worker =
        |more: &[&str]| cluster.run(&[&["worker", "--name", "w@127.0.0.1", "--listen", "127.0.0.1"], more].concat());
    for address in ["0.0.0.0:0", "[::]:0"] {
        let failure = worker(&["--admin", address]).failure(64);
        assert!(failure.contains("no token") && failure.contains("--admin-token-file"), "{failure}");
    }
    let file = cluster.write("token", TOKEN);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let failure = worker(&["--admin", "0.0.0.0:0", "--admin-token-file", &file]).failure(64);
    assert!(failure.contains("others can read") && !failure.contains(TOKEN), "{failure}");
    assert_eq!(worker(&["--admin", "127.0.0.1"]).code, 64, "a port is needed");
    // Also with the configuration file.
    let settings = cluster.write("peerl.toml", "admin = '0.0.0.0:0'\n");
    assert!(worker(&["--config", &settings]).failure(64).contains("no token"));
    std::fs::remove_file(settings).unwrap();
}

#[test]
fn those_who_want_to_break_it_do_not() {
    let cluster = Cluster::start();
    let endpoint = Endpoint::open(&cluster, &[]);
    let host = &endpoint.address;
    // A head without end, and a body larger than any name.
    let mut stream = TcpStream::connect(&endpoint.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    while stream.write_all(&[b'x'; 1024]).is_ok() {}
    let body = "x".repeat(100_000);
    let large = endpoint.ask(&format!(
        "POST /connect HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 4097\r\nconnection: close\r\n\r\n{}",
        &body[..4097]
    ));
    assert_eq!(large.status, 413, "{large:?}");
    let chunked = endpoint.ask(&format!(
        "POST /connect HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n1001\r\n{}\r\n0\r\n\r\n",
        &body[..4097]
    ));
    assert_eq!(chunked.status, 413, "{chunked:?}");
    // Requests of web pages: a form of another origin, and a name that was rebound to this host.
    let page = |head: &str| {
        endpoint.ask(&format!(
            "POST /connect HTTP/1.1\r\n{head}content-length: 18\r\nconnection: close\r\n\r\n{{\"node\":\"evil@b.c\"}}"
        ))
    };
    assert_eq!(page(&format!("host: {host}\r\ncontent-type: text/plain\r\n")).status, 415);
    assert_eq!(page("host: evil.example\r\ncontent-type: application/json\r\n").status, 403);
    // The endpoint still works.
    assert_eq!(endpoint.get("/healthz").status, 200);
    assert!(!endpoint.worker.stderr().contains("panicked"), "{}", endpoint.worker.stderr());
}

/// Requests that are never completed.
const UNFINISHED: [&str; 3] = ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nhost: balancer.example\r\n"];

#[test]
fn a_health_check_beside_a_thousand_silent_connections_takes_no_second_alone() {
    // This process has the other ends of the connections.
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }).unwrap();
    let cluster = Cluster::start();
    let endpoint = Endpoint::open(&cluster, &[]);
    endpoint.wait_for("/healthz", 200);
    for beginning in UNFINISHED {
        let silent: Vec<TcpStream> = (0..1000).map(|_| endpoint.begin(beginning)).collect();
        for _ in 0..3 {
            let start = Instant::now();
            assert_eq!(endpoint.get("/healthz").status, 200);
            assert!(start.elapsed() < Duration::from_secs(1), "{:?} beside {beginning:?}", start.elapsed());
        }
        drop(silent);
    }
    let told = endpoint.worker.stderr();
    assert_eq!(told.matches("too many HTTP connections").count(), 1, "{told}");
}

#[test]
fn silent_connections_leave_descriptors_for_work() {
    let cluster = Cluster::start();
    let name = format!("{}@127.0.0.1", peerl_test_support::unique_name("w"));
    let arguments = ["worker", "--name", &name, "--listen", "127.0.0.1", "--admin", "127.0.0.1:0", "--format", "json"];
    let worker = cluster.command(&arguments);
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=100").arg(worker.get_program()).args(worker.get_args()).current_dir(cluster.home.path());
    limited.envs(worker.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let worker = ProcessGuard::spawn(&mut limited);
    let ready: Value = serde_json::from_str(&worker.wait_for_line("ready", A_WHILE)).unwrap();
    let endpoint = Endpoint { worker, name, address: ready["admin"].as_str().unwrap().to_owned() };
    let _silent: Vec<TcpStream> = (0..300).map(|_| endpoint.begin(UNFINISHED[1])).collect();
    endpoint.wait_for("/healthz", 200);
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    assert_eq!(beam.eval(&format!("rpc:call('{}', peerl, echo, [a])", endpoint.name)).unwrap(), "a");
}

#[test]
fn former_names_still_work_and_the_log_tells_the_present_ones() {
    let cluster = Cluster::start();
    let token = cluster.write("token", TOKEN);
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let options = ["--control", "127.0.0.1:0", "--control-token-file", &token, "--format", "json"];
    let is_guarded = |worker: ProcessGuard, name: String, warnings: [&str; 2]| {
        let ready: Value = serde_json::from_str(worker.stdout().lines().next().unwrap()).unwrap();
        let endpoint = Endpoint { worker, name, address: ready["admin"].as_str().unwrap().to_owned() };
        assert_eq!([endpoint.get("/nodes").status, endpoint.get_with("/nodes", TOKEN).status], [401, 200]);
        for warning in warnings {
            endpoint.worker.wait_for_error_line(warning, A_WHILE);
            let told = endpoint.worker.stderr();
            assert_eq!(told.matches(warning).count(), 1, "{warning:?} in {told}");
        }
        endpoint.address
    };
    let (worker, name) = cluster.worker(&options);
    let warnings = ["--control is now named --admin", "--control-token-file is now named --admin-token-file"];
    is_guarded(worker, name, warnings);

    let settings = cluster.write("old.toml", format!("control = '127.0.0.1:0'\ncontrol_token_file = '{token}'\n"));
    let (worker, name) = cluster.worker(&["--config", &settings, "--format", "json"]);
    is_guarded(worker, name, ["is now named `admin`;", "is now named `admin_token_file`;"]);

    let name = format!("{}@127.0.0.1", peerl_test_support::unique_name("w"));
    let mut command = cluster.command(&["worker", "--name", &name, "--listen", "127.0.0.1", "--format", "json"]);
    // The present name overrides the former.
    command.env("PEERL_CONTROL", "0.0.0.0:0").env("PEERL_ADMIN", "127.0.0.1:0");
    let worker = ProcessGuard::spawn(command.env("PEERL_CONTROL_TOKEN_FILE", &token));
    worker.wait_for_line("ready", A_WHILE);
    let warnings =
        ["PEERL_CONTROL is now named PEERL_ADMIN;", "PEERL_CONTROL_TOKEN_FILE is now named PEERL_ADMIN_TOKEN_FILE"];
    is_guarded(worker, name, warnings);

    assert_eq!(cluster.run(&["worker", "--control", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).code, 64);
    let well = peerl_test_support::HttpServer::start(|_| peerl_test_support::Response::json(200, "{}"));
    let asked = cluster.run(&["health", "--control", &format!("127.0.0.1:{}", well.port())]);
    assert!(asked.code == 0 && asked.err.contains("--control is now named --admin"), "{asked:?}");
    // The former names are not in the help.
    assert!(!cluster.run(&["worker", "--help"]).ok().contains("--control"));
}

#[test]
fn a_sidecar_answers_for_its_app() {
    let cluster = Cluster::start();
    let peer = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let name = format!("{}@127.0.0.1", peerl_test_support::unique_name("app"));
    let peers = cluster.write("peers", peer.name());
    let address = format!("127.0.0.1:{}", peerl_test_support::free_port());
    let spec = format!("file:{peers}");
    let sidecar = ["sidecar", "--node", &name, "--discover", &spec, "--interval", "300ms", "--admin", &address];
    let worker = ProcessGuard::spawn(&mut cluster.command(&sidecar));
    worker.wait_for_line("ready", A_WHILE);
    let endpoint = Endpoint { worker, name, address };
    assert_eq!(
        [endpoint.get("/healthz").status, endpoint.get("/readyz").status, endpoint.get("/nodes").status],
        [503, 503, 502]
    );
    assert!(endpoint.get("/metrics").body.contains("peerl_sidecar_app_up 0"));

    let app = Beam::erlang(Otp::V25).name(&endpoint.name).epmd(&cluster.epmd).start();
    endpoint.wait_for("/readyz", 200);
    endpoint.wait_for("/healthz", 200);
    assert!(endpoint.get("/metrics").body.contains("peerl_sidecar_app_up 1"));
    assert_eq!(endpoint.get("/nodes").json(), json!({ "name": endpoint.name, "nodes": [peer.name()], "hidden": [] }));
    let other = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    assert_eq!(endpoint.connect(other.name()).status, 200);
    other.wait_for("nodes()", &format!("['{}']", endpoint.name), A_WHILE);
    app.kill();
    endpoint.wait_for("/readyz", 503);
    endpoint.wait_for("/healthz", 503);
}

#[test]
fn without_the_option_there_is_no_endpoint() {
    let cluster = Cluster::start();
    let (worker, _) = cluster.worker(&["--format", "json"]);
    let ready: Value = serde_json::from_str(worker.stdout().lines().next().unwrap()).unwrap();
    assert_eq!(ready.get("admin"), None);
}
