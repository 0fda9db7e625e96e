//! Counts and times of system calls, for `--stats`.
//!
//! What the runtime does not know is always counted; the rest only when it was asked for.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use enclave_threads::clock;
use hostcall_abi::{boot::option, missing, syscalls};

use leaving::Leaving;

use crate::{boot::write_stderr, ioctl, process::process, rewrite};

mod leaving;

const NUMBERS: usize = 512;
const PAGE: u64 = 4096;

type Table = [AtomicU64; NUMBERS];

static CALLS: Table = [const { AtomicU64::new(0) }; NUMBERS];
static NANOSECONDS: Table = [const { AtomicU64::new(0) }; NUMBERS];
static UNKNOWN: Table = [const { AtomicU64::new(0) }; NUMBERS];
/// System calls that came by an exception instead of a rewritten site.
pub(crate) static TRAPPED: AtomicU64 = AtomicU64::new(0);
/// Jumps into what was overwritten at a rewritten system call.
pub(crate) static ENTERED: AtomicU64 = AtomicU64::new(0);
/// Instructions that an enclave cannot execute, emulated.
pub(crate) static EMULATED: AtomicU64 = AtomicU64::new(0);
static OPTIONS: AtomicU64 = AtomicU64::new(0);
static STARTED: AtomicU64 = AtomicU64::new(0);

fn slot(table: &'static Table, number: u64) -> &'static AtomicU64 {
    &table[usize::try_from(number).unwrap_or(usize::MAX).min(NUMBERS - 1)]
}

/// Counts a call that took `nanoseconds`.
pub(crate) fn count(number: u64, nanoseconds: u64) {
    slot(&CALLS, number).fetch_add(1, Ordering::Relaxed);
    slot(&NANOSECONDS, number).fetch_add(nanoseconds, Ordering::Relaxed);
}

/// Counts a call that the runtime does not know.
pub(crate) fn unknown(number: u64) {
    slot(&UNKNOWN, number).fetch_add(1, Ordering::Relaxed);
}

/// Takes the option flags of the boot parameters.
pub(crate) fn init(options: u64) {
    OPTIONS.store(options, Ordering::Relaxed);
    if options & option::STATS != 0 {
        STARTED.store(clock::monotonic(), Ordering::Relaxed);
    }
}

/// Whether calls are to be counted.
pub(crate) fn wanted() -> bool {
    OPTIONS.load(Ordering::Relaxed) & option::STATS != 0
}

/// Writes the report at the end, if it was asked for.
pub(crate) fn report() {
    if !wanted() {
        return;
    }
    let json = OPTIONS.load(Ordering::Relaxed) & option::STATS_JSON != 0;
    let report = Report::take();
    write_stderr(if json { report.json() } else { report.text() }.as_bytes());
}

struct Row {
    number: usize,
    calls: u64,
    nanoseconds: u64,
}

struct Report {
    elapsed: u64,
    rows: Vec<Row>,
    unknown: Vec<Row>,
    /// Requests of ioctl(2) that were refused as unknown, and how often.
    ioctls: BTreeMap<u64, u64>,
    left: Leaving,
    sites: enclave_rewriter::Stats,
    resident: u64,
}

fn rows(counts: &Table, times: Option<&Table>) -> Vec<Row> {
    let read = |slot: &AtomicU64| slot.load(Ordering::Relaxed);
    let time = |number: usize| times.map_or(0, |times| read(&times[number]));
    let mut rows: Vec<_> = (0..NUMBERS)
        .map(|number| Row { number, calls: read(&counts[number]), nanoseconds: time(number) })
        .filter(|row| row.calls > 0)
        .collect();
    rows.sort_by_key(|row| core::cmp::Reverse((row.nanoseconds, row.calls)));
    rows
}

/// Name and class of a call.
pub(crate) fn describe(number: u64) -> (String, &'static str) {
    match (syscalls::find(number), missing::name(number)) {
        (Some(call), _) => (call.name.into(), class_name(call.class)),
        (None, Some(name)) => (name.into(), "unknown"),
        (None, None) => (format!("#{number}"), "unknown"),
    }
}

/// The class of a call as traces and reports show it.
pub(crate) fn class_name(class: syscalls::Class) -> &'static str {
    match class {
        syscalls::Class::Local => "local",
        syscalls::Class::Shielded => "shielded",
        syscalls::Class::Forwarded => "forwarded",
        syscalls::Class::Denied => "denied",
    }
}

