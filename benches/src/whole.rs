//! Whole programs: how long they take from start to end, and how much memory they hold.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::report::Better;
use crate::suite::{Metric, Subject, Suite};
use crate::way::{Way, Ways};

const TIME: &[Metric] = &[Metric { name: "time", unit: "ms", better: Better::Lower }];
const MEMORY: &[Metric] = &[Metric { name: "memory", unit: "MB resident", better: Better::Lower }];

/// How long a sleeping program is given before its memory is read.
const SETTLE: Duration = Duration::from_millis(1500);
const IMPORTS: &str = "import json, re, asyncio, http.client, sqlite3";

/// Start-up and memory.
pub(crate) fn startup(suite: &mut Suite) -> Result<()> {
    for (name, words) in [
        ("/bin/true", &["/bin/true"][..]),
        ("python3 hello", &["/usr/bin/python3", "-c", "print('hello')"]),
        ("python3 with five imports", &["/usr/bin/python3", "-c", IMPORTS]),
        ("node hello", &["/usr/bin/node", "-e", "console.log('hello')"]),
    ] {
        suite.measure(Subject::new("startup", name), TIME, |ways, way| {
            Ok(vec![time(ways, way, words)?])
        })?;
    }
    for (name, words) in [
        ("sleep, memory", &["/bin/sleep", "3"][..]),
        ("python3, memory", &["/usr/bin/python3", "-c", "import time; time.sleep(3)"]),
    ] {
        suite.measure(Subject::new("startup", name), MEMORY, |ways, way| {
            Ok(vec![memory(ways, way, words)?])
        })?;
    }
    Ok(())
}

/// SQLite's shell over statements like those of its own speed test.
pub(crate) fn sqlite(suite: &mut Suite) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("scone-bench-").tempdir_in("/dev/shm")?;
    let file = folder.path().join("data.db").to_string_lossy().into_owned();
    for (name, database) in [("in memory", ":memory:"), ("on tmpfs", file.as_str())] {
        let script = statements(if database == ":memory:" { 300_000 } else { 100_000 });
        let words = ["/usr/bin/sqlite3", database, &script];
        suite.measure(Subject::new("sqlite", name), TIME, |ways, way| {
            if database != ":memory:" && std::fs::exists(database)? {
                std::fs::remove_file(database)?;
            }
            Ok(vec![time(ways, way, &words)?])
        })?;
    }
    Ok(())
}

fn statements(rows: usize) -> String {
    format!(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b INTEGER, c TEXT);\n\
         BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < {rows})\n\
         INSERT INTO t SELECT i, i * 7919 % 1000003, printf('value %d', i) FROM n; COMMIT;\n\
         CREATE INDEX tb ON t(b);\n\
         SELECT count(*), sum(b), max(c) FROM t WHERE b BETWEEN 1000 AND 500000;\n\
         BEGIN; UPDATE t SET b = b + 1 WHERE a % 3 = 0; COMMIT;\n\
         DELETE FROM t WHERE a % 5 = 0;\n\
         SELECT count(*), sum(b) FROM t;"
    )
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Milliseconds from start to end.
fn time(ways: &Ways, way: Way, words: &[&str]) -> Result<f64> {
    let mut command = ways.command(way, &[], &owned(words));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let elapsed = start.elapsed();
    ensure!(status.success(), "{command:?}: {status}");
    Ok(elapsed.as_secs_f64() * 1e3)
}

/// Resident megabytes once the program sleeps.
fn memory(ways: &Ways, way: Way, words: &[&str]) -> Result<f64> {
    let mut command = ways.command(way, &[], &owned(words));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    sleep(SETTLE);
    let kilobytes = resident(child.id());
    child.kill()?;
    child.wait()?;
    Ok(kilobytes? / 1024.0)
}

/// Resident kilobytes of a live process.
fn resident(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|l| l.split_whitespace().next());
    let kilobytes = kilobytes.with_context(|| format!("{path}: the program ended early"))?;
    Ok(kilobytes.parse()?)
}
