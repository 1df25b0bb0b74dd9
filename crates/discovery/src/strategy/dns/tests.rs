use std::net::Ipv4Addr;
use std::sync::Mutex;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SRV};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::Spec;

/// A name server with these answers; it counts the queries over UDP and TCP.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<[usize; 2]>>,
}

#[derive(Clone)]
enum Reply {
    Records(Vec<RData>),
    Code(ResponseCode),
    Silence,
    /// Bytes that are not a message.
    Garbage,
}

impl Server {
    async fn start(answer: impl Fn(&str, RecordType) -> Reply + Send + Sync + 'static) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let (answer, asked) = (Arc::new(answer), Arc::new(Mutex::new([0; 2])));
        let (over_udp, udp_count) = (answer.clone(), asked.clone());
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
                udp_count.lock().unwrap()[0] += 1;
                if let Some(mut bytes) = response(&buffer[..length], &*over_udp) {
                    if bytes.len() > 1232 {
                        // Truncated: the flag is set, and there are no records.
                        bytes = response(&buffer[..length], &|_, _| Reply::Records(vec![])).unwrap();
                        bytes[2] |= 0b10;
                    }
                    udp.send_to(&bytes, from).await.unwrap();
                }
            }
        });
        let tcp_count = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let (answer, count) = (answer.clone(), tcp_count.clone());
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut question = vec![0; length.into()];
                        stream.read_exact(&mut question).await.unwrap();
                        count.lock().unwrap()[1] += 1;
                        if let Some(bytes) = response(&question, &*answer) {
                            stream.write_u16(bytes.len() as u16).await.unwrap();
                            stream.write_all(&bytes).await.unwrap();
                        }
                    }
                });
            }
        });
        Self { address, asked }
    }

    /// The options of a query for these items: it waits for long, unless there is no answer.
    fn options(&self, items: &str) -> String {
        let is_answered = !["silent", "garbage"].iter().any(|kind| items.contains(kind));
        let timeout = if is_answered { "10s" } else { "500ms" };
        format!("resolver={},timeout={timeout},attempts=1", self.address)
    }

    async fn discover(&self, items: &str) -> Result<Vec<String>, StrategyError> {
        let spec: Spec = format!("dns:{items},{}", self.options(items)).parse().unwrap();
        let peers = spec.build().unwrap().discover().await?;
        Ok(peers.iter().map(ToString::to_string).collect())
    }
}

fn response(question: &[u8], answer: &(impl Fn(&str, RecordType) -> Reply + ?Sized)) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let mut message = Message::new(question.metadata.id, MessageType::Response, question.metadata.op_code);
    match answer(&query.name().to_string(), query.query_type()) {
        Reply::Records(records) => {
            message.add_answers(records.into_iter().map(|data| Record::from_rdata(query.name().clone(), 60, data)));
        }
        Reply::Code(code) => message.metadata.response_code = code,
        Reply::Silence => return None,
        Reply::Garbage => return Some(b"garbage".to_vec()),
    }
    message.add_query(query);
    Some(message.to_vec().unwrap())
}

fn address(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(10, 0, 0, last)))
}

fn service(target: &str) -> RData {
    RData::SRV(SRV::new(1, 1, 4369, Name::from_ascii(target).unwrap()))
}

#[tokio::test]
async fn addresses_and_services_become_nodes() {
    let server = Server::start(|name, kind| match (name, kind) {
        ("app.test.", RecordType::A) => Reply::Records(vec![
            RData::CNAME(CNAME(Name::from_ascii("app.test.").unwrap())),
            address(2),
            address(1),
            address(2),
        ]),
        ("app.test.", RecordType::AAAA) => Reply::Records(vec![RData::AAAA(AAAA("fd00::7".parse().unwrap()))]),
        ("_epmd._tcp.app.test.", RecordType::SRV) => {
            Reply::Records(vec![service("b.app.test."), service("a.app.test."), service(".")])
        }
        other => panic!("{other:?}"),
    })
    .await;
    let both = ["node@10.0.0.1", "node@10.0.0.2", "node@fd00::7"];
    assert_eq!(server.discover("app.test").await.unwrap(), both);
    assert_eq!(server.discover("app.test,type=ip").await.unwrap(), both);
    assert_eq!(server.discover("app.test.,basename=app,type=a").await.unwrap(), ["app@10.0.0.1", "app@10.0.0.2"]);
    assert_eq!(server.discover("app.test,type=aaaa").await.unwrap(), ["node@fd00::7"]);
    let services = server.discover("_epmd._tcp.app.test,type=srv").await.unwrap();
    assert_eq!(services, ["node@a.app.test", "node@b.app.test"]);
}

