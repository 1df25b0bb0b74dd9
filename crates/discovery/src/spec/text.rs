//! The text form of a description: separators, escapes and formatting.

use std::fmt;

use super::{SpecError, StrategySettings};

/// How deeply `any(…)` may be nested; the limit protects the stack.
const DEEPEST: usize = 16;

/// Whether a backslash makes the character literal.
fn is_special(symbol: &char) -> bool {
    matches!(symbol, '\\' | ',' | ';' | '(' | ')' | '=') || symbol.is_whitespace()
}

/// Splits text at the spaces between descriptions: those outside of parentheses, and not after a comma, a colon or a
/// backslash.
pub fn split_specs(text: &str) -> Vec<&str> {
    let mut after_comma = false;
    split(text, |symbol, depth| {
        let between = depth == 0 && symbol.is_whitespace() && !after_comma;
        after_comma = matches!(symbol, ',' | ':') || (after_comma && symbol.is_whitespace());
        between
    })
    .into_iter()
    .map(trim)
    .filter(|spec| !spec.is_empty())
    .collect()
}

/// The members of `any(A; B)`; `None` for other strategies.
pub(super) fn members_of_any(text: &str) -> Result<Option<Vec<&str>>, SpecError> {
    let Some(rest) = text.strip_prefix("any").map(str::trim).filter(|rest| rest.starts_with('(')) else {
        return Ok(None);
    };
    let wrong = || SpecError::Parentheses(text.to_owned());
    let (mut depth, mut deepest, mut end) = (0_usize, 0, None);
    for (at, symbol) in unescaped(rest) {
        match symbol {
            _ if end.is_some() => return Err(wrong()),
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or_else(wrong)?,
            _ => {}
        }
        deepest = deepest.max(depth);
        end = (depth == 0).then_some(at);
    }
    let end = end.filter(|_| deepest <= DEEPEST).ok_or_else(wrong)?;
    let members = split(&rest[1..end], |symbol, depth| symbol == ';' && depth == 0);
    Ok(Some(members.into_iter().map(trim).filter(|member| !member.is_empty()).collect()))
}

/// The items: each with its key, if any, and its value.
pub(super) fn items(text: &str) -> impl Iterator<Item = (Option<String>, String)> {
    split(text, |symbol, _| symbol == ',').into_iter().map(trim).filter(|item| !item.is_empty()).map(|item| {
        match item.split_once('=').filter(|(key, _)| is_key(key.trim_end())) {
            // As on the command line, `two-words` is the field `two_words`.
            Some((key, value)) => (Some(key.trim_end().replace('-', "_")), unescape(value.trim_start())),
            None => (None, unescape(item)),
        }
    })
}

/// Writes `STRATEGY:ITEM,…`: bare values first, then the others by key.
pub(super) fn write<T: StrategySettings>(settings: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let serde_json::Value::Object(fields) = serde_json::to_value(settings).map_err(|_| fmt::Error)? else {
        return Err(fmt::Error);
    };
    f.write_str(T::NAME)?;
    let (bare, mut keyed): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(key, _)| T::BARE == Some(key));
    // A feature of serde_json, which any crate can enable, changes their order.
    keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut separator = ':';
    for (key, value) in bare.into_iter().chain(keyed) {
        let values = match value {
            serde_json::Value::Array(values) => values,
            one => vec![one],
        };
        for value in values {
            let value = match value {
                serde_json::Value::Null => continue,
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            let bare = T::BARE == Some(&key);
            let key = if bare { String::new() } else { format!("{}=", key.replace('_', "-")) };
            write!(f, "{separator}{key}{}", escape(&value, bare))?;
            separator = ',';
        }
    }
    Ok(())
}

fn is_key(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|symbol| matches!(symbol, 'a'..='z' | '0'..='9' | '_' | '-'))
}

fn split(text: &str, mut separates: impl FnMut(char, usize) -> bool) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, symbol) in unescaped(text) {
        match symbol {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if separates(symbol, depth) {
            parts.push(&text[start..at]);
            start = at + symbol.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The unescaped characters, with their positions.
fn unescaped(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut symbols = text.char_indices().peekable();
    std::iter::from_fn(move || {
        loop {
            let (at, symbol) = symbols.next()?;
            if symbol != '\\' || symbols.next_if(|(_, next)| is_special(next)).is_none() {
                return Some((at, symbol));
            }
        }
    })
}

/// Removes surrounding spaces, except for an escaped one.
fn trim(text: &str) -> &str {
    let text = text.trim_start();
    let trimmed = text.trim_end();
    let escapes = trimmed.chars().rev().take_while(|symbol| *symbol == '\\').count();
    let kept = if escapes % 2 == 0 { None } else { text[trimmed.len()..].chars().next() };
    &text[..trimmed.len() + kept.map_or(0, char::len_utf8)]
}

fn unescape(text: &str) -> String {
    let (mut plain, mut symbols) = (String::with_capacity(text.len()), text.chars().peekable());
    while let Some(symbol) = symbols.next() {
        match symbol {
            '\\' => plain.push(symbols.next_if(is_special).unwrap_or('\\')),
            other => plain.push(other),
        }
    }
    plain
}

fn escape(value: &str, bare: bool) -> String {
    let mut text = String::with_capacity(value.len());
    for symbol in value.chars() {
        if is_special(&symbol) && (bare || symbol != '=') {
            text.push('\\');
        }
        text.push(symbol);
    }
    text
}