impl Report {
    fn take() -> Self {
        let started = STARTED.load(Ordering::Relaxed);
        Self {
            elapsed: clock::monotonic().saturating_sub(started),
            rows: rows(&CALLS, Some(&NANOSECONDS)),
            unknown: rows(&UNKNOWN, None),
            ioctls: ioctl::unknown(),
            left: Leaving::take(),
            sites: rewrite::SITES.lock().unwrap_or_default(),
            resident: process().space().usage().peak_resident * PAGE,
        }
    }

    fn text(&self) -> String {
        let mut out = format!("scone: statistics after {} ms\n", self.elapsed / 1_000_000);
        let _ = writeln!(out, "{:>10} {:>12} {:>10}  class      call", "calls", "us", "us/call");
        for row in &self.rows {
            let (name, class) = describe(row.number as u64);
            let us = row.nanoseconds / 1000;
            let each = row.nanoseconds / row.calls;
            let _ = writeln!(
                out,
                "{:>10} {us:>12} {:>6}.{:03}  {class:<10} {name}",
                row.calls,
                each / 1000,
                each % 1000
            );
        }
        for row in &self.unknown {
            // The last slot counts all numbers from there on.
            let more = if row.number == NUMBERS - 1 { " or above" } else { "" };
            let (name, _) = describe(row.number as u64);
            let calls = row.calls;
            let _ = writeln!(out, "not supported: system call {name}{more} ({calls} times)");
        }
        for (request, calls) in &self.ioctls {
            let _ = writeln!(out, "not supported: ioctl {request:#x} ({calls} times)");
        }
        self.left.text(&mut out);
        let (sites, load) = (&self.sites, |counter: &AtomicU64| counter.load(Ordering::Relaxed));
        let _ = writeln!(
            out,
            "sites: {} rewritten ({} following, {} preceding, {} cave), {} left to trap; {} calls \
             trapped, {} jumps into patches, {} instructions emulated\nmemory: {} KiB committed at most",
            sites.rewritten(),
            sites.following,
            sites.preceding,
            sites.cave,
            sites.left() + sites.unconfirmed,
            load(&TRAPPED),
            load(&ENTERED),
            load(&EMULATED),
            self.resident / 1024,
        );
        out
    }

    fn json(&self) -> String {
        let list = |rows: &[Row]| {
            let each = rows.iter().map(|row| {
                let (name, class) = describe(row.number as u64);
                format!(
                    "{{\"number\":{},\"name\":\"{name}\",\"class\":\"{class}\",\"calls\":{},\
                     \"nanoseconds\":{}}}",
                    row.number, row.calls, row.nanoseconds
                )
            });
            each.collect::<Vec<_>>().join(",")
        };
        let ioctls = self
            .ioctls
            .iter()
            .map(|(request, calls)| format!("{{\"request\":{request},\"calls\":{calls}}}"));
        let (sites, load) = (&self.sites, |counter: &AtomicU64| counter.load(Ordering::Relaxed));
        format!(
            "{{\"nanoseconds\":{},\"calls\":[{}],\"unsupported\":[{}],\"unsupported_ioctls\":[{}],\
             \"left\":[{}],\"posted\":{},\"comparisons\":{},\"changes\":{},\"sites\":{{\"following\":{},\
             \"preceding\":{},\"cave\":{},\"left\":{}}},\"trapped\":{},\"entered\":{},\"emulated\":{},\
             \"committed_bytes\":{}}}\n",
            self.elapsed,
            list(&self.rows),
            list(&self.unknown),
            ioctls.collect::<Vec<_>>().join(","),
            self.left.json(),
            self.left.posted(),
            self.left.comparisons().made,
            self.left.comparisons().changes,
            sites.following,
            sites.preceding,
            sites.cave,
            sites.left() + sites.unconfirmed,
            load(&TRAPPED),
            load(&ENTERED),
            load(&EMULATED),
            self.resident,
        )
    }
}
