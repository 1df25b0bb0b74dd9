//! The text of an event of a stream.

use std::io::Write;

use bytes::Bytes;
use serde::Serialize;

/// An event with data as JSON, and perhaps an id; about so many bytes.
pub(super) fn event(kind: &str, id: Option<u64>, size: usize, data: &impl Serialize) -> Bytes {
    let mut text = Vec::with_capacity(size);
    // Writing to memory cannot fail, and all data are made of strings and numbers.
    let _ = match id {
        Some(id) => write!(text, "event: {kind}\nid: {id}\ndata: "),
        None => write!(text, "event: {kind}\ndata: "),
    };
    let _ = serde_json::to_writer(&mut text, data);
    text.extend_from_slice(b"\n\n");
    text.shrink_to_fit();
    text.into()
}
