//! Programs that the tests need on the machine.

use std::path::{Path, PathBuf};

/// Finds a program on the PATH (or in the administrator's directories), or panics with the way to install it.
pub(crate) fn require(program: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"])
        .map(|directory| Path::new(directory).join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| {
            let package = match program {
                "erl" | "epmd" => "erlang-base",
                "unshare" | "nsenter" => "util-linux",
                "ip" => "iproute2",
                "node" => "nodejs",
                "moto_server" => {
                    panic!("this test needs `moto_server`, which is not installed: run scripts/setup-tests (as root)")
                }
                other => other,
            };
            panic!(
                "this test needs `{program}`, which is not installed: run scripts/setup-tests (as root), \
                 or apt-get install {package}"
            )
        })
}
