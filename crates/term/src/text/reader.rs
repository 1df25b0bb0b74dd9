use super::ParseError;
use super::program::{Program, Shape};
use super::source::Source;
use crate::{Atom, Term};

/// The peculiarities of a language's syntax.
pub(super) trait Dialect {
    /// The end of a record.
    const RECORD_END: &'static str;

    /// Whether a comma may follow the last element.
    const COMMA_AT_END: bool;

    /// Skips white space and comments.
    fn skip(source: &mut Source<'_>);

    /// Reads a leaf, or the beginning of a compound term.
    fn begin(source: &mut Source<'_>) -> Result<Begun, ParseError>;

    /// Reads the key of a labelled element: `key:` in Elixir, `key =` in a record of Erlang.
    fn label(source: &mut Source<'_>, in_record: bool) -> Result<Option<Atom>, ParseError>;
}

/// The beginning of a term, as read.
pub(super) enum Begun {
    Leaf(Term),
    Open(Kind),
    /// A map with this value for `__struct__`.
    Struct(Atom),
}

/// A kind of compound term, whose elements follow.
pub(super) enum Kind {
    Tuple,
    List,
    Map,
    Record(Box<(Atom, Atom)>),
    /// The arguments of a call.
    Arguments,
}

/// Whether `_` is a placeholder for an item, or an error.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Holes {
    Allowed,
    Refused,
}

/// Parses a term.
pub(super) fn term<D: Dialect>(source: &mut Source<'_>) -> Result<Term, ParseError> {
    let mut reader = Reader::<D>::new(source, Holes::Refused);
    reader.read()?;
    Ok(reader.program.run(&Term::nil()))
}

/// Parses the arguments of a call, up to the `)`, as a list.
pub(super) fn arguments<D: Dialect>(source: &mut Source<'_>, holes: Holes) -> Result<Program, ParseError> {
    let start = source.at - 1;
    let mut reader = Reader::<D>::new(source, holes);
    if !reader.open(Kind::Arguments, start)? {
        reader.read()?;
    }
    Ok(reader.program)
}

struct Reader<'s, 'a, D> {
    source: &'s mut Source<'a>,
    program: Program,
    open: Vec<Open>,
    holes: Holes,
    dialect: std::marker::PhantomData<D>,
}

/// A compound term whose elements are partly read. Positions fit 32 bits because the text is limited.
struct Open {
    kind: Kind,
    /// Its position in the text.
    start: u32,
    /// Its position in the program.
    first: u32,
    /// The number of its terms so far.
    terms: u32,
    /// The number of its labelled elements.
    labelled: u32,
    /// The position of the labelled elements in the program.
    first_labelled: u32,
    /// The position of the latest element in the program.
    latest: u32,
    reading: Reading,
}

/// The part of a compound term that is being read.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    Element,
    Key,
    Value,
    Labelled,
    Tail,
}

impl<'s, 'a, D: Dialect> Reader<'s, 'a, D> {
    fn new(source: &'s mut Source<'a>, holes: Holes) -> Self {
        Self { source, program: Program::default(), open: Vec::new(), holes, dialect: std::marker::PhantomData }
    }

    /// Reads until every compound term is closed.
    fn read(&mut self) -> Result<(), ParseError> {
        loop {
            D::skip(self.source);
            let start = self.source.at;
            let complete = match self.hole()? {
                true => true,
                false => match D::begin(self.source)? {
                    Begun::Leaf(term) => {
                        self.program.constant(term);
                        true
                    }
                    Begun::Open(kind) => self.open(kind, start)?,
                    Begun::Struct(name) => self.open_struct(name, start)?,
                },
            };
            if complete && self.close_complete()? {
                return Ok(());
            }
        }
    }

