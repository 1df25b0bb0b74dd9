use bytes::{Buf, BufMut};

use super::{AliveName, ResponseError};

/// `DUMP_RESP`: all names that EPMD remembers. It ends when the connection closes.
///
/// ```text
/// u32 port of EPMD | "active name     <alfa> at port 33505, fd = 5\n\0" …
///                  | "old/unused name <beta>, port = 35561, fd = 6 \n\0" …
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpResponse {
    /// The port that EPMD listens on.
    pub epmd_port: u16,
    /// The registered names, the newest first, then the unused ones, the oldest first.
    pub entries: Vec<DumpEntry>,
    /// How many entries could not be parsed.
    pub unreadable: usize,
}

/// One line of a [`DumpResponse`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DumpEntry {
    /// Whether a node has the name now.
    pub state: DumpState,
    /// The name before the `@`.
    pub name: AliveName,
    /// The port of the node that has or had the name.
    pub port: u16,
    /// EPMD's number for the connection.
    pub fd: u64,
}

/// Whether a name in a [`DumpResponse`] is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DumpState {
    /// A node has the name.
    Active,
    /// A node had the name; EPMD keeps its creation.
    Old,
}

impl DumpResponse {
    /// An answer with these entries.
    pub fn new(epmd_port: u16, entries: Vec<DumpEntry>) -> Self {
        Self { epmd_port, entries, unreadable: 0 }
    }

    /// Decodes all bytes that came until EPMD closed the connection.
    ///
    /// # Errors
    /// There are fewer than four bytes, they are not a port, or the last entry is truncated.
    pub fn decode(mut answer: &[u8]) -> Result<Self, ResponseError> {
        const CUT: ResponseError = ResponseError::Truncated { request: "DUMP_REQ" };
        let epmd_port = answer.try_get_u32().map_err(|_| CUT)?;
        let epmd_port =
            u16::try_from(epmd_port).map_err(|_| ResponseError::NoPort { request: "DUMP_REQ", number: epmd_port })?;
        let mut response = Self::new(epmd_port, Vec::new());
        let Some(entries) = answer.strip_suffix(b"\n\0") else {
            return if answer.is_empty() { Ok(response) } else { Err(CUT) };
        };
        for entry in entries.split(|&byte| byte == 0) {
            match DumpEntry::parse(entry) {
                Some(entry) => response.entries.push(entry),
                None => response.unreadable += 1,
            }
        }
        Ok(response)
    }

    /// The answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.entries.len() * 64);
        out.put_u32(self.epmd_port.into());
        for DumpEntry { state, name, port, fd } in &self.entries {
            let line = match state {
                DumpState::Active => {
                    format!("active name     <{name}> at port {port}, fd = {fd}\n\0")
                }
                DumpState::Old => {
                    format!("old/unused name <{name}>, port = {port}, fd = {fd} \n\0")
                }
            };
            out.extend_from_slice(line.as_bytes());
        }
        out
    }
}

impl DumpEntry {
    /// An entry with these fields.
    pub fn new(state: DumpState, name: AliveName, port: u16, fd: u64) -> Self {
        Self { state, name, port, fd }
    }

    fn parse(entry: &[u8]) -> Option<Self> {
        let entry = std::str::from_utf8(entry).ok()?.trim_end();
        let (state, rest, before_port) = match entry.strip_prefix("active name     <") {
            Some(rest) => (DumpState::Active, rest, "> at port "),
            None => {
                let rest = entry.strip_prefix("old/unused name <")?;
                (DumpState::Old, rest, ">, port = ")
            }
        };
        let (name, rest) = rest.rsplit_once(before_port)?;
        let (port, fd) = rest.split_once(", fd = ")?;
        Some(Self { state, name: AliveName::new(name).ok()?, port: port.parse().ok()?, fd: fd.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_epmd_of_otp_25_answers() {
        let active = b"\x00\x00\xab\x0factive name     <alfa> at port 33505, fd = 5\n\x00";
        let old = b"\x00\x00\xab\x0fold/unused name <alfa>, port = 33505, fd = 5 \n\x00";
        let states: [(&[u8], DumpState); 2] = [(active, DumpState::Active), (old, DumpState::Old)];
        for (bytes, state) in states {
            let entry = DumpEntry::new(state, AliveName::new("alfa").unwrap(), 33505, 5);
            let response = DumpResponse::new(43791, vec![entry]);
            assert_eq!(response.encode(), bytes);
            assert_eq!(DumpResponse::decode(bytes), Ok(response));
            assert!(DumpResponse::decode(&bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn an_entry_that_makes_no_sense_is_counted() {
        let bytes = b"\x00\x00\xab\x0fnonsense\n\x00active name     <alfa> at port 33505, fd = 5\n\x00";
        let response = DumpResponse::decode(bytes).unwrap();
        assert_eq!((response.entries.len(), response.unreadable), (1, 1));
    }
}
