//! Files of options in Erlang's syntax, as OTP takes them with `-ssl_dist_optfile`.

use std::fs;
use std::path::{Path, PathBuf};

use peerl_term::text::erlang;
use peerl_term::{Atom, Term};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use super::config::{CipherOrder, ClientCertificate, RoleOptions, ServerName, TlsConfig, Verify};
use super::error::{TlsError, TlsRole};
use super::suites::CIPHER_SUITES;

impl TlsConfig {
    /// Reads a file of options as it is given to OTP with `-ssl_dist_optfile`: `[{server, [...]}, {client, [...]}].`
    ///
    /// Options mean what they mean to OTP, with two exceptions, which are on the safe side or do no harm: a client without
    /// `verify` verifies its peer, as OTP does since release 26; and without `versions` both 1.3 and 1.2 are offered.
    ///
    /// # Errors
    /// If the file cannot be read, or has an option that is unknown or cannot be honoured.
    pub fn from_optfile(path: impl AsRef<Path>) -> Result<Self, TlsError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
        parse(path, &text)
    }
}

fn parse(path: &Path, text: &str) -> Result<TlsConfig, TlsError> {
    let term = erlang::parse(text).map_err(|source| TlsError::Syntax { path: path.to_owned(), source })?;
    let shape = |expected, found: &Term| TlsError::Shape { path: path.to_owned(), expected, found: brief(found) };
    let roles = term.as_list().ok_or_else(|| shape("a list of {server, [...]} and {client, [...]}", &term))?;
    let mut config = TlsConfig { server: None, client: None };
    for entry in roles {
        let (role, options) = match entry.as_tuple() {
            Some([role, options]) if role.is_atom("server") => (TlsRole::Server, options),
            Some([role, options]) if role.is_atom("client") => (TlsRole::Client, options),
            _ => return Err(shape("{server, [...]} or {client, [...]}", entry)),
        };
        let options = options.as_list().ok_or_else(|| shape("a list of options", options))?;
        let options = role_options(path, role, options)?;
        match role {
            TlsRole::Server => config.server.get_or_insert(options),
            TlsRole::Client => config.client.get_or_insert(options),
        };
    }
    Ok(config)
}

/// Of two options of one name, the first counts, as for OTP.
fn role_options(path: &Path, role: TlsRole, list: &[Term]) -> Result<RoleOptions, TlsError> {
    let verify = match role {
        TlsRole::Server => Verify::None,
        TlsRole::Client => Verify::Peer,
    };
    let mut options = RoleOptions { verify, ..RoleOptions::default() };
    for entry in list.iter().rev() {
        let (name, value) = match entry.as_tuple() {
            Some([Term::Atom(name), value]) => (name.as_str(), value),
            _ => {
                let (path, found) = (path.to_owned(), brief(entry));
                return Err(TlsError::Shape { path, expected: "{option, Value}", found });
            }
        };
        match set(&mut options, role, name, value) {
            Ok(()) => {}
            Err(Problem::Unknown) => {
                return Err(TlsError::UnknownOption { path: path.to_owned(), role, option: name.to_owned() });
            }
            Err(Problem::Value(problem)) => {
                return Err(TlsError::Option { path: path.to_owned(), role, option: name.to_owned(), problem });
            }
        }
    }
    Ok(options)
}

/// Why an option is refused.
enum Problem {
    Unknown,
    /// What is wrong, as the rest of a sentence of which the option is the subject.
    Value(String),
}

