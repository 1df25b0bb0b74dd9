use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use peerl_discovery::SpecError;

use super::*;

fn variables(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(flags: &Settings, environment: &[(&str, &str)], file: &str) -> Result<Settings, Failure> {
    load_with_mode(flags, environment, file, 0o600)
}

fn load_with_mode(flags: &Settings, environment: &[(&str, &str)], file: &str, mode: u32) -> Result<Settings, Failure> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("peerl.toml");
    std::fs::write(&path, file).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    Settings::load(flags, &Sources::read(variables(environment), Some(&path))?)
}

fn refused(environment: &[(&str, &str)], file: &str) -> String {
    let failure = load(&Settings::default(), environment, file).unwrap_err();
    assert_eq!(failure.status(), crate::failure::Status::Usage);
    failure.to_string()
}

#[test]
fn flags_over_environment_over_file_over_defaults() {
    let file = "cookie = 'f'\nlisten = '127.0.0.1'\ndist_port = 9100\nepmd = 'none'\nformat = 'json'\n";
    let environment =
        [("PEERL_COOKIE", "1234"), ("PEERL_DIST_PORT", "9100-9110"), ("PEERL_HIDDEN", "1"), ("HOME", "/")];
    let flags = Settings { epmd: Some(EpmdChoice::Embedded), ..Settings::default() };
    let settings = load(&flags, &environment, file).unwrap();
    let expected = Settings {
        cookie: Some("1234".to_owned()),
        listen: Some("127.0.0.1".parse().unwrap()),
        dist_port: Some(PortRange { first: 9100, last: 9110 }),
        epmd: Some(EpmdChoice::Embedded),
        format: Some(Format::Json),
        hidden: Some(true),
        ..Settings::default()
    };
    assert_eq!(settings, expected);
    assert_eq!(load(&Settings::default(), &[], "").unwrap(), Settings::default());
}

#[test]
fn a_cookie_in_a_file_that_others_can_read_is_refused() {
    let with_mode = |file, mode| load_with_mode(&Settings::default(), &[], file, mode);
    for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
        let failure = with_mode("listen = '127.0.0.1'\ncookie = 'secret'\n", mode).unwrap_err();
        assert_eq!(failure.status(), crate::failure::Status::Usage);
        let shown = failure.to_string();
        assert!(shown.contains("holds a cookie") && shown.contains("chmod 600 "), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
        with_mode("listen = '127.0.0.1'\ncookie_file = '/c'\n", mode).unwrap();
    }
    assert_eq!(with_mode("cookie = 'c'", 0o400).unwrap().cookie.as_deref(), Some("c"));
}

#[test]
fn of_two_ways_to_say_one_thing_the_higher_layer_counts() {
    let flags = Settings { sname: Some("a".into()), verbose: 1, ..Settings::default() };
    let settings = load(&flags, &[("PEERL_COOKIE_FILE", "/c")], "name = 'b@h.x'\ncookie = 'c'\nquiet = 1\n").unwrap();
    assert_eq!((settings.name, settings.sname), (None, Some("a".into())));
    assert_eq!((settings.cookie, settings.cookie_file), (None, Some("/c".into())));
    assert_eq!((settings.verbose, settings.quiet), (1, 0));
}

#[test]
fn certificates_and_a_file_of_options_replace_each_other() {
    let flags = Settings { tls_cert: Some("/node".into()), ..Settings::default() };
    let environment = [("PEERL_TLS_CA", "/ca"), ("PEERL_PROTO_DIST", "inet6_tls")];
    let settings = load(&flags, &environment, "tls_config = '/options'\n").unwrap();
    assert_eq!((settings.tls_config, settings.tls_cert), (None, Some("/node".into())));
    assert_eq!((settings.tls_ca, settings.proto_dist), (Some("/ca".into()), Some(ProtoDist::Inet6Tls)));
    let flags = Settings { tls_config: Some("/options".into()), ..Settings::default() };
    assert_eq!(load(&flags, &environment, "tls_key = '/key'\n").unwrap().tls_key, None);
    assert!(refused(&[], "tls_config = '/options'\ntls_ca = '/ca'\n").contains("tls_config"));
    assert!(refused(&[("PEERL_PROTO_DIST", "tls")], "").contains("PEERL_PROTO_DIST"));
}

