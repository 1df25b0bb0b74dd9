//! Required values of members, including "the same as mine".

/// The required value of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The value of this task or instance.
    Mine,
    /// A given value.
    This(String),
}

impl Expected {
    /// Parses `VALUE` or `@mine`.
    pub(crate) fn parse(key: &str, text: &str) -> Result<Self, String> {
        match text {
            "" => Err(format!("`{key}` is empty: is a variable not set?")),
            "@mine" => Ok(Self::Mine),
            value => Ok(Self::This(value.to_owned())),
        }
    }

    /// Parses `KEY=VALUE`, `KEY=@mine`, or `KEY`, which means `KEY=@mine`.
    pub(crate) fn parse_keyed(setting: &str, text: &str) -> Result<(String, Self), String> {
        let (key, value) = text.split_once('=').unwrap_or((text, "@mine"));
        match key {
            "" => Err(format!("`{setting}` can't be {text:?}: it is KEY=VALUE, or KEY for the own value")),
            key => Ok((key.to_owned(), Self::parse(&format!("{setting}={key}"), value)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_mine() {
        let keyed = |text| Expected::parse_keyed("tag", text);
        assert_eq!(keyed("release=1.2=x"), Ok(("release".into(), Expected::This("1.2=x".into()))));
        for mine in ["release", "release=@mine"] {
            assert_eq!(keyed(mine), Ok(("release".into(), Expected::Mine)), "{mine}");
        }
        assert_eq!(keyed("release=").unwrap_err(), "`tag=release` is empty: is a variable not set?");
        assert!(keyed("=x").unwrap_err().contains("KEY=VALUE"));
    }
}