fn set(options: &mut RoleOptions, role: TlsRole, name: &str, value: &Term) -> Result<(), Problem> {
    match name {
        "verify" => {
            options.verify = match atom(value) {
                Some("verify_peer") => Verify::Peer,
                Some("verify_none") => Verify::None,
                _ => return Err(unexpected(value, "verify_peer or verify_none")),
            }
        }
        "fail_if_no_peer_cert" if role == TlsRole::Server => {
            options.client_certificate = match truth(value)? {
                true => ClientCertificate::Required,
                false => ClientCertificate::Optional,
            }
        }
        "certfile" => options.certificate = Some(file(value)?.into()),
        "keyfile" => options.key = Some(file(value)?.into()),
        "cacertfile" => options.authorities = Some(file(value)?.into()),
        "versions" => options.versions = versions(value)?,
        "ciphers" => options.cipher_suites = cipher_suites(value)?,
        "depth" => {
            let depth = value.as_integer().and_then(|depth| usize::try_from(depth).ok());
            options.depth = depth.ok_or_else(|| unexpected(value, "a number of certificates"))?;
        }
        "server_name_indication" if role == TlsRole::Client => {
            options.server_name = match value.is_atom("disable") {
                true => ServerName::Any,
                false => ServerName::Given(text(value).ok_or_else(|| unexpected(value, "disable or a host name"))?),
            }
        }
        "renegotiate_at" => {
            let records =
                value.as_integer().and_then(|records| u64::try_from(records).ok()).filter(|records| *records > 0);
            options.renegotiate_at = records.ok_or_else(|| unexpected(value, "a number of records"))?;
        }
        "honor_cipher_order" if role == TlsRole::Server => {
            options.cipher_order = match truth(value)? {
                true => CipherOrder::OfServer,
                false => CipherOrder::OfClient,
            }
        }
        // rustls is never without it.
        "secure_renegotiate" => only(value, true)?,
        // No peer of peerl may have what these would allow.
        "client_renegotiation" if role == TlsRole::Server => only(value, false)?,
        "crl_check" => only(value, false)?,
        // They say how OTP works, and change nothing for its peers: a session need not be used again.
        "hibernate_after" | "ktls" | "log_level" | "reuse_sessions" => {}
        "password" => {
            return Err(Problem::Value("is for an encrypted key, and peerl reads keys that are not".to_owned()));
        }
        "verify_fun" => return Err(Problem::Value("is a function of the BEAM, which peerl cannot call".to_owned())),
        _ => return Err(Problem::Unknown),
    }
    Ok(())
}

fn unexpected(value: &Term, expected: &str) -> Problem {
    Problem::Value(format!("is {}, and not {expected}", brief(value)))
}

fn atom(value: &Term) -> Option<&str> {
    value.as_atom().map(Atom::as_str)
}

fn truth(value: &Term) -> Result<bool, Problem> {
    match atom(value) {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        _ => Err(unexpected(value, "true or false")),
    }
}

fn only(value: &Term, honoured: bool) -> Result<(), Problem> {
    match truth(value)? == honoured {
        true => Ok(()),
        false => Err(Problem::Value(format!("cannot be {value}: peerl is as with {honoured}"))),
    }
}

/// A string: a list of characters, or a binary.
fn text(value: &Term) -> Option<String> {
    match value {
        Term::List(list) => list.to_text(),
        Term::Binary(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        _ => None,
    }
}

fn file(value: &Term) -> Result<PathBuf, Problem> {
    text(value)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| unexpected(value, "the name of a file"))
}

fn versions(value: &Term) -> Result<Vec<&'static SupportedProtocolVersion>, Problem> {
    let list =
        value.as_list().filter(|list| !list.is_empty()).ok_or_else(|| unexpected(value, "a list of versions"))?;
    let version = |version: &Term| match atom(version) {
        Some("tlsv1.3") => Ok(&version::TLS13),
        Some("tlsv1.2") => Ok(&version::TLS12),
        _ => Err(Problem::Value(format!("has {}, and peerl has 'tlsv1.3' and 'tlsv1.2'", brief(version)))),
    };
    list.iter().map(version).collect()
}

/// Cipher suites in the forms of OTP: a list of names, one text with colons between them, or a list of maps.
fn cipher_suites(value: &Term) -> Result<Vec<SupportedCipherSuite>, Problem> {
    let names: Vec<String> = match text(value).filter(|text| !text.is_empty()) {
        Some(names) => names.split(':').map(str::to_owned).collect(),
        None => {
            let list = value.as_list().filter(|list| !list.is_empty());
            let list = list.ok_or_else(|| unexpected(value, "a list of cipher suites"))?;
            let name = |suite: &Term| text(suite).or_else(|| standard_name(suite)).unwrap_or_else(|| brief(suite));
            list.iter().map(name).collect()
        }
    };
    let suite = |name: &String| {
        let found = CIPHER_SUITES.iter().find(|(openssl, standard, _)| name == openssl || name == standard);
        found.map(|(_, _, suite)| *suite).ok_or_else(|| Problem::Value(format!("has {name}, which peerl lacks")))
    };
    names.iter().map(suite).collect()
}

/// The standard's name of a cipher suite that is given as `#{cipher => .., key_exchange => .., mac => aead, prf => ..}`.
fn standard_name(suite: &Term) -> Option<String> {
    let map = suite.as_map()?;
    let part = |key: &str| Some(map.get_atom(key)?.as_atom()?.to_string());
    let (exchange, cipher, hash) = (part("key_exchange")?, part("cipher")?, part("prf")?);
    let name = match &*exchange {
        "any" => format!("TLS_{cipher}_{hash}"),
        _ => format!("TLS_{exchange}_WITH_{cipher}_{hash}"),
    };
    Some(name.to_uppercase())
}

