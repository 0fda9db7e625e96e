//! Starting one program with a time limit and keeping what it printed.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// What a program did.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Exit status; 128 + N after signal N, as a shell says it; `None` after the time limit.
    pub status: Option<i32>,
    /// Wall time.
    pub time: Duration,
}

impl Output {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Whether the kernel kills a run in which a system call instruction in the enclave reaches it. It
/// makes system calls dearer: `PROGRAMS_AUDIT=0` is for measurements.
fn audited() -> bool {
    std::env::var_os("PROGRAMS_AUDIT").is_none_or(|wanted| wanted != "0")
}

/// The environment of every run: nothing of the caller's but the home folder and `SCONE_*`.
pub(crate) fn clean_environment(command: &mut Command) {
    command.env_clear();
    for (key, value) in std::env::vars_os() {
        if key == "HOME" || key.to_string_lossy().starts_with("SCONE_") {
            command.env(key, value);
        }
    }
    if audited() {
        command.env("SCONE_EMU_AUDIT", "1");
    }
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("LANG", "C.UTF-8").env("TZ", "UTC").env("TERM", "dumb");
}

/// A started program in a process group of its own; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    started: Instant,
    ended: Option<i32>,
}

impl Running {
    /// Starts `command` with its output going to `{stem}.out` and `{stem}.err`.
    pub(crate) fn start(command: &mut Command, stem: &Path) -> Result<Self> {
        let create = |ext: &str| {
            let path = stem.with_extension(ext);
            File::create(&path).with_context(|| format!("make {}", path.display()))
        };
        command.stdout(create("out")?).stderr(create("err")?).process_group(0);
        let child =
            command.spawn().with_context(|| format!("start {:?}", command.get_program()))?;
        Ok(Self { child, started: Instant::now(), ended: None })
    }

    /// The exit status if it has ended, as a shell says it.
    ///
    /// # Errors
    /// When waiting fails.
    pub(crate) fn poll(&mut self) -> io::Result<Option<i32>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?.map(shell_status);
        }
        Ok(self.ended)
    }

    /// Waits until it ends or `limit` after its start; then it is killed and `None` returned.
    ///
    /// # Errors
    /// When waiting fails.
    pub(crate) fn wait(&mut self, limit: Duration) -> io::Result<Option<i32>> {
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(status) = self.poll()? {
                return Ok(Some(status));
            }
            if self.started.elapsed() > limit {
                self.kill();
                return Ok(None);
            }
            sleep(pause);
            pause = (pause + pause / 4).min(Duration::from_millis(5));
        }
    }

    /// Sends a signal to the program alone.
    ///
    /// # Errors
    /// When it has gone.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), signal)?;
        Ok(())
    }

    /// Time since the start.
    #[must_use]
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn kill(&mut self) {
        if self.ended.is_none() {
            // It may have ended a moment ago; either way it is gone afterwards.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            self.ended = self.child.wait().ok().map(shell_status);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn shell_status(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Runs `command` to its end.
pub(crate) fn run(
    command: &mut Command,
    stdin: Option<&Path>,
    stem: &Path,
    limit: Duration,
) -> Result<Output> {
    match stdin {
        Some(path) => {
            command.stdin(File::open(path).with_context(|| format!("open {}", path.display()))?)
        }
        None => command.stdin(Stdio::null()),
    };
    let mut running = Running::start(command, stem)?;
    let status = running.wait(limit).context("wait for the program")?;
    let time = running.elapsed();
    drop(running);
    Ok(Output {
        stdout: fs::read(stem.with_extension("out"))?,
        stderr: fs::read(stem.with_extension("err"))?,
        status,
        time,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{places, run};

    /// Whether a thread of `process` has a seccomp filter.
    fn is_filtered(process: u32) -> io::Result<bool> {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            if status.lines().any(|line| line == "Seccomp:\t2") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Without being told not to, each run in an enclave has the witness of `audit.rs` behind it.
    #[test]
    fn every_run_is_audited() {
        let scone = places::scone().unwrap().to_string_lossy().into_owned();
        let words = ["run", "--quiet", "--", "/bin/cat"].map(str::to_owned);
        let mut command = run::command(&[scone], &words).unwrap();
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        while !is_filtered(child.id()).unwrap() {
            assert!(child.try_wait().unwrap().is_none(), "it ended without having been watched");
            sleep(Duration::from_millis(1));
        }
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}
