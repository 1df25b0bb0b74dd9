//! How much memory this process may use.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory of the machine, or less: what the control group of the process, or its resource limits, allow. Half a gigabyte
/// if nothing of that can be read.
pub(crate) fn allowed() -> usize {
    let of_machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_total(&text));
    let of_group =
        fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_limit(&text, Path::new("/sys/fs/cgroup")));
    let of_process = fs::read_to_string("/proc/self/limits").ok().and_then(|text| address_space(&text));
    [of_machine, of_group, of_process].into_iter().flatten().min().unwrap_or(512 << 20)
}

fn mem_total(meminfo: &str) -> Option<usize> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix(" kB")?;
    kib.parse::<usize>().ok()?.checked_mul(1024)
}

fn address_space(limits: &str) -> Option<usize> {
    limits.lines().find_map(|line| line.strip_prefix("Max address space"))?.split_whitespace().next()?.parse().ok()
}

/// The lowest limit of the groups in which `/proc/self/cgroup` says that the process is. Of a container, which sees its group as
/// the root, the path may be the host's: the limit is that of the root then.
fn group_limit(groups: &str, mounted: &Path) -> Option<usize> {
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (roots, file) = match controllers {
            "" => (vec![mounted.to_owned(), mounted.join("unified")], "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (vec![mounted.join("memory"), mounted.join(controllers)], "memory.limit_in_bytes")
            }
            _ => return None,
        };
        roots.iter().filter_map(|root| lowest(root, path, file)).min()
    });
    limits.min()
}

/// The lowest limit in the files of this name in a directory and those above it, up to the root.
fn lowest(root: &Path, path: &str, file: &str) -> Option<usize> {
    let group = root.join(path.trim_start_matches('/'));
    let limit = |directory: PathBuf| fs::read_to_string(directory.join(file)).ok()?.trim().parse::<usize>().ok();
    group.ancestors().take_while(|directory| directory.starts_with(root)).filter_map(|at| limit(at.to_owned())).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_the_process() {
        assert_eq!(mem_total("MemTotal:       24689308 kB\nMemFree:  1 kB\n"), Some(24_689_308 << 10));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax address space         1048576   unlimited  bytes\n";
        assert_eq!(address_space(limits), Some(1 << 20));
        assert_eq!(address_space("Max address space         unlimited            unlimited            bytes"), None);
        assert!(allowed() > 1 << 20);
    }

    #[test]
    fn groups_of_both_versions() {
        let root = std::env::temp_dir().join(format!("peerl-groups-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let file = root.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/a/memory.limit_in_bytes", "1000\n");
        write("two/memory.max", "max\n");
        write("memory.max", "max\n");
        write("service/memory.max", "700\n");
        let limit = |groups: &str| group_limit(groups, &root);
        assert_eq!(limit("5:cpu:/a\n4:memory:/a/b\n0::/\n"), Some(1000));
        assert_eq!(limit("4:memory:/not/here\n"), None);
        assert_eq!(limit("0::/service/inner\n"), Some(700));
        assert_eq!(limit("0::/two\n"), None);
        fs::remove_dir_all(&root).unwrap();
    }
}
