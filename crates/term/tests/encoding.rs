//! Bytes as OTP 25 writes them (`term_to_binary(T, [{minor_version, 2}])`), and malformed ones.

use bytes::Bytes;
use peerl_term::{
    Atom, BigInt, Binary, BitString, DecodeErrorKind, ExternalFun, Limits, Pid, Port, Reference, Tag, Term,
};

fn decode(bytes: &[u8]) -> Result<Term, peerl_term::DecodeError> {
    Term::decode(&Bytes::copy_from_slice(bytes))
}

fn both_ways(term: Term, wire: &[u8]) {
    assert_eq!(term.encode(), wire);
    assert_eq!(decode(wire).unwrap(), term);
}

#[test]
fn integers() {
    both_ways(Term::from(0), &[131, 97, 0]);
    both_ways(Term::from(255), &[131, 97, 255]);
    both_ways(Term::from(256), &[131, 98, 0, 0, 1, 0]);
    both_ways(Term::from(-1), &[131, 98, 255, 255, 255, 255]);
    both_ways(Term::from(i32::MIN), &[131, 98, 128, 0, 0, 0]);
    both_ways(Term::from(1i64 << 31), &[131, 110, 4, 0, 0, 0, 0, 128]);
    both_ways(Term::from(i64::MIN), &[131, 110, 8, 1, 0, 0, 0, 0, 0, 0, 0, 128]);
    both_ways(Term::from(u64::MAX), &[131, 110, 8, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    let big = BigInt::from(1u8) << 4096;
    let mut wire = vec![131, 111, 0, 0, 2, 1, 0];
    wire.resize(7 + 512, 0);
    wire.push(1);
    both_ways(Term::from(big), &wire);
    assert_eq!(decode(&[131, 110, 3, 0, 7, 0, 0]).unwrap(), Term::from(7));
}

#[test]
fn floats() {
    both_ways(Term::float(-0.0).unwrap(), &[131, 70, 128, 0, 0, 0, 0, 0, 0, 0]);
    both_ways(Term::float(1.5).unwrap(), &[131, 70, 63, 248, 0, 0, 0, 0, 0, 0]);
    let mut old = vec![131, 99];
    old.extend_from_slice(b"1.50000000000000000000e+00\0\0\0\0\0");
    assert_eq!(decode(&old).unwrap(), Term::float(1.5).unwrap());
    assert_eq!(decode(&[131, 70, 127, 240, 0, 0, 0, 0, 0, 0]).unwrap_err().kind, DecodeErrorKind::Float);
}

#[test]
fn atoms() {
    both_ways(Term::atom("ok"), b"\x83\x77\x02ok");
    both_ways(Term::atom(""), b"\x83\x77\x00");
    let long = Atom::new(&"é".repeat(255)).unwrap();
    let mut wire = vec![131, 118, 1, 254];
    wire.extend_from_slice(long.as_bytes());
    both_ways(Term::from(long), &wire);
    assert_eq!(decode(b"\x83\x73\x01\xe9").unwrap(), Term::atom("é"));
    assert_eq!(decode(b"\x83\x64\x00\x01\xe9").unwrap(), Term::atom("é"));
    let mut long = vec![131, 118, 1, 0];
    long.resize(4 + 256, b'a');
    assert_eq!(decode(&long).unwrap_err().kind, DecodeErrorKind::AtomTooLong);
    assert_eq!(decode(b"\x83\x77\x01\xe9").unwrap_err().kind, DecodeErrorKind::AtomText);
}

#[test]
fn binaries_and_bit_strings() {
    both_ways(Term::binary(b"ab"), b"\x83\x6d\0\0\0\x02ab");
    both_ways(Term::from(BitString::new([0xff], 3).unwrap()), &[131, 77, 0, 0, 0, 1, 3, 0xe0]);
    assert_eq!(decode(&[131, 77, 0, 0, 0, 1, 9, 0]).unwrap_err().kind, DecodeErrorKind::BitCount);
    let large = Term::binary(vec![7; 100_000]);
    assert_eq!(Term::decode(&large.encode().into()).unwrap(), large);
}

#[test]
fn large_binaries_share_the_input_and_small_ones_do_not() {
    for (len, shared) in [(Binary::SHARED, true), (Binary::SHARED - 1, false)] {
        let wire = Bytes::from(Term::binary(vec![1; len]).encode());
        let term = Term::decode(&wire).unwrap();
        let bytes = term.as_binary().unwrap();
        assert_eq!(wire.as_ptr_range().contains(&bytes.as_ptr()), shared);
        assert_eq!(bytes.as_shared().is_some(), shared);
    }
}

#[test]
fn lists() {
    both_ways(Term::nil(), &[131, 106]);
    both_ways(Term::charlist("ab"), &[131, 107, 0, 2, b'a', b'b']);
    both_ways(Term::list([Term::from(-1), Term::from(2)]), &[131, 108, 0, 0, 0, 2, 98, 255, 255, 255, 255, 97, 2, 106]);
    both_ways(Term::list_with_tail([Term::from(1)], Term::from(2)), &[131, 108, 0, 0, 0, 1, 97, 1, 97, 2]);
    assert_eq!(decode(&[131, 108, 0, 0, 0, 1, 97, 1, 107, 0, 1, 2]).unwrap(), Term::list([1, 2].map(Term::from)));
    assert_eq!(decode(&[131, 108, 0, 0, 0, 0, 97, 1]).unwrap(), Term::from(1));
    let long = Term::list((0..65_536).map(|_| Term::from(1)));
    assert_eq!(long.encode()[1], Tag::LIST_EXT.0);
    assert_eq!(Term::decode(&long.encode().into()).unwrap(), long);
}

#[test]
fn tuples_and_maps() {
    both_ways(Term::tuple([Term::atom("ok"), Term::from(1)]), b"\x83\x68\x02\x77\x02ok\x61\x01");
    let wide = Term::tuple((0..300).map(Term::from));
    assert_eq!(wide.encode()[..6], [131, 105, 0, 0, 1, 44]);
    assert_eq!(Term::decode(&wide.encode().into()).unwrap(), wide);
    let map = Term::map([(Term::atom("b"), Term::from(2)), (Term::atom("a"), Term::from(1))]);
    both_ways(map.clone(), b"\x83\x74\0\0\0\x02\x77\x01a\x61\x01\x77\x01b\x61\x02");
    assert_eq!(decode(b"\x83\x74\0\0\0\x02\x77\x01b\x61\x02\x77\x01a\x61\x01").unwrap(), map);
    let twice = decode(b"\x83\x74\0\0\0\x02\x77\x01b\x61\x02\x77\x01b\x61\x01").unwrap_err();
    assert_eq!((twice.kind, twice.offset, twice.tag), (DecodeErrorKind::DuplicateKey, 1, Tag::MAP_EXT));
    assert_eq!(map.as_map().unwrap().get(&Term::atom("b")), Some(&Term::from(2)));
}

#[test]
fn identifiers() {
    let node = Atom::from_static("a@h");
    both_ways(
        Term::from(Pid { node: node.clone(), id: 1, serial: 2, creation: 3 }),
        b"\x83\x58\x77\x03a@h\0\0\0\x01\0\0\0\x02\0\0\0\x03",
    );
    both_ways(Term::from(Port { node: node.clone(), id: 1, creation: 3 }), b"\x83\x59\x77\x03a@h\0\0\0\x01\0\0\0\x03");
    both_ways(
        Term::from(Port { node: node.clone(), id: 1 << 40, creation: 3 }),
        b"\x83\x78\x77\x03a@h\0\0\x01\0\0\0\0\0\0\0\0\x03",
    );
    both_ways(
        Term::from(Reference::new(node.clone(), 3, &[1, 2, 4]).unwrap()),
        b"\x83\x5a\0\x03\x77\x03a@h\0\0\0\x03\0\0\0\x01\0\0\0\x02\0\0\0\x04",
    );
    let word = Reference::new(node.clone(), 3, &[1]).unwrap();
    assert_eq!(word, Reference::new(node, 3, &[1, 0, 0]).unwrap());
    assert_eq!(decode(b"\x83\x5a\0\x06\x77\x00").unwrap_err().kind, DecodeErrorKind::ReferenceWords);
}

#[test]
fn funs_and_records() {
    let fun = ExternalFun { module: Atom::from_static("m"), function: Atom::from_static("f"), arity: 2 };
    both_ways(Term::from(fun), b"\x83\x71\x77\x01m\x77\x01f\x61\x02");
    let mut local = vec![131, 112, 0, 0, 0, 0, 0];
    local.extend_from_slice(&[7; 16]);
    local.extend_from_slice(b"\0\0\0\x05\0\0\0\x01\x77\x01m\x61\x05\x62\0\0\x30\x39");
    local.extend_from_slice(b"\x58\x77\x03a@h\0\0\0\0\0\0\0\0\0\0\0\x03\x61\x09");
    let size = (local.len() - 2) as u32;
    local[2..6].copy_from_slice(&size.to_be_bytes());
    let term = decode(&local).unwrap();
    assert!(matches!(&term, Term::LocalFun(fun) if fun.free_variables() == [Term::from(9)]));
    assert_eq!(term.encode(), local);
    let record = b"\x83\x43\0\0\0\x02\0\x77\x02nr\x77\x05point\x77\x01x\x77\x01y\x61\x05\x61\x02";
    let term = decode(record).unwrap();
    assert!(matches!(&term, Term::Record(record) if record.get("y") == Some(&Term::from(2))));
    assert_eq!(term.encode(), record);
}

#[test]
fn compressed_terms_are_read_within_the_limit() {
    // term_to_binary(lists:duplicate(100, a), [{compressed, 9}])
    let list = Term::list((0..100).map(|_| Term::atom("a")));
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut zlib, &list.encode()[1..]).unwrap();
    let mut wire = vec![131, 80];
    wire.extend_from_slice(&(list.encode().len() as u32 - 1).to_be_bytes());
    wire.extend_from_slice(&zlib.finish().unwrap());
    assert_eq!(decode(&wire).unwrap(), list);
    let limits = Limits { decompressed: 10, ..Limits::default() };
    let error = Term::decode_with(&Bytes::copy_from_slice(&wire), &limits).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::TooManyBytes);
    wire[5] -= 1;
    assert_eq!(decode(&wire).unwrap_err().kind, DecodeErrorKind::Compression);
}

#[test]
fn malformed_input_is_an_error_that_names_the_place() {
    assert_eq!(decode(&[]).unwrap_err().kind, DecodeErrorKind::Truncated);
    assert_eq!(decode(&[130]).unwrap_err().kind, DecodeErrorKind::Version);
    assert_eq!(decode(&[131, 106, 106]).unwrap_err().kind, DecodeErrorKind::Trailing);
    assert_eq!(decode(&[131, 82, 0]).unwrap_err().kind, DecodeErrorKind::AtomReference);
    assert_eq!(decode(&[131, 68]).unwrap_err().kind, DecodeErrorKind::UnknownTag);
    assert_eq!(decode(&[131, 104, 2, 97]).unwrap_err().kind, DecodeErrorKind::Truncated);
    let error = decode(&[131, 104, 1, 97]).unwrap_err();
    assert_eq!((error.offset, error.tag), (3, Tag::SMALL_INTEGER_EXT));
    assert_eq!(error.to_string(), "truncated term in SMALL_INTEGER_EXT (97) at byte 3");
    let limits = Limits { elements: 1, ..Limits::default() };
    let error = Term::decode_with(&Bytes::from_static(&[131, 104, 2, 97, 1, 97, 2]), &limits).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::TooManyElements);
}
