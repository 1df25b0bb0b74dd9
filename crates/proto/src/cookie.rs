//! The shared secret of a cluster, and the digests that prove it.

use std::fmt;

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// The cookie: the secret that both nodes must know.
///
/// It is never sent; each side proves that it knows it by a digest of the other's challenge. `Debug` does not show
/// it.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    /// Latin-1, as OTP hashes it: the characters of the atom, one byte each.
    bytes: Box<[u8]>,
}

impl Cookie {
    /// Makes a cookie of `text`: 1 to 255 Latin-1 characters (a cookie is an atom, and OTP hashes its characters as
    /// bytes).
    pub fn new(text: &str) -> Result<Self, CookieError> {
        if text.is_empty() {
            return Err(CookieError::Empty);
        }
        let bytes: Box<[u8]> =
            text.chars().map(|c| u8::try_from(c).map_err(|_| CookieError::NotLatin1)).collect::<Result<_, _>>()?;
        if bytes.len() > 255 {
            return Err(CookieError::TooLong);
        }
        Ok(Cookie { bytes })
    }

    /// Its bytes, to derive keys that all nodes of a cluster share.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The proof for `challenge`: MD5 of the cookie followed by the challenge in decimal.
    ///
    /// Erlang docs: *Distribution Protocol*, section "Semantics of gen_challenge and gen_digest".
    pub fn digest(&self, challenge: u32) -> [u8; 16] {
        let mut md5 = Md5::new();
        md5.update(&self.bytes);
        md5.update(challenge.to_string().as_bytes());
        md5.finalize().into()
    }

    /// Whether `digest` proves this cookie for `challenge`. The comparison takes constant time.
    pub fn proves(&self, challenge: u32, digest: &[u8; 16]) -> bool {
        self.digest(challenge).ct_eq(digest).into()
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(..)")
    }
}

/// Why a text is not a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// There is nothing.
    #[error("the cookie is empty")]
    Empty,
    /// It is longer than 255 characters.
    #[error("a cookie has at most 255 characters")]
    TooLong,
    /// A character is beyond Latin-1.
    #[error("a cookie consists of Latin-1 characters")]
    NotLatin1,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_a_captured_handshake() {
        // OTP 29 to OTP 29, cookie `c`.
        let cookie = Cookie::new("c").unwrap();
        let reply = 0x56be_76b7_e497_8c77_7edf_131a_fbf8_4655_u128.to_be_bytes();
        let ack = 0x153c_26b9_4bdf_4090_82ea_88a5_a852_2929_u128.to_be_bytes();
        assert!(cookie.proves(0xe297_2c8a, &reply));
        assert!(cookie.proves(0x9d0c_86c4, &ack));
        assert!(!cookie.proves(0x9d0c_86c5, &ack));
        assert!(!Cookie::new("d").unwrap().proves(0x9d0c_86c4, &ack));
    }

    #[test]
    fn never_shown() {
        assert_eq!(format!("{:?}", Cookie::new("secret").unwrap()), "Cookie(..)");
    }

    #[test]
    fn refusals() {
        assert_eq!(Cookie::new(""), Err(CookieError::Empty));
        assert_eq!(Cookie::new("€"), Err(CookieError::NotLatin1));
        assert_eq!(Cookie::new(&"x".repeat(256)), Err(CookieError::TooLong));
    }
}
