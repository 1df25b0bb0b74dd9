//! Suggestions for misspelled names.

/// The known name with the smallest distance; the first of several.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known.min_by_key(|known| distance(name, known)).unwrap_or_default()
}

/// The number of characters to insert, delete or replace (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, symbol) in one.chars().take(100).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(symbol != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_changes() {
        for (one, other, changes) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("cokie", "cookie", 1),
            ("interval", "intervall", 1),
            ("node", "nodes", 1),
            ("abc", "cba", 2),
        ] {
            assert_eq!(distance(one, other), changes, "{one} {other}");
        }
        assert_eq!(nearest("cokie", ["name", "cookie", "format"].into_iter()), "cookie");
    }
}
