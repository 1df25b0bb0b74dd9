//! The mapping of Rust types, by examples.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use bytes::Bytes;
use peerl_term::serde::{
    Absent, AcceptedAbsent, Charlists, Error, ErrorKind, Options, from_bytes, from_raw, from_slice, from_term,
    list_to_sink, to_sink, to_term, to_vec,
};
use peerl_term::{
    Atom, AtomTable, BigInt, Binary, BitString, DecodeErrorKind, ExternalFun, Pid, Port, RawTerm, Reference, Term,
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    #[serde(rename = "Y")]
    y: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Meters(u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Nothing,
    Circle(f64),
    Line(Point, Point),
    Square { side: u8 },
}

fn a(name: &'static str) -> Term {
    Term::atom(name)
}

fn map<const N: usize>(pairs: [(&'static str, Term); N]) -> Term {
    Term::map(pairs.map(|(key, value)| (a(key), value)))
}

#[track_caller]
fn both_ways<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, term: Term) {
    assert_eq!(to_term(&value).unwrap(), term);
    assert_eq!(from_term::<T>(&term).unwrap(), value);
    let wire = to_vec(&value).unwrap();
    assert_eq!(from_slice::<T>(&wire).unwrap(), value);
}

#[track_caller]
fn read<T: DeserializeOwned>(term: Term) -> T {
    from_term(&term).unwrap()
}

#[track_caller]
fn refused<T: DeserializeOwned + Debug>(term: Term) -> String {
    from_term::<T>(&term).unwrap_err().to_string()
}

#[test]
fn numbers() {
    both_ways(7u8, Term::from(7));
    both_ways(-7i64, Term::from(-7));
    both_ways(i64::MIN, Term::from(i64::MIN));
    both_ways(u64::MAX, Term::from(u64::MAX));
    both_ways(u128::MAX, Term::from(BigInt::from(u128::MAX)));
    both_ways(i128::MIN, Term::from(BigInt::from(i128::MIN)));
    both_ways(-0.0f64, Term::float(-0.0).unwrap());
    both_ways(0.5f32, Term::float(0.5).unwrap());
    assert_eq!(read::<f64>(Term::from(2)), 2.0);
    assert_eq!(to_vec(&f64::NAN), Err(ErrorKind::Float.into()));
    assert_eq!(refused::<u8>(Term::from(256)), "invalid value: integer `256`, expected u8 at byte 0");
    assert_eq!(refused::<u8>(a("x")), "invalid type: string \"x\", expected u8 at byte 0");
    assert!(refused::<u128>(Term::from(BigInt::from(1) << 128)).starts_with("invalid type: integer of more than"));
}

#[test]
fn atoms_and_text() {
    both_ways(true, a("true"));
    both_ways((), a("ok"));
    both_ways(Unit, a("Unit"));
    both_ways("höhe".to_owned(), Term::from("höhe"));
    both_ways('$', Term::from(36));
    assert_eq!(read::<String>(a("true")), "true");
    assert_eq!(read::<char>(Term::from("é")), 'é');
    for unit in [a("undefined"), a("nil"), Term::tuple([])] {
        read::<()>(unit);
    }
    assert!(refused::<()>(a("error")).contains("expected unit"));
    assert!(refused::<Unit>(a("unit")).contains("expected Unit"));
    assert!(refused::<String>(Term::charlist("abc")).contains("invalid type: sequence, expected a string"));
    assert_eq!(from_slice::<String>(b"\x83\x73\x01\xe9").unwrap(), "é");
}

#[test]
fn options() {
    both_ways(None::<u8>, a("undefined"));
    both_ways(Some(1), Term::from(1));
    assert_eq!(read::<Option<u8>>(a("nil")), None);
    assert_eq!(read::<Option<String>>(a("none")), Some("none".into()));
    assert_eq!(Options::elixir().to_term(&None::<u8>).unwrap(), a("nil"));
    let strict = Options::default().accepted_absent(AcceptedAbsent::AsWritten).absent(Absent::Nil);
    assert_eq!(strict.from_term::<Option<String>>(&a("undefined")).unwrap(), Some("undefined".into()));
    assert_eq!(strict.from_term::<Option<String>>(&a("nil")).unwrap(), None);
}

#[test]
fn charlists_where_asked_for() {
    let accepting = Options::default().charlists(Charlists::Accepted);
    assert_eq!(accepting.from_term::<String>(&Term::charlist("abc")).unwrap(), "abc");
    assert_eq!(accepting.from_term::<String>(&Term::charlist("λx")).unwrap(), "λx");
    assert_eq!(accepting.from_term::<String>(&Term::nil()).unwrap(), "");
    assert!(accepting.from_term::<String>(&Term::list([Term::from(0xd800)])).is_err());

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Host {
        #[serde(with = "peerl_term::serde::charlist")]
        name: String,
    }
    let host = Host { name: "λ.b".into() };
    both_ways(host, map([("name", Term::charlist("λ.b"))]));
    for name in [Term::from("a.b"), a("a.b"), Term::charlist("a.b")] {
        assert_eq!(read::<Host>(map([("name", name)])).name, "a.b");
    }
}

#[test]
fn sequences() {
    both_ways(vec![1000, 2], Term::list([1000, 2].map(Term::from)));
    both_ways(Vec::<u8>::new(), Term::nil());
    both_ways((1, "b".to_owned()), Term::tuple([Term::from(1), Term::from("b")]));
    both_ways([true, false], Term::tuple([a("true"), a("false")]));
    both_ways(Meters(3), Term::from(3));
    assert_eq!(read::<Vec<u16>>(Term::charlist("ab")), [97, 98]);
    assert_eq!(read::<Vec<u8>>(Term::binary(b"ab")), b"ab");
    assert_eq!(read::<(u8, String)>(Term::list([Term::from(1), Term::from("b")])), (1, "b".into()));
    assert_eq!(read::<Vec<u16>>(Term::tuple([Term::from(1)])), [1]);
    assert_eq!(from_slice::<Vec<u16>>(b"\x83\x6c\0\0\0\x01\x61\x01\x6c\0\0\0\0\x6b\0\x01\x02").unwrap(), [1, 2]);
    assert_eq!(refused::<Vec<u8>>(Term::list_with_tail([Term::from(1)], Term::from(2))), "improper list at byte 7");
    assert!(refused::<(u8, u8)>(Term::charlist("abc")).contains("too many"));
    assert!(refused::<(u8, u8)>(Term::charlist("a")).contains("invalid length 1"));
    assert!(refused::<(u8, u8)>(Term::tuple([1, 2, 3].map(Term::from))).contains("invalid length 3"));
    assert!(refused::<[u8; 2]>(Term::binary(b"abc")).contains("too many"));
}

#[test]
fn sequences_of_unknown_length() {
    struct Unknown(u32);
    impl Serialize for Unknown {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut sequence = serializer.serialize_seq(None)?;
            for i in 0..self.0 {
                sequence.serialize_element(&(1000 + i))?;
            }
            sequence.end()
        }
    }
    assert_eq!(to_term(&Unknown(0)).unwrap(), Term::nil());
    let mut sink = b"before".to_vec();
    to_sink(&Unknown(2), &mut sink).unwrap();
    assert_eq!(sink, b"before\x6c\0\0\0\x02\x62\0\0\x03\xe8\x62\0\0\x03\xe9\x6a");
}

#[test]
fn structs_and_maps() {
    let point = Point { x: 1, y: 2.0 };
    let y = Term::float(2.0).unwrap();
    both_ways(vec![point.clone()], Term::list([map([("Y", y.clone()), ("x", Term::from(1))])]));
    let binary_keys = Term::map([(Term::from("x"), Term::from(1)), (Term::from("Y"), y.clone())]);
    assert_eq!(read::<Point>(binary_keys), point);
    let properties = Term::list(
        [("x", Term::from(1)), ("z", Term::nil()), ("Y", y)].map(|(key, value)| Term::tuple([a(key), value])),
    );
    assert_eq!(read::<Point>(properties), point);
    let record = b"\x83\x43\0\0\0\x02\0\x77\x02nr\x77\x05point\x77\x01x\x77\x01Y\x61\x01\x61\x02";
    assert_eq!(from_slice::<Point>(record).unwrap(), point);

    both_ways(BTreeMap::from([("k".to_owned(), 1)]), Term::map([(Term::from("k"), Term::from(1))]));
    both_ways(BTreeMap::from([((1, 2), Meters(3))]), Term::map([(Term::tuple([1, 2].map(Term::from)), Term::from(3))]));
    assert!(refused::<Point>(map([("x", Term::from(1))])).contains("missing field `Y`"));
    let flags: HashMap<String, bool> = read(Term::list([a("verbose")]));
    assert!(flags["verbose"]);
}

#[test]
fn maps_in_a_row_may_have_their_keys_in_any_order() {
    let (x, y) = (b"\x77\x01x\x61\x01", b"\x77\x01Y\x61\x02");
    let unknown = b"\x77\x01z\x6a";
    let orders: [&[&[u8]]; 5] = [&[x, y], &[y, x], &[unknown, x, y], &[x, unknown, y], &[x, y]];
    let mut wire = vec![131, 108, 0, 0, 0, orders.len() as u8];
    for pairs in orders {
        wire.extend_from_slice(&[116, 0, 0, 0, pairs.len() as u8]);
        wire.extend(pairs.concat());
    }
    wire.push(106);
    assert_eq!(from_slice::<Vec<Point>>(&wire).unwrap(), vec![Point { x: 1, y: 2.0 }; 5]);
}

#[test]
fn keys_that_are_no_names_are_unknown_fields() {
    let term = Term::map([(Term::from(0), Term::from(9)), (a("x"), Term::from(1)), (a("Y"), Term::from(1))]);
    assert_eq!(read::<Point>(term), Point { x: 1, y: 1.0 });
}

#[test]
fn enums() {
    both_ways(Shape::Nothing, a("nothing"));
    both_ways(Shape::Circle(0.5), Term::tuple([a("circle"), Term::float(0.5).unwrap()]));
    both_ways(Shape::Square { side: 2 }, Term::tuple([a("square"), map([("side", Term::from(2))])]));
    let (from, to) = (Point { x: 0, y: 0.5 }, Point { x: 1, y: 1.5 });
    let line = to_term(&Shape::Line(from.clone(), to.clone())).unwrap();
    assert_eq!(line.as_tuple().unwrap().len(), 3);
    assert_eq!(read::<Shape>(line), Shape::Line(from, to));
    assert_eq!(read::<Shape>(Term::from("nothing")), Shape::Nothing);
    assert_eq!(read::<Shape>(Term::tuple([a("nothing")])), Shape::Nothing);
    assert!(refused::<Shape>(a("circle")).contains("variant `circle` has 1 values, not 0"));
    assert!(refused::<Shape>(a("oval")).contains("unknown variant `oval`"));
    assert!(refused::<Shape>(Term::tuple([])).contains("empty tuple"));

    both_ways(Ok::<u8, String>(1), Term::tuple([a("ok"), Term::from(1)]));
    both_ways(Err::<u8, Atom>(Atom::from_static("enoent")), Term::tuple([a("error"), a("enoent")]));
}

#[test]
fn attributes_of_serde() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type", rename_all = "lowercase")]
    enum Tagged {
        Get { key: String },
        Stop,
    }
    for value in [Tagged::Get { key: "k".into() }, Tagged::Stop] {
        assert_eq!(read::<Tagged>(to_term(&value).unwrap()), value);
    }
    assert_eq!(read::<Tagged>(map([("type", a("get")), ("key", Term::from("k"))])), Tagged::Get { key: "k".into() });

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
        Who(Pid),
        Many(Vec<Either>),
    }
    let pid = Pid { node: Atom::from_static("a@h"), id: 1, serial: 2, creation: 3 };
    let value = Either::Many(vec![Either::Number(1), Either::Text("a".into()), Either::Who(pid)]);
    assert_eq!(read::<Either>(to_term(&value).unwrap()), value);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Open {
        id: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, Term>,
    }
    let open: Open = read(map([("id", Term::from(1)), ("list", Term::list([Term::from(1)])), ("x", Term::from("y"))]));
    assert_eq!(open.rest["list"], Term::list([Term::from(1)]));
    assert_eq!(read::<Open>(to_term(&open).unwrap()), open);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sparse {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        a: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        b: Option<u8>,
    }
    both_ways(Sparse { a: None, b: Some(1) }, map([("b", Term::from(1))]));
}

