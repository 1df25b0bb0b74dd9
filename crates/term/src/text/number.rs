use std::fmt;

/// Writes a float with the fewest digits that restore it, in the shorter of decimal and scientific notation; beyond
/// 2^53 always scientific. (`float_to_list(F, [short])`.)
pub(super) fn write_float(value: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    // Rust writes the same digits, as "-1.25e-7" or "1e3".
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let mut decimal = format!("{value}");
    if !decimal.contains('.') {
        decimal.push_str(".0");
    }
    if value.abs() < EXACT && decimal.len() <= mantissa.len() + point.len() + 1 + exponent.len() {
        f.write_str(&decimal)
    } else {
        write!(f, "{mantissa}{point}e{exponent}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown(f64);

    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_float(self.0, f)
        }
    }

    #[test]
    fn floats_are_shown_as_otp_shows_them() {
        let shown = "0.0 -0.0 1.0 100.0 1.0e3 123456.0 1234567890.0 1.0e10 0.1 0.001 0.0001 1.2e-4 1.0e22 \
                     9007199254740991.0 9.007199254740992e15 1.5e300 5.0e-324 -1.2e5 0.0012345";
        for text in shown.split_whitespace() {
            assert_eq!(Shown(text.parse().unwrap()).to_string(), text);
        }
    }
}
