//! JSON.
//!
//! There are two mappings. The *lossless* one ([`to_value`], [`to_string`]) can be read back ([`from_value`],
//! [`parse`]); the *plain* one ([`to_plain_value`], [`to_plain_string`]) is for tools without knowledge of Erlang.
//!
//! | term | lossless | plain |
//! |---|---|---|
//! | `42`, `1.5` | `42`, `1.5` | the same |
//! | an integer beyond 64 bits | `{"$integer": "36893488147419103232"}` | `"36893488147419103232"` |
//! | `true`, `false`, `nil` | `true`, `false`, `null` | the same |
//! | `undefined` | `{"$atom": "undefined"}` | `null` |
//! | `ok` | `{"$atom": "ok"}` | `"ok"` |
//! | `<<"text">>` | `"text"` | the same |
//! | `<<255>>`, not UTF-8 | `{"$binary": "/w=="}` (Base64) | the same |
//! | `<<5:3>>` | `{"$bits": ["oA==", 3]}` (bits of the last byte) | the same |
//! | `[1, 2]` (so also `"text"`) | `[1, 2]` | the same |
//! | `[1 \| 2]` | `{"$improper": [1, 2]}` | `[1, 2]` |
//! | `{1, 2}` | `{"$tuple": [1, 2]}` | `[1, 2]` |
//! | `#{<<"k">> => 1}` | `{"k": 1}` | the same |
//! | `#{k => 1}` | `{"$map": {"k": 1}}` | `{"k": 1}` |
//! | `#{1 => 2}`, mixed keys | `{"$map": [[1, 2]]}` | `{"1": 2}` |
//! | pids, ports, references, `fun m:f/1` | `{"$erlang": "#Pid<a@h.1.0.5>"}` | `"#Pid<a@h.1.0.5>"` |
//! | records of OTP 29 | `{"$external": "..."}` | `{"key": 1}` |
//! | local funs | `{"$external": "..."}` (external format, Base64) | `"#Fun<m.1.2>"` |
//!
//! `$erlang` takes any term in Erlang syntax. An object whose only key is none of these tags is a normal map. JSON
//! nests to the limit of most readers, 127 levels; deeper terms are an error.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigInt;
use serde_json::{Map as Object, Number, Value, json};

use super::{ParseError, erlang};
use crate::{Atom, BitString, DecodeError, Map, Term};

/// The most levels of arrays and objects.
const MAX_DEPTH: usize = 127;

/// A term has no JSON form, or JSON is not that of a term.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The nesting is deeper than JSON readers allow.
    #[error("the term is nested deeper than {MAX_DEPTH} levels of JSON")]
    TooDeep,
    /// The value of a tag has the wrong form.
    #[error("the value of {tag:?} has the wrong form")]
    Tagged {
        /// The tag, such as `$atom`.
        tag: String,
    },
    /// The value of `$external` does not decode.
    #[error(transparent)]
    External(#[from] DecodeError),
    /// The text is not JSON, or the value of `$erlang` is not a term.
    #[error(transparent)]
    Syntax(#[from] ParseError),
}

/// Maps a term to JSON without loss.
///
/// ```
/// use peerl_term::text::{erlang, json};
///
/// let term = erlang::parse(r#"{ok, #{<<"status">> => 200, <<"tags">> => [nil, true]}}"#)?;
/// let text = json::to_string(&term)?;
/// assert_eq!(text, r#"{"$tuple":[{"$atom":"ok"},{"status":200,"tags":[null,true]}]}"#);
/// assert_eq!(json::parse(&text)?, term);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If it is nested too deep.
pub fn to_value(term: &Term) -> Result<Value, JsonError> {
    lossless(term, MAX_DEPTH)
}

/// Writes a term as JSON without loss.
///
/// # Errors
/// If it is nested too deep.
pub fn to_string(term: &Term) -> Result<String, JsonError> {
    Ok(to_value(term)?.to_string())
}

/// Maps a term to JSON for tools without knowledge of Erlang.
///
/// ```
/// use peerl_term::text::{erlang, json};
///
/// let term = erlang::parse(r#"{ok, #{status => 200, url => <<"/">>, error => undefined}}"#)?;
/// assert_eq!(json::to_plain_string(&term)?, r#"["ok",{"error":null,"status":200,"url":"/"}]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If it is nested too deep.
pub fn to_plain_value(term: &Term) -> Result<Value, JsonError> {
    plain(term, MAX_DEPTH)
}

/// Writes a term as JSON for tools without knowledge of Erlang.
///
/// # Errors
/// If it is nested too deep.
pub fn to_plain_string(term: &Term) -> Result<String, JsonError> {
    Ok(to_plain_value(term)?.to_string())
}

/// Makes a term of JSON, from [`to_value`] or any other source: strings become binaries, objects maps with binary
/// keys, `null` becomes `nil`.
///
/// # Errors
/// If a tag has a wrong value, or the nesting is too deep.
pub fn from_value(value: &Value) -> Result<Term, JsonError> {
    term(value, MAX_DEPTH)
}

/// Reads a term from JSON text. An integer beyond 64 bits that is not under `$integer` becomes a float.
///
/// # Errors
/// If the text is not JSON, or [`from_value`] fails.
pub fn parse(text: &str) -> Result<Term, JsonError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let mut at = (lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1)).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let message = error.to_string();
        ParseError::new(text, at, message.split(" at line ").next().unwrap_or(&message))
    })?;
    from_value(&value)
}

