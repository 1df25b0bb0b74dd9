//! `peerl web`: access to a page, the check of forms, and which pages are fetched for which visitor.

use std::os::unix::fs::PermissionsExt;

use crate::cluster::{A_WHILE, Cluster, Pages};
use crate::visitor::{Page, Visitor};
use peerl_test_support::{Beam, Otp, unique_name};
use reqwest::Method;
use serde_json::{Value, json};

const TOKEN: &str = "a-token-that-nobody-guesses";

fn token_file(cluster: &Cluster) -> String {
    let path = cluster.write("token", TOKEN);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

async fn log_in(visitor: &mut Visitor) {
    let token = visitor.get("/").await.is(200).form_token();
    visitor.post("/login", &[("form_token", &token), ("token", TOKEN)]).await.is(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_other_sites_and_sessions_are_refused() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    let page = Page::of(&cluster, &[&name], &[]);
    let mut visitor = Visitor::of(&page.url);
    let own = visitor.get("/").await.form_token();
    // A browser that opens two pages at once begins two sessions, and keeps one.
    let twin = Visitor::of(&page.url).get("/").await.form_token();
    let other = own.replace("anonymous", "member");
    let url = "http://127.0.0.1:1/";
    let fields = |token| [("form_token", token), ("urls", url)];
    for (what, request) in [
        ("no token", visitor.form("/jobs", &[("urls", url)])),
        ("a token of others", visitor.form("/jobs", &fields(&other))),
        ("another site", visitor.form("/jobs", &fields(&own)).header("origin", "https://evil.example")),
        ("no site at all", visitor.form("/jobs", &fields(&own)).header("origin", "null")),
        ("what the browser says", visitor.form("/jobs", &fields(&own)).header("sec-fetch-site", "cross-site")),
        ("another name of this host", visitor.form("/jobs", &fields(&own)).header("host", "rebound.example")),
        ("a program of another site", {
            let program = visitor.request(Method::POST, "/api/jobs").header("origin", "https://evil.example");
            program.header("content-type", "application/json").body(json!({ "urls": [url] }).to_string())
        }),
    ] {
        let refused = visitor.clone().send(request).await;
        assert_eq!(refused.status, 403, "{what}: {refused:?}");
    }
    let plain = visitor.request(Method::POST, "/api/jobs").header("content-type", "text/plain").body("{}");
    visitor.clone().send(plain).await.is(415);
    for path in ["/", "/cluster.json", "/style.css"] {
        let request = visitor.request(Method::GET, path).header("host", "rebound.example");
        let refused = visitor.clone().send(request).await.is(403);
        assert!(refused.body.contains("this machine only"), "{refused:?}");
    }
    assert_eq!(visitor.get("/api/jobs").await.json(), json!([]), "nothing has begun");
    let request = visitor.form("/jobs", &fields(&own)).header("origin", &page.url);
    let job = visitor.clone().send(request).await.is(303).header("location").to_owned();
    visitor.post(&format!("{job}/cancel"), &[("form_token", &other)]).await.is(403);
    visitor.post(&format!("{job}/retry"), &[]).await.is(403);
    visitor.post(&format!("{job}/cancel"), &[("form_token", &twin)]).await.is(303);
    // The security headers of every page.
    let answer = visitor.get(&job).await.is(200);
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.body.contains("style=") && !answer.body.contains("onclick"), "nothing of it is inline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_for_others_wants_the_token() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    let file = token_file(&cluster);
    let url = "https://sums.example";
    let page = Page::of(&cluster, &[&name], &["--token-file", &file, "--public-url", url]);
    let mut visitor = Visitor::of(&page.url);
    let stranger = visitor.get("/").await.is(200);
    assert!(stranger.body.contains("name=\"token\"") && !stranger.body.contains(&name), "{stranger:?}");
    assert!(
        stranger.header("set-cookie").starts_with("__Host-peerl=")
            && stranger.header("set-cookie").contains("; Secure")
    );
    // A load balancer uses the page's address.
    let request = visitor.request(Method::GET, "/").header("host", "10.0.0.7:8080");
    visitor.clone().send(request).await.is(200);
    for path in ["/cluster.json", "/cluster/events", "/api/jobs", "/jobs/a@h/1/events", "/jobs/a@h/1/results.csv"] {
        let refused = visitor.get(path).await.is(401);
        assert!(refused.json()["error"].as_str().unwrap().contains("token"), "{refused:?}");
    }
    assert_eq!(visitor.get("/jobs/a@h/1").await.is(303).header("location"), "/?next=/jobs/a@h/1");
    let token = visitor.get("/?next=/jobs/a@h/1").await.form_token();
    visitor.post("/jobs", &[("form_token", &token), ("urls", "http://a/")]).await.is(401);
    // It is not read before that is known.
    let long = "http://a/,".repeat(10_000);
    visitor.post("/jobs", &[("form_token", &token), ("urls", &long)]).await.is(413);
    let wrong = visitor.post("/login", &[("form_token", &token), ("token", "a-token-that-somebody-guesses")]).await;
    assert!(wrong.is(403).body.contains("This is not the token."));
    let mut other_site = visitor.form("/login", &[("form_token", &token), ("token", TOKEN)]);
    other_site = other_site.header("origin", &page.url);
    visitor.clone().send(other_site).await.is(403);
    let next = [("form_token", token.as_str()), ("token", TOKEN), ("next", "/jobs/a@h/1")];
    let request = visitor.form("/login", &next).header("origin", url);
    assert_eq!(visitor.send(request).await.is(303).header("location"), "/jobs/a@h/1");
    assert!(visitor.get("/").await.is(200).body.contains("<textarea"));
    // All web nodes of the cluster with this token accept the session.
    let second = Page::of(&cluster, &[&name], &["--token-file", &file, "--public-url", url]);
    assert!(visitor.at(&second.url).get("/").await.is(200).body.contains("<textarea"));
    let cookie = visitor.cookie.clone().unwrap();
    for forged in [
        cookie.replace("member", "anonymous"),
        format!("{cookie}0"),
        cookie.replacen('=', "=9", 1),
        "__Host-peerl=".to_owned(),
        cookie.replacen("__Host-peerl", "peerl", 1),
    ] {
        let mut forger = visitor.with_cookie(&forged);
        assert!(!forger.get("/").await.is(200).body.contains("<textarea"), "{forged}");
    }
    let mut another = Visitor::of(&page.url);
    let login = another.get("/").await.form_token();
    let request = another.form("/login", &[("form_token", &login), ("token", TOKEN)]).header("origin", url);
    another.send(request).await.is(303);
    let of_another = another.get("/").await.form_token();
    for token in [&of_another, &login] {
        visitor.clone().post("/logout", &[("form_token", token)]).await.is(403);
    }
    let form_token = visitor.get("/").await.form_token();
    let left = visitor.clone().post("/logout", &[("form_token", &form_token)]).await.is(303);
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    // Programs send the token, and only that.
    let program = Visitor::of(&page.url);
    let ask = |bearer: &str| {
        let body = json!({ "urls": ["http://127.0.0.1:1/"] }).to_string();
        let request = program.request(Method::POST, "/api/jobs").header("content-type", "application/json").body(body);
        request.header("authorization", format!("Bearer {bearer}"))
    };
    program.clone().send(ask("another-token-altogether")).await.is(401);
    program.clone().send(ask(TOKEN)).await.is(201);
    let session = ask("x").header("cookie", &cookie);
    program.clone().send(session).await.is(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_is_refused_for_a_while() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    let page = Page::of(&cluster, &[&name], &["--token-file", &token_file(&cluster)]);
    let mut guesser = Visitor::of(&page.url);
    let token = guesser.get("/").await.form_token();
    let mut statuses = Vec::new();
    let refused = loop {
        let answer = guesser.post("/login", &[("form_token", &token), ("token", "a-guess-of-the-token")]).await;
        statuses.push(answer.status);
        if answer.status == 429 {
            break answer;
        }
        assert!(statuses.len() < 100, "{statuses:?}");
    };
    assert!(statuses.len() > 10 && statuses[..10].iter().all(|status| *status == 403), "{statuses:?}");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() <= 7, "{refused:?}");
    assert!(refused.body.contains("attempts to log in"), "{}", refused.body);

    let open = Page::of(&cluster, &[&name], &[]);
    let mut eager = Visitor::of(&open.url);
    let token = eager.get("/").await.form_token();
    let (mut begun, mut told) = (0, Vec::new());
    for _ in 0..60 {
        let answer = eager.post("/jobs", &[("form_token", &token), ("urls", "http://127.0.0.1:1/")]).await;
        match answer.status {
            303 => begun += 1,
            429 => told.push(answer),
            _ => panic!("{answer:?}"),
        }
    }
    assert!((8..60).contains(&begun), "{begun}");
    assert!(told.iter().all(|answer| answer.body.contains("try again") || answer.body.contains("jobs are running")));
}

#[test]
fn a_page_that_others_can_reach_needs_a_token() {
    let cluster = Cluster::start();
    let node = ["web", "--node", "w@127.0.0.1"];
    let refused = |more: &[&str]| cluster.run(&[&node, more].concat()).failure(64);
    assert!(refused(&["--listen", "0.0.0.0:0"]).contains("--token-file"));
    assert!(refused(&["--public-url", "https://sums.example"]).contains("--token-file"));
    let missing = cluster.run(&[&node[..], &["--token-file", "/no/such/file"]].concat()).failure(1);
    assert!(missing.contains("/no/such/file"), "{missing}");
    let open = cluster.write("open", TOKEN);
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&["--token-file", &open]).contains("others can read"));
    assert!(cluster.run(&["web"]).failure(64).contains("--discover"));
    let elsewhere = cluster.run(&["ping", "a@127.0.0.1", "--listen", "127.0.0.1:80"]).failure(64);
    assert!(elsewhere.contains("only `peerl web` takes a port"), "{elsewhere}");
}

