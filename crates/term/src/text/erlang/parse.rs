use num_bigint::BigInt;

use crate::atom::RESERVED;
use crate::text::reader::{self, Begun, Dialect, Holes, Kind};
use crate::text::segment::{Bits, Type, Value};
use crate::text::source::Source;
use crate::text::{Call, ParseError, Template};
use crate::{Atom, ExternalFun, Term};

/// Parses a term.
///
/// Accepts all literals of Erlang, with comments between them and an optional final dot; also the output of
/// [`display`](super::display) for pids and similar terms. Rejects variables, calls and arithmetic.
///
/// ```
/// use peerl_term::{Term, text::erlang};
///
/// let term = erlang::parse(r#"[{1, 16#ff, $a, "b"}, % a comment
///                              <<"c", 1:16>> | 'D']."#)?;
/// assert_eq!(term.to_string(), r#"[{1,255,97,"b"},<<99,0,1>>|'D']"#);
///
/// let error = erlang::parse("{ok, Page}").unwrap_err();
/// assert_eq!((error.line(), error.column()), (1, 6));
/// # Ok::<(), peerl_term::text::ParseError>(())
/// ```
///
/// # Errors
/// If the text is not a term, or is longer than 16 MiB.
pub fn parse(text: &str) -> Result<Term, ParseError> {
    let mut source = Source::new(text)?;
    let term = reader::term::<Erlang>(&mut source)?;
    end(&mut source)?;
    Ok(term)
}

/// Parses a call, `module:function(arguments)`.
///
/// # Errors
/// If the text is not a call, or is longer than 16 MiB.
pub fn parse_call(text: &str) -> Result<Call, ParseError> {
    Ok(template(text, Holes::Refused)?.fill(&Term::nil()))
}

/// Parses a call in which each `_` is a placeholder for an item.
///
/// # Errors
/// If the text is not a call, or is longer than 16 MiB.
pub fn parse_template(text: &str) -> Result<Template, ParseError> {
    template(text, Holes::Allowed)
}

fn template(text: &str, holes: Holes) -> Result<Template, ParseError> {
    let mut source = Source::new(text)?;
    skip(&mut source);
    if source.peek().is_some_and(char::is_uppercase) || source.peek() == Some(':') {
        return source.error("expected a call in Erlang syntax, `module:function(arguments)`");
    }
    let module = atom(&mut source)?;
    skip(&mut source);
    if source.peek() != Some(':') {
        return source.expected("`:` and a function after the name of the module");
    }
    source.bump();
    skip(&mut source);
    let function = atom(&mut source)?;
    skip(&mut source);
    source.expect("(")?;
    let arguments = reader::arguments::<Erlang>(&mut source, holes)?;
    end(&mut source)?;
    Ok(Template::new(module, function, arguments))
}

fn end(source: &mut Source<'_>) -> Result<(), ParseError> {
    skip(source);
    source.eat(".");
    skip(source);
    if source.peek().is_none() { Ok(()) } else { source.expected("the end of the text") }
}

struct Erlang;

impl Dialect for Erlang {
    const RECORD_END: &'static str = "}";
    const COMMA_AT_END: bool = false;

    fn skip(source: &mut Source<'_>) {
        skip(source);
    }

    fn begin(source: &mut Source<'_>) -> Result<Begun, ParseError> {
        let start = source.at;
        let leaf = match source.peek() {
            Some('{') => {
                source.bump();
                return Ok(Begun::Open(Kind::Tuple));
            }
            Some('[') => {
                source.bump();
                return Ok(Begun::Open(Kind::List));
            }
            Some('#') => return hash(source),
            Some('<') if source.rest().starts_with("<<") => binary(source)?,
            Some('<') => return source.error("a pid is written with its node, `#Pid<node@host.id.serial.creation>`"),
            Some('0'..='9' | '+' | '-' | '$') => number(source)?.into_term(source)?,
            Some('"') => Term::charlist(&strings(source)?),
            Some('~') => Term::from(sigil(source)?),
            Some('\'') => Term::Atom(atom(source)?),
            Some(c) if is_lower(c) => match word(source) {
                "fun" => fun(source)?,
                name if RESERVED.contains(&name) && name != "maybe" => {
                    return source.error_at(start, format!("the reserved word is an atom only in quotes, `'{name}'`"));
                }
                name => Term::Atom(source.atom(name, start)?),
            },
            Some(c) if c.is_uppercase() || c == '_' => {
                let name = word(source);
                return source.error_at(start, format!("variables have no value here; an atom is written `'{name}'`"));
            }
            _ => return source.expected("a term"),
        };
        Ok(Begun::Leaf(leaf))
    }

