//! Instances of EC2 are found by their tags: all of them, and no others; a failure of AWS is an error.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use peerl_discovery::aws::InstanceMetadata;
use peerl_discovery::{
    Coverage, Identity, LeaveError, Mesh, MeshError, MeshEvent, NodeName, Peers, Reconciler, StrategyError,
};
use peerl_node::ErrorChain;
use peerl_test_support::{Fault, FaultProxy, HttpServer, Response, Times};

use peerl_aws_tests::failures::check_failures;
use peerl_aws_tests::fleet::{self, Fleet, nodes};

const RELEASE: &str = "0123abcd";
const MINE: &str = "ec2:tag=csrelease=0123abcd";

#[tokio::test]
async fn twelve_hundred_instances_on_several_pages() {
    let fleet = Fleet::new().await;
    let members = fleet.reserve(1010, 1, &[("csrelease", RELEASE), ("Name", "worker")]).await;
    let stopped = fleet.launch(55, &[("csrelease", RELEASE)]).await;
    let terminated = fleet.launch(55, &[("csrelease", RELEASE)]).await;
    fleet.stop(&stopped).await;
    fleet.terminate(&terminated).await;
    for almost in [
        ("csrelease", "0123abcde"),
        ("csrelease", "0123abc"),
        ("csrelease", "0123ABCD"),
        ("csrelease", " 0123abcd"),
        ("csrelease", "*"),
        ("CSRELEASE", RELEASE),
        ("csrelease2", RELEASE),
        ("release", RELEASE),
    ] {
        fleet.launch(10, &[almost]).await;
    }
    assert_eq!(fleet.find(MINE).await.unwrap(), nodes(&members));
    assert_eq!(fleet.proxy.requests("DescribeInstances"), 2);
}

