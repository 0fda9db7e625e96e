//! Signals from outside, as a program in an enclave meets them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A shell in an enclave: its input stays open until it is dropped.
struct Shell {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Shell {
    /// Runs `script`, whose first line of output is `ready`. `before` runs in a shell outside.
    fn start(before: &str, script: &str) -> Self {
        let outer = format!("{before} exec \"$0\" run -q -- /bin/sh -c \"$1\"");
        let mut child = Command::new("/bin/sh")
            .args(["-c", &outer, env!("CARGO_BIN_EXE_scone"), script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the shell starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut shell = Self { child, output };
        assert_eq!(shell.line(), "ready");
        shell
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("UTF-8");
        line.trim_end().to_owned()
    }

    fn send(&self, signal: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &id]).status().expect("kill starts");
        assert!(status.success());
    }

    /// Gives it the time to get from its last line of output into `read`: a shell that is told
    /// before reads on, outside of enclaves too.
    fn reads(&self) {
        sleep(Duration::from_millis(50));
    }

    /// Waits until the kernel shows this state.
    fn reaches(&self, state: char) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let stat =
                fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("alive");
            let now = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            if now == Some(state) {
                return;
            }
            assert!(Instant::now() < end, "still {now:?}, not {state}");
            sleep(Duration::from_millis(5));
        }
    }

    fn end(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends")
    }
}

#[test]
fn a_handler_interrupts_a_read() {
    let script = "trap 'echo usr1' USR1; trap 'echo term; exit 3' TERM; echo ready; \
                  while :; do read line; done";
    let mut shell = Shell::start("", script);
    for _ in 0..20 {
        shell.reads();
        shell.send("USR1");
        assert_eq!(shell.line(), "usr1");
    }
    shell.reads();
    shell.send("TERM");
    assert_eq!(shell.line(), "term");
    assert_eq!(shell.end().code(), Some(3));
}

#[test]
fn a_handler_interrupts_a_loop_that_makes_no_calls() {
    let mut shell = Shell::start("", "trap 'echo usr1' USR1; echo ready; while :; do :; done");
    shell.send("USR1");
    assert_eq!(shell.line(), "usr1");
    shell.send("KILL");
    assert_eq!(shell.end().signal(), Some(9));
}

#[test]
fn the_default_action_ends_the_process_by_that_signal() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("ALRM", 14), ("USR2", 12)] {
        let shell = Shell::start("", "echo ready; while :; do :; done");
        shell.send(name);
        assert_eq!(shell.end().signal(), Some(number), "{name}");
    }
}

#[test]
fn the_process_stops_and_goes_on() {
    for stop in ["STOP", "TSTP"] {
        let mut shell = Shell::start("", "echo ready; read line; echo line; exit 4");
        shell.send(stop);
        shell.reaches('T');
        shell.send("CONT");
        drop(shell.child.stdin.take());
        assert_eq!(shell.line(), "line");
        assert_eq!(shell.end().code(), Some(4));
    }
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored() {
    let mut shell = Shell::start("trap '' HUP INT;", "echo ready; read line; echo line");
    shell.send("HUP");
    shell.send("INT");
    sleep(Duration::from_millis(50));
    drop(shell.child.stdin.take());
    assert_eq!(shell.line(), "line");
    assert_eq!(shell.end().code(), Some(0));
}
