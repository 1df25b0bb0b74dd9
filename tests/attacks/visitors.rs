//! Visitors of a worker's page who send half of what they announce, or do not read what they ask for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{Attack, Fate};

/// What visitors do not read.
#[derive(Clone, Copy, Debug)]
pub enum Unread {
    /// The page of a job.
    Page,
    /// The events of a job.
    Events,
}

/// Forms of 4 MiB without their last byte.
pub fn bodies_that_stop(connections: usize) -> Attack {
    Attack::new(format!("forms of {connections} visitors that stop before their end"), move |target, end| {
        const SIZE: usize = (4 << 20) - 100;
        let page = target.page.expect("a page");
        let mut form = head(&format!(
            "POST /jobs HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}",
            SIZE + 1
        ));
        form.extend_from_slice(b"urls=");
        form.resize(form.len() + SIZE - 5, b'x');
        send(page, connections, &form, end)
    })
}

/// What a job with long addresses shows.
pub fn unread(what: Unread, connections: usize) -> Attack {
    Attack::new(format!("{what:?} that {connections} visitors do not read"), move |target, end| {
        let page = target.page.expect("a page");
        // Each character is five in HTML, twice.
        let urls: Vec<String> =
            (0..10_000).map(|number| format!("\"http://127.0.0.1:1/?{number}{}\"", "&".repeat(370))).collect();
        let body = format!("{{\"urls\":[{}]}}", urls.join(","));
        let mut request = head(&format!(
            "POST /api/jobs HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}",
            body.len()
        ));
        request.extend_from_slice(body.as_bytes());
        let mut stream = TcpStream::connect(page).expect("the page listens");
        stream.write_all(&request).expect("the page reads");
        let mut answer = String::new();
        while !answer.contains("\r\n\r\n") {
            let mut part = [0; 4096];
            let length = stream.read(&mut part).expect("an answer");
            assert!(length > 0, "{answer}");
            answer.push_str(&String::from_utf8_lossy(&part[..length]));
        }
        let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).expect("the job's address");
        let path = match what {
            Unread::Page => location.to_owned(),
            Unread::Events => format!("{location}/events"),
        };
        send(page, connections, &head(&format!("GET {path} HTTP/1.1")), end)
    })
}

fn head(lines: &str) -> Vec<u8> {
    format!("{lines}\r\nhost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// Sends this by many connections, whose answers are not read before the end.
fn send(page: SocketAddr, connections: usize, request: &[u8], end: Instant) -> Fate {
    const PATIENCE: Duration = Duration::from_secs(5);
    let (mut fate, mut streams) = (Fate::default(), Vec::new());
    for _ in 0..connections {
        let Ok(mut stream) = TcpStream::connect_timeout(&page, PATIENCE) else { break };
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        fate.sent += u64::from(stream.write_all(request).is_ok());
        streams.push(stream);
    }
    fate.connections = streams.len() as u64;
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    for mut stream in streams {
        stream.set_nonblocking(true).expect("a socket");
        let mut status = [0; 12];
        if stream.read(&mut status).is_ok_and(|length| length == status.len()) {
            let is_refused = status.ends_with(b"503");
            (fate.refusals, fate.answers) =
                (fate.refusals + u64::from(is_refused), fate.answers + u64::from(!is_refused));
        }
    }
    fate
}
