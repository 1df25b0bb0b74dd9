//! Everything at once: machines of AWS that find each other by the tag of their release, Rust and BEAM nodes, run a
//! job while one leaves and one joins.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use peerl_test_support::{
    Beam, COOKIE, HttpServer, Lan, Machine, Moto, Otp, ProcessGuard, Request, Response, aws_env, peerl_command,
};
use serde_json::Value;

/// Long, since the machine may be busy with other tests.
const A_WHILE: Duration = Duration::from_secs(90);

/// The common tag of a release's nodes.
const TAG: &str = "csrelease";

#[test]
fn a_fleet_finds_itself_and_does_its_job_while_it_changes() {
    let cloud = Cloud::start();
    let mut ours: Vec<Instance> = cloud.launch_all(&[
        ("r1", Kind::Peerl),
        ("r1", Kind::Peerl),
        ("r1", Kind::Peerl),
        ("r1", Kind::Beam),
        ("r1", Kind::Beam),
        ("r2", Kind::Peerl),
        ("r2", Kind::Beam),
    ]);
    let theirs = ours.split_off(5);
    cloud.wait_for_mesh("r1", &ours);
    cloud.wait_for_mesh("r2", &theirs);

    // As in the predecessor: the called node distributes the pages among the nodes that it is connected to.
    let spread = "pages = for n <- 0..29, do: {ClusterScrape.PageController, :fetch, [URL <> Integer.to_string(n)]}
                  done = :rpc.parallel_eval(pages)
                  Enum.all?(done, fn {tag, _, _} -> tag == :ok end) and length(done) == 30";
    let spread = spread.replace("URL", &format!("{:?}", cloud.url("/before-")));
    assert_eq!(ours[3].beam().eval_elixir(&spread).unwrap(), "true");

    // A guest's job. Pages from 100 on are answered only when one instance has died with some of them.
    const PAGES: usize = 400;
    cloud.pages.open(100);
    let urls: Vec<String> = (0..PAGES).map(|page| cloud.url(&format!("/{page}"))).collect();
    let (list, out) = (cloud.file("urls"), cloud.file("results.jsonl"));
    std::fs::write(&list, urls.join("\n")).unwrap();
    let arguments = ["checksum", "--file", &list, "--out", &out, "--concurrency", "4", "--timeout", "60s"];
    let function = ["--function", "ClusterScrape.PageController.fetch/1", "--discover", "ec2:tag=csrelease=r1"];
    let job = ProcessGuard::spawn(&mut cloud.guest(&[&arguments[..], &function[..]].concat()));
    cloud.pages.wait_for_waiting(4 * ours.len());

    let dead = ours.remove(0);
    dead.power_off();
    cloud.terminate(&dead);
    cloud.pages.open(300);

    // The rest is answered only when another instance has joined. It has no discovery, and no tag at first.
    cloud.pages.wait_for_waiting(4 * ours.len());
    let new = cloud.launch(None, Kind::Peerl);
    assert!(cloud.nodes_of(&new).is_empty());
    let tagged = Instant::now();
    cloud.tag(&new, "r1");
    let (dead, new_node) = (dead.node(), new.node());
    ours.push(new);
    cloud.wait_for_mesh("r1", &ours);
    println!("tagged to connected with all: {:?}", tagged.elapsed());
    // The others have the dead one's share, and the new one has its own.
    cloud.pages.wait_for_waiting(4 * (ours.len() + 1));
    cloud.pages.open(PAGES);

    let status = job.wait(A_WHILE);
    assert_eq!(status.code(), Some(0), "{}", job.stderr());
    let records = records(Path::new(&out));
    let mut done_by: BTreeMap<String, usize> = BTreeMap::new();
    let mut sums: HashMap<String, String> = HashMap::new();
    for record in &records {
        let text = |key: &str| record[key].as_str().unwrap_or_else(|| panic!("{key} of {record}")).to_owned();
        *done_by.entry(text("node")).or_default() += 1;
        assert!(sums.insert(text("url"), text("sha256").to_lowercase()).is_none(), "twice: {record}");
    }
    assert_eq!(sums.len(), PAGES, "nothing is lost");
    let expected = cloud.sums(PAGES);
    for (page, url) in urls.iter().enumerate() {
        assert_eq!(sums[url], expected[page], "{url}");
    }
    let mut workers: BTreeSet<String> = ours.iter().map(Instance::node).collect();
    workers.insert(dead.clone());
    assert_eq!(done_by.keys().cloned().collect::<BTreeSet<_>>(), workers, "all have done some, and nobody else");
    // Only the requests that the dead one had begun were repeated.
    let twice: Vec<usize> = (0..PAGES).filter(|page| cloud.pages.count(&format!("/{page}")) > 1).collect();
    assert!(twice.len() <= 4, "{twice:?}");
    println!("done by: {done_by:?}; begun again: {twice:?}");

    // Discovery and nodes agree, and the releases have not mixed.
    let found = cloud.json(&["discover", "ec2:tag=csrelease=r1"]);
    let found: BTreeSet<&str> = found.as_array().unwrap().iter().map(|row| row["node"].as_str().unwrap()).collect();
    assert!(found.contains(new_node.as_str()) && !found.contains(dead.as_str()) && found.len() == 5, "{found:?}");
    for (release, instances) in [("r1", &ours), ("r2", &theirs)] {
        cloud.wait_for_mesh(release, instances);
        let names: BTreeSet<String> = instances.iter().map(Instance::node).collect();
        for instance in instances {
            let mut seen = cloud.nodes_of(instance);
            seen.insert(instance.node());
            assert_eq!(seen, names, "{release}: {}", instance.node());
        }
    }
}