#[test]
fn discovery_from_both() {
    let from = |environment: &[(&str, &str)], file| {
        let specs = load(&Settings::default(), environment, file).unwrap().discover.unwrap();
        specs.iter().map(|spec| spec.build().unwrap().name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(from(&[("PEERL_DISCOVER", "static:a@h epmd:h1")], ""), ["static:a@h", "epmd:h1"]);
    assert_eq!(
        from(&[], "discover = ['epmd:h1', { strategy = 'static', nodes = ['a@h'] }]"),
        ["epmd:h1", "static:a@h"]
    );
    assert_eq!(from(&[], "discover = 'epmd:h1'"), ["epmd:h1"]);
}

#[test]
fn strategies_with_spaces_in_them_are_whole_in_a_variable() {
    let environment = [("PEERL_DISCOVER", "any(static:a@h; epmd:h1) file:/etc/nodes")];
    let specs = load(&Settings::default(), &environment, "").unwrap().discover.unwrap();
    assert_eq!(
        specs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["any(static:a@h; epmd:h1)", "file:/etc/nodes"]
    );
}

#[test]
fn the_table_of_strategies_means_what_it_says() {
    let page = include_str!("../../../../docs/discovery.md");
    let mut rows = 0;
    for line in page.lines() {
        let cells: Vec<&str> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '`'])).collect();
        let [text, table, feature, ..] = cells[..] else { continue };
        if !table.starts_with("{ strategy = ") {
            continue;
        }
        rows += 1;
        let from_table = load(&Settings::default(), &[], &format!("discover = [{table}]"));
        match text.parse::<Spec>() {
            Ok(spec) => {
                assert_eq!(spec.to_string(), text);
                assert_eq!(from_table.unwrap().discover.unwrap(), [spec], "{line}");
            }
            Err(SpecError::NotBuilt { feature: needed, .. }) => {
                assert_eq!(feature, needed);
                assert!(from_table.unwrap_err().to_string().contains(needed), "{line}");
            }
            Err(error) => panic!("{line}: {error}"),
        }
    }
    assert_eq!(rows, Spec::STRATEGIES.len());
}

#[test]
fn removal_from_both() {
    let from = |environment: &[(&str, &str)], file| {
        load(&Settings::default(), environment, file).unwrap().removal.unwrap().to_string()
    };
    assert_eq!(from(&[], "removal = 'when-gone-for 10m'"), "when-gone-for=10m");
    assert_eq!(from(&[("PEERL_REMOVAL", "never")], "removal = 'when-gone-for=10m'"), "never");
    assert!(refused(&[], "removal = 'sometimes'").contains("sometimes"));
}

#[test]
fn mistakes_are_named() {
    assert!(refused(&[], "cokie = 'x'").contains("no key `cokie`; the nearest one is `cookie`"));
    assert!(refused(&[], "intervall = '1s'").contains("nearest one is `interval`"));
    assert!(refused(&[], "interval = { a = 1 }").contains("interval"));
    assert!(refused(&[("PEERL_NET_TICKTIME", "soon")], "").contains("PEERL_NET_TICKTIME"));
    assert!(refused(&[], "format = 'yaml'").contains("yaml"));
    assert!(refused(&[], "dist_port = 70000").contains("dist_port"));
    assert!(refused(&[], "discover = ['ec3:x']").contains("ec3"));
    assert!(refused(&[], "this is not toml").contains("peerl.toml"));
    assert!(refused(&[], "name = 'a@b.c'\nsname = 'a'").contains("both"));
    let port = refused(&[("PEERL_DIST_PORT", "9110-9100")], "");
    assert!(port.contains("PEERL_DIST_PORT") && port.contains("9110-9100"), "{port}");
    assert!(refused(&[("PEERL_HIDDEN", "perhaps")], "").contains("perhaps"));
    let none = Sources::read([], Some(Path::new("/no/such/file.toml"))).unwrap_err();
    assert!(none.to_string().contains("/no/such/file.toml"));
}

#[test]
fn ports_and_times() {
    let ports = |text: &str| text.parse::<PortRange>().map(|range| (range.first, range.last));
    assert_eq!(ports("0"), Ok((0, 0)));
    assert_eq!(ports("9100-9110"), Ok((9100, 9110)));
    for wrong in ["", "x", "65536", "0-9", "2-1", "1-2-3", "-1"] {
        assert!(ports(wrong).is_err(), "{wrong}");
    }
    let time = |text: &str| text.parse::<Span>().map(|span| span.0);
    assert_eq!(time("30s"), Ok(Duration::from_secs(30)));
    assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
    assert_eq!(time("2.5"), Ok(Duration::from_millis(2500)));
    for wrong in ["", "0", "0s", "-1", "NaN", "inf", "soon"] {
        assert!(time(wrong).is_err(), "{wrong}");
    }
    assert!(time("999999999999999y").map_or(true, |time| time < Duration::from_secs(1 << 30)));
}

