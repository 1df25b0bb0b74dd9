//! The file that holds a user's cookie, as OTP reads and makes it (kernel, module `auth`).

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use peerl_proto::cookie::{Cookie, CookieError};

/// Why there is no cookie.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CookieFileError {
    /// The user has no home directory, so there is no place for the file.
    #[error("there is no home directory to look for .erlang.cookie in; give a cookie, or set PEERL_COOKIE or HOME")]
    NoHome,
    /// Others than the owner may read the file.
    #[error("Cookie file {} must be accessible by owner only (chmod 400 it)", path.display())]
    Accessible {
        /// The file.
        path: PathBuf,
    },
    /// None of the usual places has a cookie.
    #[error("there is no cookie: {VARIABLE} is not set, and there is no file {}", words(places))]
    Missing {
        /// The files that were looked for.
        places: Vec<PathBuf>,
    },
    /// The file cannot be read.
    #[error("cannot read the cookie file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is not there and cannot be made.
    #[error("there is no cookie file {}, and it cannot be made", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file's content is not a cookie.
    #[error("the cookie in {} is bad", path.display())]
    Cookie {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: CookieError,
    },
}

/// The environment variable that holds the cookie.
pub(crate) const VARIABLE: &str = "PEERL_COOKIE";

/// The environment variable in which systemd names the directory of a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// What is done if there is no cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    /// It is an error: a cookie of one's own opens no door, and the file would be taken by other nodes.
    Fail,
    /// A file is made in the first place.
    Make,
}

/// Finds the cookie: in `PEERL_COOKIE`, else in the first file that is there.
pub(crate) fn find(if_missing: IfMissing) -> Result<Cookie, CookieFileError> {
    if let Some(text) = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()) {
        return Cookie::new(&text).map_err(|source| CookieFileError::Cookie { path: VARIABLE.into(), source });
    }
    let directory = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
    find_in(
        places(
            directory(std::env::home_dir()).as_deref(),
            directory(std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from)).as_deref(),
        ),
        if_missing,
    )
}

/// Where OTP looks for the cookie's file, in its order (from 25 on).
///
/// Erlang docs: *Distributed Erlang*, section "Security"; *stdlib*, `filename:basedir/2`.
fn places(home: Option<&Path>, config: Option<&Path>) -> Vec<PathBuf> {
    const FILE: &str = ".erlang.cookie";
    const CONFIG: &str = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".config" };
    let config = match config {
        Some(config) if !cfg!(target_os = "macos") => Some(config.to_owned()),
        _ => home.map(|home| home.join(CONFIG)),
    };
    let config = config.map(|config| config.join("erlang").join(FILE));
    home.map(|home| home.join(FILE)).into_iter().chain(config).collect()
}

