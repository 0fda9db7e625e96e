//! Calls to the host by io_uring and by helper threads, without an enclave (`c/uring.c`).
//!
//! Natively is the direct call. The cost model has no part in these: nothing enters an enclave.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::ops::compile_c;
use crate::report::Better;
use crate::suite::{Metric, Subject, Suite};
use crate::way::{OF_HOST, Way};

/// Operations: the name shown, and the name in `uring.c`.
const OPERATIONS: &[(&str, &str)] = &[
    ("pwrite 32 B, tmpfs", "pwrite-32"),
    ("pread 32 B, tmpfs", "pread-32"),
    ("pwrite 64 KiB, tmpfs", "pwrite-64k"),
    ("pread 64 KiB, tmpfs", "pread-64k"),
    ("copy and pwrite 64 KiB, tmpfs", "copy-pwrite-64k"),
    ("pwrite 32 B, disk", "pwrite-32-disk"),
    ("pread 32 B, disk", "pread-32-disk"),
    ("pread 64 KiB, disk", "pread-64k-disk"),
    ("send and recv 64 B, TCP", "tcp-64"),
    ("send and recv 16 KiB, TCP", "tcp-16k"),
    ("send and recv that waits, TCP", "ping"),
    ("fsync, tmpfs", "fsync-tmpfs"),
    ("pwrite 4 KiB and fsync, disk", "write-fsync-disk"),
    ("openat and close", "open-close"),
    ("statx", "statx"),
];

/// Operations under way at a time.
const DEPTHS: &[usize] = &[1, 8, 32];

const METRICS: &[Metric] = &[
    Metric { name: "time", unit: "ns/operation", better: Better::Lower },
    Metric { name: "processor time of all threads", unit: "ns/operation", better: Better::Lower },
];

/// All operations at all depths.
pub(crate) fn all(suite: &mut Suite) -> Result<()> {
    let program = compile_c(suite.folder.path(), "uring", &[])?;
    let folder = suite.folder.path().to_owned();
    for (name, operation) in OPERATIONS {
        for &depth in DEPTHS {
            let name = format!("{name}, {depth} at a time");
            let subject = Subject::new("uring", &name);
            suite.measure_by(OF_HOST, subject, METRICS, |_, way| {
                let way = if way == Way::Native { "direct" } else { way.name() };
                let mut command = Command::new(&program);
                command.args([way, operation, &depth.to_string()]).arg(&folder);
                let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
                ensure!(output.status.success(), "{command:?}: {}", output.status);
                let text = String::from_utf8(output.stdout)?;
                text.split_whitespace()
                    .map(|word| word.parse().with_context(|| format!("{command:?}: {text:?}")))
                    .collect()
            })?;
        }
    }
    Ok(())
}
