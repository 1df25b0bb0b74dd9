//! The parts of a certificate that rustls does not give (RFC 5280 section 4.1), read from its DER encoding.

use std::net::IpAddr;

/// A certificate, not verified.
#[derive(Debug, Clone, Copy)]
pub(super) struct Certificate<'a> {
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    extensions: Option<&'a [u8]>,
}

/// The names for which a certificate is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) dns: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
    /// The name in the subject, which counts only in a certificate that has no alternative names.
    pub(super) common: Option<String>,
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

impl<'a> Certificate<'a> {
    /// Reads a certificate; `None` if it is none.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut certificate = Reader(Reader(der).content(SEQUENCE)?);
        let mut body = Reader(certificate.content(SEQUENCE)?);
        certificate.content(SEQUENCE)?;
        certificate.content(BIT_STRING)?;
        body.optional(VERSION)?;
        body.content(INTEGER)?;
        body.content(SEQUENCE)?;
        let issuer = body.content(SEQUENCE)?;
        let _validity = body.content(SEQUENCE)?;
        let subject = body.content(SEQUENCE)?;
        let _public_key = body.content(SEQUENCE)?;
        let mut extensions = None;
        while let Some((tag, content)) = body.next() {
            if tag == EXTENSIONS {
                extensions = Some(Reader(content).content(SEQUENCE)?);
            }
        }
        Some(Self { issuer, subject, extensions })
    }

    /// The names for which it is.
    pub(super) fn names(&self) -> Names {
        let mut names = Names::default();
        let Some(mut alternatives) =
            self.extension(SUBJECT_ALTERNATIVE_NAME).and_then(|der| Reader(der).content(SEQUENCE))
        else {
            names.common = common_name(self.subject);
            return names;
        };
        let alternatives = std::iter::from_fn(|| {
            let mut reader = Reader(alternatives);
            let next = reader.next();
            alternatives = reader.0;
            next
        });
        for (tag, content) in alternatives {
            match tag {
                DNS_NAME => names.dns.extend(std::str::from_utf8(content).map(str::to_owned)),
                IP_ADDRESS => names.addresses.extend(address(content)),
                _ => {}
            }
        }
        names
    }

    /// The value of an extension.
    fn extension(&self, identifier: &[u8]) -> Option<&'a [u8]> {
        let mut extensions = Reader(self.extensions?);
        while let Some((SEQUENCE, extension)) = extensions.next() {
            let mut extension = Reader(extension);
            if extension.content(OBJECT_IDENTIFIER) == Some(identifier) {
                // Whether it is critical may come first.
                while let Some((tag, content)) = extension.next() {
                    if tag == OCTET_STRING {
                        return Some(content);
                    }
                }
            }
        }
        None
    }
}

/// The most specific common name of a subject, which is the last one.
fn common_name(subject: &[u8]) -> Option<String> {
    let (mut subject, mut found) = (Reader(subject), None);
    while let Some((SET, attributes)) = subject.next() {
        let mut attributes = Reader(attributes);
        while let Some((SEQUENCE, attribute)) = attributes.next() {
            let mut attribute = Reader(attribute);
            if attribute.content(OBJECT_IDENTIFIER) == Some(COMMON_NAME)
                && let Some((UTF8_STRING | PRINTABLE_STRING | TELETEX_STRING | IA5_STRING, text)) = attribute.next()
            {
                found = std::str::from_utf8(text).ok().map(str::to_owned);
            }
        }
    }
    found
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Reads one element after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The tag and the content of the next element; `None` at the end, or if it is not whole.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // No certificate is as long as 16 MiB.
            0x81..=0x83 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which has this tag.
    fn content(&mut self, tag: u8) -> Option<&'a [u8]> {
        match self.next()? {
            (found, content) if found == tag => Some(content),
            _ => None,
        }
    }

    /// Skips the next element if it has this tag. `None` if there is no element.
    fn optional(&mut self, tag: u8) -> Option<()> {
        let mut ahead = Reader(self.0);
        if ahead.next()?.0 == tag {
            self.0 = ahead.0;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_beyond_the_end_are_no_element() {
        for bytes in [&[][..], &[0x30], &[0x30, 1], &[0x30, 0x80], &[0x30, 0x82, 1], &[0x30, 0x84, 0, 0, 0, 0]] {
            assert_eq!(Reader(bytes).next(), None, "{bytes:?}");
            assert!(Certificate::read(bytes).is_none());
        }
        assert_eq!(Reader(&[0x30, 0x81, 1, 7, 9]).next(), Some((0x30, &[7][..])));
    }
}
