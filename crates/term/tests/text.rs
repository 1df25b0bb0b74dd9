//! Handwritten terms and calls, in both syntaxes.

use peerl_term::text::{ParseError, elixir, erlang};
use peerl_term::{Atom, BigInt, BitString, ExternalFun, Pid, Port, Record, Reference, Term};

fn atom(name: &str) -> Term {
    Term::Atom(name.parse().unwrap())
}

fn integers(values: &[i64]) -> Term {
    Term::list(values.iter().map(|value| Term::from(*value)))
}

/// Texts of the same term.
fn reads_as(parse: fn(&str) -> Result<Term, ParseError>, texts: &[&str], term: impl Into<Term>) {
    let term = term.into();
    for text in texts {
        match parse(text) {
            Ok(read) => assert_eq!(read, term, "{text}"),
            Err(error) => panic!("{text}\n{error}"),
        }
    }
}

/// Expects an error at the position of `^` in the text, with a message that contains `part`.
fn fails(parse: fn(&str) -> Result<Term, ParseError>, marked: &str, part: &str) {
    let at = marked.find('»').unwrap();
    let text = marked.replace('»', "");
    let error = parse(&text).unwrap_err();
    assert_eq!(error.column(), text[..at].chars().count() + 1, "{marked}\n{error}");
    assert!(error.message().contains(part), "{marked}\n{error}");
}

#[test]
fn erlang_numbers() {
    reads_as(
        erlang::parse,
        &["255", "16#ff", "16#F_F", "2#11111111", "2_5_5", "+255", " 255 . % dot", "$ÿ", "$\\xff"],
        255,
    );
    reads_as(erlang::parse, &["-97", "- 97", "-$a", "-16#61"], -97);
    reads_as(erlang::parse, &["32", "$ ", "$\\s", "36#W"], 32);
    reads_as(erlang::parse, &["36#zz", "1295"], 1295);
    reads_as(erlang::parse, &["1180591620717411303424", "16#400000000000000000"], BigInt::from(1u8) << 70);
    reads_as(erlang::parse, &["-9223372036854775808"], i64::MIN);
    reads_as(erlang::parse, &["1.0e3", "1000.0", "1_000.0", "1.0E+3", "10000.0e-1"], Term::float(1000.0).unwrap());
    reads_as(erlang::parse, &["-0.0"], Term::float(-0.0).unwrap());
    reads_as(erlang::parse, &["-36893488147419103233"], "-36893488147419103233".parse::<BigInt>().unwrap());
}