/// The code of an Elixir application, and of an older worker.
const CONTROLLER: &str = "
-module('Elixir.ClusterScrape.PageController').
-export([fetch/1]).
fetch(<<\"http://h/missing\">> = Url) -> {error, Url, <<\"URL Not Found\">>};
fetch(<<\"http://h/away\">> = Url) -> {error, Url, nxdomain};
fetch(Url) -> {ok, Url, binary:copy(<<\"AB\">>, 32)}.
";

#[tokio::test(flavor = "multi_thread")]
async fn beam_nodes_work_for_a_page_of_this_machine_only() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    beam.load_module(CONTROLLER).unwrap();
    let idle = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let page = Page::of(&cluster, &[beam.name(), idle.name()], &[]);
    let mut visitor = Visitor::of(&page.url);
    visitor.workers(1).await;
    let job = visitor.take("http://h/a,http://h/missing,http://h/away").await;
    let results = visitor.ended(&job).await;
    let row = |index: usize| &results["rows"][index];
    assert_eq!((&row(0)["sha256"], &row(0)["node"]), (&json!("ab".repeat(32)), &json!(beam.name())));
    assert_eq!(row(1)["error"], "URL Not Found");
    assert_eq!(row(2)["error"], "the host has no address");
    visitor.wait_for("/cluster", "BEAM, OTP 25").await;
    visitor.wait_for("/cluster", "left out: it serves no checksums").await;

    let file = token_file(&cluster);
    let guarded = ["--token-file", &file, "--public-url", "http://sums.example"];
    let public = Page::of(&cluster, &[beam.name()], &guarded);
    let mut member = Visitor::of(&public.url);
    let duty = |cluster: Value| cluster["nodes"][0]["role"].as_str().map(str::to_owned);
    let wait = async |member: &mut Visitor, expected: &str| {
        let end = std::time::Instant::now() + A_WHILE;
        loop {
            let request =
                member.request(Method::GET, "/cluster.json").header("authorization", format!("Bearer {TOKEN}"));
            let found = duty(member.clone().send(request).await.is(200).json());
            if found.as_deref().is_some_and(|duty| duty.contains(expected)) {
                return;
            }
            assert!(std::time::Instant::now() < end, "{found:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    wait(&mut member, "its fetch/1 would fetch private addresses").await;
    let trusting = Page::of(&cluster, &[beam.name()], &[&guarded[..], &["--beam-nodes"]].concat());
    wait(&mut Visitor::of(&trusting.url), "takes checksums").await;
}

/// A worker of a version without the options about addresses.
const OLD_WORKER: [&str; 2] = [
    "-module(peerl).
     -export([functions/0]).
     functions() -> [{peerl_page, checksum, 2}].",
    "-module(peerl_page).
     -export([checksum/2]).
     checksum(Url, #{timeout := _} = Options) when map_size(Options) =:= 1 ->
         #{url => Url, status => 200, sha256 => binary:copy(<<\"cd\">>, 32), bytes => 1, ms => 1, node => node()};
     checksum(_, _) -> error(badarg).",
];

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_refused_for_visitors_from_elsewhere() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (_worker, worker) = cluster.worker(&[]);
    let old = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    OLD_WORKER.iter().for_each(|module| old.load_module(module).unwrap());
    let file = token_file(&cluster);
    let guarded = ["--token-file", &file, "--public-url", "http://sums.example"];
    let job = async |page: &Page, workers: usize| {
        let mut visitor = Visitor::of(&page.url);
        log_in(&mut visitor).await;
        visitor.workers(workers).await;
        let job = visitor.take(&pages.url("/0/inside")).await;
        (visitor.ended(&job).await["rows"][0].clone(), visitor)
    };
    let page = Page::of(&cluster, &[&worker, old.name()], &guarded);
    let (row, mut visitor) = job(&page, 1).await;
    assert_eq!(row["state"], "failed");
    assert!(row["error"].as_str().unwrap().contains("127.0.0.1"), "{row}");
    visitor.wait_for("/cluster", "left out: it is of an older version, which would fetch private addresses").await;
    assert_eq!(pages.count(&pages.url("/0/inside")), 0);
    let allowing = [&guarded[..], &["--allow", "127.0.0.0/8"]].concat();
    let (row, _) = job(&Page::of(&cluster, &[&worker], &allowing), 1).await;
    assert_eq!((&row["state"], &row["node"]), (&json!("done"), &json!(worker)));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_web_nodes_show_each_other_s_jobs() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (_worker, worker) = cluster.worker(&[]);
    let discover = ["--discover", "epmd:127.0.0.1", "--epmd", "external", "--interval", "1s"];
    let web = || {
        let name = format!("{}@127.0.0.1", unique_name("web"));
        let named = ["web", "--name", &name, "--listen", "127.0.0.1:0"];
        Page::start(&cluster, &[&named[..], &discover].concat())
    };
    let (one, other) = (web(), web());
    let mut visitor = Visitor::of(&one.url);
    visitor.workers(1).await;
    let urls: Vec<String> = (0..20).map(|number| pages.url(&format!("/100/{number}"))).collect();
    let list = [&urls[..], &[pages.url("/25000/slow"), pages.url("/half")]].concat().join("\n");
    let job = visitor.take(&list).await;
    // The session of one node is valid at the other, too.
    let mut there = visitor.at(&other.url);
    let end = std::time::Instant::now() + A_WHILE;
    let shown = loop {
        let answer = there.get(&job).await;
        if answer.status == 200 {
            break answer;
        }
        assert!(answer.body.contains("in this cluster now"), "until it is connected: {answer:?}");
        assert!(std::time::Instant::now() < end, "{answer:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert_eq!(shown.body.matches("data-index=").count(), 22);
    let mut events = crate::visitor::Events::of(&there, &job, None).await;
    let mut done = 0;
    while done < 20 {
        done = events.next_of("rows").await.data["job"]["done"].as_u64().unwrap();
    }
    let token = there.get("/").await.form_token();
    there.post(&format!("{job}/cancel"), &[("form_token", &token)]).await.is(303);
    let results = there.ended(&job).await;
    assert_eq!((&results["job"]["phase"], &results["job"]["node"]), (&json!("cancelled"), &json!(one.node)));
    assert_eq!(results, visitor.ended(&job).await, "both show the same");
    there.post(&format!("{job}/retry"), &[("form_token", &token)]).await.is(303);
    assert_eq!(visitor.get(&format!("{job}/results.json")).await.json()["job"]["phase"], "running");
    visitor.post(&format!("{job}/cancel"), &[("form_token", &token)]).await.is(303);
    // A name from a visitor causes no dial; connected nodes are queried.
    let unknown = there.get("/jobs/nobody@192.0.2.1/1").await.is(404);
    assert!(unknown.body.contains("There is no node nobody@192.0.2.1 in this cluster now"), "{unknown:?}");
    let no_page = there.get(&format!("/jobs/{worker}/1")).await.is(502);
    assert!(no_page.body.contains("serves no page"), "{no_page:?}");
    // When the node of a job has ended, the other one reports it.
    one.process.sigint();
    one.process.wait(A_WHILE);
    let gone = there.get(&job).await;
    assert!(matches!(gone.status, 404 | 502) && gone.body.contains(&one.node), "{gone:?}");
}
