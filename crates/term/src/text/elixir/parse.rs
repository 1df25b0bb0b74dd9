use num_bigint::BigInt;

use super::label::{is_colon, is_label};
use super::quoted::{self, Text};
use crate::text::reader::{self, Begun, Dialect, Holes, Kind};
use crate::text::segment::{Bits, Type, Value};
use crate::text::source::Source;
use crate::text::{Call, ParseError, Template};
use crate::{Atom, ExternalFun, Term};

/// Parses a term.
///
/// Accepts all literals of Elixir, with comments between them, but of sigils only `~c` and `~s`, and no heredocs;
/// also the output of [`display`](super::display) for pids and similar terms. Rejects variables, calls, interpolation
/// and arithmetic.
///
/// ```
/// use peerl_term::text::elixir;
///
/// let term = elixir::parse(r#"[{:ok, 0xff, ?a, ~c"b"}, MyApp.Page, "c", on: true]"#)?;
/// assert_eq!(term.to_string(), r#"[{ok,255,97,"b"},'Elixir.MyApp.Page',<<"c">>,{on,true}]"#);
///
/// let error = elixir::parse("{:ok, page}").unwrap_err();
/// assert_eq!((error.line(), error.column()), (1, 7));
/// # Ok::<(), peerl_term::text::ParseError>(())
/// ```
///
/// # Errors
/// If the text is not a term, or is longer than 16 MiB.
pub fn parse(text: &str) -> Result<Term, ParseError> {
    let mut source = Source::new(text)?;
    let term = reader::term::<Elixir>(&mut source)?;
    end(&mut source)?;
    Ok(term)
}

/// Parses a call, `MyApp.Module.function(arguments)` or `:module.function(arguments)`. Parentheses without arguments
/// may be omitted, as in `Node.list`.
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
    let module = module(&mut source)?;
    if !source.eat(".") {
        return source.expected("`.` and a function after the name of the module");
    }
    let function = function(&mut source)?;
    let arguments = if source.eat("(") { reader::arguments::<Elixir>(&mut source, holes)? } else { Default::default() };
    end(&mut source)?;
    Ok(Template::new(module, function, arguments))
}

fn end(source: &mut Source<'_>) -> Result<(), ParseError> {
    skip(source);
    if source.peek().is_none() { Ok(()) } else { source.expected("the end of the text") }
}

struct Elixir;

impl Dialect for Elixir {
    const RECORD_END: &'static str = ">";
    const COMMA_AT_END: bool = true;

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
            Some('%') => {
                source.bump();
                if source.eat("{") {
                    return Ok(Begun::Open(Kind::Map));
                }
                let name = module(source)?;
                source.expect("{")?;
                return Ok(Begun::Struct(name));
            }
            Some('#') => return hash(source),
            Some('<') if source.rest().starts_with("<<") => binary(source)?,
            Some('0'..='9' | '+' | '-' | '?') => match number(source)? {
                Value::Float(value) => match Term::float(value) {
                    Some(float) => float,
                    None => return source.error_at(start, "the float is out of range"),
                },
                Value::Integer(value) => value.into(),
                _ => return source.expected("a number"),
            },
            Some('"') => Term::binary(quoted::quoted(source, Text::Bytes)?),
            Some('\'') => charlist(quoted::quoted(source, Text::Characters)?),
            Some('~') => sigil(source)?,
            Some(':') => Term::Atom(atom(source)?),
            Some('&') => capture(source)?,
            Some(c) if c.is_ascii_uppercase() => Term::Atom(alias(source)?),
            Some(c) if c.is_alphabetic() || c == '_' => match identifier(source) {
                name @ ("nil" | "true" | "false") => Term::Atom(source.atom(name, start)?),
                name => {
                    let message = format!("variables and calls have no value here; an atom is written `:{name}`");
                    return source.error_at(start, message);
                }
            },
            _ => return source.expected("a term"),
        };
        Ok(Begun::Leaf(leaf))
    }

    fn label(source: &mut Source<'_>, _in_record: bool) -> Result<Option<Atom>, ParseError> {
        let start = source.at;
        let key = match source.peek() {
            Some('"' | '\'') if is_label(source.rest()) => Some(quoted_atom(source)?),
            Some(c) if c.is_alphabetic() || c == '_' => {
                let name = identifier(source);
                if is_colon(source.rest()) { Some(source.atom(name, start)?) } else { None }
            }
            // Operators have at most four characters.
            Some(_) if source.rest().bytes().take(5).any(|byte| byte == b':') => match operator(source) {
                Some(name) if is_colon(source.rest()) && source.rest()[1..].starts_with(char::is_whitespace) => {
                    Some(source.atom(name, start)?)
                }
                _ => None,
            },
            _ => None,
        };
        match key {
            Some(_) => source.expect(":")?,
            None => source.at = start,
        }
        Ok(key)
    }
}