/// AWS, its network, and a machine of an operator.
struct Cloud {
    moto: Moto,
    lan: Lan,
    /// The address of AWS for the machines.
    endpoint: String,
    pages: Pages,
    operator: Machine,
    files: tempfile::TempDir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Peerl,
    Beam,
}

struct Instance {
    id: String,
    address: Ipv4Addr,
    host: String,
    runs: Option<Runs>,
    /// Dropped after its programs.
    _machine: Option<Machine>,
}

enum Runs {
    Peerl(ProcessGuard),
    Beam { beam: Beam, epmd: ProcessGuard, sidecar: ProcessGuard },
}

impl Cloud {
    fn start() -> Self {
        let (moto, lan) = (Moto::start(), Lan::start());
        let endpoint = lan.expose(&moto.endpoint());
        let pages = Pages::serve(&lan);
        let operator = lan.machine(lan.address(2));
        Self { moto, endpoint, pages, operator, lan, files: tempfile::tempdir().unwrap() }
    }

    /// Launches instances with their tags, and starts their programs all at once.
    fn launch_all(&self, wanted: &[(&str, Kind)]) -> Vec<Instance> {
        let launched: Vec<Instance> = wanted.iter().map(|(release, _)| self.run_instance(Some(release))).collect();
        std::thread::scope(|scope| {
            let with_what = launched.into_iter().zip(wanted);
            let booting: Vec<_> = with_what
                .map(|(instance, &(release, kind))| scope.spawn(move || self.boot(instance, Some(release), kind)))
                .collect();
            booting.into_iter().map(|booting| booting.join().unwrap()).collect()
        })
    }

    /// Launches an instance, which discovers those of its release, if it has one.
    fn launch(&self, release: Option<&str>, kind: Kind) -> Instance {
        self.boot(self.run_instance(release), release, kind)
    }

    fn run_instance(&self, release: Option<&str>) -> Instance {
        static NEXT: AtomicU8 = AtomicU8::new(10);
        let address = self.lan.address(NEXT.fetch_add(1, Ordering::Relaxed));
        let tag = release.map_or_else(String::new, |release| {
            let tag = "&TagSpecification.1.Tag.1";
            format!("&TagSpecification.1.ResourceType=instance{tag}.Key={TAG}{tag}.Value={release}")
        });
        let number = "ImageId=ami-12c6146b&MinCount=1&MaxCount=1";
        let answer = self.ec2("RunInstances", &format!("{number}&PrivateIpAddress={address}{tag}"));
        // The names of its network interface precede those of the instance.
        let (_, instance) = answer.split_once("<instanceState>").expect("an instance has a state");
        let host = element(instance, "privateDnsName");
        self.lan.name_host(&host, address);
        Instance { id: element(&answer, "instanceId"), address, host, runs: None, _machine: None }
    }

