//! The failures of a service of AWS.

use peerl_discovery::{Peers, Strategy, StrategyError};
use peerl_test_support::{Fault, FaultProxy, Times};

/// The kind of an error in one word.
pub fn kind(error: &StrategyError) -> &'static str {
    match error {
        StrategyError::Throttled { .. } => "throttled",
        StrategyError::ServiceFailure { .. } => "service failure",
        StrategyError::AccessDenied { action, .. } => action,
        StrategyError::ExpiredCredentials { .. } => "expired",
        StrategyError::Malformed { .. } => "malformed",
        StrategyError::Unreachable { .. } => "unreachable",
        StrategyError::Refused { .. } => "refused",
        StrategyError::NotFound { .. } => "not found",
        StrategyError::TaskMetadata { .. } => "task metadata",
        StrategyError::Unnamed { .. } => "unnamed",
        _ => "other",
    }
}

/// Makes a service fail in every way; `expected` is the strategy's answer without failures.
pub async fn check_failures(strategy: &dyn Strategy, proxy: &FaultProxy, action: &str, iam: &str, expected: &Peers) {
    for (fault, found, requests) in [
        (Fault::Throttle, "throttled", 1),
        (Fault::ServerError, "service failure", 3),
        (Fault::Unavailable, "service failure", 3),
        (Fault::AccessDenied, iam, 1),
        (Fault::ExpiredCredentials, "expired", 1),
        (Fault::CutContent, "malformed", 1),
        (Fault::CutConnection, "malformed", 3),
        (Fault::NoAnswer, "unreachable", 3),
    ] {
        // Short failures are not noticed.
        if requests > 1 {
            proxy.fail(action, fault.clone(), Times::Next(2));
            assert_eq!(strategy.discover().await.unwrap(), *expected, "{fault:?}");
        }
        proxy.fail(action, fault.clone(), Times::Always);
        proxy.forget_requests();
        let error = strategy.discover().await.unwrap_err();
        assert_eq!(kind(&error), found, "{fault:?}: {error}");
        assert_eq!(proxy.requests(action), requests, "{fault:?}: {error}");
        assert!(error.to_string().contains(iam) && !error.to_string().contains('\n'), "{error}");
        proxy.heal();
        assert_eq!(strategy.discover().await.unwrap(), *expected, "{fault:?}");
    }
    proxy.refuse();
    let error = strategy.discover().await.unwrap_err();
    assert_eq!(kind(&error), "unreachable", "{error}");
    proxy.heal();
    assert_eq!(strategy.discover().await.unwrap(), *expected);
}