#[test]
fn erlang_atoms_and_strings() {
    reads_as(erlang::parse, &["ok", "'ok'", "'o\\x6b'", "'\\157k'"], atom("ok"));
    reads_as(erlang::parse, &["a@B_1"], atom("a@B_1"));
    reads_as(erlang::parse, &["'Elixir.MyApp'"], atom("Elixir.MyApp"));
    reads_as(erlang::parse, &["'it\\'s\\n'"], atom("it's\n"));
    reads_as(erlang::parse, &["été"], atom("été"));
    reads_as(erlang::parse, &["''"], atom(""));
    reads_as(erlang::parse, &["\"\"", "[]", "[ ]"], Term::nil());
    reads_as(erlang::parse, &["\"ab\"", "\"a\" \"b\"", "\"a\"%\n\"b\"", "[$a,98]"], integers(&[97, 98]));
    reads_as(
        erlang::parse,
        &[r#""\b\d\e\f\n\r\s\t\v\"\\\0\12\377\xfe\x{1F600}\^A\^?\q""#],
        integers(&[8, 127, 27, 12, 10, 13, 32, 9, 11, 34, 92, 0, 10, 255, 254, 0x1f600, 1, 127, 113]),
    );
}

#[test]
fn erlang_binaries() {
    reads_as(erlang::parse, &[r#"<<"ab">>"#, "<<97,98>>", "<< $a , \"b\" >>", "<<16#6162:16>>", r#"~"ab""#], "ab");
    reads_as(erlang::parse, &["<<>>", "<<\"\">>"], "");
    reads_as(erlang::parse, &["<<\"é\"/utf8>>", "<<16#e9/utf8>>", "<<195,169>>"], "é");
    reads_as(erlang::parse, &["<<\"é\">>", "<<233>>", "<<-23>>", "<<489>>"], Term::binary(b"\xe9"));
    reads_as(erlang::parse, &["<<1:16/little>>", "<<1:2/little-unit:8>>", "<<1,0>>"], Term::binary(&[1, 0]));
    reads_as(erlang::parse, &["<<\"a\":16>>", "<<\"a\"/utf16>>"], Term::binary(&[0, 97]));
    reads_as(erlang::parse, &["<<1.5/float>>", "<<1.5:64/float>>"], Term::binary(&1.5f64.to_be_bytes()));
    reads_as(erlang::parse, &["<<1:32/float-little>>"], Term::binary(&1f32.to_le_bytes()));
    reads_as(erlang::parse, &["<<5:3>>", "<<1:1,0:1,1:1>>", "<<13:3>>"], BitString::new([0xa0], 3).unwrap());
    reads_as(erlang::parse, &["<<1:3,255:8>>", "<<16#1ff:11>>"], BitString::new([0x3f, 0xe0], 3).unwrap());
    reads_as(erlang::parse, &["<<1:4,2:4>>", "<<0:1,18:7>>", "<<18>>"], Term::binary(&[18]));
    reads_as(erlang::parse, &["<<-1:12>>"], BitString::new([0xff, 0xf0], 4).unwrap());
    reads_as(erlang::parse, &["<<7:5,1:6>>"], BitString::new([0x38, 0x20], 3).unwrap());
}

#[test]
fn erlang_compounds() {
    reads_as(erlang::parse, &["{a,[b|{}]}", "{ a , [ b | {} ] } .", "{a,\n% here\n[b|{}]}"], {
        Term::tuple([atom("a"), Term::list_with_tail([atom("b")], Term::tuple([]))])
    });
    reads_as(erlang::parse, &["[1,2,3]", "[1|[2|[3]]]", "[1,2|[3]]"], integers(&[1, 2, 3]));
    reads_as(erlang::parse, &["#{a => 1,\"b\" => #{}}", "# {\"b\"=>#{}, a=>0, a=>1}"], {
        Term::map([(atom("a"), Term::from(1)), (Term::charlist("b"), Term::map([]))])
    });
    let fun = ExternalFun { module: "lists".parse().unwrap(), function: "Map".parse().unwrap(), arity: 2 };
    reads_as(erlang::parse, &["fun lists:'Map'/2", "fun  lists : 'Map' / 2"], fun);
    let field = |name: &str, value: i64| (name.parse::<Atom>().unwrap(), Term::from(value));
    let record = Record::new("nr".parse().unwrap(), "point".parse().unwrap(), [field("x", 5), field("y", 6)]);
    reads_as(erlang::parse, &["#nr:point{x=5,y=6}", "#nr:point{x = 5, y = 6}"], record);
}

#[test]
fn identifiers_carry_their_node() {
    let node: Atom = "w@127.0.0.1".parse().unwrap();
    let pid = Pid { node: node.clone(), id: 38, serial: 1, creation: u32::MAX };
    reads_as(erlang::parse, &["#Pid<'w@127.0.0.1'.38.1.4294967295>"], pid.clone());
    reads_as(elixir::parse, &["#PID<\"w@127.0.0.1\".38.1.4294967295>"], pid);
    let port = Port { node, id: u64::MAX, creation: 7 };
    reads_as(erlang::parse, &["#Port<'w@127.0.0.1'.18446744073709551615.7>"], port.clone());
    reads_as(elixir::parse, &["#Port<\"w@127.0.0.1\".18446744073709551615.7>"], port);
    let reference = Reference::new("a@h".parse().unwrap(), 9, &[1, 2, 3]).unwrap();
    reads_as(erlang::parse, &["#Ref<a@h.1.2.3.9>", "#Ref<'a@h'.1.2.3.9>"], reference.clone());
    reads_as(
        elixir::parse,
        &["#Reference<a@h.1.2.3.9>", "# comment\n#Reference<\"a@h\".1.2.3.9> # comment"],
        reference,
    );
}

#[test]
fn erlang_errors_name_the_place() {
    let fails = |marked, part| fails(erlang::parse, marked, part);
    fails("»", "the end of the text");
    fails("{ok, [1 »2]}", "`,` or `]`");
    fails("{ok, [1, »", "expected a term");
    fails("{ok, [1»", "line 1, column 6");
    fails("{ok, »Page}", "variables");
    fails("[1|2»,3]", "`]`");
    fails("#{a »1}", "`=>`");
    fails("#{a => 1 »=> 2}", "`,` or `}`");
    fails("»\"abc", "not closed");
    fails("<<»\"日\">>", "utf8");
    fails("<<1:8/»nope>>", "type");
    fails("<<»1:99999999999999>>", "too large");
    fails("[»end]", "in quotes");
    fails("1»x", "end of the number");
    fails("1 »2", "the end of the text");
    fails("»199#1", "base");
    fails("1»e5", "end of the number");
    fails("#Pid<»0.1.2>", "name of a node");
    fails("»<0.1.2>", "with its node");
    fails("{»_}", "stands for an item");
}

#[test]
fn elixir_scalars() {
    reads_as(elixir::parse, &["255", "0xff", "0b1111_1111", "0o377", "2_55", "?ÿ", "?\\xFF", "+255"], 255);
    reads_as(elixir::parse, &["-10", "-?\\n", "- 10"], -10);
    reads_as(elixir::parse, &["1.0e3", "1_000.0", "1.0E+3"], Term::float(1000.0).unwrap());
    reads_as(elixir::parse, &[":ok", ":\"ok\"", ":'ok'", ":\"\\u006Fk\""], atom("ok"));
    reads_as(elixir::parse, &["nil", ":nil"], atom("nil"));
    reads_as(elixir::parse, &["true"], true);
    reads_as(elixir::parse, &["MyApp.Foo_1.Bar", ":\"Elixir.MyApp.Foo_1.Bar\"", "Elixir.MyApp.Foo_1.Bar"], {
        atom("Elixir.MyApp.Foo_1.Bar")
    });
    reads_as(elixir::parse, &["Elixir"], atom("Elixir"));
    for name in ["ok?", "ok!", "a@h", "_x", "été", "+", "==", "<<>>", "%{}", "{}", "..//", "|>", "\\\\", "end"] {
        reads_as(elixir::parse, &[&*format!(":{name}")], atom(name));
    }
}

#[test]
fn elixir_text() {
    reads_as(elixir::parse, &[r#""ab""#, r#"~s(ab)"#, r#"<<"ab">>"#, "<<97, ?b>>", "<<0x6162::16>>", "~S|ab|"], "ab");
    reads_as(elixir::parse, &[r#""é""#, r#""\u00e9""#, r#""\xC3\xA9""#, "<<\"é\">>", "<<233::utf8>>"], "é");
    reads_as(elixir::parse, &[r#""\xFF""#, "<<255>>", "<<-1::size(8)>>"], Term::binary(&[255]));
    reads_as(elixir::parse, &["'ab'", "~c\"ab\"", "~c'ab'", "~c[ab]", "[97, ?b]", "~C<ab>"], integers(&[97, 98]));
    reads_as(elixir::parse, &[r#"~c"\xFFé""#], integers(&[255, 233]));
    reads_as(elixir::parse, &[r#""\a\b\d\e\f\n\r\s\t\v\"\\\0\#{\q#""#], "\x07\x08\x7f\x1b\x0c\n\r \t\x0b\"\\\0#{q#");
    reads_as(elixir::parse, &["\"a\\\nb\"", "~s(ab)"], "ab");
    reads_as(elixir::parse, &[r#"~S(a\n#{b\))"#], "a\\n#{b)");
    reads_as(elixir::parse, &["\"\"", "<<>>", "<< >>", "~s||"], "");
    reads_as(elixir::parse, &["''", "[]", "~c\"\""], Term::nil());
    reads_as(elixir::parse, &["<<5::size(3)>>", "<<5::3>>"], BitString::new([0xa0], 3).unwrap());
    reads_as(
        elixir::parse,
        &["<<1::16-little, \"a\"::utf16>>", "<<1::little-size(16), 0, ?a>>"],
        Term::binary(&[1, 0, 0, 97]),
    );
    reads_as(elixir::parse, &["<<1.5>>", "<<1.5::float>>"], Term::binary(&1.5f64.to_be_bytes()));
}

#[test]
fn elixir_compounds() {
    let pair = |key: Term, value: i64| Term::tuple([key, Term::from(value)]);
    reads_as(elixir::parse, &["[a: 1, b: 2]", "[{:a, 1}, {:b, 2}]", "[{:a, 1}, b: 2]", "[\"a\": 1, 'b': 2,]"], {
        Term::list([pair(atom("a"), 1), pair(atom("b"), 2)])
    });
    reads_as(elixir::parse, &["[+: 1, Foo: 2, nil: 3, do?: 4]"], {
        Term::list([pair(atom("+"), 1), pair(atom("Foo"), 2), pair(atom("nil"), 3), pair(atom("do?"), 4)])
    });
    reads_as(
        elixir::parse,
        &["{1, [a: 2]}", "{1, a: 2}"],
        Term::tuple([Term::from(1), Term::list([pair(atom("a"), 2)])]),
    );
    reads_as(
        elixir::parse,
        &["%{:a => 1, \"b\" => %{}}", "%{\"b\" => %{}, a: 1}", "%{\n\"b\" => %{}, # c\n a: 0, a: 1\n}"],
        Term::map([(atom("a"), Term::from(1)), (Term::from("b"), Term::map([]))]),
    );
    reads_as(elixir::parse, &["%A.B{}", "%{__struct__: A.B}"], Term::map([(atom("__struct__"), atom("Elixir.A.B"))]));
    reads_as(elixir::parse, &["%A{a: 1}", "%{__struct__: A, a: 1}"], {
        Term::map([(atom("__struct__"), atom("Elixir.A")), (atom("a"), Term::from(1))])
    });
    reads_as(
        elixir::parse,
        &["[1, 2 | 3]", "[1 | [2 | 3]]"],
        Term::list_with_tail([Term::from(1), Term::from(2)], Term::from(3)),
    );
    let fun = |module: &str, function: &str| ExternalFun {
        module: module.parse().unwrap(),
        function: function.parse().unwrap(),
        arity: 2,
    };
    reads_as(elixir::parse, &["&Enum.any?/2", "&:\"Elixir.Enum\".any?/2"], fun("Elixir.Enum", "any?"));
    reads_as(elixir::parse, &["&:erlang.+/2", "&:erlang.\"+\"/2"], fun("erlang", "+"));
    reads_as(elixir::parse, &["&Kernel.//2"], fun("Elixir.Kernel", "/"));
    let record = Record::new("nr".parse().unwrap(), "p".parse().unwrap(), [("x".parse().unwrap(), Term::from(5))]);
    reads_as(elixir::parse, &["#Record<nr.p, x: 5>"], record);
}

#[test]
fn elixir_errors_name_the_place() {
    let fails = |marked, part| fails(elixir::parse, marked, part);
    fails("{:ok, [1 »2]}", "`,` or `]`");
    fails("{:ok, »page}", "`:page`");
    fails("[a: 1, »2]", "come last");
    fails("%{»a 1}", "`:a`");
    fails("\"a»#{b}\"", "interpolation");
    fails("»\"\"\"\na\"\"\"", "heredocs");
    fails("»~w(a b)", "sigils");
    fails("»\"abc", "not closed");
    fails("~c»(abc", "not closed");
    fails("%{1 »2}", "`=>`");
    fails("#PID<»0.1.2>", "name of a node");
    fails("»#Function<1.2/3 in m>", "as text");
    fails("{1,»", "expected a term");
    fails("1 »2", "the end of the text");
}

#[test]
fn calls_in_erlang_syntax() {
    let call = erlang::parse_call(" lists : reverse ( [1, 2], {} ) . % dot").unwrap();
    assert_eq!((&*call.module, &*call.function), ("lists", "reverse"));
    assert_eq!(call.arguments, [integers(&[1, 2]), Term::tuple([])]);
    let call = erlang::parse_call("'Elixir.MyApp':'a b'()").unwrap();
    assert_eq!((&*call.module, &*call.function, call.arguments.len()), ("Elixir.MyApp", "a b", 0));
    for (text, column) in
        [("lists", 6), ("f(1)", 2), ("lists:f", 8), ("lists:f(1", 10), ("m:f(1) 2", 8), ("M:f()", 1), ("m:f(_)", 5)]
    {
        assert_eq!(erlang::parse_call(text).unwrap_err().column(), column, "{text}");
    }
}

#[test]
fn calls_in_elixir_syntax() {
    let call = elixir::parse_call(" MyApp.Page.fetch!(\"url\", timeout: 5) # comment").unwrap();
    assert_eq!((&*call.module, &*call.function), ("Elixir.MyApp.Page", "fetch!"));
    assert_eq!(call.arguments, [Term::from("url"), Term::list([Term::tuple([atom("timeout"), Term::from(5)])])]);
    let call = elixir::parse_call(":erlang.+(1, 2)").unwrap();
    assert_eq!((&*call.module, &*call.function, call.arguments.len()), ("erlang", "+", 2));
    let call = elixir::parse_call("Node.list").unwrap();
    assert_eq!((&*call.module, &*call.function, call.arguments.len()), ("Elixir.Node", "list", 0));
    for (text, column) in [("fetch(1)", 1), ("MyApp", 6), (":m.f(1", 7), ("M.f 1", 5), ("M.f(_)", 5)] {
        assert_eq!(elixir::parse_call(text).unwrap_err().column(), column, "{text}");
    }
}

#[test]
fn templates_are_filled_everywhere() {
    let template = erlang::parse_template("m:f(_, [a, {_, \"b\"} | _], #{_ => #{k => [_]}}, [1, 2])").unwrap();
    assert!(template.has_hole());
    let call = template.fill(&atom("x"));
    let expected = erlang::parse_call("m:f(x, [a, {x, \"b\"} | x], #{x => #{k => [x]}}, [1, 2])").unwrap();
    assert_eq!(call, expected);
    let call = template.fill(&integers(&[7]));
    assert_eq!(call.arguments[1], erlang::parse("[a, {[7], \"b\"}, 7]").unwrap());

    let template = elixir::parse_template("M.f(%{_ => 1, a: _}, {1, a: _}, b: _)").unwrap();
    let expected = elixir::parse_call("M.f(%{:x => 1, a: :x}, {1, a: :x}, b: :x)").unwrap();
    assert_eq!(template.fill(&atom("x")), expected);

    let constant = erlang::parse_template("m:f('_')").unwrap();
    assert!(!constant.has_hole());
    assert_eq!(constant.fill(&Term::nil()).arguments, [atom("_")]);
}
