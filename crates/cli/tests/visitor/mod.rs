//! A visitor of a page: a browser without script, as seen by the page.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use peerl_test_support::ProcessGuard;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::cluster::{A_WHILE, Cluster};

/// A page of a `peerl web`.
pub(crate) struct Page {
    pub(crate) process: ProcessGuard,
    pub(crate) node: String,
    pub(crate) url: String,
}

impl Page {
    /// A page at a free port of the loopback address, with these workers.
    pub(crate) fn of(cluster: &Cluster, workers: &[&str], more: &[&str]) -> Self {
        let nodes = workers.iter().flat_map(|worker| ["--node", *worker]);
        let arguments: Vec<&str> =
            ["web", "--web", "127.0.0.1:0", "--interval", "1s"].into_iter().chain(nodes).collect();
        Self::start(cluster, &[&arguments[..], more].concat())
    }

    pub(crate) fn start(cluster: &Cluster, arguments: &[&str]) -> Self {
        let process = ProcessGuard::spawn(&mut cluster.command(arguments));
        let line = process.wait_for_line("ready ", A_WHILE);
        let words: Vec<&str> = line.split_whitespace().collect();
        let (node, url) = (words[1].to_owned(), words.last().unwrap().trim_end_matches('/').to_owned());
        Self { process, node, url }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The form token of this page.
    #[track_caller]
    pub(crate) fn form_token(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"form_token\" value=\"").unwrap_or_else(|| panic!("{self:?}"));
        rest.split('"').next().unwrap().to_owned()
    }
}

/// A client that keeps the page's cookies.
#[derive(Clone)]
pub(crate) struct Visitor {
    client: Client,
    pub(crate) url: String,
    pub(crate) cookie: Option<String>,
}

impl Visitor {
    pub(crate) fn of(url: &str) -> Self {
        // Another test of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { client, url: url.to_owned(), cookie: None }
    }

    /// The same client at another web node.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    pub(crate) fn with_cookie(&self, cookie: &str) -> Self {
        Self { cookie: Some(cookie.to_owned()), ..self.clone() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url)).timeout(A_WHILE);
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let status = response.status();
        let headers: HashMap<String, String> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        if let Some(cookie) = headers.get("set-cookie") {
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        }
        let body = response.text().await.unwrap();
        assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{body}");
        Answer { status: status.as_u16(), headers, body }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(request).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.form(path, fields);
        self.send(request).await
    }

    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = self.request(Method::POST, path).body(body.join("&"));
        request.header("content-type", "application/x-www-form-urlencoded")
    }

    /// Submits the form; returns the path of the job's page.
    pub(crate) async fn take(&mut self, urls: &str) -> String {
        let token = self.get("/").await.is(200).form_token();
        let answer = self.post("/jobs", &[("form_token", &token), ("urls", urls)]).await.is(303);
        answer.header("location").to_owned()
    }

    /// The JSON results of a job, once it has ended.
    pub(crate) async fn ended(&mut self, job: &str) -> Value {
        let end = Instant::now() + 2 * A_WHILE;
        loop {
            let value = self.get(&format!("{job}/results.json")).await.is(200).json();
            if value["job"]["phase"] != "running" {
                return value;
            }
            assert!(Instant::now() < end, "{}", value["job"]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a page contains this text.
    pub(crate) async fn wait_for(&mut self, path: &str, text: &str) {
        let end = Instant::now() + A_WHILE;
        loop {
            let page = self.get(path).await.is(200);
            if page.body.contains(text) {
                return;
            }
            assert!(Instant::now() < end, "{text:?} in {}", page.body);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until this number of nodes take checksums.
    pub(crate) async fn workers(&mut self, count: usize) {
        let end = Instant::now() + A_WHILE;
        loop {
            let cluster = self.get("/cluster.json").await.is(200).json();
            let nodes = cluster["nodes"].as_array().unwrap();
            if nodes.iter().filter(|node| node["role"] == "takes checksums").count() == count {
                return;
            }
            assert!(Instant::now() < end, "{cluster}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// A stream of events.
pub(crate) struct Events {
    response: reqwest::Response,
    text: String,
}

/// An event of a stream.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Events {
    pub(crate) async fn of(visitor: &Visitor, job: &str, last: Option<&str>) -> Self {
        let mut request = visitor.request(Method::GET, &format!("{job}/events"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (mut kind, mut id, mut data) = (String::new(), None, String::new());
                for line in block.lines() {
                    match line.split_once(": ") {
                        Some(("event", value)) => kind = value.to_owned(),
                        Some(("id", value)) => id = Some(value.to_owned()),
                        Some(("data", value)) => data += value,
                        _ => {}
                    }
                }
                self.text = rest.to_owned();
                if !data.is_empty() {
                    return Event { kind, id, data: serde_json::from_str(&data).unwrap() };
                }
                continue;
            }
            let chunk = self.response.chunk().await.unwrap().expect("the stream goes on");
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// The next event of this kind.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await;
            if event.kind == kind {
                return event;
            }
        }
    }
}
