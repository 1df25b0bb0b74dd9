//! The segments of a binary, in both languages.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use crate::{BitString, Term};

/// The most bits for integers with a size: `<<0:800000000000>>` is a short text.
const MAX_SIZED_BITS: usize = 8 * (16 << 20);

/// The value of a segment.
pub(super) enum Value {
    Integer(BigInt),
    Float(f64),
    /// Text whose characters are integers, unless the type says otherwise.
    Characters(String),
    Bytes(Vec<u8>),
}

/// The type of a segment.
#[derive(Default)]
pub(super) struct Type {
    kind: Option<Kind>,
    size: Option<usize>,
    unit: Option<usize>,
    little: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Integer,
    Float,
    Binary,
    Utf8,
    Utf16,
    Utf32,
}

impl Type {
    /// Applies a word such as `utf8` or `little`; `false` if it is unknown.
    pub(super) fn apply(&mut self, word: &str) -> bool {
        let kind = match word {
            "integer" => Kind::Integer,
            "float" => Kind::Float,
            "binary" | "bytes" => Kind::Binary,
            "utf8" => Kind::Utf8,
            "utf16" => Kind::Utf16,
            "utf32" => Kind::Utf32,
            "little" => {
                self.little = true;
                return true;
            }
            // Signedness does not matter for writing.
            "big" | "signed" | "unsigned" => return true,
            _ => return false,
        };
        self.kind = Some(kind);
        true
    }

    pub(super) fn set_size(&mut self, size: u64) {
        self.size = Some(size as usize);
    }

    pub(super) fn set_unit(&mut self, unit: u64) {
        self.unit = Some(unit as usize);
    }
}

/// The bits of a binary.
#[derive(Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// The number of used bits in the last byte, 0 for all.
    last: u8,
    sized: usize,
}

impl Bits {
    /// Appends a segment.
    pub(super) fn append(&mut self, value: Value, of: &Type) -> Result<(), &'static str> {
        match (value, of.kind) {
            (Value::Integer(value), None | Some(Kind::Integer)) => self.integer(&value, of)?,
            (Value::Float(value), None | Some(Kind::Float)) => self.float(value, of)?,
            (Value::Integer(value), Some(Kind::Float)) => {
                self.float(value.to_f64().ok_or("not a float")?, of)?;
            }
            (Value::Integer(value), Some(kind @ (Kind::Utf8 | Kind::Utf16 | Kind::Utf32))) => {
                let c = value.to_u32().and_then(char::from_u32).ok_or("not a code point")?;
                self.text(c.encode_utf8(&mut [0; 4]), kind, of)?;
            }
            (Value::Characters(text), None) if of.size.is_none() => {
                for c in text.chars() {
                    self.byte(u8::try_from(u32::from(c)).map_err(|_| "text beyond Latin-1 needs `/utf8`")?);
                }
            }
            (Value::Characters(text), None | Some(Kind::Integer)) => {
                for c in text.chars() {
                    self.integer(&BigInt::from(u32::from(c)), of)?;
                }
            }
            (Value::Characters(text), Some(kind @ (Kind::Utf8 | Kind::Utf16 | Kind::Utf32))) => {
                self.text(&text, kind, of)?;
            }
            (Value::Bytes(bytes), None | Some(Kind::Binary)) if of.size.is_none() => self.bytes(&bytes),
            (Value::Bytes(bytes), Some(kind @ (Kind::Utf8 | Kind::Utf16 | Kind::Utf32))) => {
                self.text(std::str::from_utf8(&bytes).map_err(|_| "not text")?, kind, of)?;
            }
            _ => return Err("the value does not have this type"),
        }
        Ok(())
    }

    /// Makes a binary, or a bit string.
    pub(super) fn finish(self) -> Term {
        match self.last {
            0 => Term::binary(self.bytes),
            last => match BitString::new(self.bytes, last) {
                Ok(bits) => bits.into(),
                Err(_) => Term::binary(&[]),
            },
        }
    }

    fn byte(&mut self, byte: u8) {
        match (self.last, self.bytes.last_mut()) {
            (used @ 1.., Some(last)) => {
                *last |= byte >> used;
                self.bytes.push(byte << (8 - used));
            }
            _ => self.bytes.push(byte),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    /// Appends the lowest `count` bits of a byte, at most 7.
    fn bits(&mut self, byte: u8, count: u8) {
        if count == 0 {
            return;
        }
        let used = self.last;
        self.byte(byte << (8 - count));
        // `byte` has counted eight bits.
        self.last = (used + count) % 8;
        if used > 0 && used + count <= 8 {
            self.bytes.pop();
        }
    }

    fn integer(&mut self, value: &BigInt, of: &Type) -> Result<(), &'static str> {
        let size = of.size.unwrap_or(8).checked_mul(of.unit.unwrap_or(1)).ok_or("the size is too large")?;
        self.sized = self.sized.saturating_add(size);
        if self.sized > MAX_SIZED_BITS {
            return Err("the size is too large");
        }
        let fill = if value.sign() == num_bigint::Sign::Minus { 0xff } else { 0 };
        let mut bytes = value.to_signed_bytes_le();
        bytes.resize(size.div_ceil(8), fill);
        if of.little {
            if !size.is_multiple_of(8) {
                return Err("a little-endian integer has whole bytes here");
            }
            self.bytes(&bytes);
            return Ok(());
        }
        if !size.is_multiple_of(8)
            && let Some(highest) = bytes.pop()
        {
            self.bits(highest, (size % 8) as u8);
        }
        for byte in bytes.iter().rev() {
            self.byte(*byte);
        }
        Ok(())
    }

    fn float(&mut self, value: f64, of: &Type) -> Result<(), &'static str> {
        let mut bytes = match of.size.unwrap_or(64).saturating_mul(of.unit.unwrap_or(1)) {
            64 => value.to_be_bytes().to_vec(),
            32 => (value as f32).to_be_bytes().to_vec(),
            _ => return Err("a float has 32 or 64 bits here"),
        };
        if of.little {
            bytes.reverse();
        }
        self.bytes(&bytes);
        Ok(())
    }

    fn text(&mut self, text: &str, kind: Kind, of: &Type) -> Result<(), &'static str> {
        if of.size.is_some() {
            return Err("a UTF type has no size");
        }
        let mut put = |mut bytes: Vec<u8>| {
            if of.little {
                bytes.reverse();
            }
            self.bytes(&bytes);
        };
        match kind {
            Kind::Utf16 => text.encode_utf16().for_each(|unit| put(unit.to_be_bytes().into())),
            Kind::Utf32 => text.chars().for_each(|c| put(u32::from(c).to_be_bytes().into())),
            _ => self.bytes(text.as_bytes()),
        }
        Ok(())
    }
}
