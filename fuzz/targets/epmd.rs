#![no_main]
//! EPMD: requests as a server reads them, and answers as a client does.

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use peerl_proto::epmd::{DumpResponse, KillResponse, NamesResponse, Request, StopResponse};

fuzz_target!(|input: &[u8]| {
    let mut stream = BytesMut::from(input);
    while let Ok(Some(request)) = Request::read(&mut stream) {
        let _ = format!("{request:?}");
    }
    // Lines that are unreadable are counted, and not encoded.
    if let Ok(NamesResponse { epmd_port, names, .. }) = NamesResponse::decode(input) {
        let answer = NamesResponse::new(epmd_port, names);
        assert_eq!(NamesResponse::decode(&answer.encode()), Ok(answer));
    }
    if let Ok(DumpResponse { epmd_port, entries, .. }) = DumpResponse::decode(input) {
        let answer = DumpResponse::new(epmd_port, entries);
        assert_eq!(DumpResponse::decode(&answer.encode()), Ok(answer));
    }
    let _ = (KillResponse::decode(input), StopResponse::decode(input));
});
