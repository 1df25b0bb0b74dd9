//! The cost of finding the members of a fleet by their tags: time, memory, and requests to AWS. `cargo bench -p
//! peerl-aws-tests --bench discovery`
//!
//! Moto, the simulation of AWS, writes such answers more slowly than peerl reads them. Most of the table is therefore
//! measured with a server that has its answers ready, in the form and size of EC2's; one line is measured with moto.

#![allow(missing_docs)]

mod harness;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use harness::{Settings, describe};
use peerl_aws_tests::ask::client_config;
use peerl_aws_tests::fleet::access_to;
use peerl_discovery::strategy::{Ec2, Ec2Settings};
use peerl_discovery::{Peers, Strategy};
use peerl_test_support::{FaultProxy, HttpServer, Moto, Response};

const TAG: &str = "csrelease=0123abcd";

/// The maximum number of instances in one page of EC2.
const PAGE: usize = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, endpoint, polls] = arguments.as_slice()
        && mode == "poll"
    {
        return poll(endpoint, polls.parse().expect("a number"));
    }
    let settings = Settings::from_args();
    println!("{}", describe(&settings));
    println!("\n| instances | server | requests a poll | answers | first poll | later polls | memory for it |");
    println!("|---:|---|---:|---:|---:|---:|---:|");
    for count in [0, 1_000, 10_000] {
        let canned = Canned::start(count);
        report(count, "answers ready", &canned.server.endpoint(), 10, Some(canned.bytes));
    }
    let moto = Moto::start();
    runtime().block_on(launch(&moto, 1_000));
    report(1_000, "moto", &moto.endpoint(), 3, None);
}

fn report(count: usize, server: &str, endpoint: &str, polls: usize, bytes: Option<usize>) {
    let proxy = FaultProxy::before(endpoint);
    // The time is measured without the proxy, which only counts.
    let counted = child(&proxy.endpoint(), 1);
    assert_eq!(counted.found, count, "all are found");
    let requests = proxy.requests("DescribeInstances");
    let idle = child(&Canned::start(0).server.endpoint(), 1).peak;
    let run = child(endpoint, polls);
    let bytes = bytes.map_or_else(String::new, |bytes| format!("{:.1} MB", bytes as f64 / 1e6));
    println!(
        "| {count} | {server} | {requests} | {bytes} | {:.0} ms | {:.0} ms | {:.1} MB |",
        run.first.as_secs_f64() * 1e3,
        run.later.as_secs_f64() * 1e3,
        (run.peak - idle).max(0.0) / 1e6,
    );
}

/// The measurements of one process.
struct Run {
    found: usize,
    first: Duration,
    /// The median.
    later: Duration,
    /// The peak of the process's memory, in bytes.
    peak: f64,
}

fn child(endpoint: &str, polls: usize) -> Run {
    let program = std::env::current_exe().expect("a benchmark knows its own path");
    let output = Command::new(program).args(["poll", endpoint, &polls.to_string()]).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [found, first, later, peak] = numbers.as_slice() else {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    };
    Run {
        found: *found as usize,
        first: Duration::from_secs_f64(*first),
        later: Duration::from_secs_f64(*later),
        peak: *peak,
    }
}

/// Polls this many times, and prints the cost.
fn poll(endpoint: &str, polls: usize) {
    let settings = Ec2Settings { tag: vec![TAG.to_owned()], ..Ec2Settings::default() };
    let strategy = Ec2::new(&settings, access_to(endpoint)).expect("good settings");
    let (mut peers, mut times) = (Peers::new(), Vec::new());
    runtime().block_on(async {
        for _ in 0..polls {
            let start = Instant::now();
            peers = strategy.discover().await.expect("an answer").peers;
            times.push(start.elapsed().as_secs_f64());
        }
    });
    let first = times.remove(0);
    times.sort_by(f64::total_cmp);
    let later = times.get(times.len() / 2).copied().unwrap_or(first);
    println!("{} {first} {later} {}", peers.len(), peak());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// The peak of this process's memory, in bytes.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process runs");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it says how much");
    kib.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
}

/// Starts this many instances in moto.
async fn launch(moto: &Moto, count: i32) {
    let client = aws_sdk_ec2::Client::new(&client_config(&moto.endpoint()).await);
    let (key, value) = TAG.split_once('=').expect("a tag");
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::Instance)
        .tags(Tag::builder().key(key).value(value).build())
        .build();
    let request = client.run_instances().image_id("ami-12c6146b").min_count(count).max_count(count);
    request.tag_specifications(tags).send().await.expect("instances");
}

/// A server with the prepared pages of a listing.
struct Canned {
    server: HttpServer,
    bytes: usize,
}

impl Canned {
    fn start(count: usize) -> Self {
        let pages = count.div_ceil(PAGE).max(1);
        let pages: Vec<String> = (0..pages)
            .map(|page| {
                let instances = (page * PAGE..count.min((page + 1) * PAGE)).map(instance).collect::<String>();
                let next =
                    if page + 1 < pages { format!("<nextToken>{}</nextToken>", page + 1) } else { String::new() };
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                     <DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
                     <requestId>8f7724cf-496f-496e-8fe3-example</requestId>\
                     <reservationSet>{instances}</reservationSet>{next}</DescribeInstancesResponse>"
                )
            })
            .collect();
        let bytes = pages.iter().map(String::len).sum();
        let pages = Arc::new(pages);
        let server = HttpServer::start(move |request| {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let token = form.split('&').find_map(|field| field.strip_prefix("NextToken="));
            let page = token.and_then(|token| token.parse::<usize>().ok()).unwrap_or(0);
            Response::xml(200, &pages[page])
        });
        Self { server, bytes }
    }
}