#[test]
fn borrows_from_the_frame() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Borrowed<'a> {
        text: &'a str,
        bytes: &'a [u8],
        atom: &'a str,
    }
    let term = map([("text", Term::from("t")), ("bytes", Term::binary(b"\xff")), ("atom", a("ok"))]);
    let raw = RawTerm::encoded_from(&term);
    let borrowed: Borrowed<'_> = from_raw(&raw).unwrap();
    assert_eq!(borrowed, Borrowed { text: "t", bytes: b"\xff", atom: "ok" });
    assert!(raw.bytes().as_ptr_range().contains(&borrowed.text.as_ptr()));
}

#[test]
fn atoms_of_a_distribution_header() {
    let atoms: AtomTable = ["x", "Y"].map(|name| Atom::new(name).unwrap()).into_iter().collect();
    let raw = RawTerm::new(Bytes::from_static(b"\x74\0\0\0\x02\x52\x00\x61\x01\x52\x01\x61\x02"), atoms);
    assert_eq!(from_raw::<Point>(&raw).unwrap(), Point { x: 1, y: 2.0 });
    let pair: (Term, u8) =
        from_raw(&RawTerm::new(Bytes::from_static(b"\x68\x02\x52\x01\x61\x02"), raw.atoms().clone())).unwrap();
    assert_eq!(pair, (a("Y"), 2));
}

