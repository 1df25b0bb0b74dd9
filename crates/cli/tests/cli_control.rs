//! The control door as its users see it: an operator, a load balancer, Prometheus, and those who want to break in.

mod cluster;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, Otp, ProcessGuard, matrix};
use serde_json::{Value, json};

const TOKEN: &str = "a-token-that-nobody-guesses";

/// A worker with a door at a free port.
struct Door {
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

impl Door {
    fn open(cluster: &Cluster, more: &[&str]) -> Self {
        let options = ["--control", "127.0.0.1:0", "--format", "json"];
        let (worker, name) = cluster.worker(&[&options, more].concat());
        let ready: Value = serde_json::from_str(worker.stdout().lines().next().unwrap()).unwrap();
        Self { worker, name, address: ready["control"].as_str().unwrap().to_owned() }
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
        let door = Door::open(&cluster, &[]);
        assert_eq!(door.get("/nodes").json(), json!({ "name": door.name, "nodes": [], "hidden": [] }));

        let answer = door.connect(beam.name());
        assert_eq!((answer.status, answer.json()), (200, json!({ "node": beam.name(), "connected": true })));
        beam.wait_for("nodes()", &format!("['{}']", door.name), A_WHILE);
        assert_eq!(door.connect(beam.name()).status, 200, "and again");
        assert_eq!(door.connect(hidden.name()).status, 200);
        let expected = json!({ "name": door.name, "nodes": [beam.name()], "hidden": [hidden.name()] });
        assert_eq!(door.get("/nodes").json(), expected);

        let answer = door.connect("nobody@127.0.0.1");
        assert_eq!(answer.status, 502);
        assert!(answer.json()["error"].as_str().unwrap().contains("nobody"), "{answer:?}");
        assert_eq!(door.connect(&door.name).status, 502);
    }
}

#[test]
fn health_is_whether_work_can_be_done_and_epmd_knows_the_node() {
    let cluster = Cluster::start();
    // Otherwise it would soon run an EPMD itself.
    let door = Door::open(&cluster, &["--epmd", "external"]);
    let answer = door.wait_for("/healthz", 200);
    assert_eq!(answer.json(), json!({ "status": "ok", "checks": { "work": "ok", "epmd": "ok" } }));
    assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");

    // Without EPMD nobody finds the node; once it is back, the node is there again.
    cluster.epmd.kill();
    let answer = door.wait_for("/healthz", 503);
    assert_eq!(answer.json()["status"], "failing");
    assert_eq!(answer.json()["checks"]["work"], "ok", "what is connected still works");
    assert_ne!(answer.json()["checks"]["epmd"], "ok");
    cluster.epmd.restart();
    door.wait_for("/healthz", 200);
}

#[test]
fn a_worker_is_ready_once_it_has_joined_and_until_it_drains() {
    let cluster = Cluster::start();
    let file = cluster.write("nodes", "nobody@127.0.0.1\n");
    let door = Door::open(&cluster, &["--discover", &format!("file:{file}"), "--interval", "200ms"]);
    let answer = door.get("/readyz");
    assert_eq!((answer.status, answer.json()["status"].clone()), (503, json!("not ready")));
    door.wait_for("/healthz", 200);

    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    cluster.write("nodes", beam.name());
    door.wait_for("/readyz", 200);

    // A call is under way when the signal comes: the door stays open, and says that no more work is wanted.
    beam.eval(&format!("spawn(fun() -> rpc:call('{}', timer, sleep, [4000]) end), ok", door.name)).unwrap();
    let slow = |text: &str| text.lines().any(|line| line.starts_with("peerl_node_calls_active 1"));
    let end = Instant::now() + A_WHILE;
    while !slow(&door.get("/metrics").body) {
        assert!(Instant::now() < end, "the call arrives");
    }
    door.worker.sigterm();
    let answer = door.wait_for("/readyz", 503);
    assert!(answer.json()["reason"].as_str().unwrap().contains("draining"), "{answer:?}");
    assert_eq!(door.worker.wait(A_WHILE).code(), Some(0));
    assert!(TcpStream::connect(&door.address).is_err(), "the door has gone with the worker");
}

#[test]
fn a_worker_that_finds_nobody_is_ready_only_if_it_is_listed_or_may_be_alone() {
    let cluster = Cluster::start();
    let file = cluster.write("nodes", "\n");
    let options = ["--discover", &format!("file:{file}"), "--interval", "200ms"];
    let door = Door::open(&cluster, &options);
    let end = Instant::now() + A_WHILE;
    while !door.get("/readyz").body.contains("finds no nodes") {
        assert!(Instant::now() < end, "{:?}", door.get("/readyz"));
    }
    assert_eq!(door.get("/readyz").status, 503);
    let alone = Door::open(&cluster, &[&options[..], &["--alone-ok"]].concat());
    alone.wait_for("/readyz", 200);
    cluster.write("nodes", format!("{}\n", door.name));
    door.wait_for("/readyz", 200);
}

#[test]
fn prometheus_scrapes_what_was_decided_and_done() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let door = Door::open(&cluster, &["--discover", &format!("static:{}", beam.name()), "--interval", "200ms"]);
    door.wait_for("/readyz", 200);
    for _ in 0..3 {
        assert_eq!(beam.eval(&format!("rpc:call('{}', peerl, echo, [a])", door.name)).unwrap(), "a");
    }
    let answer = door.get("/metrics");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{answer:?}");
    let value = |series: &str| -> f64 {
        let line = answer.body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {}", answer.body)).parse().unwrap()
    };
    assert_eq!(value("peerl_node_connections{visibility=\"visible\"}"), 1.0);
    assert!(value("peerl_node_calls_served_total") >= 3.0);
    assert_eq!(value("peerl_node_calls_active"), 0.0);
    assert_eq!(value("peerl_mesh_peers_connected"), 1.0);
    assert_eq!(value("peerl_mesh_connects_total"), 1.0);
    let strategy = format!("strategy=\"static:{}\"", beam.name());
    assert!(value(&format!("peerl_discovery_polls_total{{{strategy},outcome=\"found\"}}")) >= 1.0);
    assert!(value(&format!("peerl_discovery_poll_seconds_count{{{strategy}}}")) >= 1.0);
    assert!(value("peerl_control_requests_total{path=\"/readyz\",status=\"200\"}") >= 1.0);
    for name in ["peerl_node_calls_served_total", "peerl_mesh_connects_total", "peerl_discovery_polls_total"] {
        assert!(answer.body.contains(&format!("# HELP {name} ")), "{name} is explained");
    }
}