fn lossless(term: &Term, depth: usize) -> Result<Value, JsonError> {
    let list = |terms: &[Term], levels: usize| -> Result<Value, JsonError> {
        let depth = depth.checked_sub(levels).ok_or(JsonError::TooDeep)?;
        terms.iter().map(|term| lossless(term, depth)).collect()
    };
    // Every tag takes at least one level.
    let within = |levels: usize| depth.checked_sub(levels).ok_or(JsonError::TooDeep);
    let value: Value = match term {
        Term::Integer(value) => (*value).into(),
        Term::BigInteger(value) => match u64::try_from(value.get()) {
            Ok(value) => value.into(),
            Err(_) => tagged("$integer", value.get().to_string()),
        },
        Term::Float(value) => Number::from_f64(value.get()).map_or(Value::Null, Value::Number),
        Term::Atom(atom) => match atom.as_str() {
            "true" => true.into(),
            "false" => false.into(),
            "nil" => Value::Null,
            name => tagged("$atom", name),
        },
        Term::Binary(bytes) => match bytes.as_str() {
            Some(text) => text.into(),
            None => tagged("$binary", STANDARD.encode(bytes)),
        },
        Term::BitString(bits) => tagged("$bits", json!([STANDARD.encode(bits.bytes()), bits.last_bits()])),
        Term::Pid(_) | Term::Port(_) | Term::Reference(_) | Term::ExternalFun(_) => tagged("$erlang", term.to_string()),
        Term::LocalFun(_) | Term::Record(_) => tagged("$external", STANDARD.encode(term.encode())),
        Term::Tuple(elements) => tagged("$tuple", list(elements, 2)?),
        Term::List(elements) => list(elements, 1)?,
        Term::ImproperList(elements) => tagged("$improper", list(&elements.0, 2)?),
        Term::Map(map) => {
            let text = |key: &Term| key.as_binary().and_then(|key| Some(key.as_str()?.to_owned()));
            let name = |key: &Term| key.as_atom().map(|key| key.as_str().to_owned());
            if let Some(keys) = keys(map, text).filter(|keys| !is_tag(keys)) {
                object(keys, map, |value| lossless(value, within(1)?))?
            } else if let Some(keys) = keys(map, name) {
                tagged("$map", object(keys, map, |value| lossless(value, within(2)?))?)
            } else {
                let depth = within(3)?;
                let pair = |(key, value)| Ok(json!([lossless(key, depth)?, lossless(value, depth)?]));
                tagged("$map", map.iter().map(pair).collect::<Result<Value, JsonError>>()?)
            }
        }
    };
    if value.is_object() {
        within(1)?;
    }
    Ok(value)
}