#[test]
fn terms_pass_through() {
    let node = Atom::from_static("a@h");
    let terms = [
        Term::from(1),
        Term::from(BigInt::from(1) << 300),
        a("undefined"),
        Term::from(BitString::new([0xe0], 3).unwrap()),
        Term::from(Pid { node: node.clone(), id: 1, serial: 2, creation: 3 }),
        Term::from(Port { node: node.clone(), id: 1, creation: 3 }),
        Term::from(Reference::new(node.clone(), 3, &[1, 2, 3]).unwrap()),
        Term::from(ExternalFun { module: node.clone(), function: node.clone(), arity: 2 }),
        Term::list_with_tail([Term::from(1)], Term::from(2)),
        Term::map([(Term::list([a("k")]), Term::tuple([]))]),
    ];
    for term in terms {
        both_ways((term.clone(), 1u8), Term::tuple([term.clone(), Term::from(1)]));
        both_ways(vec![term.clone()], Term::list([term]));
    }
    both_ways(node.clone(), Term::from(node.clone()));
    both_ways(Binary::from("b"), Term::from("b"));
    let pid = Pid { node: node.clone(), id: 1, serial: 2, creation: 3 };
    both_ways(Some(pid.clone()), Term::from(pid));
    let reference = Reference::new(node.clone(), 3, &[1]).unwrap();
    both_ways(reference.clone(), Term::from(reference));
    let fun = ExternalFun { module: node.clone(), function: node, arity: 2 };
    both_ways(fun.clone(), Term::from(fun));
    assert_eq!(refused::<Pid>(a("x")), "invalid type: atom, expected a pid");
    assert_eq!(read::<Option<Term>>(a("undefined")), None);
}

