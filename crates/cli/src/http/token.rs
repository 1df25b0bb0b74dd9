//! The secret that clients must send.

use std::fmt;
use std::path::Path;

use peerl_node::is_private;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::failure::Failure;

/// The hash of a token; hashes make the comparison independent of the length.
pub struct Token([u8; 32]);

impl Token {
    /// The fewest characters: a token that can be guessed protects nothing.
    const SHORTEST: usize = 16;

    /// The longest file; the limit protects the memory from a wrong path.
    const LONGEST: u64 = 4096;

    /// Reads the token from a file; white space around it is ignored.
    ///
    /// # Errors
    /// If the file is unreadable or accessible to others, or the token is too short.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let cannot = |error| Failure::new(format!("cannot read the token from {shown}: {error}"));
        let metadata = std::fs::metadata(path).map_err(cannot)?;
        if !metadata.is_file() || metadata.len() > Self::LONGEST {
            return Err(Failure::usage(format!("{shown} is not a file with a token")));
        }
        if !is_private(path).map_err(cannot)? {
            return Err(
                Failure::usage(format!("others can read the token in {shown}")).hint(format!("chmod 600 {shown}"))
            );
        }
        let text = std::fs::read_to_string(path).map_err(cannot)?;
        Self::parse(&text, &format!("the token in {shown}"))
            .map_err(|failure| failure.hint(format!("openssl rand -hex 32 > {shown}")))
    }

    /// Makes a token of text, ignoring white space around it; `name` is for the error.
    ///
    /// # Errors
    /// If it is too short.
    pub fn parse(text: &str, name: &str) -> Result<Self, Failure> {
        let text = text.trim();
        if text.len() < Self::SHORTEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let least = Self::SHORTEST;
            return Err(Failure::usage(format!("{name} must be at least {least} characters of ASCII, without spaces")));
        }
        Ok(Self::of(text.as_bytes()))
    }

    /// Its SHA-256 digest, to derive keys that expire with it.
    pub fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether an `authorization` header has this token.
    pub fn is_borne_by(&self, header: Option<&[u8]>) -> bool {
        let borne = header.and_then(|value| value.split_first_chunk::<7>());
        let Some((_, token)) = borne.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer ")) else {
            return false;
        };
        self.is(token.trim_ascii())
    }

    /// Whether the text is this token.
    pub fn is(&self, text: &[u8]) -> bool {
        Self::of(text).0.ct_eq(&self.0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn only_the_token_itself_is_the_token() {
        let token = Token::read(file("0123456789abcdef\n", 0o400).path()).unwrap();
        for (header, admitted) in [
            ("Bearer 0123456789abcdef", true),
            ("bearer  0123456789abcdef ", true),
            ("Bearer 0123456789abcde", false),
            ("Bearer 0123456789abcdef0", false),
            ("Bearer ", false),
            ("Bearer", false),
            ("Basic 0123456789abcdef", false),
            ("0123456789abcdef", false),
            ("", false),
        ] {
            assert_eq!(token.is_borne_by(Some(header.as_bytes())), admitted, "{header:?}");
        }
        assert!(!token.is_borne_by(None));
    }

    #[test]
    fn tokens_that_are_none_are_refused() {
        let refused = |content: &str, mode| Token::read(file(content, mode).path()).err().unwrap().to_string();
        assert!(refused("0123456789abcdef", 0o640).contains("others can read"));
        for wrong in ["", "short", "0123456789 abcdef", "0123456789abcdéf"] {
            assert!(refused(wrong, 0o600).contains("at least 16"), "{wrong:?}");
        }
        assert!(refused(&"x".repeat(5000), 0o600).contains("not a file with a token"));
        assert!(Token::read(Path::new("/")).is_err());
        assert!(Token::read(Path::new("/no/such/token")).is_err());
    }
}
