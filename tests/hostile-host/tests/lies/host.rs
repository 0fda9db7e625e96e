//! Runs the checker on a host that lies, and judges what comes of it.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use hostcall_abi::service;
use leaks::{Part, look};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// What a lie leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is found out: the enclave ends, and says that the host misbehaved.
    Found,
    /// It changes nothing.
    Harmless,
    /// The runtime cannot go on, and says so.
    Broken,
    /// The enclave does not start, and the launcher says why: its message has these words.
    Refused(&'static str),
    /// It may be found out, change what only the host can say, or stop the program; it corrupts
    /// nothing.
    Any,
}

/// How system calls leave.
pub(crate) const SYNC: &[&str] = &["sync"];
/// On all ways.
pub(crate) const BOTH: &[&str] = &["sync", "async"];

/// How long a run may take; one that is stopped is ended then.
const LIMIT: Duration = Duration::from_secs(8);

struct Run {
    /// As a shell says it; `None` after the limit.
    status: Option<i32>,
    stdout: String,
    stderr: String,
    /// Where the secret was in the host's memory when the process was about to end.
    leaked: Vec<u64>,
}

/// Builds a program, once in each process of the tests.
fn build(name: &'static str) -> Result<PathBuf> {
    static BUILT: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = built.get(name) {
        return Ok(program.clone());
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c").join(name);
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("");
    // Under another name first: other tests may be running it.
    let new = program.with_extension(std::process::id().to_string());
    let status = Command::new("gcc")
        .args(["-O1", "-pthread", "-o"])
        .arg(&new)
        .arg(source)
        .arg("-lm")
        .status();
    ensure!(status.context("start gcc")?.success(), "gcc failed");
    fs::rename(new, &program)?;
    built.insert(name, program.clone());
    Ok(program)
}

fn run(lie: &str, mode: &str, program: &Path) -> Result<Run> {
    // The files that it leaves when it is ended go with the folder.
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostile-host"))
        .args([lie, mode])
        .arg(program)
        .current_dir(&folder)
        .env("SCONE_EMU_AUDIT", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut leaked = Vec::new();
    let status = wait(&mut child, &mut leaked)?;
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().context("no output")?.read_to_string(&mut stdout)?;
    child.stderr.take().context("no output")?.read_to_string(&mut stderr)?;
    Ok(Run { status, stdout, stderr, leaked })
}

/// Waits for the end of the process, and looks through its memory when it stops before that.
fn wait(child: &mut Child, leaked: &mut Vec<u64>) -> Result<Option<i32>> {
    let pid = Pid::from_child(child);
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        let Some((_, status)) = waitpid(Some(pid), options)? else {
            sleep(Duration::from_millis(2));
            continue;
        };
        if status.stopped() {
            leaked.extend(look(child.id(), Part::Host)?.places);
            kill_process(pid, Signal::CONT)?;
            continue;
        }
        let signal = status.terminating_signal().map(|signal| 128 + signal);
        return Ok(status.exit_status().or(signal));
    }
    leaked.extend(look(child.id(), Part::Host)?.places);
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Tells the lie to `c/checker.c` on each of the ways out, and says what went otherwise.
pub(crate) fn tell(lie: &str, modes: &[&str], end: End) -> Result<()> {
    tell_to("checker.c", lie, modes, end)
}

/// As [`tell`], to another program.
pub(crate) fn tell_to(program: &'static str, lie: &str, modes: &[&str], end: End) -> Result<()> {
    let program = build(program)?;
    for mode in modes {
        let run = run(lie, mode, &program)?;
        judge(&run, end).with_context(|| {
            format!("{lie:?} ({mode}): {:?} {:?} {:?}", run.status, run.stdout, run.stderr)
        })?;
    }
    Ok(())
}

fn judge(run: &Run, end: End) -> Result<()> {
    ensure!(run.leaked.is_empty(), "the secret is at {:x?}", run.leaked);
    ensure!(!run.stdout.contains("corrupt"), "something was corrupted");
    if end == End::Broken {
        let says = run.stderr.contains("the enclave has ended: the runtime faulted");
        ensure!(run.status == Some(134) && says, "the runtime went on");
        return Ok(());
    }
    // What the runtime says when it stumbles, and libc when it finds its own data damaged.
    for defect in ["panic", "faulted", "overflow", "own memory", "malloc", "free()", "smashing"] {
        ensure!(!run.stderr.contains(defect), "something stumbled");
    }
    // Before there is memory to say more with, the enclave only refuses.
    let refused =
        run.stderr.contains(&format!("refused to be entered (reason {:#x})", service::EXIT));
    let message = run.stderr.starts_with("scone: the enclave has ended: the host ");
    let found = run.status == Some(134) && message || refused;
    let harmless = run.status == Some(0) && run.stdout.ends_with("intact\n");
    match end {
        End::Found => ensure!(found, "the lie was not found out"),
        End::Harmless => ensure!(harmless, "the lie did harm"),
        End::Refused(why) => {
            ensure!(run.status == Some(99) && run.stderr.contains(why), "the enclave started");
            ensure!(run.stdout.is_empty(), "the program has run");
        }
        End::Any if found => {}
        End::Broken => {}
        End::Any => match run.status {
            // Nothing goes on, or all of it does, with output lost or not.
            None | Some(0 | 4) => {}
            // The program could not be started, or the launcher gave up.
            Some(99 | 126 | 127 | 134) => {}
            // A signal of the host's; a file that has ended.
            Some(HANGUP | ILLEGAL | BUS) => {}
            Some(status) => bail!("the program ended with {status}"),
        },
    }
    Ok(())
}

/// Statuses of programs that a signal ended.
const HANGUP: i32 = 128 + 1;
const ILLEGAL: i32 = 128 + 4;
const BUS: i32 = 128 + 7;
