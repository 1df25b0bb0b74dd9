//! Text as Erlang programs hand it to an I/O device: `chardata`, and calls of `io_lib:format/2`.

use peerl_term::{Atom, Term};

/// What the bytes of a binary mean, and which characters there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Latin1,
    Unicode,
}

impl Encoding {
    /// The encoding that an I/O request names.
    pub(crate) fn named(name: &Atom) -> Option<Self> {
        match name.as_str() {
            "latin1" => Some(Self::Latin1),
            "unicode" => Some(Self::Unicode),
            _ => None,
        }
    }
}

/// The text of chardata: a binary, or a list of code points, binaries and such lists. Not recursive.
pub(crate) fn chardata(data: &Term, encoding: Encoding) -> Option<String> {
    if !matches!(data, Term::Binary(_) | Term::List(_) | Term::ImproperList(_)) {
        return None;
    }
    let mut text = String::new();
    let mut open: Vec<&Term> = vec![data];
    while let Some(term) = open.pop() {
        match term {
            Term::Integer(point) => text.push(char::from_u32(u32::try_from(*point).ok()?)?),
            Term::Binary(bytes) if encoding == Encoding::Latin1 => {
                text.extend(bytes.iter().map(|byte| char::from(*byte)))
            }
            Term::Binary(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
            Term::List(list) => open.extend(list.iter().rev()),
            Term::ImproperList(list) => {
                open.push(list.tail());
                open.extend(list.elements().iter().rev());
            }
            _ => return None,
        }
    }
    Some(text)
}

/// The text that `Module:Function(Arguments...)` gives, for the simplest of the calls by which OTP's `io` has a device
/// format: text and integers, without widths. All else, mistakes among it, is for the formatter of the node that wants it
/// printed, whose releases differ in how they show terms.
pub(crate) fn characters(module: &Atom, function: &Atom, arguments: &[Term]) -> Option<String> {
    if *module != "io_lib" || !matches!(function.as_str(), "format" | "fwrite") {
        return None;
    }
    match arguments {
        [format, Term::List(values)] => {
            let format = chardata(format, Encoding::Unicode).filter(|format| format.is_ascii())?;
            format_text(&format, values)
        }
        _ => None,
    }
}

fn format_text(format: &str, values: &[Term]) -> Option<String> {
    let mut text = String::new();
    let mut values = values.iter();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '~' {
            text.push(c);
            continue;
        }
        match characters.next()? {
            '~' => text.push('~'),
            'n' => text.push('\n'),
            // Beyond ASCII, `~s` and `~ts` mean different things.
            's' => text.push_str(&chardata(values.next()?, Encoding::Unicode).filter(|text| text.is_ascii())?),
            't' if characters.next()? == 's' => text.push_str(&chardata(values.next()?, Encoding::Unicode)?),
            'p' | 'w' | 'b' | 'B' => text.push_str(&values.next()?.as_integer()?.to_string()),
            _ => return None,
        }
    }
    values.next().is_none().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chardata_is_flattened() {
        let data = Term::list([Term::from("a"), Term::charlist("bé"), Term::list([Term::from("c")])]);
        assert_eq!(chardata(&data, Encoding::Unicode).as_deref(), Some("abéc"));
        assert_eq!(chardata(&Term::binary(vec![0xe9]), Encoding::Latin1).as_deref(), Some("é"));
        for no_text in [Term::atom("x"), Term::from(120), Term::list([Term::from(-1)]), Term::list([Term::atom("x")])] {
            assert_eq!(chardata(&no_text, Encoding::Unicode), None, "{no_text}");
        }
    }

    #[test]
    fn only_what_is_the_same_in_all_releases_is_formatted_here() {
        let format = |format: &str, values: &[Term]| {
            let arguments = [Term::charlist(format), Term::list(values.iter().cloned())];
            characters(&Atom::from_static("io_lib"), &Atom::from_static("format"), &arguments)
        };
        let here = format("~p~~ ~s ~ts~n", &[Term::from(7), Term::from("y"), Term::charlist("é")]);
        assert_eq!(here.as_deref(), Some("7~ y é\n"));
        let x = || Term::atom("x");
        let cases: [(&str, &[Term]); 10] = [
            ("~*c", &[Term::from(3), Term::from(120)]),
            ("~.2f", &[x()]),
            ("~5p", &[Term::from(1)]),
            ("~x", &[]),
            ("~p", &[x()]),
            ("~s", &[Term::from("é")]),
            ("~p", &[]),
            ("none", &[Term::from(1)]),
            ("~", &[]),
            ("é~n", &[]),
        ];
        for (text, values) in cases {
            assert_eq!(format(text, values), None, "{text}");
        }
    }
}
