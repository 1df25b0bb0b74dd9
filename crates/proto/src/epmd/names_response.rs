use bytes::{Buf, BufMut};

use super::{AliveName, ResponseError};

/// `NAMES_RESP`: the names and ports of all registered nodes. It ends when the connection closes.
///
/// ```text
/// u32 port of EPMD | "name alfa at port 33505\n" …
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesResponse {
    /// The port that EPMD listens on.
    pub epmd_port: u16,
    /// The nodes, the newest first.
    pub names: Vec<NameEntry>,
    /// How many lines could not be parsed. Any local process can register a name that breaks a line of this text;
    /// such a name must not hide the other nodes.
    pub unreadable: usize,
}

/// One line of a [`NamesResponse`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NameEntry {
    /// The name before the `@`.
    pub name: AliveName,
    /// The TCP port on which the node takes distribution connections.
    pub port: u16,
}

impl NamesResponse {
    /// An answer with these nodes.
    pub fn new(epmd_port: u16, names: Vec<NameEntry>) -> Self {
        Self { epmd_port, names, unreadable: 0 }
    }

    /// Decodes all bytes up to the end of the connection.
    ///
    /// # Errors
    /// There are fewer than four bytes, they are not a port, or the text does not end with a line break: it is
    /// truncated.
    pub fn decode(mut answer: &[u8]) -> Result<Self, ResponseError> {
        const CUT: ResponseError = ResponseError::Truncated { request: "NAMES_REQ" };
        let epmd_port = answer.try_get_u32().map_err(|_| CUT)?;
        let epmd_port =
            u16::try_from(epmd_port).map_err(|_| ResponseError::NoPort { request: "NAMES_REQ", number: epmd_port })?;
        let mut response = Self::new(epmd_port, Vec::new());
        let Some(lines) = answer.strip_suffix(b"\n") else {
            return if answer.is_empty() { Ok(response) } else { Err(CUT) };
        };
        for line in lines.split(|&byte| byte == b'\n') {
            match NameEntry::parse(line) {
                Some(entry) => response.names.push(entry),
                None => response.unreadable += 1,
            }
        }
        Ok(response)
    }

    /// The answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.names.len() * 32);
        out.put_u32(self.epmd_port.into());
        for NameEntry { name, port } in &self.names {
            out.extend_from_slice(format!("name {name} at port {port}\n").as_bytes());
        }
        out
    }
}

impl NameEntry {
    /// The line for the node `name` at `port`.
    pub fn new(name: AliveName, port: u16) -> Self {
        Self { name, port }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (name, port) = line.strip_prefix("name ")?.split_once(" at port ")?;
        Some(Self { name: AliveName::new(name).ok()?, port: port.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the `epmd` of OTP 25 on port 43791.
    const TWO: &[u8] = b"\x00\x00\xab\x0fname beta at port 35561\nname alfa at port 33505\n";

    fn entry(name: &str, port: u16) -> NameEntry {
        NameEntry::new(AliveName::new(name).unwrap(), port)
    }

    #[test]
    fn as_epmd_of_otp_25_answers() {
        let names = vec![entry("beta", 35561), entry("alfa", 33505)];
        let response = NamesResponse::new(43791, names);
        assert_eq!(response.encode(), TWO);
        assert_eq!(NamesResponse::decode(TWO), Ok(response));
        let none = NamesResponse::new(43791, vec![]);
        assert_eq!(NamesResponse::decode(&TWO[..4]), Ok(none));
    }

    #[test]
    fn a_hostile_name_hides_nobody_else() {
        let answer = b"\x00\x00\xab\x0fname x\xff at port 1\nname a b at port 2\nname alfa at port 33505\nname c at port 70000\n";
        let response = NamesResponse::decode(answer).unwrap();
        assert_eq!(response.names, [entry("alfa", 33505)]);
        assert_eq!(response.unreadable, 3);
    }

    #[test]
    fn a_web_server_is_no_epmd() {
        let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        let number = u32::from_be_bytes(*b"HTTP");
        assert_eq!(NamesResponse::decode(answer), Err(ResponseError::NoPort { request: "NAMES_REQ", number }));
    }

    #[test]
    fn a_cut_answer_is_not_taken_for_a_shorter_list() {
        for cut in (0..4).chain(5..28) {
            assert!(NamesResponse::decode(&TWO[..cut]).is_err(), "{cut} bytes");
        }
    }
}