#[test]
fn local_funs_pass_through_with_their_size() {
    let mut fun = vec![131, 112, 0, 0, 0, 0, 0];
    fun.extend_from_slice(&[7; 16]);
    fun.extend_from_slice(b"\0\0\0\x05\0\0\0\x01\x77\x01m\x61\x05\x62\0\0\x30\x39");
    fun.extend_from_slice(b"\x58\x77\x03a@h\0\0\0\0\0\0\0\0\0\0\0\x03\x61\x09");
    let size = (fun.len() - 2) as u32;
    fun[2..6].copy_from_slice(&size.to_be_bytes());
    let term = Term::decode(&fun.into()).unwrap();
    both_ways((1u8, term.clone()), Term::tuple([Term::from(1), term]));
}

#[test]
fn large_binaries_in_terms_share_the_frame() {
    let wire = Bytes::from(to_vec(&(1u8, Term::binary(vec![7; 10_000]))).unwrap());
    let (_, term): (u8, Term) = from_bytes(&wire).unwrap();
    assert!(wire.as_ptr_range().contains(&term.as_binary().unwrap().as_ptr()));
    let (_, binary): (u8, Binary) = from_bytes(&wire).unwrap();
    assert!(wire.as_ptr_range().contains(&binary.as_ptr()));
}

