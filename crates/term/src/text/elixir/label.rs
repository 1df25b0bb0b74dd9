//! Keys of keyword lists and maps: `name:` and `"name":`.

/// Whether a colon follows that ends a key.
pub(super) fn is_colon(rest: &str) -> bool {
    rest.starts_with(':') && !rest.starts_with("::")
}

/// Whether the colon of a key follows quoted text.
pub(super) fn is_label(text: &str) -> bool {
    let Some(quote) = text.chars().next() else { return false };
    let mut characters = text.char_indices().skip(1);
    while let Some((index, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == quote {
            return is_colon(&text[index + 1..]);
        }
    }
    false
}
