//! What the environment and the file say.

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

/// The settings of the environment and of the file, and the defaults that they give the options of commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    pub(super) environment: Settings,
    pub(super) file: Settings,
    options: OptionDefaults,
    warnings: Vec<String>,
}

impl Sources {
    /// The variables' common beginning.
    const PREFIX: &str = "PEERL_";

    /// The file that is read if it is there and no other is named.
    const DEFAULT_FILE: &str = "peerl.toml";

    /// Reads the variables and the file.
    ///
    /// # Errors
    /// If the file cannot be read, has a key that nothing has, or a value in it or in a variable makes no sense.
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

    /// What the sources say of the commands' options.
    pub fn options(&self) -> &OptionDefaults {
        &self.options
    }

    /// Says of each variable of peerl's prefix that nothing reads it, and which settings have other names now.
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
        // figment takes a file that is not there for an empty one.
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
                .hint(format!("run `chmod 600 {}`, or have the {secret} in a file of its own", path.display())));
        }
        Ok(())
    }
}

/// The settings that had other names once, each with the present one.
const FORMER_NAMES: [(&str, &str); 2] = [("control", "admin"), ("control_token_file", "admin_token_file")];

fn present_name(former: &str) -> Option<&'static str> {
    FORMER_NAMES.into_iter().find(|(name, _)| *name == former).map(|(_, present)| present)
}

fn former_name(former: &str, present: &str) -> String {
    format!("{former} is now named {present}; the former name still works")
}

/// Says that an option has another name now.
pub fn warn_of_former_name(former: &str, present: &str) {
    tracing::warn!("{}", former_name(former, present));
}

fn plain(error: &figment::Error) -> String {
    match error.path.is_empty() {
        true => error.kind.to_string(),
        false => format!("{}: {}", error.path.join("."), error.kind),
    }
}
