//! `peerl web`: jobs, from the form to the results.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::cluster::{A_WHILE, Cluster, Pages};
use crate::visitor::{Events, Page, Visitor};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn sum(content: &str) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rows(results: &Value) -> &Vec<Value> {
    results["rows"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_becomes_results_without_script() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let [(_a, one), (_b, other)] = [cluster.worker(&[]), cluster.worker(&[])];
    let page = Page::of(&cluster, &[&one, &other], &[]);
    let mut visitor = Visitor::of(&page.url);
    visitor.workers(2).await;
    let urls = ["/300/slow", "/0/a", "/0/b", "/0/a", "/half", "/0/c"].map(|path| pages.url(path));
    let text = format!(" {}\r\n\n{}, {} ,{},,\n{}\n{}\n", urls[0], urls[1], urls[2], urls[3], urls[4], urls[5]);
    let job = visitor.take(&text).await;
    assert!(job.starts_with(&format!("/jobs/{}/", page.node)), "{job}");
    let first = visitor.get(&job).await.is(200);
    assert_eq!(first.body.matches("<tr role=\"row\" data-index=").count(), 6, "{}", first.body);
    let results = visitor.ended(&job).await;
    let head = &results["job"];
    assert_eq!((&head["total"], &head["done"], &head["failed"]), (&json!(6), &json!(5), &json!(1)));
    for (index, (row, url)) in rows(&results).iter().zip(&urls).enumerate() {
        assert_eq!((&row["index"], &row["url"]), (&json!(index), &json!(url)));
        match url.rsplit('/').next().unwrap() {
            "half" => {
                assert_eq!((&row["state"], &row["sha256"]), (&json!("failed"), &Value::Null));
                assert!(!row["error"].as_str().unwrap().is_empty());
            }
            name => {
                assert_eq!((&row["state"], &row["sha256"]), (&json!("done"), &json!(sum(name))));
                assert_eq!((&row["status"], &row["bytes"]), (&json!(200), &json!(name.len())));
                assert!([&one, &other].iter().any(|node| row["node"] == node.as_str()), "{row}");
            }
        }
    }
    assert!(rows(&results)[0]["ms"].as_u64().unwrap() >= 300);
    assert_eq!(pages.count(&urls[1]), 1, "one page at two places is fetched once");
    // While the job runs, the page reloads itself; then it stops.
    assert!(!visitor.get(&job).await.body.contains("http-equiv"));
    let csv = visitor.get(&format!("{job}/results.csv")).await.is(200);
    assert!(csv.header("content-disposition").contains("checksums.csv"));
    assert!(csv.body.lines().nth(2).unwrap().starts_with(&format!("{},{},,200,1,", urls[1], sum("a"))), "{}", csv.body);
    assert!(visitor.get("/").await.body.contains(&job), "the start lists it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_job_is_told_in_words() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    let page = Page::of(&cluster, &[&name], &[]);
    let mut visitor = Visitor::of(&page.url);
    let token = visitor.get("/").await.form_token();
    let mut post = async |urls: &str| visitor.post("/jobs", &[("form_token", &token), ("urls", urls)]).await;
    let bad = post("http://a/\n\n nonsense").await.is(422);
    assert!(bad.body.contains("Line 3: “nonsense” begins with neither http:// nor https://."), "{}", bad.body);
    assert!(bad.body.contains("http://a/\n\n nonsense</textarea>"), "the text is kept");
    assert!(post(" ,\n").await.is(422).body.contains("no web addresses yet"));
    let list = |count: usize| (0..count).map(|number| format!("http://127.0.0.1:1/{number}\n")).collect::<String>();
    assert!(post(&list(10_001)).await.is(422).body.contains("at most 10000 web addresses, and these are 10001"));
    let large = post(&"x".repeat(5 << 20)).await.is(413);
    assert!(large.body.contains("4 MiB"), "{}", large.body);
    // The last one keeps the job from its end.
    let pages = Pages::serve();
    let job = post(&(list(9_999) + &pages.url("/60000/held"))).await.is(303).header("location").to_owned();
    let all = visitor.get(&job).await.is(200);
    assert_eq!(all.body.matches("<tr role=\"row\" data-index=").count(), 10_000);
    let token = all.form_token();
    visitor.post(&format!("{job}/cancel"), &[("form_token", &token)]).await.is(303);
    assert_eq!(visitor.ended(&job).await["job"]["phase"], "cancelled");
    for path in ["/jobs/x/y", &format!("/jobs/{}/nothing", page.node), "/jobs/nobody@127.0.0.1/1", "/nothing"] {
        let missing = visitor.get(path).await.is(404);
        assert!(missing.body.contains("<h1>Not found</h1>"), "{}", missing.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_from_outside_is_text() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    let page = Page::of(&cluster, &[&name], &[]);
    let mut visitor = Visitor::of(&page.url);
    visitor.workers(1).await;
    let url = "http://127.0.0.1:1/\"><script>alert(1)</script>&'";
    let job = visitor.take(url).await;
    let results = visitor.ended(&job).await;
    assert_eq!(rows(&results)[0]["url"], url);
    let shown = visitor.get(&job).await.is(200).body;
    assert!(!shown.contains("<script>alert"), "{shown}");
    assert!(shown.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;"), "{shown}");
    let token = visitor.get("/").await.form_token();
    let hostile = "</textarea><script>alert(2)</script>";
    let form = visitor.post("/jobs", &[("form_token", &token), ("urls", hostile)]).await.is(422).body;
    assert!(!form.contains("<script>alert") && form.contains("Line 1"), "{form}");
    for path in ["/jobs/<script>alert(3)<%2Fscript>/x", "/?next=\"><script>alert(4)</script>"] {
        assert!(!visitor.get(path).await.body.contains("<script>alert"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_on_where_the_last_ones_ended() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (_worker, name) = cluster.worker(&[]);
    let page = Page::of(&cluster, &[&name], &[]);
    let mut visitor = Visitor::of(&page.url);
    visitor.workers(1).await;
    let urls: Vec<String> = (0..60).map(|number| pages.url(&format!("/{}/{number}", number * 10))).collect();
    let job = visitor.take(&urls.join("\n")).await;
    let mut events = Events::of(&visitor, &job, None).await;
    let (mut states, mut last) = (BTreeMap::new(), None);
    while states.values().filter(|state| *state == "done").count() < 20 {
        let event = events.next_of("rows").await;
        for row in rows(&event.data) {
            states.insert(row["index"].as_u64().unwrap(), row["state"].as_str().unwrap().to_owned());
        }
        last = event.id;
    }
    assert_eq!(states.len(), 60, "the first events tell of all rows");
    drop(events);
    // A resumed stream has only later changes.
    let known: BTreeSet<u64> = states.iter().filter(|(_, state)| *state == "done").map(|(index, _)| *index).collect();
    let mut events = Events::of(&visitor, &job, last.as_deref()).await;
    loop {
        let event = events.next_of("rows").await;
        for row in rows(&event.data) {
            let index = row["index"].as_u64().unwrap();
            assert!(!known.contains(&index), "{index} was told already");
            states.insert(index, row["state"].as_str().unwrap().to_owned());
        }
        if event.data["job"]["phase"] == "done" {
            assert_eq!(event.data["summary"], "All 60 done");
            break;
        }
    }
    assert!(states.values().all(|state| state == "done"), "{states:?}");
    // The same stream has the cluster, with its work for the job. The first picture may be one that was made for the others just before.
    let mut events = Events::of(&visitor, &job, None).await;
    loop {
        let html = events.next_of("cluster").await.data["html"].as_str().unwrap().to_owned();
        assert!(html.contains(&name) && html.contains("id=\"nodes\""), "{html}");
        if html.contains("<td class=\"number\">60</td>") {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_made_for_another_visitor_is_followed_by_what_has_changed_since() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (_worker, name) = cluster.worker(&[]);
    let page = Page::of(&cluster, &[&name], &[]);
    let mut visitor = Visitor::of(&page.url);
    visitor.workers(1).await;
    let job = visitor.take(&pages.url("/300/a")).await;
    let mut first = Events::of(&visitor, &job, None).await;
    first.next_of("rows").await;
    visitor.ended(&job).await;
    let mut second = Events::of(&visitor, &job, None).await;
    for events in [&mut first, &mut second] {
        while events.next_of("rows").await.data["job"]["phase"] != "done" {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_leaves_no_hole() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let [(doomed, one), (_b, other), (_c, third)] = [cluster.worker(&[]), cluster.worker(&[]), cluster.worker(&[])];
    let page = Page::of(&cluster, &[&one, &other, &third], &[]);
    let mut visitor = Visitor::of(&page.url);
    visitor.workers(3).await;
    let urls: Vec<String> = (0..400).map(|number| pages.url(&format!("/20/{number}"))).collect();
    let job = visitor.take(&urls.join(",")).await;
    let mut events = Events::of(&visitor, &job, None).await;
    while events.next_of("rows").await.data["job"]["done"].as_u64().unwrap() < 50 {}
    doomed.kill_alone();
    let results = visitor.ended(&job).await;
    assert_eq!(results["job"]["done"], 400, "{}", results["job"]);
    for (number, row) in rows(&results).iter().enumerate() {
        assert_eq!(row["sha256"], sum(&number.to_string()), "{row}");
    }
    // The nodes are inspected about once a second.
    let end = Instant::now() + A_WHILE;
    loop {
        let cluster = visitor.get("/cluster.json").await.json();
        let lost = cluster["nodes"].as_array().unwrap().iter().find(|node| node["name"] == one.as_str()).unwrap();
        if lost["error"].is_string() {
            break;
        }
        assert!(Instant::now() < end, "{lost}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_ones_are_tried_again_and_the_end_says_what_was_under_way() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (worker, name) = cluster.worker(&[]);
    let page = Page::of(&cluster, &[&name], &[]);
    let mut visitor = Visitor::of(&page.url);
    visitor.workers(1).await;
    let job = visitor.take(&[pages.url("/0/a"), pages.url("/25000/b")].join("\n")).await;
    let mut events = Events::of(&visitor, &job, None).await;
    while events.next_of("rows").await.data["job"]["done"] != 1 {}
    let token = visitor.get(&job).await.is(200).form_token();
    visitor.post(&format!("{job}/cancel"), &[("form_token", &token)]).await.is(303);
    let results = visitor.ended(&job).await;
    assert_eq!((&results["job"]["phase"], &results["job"]["failed"]), (&json!("cancelled"), &json!(1)));
    assert!(rows(&results)[1]["error"].as_str().unwrap().contains("cancelled"));
    assert!(visitor.get(&format!("{job}?show=failed")).await.body.matches("data-index=").count() == 1);
    visitor.post(&format!("{job}/retry"), &[("form_token", &token)]).await.is(303);
    while events.next_of("rows").await.data["job"]["running"] != 1 {}
    assert_eq!(pages.count(&pages.url("/0/a")), 1, "what was done is not done again");
    page.process.sigint();
    assert_eq!(page.process.wait(A_WHILE).code(), Some(0));
    let told = page.process.stderr();
    assert!(told.contains(&format!("a job was under way and is lost: 1 of 2 done ({job})")), "{told}");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_serves_a_page_and_works_for_it() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let name = format!("{}@127.0.0.1", peerl_test_support::unique_name("w"));
    let page = Page::start(&cluster, &["worker", "--name", &name, "--listen", "127.0.0.1", "--web", "127.0.0.1:0"]);
    let mut visitor = Visitor::of(&page.url);
    visitor.workers(1).await;
    let job = visitor.take(&pages.url("/0/alone")).await;
    let results = visitor.ended(&job).await;
    let row = &rows(&results)[0];
    assert_eq!((&row["sha256"], &row["node"]), (&json!(sum("alone")), &json!(name)));
    let shown = visitor.get("/cluster").await.is(200).body;
    assert!(shown.contains("serves this page") && shown.contains("One node, which has no others to see."), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_workers_says_so_and_a_job_waits() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let name = format!("{}@127.0.0.1", peerl_test_support::unique_name("late"));
    let page = Page::of(&cluster, &[&name], &[]);
    let mut visitor = Visitor::of(&page.url);
    let job = visitor.take(&pages.url("/0/x")).await;
    let shown = visitor.get(&job).await.is(200).body;
    assert!(shown.contains("http-equiv=\"refresh\"") && shown.contains("waiting"), "{shown}");
    let _worker = {
        let arguments = ["worker", "--name", &name, "--listen", "127.0.0.1"];
        let worker = peerl_test_support::ProcessGuard::spawn(&mut cluster.command(&arguments));
        worker.wait_for_line("ready", A_WHILE);
        worker
    };
    assert_eq!(rows(&visitor.ended(&job).await)[0]["sha256"], sum("x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_do_all_that_browsers_do() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (_worker, name) = cluster.worker(&[]);
    let page = Page::of(&cluster, &[&name], &[]);
    let mut program = Visitor::of(&page.url);
    program.workers(1).await;
    let sender = program.clone();
    let post = |path: &str, body: Value| {
        let request = sender.request(Method::POST, path).header("content-type", "application/json");
        request.body(body.to_string())
    };
    let made =
        program.clone().send(post("/api/jobs", json!({ "urls": [pages.url("/0/a,b"), pages.url("/half")] }))).await;
    let made = made.is(201);
    assert_eq!(made.header("location"), made.json()["page"]);
    let path = made.json()["page"].as_str().unwrap().to_owned();
    let results = program.clone().ended(&path).await;
    assert_eq!(rows(&results)[0]["sha256"], sum("a,b"), "a comma in a list is part of the URL");
    let again = program.clone().send(post(&format!("/api{path}/retry"), json!({}))).await.is(200);
    assert_eq!(again.json()["phase"], "running");
    program.clone().ended(&path).await;
    program.clone().send(post(&format!("/api{path}/cancel"), json!({}))).await.is(200);
    let head = program.get(&format!("/api{path}")).await.is(200).json();
    assert_eq!((&head["done"], &head["failed"], &head["total"]), (&json!(1), &json!(1), &json!(2)));
    assert_eq!(program.get("/api/jobs").await.is(200).json().as_array().unwrap().len(), 1);
    for (body, status) in [
        (json!({ "urls": ["nonsense"] }), 422),
        (json!({ "urls": [] }), 422),
        (json!({ "url": "http://a" }), 422),
        (json!([]), 422),
    ] {
        let refused = program.clone().send(post("/api/jobs", body)).await.is(status);
        assert!(refused.json()["error"].is_string(), "{refused:?}");
    }
    let missing = program.get("/api/jobs/x/y").await.is(404);
    assert!(missing.json()["error"].as_str().unwrap().contains("no node x in this cluster"), "{missing:?}");
}

/// The shell lines in a section of a documentation page.
fn shell_lines(page: &str, section: &str) -> String {
    let (_, rest) = page.split_once(section).unwrap();
    let (_, block) = rest.split_once("```sh\n").unwrap();
    block.split("```").next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_the_documentation_work() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (_worker, name) = cluster.worker(&[]);
    let token = cluster.write("page", "a-token-that-nobody-guesses");
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for (lines, public, options) in [
        (
            shell_lines(include_str!("../../../../docs/web-page.md"), "## For programs"),
            "https://checksums.example.org",
            &["--token-file", token.as_str()][..],
        ),
        (shell_lines(include_str!("../../../../docs/cli.md"), "## The page"), "http://127.0.0.1:8080", &[]),
    ] {
        let page = Page::of(&cluster, &[&name], options);
        let script = lines
            .replace(public, &page.url)
            .replace("/run/secrets/page", &token)
            .replace("https://example.org/", &pages.url("/0/documented"));
        assert!(script.contains(&page.url) && script.contains(&pages.url("/0/documented")), "{script}");
        let ran = tokio::task::spawn_blocking(move || {
            let mut shell = std::process::Command::new("bash");
            shell.args(["-eu", "-c", &script]).env_remove("http_proxy").env_remove("HTTP_PROXY");
            crate::cluster::run(shell)
        });
        let out = ran.await.unwrap().ok();
        assert!(out.contains(&format!("\"node\":\"{}\"", page.node)) && out.contains(&name), "{out}");
        if !options.is_empty() {
            assert!(out.contains(&sum("documented")), "{out}");
        }
    }
}