/// A part of a list must not count as the whole.
#[tokio::test]
async fn a_page_that_fails_fails_the_whole() {
    let page = |number: usize, next: &str| {
        let instance = format!(
            "<item><instancesSet><item><instanceId>i-{number}</instanceId><instanceState><code>16</code>\
             <name>running</name></instanceState><privateDnsName>h{number}.internal</privateDnsName><tagSet><item>\
             <key>csrelease</key><value>{RELEASE}</value></item></tagSet></item></instancesSet></item>"
        );
        format!(
            "<?xml version=\"1.0\"?><DescribeInstancesResponse><reservationSet>{instance}</reservationSet>{next}\
             </DescribeInstancesResponse>"
        )
    };
    let listing = HttpServer::start(move |request| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let token = form.split('&').find_map(|field| field.strip_prefix("NextToken="));
        match token {
            None => Response::xml(200, &page(0, "<nextToken>one</nextToken>")),
            Some("one") => Response::xml(200, &page(1, "<nextToken>two</nextToken>")),
            Some(_) => Response::xml(200, &page(2, "")),
        }
    });
    let proxy = FaultProxy::before(&listing.endpoint());
    let strategy = fleet::strategy(MINE, &fleet::access_to(&proxy.endpoint()));
    assert_eq!(strategy.discover().await.unwrap().len(), 3);
    for good_pages in [0, 1, 2] {
        for fault in [
            Fault::Throttle,
            Fault::ServerError,
            Fault::AccessDenied,
            Fault::ExpiredCredentials,
            Fault::CutContent,
            Fault::CutConnection,
            Fault::NoAnswer,
        ] {
            proxy.fail("DescribeInstances", fault.clone(), Times::After(good_pages));
            assert!(strategy.discover().await.is_err(), "{fault:?} on page {good_pages}");
            proxy.heal();
        }
    }
    proxy.fail("DescribeInstances", Fault::CutContent, Times::After(2));
    match strategy.discover().await {
        Err(StrategyError::Malformed { message, .. }) => assert!(message.contains("cut off"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(strategy.discover().await.unwrap().len(), 3);

    // A circular list ends.
    let page = page(0, "<nextToken>again</nextToken>");
    let circle = HttpServer::start(move |_| Response::xml(200, &page));
    let strategy = fleet::strategy(MINE, &fleet::access_to(&circle.endpoint()));
    assert!(matches!(strategy.discover().await, Err(StrategyError::Malformed { .. })));
    // A document of another kind is not an empty list.
    for wrong in ["", "<html></html>", "{}", "<DescribeInstancesResponse>"] {
        let server = HttpServer::start(move |_| Response::xml(200, wrong));
        let strategy = fleet::strategy(MINE, &fleet::access_to(&server.endpoint()));
        let answer = strategy.discover().await;
        assert!(matches!(answer, Err(StrategyError::Malformed { .. })), "{wrong}: {answer:?}");
    }
}

#[tokio::test]
async fn two_releases_side_by_side_never_mix() {
    let fleet = Fleet::new().await;
    let blue = fleet.launch(12, &[("csrelease", "blue"), ("env", "prod")]).await;
    let green = fleet.launch(12, &[("csrelease", "green"), ("env", "prod")]).await;
    let staging = fleet.launch(3, &[("csrelease", "green"), ("env", "staging")]).await;
    assert_eq!(fleet.find("ec2:tag=csrelease=blue").await.unwrap(), nodes(&blue));
    assert_eq!(fleet.find("ec2:tag=csrelease=green").await.unwrap(), nodes(green.iter().chain(&staging)));
    assert_eq!(fleet.find("ec2:tag=csrelease=green,tag=env=prod").await.unwrap(), nodes(&green));
    assert_eq!(fleet.find("ec2:tag=csrelease=green,tag=env=test").await.unwrap(), Peers::new());
    // Patterns of filters are taken literally.
    assert_eq!(fleet.find("ec2:tag=csrelease=*").await.unwrap(), Peers::new());
    assert_eq!(fleet.find("ec2:tag=csrelease=gr?en").await.unwrap(), Peers::new());
    let star = fleet.launch(1, &[("csrelease", "*")]).await;
    assert_eq!(fleet.find("ec2:tag=csrelease=*").await.unwrap(), nodes(&star));
}

#[tokio::test]
async fn members_come_drain_and_go() {
    let fleet = Fleet::new().await;
    let members = fleet.launch(4, &[("csrelease", RELEASE)]).await;
    let spec = format!("{MINE},vpc={}", members[0].vpc_id().unwrap());
    let strategy = fleet.strategy(&spec);
    let other = fleet.strategy(&format!("{spec},drain-tag=out=now"));
    assert_eq!(strategy.discover().await.unwrap(), nodes(&members));
    // The tag that the script of `deploy/` adds.
    fleet.tag(&members[0], "peerl:draining", "true").await;
    fleet.tag(&members[1], "out", "later").await;
    assert_eq!(other.discover().await.unwrap(), nodes(&members));
    fleet.tag(&members[1], "out", "now").await;
    assert_eq!(other.discover().await.unwrap().ended, nodes(&members[1..2]));
    let answer = strategy.discover().await.unwrap();
    assert_eq!(answer, nodes(&members[1..]));
    assert_eq!((answer.coverage, answer.ended), (Coverage::Whole, nodes(&members[..1])));
    fleet.terminate(&members[1..2]).await;
    assert_eq!(strategy.discover().await.unwrap(), nodes(&members[2..]));
    fleet.stop(&members[2..3]).await;
    let newcomer = fleet.launch(1, &[("csrelease", RELEASE)]).await;
    assert_eq!(strategy.discover().await.unwrap(), nodes([&members[3], &newcomer[0]]));
    assert_eq!(fleet.find(&format!("{MINE},vpc=vpc-0000")).await.unwrap(), Peers::new());
}

#[tokio::test]
async fn hosts_and_names_are_made_by_rule() {
    let fleet = Fleet::new().await;
    let one = &fleet.launch(1, &[("csrelease", RELEASE), ("Name", "web-1"), ("fqdn", "w1.example.org")]).await[0];
    fleet.launch(1, &[("csrelease", RELEASE)]).await;
    let found = async |options: &str| {
        let peers = fleet.find(&format!("{MINE},tag=Name=web-1,{options}")).await.unwrap();
        peers.into_iter().map(|peer| peer.to_string()).collect::<Vec<_>>().join(" ")
    };
    let (id, ip) = (one.instance_id().unwrap(), one.private_ip_address().unwrap());
    assert_eq!(found("host=private-ip").await, format!("node@{ip}"));
    assert_eq!(found("host=tag:fqdn,basename=tag:Name").await, "web-1@w1.example.org");
    assert_eq!(
        found("host={instance_id}.{availability_zone}.example.org,basename=w-{instance_id}").await,
        format!("w-{id}@{id}.{}.example.org", one.placement().unwrap().availability_zone().unwrap())
    );
    let public = found("host=public-ip").await;
    assert!(public.starts_with("node@") && public != format!("node@{ip}"), "{public}");
    // An instance without a name by the rule is left out, and the others are not.
    let named = fleet.find(&format!("{MINE},host=tag:fqdn")).await.unwrap();
    assert_eq!(named.iter().map(NodeName::as_str).collect::<Vec<_>>(), ["node@w1.example.org"]);
}

#[tokio::test]
async fn the_same_as_mine() {
    let fleet = Fleet::new().await;
    let blue = fleet.launch(3, &[("csrelease", "blue")]).await;
    fleet.launch(3, &[("csrelease", "green")]).await;
    // Nothing is known yet.
    let find = async || fleet.find("ec2:tag=csrelease").await;
    assert!(matches!(find().await, Err(StrategyError::InstanceMetadata { .. })));
    // The metadata contain no tags: DescribeTags does.
    fleet.be(&blue[0]);
    assert_eq!(find().await.unwrap(), nodes(&blue));
    assert_eq!(fleet.proxy.requests("DescribeTags"), 1);
    // Now they do: no request to EC2 is needed.
    fleet.metadata.set("tags/instance/csrelease", "green");
    fleet.proxy.forget_requests();
    assert_eq!(fleet.find("ec2:tag=csrelease=@mine,vpc=@mine").await.unwrap().len(), 3);
    assert!(find().await.unwrap().is_disjoint(&nodes(&blue)));
    assert_eq!(fleet.proxy.requests("DescribeTags"), 0);
    // Without such a tag there is nothing to search for.
    match fleet.find("ec2:tag=color").await {
        Err(StrategyError::NotFound { what }) => assert!(what.contains("tag color"), "{what}"),
        other => panic!("{other:?}"),
    }
    // A value is kept while the metadata service is unavailable.
    let strategy = fleet.strategy("ec2:tag=csrelease");
    let before = strategy.discover().await.unwrap();
    fleet.metadata.refuse();
    assert_eq!(strategy.discover().await.unwrap(), before);
}

/// The node names itself by the rule by which others find it.
#[tokio::test]
async fn a_node_is_found_under_the_name_that_it_has_given_itself() {
    let fleet = Fleet::new().await;
    let launched = fleet.launch(3, &[("csrelease", RELEASE), ("Name", "web-1")]).await;
    fleet.be(&launched[1]);
    // Its DHCP options differ from EC2's list.
    fleet.metadata.set("local-hostname", "web.corp.example.org other.example.org");
    let name = async |rule: &str| match rule.parse().unwrap() {
        Identity::Ec2(identity) => identity.name(&fleet.access).await,
        other => panic!("{other:?}"),
    };
    for options in ["", ",host=private-ip", ",host=public-ip,basename=tag:Name", ",host={instance_id}.x,basename={vpc}"]
    {
        let own = name(&format!("auto:ec2{options}")).await.unwrap();
        let all = fleet.find(&format!("{MINE}{options}")).await.unwrap();
        assert!(all.len() == 3 && all.contains(&own), "{options}: {own} {all:?}");
    }
    assert_eq!(name("auto:ec2").await.unwrap(), nodes([&launched[1]]).pop_first().unwrap());
    // Where requests to EC2 are not allowed, the metadata are used.
    fleet.proxy.fail("DescribeInstances", Fault::AccessDenied, Times::Next(1));
    assert_eq!(name("auto:ec2").await.unwrap(), "node@web.corp.example.org");
    let error = ErrorChain(&name("auto:ec2,basename=tag:Color").await.unwrap_err()).to_string();
    assert!(error.contains("it has no tag:Color"), "{error}");
    fleet.metadata.refuse();
    let error = ErrorChain(&name("auto:ec2,host=private-ip").await.unwrap_err()).to_string();
    assert!(error.contains("instance metadata"), "{error}");
}

#[tokio::test]
async fn each_failure_says_whose_fault_it_is() {
    let fleet = Fleet::new().await;
    let members = fleet.launch(3, &[("csrelease", RELEASE)]).await;
    let strategy = fleet.strategy(MINE);
    let (found, action) = (nodes(&members), "DescribeInstances");
    check_failures(&*strategy, &fleet.proxy, action, "ec2:DescribeInstances", &found).await;
}

/// During failures of AWS, a worker keeps its peers.
#[tokio::test]
async fn no_failure_tears_the_mesh_down() {
    let fleet = Fleet::new().await;
    let members = fleet.launch(5, &[("csrelease", RELEASE)]).await;
    let mesh = Joined::default();
    let reconciler = Reconciler::new(mesh, vec![fleet.strategy(MINE)]).interval(Duration::from_millis(20));
    let mut events = reconciler.events();
    let running = reconciler.start();
    let mut next = async |wanted: fn(&MeshEvent) -> bool| {
        let found = async {
            loop {
                let event = events.recv().await.unwrap();
                assert!(!matches!(event, MeshEvent::Forgotten { .. } | MeshEvent::Lost { .. }), "{event:?}");
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), found).await.unwrap()
    };
    for _ in 0..5 {
        next(|event| matches!(event, MeshEvent::Connected { .. })).await;
    }
    for fault in [Fault::Throttle, Fault::ServerError, Fault::CutContent, Fault::ExpiredCredentials] {
        fleet.proxy.fail("DescribeInstances", fault, Times::Always);
        next(|event| matches!(event, MeshEvent::PollFailed { .. })).await;
        fleet.proxy.heal();
        next(|event| matches!(event, MeshEvent::Polled { peers, .. } if peers.len() == 5)).await;
    }
    // The disappearance of all at once counts as a failure.
    fleet.terminate(&members).await;
    next(|event| matches!(event, MeshEvent::PollEmpty { .. })).await;
    running.stop().await;
}

/// Moto's metadata service omits the lifetime of a token, which the SDK requires; the rest is moto's.
#[tokio::test]
async fn motos_metadata_service_is_asked_with_tokens() {
    const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
    let fleet = Fleet::new().await;
    let proxy = HttpServer::start({
        let endpoint = fleet.proxy.endpoint();
        move |request| {
            let answer = request.send(&endpoint).unwrap();
            match request.get(TTL) {
                Some(seconds) => answer.header(TTL, seconds),
                None => answer,
            }
        }
    });
    let metadata = InstanceMetadata::at(&proxy.endpoint()).unwrap();
    assert_eq!(metadata.instance_id().await.unwrap(), "i-fake");
    assert_eq!(metadata.region().await.unwrap(), "us-east-1");
    assert_eq!(metadata.get("local-hostname").await.unwrap().unwrap(), "moto-instance.ec2.internal");
    assert_eq!(fleet.proxy.requests("PUT /latest/api/token"), 1, "the token is kept");

    // A short failure is not noticed, and constant values are not requested again.
    fleet.proxy.fail("GET /latest/meta-data/placement/region", Fault::Unavailable, Times::Next(1));
    assert_eq!(metadata.region().await.unwrap(), "us-east-1");
    fleet.proxy.fail("*", Fault::Unavailable, Times::Always);
    assert!(matches!(metadata.region().await, Err(StrategyError::InstanceMetadata { .. })));
    assert_eq!(metadata.instance_id().await.unwrap(), "i-fake");
}

/// A mesh to which all nodes can connect.
#[derive(Default)]
struct Joined {
    peers: std::sync::Mutex<Peers>,
}

impl Mesh for Joined {
    fn name(&self) -> NodeName {
        "me@127.0.0.1".parse().unwrap()
    }

    fn connected(&self) -> Peers {
        self.peers.lock().unwrap().clone()
    }

    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>> {
        self.peers.lock().unwrap().insert(peer);
        ready(Ok(())).boxed()
    }

    fn leave(&self) -> BoxFuture<'_, Result<Vec<NodeName>, LeaveError>> {
        panic!("the mesh is left")
    }
}