    fn label(source: &mut Source<'_>, in_record: bool) -> Result<Option<Atom>, ParseError> {
        if !in_record {
            return Ok(None);
        }
        let key = atom(source)?;
        skip(source);
        source.expect("=")?;
        Ok(Some(key))
    }
}

fn skip(source: &mut Source<'_>) {
    loop {
        source.take_while(|c| c.is_whitespace() || c.is_control());
        if source.peek() != Some('%') {
            return;
        }
        source.take_while(|c| c != '\n');
    }
}

/// A lower-case letter of Latin-1, which can begin an atom.
fn is_lower(c: char) -> bool {
    matches!(c, 'a'..='z' | 'ß'..='ö' | 'ø'..='ÿ')
}

fn word<'a>(source: &mut Source<'a>) -> &'a str {
    source.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ÿ'))
}

/// Reads an atom, quoted or not.
fn atom(source: &mut Source<'_>) -> Result<Atom, ParseError> {
    let start = source.at;
    match source.peek() {
        Some('\'') => {
            let name = quoted(source, '\'')?;
            source.atom(&name, start)
        }
        Some(c) if is_lower(c) => {
            let name = word(source);
            source.atom(name, start)
        }
        _ => source.expected("an atom"),
    }
}

/// Reads a term that begins with `#`.
fn hash(source: &mut Source<'_>) -> Result<Begun, ParseError> {
    let start = source.at;
    let leaf = if source.eat("#{") {
        return Ok(Begun::Open(Kind::Map));
    } else if source.eat("#Pid<") {
        let node = node(source)?;
        source.pid(node)?
    } else if source.eat("#Port<") {
        let node = node(source)?;
        source.port(node)?
    } else if source.eat("#Ref<") {
        let node = node(source)?;
        source.reference(node)?
    } else if source.rest().starts_with("#Fun<") {
        return source.error("a fun of another node's module can't be written as text");
    } else {
        source.bump();
        skip(source);
        if source.eat("{") {
            return Ok(Begun::Open(Kind::Map));
        }
        let module = atom(source)?;
        if !source.eat(":") {
            return source.error_at(start, "a record is written `#module:name{...}`");
        }
        let name = atom(source)?;
        source.expect("{")?;
        return Ok(Begun::Open(Kind::Record(Box::new((module, name)))));
    };
    Ok(Begun::Leaf(leaf))
}

/// Reads the name of a node inside `#Pid<...>`.
fn node(source: &mut Source<'_>) -> Result<Atom, ParseError> {
    match source.peek() {
        Some(c) if c == '\'' || is_lower(c) => atom(source),
        _ => source.expected("the name of a node, an atom"),
    }
}

fn fun(source: &mut Source<'_>) -> Result<Term, ParseError> {
    skip(source);
    if !source.peek().is_some_and(|c| c == '\'' || is_lower(c)) {
        return source.error("of funs only `fun module:function/arity` is a term");
    }
    let module = atom(source)?;
    skip(source);
    source.expect(":")?;
    skip(source);
    let function = atom(source)?;
    skip(source);
    source.expect("/")?;
    skip(source);
    let arity = source.number(255)? as u8;
    Ok(ExternalFun { module, function, arity }.into())
}

enum Number {
    Integer(BigInt),
    Float(f64),
}

impl Number {
    fn into_term(self, source: &Source<'_>) -> Result<Term, ParseError> {
        match self {
            Self::Integer(value) => Ok(value.into()),
            Self::Float(value) => match Term::float(value) {
                Some(term) => Ok(term),
                None => source.error("the float is out of range"),
            },
        }
    }
}

/// Reads an integer, a character or a float, with its sign.
fn number(source: &mut Source<'_>) -> Result<Number, ParseError> {
    let mut negative = false;
    while let Some(sign @ ('+' | '-')) = source.peek() {
        source.bump();
        skip(source);
        negative ^= sign == '-';
    }
    let start = source.at;
    if source.eat("$") {
        let c = match source.peek() {
            Some('\\') => escape(source)?,
            Some(c) => {
                source.bump();
                c
            }
            None => return source.expected("a character"),
        };
        let value = BigInt::from(u32::from(c));
        return Ok(Number::Integer(if negative { -value } else { value }));
    }
    let whole = source.digits(10)?;
    if let Some(float) = source.fraction(&whole)? {
        return Ok(Number::Float(if negative { -float } else { float }));
    }
    let value = if source.peek() == Some('#') && source.peek_second().is_some_and(|c| c.is_ascii_alphanumeric()) {
        let radix = match whole.parse() {
            Ok(radix @ 2..=36) => radix,
            _ => return source.error_at(start, "the base of an integer is 2 to 36"),
        };
        source.bump();
        let digits = source.digits(radix)?;
        source.integer(&digits, radix)?
    } else {
        source.integer(&whole, 10)?
    };
    if source.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return source.expected("the end of the number");
    }
    Ok(Number::Integer(if negative { -value } else { value }))
}