    /// Reads `_`.
    fn hole(&mut self) -> Result<bool, ParseError> {
        let is_hole = self.source.peek() == Some('_')
            && !self.source.peek_second().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '@' | ':'));
        if is_hole {
            if self.holes == Holes::Refused {
                return self.source.error("`_` stands for an item only in the call of a map over items");
            }
            self.source.bump();
            self.program.hole();
        }
        Ok(is_hole)
    }

    /// Begins a compound term; returns `true` if it ends at once.
    fn open(&mut self, kind: Kind, start: usize) -> Result<bool, ParseError> {
        let position = self.program.position() as u32;
        self.open.push(Open {
            kind,
            start: start as u32,
            first: position,
            terms: 0,
            labelled: 0,
            first_labelled: position,
            latest: position,
            reading: Reading::Element,
        });
        self.before_element(Start::First)
    }

    fn open_struct(&mut self, name: Atom, start: usize) -> Result<bool, ParseError> {
        let first = self.program.position() as u32;
        self.program.constant(Term::atom("__struct__"));
        self.program.constant(Term::Atom(name));
        let complete = self.open(Kind::Map, start)?;
        if complete {
            // It was closed as an empty map; the pair is still there.
            self.program.drop_last();
            self.program.build(Shape::Map, first as usize, 2);
        } else if let Some(open) = self.open.last_mut() {
            (open.first, open.terms) = (first, 2);
        }
        Ok(complete)
    }

    /// Continues after a complete term: closes compound terms that end here; returns `true` if none is left open.
    fn close_complete(&mut self) -> Result<bool, ParseError> {
        loop {
            let Some(open) = self.open.last_mut() else { return Ok(true) };
            D::skip(self.source);
            match open.reading {
                Reading::Key => {
                    open.terms += 1;
                    open.reading = Reading::Value;
                    self.source.expect("=>")?;
                    return Ok(false);
                }
                Reading::Labelled => {
                    open.labelled += 1;
                    match open.kind {
                        Kind::Map | Kind::Record(_) => open.terms += 2,
                        Kind::List => {
                            open.terms += 1;
                            self.program.build(Shape::Tuple, open.latest as usize, 2);
                        }
                        // A list of these becomes the last element.
                        Kind::Tuple | Kind::Arguments => self.program.build(Shape::Tuple, open.latest as usize, 2),
                    }
                }
                Reading::Element | Reading::Value | Reading::Tail => open.terms += 1,
            }
            let reading = open.reading;
            if reading != Reading::Tail && self.source.eat(",") {
                if !self.before_element(Start::AfterComma)? {
                    return Ok(false);
                }
            } else if reading == Reading::Element && matches!(open.kind, Kind::List) && self.source.eat("|") {
                open.reading = Reading::Tail;
                return Ok(false);
            } else {
                let end = end_of::<D>(&open.kind);
                if !self.source.eat(end) {
                    let start = open.start as usize;
                    return match (self.source.peek(), reading) {
                        (None, _) => {
                            let opened = self.source.place(start);
                            self.source.error(format!("expected `{end}` for what was opened at {opened}"))
                        }
                        (_, Reading::Tail) => self.source.expected(&format!("`{end}`")),
                        _ => self.source.expected(&format!("`,` or `{end}`")),
                    };
                }
                self.close();
            }
        }
    }

    /// Reads up to the next element; if the compound term ends instead, closes it and returns `true`.
    fn before_element(&mut self, start: Start) -> Result<bool, ParseError> {
        D::skip(self.source);
        let Some(open) = self.open.last_mut() else { return Ok(true) };
        let is_record = matches!(open.kind, Kind::Record(_));
        if (start == Start::First || D::COMMA_AT_END) && self.source.eat(end_of::<D>(&open.kind)) {
            self.close();
            return Ok(true);
        }
        let at = self.source.at;
        open.latest = self.program.position() as u32;
        if let Some(label) = D::label(self.source, is_record)? {
            if open.labelled == 0 {
                open.first_labelled = open.latest;
            }
            open.reading = Reading::Labelled;
            self.program.constant(Term::Atom(label));
        } else if is_record {
            return self.source.expected("the name of a field");
        } else if open.labelled > 0 {
            return self.source.error_at(at, "elements of the form `key: value` come last");
        } else {
            open.reading = if matches!(open.kind, Kind::Map) { Reading::Key } else { Reading::Element };
        }
        Ok(false)
    }

    /// Makes the innermost open term.
    fn close(&mut self) {
        let Some(mut open) = self.open.pop() else { return };
        if open.labelled > 0 && matches!(open.kind, Kind::Tuple | Kind::Arguments) {
            self.program.build(Shape::List, open.first_labelled as usize, open.labelled as usize);
            open.terms += 1;
        }
        let shape = match open.kind {
            Kind::Tuple => Shape::Tuple,
            Kind::List if open.reading == Reading::Tail => Shape::ListWithTail,
            Kind::List | Kind::Arguments => Shape::List,
            Kind::Map => Shape::Map,
            Kind::Record(names) => Shape::Record(names),
        };
        self.program.build(shape, open.first as usize, open.terms as usize);
    }
}

/// The positions at which an element can begin.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    First,
    AfterComma,
}

fn end_of<D: Dialect>(kind: &Kind) -> &'static str {
    match kind {
        Kind::Tuple | Kind::Map => "}",
        Kind::List => "]",
        Kind::Record(_) => D::RECORD_END,
        Kind::Arguments => ")",
    }
}
