//! A proxy that makes an AWS service fail on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::{Answer, HttpServer, Request, Response};

/// A failure of a service, in the protocol of the request: that of EC2, the query protocol, the JSON protocol, or
/// plain HTTP for the metadata services.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Too many requests.
    Throttle,
    /// Status 500.
    ServerError,
    /// Status 503.
    Unavailable,
    /// The credentials have expired.
    ExpiredCredentials,
    /// The credentials are valid, but lack a permission.
    AccessDenied,
    /// The connection ends in the middle of the answer's body.
    CutConnection,
    /// Half of the answer's body, with the length of that half.
    CutContent,
    /// The connection ends without an answer.
    NoAnswer,
    /// This answer in the place of the service's.
    Answer(Response),
    /// The answer of the service, with a delay.
    Delay(Duration),
}

/// The number of times that a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Times {
    /// With this many of the next requests.
    Next(usize),
    /// Once, after this many successful requests.
    After(usize),
    /// Until [`FaultProxy::heal`].
    Always,
}

/// An HTTP proxy on a free port of 127.0.0.1 in front of a service; it forwards everything except for the configured
/// faults, and counts the requests by action. It ends when dropped.
pub struct FaultProxy {
    server: HttpServer,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    script: Vec<(String, Fault, Times)>,
    requests: BTreeMap<String, usize>,
}

impl FaultProxy {
    /// Starts a proxy in front of `http://HOST:PORT`.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn before(endpoint: &str) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let server = HttpServer::start({
            let (endpoint, state) = (endpoint.to_owned(), state.clone());
            move |request| {
                let fault = locked(&state).count(&request.action());
                answer(&endpoint, &request, fault)
            }
        });
        Self { server, state }
    }

    /// `http://127.0.0.1:PORT`, to be used instead of the service.
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// Makes requests for this action (see [`Request::action`]; `*` means any) fail. Faults of earlier calls, as long as
    /// they last, come first.
    pub fn fail(&self, action: &str, fault: Fault, times: Times) {
        locked(&self.state).script.push((action.to_owned(), fault, times));
    }

    /// Refuses connections until [`heal`](Self::heal).
    pub fn refuse(&self) {
        self.server.refuse();
    }

    /// Forwards everything again.
    ///
    /// # Panics
    ///
    /// When another process has taken the port meanwhile.
    pub fn heal(&self) {
        locked(&self.state).script.clear();
        self.server.accept();
    }

    /// The number of requests for this action; `*` means any.
    pub fn requests(&self, action: &str) -> usize {
        let state = locked(&self.state);
        match action {
            "*" => state.requests.values().sum(),
            action => state.requests.get(action).copied().unwrap_or(0),
        }
    }

    /// Resets the counters.
    pub fn forget_requests(&self) {
        locked(&self.state).requests.clear();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Counts a request, and returns its fault.
    fn count(&mut self, action: &str) -> Option<Fault> {
        *self.requests.entry(action.to_owned()).or_default() += 1;
        for index in 0..self.script.len() {
            let (of, fault, times) = &mut self.script[index];
            if of != "*" && of != action {
                continue;
            }
            match times {
                Times::Always => return Some(fault.clone()),
                Times::After(left) if *left > 0 => *left -= 1,
                Times::Next(0) => {}
                Times::Next(left) => {
                    *left -= 1;
                    return Some(fault.clone());
                }
                Times::After(_) => {
                    *times = Times::Next(0);
                    return Some(fault.clone());
                }
            }
        }
        None
    }
}

fn answer(endpoint: &str, request: &Request, fault: Option<Fault>) -> Answer {
    let protocol = Protocol::of(request);
    let pass = || request.send(endpoint).unwrap_or_else(|error| Response::text(502, &error.to_string()));
    let response = match fault {
        None => pass(),
        Some(Fault::Delay(time)) => {
            std::thread::sleep(time);
            pass()
        }
        Some(Fault::CutConnection) => {
            let response = pass();
            let half = response.body.len() / 2;
            return Answer::CutAfter(response, half);
        }
        Some(Fault::CutContent) => {
            let mut response = pass();
            response.body.truncate(response.body.len() / 2);
            // It would reveal the cut.
            response.headers.retain(|(name, _)| !name.to_ascii_lowercase().contains("crc32"));
            response
        }
        Some(Fault::NoAnswer) => return Answer::Nothing,
        Some(Fault::Answer(response)) => response,
        Some(Fault::ServerError) => protocol.error(500, "InternalFailure", "An internal error has occurred."),
        Some(Fault::Unavailable) => protocol.error(503, "ServiceUnavailable", "Service is temporarily unavailable."),
        Some(Fault::Throttle) => match protocol {
            Protocol::Ec2 => protocol.error(503, "RequestLimitExceeded", "Request limit exceeded."),
            Protocol::Query => protocol.error(400, "Throttling", "Rate exceeded"),
            Protocol::Json => protocol.error(400, "ThrottlingException", "Rate exceeded"),
            Protocol::Plain => protocol.error(429, "TooManyRequests", "Too many requests"),
        },
        Some(Fault::ExpiredCredentials) => match protocol {
            Protocol::Ec2 => protocol.error(400, "RequestExpired", "Request has expired."),
            Protocol::Query => {
                protocol.error(403, "ExpiredToken", "The security token included in the request is expired")
            }
            Protocol::Json => {
                protocol.error(400, "ExpiredTokenException", "The security token included in the request is expired")
            }
            Protocol::Plain => protocol.error(401, "Unauthorized", "Unauthorized"),
        },
        Some(Fault::AccessDenied) => {
            let message = format!("User: arn:aws:iam::123456789012:user/x may not perform: {}", request.action());
            match protocol {
                Protocol::Ec2 => protocol.error(403, "UnauthorizedOperation", &message),
                Protocol::Query => protocol.error(403, "AccessDenied", &message),
                Protocol::Json => protocol.error(400, "AccessDeniedException", &message),
                Protocol::Plain => protocol.error(403, "Forbidden", &message),
            }
        }
    };
    response.into()
}

