//! Durations in human-readable form, for `#[serde(with)]`: `30s`, `1m 30s`, `500ms`; a bare number is seconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes the time.
///
/// # Errors
/// The serializer's errors.
pub fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&humantime::format_duration(*time)),
        None => serializer.serialize_none(),
    }
}

/// Reads a positive duration.
///
/// # Errors
/// If it is not one.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a time, as \"30s\" or \"500ms\", or a number of seconds")]
    enum Form {
        Seconds(f64),
        Text(String),
    }
    let time = match Form::deserialize(deserializer)? {
        Form::Seconds(seconds) => Duration::try_from_secs_f64(seconds).map_err(de::Error::custom)?,
        Form::Text(text) => match text.trim().parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(de::Error::custom)?,
            Err(_) => humantime::parse_duration(text.trim())
                .map_err(|error| de::Error::custom(format!("{text:?} is not a time: {error}")))?,
        },
    };
    match time.is_zero() {
        true => Err(de::Error::custom("the time must be longer than nothing")),
        false => Ok(Some(time)),
    }
}
