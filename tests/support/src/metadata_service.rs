//! The metadata service of an EC2 instance.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::{HttpServer, Request, Response};

/// A metadata service (IMDSv2, with tokens) on a free port of 127.0.0.1 with the values of a test; moto's cannot be
/// changed. It ends when dropped.
pub struct MetadataService {
    server: HttpServer,
    values: Arc<Mutex<BTreeMap<String, String>>>,
}

impl MetadataService {
    const TOKEN: &str = "the-token";

    /// Starts one without any values.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn start() -> Self {
        let values: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let server = HttpServer::start({
            let values = values.clone();
            move |request| answer(&request, &values.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Self { server, values }
    }

    /// `http://127.0.0.1:PORT`, for `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// Sets a value at a path below `/latest/meta-data/`.
    pub fn set(&self, path: &str, value: &str) {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), value.to_owned());
    }

    /// Refuses connections from now on.
    pub fn refuse(&self) {
        self.server.refuse();
    }
}

fn answer(request: &Request, values: &BTreeMap<String, String>) -> Response {
    const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
    match (request.method.as_str(), request.path.strip_prefix("/latest/")) {
        ("PUT", Some("api/token")) => match request.get(TTL) {
            Some(seconds) => Response::text(200, MetadataService::TOKEN).header(TTL, seconds),
            None => Response::text(400, "Bad Request"),
        },
        ("GET", _) if request.get("x-aws-ec2-metadata-token") != Some(MetadataService::TOKEN) => {
            Response::text(401, "Unauthorized")
        }
        ("GET", Some(path)) => match path.strip_prefix("meta-data/").and_then(|key| values.get(key)) {
            Some(value) => Response::text(200, value),
            None => Response::text(404, "Not Found"),
        },
        _ => Response::text(404, "Not Found"),
    }
}
