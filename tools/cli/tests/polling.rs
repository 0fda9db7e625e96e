//! Programs that look at a file until another process has changed it.

mod common;

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What was known of a file when it was opened was current for ever, if nothing but sleep came between.
#[test]
fn what_another_process_changes_is_seen_by_who_only_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = common::build(folder.path(), "polling");
    let (file, other) = (folder.path().join("file"), folder.path().join("other"));
    for wait in ["sleep", "futex", "poll", "signal", "clock"] {
        for look in ["open", "ask", "read"] {
            let how = format!("{look}-{wait}");
            std::fs::write(&file, "before").expect("written");
            let mut child = Command::new(env!("CARGO_BIN_EXE_scone"))
                .args(["run", "--quiet", "--syscalls", "async", "--"])
                .arg(&program)
                .arg(&how)
                .current_dir(folder.path())
                .stdout(Stdio::piped())
                .spawn()
                .expect("scone starts");
            let mut go = [0; 3];
            let mut stdout = child.stdout.take().expect("it is a pipe");
            stdout.read_exact(&mut go).expect("it looks at the file");
            sleep(Duration::from_millis(20));
            if look == "open" {
                std::fs::write(&other, "another file").expect("written");
                std::fs::rename(&other, &file).expect("renamed");
            } else {
                std::fs::write(&file, "changed").expect("written");
            }
            let start = Instant::now();
            let ended = loop {
                match child.try_wait().expect("it can be asked") {
                    Some(status) => break status.success(),
                    None if start.elapsed() > Duration::from_secs(20) => break false,
                    None => sleep(Duration::from_millis(2)),
                }
            };
            if !ended {
                child.kill().expect("it goes on");
                child.wait().expect("it ends");
            }
            assert!(ended, "{how}");
        }
    }
}
