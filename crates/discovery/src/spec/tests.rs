use serde::{Deserialize, Serialize};

use super::*;

fn parsed(text: &str) -> Spec {
    text.parse().unwrap()
}

fn refused(text: &str) -> String {
    text.parse::<Spec>().unwrap_err().to_string()
}

fn nodes(nodes: &[&str]) -> Spec {
    Spec::Static(StaticListSettings { nodes: nodes.iter().map(ToString::to_string).collect() })
}

fn hosts(hosts: &[&str]) -> Spec {
    Spec::Epmd(EpmdNamesSettings { hosts: hosts.iter().map(ToString::to_string).collect() })
}

#[test]
fn text() {
    assert_eq!(parsed("static: a@h, b@h,"), nodes(&["a@h", "b@h"]));
    assert_eq!(parsed("static:nodes=a@h,b@h"), nodes(&["a@h", "b@h"]));
    assert_eq!(parsed("epmd:h1,h2:4370"), hosts(&["h1", "h2:4370"]));
    assert_eq!(parsed("static:a@h").build().unwrap().name(), "static:a@h");
    assert_eq!(parsed("epmd:h1,[::1]:77").build().unwrap().name(), "epmd:h1,::1");
}

#[test]
fn any_nests() {
    let any = |of: &[Spec]| Spec::Any(AnyOfSettings { of: of.to_vec() });
    let (static_, epmd) = (parsed("static:a@h,b@h"), parsed("epmd:h1"));
    assert_eq!(parsed("any(static:a@h,b@h; epmd:h1)"), any(&[static_.clone(), epmd.clone()]));
    assert_eq!(parsed(" any ( any(epmd:h1) ;static:a@h,b@h;) "), any(&[any(&[epmd]), static_]));
    for wrong in ["any(static:a@h", "any(static:a@h))", "any(static:a@h) b", "any(any(epmd:h)"] {
        assert!(refused(wrong).contains("is not any(STRATEGY"), "{wrong}");
    }
    assert!(refused("any()").contains("needs"), "{}", refused("any()"));
    assert!(refused("any(epmd:h; ec3:x)").contains("ec3"));
    let deep = format!("{}epmd:h{}", "any(".repeat(100_000), ")".repeat(100_000));
    assert!(deep.parse::<Spec>().is_err());
}

#[test]
fn refusals_name_what_is_wrong() {
    assert!(refused("ec3:tag").contains("\"ec3\""));
    assert!(refused("static").contains("needs nodes"));
    assert!(refused("static:a").contains("\"a\""));
    assert!(refused("static:a@h,colour=red").contains("unknown field `colour`"));
    assert!(refused("file").contains("missing field `path`"));
    assert!(refused("epmd:,").contains("needs hosts"));
    assert!(refused("epmd:h:port").contains("\"h:port\""));
    assert!(refused("epmd:a@h").contains("\"a@h\""));
}

#[test]
fn configuration() {
    let specs: Vec<Spec> = serde_json::from_str(
        r#"["static:a@h", {"strategy": "epmd", "hosts": ["h1"]}, {"strategy": "static", "nodes": "b@h"},
            {"strategy": "any", "of": ["epmd:h1", {"strategy": "static", "nodes": ["b@h"]}]}]"#,
    )
    .unwrap();
    let expected = ["static:a@h", "epmd:h1", "static:b@h", "any(epmd:h1; static:b@h)"];
    assert_eq!(specs, expected.map(parsed));
    for wrong in [
        r#"{"strategy": "epmd"}"#,
        r#"{"strategy": "epmd", "hosts": ["h"], "colour": "red"}"#,
        r#"{"strategy": "static", "nodes": ["b"]}"#,
        r#"{"hosts": ["h"]}"#,
        "1",
    ] {
        assert!(serde_json::from_str::<Spec>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    for text in
        ["static:a@h,b@h", "epmd:h1,h2:4370,[::1]:77", "any(static:a@h; any(epmd:h1; epmd:h2))", r"file:/a\,b\=c\ d"]
    {
        let spec = parsed(text);
        assert_eq!(spec.to_string(), text);
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
    }
}

#[test]
fn a_list_of_them_is_split_where_one_ends() {
    let text = "static:a@h, b@h any(epmd: h1; static:c@h)\tepmd:h\\ 1\n";
    assert_eq!(split_specs(text), ["static:a@h, b@h", "any(epmd: h1; static:c@h)", "epmd:h\\ 1"]);
    assert_eq!(split_specs(" "), [""; 0]);
}

#[test]
#[cfg(not(feature = "dns"))]
fn a_strategy_that_is_not_built_names_its_feature() {
    let text = refused("dns:app.internal");
    assert!(text.contains("`dns`") && text.contains("feature"), "{text}");
    let table = serde_json::from_str::<Spec>(r#"{"strategy": "dns", "name": "a"}"#).unwrap_err().to_string();
    assert!(table.contains("feature `dns`"), "{table}");
}

/// Settings with one field of each type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Everything {
    #[serde(default, deserialize_with = "one_or_many")]
    tag: Vec<String>,
    port: Option<u16>,
    #[serde(default)]
    two_words: bool,
    kind: Option<Kind>,
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    PrivateDns,
}

impl StrategySettings for Everything {
    const NAME: &'static str = "everything";
    const BARE: Option<&'static str> = Some("name");

    fn check(&self) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        Err(SpecError::settings::<Self>("is for tests"))
    }
}

