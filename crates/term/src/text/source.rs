use num_bigint::BigInt;

use super::ParseError;
use crate::{Atom, Pid, Port, Reference, Term};

/// The longest text that is parsed. A term takes up to 50 times the space of its text.
pub(super) const MAX_INPUT: usize = 16 << 20;

/// The most digits of an integer: parsing takes time that grows with their square.
const MAX_DIGITS: usize = 100_000;

/// Text to parse.
pub(super) struct Source<'a> {
    text: &'a str,
    pub(super) at: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, ParseError> {
        if text.len() > MAX_INPUT {
            return Err(ParseError::new("", 0, format!("the text is longer than {MAX_INPUT} bytes")));
        }
        Ok(Self { text, at: 0 })
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        self.error_at(self.at, message)
    }

    pub(super) fn error_at<T>(&self, at: usize, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.text, at, message))
    }

    /// Fails with a description of the text at this position.
    pub(super) fn expected<T>(&self, what: &str) -> Result<T, ParseError> {
        match self.peek() {
            Some(c) => self.error(format!("expected {what}, found `{}`", c.escape_debug())),
            None => self.error(format!("expected {what}, found the end of the text")),
        }
    }

    /// Describes the position of a byte.
    pub(super) fn place(&self, at: usize) -> String {
        let error = ParseError::new(self.text, at, "");
        format!("line {}, column {}", error.line(), error.column())
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The character after the next.
    pub(super) fn peek_second(&self) -> Option<char> {
        self.rest().chars().nth(1)
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn eat(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    pub(super) fn expect(&mut self, what: &str) -> Result<(), ParseError> {
        if self.eat(what) { Ok(()) } else { self.expected(&format!("`{what}`")) }
    }

    pub(super) fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Makes an atom of a name that begins at this byte.
    pub(super) fn atom(&self, name: &str, start: usize) -> Result<Atom, ParseError> {
        Atom::new(name).or_else(|error| self.error_at(start, error.to_string()))
    }

    /// Reads digits, which may be separated by single underscores.
    pub(super) fn digits(&mut self, radix: u32) -> Result<String, ParseError> {
        let mut digits = String::new();
        loop {
            match self.peek() {
                Some(c) if c.is_digit(radix) => digits.push(c),
                Some('_') if !digits.is_empty() && self.peek_second().is_some_and(|c| c.is_digit(radix)) => {}
                _ => break,
            }
            self.bump();
        }
        if digits.is_empty() {
            return self.expected(&format!("a digit of base {radix}"));
        }
        if digits.len() > MAX_DIGITS {
            return self.error(format!("an integer here has at most {MAX_DIGITS} digits"));
        }
        Ok(digits)
    }

    /// Makes an integer of digits in this base.
    pub(super) fn integer(&self, digits: &str, radix: u32) -> Result<BigInt, ParseError> {
        BigInt::parse_bytes(digits.as_bytes(), radix).map_or_else(|| self.error("not an integer"), Ok)
    }

    /// Reads the rest of a float after its first digits, if there is one: `.25` or `.25e-3`.
    pub(super) fn fraction(&mut self, whole: &str) -> Result<Option<f64>, ParseError> {
        let start = self.at;
        if self.peek() != Some('.') || !self.peek_second().is_some_and(|c| c.is_ascii_digit()) {
            return Ok(None);
        }
        self.bump();
        let mut text = format!("{whole}.{}", self.digits(10)?);
        let mut exponent = self.rest().chars().skip(1).skip_while(|c| matches!(c, '+' | '-'));
        if matches!(self.peek(), Some('e' | 'E')) && exponent.next().is_some_and(|c| c.is_ascii_digit()) {
            self.bump();
            text.push('e');
            if let Some(sign @ ('+' | '-')) = self.peek() {
                self.bump();
                text.push(sign);
            }
            text.push_str(&self.digits(10)?);
        }
        match text.parse::<f64>() {
            Ok(float) if float.is_finite() => Ok(Some(float)),
            _ => self.error_at(start, "the float is out of range"),
        }
    }

    /// Reads a small number, such as an arity, up to `greatest`.
    pub(super) fn number(&mut self, greatest: u64) -> Result<u64, ParseError> {
        let start = self.at;
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return self.expected("a number");
        }
        match digits.parse() {
            Ok(number) if number <= greatest => Ok(number),
            _ => self.error_at(start, format!("the number is greater than {greatest}")),
        }
    }

    /// Reads `HH` or `{H...}` after `\x` or similar; `bare` is the number of digits without braces.
    pub(super) fn hexadecimal(&mut self, bare: std::ops::RangeInclusive<usize>) -> Result<u32, ParseError> {
        let start = self.at;
        let braces = self.eat("{");
        let digits = self.take_while(|c| c.is_ascii_hexdigit());
        let digits = if braces {
            self.expect("}")?;
            digits
        } else {
            let digits = &digits[..digits.len().min(*bare.end())];
            self.at = start + digits.len();
            if digits.len() < *bare.start() {
                return self.expected("a hexadecimal digit");
            }
            digits
        };
        u32::from_str_radix(digits, 16).or_else(|_| self.error_at(start, "not a code point"))
    }

    /// Makes a character of a code point that was written at this byte.
    pub(super) fn character(&self, code_point: u32, start: usize) -> Result<char, ParseError> {
        char::from_u32(code_point).map_or_else(|| self.error_at(start, "not a code point"), Ok)
    }

    /// Reads `.1.2.3>` after the name of a node.
    pub(super) fn pid(&mut self, node: Atom) -> Result<Term, ParseError> {
        let start = self.at;
        match *self.numbers()? {
            [id, serial, creation] => {
                let small = |number: u64| match u32::try_from(number) {
                    Ok(number) => Ok(number),
                    Err(_) => self.error_at(start, "a number of the pid does not fit 32 bits"),
                };
                Ok(Pid { node, id: small(id)?, serial: small(serial)?, creation: small(creation)? }.into())
            }
            _ => self.error_at(start, "a pid is written `node@host.id.serial.creation`"),
        }
    }

    /// Reads `.1.2>` after the name of a node.
    pub(super) fn port(&mut self, node: Atom) -> Result<Term, ParseError> {
        let start = self.at;
        match *self.numbers()? {
            [id, creation] if u32::try_from(creation).is_ok() => {
                Ok(Port { node, id, creation: creation as u32 }.into())
            }
            _ => self.error_at(start, "a port is written `node@host.id.creation`"),
        }
    }

    /// Reads `.1.2.3.4>` after the name of a node.
    pub(super) fn reference(&mut self, node: Atom) -> Result<Term, ParseError> {
        let start = self.at;
        let numbers: Option<Vec<u32>> = self.numbers()?.into_iter().map(|number| u32::try_from(number).ok()).collect();
        let reference = numbers.and_then(|numbers| {
            let (creation, words) = numbers.split_last()?;
            Reference::new(node, *creation, words).ok()
        });
        match reference {
            Some(reference) => Ok(reference.into()),
            None => self.error_at(start, "a reference is written `node@host.word.word.word.creation`"),
        }
    }

    fn numbers(&mut self) -> Result<Vec<u64>, ParseError> {
        let mut numbers = Vec::new();
        while self.eat(".") && numbers.len() < 8 {
            numbers.push(self.number(u64::MAX)?);
        }
        self.expect(">")?;
        Ok(numbers)
    }
}