#[test]
fn the_token_opens_and_nothing_else_does() {
    let cluster = Cluster::start();
    let file = cluster.write("token", format!("{TOKEN}\n"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let door = Door::open(&cluster, &["--control-token-file", &file]);
    for path in ["/nodes", "/metrics", "/connect", "/no-such-path"] {
        let answer = door.get(path);
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
        assert!(!answer.body.contains(&door.name), "{answer:?}");
    }
    assert_eq!(door.connect("a@127.0.0.1").status, 401);
    for wrong in ["", "x", &TOKEN[1..], &format!("{TOKEN}x"), &TOKEN.to_uppercase()] {
        assert_eq!(door.get_with("/nodes", wrong).status, 401, "{wrong}");
    }
    assert_eq!(door.get_with("/nodes", TOKEN).status, 200);
    assert_eq!(door.get_with("/no-such-path", TOKEN).status, 404);
    // Load balancers have no token.
    assert_eq!([door.wait_for("/healthz", 200).status, door.get("/readyz").status], [200, 200]);
    assert!(!door.worker.stderr().contains(TOKEN));
}

#[test]
fn a_door_that_others_could_reach_needs_a_token() {
    let cluster = Cluster::start();
    let worker =
        |more: &[&str]| cluster.run(&[&["worker", "--name", "w@127.0.0.1", "--listen", "127.0.0.1"], more].concat());
    for address in ["0.0.0.0:0", "[::]:0"] {
        let failure = worker(&["--control", address]).failure(64);
        assert!(failure.contains("no token") && failure.contains("--control-token-file"), "{failure}");
    }
    let file = cluster.write("token", TOKEN);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let failure = worker(&["--control", "0.0.0.0:0", "--control-token-file", &file]).failure(64);
    assert!(failure.contains("others can read") && !failure.contains(TOKEN), "{failure}");
    assert_eq!(worker(&["--control", "127.0.0.1"]).code, 64, "a port is needed");
    // By the file of settings, too.
    let settings = cluster.write("peerl.toml", "control = '0.0.0.0:0'\n");
    assert!(worker(&["--config", &settings]).failure(64).contains("no token"));
    std::fs::remove_file(settings).unwrap();
}

#[test]
fn those_who_want_to_break_it_do_not() {
    let cluster = Cluster::start();
    let door = Door::open(&cluster, &[]);
    let host = &door.address;
    // A head without end, and a body that is larger than any name.
    let mut stream = TcpStream::connect(&door.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    while stream.write_all(&[b'x'; 1024]).is_ok() {}
    let body = "x".repeat(100_000);
    let large = door.ask(&format!(
        "POST /connect HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 4097\r\nconnection: close\r\n\r\n{}",
        &body[..4097]
    ));
    assert_eq!(large.status, 413, "{large:?}");
    let chunked = door.ask(&format!(
        "POST /connect HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n1001\r\n{}\r\n0\r\n\r\n",
        &body[..4097]
    ));
    assert_eq!(chunked.status, 413, "{chunked:?}");
    // More idle connections than there are places: they are thrown out for those who have something to say.
    let idle: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&door.address).unwrap()).collect();
    assert_eq!(door.get("/readyz").status, 200);
    drop(idle);
    // Requests of web pages: another origin's form, and a name that points here.
    let page = |head: &str| {
        door.ask(&format!(
            "POST /connect HTTP/1.1\r\n{head}content-length: 18\r\nconnection: close\r\n\r\n{{\"node\":\"evil@b.c\"}}"
        ))
    };
    assert_eq!(page(&format!("host: {host}\r\ncontent-type: text/plain\r\n")).status, 415);
    assert_eq!(page("host: evil.example\r\ncontent-type: application/json\r\n").status, 403);
    // All that while it goes on working.
    assert_eq!(door.get("/healthz").status, 200);
    assert!(!door.worker.stderr().contains("panicked"), "{}", door.worker.stderr());
}

#[test]
fn a_sidecar_opens_the_door_of_its_app() {
    let cluster = Cluster::start();
    let peer = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let name = format!("{}@127.0.0.1", peerl_test_support::unique_name("app"));
    let peers = cluster.write("peers", peer.name());
    let address = format!("127.0.0.1:{}", peerl_test_support::free_port());
    let spec = format!("file:{peers}");
    let sidecar = ["sidecar", "--node", &name, "--discover", &spec, "--interval", "300ms", "--control", &address];
    let worker = ProcessGuard::spawn(&mut cluster.command(&sidecar));
    worker.wait_for_line("ready", A_WHILE);
    let door = Door { worker, name, address };
    assert_eq!([door.get("/healthz").status, door.get("/readyz").status, door.get("/nodes").status], [503, 503, 502]);
    assert!(door.get("/metrics").body.contains("peerl_sidecar_app_up 0"));

    let app = Beam::erlang(Otp::V25).name(&door.name).epmd(&cluster.epmd).start();
    door.wait_for("/readyz", 200);
    door.wait_for("/healthz", 200);
    assert!(door.get("/metrics").body.contains("peerl_sidecar_app_up 1"));
    assert_eq!(door.get("/nodes").json(), json!({ "name": door.name, "nodes": [peer.name()], "hidden": [] }));
    let other = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    assert_eq!(door.connect(other.name()).status, 200);
    other.wait_for("nodes()", &format!("['{}']", door.name), A_WHILE);
    app.kill();
    door.wait_for("/readyz", 503);
    door.wait_for("/healthz", 503);
}

#[test]
fn without_the_option_there_is_no_door() {
    let cluster = Cluster::start();
    let (worker, _) = cluster.worker(&["--format", "json"]);
    let ready: Value = serde_json::from_str(worker.stdout().lines().next().unwrap()).unwrap();
    assert_eq!(ready.get("control"), None);
}
