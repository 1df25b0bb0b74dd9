//! The reason for missing credentials.

use std::fmt;
use std::path::PathBuf;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use super::InstanceMetadata;
use crate::StrategyError;

/// The usual providers of credentials. If none has any, the error describes the provider that was most likely
/// intended.
pub(super) struct ExplainedChain {
    chain: DefaultCredentialsChain,
    metadata: InstanceMetadata,
}

impl ExplainedChain {
    pub(super) fn new(chain: DefaultCredentialsChain, metadata: InstanceMetadata) -> Self {
        Self { chain, metadata }
    }

    async fn explain(&self, error: CredentialsError) -> CredentialsError {
        let is_missing = matches!(error, CredentialsError::CredentialsNotLoaded(_));
        let is_unsupported = matches!(error, CredentialsError::InvalidConfiguration(_));
        match profile_problem(&profile_files(), &selected_profile()) {
            Some(problem) if is_missing || is_unsupported => return CredentialsError::not_loaded(problem),
            _ if !is_missing => return error,
            _ => {}
        }
        if std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
            return CredentialsError::not_loaded(
                "neither the environment, nor a profile or a container has any, and AWS_EC2_METADATA_DISABLED is true",
            );
        }
        CredentialsError::not_loaded(match self.metadata.instance_id().await {
            Ok(id) => format!("the instance {id} has no role: its metadata service answers, and gives no credentials"),
            Err(StrategyError::InstanceMetadata { message }) => format!(
                "neither the environment, nor a profile or a container has any, and the instance metadata service gives \
                 no answer ({message}); if this is a container on an EC2 instance, the hop limit of the instance's \
                 metadata options must be 2"
            ),
            Err(other) => other.to_string(),
        })
    }
}

impl ProvideCredentials for ExplainedChain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            match self.chain.provide_credentials().await {
                Ok(credentials) => Ok(credentials),
                Err(error) => Err(self.explain(error).await),
            }
        })
    }
}

impl fmt::Debug for ExplainedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplainedChain").finish_non_exhaustive()
    }
}

/// The selected profile; `None` means the default one, which is optional.
fn selected_profile() -> Option<String> {
    std::env::var("AWS_PROFILE").ok().filter(|profile| !profile.is_empty() && profile != "default")
}

/// The text of the files with profiles.
fn profile_files() -> String {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let file = |variable: &str, usual: &str| {
        let path = std::env::var_os(variable).map_or_else(|| home.join(".aws").join(usual), PathBuf::from);
        std::fs::read_to_string(path).unwrap_or_default()
    };
    [file("AWS_CONFIG_FILE", "config"), file("AWS_SHARED_CREDENTIALS_FILE", "credentials")].join("\n")
}

/// The error in a profile: it is missing, or has no credentials for programs.
fn profile_problem(files: &str, selected: &Option<String>) -> Option<String> {
    /// More profiles than anyone chains.
    const DEEPEST: usize = 10;
    let selected = selected.as_deref()?;
    let mut profile = selected.to_owned();
    for _ in 0..DEEPEST {
        let Some(keys) = section(files, &profile) else {
            let named = if profile == selected {
                "AWS_PROFILE names".to_owned()
            } else {
                format!("the profile {selected:?} needs")
            };
            return Some(format!("{named} the profile {profile:?}, and the files have no such profile"));
        };
        let key = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        if key("sso_session").or(key("sso_start_url")).is_some() {
            return Some(format!(
                "the profile {profile:?} signs in with SSO, which peerl does not do; run `aws sso login` and `eval \
                 \"$(aws configure export-credentials --profile {profile} --format env)\"`"
            ));
        }
        match key("source_profile") {
            Some(source) if source != profile => source.clone_into(&mut profile),
            _ => return None,
        }
    }
    None
}

/// The keys of a profile.
fn section<'a>(files: &'a str, profile: &str) -> Option<Vec<(&'a str, &'a str)>> {
    let (mut is_inside, mut found) = (false, None);
    for line in files.lines() {
        let line = line.split_once(" #").map_or(line, |(line, _)| line);
        if let Some(name) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.trim();
            is_inside = name.strip_prefix("profile ").unwrap_or(name).trim() == profile;
            if is_inside {
                found.get_or_insert_with(Vec::new);
            }
        } else if let (true, Some(keys), Some((key, value))) = (is_inside, found.as_mut(), line.split_once('=')) {
            keys.push((key.trim(), value.trim()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_that_cannot_work_are_named() {
        let files = "[default]\nregion = eu-west-1\n[profile me]\nrole_arn = r\nsource_profile = base # mine\n\
                     [profile lost]\nsource_profile=gone\n[profile sso]\nsso_session = s\n[sso-session s]\n\
                     [profile self]\nsource_profile = self\n\n[base]\naws_access_key_id = A\n[]\n=\n[profile";
        let problem = |profile: &str| profile_problem(files, &Some(profile.to_owned()));
        for fine in ["default", "me", "base", "self"] {
            assert_eq!(problem(fine), None);
        }
        assert!(problem("you").unwrap().contains("AWS_PROFILE names the profile \"you\""));
        assert!(problem("lost").unwrap().contains("\"gone\""));
        assert!(problem("sso").unwrap().contains("aws sso login"));
        assert_eq!(profile_problem(files, &None), None);
    }
}
