//! From the boot parameters to the first instruction of the program.

use alloc::{boxed::Box, vec::Vec};

use enclave_core::{
    HostSlice, Mutex, UserRegs, attributes, exit_forever, fatal, own_call, random_u64, ready,
    to_usize, xstate,
};
use enclave_hostcalls::{self as hostcalls, Call, Wait};
use enclave_loader::PAGE_SIZE;
use enclave_mm::{AddressSpace, Layout, Limits, Policy};
use enclave_threads::{Thread, clock, spawn};
use hostcall_abi::{VERSION, boot, control, layout, service};
use sgx_types::AttributeFlags;

use crate::{
    ephemeral, event,
    exec::{self, ExecError, Start},
    ids,
    pages::EnclavePages,
    process, signal, stats,
    task::Task,
    trace,
};

static START: Mutex<Option<Start>> = Mutex::new(None);

/// Longest start record in bytes: what execve(2) admits on Linux, and some.
const START_LIMIT: u64 = 8 << 20;
/// Bytes of the arena that the clock needs for its replies.
const CLOCK_BYTES: u64 = 64;

/// Nanoseconds that a call through a ring takes at best on machines with two processors to spare.
const RING_COST: u64 = 2500;

/// Starts the runtime on the first enclave thread.
pub fn start(parameters: HostSlice) -> ! {
    // One copy: what the host changes later is not seen.
    let mut words = [0; to_usize(boot::WORDS)];
    for (index, word) in words.iter_mut().enumerate() {
        *word = parameters.word(index as u64).read();
    }
    let word = |index: u64| words[to_usize(index)];
    let outside = |address, len| match HostSlice::new(address, len) {
        Ok(slice) => slice,
        Err(_) => fatal("the host misbehaved: its boot parameters name enclave memory"),
    };
    let arena = ready(outside(word(boot::ARENA), word(boot::ARENA_LEN)));
    if word(boot::VERSION) != VERSION {
        fatal("the launcher speaks another version of the host call contract");
    }
    if xstate::configure(word(boot::XFRM), word(boot::XSAVE_SIZE)).is_err() {
        fatal("the host misbehaved: an impossible size of the XSAVE area");
    }
    clock::init(arena.part(0, CLOCK_BYTES));
    hostcalls::init(arena.part(CLOCK_BYTES, arena.len() - CLOCK_BYTES));
    let threads = word(boot::THREADS).clamp(1, layout::TCS_COUNT);
    enclave_threads::init(outside(word(boot::CONTROL), control::WORDS * 8), threads);
    init_leaving(word(boot::MODE), outside(word(boot::RINGS), layout::TCS_COUNT * layout::PAGE));
    stats::init(word(boot::OPTIONS));
    let trace = word(boot::TRACE_FD);
    // Its lines have strings and data of the program.
    if trace != u64::MAX && !attributes().flags.contains(AttributeFlags::DEBUG) {
        fatal("only a debug enclave can be traced");
    }
    trace::init(trace);
    init_process(&word);
    *START.lock() = Some(read_start(&word, &outside));
    let regs = UserRegs::start_at(0, 0);
    let tid = process::process().pid;
    let first = Thread::new(tid, first_thread, 0, &regs, &[], Box::new(Task::default()));
    ids::init(word(boot::UIDS), word(boot::GIDS));
    signal::init(&first, word(boot::IGNORED), word(boot::BLOCKED));
    spawn(first);
    enclave_threads::run()
}

/// Sets how calls leave. Where the runtime chooses, it begins with rings if leaving the enclave
/// costs more than it takes a host thread on another processor to see an entry and answer.
fn init_leaving(mode: u64, rings: HostSlice) {
    let way = match mode {
        boot::mode::SYNC => hostcalls::Way::Exit,
        boot::mode::ASYNC => hostcalls::Way::Ring,
        _ if exit_cost() > RING_COST => hostcalls::Way::Ring,
        _ => hostcalls::Way::Exit,
    };
    if mode != boot::mode::SYNC {
        enclave_threads::init_rings(rings);
    }
    enclave_threads::set_idle_hook(hostcalls::flush);
    enclave_threads::set_tick_hook(hostcalls::is_any_posted);
    hostcalls::init_ways(mode, way);
}

