//! The pages as HTML. The templates escape all inserted text.

mod cluster;
pub(crate) use cluster::{Work, cluster};
mod page;
pub(crate) use page::{Frame, login, message};
mod results;
pub(crate) use results::{RowFilter, results};
mod start;
pub(crate) use start::{Draft, start};

use std::time::Duration;

use maud::{Markup, html};

/// A point in time; the script shows it in the visitor's time zone, the text is UTC.
fn time(milliseconds: u64) -> Markup {
    let at = std::time::UNIX_EPOCH + Duration::from_millis(milliseconds);
    let text = humantime::format_rfc3339_seconds(at).to_string();
    let shown = text.get(11..16).map_or_else(|| text.clone(), |clock| format!("{clock} UTC"));
    html! { time datetime=(text) title=(text) { (shown) } }
}

/// The name of a node; a line may break before its host.
fn node_name(name: &str) -> Markup {
    html! {
        @match name.split_once('@') {
            Some((name, host)) => { (name) wbr; "@" (host) },
            None => (name),
        }
    }
}

/// A number with thin spaces between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count as u64), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times() {
        assert_eq!(["7", "1\u{202f}000", "20\u{202f}000\u{202f}001"], [7, 1000, 20_000_001].map(grouped));
        assert_eq!(counted(1, "page", "pages"), "1 page");
        assert_eq!(counted(0, "page", "pages"), "0 pages");
        let shown = time(1_700_000_000_000).into_string();
        assert!(shown.contains("22:13 UTC") && shown.contains("2023-11-14T22:13:20Z"), "{shown}");
    }
}