struct Text(Everything);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(&self.0, f)
    }
}

#[test]
fn keys_values_and_lists() {
    let source = r"tag=csrelease=a=b, tag = x\,y ,port=80,two-words=true,kind=private-dns,\=(n\)\\m";
    let settings: Everything = source.settings().unwrap();
    assert_eq!(
        settings,
        Everything {
            tag: vec!["csrelease=a=b".into(), "x,y".into()],
            port: Some(80),
            two_words: true,
            kind: Some(Kind::PrivateDns),
            name: Some(r"=(n)\m".into()),
        }
    );
    let written = Text(settings.clone()).to_string();
    let rest = written.strip_prefix("everything:").unwrap();
    assert_eq!(rest.settings::<Everything>().unwrap(), settings, "{written}");
    for (wrong, says) in [
        ("port=http", "`port` can't be \"http\""),
        ("port=1,port=2", "`port` is given more than once"),
        ("kind=public", "unknown variant `public`"),
        ("a,b", "`name` is given more than once"),
    ] {
        let error = wrong.settings::<Everything>().unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("everything"), "{error}");
    }
}

#[test]
fn any_value_survives_being_written() {
    for value in [
        "",
        "a b",
        "a,b",
        "k=v",
        r"\",
        r"\,",
        r"c:\dir\x",
        "(",
        ")",
        ";",
        "key=a,b;c(d)e",
        "ä€",
        "=",
        "a\\ b",
        " a ",
        "\n",
        "\\ ",
    ] {
        let settings = Everything { name: Some(value.into()), tag: vec![value.into()], ..Default::default() };
        let written = Text(settings.clone()).to_string();
        let read: Everything = written.strip_prefix("everything:").unwrap().settings().unwrap();
        // An empty item is ignored.
        let expected = Everything { name: settings.name.clone().filter(|name| !name.is_empty()), ..settings };
        assert_eq!(read, expected, "{written}");
    }
}

proptest::proptest! {
    #[test]
    fn settings_of_any_text_survive_being_written(
        name in proptest::option::of("\\PC{1,12}|[-,;()= \\\\a@:\n\t]{1,12}"),
        tag in proptest::collection::vec("\\PC{0,12}|[-,;()= \\\\a@:\n\t]{0,12}", 0..4),
        port: Option<u16>,
        two_words: bool,
    ) {
        let settings = Everything { name, tag, port, two_words, kind: None };
        let written = Text(settings.clone()).to_string();
        let read: Everything = written.strip_prefix("everything:").unwrap().settings().unwrap();
        proptest::prop_assert_eq!(read, settings, "{}", written);
        // Also as a member of a combined strategy.
        let list = format!("{written} any({written}; static:a@h)");
        proptest::prop_assert_eq!(split_specs(&list).len(), 2, "{}", list);
    }

    #[test]
    fn no_text_is_too_strange(text in "(any|static|file|epmd)?[:(]?(\\PC|[-,;()= \\\\a@:]){0,40}") {
        if let Ok(spec) = text.parse::<Spec>() {
            proptest::prop_assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec);
        }
        split_specs(&text);
    }
}
