//! Clusters whose nodes connect by TLS: workers and commands that take part in them, and the settings for it.

use std::path::Path;

use crate::cluster::{A_WHILE, Cluster, Pages, run};
use crate::visitor::{Page, Visitor};
use peerl_test_support::{Authority, Beam, BeamBuilder, Identity, Otp, ProcessGuard, free_port, matrix, unique_name};
use serde_json::json;

fn erlang(cluster: &Cluster, otp: Otp, identity: &Identity) -> BeamBuilder {
    let optfile = identity.optfile("");
    let optfile = optfile.to_str().unwrap();
    Beam::erlang(otp).epmd(&cluster.epmd).short_names().args(["-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile])
}

/// The options with which a command is given its certificate.
fn files(identity: &Identity) -> [String; 6] {
    let [certificate, key, authority] =
        [&identity.certificate, &identity.key, &identity.authority].map(|path| path.to_str().unwrap().to_owned());
    ["--tls-cert".into(), certificate, "--tls-key".into(), key, "--tls-ca".into(), authority]
}

fn with<'a>(arguments: &[&'a str], options: &'a [String]) -> Vec<&'a str> {
    arguments.iter().copied().chain(options.iter().map(String::as_str)).collect()
}

fn worker(cluster: &Cluster, more: &[&str]) -> (ProcessGuard, String) {
    let name = format!("{}@localhost", unique_name("w"));
    let arguments = [&["worker", "--sname", &name, "--listen", "127.0.0.1"], more].concat();
    let worker = ProcessGuard::spawn(&mut cluster.command(&arguments));
    worker.wait_for_line("ready", A_WHILE);
    (worker, name)
}

#[test]
fn a_worker_and_commands_in_a_cluster_with_tls() {
    let (cluster, authority) = (Cluster::start(), Authority::new());
    let identity = authority.issue("node", &["localhost"]);
    let files = files(&identity);
    for otp in matrix() {
        let beam = erlang(&cluster, otp, &identity).start();
        let optfile = identity.optfile("").to_str().unwrap().to_owned();
        // The options of the other nodes, and discovery.
        let options = ["--tls-config", &optfile, "--discover", "epmd:localhost", "--interval", "1s"];
        let (worker, name) = self::worker(&cluster, &options);
        beam.wait_for(&format!("lists:member('{name}', nodes())"), "true", A_WHILE);
        assert!(beam.ping(&name));
        let called = format!("rpc:call('{name}', erlang, node, [])");
        assert_eq!(beam.eval(&called).unwrap(), name);

        let both = [beam.name(), &*name];
        cluster.run(&with(&[&["ping"][..], &both].concat(), &files)).ok();
        assert_eq!(cluster.run(&with(&["call", beam.name(), "lists:sum([1, 2])"], &files)).ok(), "3\n");
        let mapped = ["pmap", "string:uppercase(_)", "--items", "-", "--node", beam.name()];
        let mapped = cluster.run_with(&with(&mapped, &files), b"one\n");
        assert!(mapped.code == 0 && mapped.out.contains("ONE"), "{mapped:?}");
        let mesh = cluster.run(&with(&["mesh", "--node", beam.name()], &files));
        assert!(mesh.out.contains(&name), "{mesh:?}");

        // The settings are also variables and keys of the file.
        let mut command = cluster.command(&["ping", beam.name()]);
        command.env("PEERL_PROTO_DIST", "inet_tls").env("PEERL_TLS_CONFIG", &optfile);
        run(command).ok();
        cluster.write(
            "tls.toml",
            format!(
                "proto_dist = 'inet_tls'\ntls_cert = {:?}\ntls_key = {:?}\ntls_ca = {:?}\n",
                files[1], files[3], files[5]
            ),
        );
        cluster.run(&["ping", beam.name(), "--config", "tls.toml"]).ok();

        worker.sigterm();
        assert!(worker.wait(A_WHILE).success());
        beam.wait_for("nodes()", "[]", A_WHILE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_workers_have_tls() {
    let (cluster, pages, authority) = (Cluster::start(), Pages::serve(), Authority::new());
    let files = files(&authority.issue("node", &["localhost"]));
    let (_worker, name) = worker(&cluster, &files.each_ref().map(String::as_str));
    let own = format!("{}@localhost", unique_name("page"));
    let arguments = ["web", "--web", "127.0.0.1:0", "--sname", &own, "--interval", "1s", "--node", &name];
    let page = Page::start(&cluster, &with(&arguments, &files));
    let mut visitor = Visitor::of(&page.url);
    visitor.workers(1).await;
    let job = visitor.take(&pages.url("/0/a")).await;
    let results = visitor.ended(&job).await;
    assert_eq!((&results["job"]["done"], &results["rows"][0]["node"]), (&json!(1), &json!(name)));
}

/// As the tasks of ECS and the instances of a group do: the certificate is a variable, and for a name that is no host.
#[test]
fn nodes_that_share_a_certificate() {
    let (cluster, authority) = (Cluster::start(), Authority::new());
    let identity = authority.issue("shared", &["workers.example"]);
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    let own = text(&identity.certificate) + &text(&identity.key);
    let with_variables = |arguments: &[&str]| {
        let mut command = cluster.command(arguments);
        command.env("PEERL_TLS_CERT", &own).env("PEERL_TLS_CA", text(&identity.authority));
        command
    };
    let name = format!("{}@localhost", unique_name("w"));
    let mut command = with_variables(&["worker", "--sname", &name, "--listen", "127.0.0.1"]);
    let worker = ProcessGuard::spawn(command.env("PEERL_TLS_SERVER_NAME", "workers.example"));
    worker.wait_for_line("ready", A_WHILE);
    let beam = erlang(&cluster, Otp::V25, &identity).start();
    for peer in [&*name, beam.name()] {
        run(with_variables(&["ping", peer, "--tls-server-name", "workers.example"])).ok();
        let failure = run(with_variables(&["ping", peer])).failure(1);
        assert!(failure.contains("is for workers.example, and not for localhost"), "{failure}");
    }
    let mut command = with_variables(&["ping", &name]);
    command.env("PEERL_TLS_CERT", "-----BEGIN CERTIFICATE-----\nnonsense");
    let failure = run(command).failure(1);
    assert!(failure.contains("a certificate in the text of tls_cert is damaged"), "{failure}");
    let failure = cluster.run(&["ping", &name, "--tls-server-name", "workers.example"]).failure(64);
    assert!(failure.contains("--tls-cert"), "{failure}");
}

#[test]
fn either_side_names_a_peer_without_tls() {
    let (cluster, authority) = (Cluster::start(), Authority::new());
    let identity = authority.issue("node", &["localhost"]);
    let files = files(&identity);
    let (with_tls, encrypted) = worker(&cluster, &files.each_ref().map(String::as_str));
    let (without_tls, plain) = worker(&cluster, &[]);

    let failure = cluster.run(&["ping", &encrypted]).failure(1);
    assert!(failure.contains("speaks TLS") && failure.contains("--tls-cert"), "{failure}");
    let line = with_tls.wait_for_error_line("rejected a connection attempt", A_WHILE);
    assert!(line.contains("it speaks no TLS: it is a node without -proto_dist inet_tls"), "{line}");

    let failure = cluster.run(&with(&["ping", &plain], &files)).failure(1);
    assert!(failure.contains("no TLS with") && failure.contains("a node without -proto_dist inet_tls"), "{failure}");
    let line = without_tls.wait_for_error_line("rejected a connection attempt", A_WHILE);
    assert!(line.contains("speaks TLS"), "{line}");
}

#[test]
fn what_cannot_be_used_is_refused_at_start_with_its_name() {
    let (cluster, authority) = (Cluster::start(), Authority::new());
    let [identity, other] = ["node", "other"].map(|stem| authority.issue(stem, &["localhost"]));
    let refused = |arguments: &[&str]| {
        let ran = cluster.run(&[&["ping", "nobody@localhost"], arguments].concat());
        assert_ne!(ran.code, 0, "{ran:?}");
        ran.err
    };
    let file = |name: &str, text: &str| cluster.write(name, text);

    let err = refused(&["--tls-config", &file("fun.conf", "[{client, [{verify_fun, {fun a:b/3, []}}]}].")]);
    assert!(err.contains("verify_fun"), "{err}");
    let err = refused(&["--tls-config", &file("unknown.conf", "[{server, [{no_such, 1}]}].")]);
    assert!(err.contains("no_such"), "{err}");
    let err = refused(&["--tls-config", &file("cipher.conf", "[{client, [{ciphers, [\"AES128-SHA\"]}]}].")]);
    assert!(err.contains("AES128-SHA"), "{err}");
    let err = refused(&["--tls-config", &file("syntax.conf", "[{client, ")]);
    assert!(err.contains("syntax.conf"), "{err}");
    let err = refused(&["--proto-dist", "inet_tls"]);
    assert!(err.contains("--tls-cert") && err.contains("--tls-config"), "{err}");
    let err = refused(&["--tls-config", "x", "--tls-cert", "y"]);
    assert!(err.contains("--tls-c"), "{err}");

    let paths = |certificate: &str, key: &str, authority: &str| {
        refused(&["--tls-cert", certificate, "--tls-key", key, "--tls-ca", authority])
    };
    let [certificate, key, ca] =
        [&identity.certificate, &identity.key, &identity.authority].map(|path| path.to_str().unwrap());
    assert!(paths("/no/such/file", key, ca).contains("/no/such/file"));
    assert!(paths(certificate, certificate, ca).contains("no private key"));
    assert!(paths(key, key, ca).contains("no certificate"));
    assert!(paths(certificate, other.key.to_str().unwrap(), ca).contains("does not belong"));
    let encrypted = cluster.path("encrypted.pem");
    for form in [&["pkey"][..], &["ec"]] {
        let openssl = std::process::Command::new("openssl")
            .args(form)
            .args(["-aes128", "-passout", "pass:secret", "-in", key, "-out", encrypted.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(openssl.status.success(), "{openssl:?}");
        let err = paths(certificate, encrypted.to_str().unwrap(), ca);
        assert!(err.contains("is encrypted") && err.contains("openssl pkey"), "{err}");
    }
}

/// `inet_tls` and the like are each for one family of addresses: two nodes have the same port.
#[test]
fn the_family_of_addresses() {
    let (cluster, authority) = (Cluster::start(), Authority::new());
    let files = files(&authority.issue("node", &["127.0.0.1", "::1"]));
    let port = free_port().to_string();
    let options = |proto_dist| with(&["--epmd", "none", "--dist-port", &port, "--proto-dist", proto_dist], &files);
    for [of_ipv4, of_ipv6] in [["inet_tls", "inet6_tls"], ["inet_tcp", "inet6_tcp"]] {
        let workers = [("four@127.0.0.1", of_ipv4), ("six@::1", of_ipv6)].map(|(name, proto_dist)| {
            let arguments = [&["worker", "--name", name], &options(proto_dist)[..]].concat();
            let worker = ProcessGuard::spawn(&mut cluster.command(&arguments));
            worker.wait_for_line("ready", A_WHILE);
            worker
        });
        let ping = |name, proto_dist| cluster.run(&[&["ping", name], &options(proto_dist)[..]].concat());
        ping("four@127.0.0.1", of_ipv4).ok();
        ping("six@::1", of_ipv6).ok();
        for (name, proto_dist) in [("four@127.0.0.1", of_ipv6), ("six@::1", of_ipv4)] {
            let failure = ping(name, proto_dist).failure(1);
            assert!(failure.contains("the host has no address"), "{failure}");
        }
        drop(workers);
    }
}

/// The sidecar and the app's other nodes have TLS; the app connects to those that discovery finds.
#[test]
fn a_sidecar_for_an_app_with_tls() {
    let (cluster, authority) = (Cluster::start(), Authority::new());
    let identity = authority.issue("node", &["localhost"]);
    let files = files(&identity);
    for otp in matrix() {
        let [app, other] = [(); 2].map(|()| erlang(&cluster, otp, &identity).start());
        let strategy = format!("static:{}", other.name());
        let arguments = ["sidecar", "--node", app.name(), "--discover", &strategy, "--interval", "1s"];
        let sidecar = ProcessGuard::spawn(&mut cluster.command(&with(&arguments, &files)));
        sidecar.wait_for_line(&format!("connected {}", other.name()), A_WHILE);
        app.wait_for("nodes()", &format!("[{}]", other.name()), A_WHILE);
        sidecar.sigterm();
        assert!(sidecar.wait(A_WHILE).success());
    }
}