    fn boot(&self, mut instance: Instance, release: Option<&str>, kind: Kind) -> Instance {
        let (machine, node) = (self.lan.machine(instance.address), instance.node());
        let strategy = release.map(|release| format!("ec2:tag={TAG}={release}"));
        let discover = strategy.as_ref().map_or(vec![], |strategy| vec!["--discover", strategy, "--interval", "500ms"]);
        let runs = match kind {
            Kind::Peerl => {
                let worker = [&["worker", "--name", &node], &discover[..]].concat();
                let worker = ProcessGuard::spawn(&mut self.peerl(&machine, &worker));
                worker.wait_for_line("ready", A_WHILE);
                Runs::Peerl(worker)
            }
            Kind::Beam => {
                let epmd = ProcessGuard::spawn(&mut machine.command(Command::new("epmd")));
                wait_for("EPMD", || {
                    let mut names = Command::new("epmd");
                    names.arg("-names");
                    machine.command(names).output().unwrap().status.success()
                });
                let beam = Beam::elixir(Otp::V25).name(&node).on(&machine).start();
                beam.eval_elixir(ANCESTOR).unwrap();
                let sidecar = [&["sidecar", "--node", &node], &discover[..]].concat();
                let sidecar = ProcessGuard::spawn(&mut self.peerl(&machine, &sidecar));
                Runs::Beam { beam, epmd, sidecar }
            }
        };
        (instance.runs, instance._machine) = (Some(runs), Some(machine));
        instance
    }

    fn tag(&self, instance: &Instance, release: &str) {
        self.ec2("CreateTags", &format!("ResourceId.1={}&Tag.1.Key={TAG}&Tag.1.Value={release}", instance.id));
    }

    fn terminate(&self, instance: &Instance) {
        self.ec2("TerminateInstances", &format!("InstanceId.1={}", instance.id));
    }

    /// A request to moto itself, which only reads the service from a signature.
    fn ec2(&self, action: &str, parameters: &str) -> String {
        let signature = format!(
            "AWS4-HMAC-SHA256 Credential=testing/20200101/{}/ec2/aws4_request, SignedHeaders=host, Signature=none",
            Moto::REGION
        );
        let request = Request::new("POST", "/")
            .header("authorization", &signature)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("Action={action}&Version=2016-11-15&{parameters}"));
        let response = request.send(&self.moto.endpoint()).unwrap();
        let body = String::from_utf8(response.body).unwrap();
        assert_eq!(response.status, 200, "{body}");
        body
    }

    fn peerl(&self, machine: &Machine, arguments: &[&str]) -> Command {
        let mut command = peerl_command();
        let home = self.files.path();
        command.args(arguments).current_dir(home).env("HOME", home).env("PEERL_COOKIE", COOKIE);
        command.envs(aws_env(&self.endpoint));
        machine.command(command)
    }

    /// A command of the operator.
    fn guest(&self, arguments: &[&str]) -> Command {
        self.peerl(&self.operator, arguments)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.guest(&[arguments, &["--format", "json"]].concat()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }

    /// Waits until a release's mesh is complete and has exactly these members.
    fn wait_for_mesh(&self, release: &str, instances: &[Instance]) {
        let discover = format!("ec2:tag={TAG}={release}");
        wait_for(&format!("the mesh of {release}"), || {
            let report = self.json(&["mesh", "--discover", &discover, "--dry-run"]);
            report["whole"] == true && report["nodes"].as_array().unwrap().len() == instances.len()
        });
    }

    /// The nodes to which an instance's node is connected.
    fn nodes_of(&self, instance: &Instance) -> BTreeSet<String> {
        let nodes = self.json(&["call", &instance.node(), "erlang:nodes()"]);
        nodes.as_array().unwrap().iter().map(|node| node.as_str().unwrap().to_owned()).collect()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.pages.endpoint)
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    /// The sums of the pages, by coreutils.
    fn sums(&self, count: usize) -> Vec<String> {
        let pages: Vec<String> = (0..count).map(|page| self.file(&format!("page-{page}"))).collect();
        for (page, path) in pages.iter().enumerate() {
            std::fs::write(path, content(&format!("/{page}"))).unwrap();
        }
        let output = Command::new("sha256sum").args(&pages).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }
}

