//! Single operations, measured by a C program that repeats them (`c/ops.c`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::report::Better;
use crate::suite::{Metric, Subject, Suite};
use crate::way::{Way, Ways};

const EACH: &[Metric] = &[Metric { name: "time", unit: "ns/operation", better: Better::Lower }];
const TICKS: &[Metric] = &[Metric { name: "ticks", unit: "TSC/call", better: Better::Lower }];
const RATE: &[Metric] =
    &[Metric { name: "rate", unit: "thousand operations/s", better: Better::Higher }];

/// An operation with one thread: the name shown, the name in `ops.c`, flags of the compiler.
type Row = (&'static str, &'static str, &'static [&'static str]);

/// Operations whose time is measured.
const SINGLE: &[Row] = &[
    ("getppid through libc", "getppid", &[]),
    ("getppid, inlined instruction", "getppid", &["-DINLINED"]),
    ("getppid, static", "getppid", &["-static"]),
    ("clock_gettime", "clock_gettime", &[]),
    ("write 32 B to /dev/null", "write-null", &[]),
    ("eventfd write and read", "eventfd", &[]),
    ("pipe write and read", "pipe", &[]),
    ("socketpair write and read", "socketpair", &[]),
    ("pipe ping-pong of two threads", "pipe-ping-pong", &[]),
    ("futex ping-pong of two threads", "futex-ping-pong", &[]),
    ("yield to another thread", "yield", &[]),
    ("thread create and join", "thread-create-join", &[]),
    ("lseek", "lseek", &[]),
    ("fstat", "fstat", &[]),
    ("pread 32 B", "pread-32", &[]),
    ("pwrite 32 B", "pwrite-32", &[]),
    ("pwrite 32 B here and there", "pwrite-32-scattered", &[]),
    ("write 32 B to a log", "write-log", &[]),
    ("pread 64 KiB", "pread-64k", &[]),
    ("pwrite 64 KiB", "pwrite-64k", &[]),
    ("pread 1 MiB", "pread-1m", &[]),
    ("pwrite 1 MiB", "pwrite-1m", &[]),
];

/// Paths whose length is counted, one call at a time: a call that stays inside, by libc and as an instruction of
/// the program, and one that the host answers, by the way that the column says. Where virtual machines do not count
/// instructions, the time stamp counter tells.
const PATHS: &[Row] = &[
    ("one getppid through libc", "getppid", &["-DTICKS"]),
    ("one getppid, inlined instruction", "getppid", &["-DTICKS", "-DINLINED"]),
    ("one lseek", "lseek", &["-DTICKS"]),
];

/// Threads of the rows that scale.
const THREADS: &[usize] = &[1, 2, 4, 8];

/// Single operations.
pub(crate) fn single(suite: &mut Suite) -> Result<()> {
    let rows = |list: &'static [Row], metrics| list.iter().map(move |row| (row, metrics));
    for ((name, op, flags), metrics) in rows(SINGLE, EACH).chain(rows(PATHS, TICKS)) {
        let program = compile(suite, flags)?;
        let ways = if flags.contains(&"-static") {
            suite.ways.of_static()
        } else {
            suite.ways.all.clone()
        };
        suite.measure_by(&ways, Subject::new("ops", name), metrics, |ways, way| {
            Ok(vec![run(ways, way, &[], &program, op, 1, None)?])
        })?;
    }
    let program = compile(suite, &[])?;
    for threads in [1, 2] {
        let subject = Subject::new("ops", "getppid by threads").at(threads);
        suite.measure(subject, RATE, |ways, way| {
            Ok(vec![1e6 / run(ways, way, &[], &program, "getppid", threads, None)?])
        })?;
    }
    memory_file(suite, &program)
}

/// A file in the enclave's memory, against one on the host's tmpfs.
fn memory_file(suite: &mut Suite, program: &Path) -> Result<()> {
    let folder = suite.folder.path().join("memory");
    std::fs::create_dir_all(&folder)?;
    let folder = folder.to_string_lossy().into_owned();
    let options = ["--ephemeral".to_owned(), folder.clone()];
    for (name, op) in [
        ("pwrite 32 B to a file in memory", "pwrite-32"),
        ("pread 32 B from a file in memory", "pread-32"),
        ("pwrite 64 KiB to a file in memory", "pwrite-64k"),
    ] {
        suite.measure(Subject::new("ops", name), EACH, |ways, way| {
            let place = if way.is_native() { "/dev/shm" } else { &folder };
            Ok(vec![run(ways, way, &options, program, op, 1, Some(place))?])
        })?;
    }
    Ok(())
}

/// The paper's figure: pwrite to tmpfs with a rising number of threads.
pub(crate) fn pwrite(suite: &mut Suite) -> Result<()> {
    let program = compile(suite, &[])?;
    for (name, op) in [("pwrite 32 B", "pwrite-32"), ("pwrite 64 KiB", "pwrite-64k")] {
        for &threads in THREADS {
            let subject = Subject::new("pwrite", name).at(threads);
            suite.measure(subject, RATE, |ways, way| {
                Ok(vec![1e6 / run(ways, way, &[], &program, op, threads, None)?])
            })?;
        }
    }
    Ok(())
}

/// Nanoseconds per operation.
fn run(
    ways: &Ways,
    way: Way,
    options: &[String],
    program: &Path,
    op: &str,
    threads: usize,
    folder: Option<&str>,
) -> Result<f64> {
    let mut words =
        vec![program.to_string_lossy().into_owned(), op.to_owned(), threads.to_string()];
    words.extend(folder.map(str::to_owned));
    let mut command = ways.command(way, options, &words);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().with_context(|| format!("{command:?} printed {text:?}"))
}

/// Builds `c/ops.c` with `flags`, once.
fn compile(suite: &Suite, flags: &[&str]) -> Result<PathBuf> {
    compile_c(suite.folder.path(), "ops", flags)
}

/// Builds `c/NAME.c` with `flags` in `folder`, once.
pub(crate) fn compile_c(folder: &Path, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let output = folder.join(format!("{name}{}", flags.concat()));
    if output.exists() {
        return Ok(output);
    }
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("c/{name}.c"));
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-pthread"]).args(flags).arg(source).arg("-o").arg(&output);
    let status = cc.status().context("cannot start cc: install gcc")?;
    ensure!(status.success(), "{cc:?}: {status}");
    Ok(output)
}
