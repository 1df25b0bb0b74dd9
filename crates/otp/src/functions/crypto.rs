//! `crypto`: hashes.

use md5::{Digest, Md5};
use peerl_node::{Exception, Node};
use peerl_term::{AtomError, Binary, Term};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::{Outcome, iodata};

/// Hashing more bytes would delay other tasks, and moves to a blocking thread.
const LARGE: usize = 1 << 20;

/// `crypto:hash(Type, Data)` for `md5`, `sha`, `sha224`, `sha256`, `sha384` and `sha512`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    node.export("crypto", "hash", |(algorithm, data): (Term, Term)| async move {
        let data = iodata::collect(data).ok_or_else(|| Exception::bad_argument(2, "not iodata"))?;
        if data.len() < LARGE {
            return hash(&algorithm, &data);
        }
        let hashed = tokio::task::spawn_blocking(move || hash(&algorithm, &data)).await;
        hashed.unwrap_or_else(|_| Err(Exception::error(Term::atom("system_limit"))))
    })
}

fn hash(algorithm: &Term, data: &[u8]) -> Outcome {
    let digest = match algorithm.as_atom().map(|name| name.as_str()) {
        Some("md5") => Binary::from(&Md5::digest(data)[..]),
        Some("sha") => Binary::from(&Sha1::digest(data)[..]),
        Some("sha224") => Binary::from(&Sha224::digest(data)[..]),
        Some("sha256") => Binary::from(&Sha256::digest(data)[..]),
        Some("sha384") => Binary::from(&Sha384::digest(data)[..]),
        Some("sha512") => Binary::from(&Sha512::digest(data)[..]),
        _ => return Err(Exception::bad_argument(1, "no digest that is served here")),
    };
    Ok(Term::Binary(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes_of_abc() {
        for (algorithm, size, first) in [
            ("md5", 16, 0x90),
            ("sha", 20, 0xa9),
            ("sha224", 28, 0x23),
            ("sha256", 32, 0xba),
            ("sha384", 48, 0xcb),
            ("sha512", 64, 0xdd),
        ] {
            let value = hash(&Term::atom(algorithm), b"abc").unwrap();
            let bytes = value.as_binary().unwrap();
            assert_eq!((bytes.len(), bytes[0]), (size, first), "{algorithm}");
        }
        assert!(hash(&Term::atom("sha3_256"), b"abc").unwrap_err().cause().unwrap().starts_with("argument 1: "));
        assert!(hash(&Term::from("sha256"), b"abc").is_err());
    }
}