/// An instance as EC2 describes it, in its own reservation, like those that auto scaling starts.
fn instance(index: usize) -> String {
    let (high, low) = (index / 250, index % 250);
    let time = "2026-01-02T03:04:05.000Z";
    let tags: String = [
        ("Name", "worker"),
        ("csrelease", "0123abcd"),
        ("env", "production"),
        ("aws:autoscaling:groupName", "web-20260102030405"),
        ("aws:ec2launchtemplate:id", "lt-0a1b2c3d4e5f60718"),
        ("aws:ec2launchtemplate:version", "7"),
        ("team", "platform"),
        ("cost-center", "4711"),
    ]
    .iter()
    .map(|(key, value)| format!("<item><key>{key}</key><value>{value}</value></item>"))
    .collect();
    let groups = "<item><groupId>sg-0a1b2c3d4e5f60718</groupId><groupName>worker</groupName></item>";
    format!(
        "<item><reservationId>r-{index:017x}</reservationId><ownerId>123456789012</ownerId><groupSet/><instancesSet>\
         <item><instanceId>i-{index:017x}</instanceId><imageId>ami-0a1b2c3d4e5f60718</imageId>\
         <instanceState><code>16</code><name>running</name></instanceState>\
         <privateDnsName>ip-10-1-{high}-{low}.eu-central-1.compute.internal</privateDnsName><dnsName/><reason/>\
         <keyName>operations</keyName><amiLaunchIndex>0</amiLaunchIndex><productCodes/>\
         <instanceType>m7g.large</instanceType><launchTime>{time}</launchTime>\
         <placement><availabilityZone>eu-central-1a</availabilityZone><groupName/><tenancy>default</tenancy></placement>\
         <monitoring><state>enabled</state></monitoring><subnetId>subnet-0a1b2c3d4e5f60718</subnetId>\
         <vpcId>vpc-0a1b2c3d4e5f60718</vpcId><privateIpAddress>10.1.{high}.{low}</privateIpAddress>\
         <sourceDestCheck>true</sourceDestCheck><groupSet>{groups}</groupSet><architecture>arm64</architecture>\
         <rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping><item>\
         <deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-{index:017x}</volumeId><status>attached</status>\
         <attachTime>{time}</attachTime><deleteOnTermination>true</deleteOnTermination></ebs></item>\
         </blockDeviceMapping><virtualizationType>hvm</virtualizationType>\
         <clientToken>fleet-00000000-0000-0000-0000-{index:012}-0</clientToken><tagSet>{tags}</tagSet>\
         <hypervisor>xen</hypervisor><networkInterfaceSet><item>\
         <networkInterfaceId>eni-{index:017x}</networkInterfaceId><subnetId>subnet-0a1b2c3d4e5f60718</subnetId>\
         <vpcId>vpc-0a1b2c3d4e5f60718</vpcId><description/><ownerId>123456789012</ownerId><status>in-use</status>\
         <macAddress>0a:00:00:00:00:01</macAddress><privateIpAddress>10.1.{high}.{low}</privateIpAddress>\
         <privateDnsName>ip-10-1-{high}-{low}.eu-central-1.compute.internal</privateDnsName>\
         <sourceDestCheck>true</sourceDestCheck><groupSet>{groups}</groupSet><attachment>\
         <attachmentId>eni-attach-{index:017x}</attachmentId><deviceIndex>0</deviceIndex><status>attached</status>\
         <attachTime>{time}</attachTime><deleteOnTermination>true</deleteOnTermination>\
         <networkCardIndex>0</networkCardIndex></attachment><privateIpAddressesSet><item>\
         <privateIpAddress>10.1.{high}.{low}</privateIpAddress>\
         <privateDnsName>ip-10-1-{high}-{low}.eu-central-1.compute.internal</privateDnsName><primary>true</primary>\
         </item></privateIpAddressesSet><ipv6AddressesSet/><interfaceType>interface</interfaceType></item>\
         </networkInterfaceSet><iamInstanceProfile><arn>arn:aws:iam::123456789012:instance-profile/worker</arn>\
         <id>AIPA0000000000000EXAMPLE</id></iamInstanceProfile><ebsOptimized>true</ebsOptimized>\
         <enaSupport>true</enaSupport><cpuOptions><coreCount>2</coreCount><threadsPerCore>1</threadsPerCore></cpuOptions>\
         <capacityReservationSpecification><capacityReservationPreference>open</capacityReservationPreference>\
         </capacityReservationSpecification><hibernationOptions><configured>false</configured></hibernationOptions>\
         <enclaveOptions><enabled>false</enabled></enclaveOptions><metadataOptions><state>applied</state>\
         <httpTokens>required</httpTokens><httpPutResponseHopLimit>2</httpPutResponseHopLimit>\
         <httpEndpoint>enabled</httpEndpoint><httpProtocolIpv6>disabled</httpProtocolIpv6>\
         <instanceMetadataTags>enabled</instanceMetadataTags></metadataOptions>\
         <maintenanceOptions><autoRecovery>default</autoRecovery></maintenanceOptions>\
         <currentInstanceBootMode>uefi</currentInstanceBootMode></item></instancesSet></item>"
    )
}
