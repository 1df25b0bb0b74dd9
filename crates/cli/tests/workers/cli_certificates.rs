//! Certificates of all kinds between nodes that verify each other: what nodes of OTP make of them, and what peerl says.

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Authority, Beam, Identity, KeyKind, Otp, ProcessGuard, matrix, unique_name};
use rcgen::{BasicConstraints, DnType, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};

/// A kind of certificate, and what peerl says of it, as far as a connection is refused.
struct Case {
    name: &'static str,
    issue: fn(&Authority, &Authority, &str) -> Identity,
    /// Of a peer to which peerl connects.
    of_server: Option<&'static str>,
    /// Of a peer that connects to peerl.
    of_client: Option<&'static str>,
    /// When peerl has the certificate, and a node of OTP connects to it.
    as_server: Option<&'static str>,
    /// When peerl has the certificate, and connects to a node of OTP.
    as_client: Option<&'static str>,
}

const EXPIRED: Option<&str> = Some("it refuses this node: this node's certificate has expired, or is not valid yet");
const NOT_YET: Option<&str> = Some("its certificate is not valid yet: check the clocks of both hosts");
const STRANGER: Option<&str> = Some("its certificate is not signed by an authority of this node's cacertfile");
const UNKNOWN: Option<&str> =
    Some("it refuses this node: this node's certificate is not signed by an authority that it knows");
const AUTHORITY: Option<&str> = Some("its certificate is that of an authority (CA:TRUE)");
const PURPOSE: Option<&str> = Some("its certificate is not for this purpose");
/// The releases give different reasons.
const REFUSED: Option<&str> = Some("it refuses this node: ");

const CASES: [Case; 10] = [
    Case {
        name: "elliptic",
        issue: |ours, _, stem| ours.issue(stem, &["localhost"]),
        of_server: None,
        of_client: None,
        as_server: None,
        as_client: None,
    },
    Case {
        name: "rsa",
        issue: |ours, _, stem| ours.issue_with(stem, KeyKind::Rsa, &["localhost"], |_| {}),
        of_server: None,
        of_client: None,
        as_server: None,
        as_client: None,
    },
    Case {
        name: "chain",
        issue: |ours, _, stem| ours.issue_by_intermediate(stem, &["localhost"]),
        of_server: None,
        of_client: None,
        as_server: None,
        as_client: None,
    },
    Case {
        name: "common-name",
        issue: |ours, _, stem| {
            ours.issue_with(stem, KeyKind::Ec, &[], |params| {
                params.distinguished_name.push(DnType::CommonName, "localhost")
            })
        },
        of_server: None,
        of_client: None,
        // Since release 27, with its latest patches.
        as_server: Some("it refuses this node: this node's certificate is bad"),
        as_client: None,
    },
    Case {
        name: "authority",
        issue: |ours, _, stem| {
            ours.issue_with(stem, KeyKind::Ec, &["localhost"], |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.key_usages.clear();
            })
        },
        of_server: AUTHORITY,
        of_client: AUTHORITY,
        // Since release 27, perhaps earlier.
        as_server: Some("it refuses this node"),
        as_client: Some("it refuses this node"),
    },
    Case {
        name: "expired",
        issue: |ours, _, stem| {
            ours.issue_with(stem, KeyKind::Ec, &["localhost"], |params| params.not_after = date_time_ymd(2020, 1, 1))
        },
        of_server: Some("its certificate has expired"),
        of_client: Some("its certificate has expired"),
        as_server: EXPIRED,
        as_client: EXPIRED,
    },
    Case {
        name: "future",
        issue: |ours, _, stem| {
            ours.issue_with(stem, KeyKind::Ec, &["localhost"], |params| params.not_before = date_time_ymd(4000, 1, 1))
        },
        of_server: NOT_YET,
        of_client: NOT_YET,
        as_server: EXPIRED,
        as_client: EXPIRED,
    },
    Case {
        name: "stranger",
        issue: |ours, other, stem| {
            let identity = other.issue(stem, &["localhost"]);
            Identity { authority: ours.file(), ..identity }
        },
        of_server: STRANGER,
        of_client: STRANGER,
        as_server: UNKNOWN,
        as_client: UNKNOWN,
    },
    Case {
        name: "other-name",
        issue: |ours, _, stem| ours.issue(stem, &["elsewhere.example", "10.9.8.7"]),
        of_server: Some("its certificate is for elsewhere.example, 10.9.8.7, and not for localhost"),
        of_client: None,
        as_server: REFUSED,
        as_client: None,
    },
    Case {
        name: "purpose",
        issue: |ours, _, stem| {
            ours.issue_with(stem, KeyKind::Ec, &["localhost"], |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
            })
        },
        of_server: PURPOSE,
        of_client: PURPOSE,
        as_server: REFUSED,
        as_client: REFUSED,
    },
];