/// Nanoseconds that leaving and entering again take, the least of a few tries.
fn exit_cost() -> u64 {
    const GETPPID: u64 = 110;
    let once = |_| {
        let before = clock::monotonic();
        own_call(GETPPID, []);
        clock::monotonic() - before
    };
    (0..8).map(once).min().unwrap_or(0)
}

fn init_process(word: &impl Fn(u64) -> u64) {
    let top = layout::USER_END - (1 << 32) - random_u64() % (1 << 16) * PAGE_SIZE;
    let mut space = AddressSpace::new(
        Layout { mmap_top: top, ..Layout::default() },
        Policy::default(),
        EnclavePages::default(),
    );
    space.set_limits(Limits { committed: word(boot::HEAP_LIMIT), ..Limits::default() });
    let number = |index| u32::try_from(word(index)).ok().filter(|&pid| pid <= process::PID_MAX);
    let (Some(pid @ 1..), Some(parent)) = (number(boot::PID), number(boot::PPID)) else {
        fatal("the host misbehaved: a process number that cannot be");
    };
    process::init(space, pid, parent);
}

fn read_start(word: &impl Fn(u64) -> u64, outside: &impl Fn(u64, u64) -> HostSlice) -> Start {
    let len = word(boot::START_LEN);
    if len > START_LIMIT {
        fatal("the arguments and the environment are too long");
    }
    let mut record = alloc::vec![0; to_usize(len)];
    outside(word(boot::START), len).read_bytes(&mut record);
    let mut strings = record.split(|&byte| byte == 0).map(<[u8]>::to_vec);
    let path = strings.next().unwrap_or_default();
    let argv: Vec<_> = strings.by_ref().take(to_usize(word(boot::ARGC))).collect();
    let envp: Vec<_> = strings.by_ref().take(to_usize(word(boot::ENVC))).collect();
    let ephemeral: Vec<_> = strings.by_ref().take(to_usize(word(boot::EPHEMERAL))).collect();
    let halves = |pair: u64| [pair & 0xffff_ffff, pair >> 32];
    let ([uid, euid], [gid, egid]) = (halves(word(boot::UIDS)), halves(word(boot::GIDS)));
    let (hwcap, hwcap2) = (word(boot::HWCAP), word(boot::HWCAP2));
    Start { path, argv, envp, ephemeral, ids: [uid, euid, gid, egid], hwcap, hwcap2 }
}

extern "sysv64" fn first_thread(_: u64) {
    if enclave_files::init(stats::wanted() || trace::wanted(), event::made_outside).is_err() {
        fatal("the host misbehaved: it has no /dev/null for closed standard streams");
    }
    let Some(start) = START.lock().take() else { fatal("the program was started twice") };
    ephemeral::init(&start.ephemeral);
    if let Err(error) = exec::exec(start) {
        report(&error);
    }
}

/// Tells why the program could not be started, and ends with the status of a shell.
fn report(error: &ExecError) -> ! {
    use enclave_hostcalls::Errno;
    let (status, text) = match error.errno {
        Errno::ENOENT => (127, "no such file"),
        Errno::ENOTDIR => (127, "a part of the path is not a directory"),
        Errno::EACCES => (126, "permission denied"),
        Errno::ENOEXEC => (126, "cannot be executed"),
        Errno::EISDIR => (126, "is a directory"),
        Errno::ENOMEM => (126, "not enough memory"),
        Errno::E2BIG => (126, "argument list too long"),
        Errno::ELOOP => (126, "too many levels"),
        _ => (126, "cannot be read"),
    };
    let mut line = b"scone: ".to_vec();
    line.extend_from_slice(&error.path);
    line.extend_from_slice(b": ");
    line.extend_from_slice(text.as_bytes());
    if !error.detail.is_empty() {
        line.extend_from_slice(b": ");
        line.extend_from_slice(error.detail.as_bytes());
    }
    line.push(b'\n');
    write_stderr(&line);
    exit_forever(service::EXIT, status)
}

/// Writes to the host's standard error; nothing can be done about a failure.
pub(crate) fn write_stderr(text: &[u8]) {
    const WRITE: u64 = 1;
    if let Ok(mut call) = Call::new(WRITE, text.len() as u64) {
        let address = call.bytes(text);
        let _ = call.args([2, address, text.len() as u64]).run(Wait::No);
    }
}