fn find_in(places: Vec<PathBuf>, if_missing: IfMissing) -> Result<Cookie, CookieFileError> {
    for place in &places {
        match read_cookie(place) {
            Err(CookieFileError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            found => return found,
        }
    }
    match (places.first(), if_missing) {
        (None, _) => Err(CookieFileError::NoHome),
        (Some(place), IfMissing::Make) => read_or_make(place),
        (Some(_), IfMissing::Fail) => Err(CookieFileError::Missing { places }),
    }
}

fn words(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    places.join(" or ")
}

/// Reads a cookie file, which must be [private](is_private).
///
/// # Errors
/// If the file is not there, others than its owner may access it, or it holds no cookie.
pub fn read_cookie(path: &Path) -> Result<Cookie, CookieFileError> {
    read(path, std::env::var_os(CREDENTIALS).as_deref().map(Path::new))
}

/// Whether only its owner may access a file, as a file with a secret has to be.
///
/// A credential that systemd hands to a service (`LoadCredential=`) may show the mode 0440: there the bits of the group
/// are the mask of an access list that names the service's user alone.
///
/// # Errors
/// If the file is not there.
pub fn is_private(path: &Path) -> std::io::Result<bool> {
    is_private_or_credential(path, std::env::var_os(CREDENTIALS).as_deref().map(Path::new))
}

fn is_private_or_credential(path: &Path, credentials: Option<&Path>) -> std::io::Result<bool> {
    let mode = fs::metadata(path)?.permissions().mode();
    let is_credential = credentials.is_some_and(|directory| path.parent() == Some(directory));
    let forbidden = if is_credential { 0o037 } else { 0o077 };
    Ok(mode & forbidden == 0)
}

fn read(path: &Path, credentials: Option<&Path>) -> Result<Cookie, CookieFileError> {
    let io = |source| CookieFileError::Io { path: path.into(), source };
    if !is_private_or_credential(path, credentials).map_err(io)? {
        return Err(CookieFileError::Accessible { path: path.into() });
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let text = text.trim_end_matches(['\n', '\r', ' ', '\t']);
    Cookie::new(text).map_err(|source| CookieFileError::Cookie { path: path.into(), source })
}

fn read_or_make(path: &Path) -> Result<Cookie, CookieFileError> {
    match make(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(source) => return Err(CookieFileError::Make { path: path.into(), source }),
    }
    read_cookie(path)
}

/// Makes the file with 20 random capital letters and mode 0400, as OTP does.
fn make(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    let mut random = [0; 20];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    // 256 is not a multiple of 26; the bias is no help in guessing among 26^20.
    file.write_all(&random.map(|byte| b'A' + byte % 26))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_read_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".erlang.cookie");
        let made = read_or_make(&path).unwrap();
        assert_eq!(read_or_make(&path).unwrap(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!(fs::read(&path).unwrap().len(), 20);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_no_unreadable_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("none").join(".erlang.cookie");
        let error = read_or_make(&path).unwrap_err();
        assert!(matches!(error, CookieFileError::Make { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("cannot be made") && !text.contains("cannot read"), "{text}");
    }

    #[test]
    fn the_first_place_that_has_one_counts() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config");
        let places = || places(Some(home.path()), Some(&config));
        assert_eq!(places(), [home.path().join(".erlang.cookie"), config.join("erlang/.erlang.cookie")]);
        assert!(matches!(find_in(places(), IfMissing::Fail), Err(CookieFileError::Missing { .. })));
        assert!(fs::read_dir(home.path()).unwrap().next().is_none());

        let write = |path: &Path, cookie: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, cookie).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
        };
        write(&places()[1], "config");
        for if_missing in [IfMissing::Fail, IfMissing::Make] {
            assert_eq!(find_in(places(), if_missing).unwrap(), Cookie::new("config").unwrap());
        }
        write(&places()[0], "home");
        assert_eq!(find_in(places(), IfMissing::Fail).unwrap(), Cookie::new("home").unwrap());
        // One that cannot be used is not passed over.
        fs::set_permissions(&places()[0], fs::Permissions::from_mode(0o444)).unwrap();
        assert!(matches!(find_in(places(), IfMissing::Make), Err(CookieFileError::Accessible { .. })));
    }

    #[test]
    fn without_a_home_the_configuration_is_enough() {
        assert_eq!(places(None, Some(Path::new("/c"))), [Path::new("/c/erlang/.erlang.cookie")]);
        assert_eq!(places(Some(Path::new("/h")), None)[1], Path::new("/h/.config/erlang/.erlang.cookie"));
        assert!(matches!(find_in(places(None, None), IfMissing::Make), Err(CookieFileError::NoHome)));
    }

    #[test]
    fn refused_if_others_may_read_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cookie");
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        let error = read_cookie(&path).unwrap_err();
        assert!(error.to_string().contains("must be accessible by owner only"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(read_cookie(&path).unwrap(), Cookie::new("secret").unwrap());
    }
    #[test]
    fn a_credential_of_systemd_may_show_the_mask_of_its_access_list() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cookie");
        fs::write(&path, "secret\n").unwrap();
        let with_mode = |mode, credentials| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(&path, credentials).is_ok()
        };
        let here = Some(directory.path());
        assert!(with_mode(0o440, here));
        assert!(!with_mode(0o440, None));
        assert!(!with_mode(0o440, directory.path().parent()));
        assert!(!with_mode(0o444, here));
        assert!(!with_mode(0o460, here));
    }
}