fn beam(cluster: &Cluster, otp: Otp, identity: &Identity, more: &str) -> Beam {
    let optfile = identity.optfile(more);
    let optfile = optfile.to_str().unwrap();
    let beam = Beam::erlang(otp).epmd(&cluster.epmd).short_names();
    beam.args(["-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile]).start()
}

fn files(identity: &Identity) -> [&str; 6] {
    let [certificate, key, authority] =
        [&identity.certificate, &identity.key, &identity.authority].map(|path| path.to_str().unwrap());
    ["--tls-cert", certificate, "--tls-key", key, "--tls-ca", authority]
}

fn worker(cluster: &Cluster, identity: &Identity) -> (ProcessGuard, String) {
    let name = format!("{}@localhost", unique_name("w"));
    let arguments = [&["worker", "--sname", &name, "--listen", "127.0.0.1"], &files(identity)[..]].concat();
    let worker = ProcessGuard::spawn(&mut cluster.command(&arguments));
    worker.wait_for_line("ready", A_WHILE);
    (worker, name)
}

/// What a command says that connects to this node.
fn pinged(cluster: &Cluster, peer: &str, identity: &Identity, words: Option<&str>, case: &str) {
    let ran = cluster.run(&[&["ping", peer], &files(identity)[..]].concat());
    match words {
        None => drop(ran.ok()),
        Some(words) => {
            let failure = ran.failure(1);
            assert!(failure.contains("no TLS with") && failure.contains(words), "{case}: {failure}");
        }
    }
}

/// What a worker says to which this node connects.
fn connected(beam: &Beam, (worker, name): &(ProcessGuard, String), words: Option<&str>, case: &str) {
    assert_eq!(beam.ping(name), words.is_none(), "{case}: {}", worker.stderr());
    if let Some(words) = words {
        let line = worker.wait_for_error_line("rejected a connection attempt", A_WHILE);
        assert!(line.contains(words), "{case}: {line}");
    }
}

fn certificates(otp: Otp, versions: &str, cases: impl Iterator<Item = Case>) {
    let (cluster, ours, other) =
        (Cluster::start(), Authority::new(), Authority::named("another authority", KeyKind::Rsa));
    let good = ours.issue("good", &["localhost"]);
    let good_beam = beam(&cluster, otp, &good, versions);
    for Case { name, issue, of_server, of_client, as_server, as_client } in cases {
        let case = format!("{name}, {otp:?}{versions}");
        let identity = issue(&ours, &other, name);
        let since = match name {
            "common-name" | "authority" => Otp::V27,
            _ => Otp::V25,
        };
        let [as_server, as_client] = [as_server, as_client].map(|words| words.filter(|_| otp >= since));
        {
            let odd_beam = beam(&cluster, otp, &identity, versions);
            pinged(&cluster, odd_beam.name(), &good, of_server, &case);
            connected(&odd_beam, &worker(&cluster, &good), of_client, &case);
        }
        let odd_worker = worker(&cluster, &identity);
        connected(&good_beam, &odd_worker, as_server, &case);
        pinged(&cluster, good_beam.name(), &identity, as_client, &case);
    }
}

#[test]
fn every_kind() {
    matrix().into_iter().for_each(|otp| certificates(otp, "", CASES.into_iter()));
}

/// By TLS 1.3, a client has connected before its certificate is refused.
#[test]
fn refusals_by_tls_1_3() {
    for otp in matrix() {
        let cases = CASES.into_iter().filter(|case| ["chain", "expired", "stranger"].contains(&case.name));
        certificates(otp, ", {versions, ['tlsv1.3']}", cases);
    }
}

/// A node without a certificate is refused by servers that require one.
#[test]
fn no_certificate() {
    for otp in matrix() {
        for versions in ["", ", {versions, ['tlsv1.3']}"] {
            let (cluster, ours) = (Cluster::start(), Authority::new());
            let identity = ours.issue("node", &["localhost"]);
            let case = format!("{otp:?}{versions}");
            let beam = beam(&cluster, otp, &identity, versions);
            let client = format!("[{{client, [{{cacertfile, {:?}}}]}}].", identity.authority);
            let options = cluster.write("anonymous.conf", client);
            let failure = cluster.run(&["ping", beam.name(), "--tls-config", &options]).failure(1);
            let words = ["this node's certificate is missing", "it requires a certificate, and this node has none"];
            assert!(words.iter().any(|words| failure.contains(words)), "{case}: {failure}");
            // Such a node cannot listen.
            let refused = cluster.run(&["worker", "--sname", "w@localhost", "--tls-config", &options]);
            assert!(refused.err.contains("there are none for the role of the server"), "{refused:?}");

            let authority = identity.authority.display();
            let anonymous = ours.directory().join("anonymous.conf");
            let text = format!("[{{client, [{{cacertfile, \"{authority}\"}}, {{verify, verify_peer}}{versions}]}}].");
            std::fs::write(&anonymous, text).unwrap();
            let anonymous = Beam::erlang(otp).epmd(&cluster.epmd).short_names().args([
                "-proto_dist",
                "inet_tls",
                "-ssl_dist_optfile",
                anonymous.to_str().unwrap(),
            ]);
            let words = Some("it has no certificate, which this node requires");
            connected(&anonymous.start(), &worker(&cluster, &identity), words, &case);
        }
    }
}