fn plain(term: &Term, depth: usize) -> Result<Value, JsonError> {
    let within = || depth.checked_sub(1).ok_or(JsonError::TooDeep);
    let list = |terms: &[Term]| -> Result<Value, JsonError> {
        let depth = within()?;
        terms.iter().map(|term| plain(term, depth)).collect()
    };
    Ok(match term {
        Term::BigInteger(value) if u64::try_from(value.get()).is_err() => value.get().to_string().into(),
        Term::Atom(atom) => match atom.as_str() {
            "true" => true.into(),
            "false" => false.into(),
            "nil" | "undefined" => Value::Null,
            name => name.into(),
        },
        Term::Pid(_) | Term::Port(_) | Term::Reference(_) | Term::ExternalFun(_) | Term::LocalFun(_) => {
            term.to_string().into()
        }
        Term::Tuple(elements) => list(elements)?,
        Term::List(elements) => list(elements)?,
        Term::ImproperList(elements) => list(&elements.0)?,
        Term::Record(record) => {
            let field = |(key, value): (&Atom, &Term)| Ok((key.as_str().to_owned(), plain(value, within()?)?));
            Value::Object(record.fields().map(field).collect::<Result<_, JsonError>>()?)
        }
        Term::Map(map) => {
            let text = |key: &Term| match key {
                Term::Atom(name) => name.as_str().to_owned(),
                Term::Binary(bytes) => bytes.as_str().map_or_else(|| key.to_string(), str::to_owned),
                other => other.to_string(),
            };
            match keys(map, |key| Some(text(key))) {
                Some(keys) => object(keys, map, |value| plain(value, within()?))?,
                None => {
                    let pair = |(key, value)| Ok(json!([plain(key, within()?)?, plain(value, within()?)?]));
                    tagged("$map", map.iter().map(pair).collect::<Result<Value, JsonError>>()?)
                }
            }
        }
        other => lossless(other, depth)?,
    })
}

fn tagged(tag: &str, value: impl Into<Value>) -> Value {
    let mut object = Object::new();
    object.insert(tag.to_owned(), value.into());
    Value::Object(object)
}

/// The keys of a map as text, if all have a text and no two the same.
fn keys(map: &Map, text: impl Fn(&Term) -> Option<String>) -> Option<Vec<String>> {
    let keys: Vec<String> = map.iter().map(|(key, _)| text(key)).collect::<Option<_>>()?;
    let distinct: BTreeMap<&String, ()> = keys.iter().map(|key| (key, ())).collect();
    (distinct.len() == keys.len()).then_some(keys)
}

fn object(keys: Vec<String>, map: &Map, value: impl Fn(&Term) -> Result<Value, JsonError>) -> Result<Value, JsonError> {
    let pair = |(key, (_, term))| Ok((key, value(term)?));
    Ok(Value::Object(keys.into_iter().zip(map.iter()).map(pair).collect::<Result<_, JsonError>>()?))
}

/// Whether an object with these keys could be mistaken for a tagged value.
fn is_tag(keys: &[String]) -> bool {
    matches!(keys, [key] if key.starts_with('$'))
}

fn term(value: &Value, depth: usize) -> Result<Term, JsonError> {
    let list = |values: &[Value]| -> Result<Vec<Term>, JsonError> {
        let depth = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
        values.iter().map(|value| term(value, depth)).collect()
    };
    Ok(match value {
        Value::Null => Term::atom("nil"),
        Value::Bool(value) => Term::from(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64().and_then(Term::float)) {
            (Some(value), _, _) => value.into(),
            (_, Some(value), _) => value.into(),
            (_, _, Some(value)) => value,
            _ => Term::from(0),
        },
        Value::String(text) => Term::from(text.as_str()),
        Value::Array(values) => Term::list(list(values)?),
        Value::Object(object) => {
            let depth = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
            if object.len() == 1
                && let Some((tag, value)) = object.iter().next()
                && let Some(term) = untagged(tag, value, depth)?
            {
                return Ok(term);
            }
            let pair = |(key, value): (&String, &Value)| Ok((Term::from(key.as_str()), term(value, depth)?));
            Term::map(object.iter().map(pair).collect::<Result<Vec<_>, JsonError>>()?)
        }
    })
}

