//! Text as Erlang programs hand it to an I/O device: `chardata`, and calls of `io_lib:format/2`.

use peerl_term::Term;

/// The text of chardata: a binary, or a list of code points, binaries and such lists. Not recursive.
pub(crate) fn chardata(data: &Term, latin1: bool) -> Option<String> {
    let mut text = String::new();
    let mut open: Vec<&Term> = vec![data];
    while let Some(term) = open.pop() {
        match term {
            Term::Integer(point) => text.push(char::from_u32(u32::try_from(*point).ok()?)?),
            Term::Binary(bytes) if latin1 => text.extend(bytes.iter().map(|byte| char::from(*byte))),
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

/// The text that `Module:Function(Arguments...)` gives, for the functions by which OTP's `io` module has a device
/// format: `io_lib:format/2`, `io_lib:fwrite/2` and `io_lib:build_text/1`-like calls are understood as far as their
/// control sequences are `~p ~P ~w ~W ~s ~ts ~tp ~tw ~c ~n ~~ ~b ~B ~f ~e ~g`; others give `None`.
pub(crate) fn characters(module: &Term, function: &Term, arguments: &[Term]) -> Option<String> {
    if !module.is_atom("io_lib") || !(function.is_atom("format") || function.is_atom("fwrite")) {
        return None;
    }
    match arguments {
        [format, Term::List(values)] => format_text(&chardata(format, false)?, values),
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
        // Field width, precision and padding change the layout, not what is said: they are passed over.
        let mut control = characters.next()?;
        while matches!(control, '0'..='9' | '.' | '-' | 't' | 'l' | 'k') {
            control = characters.next()?;
        }
        match control {
            '~' => text.push('~'),
            'n' => text.push('\n'),
            'i' => drop(values.next()?),
            's' => match values.next()? {
                Term::Atom(atom) => text.push_str(atom),
                value => text.push_str(&chardata(value, false)?),
            },
            'c' => text.push(char::from_u32(u32::try_from(values.next()?.as_integer()?).ok()?)?),
            'p' | 'w' | 'b' | 'B' | 'f' | 'e' | 'g' => text.push_str(&format!("{}", values.next()?)),
            'P' | 'W' => {
                text.push_str(&format!("{}", values.next()?));
                values.next()?;
            }
            _ => return None,
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chardata_is_flattened() {
        let data = Term::list([Term::from("a"), Term::charlist("bé"), Term::list([Term::from("c")])]);
        assert_eq!(chardata(&data, false).as_deref(), Some("abéc"));
        assert_eq!(chardata(&Term::atom("x"), false), None);
    }

    #[test]
    fn formats() {
        let arguments = [Term::charlist("~p is ~s~n"), Term::list([Term::atom("x"), Term::from("y")])];
        let text = characters(&Term::atom("io_lib"), &Term::atom("format"), &arguments);
        assert_eq!(text.as_deref(), Some("x is y\n"));
    }
}
