//! Throttled requests are not repeated at once.

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

/// Leaves a throttled request to the next poll. The SDK would repeat it twice within a second, and so send more
/// requests to a service that throttles than to one that does not.
#[derive(Debug)]
pub struct LeaveThrottled;

impl ClassifyRetry for LeaveThrottled {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let is_one = context
            .response()
            .is_some_and(|answer| is_throttled(answer.status().as_u16(), answer.body().bytes().unwrap_or_default()));
        if is_one { RetryAction::RetryForbidden } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "LeaveThrottled"
    }
}

/// The error codes for throttling, in XML and in JSON.
pub(super) const CODES: [&str; 10] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
    "SlowDown",
    "EC2ThrottledException",
];

fn is_throttled(status: u16, body: &[u8]) -> bool {
    let has = |code: &str| body.windows(code.len()).any(|part| part == code.as_bytes());
    status == 429 || status >= 400 && CODES.iter().any(|code| has(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_forms_are_known() {
        let xml = b"<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>";
        assert!(is_throttled(503, xml));
        assert!(is_throttled(400, br#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#));
        assert!(is_throttled(429, b""));
        assert!(!is_throttled(503, b"<Response><Errors><Error><Code>Unavailable</Code></Error></Errors></Response>"));
        assert!(!is_throttled(200, xml));
    }
}