/// Makes a term of a tag's value; `None` if the tag is unknown.
fn untagged(tag: &str, value: &Value, depth: usize) -> Result<Option<Term>, JsonError> {
    let wrong = || JsonError::Tagged { tag: tag.to_owned() };
    let text = || value.as_str().ok_or_else(wrong);
    let bytes = |text: &str| STANDARD.decode(text).map_err(|_| wrong());
    let elements = |value: &Value| match term(value, depth)? {
        Term::List(list) if value.is_array() => Ok(list.into_vec()),
        _ => Err(wrong()),
    };
    let atom = |name: &str| Atom::new(name).map(Term::Atom).map_err(|_| wrong());
    Ok(Some(match tag {
        "$integer" => Term::from(text()?.parse::<BigInt>().map_err(|_| wrong())?),
        "$atom" => atom(text()?)?,
        "$binary" => Term::binary(bytes(text()?)?),
        "$bits" => match value.as_array().map(Vec::as_slice) {
            Some([Value::String(text), last]) => {
                let last = last.as_u64().and_then(|last| u8::try_from(last).ok()).ok_or_else(wrong)?;
                BitString::new(bytes(text)?, last).map_err(|_| wrong())?.into()
            }
            _ => return Err(wrong()),
        },
        "$tuple" => Term::tuple(elements(value)?),
        "$improper" => {
            let mut elements = elements(value)?;
            let tail = elements.pop().ok_or_else(wrong)?;
            Term::list_with_tail(elements, tail)
        }
        "$map" => match value {
            Value::Object(object) => {
                let pair = |(key, value): (&String, &Value)| Ok((atom(key)?, term(value, depth)?));
                Term::map(object.iter().map(pair).collect::<Result<Vec<_>, JsonError>>()?)
            }
            value => {
                let pair = |pair: Term| match pair {
                    Term::List(pair) => <[Term; 2]>::try_from(pair.into_vec()).map(Into::into).map_err(|_| wrong()),
                    _ => Err(wrong()),
                };
                let pairs: Vec<(Term, Term)> = elements(value)?.into_iter().map(pair).collect::<Result<_, _>>()?;
                Term::map(pairs)
            }
        },
        "$erlang" => erlang::parse(text()?)?,
        "$external" => Term::decode(&bytes(text()?)?.into())?,
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_terms_are_pleasant() {
        for (erlang, lossless, plain) in [
            ("[1, -0.5, 1.0, true, nil]", "[1,-0.5,1.0,true,null]", "[1,-0.5,1.0,true,null]"),
            ("undefined", r#"{"$atom":"undefined"}"#, "null"),
            ("18446744073709551615", "18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", r#"{"$integer":"18446744073709551616"}"#, r#""18446744073709551616""#),
            ("<<\"é\"/utf8>>", "\"é\"", "\"é\""),
            ("<<255>>", r#"{"$binary":"/w=="}"#, r#"{"$binary":"/w=="}"#),
            ("<<5:3>>", r#"{"$bits":["oA==",3]}"#, r#"{"$bits":["oA==",3]}"#),
            ("#{k => {}}", r#"{"$map":{"k":{"$tuple":[]}}}"#, r#"{"k":[]}"#),
            ("#{<<\"k\">> => #{}}", r#"{"k":{}}"#, r#"{"k":{}}"#),
            ("#{<<\"$k\">> => 1}", r#"{"$map":[["$k",1]]}"#, r#"{"$k":1}"#),
            ("#{1 => a}", r#"{"$map":[[1,{"$atom":"a"}]]}"#, r#"{"1":"a"}"#),
            ("#{a => 1,<<\"a\">> => 2}", r#"{"$map":[[{"$atom":"a"},1],["a",2]]}"#, r#"{"$map":[["a",1],["a",2]]}"#),
            ("[1|2]", r#"{"$improper":[1,2]}"#, "[1,2]"),
            ("#Pid<a@h.1.0.5>", r##"{"$erlang":"#Pid<a@h.1.0.5>"}"##, r##""#Pid<a@h.1.0.5>""##),
        ] {
            let term = erlang::parse(erlang).unwrap();
            assert_eq!(to_string(&term).unwrap(), lossless);
            assert_eq!(to_plain_string(&term).unwrap(), plain);
            assert_eq!(parse(lossless).unwrap(), term);
        }
    }

    #[test]
    fn json_of_others_is_read() {
        assert_eq!(parse(r#"{"$schema": "x"}"#).unwrap().to_string(), r#"#{<<"$schema">> => <<"x">>}"#);
        assert_eq!(parse(" null ").unwrap(), Term::atom("nil"));
        for text in [r#"{"$tuple": 1}"#, r#"{"$map": [[1]]}"#, r#"{"$bits": ["", 3]}"#, r#"{"$integer": "x"}"#] {
            assert!(matches!(parse(text), Err(JsonError::Tagged { .. })), "{text}");
        }
        assert!(matches!(parse(r#"{"$external": "AAAA"}"#), Err(JsonError::External(_))));
        let Err(JsonError::Syntax(error)) = parse("{\"é\":\n [1 2]}") else { panic!("it is not JSON") };
        assert_eq!((error.line(), error.column()), (2, 5));
    }

    #[test]
    fn depth_is_limited() {
        let nested = |levels: usize| (1..levels).fold(Term::nil(), |inner, _| Term::list([inner]));
        assert_eq!(parse(&to_string(&nested(MAX_DEPTH)).unwrap()).unwrap(), nested(MAX_DEPTH));
        assert_eq!(to_value(&nested(MAX_DEPTH + 1)), Err(JsonError::TooDeep));
        assert_eq!(to_plain_value(&nested(1_000_000)), Err(JsonError::TooDeep));
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
