//! Ends what the tests have started when the test process itself is killed.
//!
//! A fixture kills its process group when it is dropped, but a test that runs into its time limit is killed with
//! SIGKILL and drops nothing. So the first fixture starts one small shell, in a process group of its own, that reads
//! from a pipe which groups there are; when the pipe closes, for whatever reason, it kills those that are left.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

const SCRIPT: &str = r#"
groups=" "
while read -r operation group; do
    case $operation in
        add) groups="$groups$group " ;;
        remove) groups="${groups%% $group *} ${groups#* $group }" ;;
    esac
done
for group in $groups; do kill -9 "-$group"; done
"#;

static WATCH: Mutex<Option<Child>> = Mutex::new(None);

/// From now on, the end of this process ends the process group.
pub(crate) fn add(group: u32) {
    tell("add", group);
}

/// The process group has ended; its number may soon be reused.
pub(crate) fn remove(group: u32) {
    tell("remove", group);
}

fn tell(operation: &str, group: u32) {
    let mut watch = WATCH.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let shell = watch.get_or_insert_with(start);
    let pipe = shell.stdin.as_mut().expect("stdin is piped");
    // Without a watch, the fixtures still end their processes when dropped.
    let _ = writeln!(pipe, "{operation} {group}");
}

fn start() -> Child {
    Command::new("sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("sh starts")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_end_of_the_pipe_ends_the_groups_that_are_left() {
        let mut sleepers = ["60", "2", "60"]
            .map(|time| Command::new("sleep").arg(time).process_group(0).spawn().expect("sleep starts"));
        let [first, second, third] = [0, 1, 2].map(|number| sleepers[number].id());
        let mut watch = start();
        let commands = format!("add {first}\nadd {second}\nadd {third}\nremove {second}\n");
        watch.stdin.take().expect("stdin is piped").write_all(commands.as_bytes()).expect("the watch reads");
        watch.wait().expect("the watch ends");

        let ends = sleepers.each_mut().map(|sleeper| sleeper.wait().expect("it ends").signal());
        assert_eq!(ends, [Some(9), None, Some(9)], "the one in the middle was removed");
    }
}
