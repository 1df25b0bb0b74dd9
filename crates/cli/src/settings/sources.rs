//! Settings from the environment and the file.

use std::collections::BTreeMap;
use std::path::Path;

use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use figment::value::Value;
use peerl_node::is_private;

use super::Settings;
use super::nearest::nearest;
use super::option_defaults::{OPTIONS, OptionDefaults, is_service_link, unknown_variable};
use crate::failure::Failure;

/// The settings of the environment and the file, and their defaults for the commands' options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    pub(super) environment: Settings,
    pub(super) file: Settings,
    options: OptionDefaults,
    warnings: Vec<String>,
}

impl Sources {
    /// The prefix of the variables.
    const PREFIX: &str = "PEERL_";

    /// The default file, which is optional.
    const DEFAULT_FILE: &str = "peerl.toml";

    /// Reads the variables and the file.
    ///
    /// # Errors
    /// If the file is unreadable or has an unknown key, or a value is invalid.
    pub fn read(environment: impl IntoIterator<Item = (String, String)>, file: Option<&Path>) -> Result<Self, Failure> {
        let mut sources = Self::default();
        sources.read_environment(environment)?;
        match file {
            Some(path) => sources.read_file(path)?,
            None if Path::new(Self::DEFAULT_FILE).is_file() => {
                sources.read_file(Path::new(Self::DEFAULT_FILE))?;
            }
            None => {}
        }
        Ok(sources)
    }

    /// The defaults of the commands' options.
    pub fn options(&self) -> &OptionDefaults {
        &self.options
    }

    /// Warns about unknown variables with peerl's prefix, and about former names of settings.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }

    fn read_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) -> Result<(), Failure> {
        let mut values = BTreeMap::new();
        for (name, value) in variables {
            let Some(key) = name.strip_prefix(Self::PREFIX).filter(|_| !value.is_empty()) else { continue };
            let key = key.to_ascii_lowercase();
            if let Some(new) = present_name(&key) {
                self.warnings.push(former_name(&name, &format!("{}{}", Self::PREFIX, new.to_ascii_uppercase())));
                values.entry(new.to_owned()).or_insert(value);
            } else if Settings::VARIABLES.contains(&key.as_str()) {
                values.insert(key, value);
            } else if OPTIONS.contains(&key.as_str()) && !is_service_link(&value) {
                self.options.variable(key, name, &value);
            } else {
                self.warnings.extend(unknown_variable(Self::PREFIX, &key, &value));
            }
        }
        self.environment = Figment::from(Serialized::defaults(values)).extract().map_err(|error| {
            let variable =
                error.path.first().map_or_else(String::new, |key| format!("{}{}: ", Self::PREFIX, key.to_uppercase()));
            Failure::usage(format!("{variable}{}", error.kind))
        })?;
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Failure> {
        // figment treats a missing file as empty.
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read the configuration {}: {error}", path.display())))?;
        let wrong = |what: &dyn std::fmt::Display| Failure::usage(format!("{}: {what}", path.display()));
        let values: BTreeMap<String, Value> =
            Figment::from(Toml::string(&text)).extract().map_err(|error| wrong(&plain(&error)))?;
        let has_token = values.contains_key("token");
        let mut own = BTreeMap::new();
        for (key, value) in values {
            if let Some(new) = present_name(&key) {
                self.warnings.push(former_name(&format!("`{key}` of {}", path.display()), &format!("`{new}`")));
                own.entry(new.to_owned()).or_insert(value);
                continue;
            }
            let is_own = Settings::VARIABLES.contains(&key.as_str()) || Settings::FILE_ONLY.contains(&key.as_str());
            if is_own {
                own.insert(key, value);
            } else if OPTIONS.contains(&key.as_str()) {
                self.options.line(&key, &value).map_err(|failure| wrong(&failure))?;
            } else {
                let known = Settings::VARIABLES.into_iter().chain(Settings::FILE_ONLY).chain(OPTIONS);
                let nearest = nearest(&key, known);
                return Err(wrong(&format!("there is no key `{key}`; the nearest one is `{nearest}`")));
            }
        }
        self.file = Figment::from(Serialized::defaults(own)).extract().map_err(|error| wrong(&plain(&error)))?;
        let secret = match () {
            () if self.file.cookie.is_some() || !self.file.cookies.is_empty() => Some("cookie"),
            () if has_token => Some("token"),
            () => None,
        };
        if let Some(secret) = secret
            && !is_private(path).unwrap_or(false)
        {
            let problem = format!("{} holds a {secret}, and others than its owner can access it", path.display());
            return Err(Failure::usage(problem)
                .hint(format!("run `chmod 600 {}`, or put the {secret} into a separate file", path.display())));
        }
        Ok(())
    }
}

/// Former names of settings, with the present ones.
const FORMER_NAMES: [(&str, &str); 2] = [("control", "admin"), ("control_token_file", "admin_token_file")];

fn present_name(former: &str) -> Option<&'static str> {
    FORMER_NAMES.into_iter().find(|(name, _)| *name == former).map(|(_, present)| present)
}

fn former_name(former: &str, present: &str) -> String {
    format!("{former} is now named {present}; the former name still works")
}

/// Warns that an option has a new name.
pub fn warn_of_former_name(former: &str, present: &str) {
    tracing::warn!("{}", former_name(former, present));
}

fn plain(error: &figment::Error) -> String {
    match error.path.is_empty() {
        true => error.kind.to_string(),
        false => format!("{}: {}", error.path.join("."), error.kind),
    }
}