/// Skips white space and comments, but not a comment-like pid.
fn skip(source: &mut Source<'_>) {
    loop {
        source.take_while(|c| c.is_whitespace() || c.is_control());
        let is_term = || OPAQUE.iter().any(|(prefix, _)| source.rest().starts_with(prefix));
        if source.peek() != Some('#') || is_term() {
            return;
        }
        source.take_while(|c| c != '\n');
    }
}

#[derive(Clone, Copy)]
enum Opaque {
    Pid,
    Port,
    Reference,
    Record,
    Function,
}

const OPAQUE: [(&str, Opaque); 5] = [
    ("#PID<", Opaque::Pid),
    ("#Port<", Opaque::Port),
    ("#Reference<", Opaque::Reference),
    ("#Record<", Opaque::Record),
    ("#Function<", Opaque::Function),
];

fn hash(source: &mut Source<'_>) -> Result<Begun, ParseError> {
    let start = source.at;
    let Some((prefix, kind)) = OPAQUE.into_iter().find(|(prefix, _)| source.rest().starts_with(prefix)) else {
        return source.expected("a term");
    };
    source.at += prefix.len();
    if let Opaque::Function = kind {
        return source.error_at(start, "a fun of another node's module can't be written as text");
    }
    if source.peek().is_some_and(|c| c.is_ascii_digit()) {
        return source.error("expected the name of a node, as in `#PID<node@host.id.serial.creation>`");
    }
    let name = name(source)?;
    Ok(match kind {
        Opaque::Pid => Begun::Leaf(source.pid(name)?),
        Opaque::Port => Begun::Leaf(source.port(name)?),
        Opaque::Reference => Begun::Leaf(source.reference(name)?),
        Opaque::Record | Opaque::Function => {
            source.expect(".")?;
            let record = self::name(source)?;
            // The fields continue as further elements.
            source.eat(",");
            Begun::Open(Kind::Record(Box::new((name, record))))
        }
    })
}

fn identifier<'a>(source: &mut Source<'a>) -> &'a str {
    let start = source.at;
    // Beyond ASCII, accept more than Elixir does.
    source.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '@') || !c.is_ascii() && !c.is_whitespace());
    if matches!(source.peek(), Some('?' | '!')) {
        source.bump();
    }
    source.since(start)
}

/// Reads an atom where only an atom is possible: an identifier or quoted text.
fn name(source: &mut Source<'_>) -> Result<Atom, ParseError> {
    let start = source.at;
    match source.peek() {
        Some('"' | '\'') => quoted_atom(source),
        Some(c) if c.is_alphabetic() || c == '_' => {
            let name = identifier(source);
            source.atom(name, start)
        }
        _ => source.expected("a name"),
    }
}

/// Reads quoted text as an atom. `inspect` writes characters there as `\x93`, which Elixir itself reads as bytes;
/// they are characters if the bytes are not UTF-8.
fn quoted_atom(source: &mut Source<'_>) -> Result<Atom, ParseError> {
    let start = source.at;
    let name = String::from_utf8(quoted::quoted(source, Text::Bytes)?).or_else(|_| {
        source.at = start;
        Ok(String::from_utf8_lossy(&quoted::quoted(source, Text::Characters)?).into_owned())
    })?;
    source.atom(&name, start)
}

/// Reads `:name`, `:"name"` or `:+`.
fn atom(source: &mut Source<'_>) -> Result<Atom, ParseError> {
    source.bump();
    let start = source.at;
    match operator(source) {
        Some(name) => source.atom(name, start),
        None => name(source),
    }
}

/// Reads an alias, `MyApp.Page`.
fn alias(source: &mut Source<'_>) -> Result<Atom, ParseError> {
    let start = source.at;
    let segment = |c: char| c.is_ascii_alphanumeric() || c == '_';
    source.take_while(segment);
    while source.peek() == Some('.') && source.peek_second().is_some_and(|c| c.is_ascii_uppercase()) {
        source.bump();
        source.take_while(segment);
    }
    let name = source.since(start);
    if name == "Elixir" || name.starts_with("Elixir.") {
        return source.atom(name, start);
    }
    source.atom(&format!("Elixir.{name}"), start)
}

/// Reads the name of a module: an alias or an atom.
fn module(source: &mut Source<'_>) -> Result<Atom, ParseError> {
    match source.peek() {
        Some(':') => atom(source),
        Some(c) if c.is_ascii_uppercase() => alias(source),
        Some('n' | 't' | 'f') if ["nil.", "true.", "false."].iter().any(|name| source.rest().starts_with(name)) => {
            name(source)
        }
        _ => source.expected("a module, as in `MyApp.Module.function(1)` or `:module.function(1)`"),
    }
}

/// Reads the name of a function after the dot.
fn function(source: &mut Source<'_>) -> Result<Atom, ParseError> {
    let start = source.at;
    match operator(source) {
        Some(name) => source.atom(name, start),
        None => name(source),
    }
}