#[tokio::test]
async fn no_such_name_is_an_answer_and_a_failing_server_an_error() {
    let server = Server::start(|name, _| match name {
        "no-records.test." => Reply::Records(vec![]),
        "no-name.test." => Reply::Code(ResponseCode::NXDomain),
        "failing.test." => Reply::Code(ResponseCode::ServFail),
        "refused.test." => Reply::Code(ResponseCode::Refused),
        "garbage.test." => Reply::Garbage,
        _ => Reply::Silence,
    })
    .await;
    for name in ["no-records.test", "no-name.test"] {
        assert_eq!(server.discover(name).await.unwrap(), [""; 0], "{name}");
    }
    for (name, says) in [
        ("failing.test", "Server Failure"),
        ("refused.test", "Refused"),
        ("silent.test", "timed out"),
        ("garbage.test", ""),
    ] {
        let error = ErrorChain(&server.discover(name).await.unwrap_err()).to_string();
        assert!(error.contains(name) && error.contains(says), "{error}");
    }
    let away = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = Server { address: away, asked: Arc::default() };
    assert!(nobody.discover("silent.test").await.is_err());
}

/// One family may be missing or fail, as long as the other one answers.
#[tokio::test]
async fn addresses_of_one_family_are_enough() {
    let server = Server::start(|name, kind| match (name.split('-').next().unwrap(), kind) {
        (v4, RecordType::A) if v4.starts_with("v4") => Reply::Records(vec![address(1)]),
        (v6, RecordType::AAAA) if v6.starts_with("v6") => {
            Reply::Records(vec![RData::AAAA(AAAA("2001:db8::1".parse().unwrap()))])
        }
        _ => match name.split('-').nth(1).unwrap() {
            "empty.test." => Reply::Records(vec![]),
            "missing.test." => Reply::Code(ResponseCode::NXDomain),
            "failing.test." => Reply::Code(ResponseCode::ServFail),
            _ => Reply::Silence,
        },
    })
    .await;
    for other in ["empty", "missing", "failing", "silent"] {
        for (family, node) in [("v4", "node@10.0.0.1"), ("v6", "node@2001:db8::1")] {
            let name = format!("{family}-{other}.test");
            assert_eq!(server.discover(&name).await.unwrap(), [node], "{name}");
            let spec = format!("dns:{name},coverage=whole,{}", server.options(&name));
            let answer = spec.parse::<Spec>().unwrap().build().unwrap().discover().await.unwrap();
            let all = matches!(other, "empty" | "missing");
            assert_eq!(answer.coverage == Coverage::Whole, all, "{name}");
        }
        let nothing = server.discover(&format!("none-{other}.test")).await;
        assert_eq!(nothing.is_err(), matches!(other, "failing" | "silent"), "{other}: {nothing:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_a_datagram_is_asked_for_again_by_tcp() {
    let all = || (0..=255).map(address).collect::<Vec<_>>();
    let server = Server::start(move |_, _| Reply::Records(all())).await;
    assert_eq!(server.discover("big.test").await.unwrap().len(), 256);
    let asked = *server.asked.lock().unwrap();
    assert!(asked[0] >= 1 && asked[1] >= 1, "{asked:?}");
}

#[tokio::test]
async fn each_poll_asks_the_server() {
    let count = Arc::new(std::sync::atomic::AtomicU8::new(0));
    let counted = count.clone();
    let server = Server::start(move |_, _| {
        Reply::Records(vec![address(counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed))])
    })
    .await;
    let spec: Spec = format!("dns:app.test,resolver={}", server.address).parse().unwrap();
    let strategy = spec.build().unwrap();
    let (one, other) = (strategy.discover().await.unwrap(), strategy.discover().await.unwrap());
    assert_ne!(one, other, "in spite of a time to live of a minute");
}

#[test]
fn questions_are_as_resolv_conf_says() {
    let name = |text: &str| Name::from_str_relaxed(text).unwrap();
    let search = [name("one.test."), name("two.test.")];
    let all = |text: &str| questions(&name(text), &search, 1).iter().map(Name::to_string).collect::<Vec<_>>();
    assert_eq!(all("app"), ["app.one.test.", "app.two.test.", "app."]);
    assert_eq!(all("app.svc"), ["app.svc.", "app.svc.one.test.", "app.svc.two.test."]);
    assert_eq!(all("app.svc."), ["app.svc."]);
}

#[test]
fn settings() {
    let text = "dns:app.test,basename=app,resolver=10.0.0.2:53,resolver=[::1]:5353,timeout=1s\\ 500ms,type=srv";
    let spec: Spec = text.parse().unwrap();
    assert_eq!(spec.to_string(), text);
    let table = r#"{"strategy": "dns", "name": "app.test", "type": "srv", "basename": "app",
        "resolver": ["10.0.0.2", "[::1]:5353"], "timeout": 1.5}"#;
    assert_eq!(serde_json::from_str::<Spec>(table).unwrap(), spec);
    for (wrong, says) in [
        ("dns", "missing field `name`"),
        ("dns:a..b", "a..b"),
        ("dns:a,type=mx", "unknown variant `mx`"),
        ("dns:a,resolver=ns.test", "not the address of a name server"),
        ("dns:a,basename=a@b@c", "a@b@c@127.0.0.1"),
        ("dns:a,timeout=0", "longer than nothing"),
        ("dns:a,timeout=soon", "not a time"),
    ] {
        let error = wrong.parse::<Spec>().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