/// A term, of which a message shows the beginning.
fn brief(term: &Term) -> String {
    const LONGEST: usize = 60;
    let text = term.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::transport::Pem;

    fn read(text: &str) -> Result<TlsConfig, TlsError> {
        parse(Path::new("dist.conf"), text)
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn all_options_that_are_honoured() {
        let config = read(
            r#"%% A comment.
            [{server, [{certfile, "/a/node.pem"}, {keyfile, <<"/a/key.pem">>}, {cacertfile, "/a/ca.pem"},
                       {verify, verify_peer}, {fail_if_no_peer_cert, true}, {secure_renegotiate, true}, {depth, 2},
                       {honor_cipher_order, true}, {client_renegotiation, false}, {reuse_sessions, false}, {renegotiate_at, 1000},
                       {versions, ['tlsv1.3', 'tlsv1.2']}, {ciphers, ["ECDHE-RSA-AES256-GCM-SHA384"]}]},
             {client, [{server_name_indication, "other"}, {versions, ['tlsv1.2']}, {certfile, "/a/first.pem"},
                       {certfile, "/a/second.pem"},
                       {ciphers, [#{cipher => aes_128_gcm, key_exchange => ecdhe_ecdsa, mac => aead, prf => sha256},
                                  #{cipher => aes_256_gcm, key_exchange => any, mac => aead, prf => sha384}]}]}]."#,
        )
        .unwrap();
        let (server, client) = (config.server.unwrap(), config.client.unwrap());
        assert_eq!((server.verify, server.client_certificate), (Verify::Peer, ClientCertificate::Required));
        assert_eq!((server.depth, server.cipher_order), (2, CipherOrder::OfServer));
        assert_eq!(server.key.as_ref().map(Pem::path), Some(Path::new("/a/key.pem")));
        assert_eq!((server.renegotiate_at, client.renegotiate_at), (1000, 1 << 28));
        assert_eq!(server.versions, [&version::TLS13, &version::TLS12]);
        assert_eq!(server.cipher_suites.len(), 1);
        assert_eq!((client.verify, client.versions), (Verify::Peer, vec![&version::TLS12]));
        assert_eq!(client.server_name, ServerName::Given("other".to_owned()));
        assert_eq!(client.certificate.as_ref().map(Pem::path), Some(Path::new("/a/first.pem")));
        let names: Vec<_> = client.cipher_suites.iter().map(|suite| suite.suite().as_str().unwrap()).collect();
        assert_eq!(names, ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS13_AES_256_GCM_SHA384"]);
    }

    #[test]
    fn defaults_are_those_of_otp() {
        let config = read("[{server, []}, {client, [{server_name_indication, disable}]}]").unwrap();
        let (server, client) = (config.server.unwrap(), config.client.unwrap());
        assert_eq!((server.verify, server.client_certificate), (Verify::None, ClientCertificate::Optional));
        assert_eq!((client.verify, client.server_name), (Verify::Peer, ServerName::Any));
        assert!(read("[{client, []}]").unwrap().server.is_none());
    }

    #[test]
    fn what_cannot_be_honoured_is_named() {
        for (options, named) in [
            ("{verify_fun, {fun inet_tls_dist:verify_client/3, []}}", "verify_fun"),
            ("{no_such_option, 1}", "no_such_option"),
            ("{password, \"secret\"}", "password"),
            ("{ciphers, \"ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-SHA\"}", "DHE-RSA-AES256-SHA"),
            (
                "{ciphers, [#{cipher => aes_128_cbc, key_exchange => rsa, mac => sha, prf => default_prf}]}",
                "AES_128_CBC",
            ),
            ("{versions, ['tlsv1.2', 'tlsv1.1']}", "tlsv1.1"),
            ("{versions, []}", "versions"),
            ("{secure_renegotiate, false}", "secure_renegotiate"),
            ("{client_renegotiation, true}", "client_renegotiation"),
            ("{crl_check, peer}", "crl_check"),
            ("{verify, peer}", "verify"),
            ("{depth, -1}", "depth"),
            ("{renegotiate_at, 0}", "renegotiate_at"),
            ("{certfile, 7}", "certfile"),
            ("verify", "{option, Value}"),
        ] {
            let refusal = refused(&format!("[{{server, [{options}]}}]"));
            assert!(refusal.starts_with("dist.conf") && refusal.contains(named), "{options}: {refusal}");
        }
        assert!(refused("[{client, [{fail_if_no_peer_cert, true}]}]").contains("fail_if_no_peer_cert"));
        assert!(refused("[{sever, []}]").contains("{sever,[]}"));
        assert!(refused("[{server, [").contains("dist.conf"));
        assert!(refused("ok").contains("a list"));
    }
}