/// Reads `&Module.function/arity`.
fn capture(source: &mut Source<'_>) -> Result<Term, ParseError> {
    source.bump();
    skip(source);
    let module = module(source)?;
    source.expect(".")?;
    let function = function(source)?;
    skip(source);
    source.expect("/")?;
    skip(source);
    let arity = source.number(255)? as u8;
    Ok(ExternalFun { module, function, arity }.into())
}

/// Reads the longest operator here.
fn operator(source: &mut Source<'_>) -> Option<&'static str> {
    let operator = OPERATORS.iter().filter(|operator| source.rest().starts_with(**operator)).max_by_key(|o| o.len())?;
    source.at += operator.len();
    Some(operator)
}

/// The operators that are atoms without quotes.
const OPERATORS: &[&str] = &[
    "!", "!=", "!==", "%", "%{}", "&", "&&", "&&&", "*", "**", "+", "++", "+++", "-", "--", "---", "->", ".", "..",
    "...", "..//", "/", "::", "<", "<-", "<<<", "<<>>", "<<~", "<=", "<>", "<|>", "<~", "<~>", "=", "==", "===", "=~",
    "=>", ">", ">=", ">>>", "@", "\\\\", "^", "^^^", "{}", "|", "|>", "||", "|||", "~>", "~>>", "~~~",
];

/// Reads an integer, a character or a float, with its sign.
fn number(source: &mut Source<'_>) -> Result<Value, ParseError> {
    let mut negative = false;
    while let Some(sign @ ('+' | '-')) = source.peek() {
        source.bump();
        skip(source);
        negative ^= sign == '-';
    }
    let signed = |value: BigInt| Value::Integer(if negative { -value } else { value });
    if source.eat("?") {
        let c = match source.peek() {
            Some('\\') => quoted::escape(source, Text::Characters)?.and_then(|bytes| bytes.chars().next()),
            _ => source.bump(),
        };
        return match c {
            Some(c) => Ok(signed(BigInt::from(u32::from(c)))),
            None => source.expected("a character"),
        };
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if source.eat(prefix) {
            let digits = source.digits(radix)?;
            return Ok(signed(source.integer(&digits, radix)?));
        }
    }
    let whole = source.digits(10)?;
    if let Some(float) = source.fraction(&whole)? {
        return Ok(Value::Float(if negative { -float } else { float }));
    }
    if source.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return source.expected("the end of the number");
    }
    Ok(signed(source.integer(&whole, 10)?))
}

fn charlist(text: Vec<u8>) -> Term {
    Term::charlist(&String::from_utf8_lossy(&text))
}

/// Reads `~c"charlist"` or `~s"string"`, with any delimiter.
fn sigil(source: &mut Source<'_>) -> Result<Term, ParseError> {
    let start = source.at;
    source.bump();
    match source.bump() {
        Some('c') => Ok(charlist(quoted::delimited(source, Text::Characters)?)),
        Some('C') => Ok(charlist(quoted::verbatim(source)?)),
        Some('s') => Ok(Term::binary(quoted::delimited(source, Text::Bytes)?)),
        Some('S') => Ok(Term::binary(quoted::verbatim(source)?)),
        _ => source.error_at(start, "of sigils only `~c` and `~s` are understood"),
    }
}

/// Reads `<<...>>`.
fn binary(source: &mut Source<'_>) -> Result<Term, ParseError> {
    let start = source.at;
    source.at += 2;
    let mut bits = Bits::default();
    loop {
        skip(source);
        if source.eat(">>") {
            return Ok(bits.finish());
        }
        let at = source.at;
        let value = match source.peek() {
            Some('"') => Value::Bytes(quoted::quoted(source, Text::Bytes)?),
            Some('0'..='9' | '+' | '-' | '?') => number(source)?,
            None => return source.error_at(start, "the binary is not closed"),
            _ => return source.expected("an integer, a float or a string"),
        };
        let of = segment_type(source)?;
        bits.append(value, &of).or_else(|message| source.error_at(at, message))?;
        skip(source);
        if !source.eat(",") && !source.rest().starts_with(">>") {
            return source.expected("`,` or `>>`");
        }
    }
}

/// Reads `::size(8)-little`.
fn segment_type(source: &mut Source<'_>) -> Result<Type, ParseError> {
    let mut of = Type::default();
    skip(source);
    if !source.eat("::") {
        return Ok(of);
    }
    loop {
        skip(source);
        let start = source.at;
        if source.peek().is_some_and(|c| c.is_ascii_digit()) {
            of.set_size(source.number(u64::MAX >> 8)?);
        } else {
            match identifier(source) {
                word @ ("size" | "unit") => {
                    source.expect("(")?;
                    if word == "size" {
                        of.set_size(source.number(u64::MAX >> 8)?);
                    } else {
                        of.set_unit(source.number(256)?);
                    }
                    source.expect(")")?;
                }
                word if of.apply(word) => {}
                _ => return source.error_at(start, "expected a type such as `utf8`, `little` or `size(8)`"),
            }
        }
        skip(source);
        if !source.eat("-") {
            return Ok(of);
        }
    }
}
