//! The parts of HTTP/1.1 that fixtures need: one request and one answer a connection, blocking. Not a library, since
//! fixtures cut answers, and test the product's HTTP server from outside.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

mod server;
pub use server::{Answer, HttpServer};

/// Larger than any message of a test; a peer that announces more is defective.
const MAX_BODY: u64 = 256 << 20;
const MAX_HEAD: u64 = 1 << 20;

/// A request, received or to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// The path with the query, from the slash on.
    pub path: String,
    /// Names (in any case) and values.
    pub headers: Vec<(String, String)>,
    /// The whole body, no longer chunked.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), ..Self::default() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The value of a header; names match in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        get(&self.headers, name)
    }

    /// The requested action: that of an AWS request (`DescribeInstances`, `ListTasks`), else method and path without
    /// the query (`GET /latest/meta-data/`).
    pub fn action(&self) -> String {
        let target = self.get("x-amz-target").and_then(|target| target.rsplit('.').next());
        let form = std::str::from_utf8(&self.body).unwrap_or("");
        let action = || form.split('&').find_map(|field| field.strip_prefix("Action="));
        match target.or_else(action) {
            Some(action) => action.to_owned(),
            None => format!("{} {}", self.method, self.path.split('?').next().unwrap_or_default()),
        }
    }

    /// Sends it to `http://HOST:PORT` and waits for the answer.
    ///
    /// # Errors
    ///
    /// When there is no connection, no answer within a minute, or one that is not HTTP.
    pub fn send(&self, endpoint: &str) -> std::io::Result<Response> {
        let authority = endpoint.strip_prefix("http://").unwrap_or(endpoint).trim_end_matches('/');
        let mut stream = TcpStream::connect(authority)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        let host = self.get("host").unwrap_or(authority).to_owned();
        let mut message = format!("{} {} HTTP/1.1\r\nhost: {host}\r\n", self.method, self.path);
        push_headers(&mut message, &self.headers, self.body.len());
        stream.write_all(&[message.as_bytes(), &self.body].concat())?;
        let (first, headers, body) = read(&mut BufReader::new(stream), Reads::Answer)?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Response { status: status.ok_or_else(|| invalid("status line", &first))?, headers, body })
    }

    /// Reads it from a connection; `None` if the peer closed instead.
    fn read(stream: &mut impl BufRead) -> std::io::Result<Option<Self>> {
        if stream.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let (first, headers, body) = read(stream, Reads::Request)?;
        let mut words = first.split(' ');
        match (words.next(), words.next()) {
            (Some(method), Some(path)) => {
                Ok(Some(Self { method: method.to_owned(), path: path.to_owned(), headers, body }))
            }
            _ => Err(invalid("request line", &first)),
        }
    }
}

/// An answer, received or to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 200, 404 …
    pub status: u16,
    /// Names (in any case) and values, without `content-length`, which is computed from the body.
    pub headers: Vec<(String, String)>,
    /// The whole body, no longer chunked.
    pub body: Vec<u8>,
}

impl Response {
    /// A text.
    pub fn text(status: u16, body: &str) -> Self {
        Self { status, ..Self::default() }.typed("text/plain", body)
    }

    /// JSON, as in the JSON protocol of AWS.
    pub fn json(status: u16, body: &str) -> Self {
        Self { status, ..Self::default() }.typed("application/x-amz-json-1.1", body)
    }

    /// XML, as in the query protocol of AWS.
    pub fn xml(status: u16, body: &str) -> Self {
        Self { status, ..Self::default() }.typed("text/xml", body)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The value of a header; names match in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        get(&self.headers, name)
    }

    /// The body as text, with replacement characters for invalid UTF-8.
    pub fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn typed(mut self, media_type: &str, body: &str) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
    }

    fn encoded(&self) -> Vec<u8> {
        let mut message = format!("HTTP/1.1 {} Answer\r\n", self.status);
        push_headers(&mut message, &self.headers, self.body.len());
        [message.as_bytes(), &self.body].concat()
    }
}

fn get<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The headers without those that delimit the message, which are written anew.
fn push_headers(message: &mut String, headers: &[(String, String)], length: usize) {
    for (name, value) in headers {
        if !["host", "connection", "content-length", "transfer-encoding", "expect"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
        {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    message.push_str(&format!("content-length: {length}\r\nconnection: close\r\n\r\n"));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Request,
    Answer,
}

type Message = (String, Vec<(String, String)>, Vec<u8>);

/// Reads a whole message: its first line, its headers, its body.
fn read(stream: &mut impl BufRead, what: Reads) -> std::io::Result<Message> {
    let mut head = Read::take(&mut *stream, MAX_HEAD);
    let first = line(&mut head)?;
    let mut headers = Vec::new();
    loop {
        let text = line(&mut head)?;
        if text.is_empty() {
            break;
        }
        let (name, value) = text.split_once(':').ok_or_else(|| invalid("header", &text))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let mut body = Vec::new();
    if get(&headers, "transfer-encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("chunked")) {
        read_chunks(stream, &mut body)?;
    } else if let Some(length) = get(&headers, "content-length") {
        let length: u64 = length.parse().map_err(|_| invalid("content-length", length))?;
        if stream.take(length.min(MAX_BODY)).read_to_end(&mut body)? as u64 != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    } else if what == Reads::Answer {
        stream.take(MAX_BODY).read_to_end(&mut body)?;
    }
    headers.retain(|(name, _)| {
        !name.eq_ignore_ascii_case("content-length") && !name.eq_ignore_ascii_case("transfer-encoding")
    });
    Ok((first, headers, body))
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let size = line(&mut *stream)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| invalid("size of a chunk", &size))?;
        if body.len() as u64 + size > MAX_BODY {
            return Err(invalid("size of a body", digits));
        }
        if Read::take(&mut *stream, size).read_to_end(body)? as u64 != size {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        // The end of the chunk, or, after the last one, of the (empty) trailers.
        line(&mut *stream)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn line(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = Vec::new();
    Read::take(&mut *stream, MAX_HEAD).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

fn invalid(what: &str, found: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{found:?} is no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions() {
        let json =
            Request::new("POST", "/").header("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.ListTasks").body("{}");
        assert_eq!(json.action(), "ListTasks");
        let query = Request::new("POST", "/").body("Version=2016-11-15&Action=DescribeInstances&MaxResults=5");
        assert_eq!(query.action(), "DescribeInstances");
        assert_eq!(Request::new("GET", "/latest/dynamic?x=1").action(), "GET /latest/dynamic");
    }

    #[test]
    fn chunks_become_a_body() {
        let text = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;q=1\r\nde\r\n0\r\n\r\n";
        let request = Request::read(&mut text.as_slice()).unwrap().unwrap();
        assert_eq!(request, Request::new("POST", "/x").body("abcde"));
        assert!(Request::read(&mut text[..text.len() - 9].as_ref()).is_err());
        assert_eq!(Request::read(&mut [].as_slice()).unwrap(), None);
    }
}
