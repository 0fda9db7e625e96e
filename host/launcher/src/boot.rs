//! Boot parameters, the control block, and the arena.

use std::{ffi::OsString, os::unix::ffi::OsStrExt};

use backend::Capabilities;
use hostcall_abi::{VERSION, boot, control, layout};
use worker::Shared;

use crate::{Ephemeral, LaunchError, Mode, Options, rings::Rings, signals::AtStart};

/// Bytes reserved for staging; backed as they are used.
const ARENA: u64 = 1 << 34;

/// Memory that is shared with the enclave.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    /// The boot parameters.
    pub parameters: Shared,
    /// The control block.
    pub control: Shared,
    /// Where the runtime stages requests.
    pub arena: Shared,
    /// The rings.
    pub rings: Shared,
    /// Enclave threads that may be used.
    pub threads: u64,
    /// Processors that this process may use.
    pub cpus: u64,
}

/// Lays out the boot parameters.
pub(crate) fn prepare(
    machine: &Capabilities,
    options: &Options,
    signals: AtStart,
) -> Result<Boot, LaunchError> {
    let record = start_record(options)?;
    let start = Shared::new((record.len() as u64).next_multiple_of(8).max(8))?;
    start.write(0, &record);
    let cpus = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let threads = if options.threads == 0 { cpus } else { options.threads };
    let boot = Boot {
        parameters: Shared::new(boot::WORDS * 8)?,
        control: Shared::new(control::WORDS * 8)?,
        arena: Shared::new(ARENA)?,
        rings: Shared::new(layout::TCS_COUNT * layout::PAGE)?,
        threads: threads.clamp(1, layout::TCS_COUNT),
        cpus,
    };
    Rings::prepare(boot.rings, boot.threads);
    let cpu = worker::cpu();
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let (uid, euid) = (rustix::process::getuid(), rustix::process::geteuid());
    let (gid, egid) = (rustix::process::getgid(), rustix::process::getegid());
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    let values = [
        (boot::VERSION, VERSION),
        (boot::ARENA, boot.arena.address()),
        (boot::ARENA_LEN, boot.arena.len()),
        (boot::CONTROL, boot.control.address()),
        (boot::RINGS, boot.rings.address()),
        (boot::THREADS, boot.threads),
        (boot::XSAVE_SIZE, backend::xsave_size(machine.xfrm)),
        (boot::XFRM, machine.xfrm.bits()),
        (boot::START, start.address()),
        (boot::START_LEN, record.len() as u64),
        (boot::ARGC, options.args.len() as u64),
        (boot::ENVC, options.env.len() as u64),
        (boot::EPHEMERAL, options.ephemeral.len() as u64),
        (boot::HEAP_LIMIT, options.heap),
        (boot::OPTIONS, flags(options)),
        (boot::MODE, mode(options.mode)),
        (boot::PID, u64::from(std::process::id())),
        (boot::PPID, parent.unsigned_abs().into()),
        (boot::UIDS, pair(uid.as_raw(), euid.as_raw())),
        (boot::GIDS, pair(gid.as_raw(), egid.as_raw())),
        (boot::CPUS, cpus),
        (boot::HWCAP, cpu.hwcap),
        (boot::HWCAP2, cpu.hwcap2),
        (boot::IGNORED, signals.ignored),
        (boot::BLOCKED, signals.blocked),
        (boot::TRACE_FD, options.trace.map_or(u64::MAX, u64::from)),
    ];
    for (index, value) in values {
        boot.parameters.word(index).store(value, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(boot)
}

fn flags(options: &Options) -> u64 {
    let flag = |wanted: bool, flag: u64| if wanted { flag } else { 0 };
    flag(options.stats, boot::option::STATS)
        | flag(options.trace.is_some(), boot::option::TRACE)
        | flag(options.stats_json, boot::option::STATS_JSON)
}

fn mode(mode: Mode) -> u64 {
    match mode {
        Mode::Auto => boot::mode::AUTO,
        Mode::Sync => boot::mode::SYNC,
        Mode::Async => boot::mode::ASYNC,
    }
}

/// Program, arguments, environment and file systems in memory as NUL-terminated strings.
fn start_record(options: &Options) -> Result<Vec<u8>, LaunchError> {
    let mut record = Vec::new();
    let strings = std::iter::once(&options.program).chain(&options.args).chain(&options.env);
    for string in strings {
        push(&mut record, string)?;
    }
    for Ephemeral { path, size } in &options.ephemeral {
        let mut word = OsString::from(format!("{size}:"));
        word.push(path);
        push(&mut record, &word)?;
    }
    Ok(record)
}

fn push(record: &mut Vec<u8>, string: &OsString) -> Result<(), LaunchError> {
    let bytes = string.as_bytes();
    if bytes.contains(&0) {
        return Err(LaunchError::Nul(string.clone()));
    }
    record.extend_from_slice(bytes);
    record.push(0);
    Ok(())
}