/// The form of a service's errors.
#[derive(Clone, Copy)]
enum Protocol {
    Ec2,
    Query,
    Json,
    Plain,
}

impl Protocol {
    fn of(request: &Request) -> Self {
        let form = std::str::from_utf8(&request.body).unwrap_or("");
        if request.get("x-amz-target").is_some() {
            Self::Json
        } else if form.split('&').any(|field| field == "Version=2016-11-15") {
            Self::Ec2
        } else if form.split('&').any(|field| field.starts_with("Action=")) {
            Self::Query
        } else {
            Self::Plain
        }
    }

    fn error(self, status: u16, code: &str, message: &str) -> Response {
        let id = "00000000-0000-0000-0000-000000000000";
        match self {
            Self::Ec2 => Response::xml(
                status,
                &format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>{code}</Code>\
                     <Message>{message}</Message></Error></Errors><RequestID>{id}</RequestID></Response>"
                ),
            ),
            Self::Query => Response::xml(
                status,
                &format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                     <RequestId>{id}</RequestId></ErrorResponse>"
                ),
            ),
            Self::Json => Response::json(status, &format!("{{\"__type\":\"{code}\",\"message\":\"{message}\"}}")),
            Self::Plain => Response::text(status, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    fn json(action: &str) -> Request {
        Request::new("POST", "/").header("x-amz-target", &format!("Service.{action}")).body("{}")
    }

    #[test]
    fn faults_come_as_scripted_and_requests_are_counted() {
        let service = HttpServer::start(|request: Request| Response::text(200, &request.action()));
        let proxy = FaultProxy::before(&service.endpoint());
        let send = |request: &Request| request.send(&proxy.endpoint());
        let status = |request: &Request| send(request).unwrap().status;

        assert_eq!(send(&json("ListTasks")).unwrap().body_text(), "ListTasks");
        proxy.fail("ListTasks", Fault::Throttle, Times::Next(2));
        proxy.fail("ListTasks", Fault::ServerError, Times::After(1));
        assert_eq!(status(&json("DescribeTasks")), 200);
        let throttled = send(&json("ListTasks")).unwrap();
        assert_eq!(throttled.status, 400);
        assert!(throttled.body_text().contains("ThrottlingException"));
        assert_eq!([(); 4].map(|()| status(&json("ListTasks"))), [400, 200, 500, 200]);
        assert_eq!((proxy.requests("ListTasks"), proxy.requests("*"), proxy.requests("Other")), (6, 7, 0));
        proxy.forget_requests();
        assert_eq!(proxy.requests("*"), 0);

        proxy.fail("*", Fault::Unavailable, Times::Always);
        assert_eq!(status(&Request::new("GET", "/")), 503);
        proxy.heal();
        assert_eq!(status(&Request::new("GET", "/")), 200);
        proxy.refuse();
        assert_eq!(send(&json("ListTasks")).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        proxy.heal();
        assert_eq!(status(&json("ListTasks")), 200);
    }

    #[test]
    fn answers_are_cut_and_late() {
        let service = HttpServer::start(|_| Response::text(200, "0123456789"));
        let proxy = FaultProxy::before(&service.endpoint());
        let send = || json("ListTasks").send(&proxy.endpoint());
        proxy.fail("*", Fault::CutConnection, Times::Next(1));
        assert_eq!(send().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        proxy.fail("*", Fault::CutContent, Times::Next(1));
        assert_eq!(send().unwrap().body_text(), "01234");
        proxy.fail("*", Fault::NoAnswer, Times::Next(1));
        assert_eq!(send().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        let start = std::time::Instant::now();
        proxy.fail("*", Fault::Delay(Duration::from_millis(50)), Times::Next(1));
        assert_eq!(send().unwrap().body_text(), "0123456789");
        assert!(start.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn errors_are_those_of_the_protocol() {
        let proxy = FaultProxy::before("http://127.0.0.1:1");
        let error = |request: &Request, fault: Fault| {
            proxy.fail("*", fault, Times::Next(1));
            let response = request.send(&proxy.endpoint()).unwrap();
            (response.status, response.body_text())
        };
        let ec2 = Request::new("POST", "/").body("Action=DescribeInstances&Version=2016-11-15");
        let query = Request::new("POST", "/").body("Action=DescribeAutoScalingGroups&Version=2011-01-01");
        for (request, fault, status, part) in [
            (&ec2, Fault::Throttle, 503, "<Response><Errors><Error><Code>RequestLimitExceeded</Code>"),
            (&ec2, Fault::ExpiredCredentials, 400, "<Code>RequestExpired</Code>"),
            (&ec2, Fault::AccessDenied, 403, "DescribeInstances</Message>"),
            (&query, Fault::Throttle, 400, "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>"),
            (&query, Fault::ServerError, 500, "<Code>InternalFailure</Code>"),
            (&json("ListTasks"), Fault::ExpiredCredentials, 400, r#"{"__type":"ExpiredTokenException","message":"#),
            (&Request::new("PUT", "/latest/api/token"), Fault::AccessDenied, 403, "PUT /latest/api/token"),
        ] {
            let (found, body) = error(request, fault.clone());
            assert!(found == status && body.contains(part), "{fault:?}: {found} {body}");
        }
    }
}
