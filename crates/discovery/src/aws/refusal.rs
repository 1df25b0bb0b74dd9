//! The meaning of failed AWS requests: whose fault they are, and what to do.

use std::error::Error;
use std::iter::successors;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::throttling;
use crate::StrategyError;

/// The meaning of a failed request: whose fault it is, and what to do. `action` is its IAM name, such as
/// `ec2:DescribeInstances`.
pub fn refusal<E>(action: &'static str, error: SdkError<E, HttpResponse>) -> StrategyError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    match &error {
        SdkError::ServiceError(context) => {
            let (code, message) = (context.err().code(), context.err().message());
            match (code, status) {
                (None, Some(200..=299)) => malformed(action, causes(&error)),
                _ => by_code(action, code.unwrap_or_default(), message.unwrap_or_default(), status.unwrap_or_default()),
            }
        }
        SdkError::ResponseError(_) => malformed(action, causes(&error)),
        SdkError::TimeoutError(_) => StrategyError::Unreachable { action, message: "the time-out elapsed".to_owned() },
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
            StrategyError::Unreachable { action, message: innermost(&error) }
        }
        // Other errors occur before any request: the credentials are missing.
        _ => match credentials_error(&error) {
            Some(message) => StrategyError::NoCredentials { message },
            None => StrategyError::Unreachable { action, message: causes(&error) },
        },
    }
}

/// The codes are from <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>, and "Common
/// Error Types" in the references of the other services.
fn by_code(action: &'static str, code: &str, message: &str, status: u16) -> StrategyError {
    let message = match (code, message) {
        ("", "") => format!("status {status}"),
        ("", message) => format!("status {status}: {message}"),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    match (code, status) {
        (code, status) if throttling::CODES.contains(&code) || status == 429 => {
            StrategyError::Throttled { action, message }
        }
        ("RequestTimeTooSkewed" | "RequestInTheFuture", _) => StrategyError::ClockSkew { action, message },
        // The texts of services that check the time of a signature.
        (_, 400..=499) if message.contains("Signature expired") || message.contains("not yet current") => {
            StrategyError::ClockSkew { action, message }
        }
        ("OptInRequired" | "RegionDisabledException", _) => StrategyError::RegionNotEnabled { action, message },
        ("UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException", _) => {
            StrategyError::AccessDenied { action, message }
        }
        ("RequestExpired" | "ExpiredToken" | "ExpiredTokenException", _) => {
            StrategyError::ExpiredCredentials { action, message }
        }
        (
            "AuthFailure"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken",
            _,
        ) => StrategyError::WrongCredentials { action, message },
        (_, 500..=599) => StrategyError::ServiceFailure { action, message },
        _ => StrategyError::Refused { action, message },
    }
}

fn malformed(action: &'static str, message: String) -> StrategyError {
    StrategyError::Malformed { action, message }
}

/// An error and its causes, without repeated texts.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in chain(error) {
        let text = cause.to_string();
        if !text.is_empty() && !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
    }
    said.join(": ")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |error| (**error).source())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The message of a credentials provider, if the error is from one.
fn credentials_error(error: &(dyn Error + 'static)) -> Option<String> {
    let found = chain(error).find(|error| error.is::<CredentialsError>())?;
    match found.downcast_ref() {
        Some(CredentialsError::CredentialsNotLoaded(_)) => Some(found.source().map_or_else(
            || "neither the environment, nor a profile, a container or an instance has any".to_owned(),
            causes,
        )),
        _ => Some(causes(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_is_the_matter() {
        let of = |code: &str, message: &str, status| by_code("ec2:DescribeInstances", code, message, status);
        assert!(matches!(of("RequestLimitExceeded", "", 503), StrategyError::Throttled { .. }));
        assert!(matches!(of("", "", 429), StrategyError::Throttled { .. }));
        for (code, message) in [
            ("RequestTimeTooSkewed", ""),
            ("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z"),
            ("SignatureDoesNotMatch", "Signature not yet current: 20260101T000000Z is still later"),
        ] {
            assert!(matches!(of(code, message, 403), StrategyError::ClockSkew { .. }), "{code}");
        }
        assert!(matches!(of("OptInRequired", "", 401), StrategyError::RegionNotEnabled { .. }));
        assert!(matches!(of("SignatureDoesNotMatch", "no", 403), StrategyError::WrongCredentials { .. }));
        assert!(matches!(of("Unavailable", "", 503), StrategyError::ServiceFailure { .. }));
    }
}