impl Instance {
    fn node(&self) -> String {
        format!("node@{}", self.host)
    }

    fn beam(&self) -> &Beam {
        match &self.runs {
            Some(Runs::Beam { beam, .. }) => beam,
            _ => panic!("{} runs no BEAM", self.host),
        }
    }

    /// Kills all its programs.
    fn power_off(&self) {
        match &self.runs {
            Some(Runs::Peerl(worker)) => worker.kill(),
            Some(Runs::Beam { beam, epmd, sidecar }) => {
                beam.kill();
                epmd.kill();
                sidecar.kill();
            }
            None => {}
        }
    }
}

/// The predecessor's function, with OTP's HTTP client.
const ANCESTOR: &str = r#"
    {:ok, _} = Application.ensure_all_started(:inets)
    :ok = :httpc.set_options(max_sessions: 100)
    defmodule ClusterScrape.PageController do
      def fetch(target) do
        case :httpc.request(:get, {String.to_charlist(target), []}, [], body_format: :binary) do
          {:ok, {{_, 200, _}, _, body}} -> {:ok, target, Base.encode16(:crypto.hash(:sha256, body))}
          {:ok, {{_, 404, _}, _, _}} -> {:error, target, "URL Not Found"}
          {:error, reason} -> {:error, target, reason}
          _ -> {:error, target, "Other failure"}
        end
      end
    end
    :ok"#;

/// Pages with numbers for paths; the answers from some number on are held back; other paths are answered at once.
struct Pages {
    endpoint: String,
    state: Arc<(Mutex<State>, Condvar)>,
    _server: HttpServer,
}

#[derive(Default)]
struct State {
    open: usize,
    waiting: usize,
    counts: HashMap<String, usize>,
}

impl Pages {
    fn serve(lan: &Lan) -> Self {
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let shared = state.clone();
        let server = HttpServer::start(move |request| {
            let (state, changed) = &*shared;
            let mut held = state.lock().unwrap();
            *held.counts.entry(request.path.clone()).or_default() += 1;
            if let Ok(page) = request.path[1..].parse::<usize>() {
                held.waiting += 1;
                changed.notify_all();
                held = changed.wait_timeout_while(held, A_WHILE, |state| page >= state.open).unwrap().0;
                held.waiting -= 1;
            }
            drop(held);
            Response::text(200, &content(&request.path))
        });
        Self { endpoint: lan.expose(&server.endpoint()), state, _server: server }
    }

    /// Releases the pages before this number.
    fn open(&self, count: usize) {
        self.state.0.lock().unwrap().open = count;
        self.state.1.notify_all();
    }

    /// Waits until at least this many requests are held back.
    fn wait_for_waiting(&self, count: usize) {
        wait_for(&format!("{count} requests that wait"), || self.state.0.lock().unwrap().waiting >= count);
    }

    fn count(&self, path: &str) -> usize {
        self.state.0.lock().unwrap().counts.get(path).copied().unwrap_or(0)
    }
}

fn content(path: &str) -> String {
    format!("the page {path}\n").repeat(100)
}

fn records(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn element(xml: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let text = xml.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    text.unwrap_or_else(|| panic!("no {name} in {xml}")).0.to_owned()
}

fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + A_WHILE;
    while !is() {
        assert!(Instant::now() < end, "no {what} after {A_WHILE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