/// Reads adjacent strings, which form one.
fn strings(source: &mut Source<'_>) -> Result<String, ParseError> {
    let mut text = quoted(source, '"')?;
    loop {
        let end = source.at;
        skip(source);
        if source.peek() != Some('"') {
            source.at = end;
            return Ok(text);
        }
        text.push_str(&quoted(source, '"')?);
    }
}

/// Reads a sigil for a binary (OTP 27): `~"text"`.
fn sigil(source: &mut Source<'_>) -> Result<String, ParseError> {
    for prefix in ["~", "~b", "~s"] {
        if source.rest().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('"')) {
            source.at += prefix.len();
            return quoted(source, '"');
        }
    }
    source.error("of sigils only `~\"text\"` is understood")
}

/// Reads text between quotes.
fn quoted(source: &mut Source<'_>, quote: char) -> Result<String, ParseError> {
    let start = source.at;
    source.bump();
    let mut text = String::new();
    loop {
        text.push_str(source.take_while(|c| c != quote && c != '\\'));
        match source.peek() {
            Some('\\') => text.push(escape(source)?),
            Some(_) => {
                source.bump();
                return Ok(text);
            }
            None => return source.error_at(start, format!("the quote `{quote}` is not closed")),
        }
    }
}

/// Reads an escape sequence. (Reference Manual, "Escape Sequences".)
fn escape(source: &mut Source<'_>) -> Result<char, ParseError> {
    let start = source.at;
    source.bump();
    let Some(c) = source.bump() else { return source.expected("a character after the backslash") };
    let code_point = match c {
        'b' => 8,
        'd' => 127,
        'e' => 27,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        's' => 32,
        't' => 9,
        'v' => 11,
        'x' => source.hexadecimal(2..=2)?,
        '^' => match source.bump() {
            Some(c @ '@'..='_') => u32::from(c) - 64,
            Some(c @ 'a'..='z') => u32::from(c) - 96,
            Some('?') => 127,
            _ => return source.error_at(start, "there is no such control character"),
        },
        '0'..='7' => {
            let rest = source.rest();
            let more = rest.bytes().take(2).take_while(|b| matches!(b, b'0'..=b'7')).count();
            source.at += more;
            u32::from_str_radix(&source.since(start)[1..], 8).unwrap_or_default()
        }
        other => return Ok(other),
    };
    source.character(code_point, start)
}

/// Reads `<<...>>`.
fn binary(source: &mut Source<'_>) -> Result<Term, ParseError> {
    let start = source.at;
    source.at += 2;
    skip(source);
    let mut bits = Bits::default();
    if source.eat(">>") {
        return Ok(bits.finish());
    }
    loop {
        skip(source);
        let at = source.at;
        let value = match source.peek() {
            Some('"') => Value::Characters(strings(source)?),
            Some('~') => Value::Bytes(sigil(source)?.into_bytes()),
            Some('0'..='9' | '+' | '-' | '$') => match number(source)? {
                Number::Integer(value) => Value::Integer(value),
                Number::Float(value) => Value::Float(value),
            },
            None => return source.error_at(start, "the binary is not closed"),
            _ => return source.expected("an integer, a float or a string"),
        };
        let of = segment_type(source, matches!(value, Value::Float(_)))?;
        bits.append(value, &of).or_else(|message| source.error_at(at, message))?;
        skip(source);
        if source.eat(">>") {
            return Ok(bits.finish());
        }
        if !source.eat(",") {
            return source.expected("`,` or `>>`");
        }
    }
}

/// Reads `:Size/Types`.
fn segment_type(source: &mut Source<'_>, is_float: bool) -> Result<Type, ParseError> {
    let mut of = Type::default();
    skip(source);
    if source.eat(":") {
        skip(source);
        of.set_size(source.number(u64::MAX >> 8)?);
        skip(source);
    }
    if source.eat("/") {
        loop {
            skip(source);
            let start = source.at;
            let word = word(source);
            if word == "unit" {
                source.expect(":")?;
                of.set_unit(source.number(256)?);
            } else if !of.apply(word) {
                return source.error_at(start, "expected a type such as `utf8`, `little` or `unit:8`");
            }
            if !source.eat("-") {
                break;
            }
        }
    } else if is_float {
        return source.error("a float in a binary needs `/float`");
    }
    Ok(of)
}
