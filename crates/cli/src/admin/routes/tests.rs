use axum::body::{Body, to_bytes};
use futures::future::{BoxFuture, pending};
use serde_json::json;
use tower::ServiceExt;

use super::*;
use crate::admin::NodeLists;

/// A subject whose state the test sets.
#[derive(Default)]
struct Fake {
    problem: Option<&'static str>,
    hangs: bool,
    checks: std::sync::atomic::AtomicUsize,
}

impl Administered for Fake {
    fn nodes(&self) -> BoxFuture<'_, Result<NodeLists, String>> {
        Box::pin(async { Ok(NodeLists { name: "me@h".into(), nodes: vec!["a@h".into()], hidden: vec![] }) })
    }

    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            match peer.name() {
                "slow" => pending().await,
                "down" => Err("nobody answers".to_owned()),
                _ => Ok(()),
            }
        })
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        self.checks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(async move {
            if self.hangs {
                pending::<()>().await;
            }
            vec![Check::new("work", self.problem.map_or(Ok(()), Err))]
        })
    }

    fn readiness(&self) -> Result<(), String> {
        self.problem.map_or(Ok(()), |problem| Err(problem.to_owned()))
    }

    fn record(&self) {}
}

fn endpoint(fake: Fake) -> (Arc<Fake>, Router) {
    let fake = Arc::new(fake);
    (fake.clone(), router(fake, Access::ThisHost, Prometheus::install().unwrap()))
}

async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[tokio::test]
async fn connect_takes_one_node_as_json() {
    let (_, router) = endpoint(Fake::default());
    let connect = async |body: &str| ask(&router, "POST", "/connect", &[JSON], body).await;
    assert_eq!(connect(r#"{"node": "a@h"}"#).await, (200, json!({ "node": "a@h", "connected": true })));
    let (status, answer) = connect(r#"{"node": "down@h"}"#).await;
    assert_eq!((status, &answer["error"]), (502, &json!("nobody answers")));
    for wrong in ["", "[]", "{}", r#"{"node": 1}"#, r#"{"node": "a"}"#, r#"{"node": "a@h", "cookie": "x"}"#] {
        assert_eq!(connect(wrong).await.0, 400, "{wrong}");
    }
    let long = format!(r#"{{"node": "{}@h"}}"#, "x".repeat(REQUEST.body));
    assert_eq!(connect(&long).await.0, 413);
    // The types that a form or script of a web page can send without a preflight request.
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let (status, _) = ask(&router, "POST", "/connect", &[("content-type", kind)], r#"{"node": "a@h"}"#).await;
        assert_eq!(status, 415, "{kind}");
    }
    assert_eq!(ask(&router, "GET", "/connect", &[], "").await.0, 405);
    assert_eq!(ask(&router, "DELETE", "/nodes", &[], "").await.0, 405);
    assert_eq!(ask(&router, "GET", "/other", &[], "").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_connections_are_made_at_a_time() {
    let (_, router) = endpoint(Fake::default());
    let asks = (0..CONNECTS + 3).map(|_| ask(&router, "POST", "/connect", &[JSON], r#"{"node": "slow@h"}"#));
    let answers = futures::future::join_all(asks).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 429).count(), 3);
    assert_eq!(answers.iter().filter(|(status, _)| *status == 504).count(), CONNECTS, "these take too long");
    assert_eq!(ask(&router, "POST", "/connect", &[JSON], r#"{"node": "a@h"}"#).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn checks_are_done_at_most_once_a_second_and_not_waited_for_forever() {
    let (fake, router) = endpoint(Fake { problem: Some("no work"), ..Fake::default() });
    for _ in 0..10 {
        let (status, answer) = ask(&router, "GET", "/healthz", &[], "").await;
        assert_eq!((status, &answer["checks"]["work"]), (503, &json!("no work")));
    }
    assert_eq!(fake.checks.load(std::sync::atomic::Ordering::Relaxed), 1);
    tokio::time::sleep(CHECK_AGE).await;
    ask(&router, "GET", "/healthz", &[], "").await;
    assert_eq!(fake.checks.load(std::sync::atomic::Ordering::Relaxed), 2);
    assert_eq!(ask(&router, "GET", "/readyz", &[], "").await.1["reason"], "no work");

    let (_, router) = endpoint(Fake { hangs: true, ..Fake::default() });
    let (status, answer) = ask(&router, "GET", "/healthz", &[], "").await;
    assert!(status == 503 && answer["checks"]["checks"].as_str().unwrap().contains("5s"), "{answer}");
}

#[tokio::test]
async fn without_a_token_names_of_others_are_not_served() {
    let (_, router) = endpoint(Fake::default());
    for (host, status) in [
        ("127.0.0.1:9200", 200),
        ("127.0.0.2", 200),
        ("[::1]:9200", 200),
        ("localhost:9200", 200),
        ("evil.example:9200", 403),
        ("localhost.evil.example", 403),
        ("10.0.0.1", 403),
        ("", 403),
    ] {
        assert_eq!(ask(&router, "GET", "/nodes", &[("host", host)], "").await.0, status, "{host}");
    }
    assert_eq!(ask(&router, "GET", "/healthz", &[("host", "balancer.example")], "").await.0, 200);
}
