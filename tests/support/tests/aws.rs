//! The simulation of AWS works, also behind the proxy that makes it fail.

use peerl_test_support::{Fault, FaultProxy, Moto, Request, Times, aws_env};

/// A request as the SDKs send it; moto only reads the region of the signature.
fn ecs(action: &str, body: &str) -> Request {
    let scope = format!("testing/20260101/{}/ecs/aws4_request", Moto::REGION);
    Request::new("POST", "/")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", &format!("AmazonEC2ContainerServiceV20141113.{action}"))
        .header("authorization", &format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
        .body(body)
}

#[test]
fn moto_answers_through_the_proxy_and_forgets() {
    let moto = Moto::start();
    let proxy = FaultProxy::before(&moto.endpoint());
    let created = ecs("CreateCluster", r#"{"clusterName":"one"}"#).send(&proxy.endpoint()).unwrap();
    assert_eq!(created.status, 200, "{}", created.body_text());

    let list = || ecs("ListClusters", "{}").send(&proxy.endpoint()).unwrap();
    assert!(list().body_text().contains(&format!("arn:aws:ecs:{}:", Moto::REGION)), "{}", list().body_text());
    proxy.fail("ListClusters", Fault::Throttle, Times::Next(1));
    assert_eq!((list().status, list().status), (400, 200));
    assert_eq!((proxy.requests("CreateCluster"), proxy.requests("*")), (1, 4));

    moto.reset();
    assert!(!list().body_text().contains("arn:"), "{}", list().body_text());
}

#[test]
fn two_of_them_know_nothing_of_each_other() {
    let (one, other) = (Moto::start(), Moto::start());
    ecs("CreateCluster", r#"{"clusterName":"one"}"#).send(&one.endpoint()).unwrap();
    assert!(!ecs("ListClusters", "{}").send(&other.endpoint()).unwrap().body_text().contains("arn:"));
    assert!(other.env().contains(&("AWS_ENDPOINT_URL", other.endpoint())));
    assert_eq!(one.env(), aws_env(&one.endpoint()));
}