#[test]
fn times_limits_nodes_and_cookies_come_from_both() {
    let file =
        "net_ticktime = 20\nmax_calls = 7\nnode = ['a@h.x', 'auto:ip,basename=b']\n[cookies]\n'x@h.y' = 'other'\n";
    let settings = load(&Settings::default(), &[("PEERL_MAX_QUEUED", "1000"), ("PEERL_VERBOSE", "2")], file).unwrap();
    assert_eq!(settings.net_ticktime, Some(Span(Duration::from_secs(20))));
    assert_eq!((settings.max_calls, settings.max_queued, settings.verbose), (Some(7), Some(1000), 2));
    assert_eq!(settings.node.unwrap(), ["a@h.x", "auto:ip,basename=b"]);
    assert_eq!(settings.cookies["x@h.y"], "other");
    let file_and_variable =
        load(&Settings::default(), &[("PEERL_MAX_REASSEMBLY", "1G")], "max_fragmented = 9\n").unwrap();
    assert_eq!(file_and_variable.max_reassembly, Some(Size(1 << 30)));
    assert_eq!(file_and_variable.max_fragmented, Some(9));
    let settings = load(&Settings::default(), &[("PEERL_NODE", "a@h.x b@h.x"), ("PEERL_NET_TICKTIME", "1m")], file);
    let settings = settings.unwrap();
    assert_eq!((settings.node.unwrap().len(), settings.net_ticktime), (2, Some(Span(Duration::from_secs(60)))));
    let failure = load_with_mode(&Settings::default(), &[], "[cookies]\n'x@h.y' = 'secret'\n", 0o644).unwrap_err();
    assert!(failure.to_string().contains("chmod 600") && !failure.to_string().contains("secret"));
}

/// Options that apply to a single run: they have neither a variable nor a key.
const PER_RUN: [&str; 16] = [
    "count",
    "dispatcher",
    "dry_run",
    "event",
    "file",
    "function",
    "items",
    "local",
    "message",
    "out",
    "ready",
    "resume",
    "retry_failed",
    "tls",
    "topic",
    "watch",
];

/// A new option must be a setting or listed as per run, and the reference must name it.
#[test]
fn every_option_is_a_setting_or_stated_to_be_of_one_run() {
    let parser = crate::command::parser();
    let of_commands = parser.get_subcommands().flat_map(|command| {
        command
            .get_arguments()
            .filter(|option| !option.is_hide_set())
            .filter_map(|option| Some((command.get_name().to_owned(), option.get_long()?.to_owned())))
    });
    let of_all = parser.get_arguments().filter_map(|option| Some(("peerl".to_owned(), option.get_long()?.to_owned())));
    let reference = include_str!("../../../../docs/cli.md");
    let settings: Vec<&str> = Settings::VARIABLES.into_iter().chain(option_defaults::OPTIONS).collect();
    let mut seen = BTreeSet::new();
    for (command, option) in of_commands.chain(of_all) {
        let key = option.replace('-', "_");
        if matches!(&*key, "help" | "version" | "config") {
            continue;
        }
        let is_setting = settings.contains(&&*key);
        assert!(
            is_setting != PER_RUN.contains(&&*key),
            "--{option} of {command}: make it a setting (Settings::VARIABLES or OPTIONS), or state that it is of one run"
        );
        seen.insert(key);
    }
    for key in PER_RUN.into_iter().chain(option_defaults::OPTIONS) {
        assert!(seen.contains(key), "no command has --{}", key.replace('_', "-"));
    }
    for key in settings {
        let variable = format!("`PEERL_{}`", key.to_ascii_uppercase());
        assert!(reference.contains(&variable), "docs/cli.md does not name {variable}");
    }
    for option in PER_RUN {
        let option = format!("--{}", option.replace('_', "-"));
        assert!(reference.contains(&option), "docs/cli.md does not name {option}");
    }
}

#[test]
fn what_kubernetes_and_the_kit_set_is_not_told() {
    let unknown = |name: &str, value: &str| option_defaults::unknown_variable("PEERL_", name, value);
    for (name, value) in [
        ("service_host", "10.0.0.1"),
        ("service_port_dist", "9100"),
        ("port", "tcp://10.0.0.1:9100"),
        ("port_9100_tcp_addr", "10.0.0.1"),
        ("worker_options", "-v"),
        ("launch_hook", "h"),
    ] {
        assert_eq!(unknown(name, value), None, "{name}");
    }
    assert!(unknown("cokie_file", "/c").unwrap().ends_with("PEERL_COOKIE_FILE"));
    assert!(unknown("intervals", "1s").unwrap().ends_with("PEERL_INTERVAL"));
}