#[test]
fn other_formats_get_what_comes_closest() {
    let term = map([
        ("a", Term::list([Term::from(1), Term::from("text"), Term::from(true), a("undefined")])),
        ("b", Term::float(0.5).unwrap()),
    ]);
    let json = serde_json::to_string(&term).unwrap();
    assert_eq!(json, r#"{"a":[1,"text",true,null],"b":0.5}"#);
    let back: Term = serde_json::from_str(&json).unwrap();
    let text_keys = Term::map(
        term.as_map()
            .unwrap()
            .clone()
            .into_pairs()
            .map(|(key, value)| (Term::from(key.as_atom().unwrap().as_str()), value)),
    );
    assert_eq!(back, text_keys);
    let pid = Pid { node: Atom::from_static("a@h"), id: 1, serial: 2, creation: 3 };
    let json = serde_json::to_string(&pid).unwrap();
    assert_eq!(serde_json::from_str::<Pid>(&json).unwrap(), pid);
    assert_eq!(serde_json::from_str::<Term>(&json).unwrap(), Term::from(pid));
    assert_eq!(serde_json::from_str::<Atom>("\"ok\"").unwrap(), "ok");
    assert_eq!(
        serde_json::from_str::<Binary>(&serde_json::to_string(&Binary::from(b"\xff")).unwrap()).unwrap()[..],
        [255]
    );
    let mut deep = Term::nil();
    for _ in 0..100_000 {
        deep = Term::tuple([deep]);
    }
    assert!(serde_json::to_string(&deep).unwrap_err().to_string().contains("too deep"));
    let value: serde_json::Value = from_term(&term).unwrap();
    assert_eq!(value, serde_json::json!({"a": [1, "text", true, null], "b": 0.5}));
}

#[test]
fn arguments_are_a_list() {
    let list = |value: &dyn Fn(&mut Vec<u8>) -> Result<(), Error>| {
        let mut sink = vec![131];
        value(&mut sink).map(|()| Term::decode(&sink.into()).unwrap())
    };
    let pair = Term::list([Term::from(1), Term::tuple([Term::from(2), Term::from(3)])]);
    assert_eq!(list(&|sink| list_to_sink(&(1, (2, 3)), sink)).unwrap(), pair);
    assert_eq!(list(&|sink| list_to_sink(&(), sink)).unwrap(), Term::nil());
    assert_eq!(list(&|sink| list_to_sink(&[a("x")], sink)).unwrap(), Term::list([a("x")]));
    assert_eq!(list(&|sink| list_to_sink(&vec![(1,)], sink)).unwrap(), Term::list([Term::tuple([Term::from(1)])]));
    assert!(list(&|sink| list_to_sink(&1, sink)).is_err());
    assert!(list(&|sink| list_to_sink(&Point { x: 1, y: 1.0 }, sink)).is_err());
    assert!(list(&|sink| list_to_sink(&Shape::Circle(1.0), sink)).is_err());
}

#[test]
fn errors_keep_the_place() {
    let wire = to_vec(&(1u8, "x", Point { x: 1, y: 0.5 })).unwrap();
    let error = from_slice::<(u8, u8, Point)>(&wire).unwrap_err();
    assert_eq!(error.offset(), Some(5));
    let error = from_slice::<(u8, String, Point)>(&wire[..12]).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Decode(error) if error.kind == DecodeErrorKind::Truncated && error.offset == 11)
    );
    let mut longer = wire.clone();
    longer.push(0);
    let error = from_slice::<(u8, String, Point)>(&longer).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Decode(error) if error.kind == DecodeErrorKind::Trailing));
    assert_eq!(from_slice::<u8>(b"\x82").unwrap_err().offset(), Some(0));
}

#[test]
fn depth_is_bounded_and_what_is_ignored_is_not() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Nested(Vec<Nested>);
    let mut deep = vec![131];
    for _ in 0..1_000_000 {
        deep.extend_from_slice(&[108, 0, 0, 0, 1]);
    }
    deep.push(106);
    deep.resize(deep.len() + 1_000_000, 106);
    assert_eq!(from_slice::<Nested>(&deep).unwrap_err(), ErrorKind::TooDeep { offset: Some(1 + 128 * 5) }.into());
    assert!(from_slice::<serde_json::Value>(&deep).is_err());
    from_slice::<IgnoredAny>(&deep).unwrap();
    let term: Term = from_slice(&deep).unwrap();
    assert_eq!(to_vec(&term).unwrap(), deep);
    assert!(Options::default().depth(2).from_slice::<Nested>(&to_vec(&vec![[[0u8; 0]]]).unwrap()).is_err());
    let mut deep = Nested(vec![]);
    for _ in 0..200 {
        deep = Nested(vec![deep]);
    }
    assert_eq!(to_vec(&deep).unwrap_err(), ErrorKind::TooDeep { offset: None }.into());
}
