//! Starting a program: its segments, its interpreter, its stack.

use alloc::{sync::Arc, vec, vec::Vec};

use enclave_core::{AppSlice, UserRegs, enter_user, fill_random, random_u64};
use enclave_files::{HostFd, Identity};
use enclave_hostcalls::Errno;
use enclave_loader::{
    AuxInput, ElfError, ElfKind, ElfPlan, Limits, PAGE_SIZE, Segment, StackInput, script, stack,
    vdso,
};
use enclave_mm::{Backing as MmBacking, MapRequest, PageRange, Prot, VmaKind};
use enclave_threads::current;
use hostcall_abi::layout::{USER_BASE, USER_END};

use crate::{
    ephemeral::Held,
    limits,
    memory::errno,
    process::{Backing, Source, process},
    procfs, rewrite, task, through,
};

const PROT_READ: u64 = 1;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
const MAP_PRIVATE: u64 = 0x02;
const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_DENYWRITE: u64 = 0x800;
const MAP_FIXED_NOREPLACE: u64 = 0x10_0000;

/// Where position-independent programs go, before a random offset of whole pages: at two thirds, as on
/// Linux, above what programs like to reserve for themselves (CLISP all from 2^44 to 2^45).
const PIE_BASE: u64 = 0x2aaa_a000_0000;
const PIE_RANDOM_PAGES: u64 = 1 << 16;
const STACK_TOP: u64 = USER_END - 0x1000_0000;
const STACK_RANDOM_PAGES: u64 = 1 << 12;
/// Room on the stack, below what the program finds there, that is mapped from the start.
const STACK_ROOM: u64 = 128 << 10;
/// What a signal frame with AVX-512 state needs, as Linux says in AT_MINSIGSTKSZ.
pub(crate) const MIN_SIGNAL_STACK: u64 = 3632;

/// What the program is started with.
#[derive(Debug)]
pub(crate) struct Start {
    /// Path of the program on the host.
    pub(crate) path: Vec<u8>,
    pub(crate) argv: Vec<Vec<u8>>,
    pub(crate) envp: Vec<Vec<u8>>,
    /// File systems in memory.
    pub(crate) ephemeral: Vec<Vec<u8>>,
    /// Real and effective user, real and effective group.
    pub(crate) ids: [u64; 4],
    pub(crate) hwcap: u64,
    pub(crate) hwcap2: u64,
}

/// Why a program could not be started: the path at fault and the error.
#[derive(Debug)]
pub(crate) struct ExecError {
    pub(crate) path: Vec<u8>,
    pub(crate) errno: Errno,
    pub(crate) detail: &'static str,
}

struct Loaded {
    plan: ElfPlan,
    base: u64,
}

/// Maps the program and gives the current thread the registers to enter it.
pub(crate) fn exec(mut start: Start) -> Result<(), ExecError> {
    let execfn = start.path.clone();
    let name = execfn.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    task::of(&current()).set_name(name);
    let file = resolve_scripts(&mut start)?;
    let at = |path: &[u8]| {
        let path = path.to_vec();
        move |(errno, detail)| ExecError { path, errno, detail }
    };
    let program = load(&file, true).map_err(at(&start.path))?;
    *process().executable.lock() = file.path().unwrap_or_else(|_| start.path.clone());
    let interpreter = match &program.plan.interp {
        None => None,
        Some(path) => Some(open(path).and_then(|file| load(&file, false)).map_err(at(path))?),
    };
    let end = program.base + program.plan.span.1;
    process().space().set_brk_start(end + random_pages(1 << 12));
    enter(&start, &execfn, &program, interpreter.as_ref()).map_err(at(&start.path))
}

type Failure = (Errno, &'static str);

fn plain(errno: Errno) -> Failure {
    (errno, "")
}

fn random_pages(limit: u64) -> u64 {
    random_u64() % limit * PAGE_SIZE
}

fn open(path: &[u8]) -> Result<Arc<HostFd>, Failure> {
    const O_RDONLY: u64 = 0;
    HostFd::open(path, O_RDONLY, 0).map(Arc::new).map_err(plain)
}

/// Follows `#!` lines; afterwards `start.path` is a binary and the arguments are what it gets.
fn resolve_scripts(start: &mut Start) -> Result<Arc<HostFd>, ExecError> {
    for _ in 0..=script::MAX_DEPTH {
        let fail = |(errno, detail)| ExecError { path: start.path.clone(), errno, detail };
        let file = open(&start.path).map_err(fail)?;
        let mut head = vec![0; script::HEAD_SIZE];
        let len = file.read_at(0, &mut head).map_err(|errno| fail(plain(errno)))?;
        let script = match script::parse(&head[..len]) {
            Ok(None) => return Ok(file),
            Ok(Some(script)) => script,
            Err(_) => return Err(fail((Errno::ENOEXEC, "its #! line names no interpreter"))),
        };
        let mut argv = vec![script.interp.to_vec()];
        argv.extend(script.arg.map(|arg| arg.to_vec()));
        argv.push(start.path.clone());
        argv.extend(start.argv.drain(..).skip(1));
        start.argv = argv;
        start.path = script.interp.to_vec();
    }
    Err(ExecError { path: start.path.clone(), errno: Errno::ELOOP, detail: "scripts run scripts" })
}

fn load(file: &Arc<HostFd>, program: bool) -> Result<Loaded, Failure> {
    let stat = file.stat().map_err(plain)?;
    let backing = Backing::new(Arc::clone(file), (&stat).into());
    let limits = Limits { low: USER_BASE, high: USER_END, file_len: stat.size };
    let plan = ElfPlan::read(limits, |offset, bytes| file.read_at(offset, bytes))
        .map_err(|error| (elf_errno(&error), elf_detail(&error)))?;
    let base = match plan.kind {
        ElfKind::Exec => 0,
        ElfKind::Dyn => place(&plan, program).map_err(plain)?,
    };
    reserve(base + plan.span.0, base + plan.span.1).map_err(plain)?;
    for segment in &plan.segments {
        map_segment(&backing, base, segment).map_err(plain)?;
    }
    Ok(Loaded { plan, base })
}

fn elf_errno(error: &ElfError<Errno>) -> Errno {
    match error {
        ElfError::Read(errno) => *errno,
        _ => Errno::ENOEXEC,
    }
}

fn elf_detail(error: &ElfError<Errno>) -> &'static str {
    match error {
        ElfError::Read(_) => "",
        _ => "it is not a valid x86-64 ELF program",
    }
}

/// Finds room for a position-independent image; returns its base.
fn place(plan: &ElfPlan, program: bool) -> Result<u64, Errno> {
    let len = plan.span.1 - plan.span.0;
    if program {
        let hint = (PIE_BASE + random_pages(PIE_RANDOM_PAGES)).next_multiple_of(plan.align);
        return Ok(hint - plan.span.0);
    }
    // Room that is aligned wherever it is; given back at once, for nobody else runs yet.
    let mut space = process().space();
    let request = MapRequest {
        hint: 0,
        len: len + plan.align,
        prot: 0,
        flags: MAP_PRIVATE | MAP_ANONYMOUS,
        offset: 0,
        file: None,
    };
    let room = space.mmap(request).map_err(errno)?;
    space.munmap(room, len + plan.align).map_err(errno)?;
    Ok(room.next_multiple_of(plan.align) - plan.span.0)
}

/// Takes the whole span of an image, so that nothing else gets between its segments.
fn reserve(start: u64, end: u64) -> Result<(), Errno> {
    let request = MapRequest {
        hint: start,
        len: end - start,
        prot: 0,
        flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
        offset: 0,
        file: None,
    };
    process().space().mmap(request).map(|_| ()).map_err(errno)
}

fn map_segment(backing: &Backing, base: u64, segment: &Segment) -> Result<(), Errno> {
    let bit = |wanted: bool, bit: u64| if wanted { bit } else { 0 };
    let prot = bit(segment.prot.read, PROT_READ)
        | bit(segment.prot.write, PROT_WRITE)
        | bit(segment.prot.exec, PROT_EXEC);
    let start = base + segment.page_start();
    let file_end = base + segment.file_page_end();
    let end = base + segment.page_end();
    if file_end > start {
        let request = MapRequest {
            hint: start,
            len: file_end - start,
            prot,
            flags: MAP_PRIVATE | MAP_FIXED | MAP_DENYWRITE,
            offset: segment.page_offset(),
            file: Some(backing.for_mapping()),
        };
        map_file(request)?;
        let (from, to) = segment.zero_tail();
        if segment.prot.write && to > from {
            AppSlice::new(base + from, to - from)?.zero()?;
        }
    }
    if end > file_end.max(start) {
        let start = file_end.max(start);
        let request = MapRequest {
            hint: start,
            len: end - start,
            prot,
            flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
            offset: 0,
            file: None,
        };
        process().space().mmap(request).map_err(errno)?;
    }
    Ok(())
}

/// Maps a file; if it is executable, its pages are given rewritten system call sites as they are
/// read.
pub(crate) fn map_file(request: MapRequest<Backing>) -> Result<u64, Errno> {
    const MAP_TYPE: u64 = 0x0f;
    let private = request.flags & MAP_TYPE == MAP_PRIVATE;
    // What is longer than can be is refused below.
    let len = request.len.checked_next_multiple_of(PAGE_SIZE).unwrap_or(u64::MAX);
    let (Some(file), true, true) = (request.file.clone(), private, request.prot & PROT_EXEC != 0)
    else {
        let mut space = process().space();
        let start = space.mmap(request).map_err(errno)?;
        if !space.committed().contains(start) {
            through::expect(start, len);
        }
        return Ok(start);
    };
    // Nobody else gets in between.
    let mut space = process().space();
    let replaces = request.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) == MAP_FIXED;
    let start = if replaces {
        request.hint
    } else {
        // The jumps depend on where the code will be.
        let flags = request.flags | MAP_ANONYMOUS;
        let room = MapRequest { prot: 0, flags, offset: 0, file: None, ..request };
        space.mmap(room).map_err(errno)?
    };
    let flags = request.flags & !MAP_FIXED_NOREPLACE | MAP_FIXED;
    let fixed = MapRequest { hint: start, flags, ..request };
    let result = match PageRange::from_len(start, len) {
        Some(range) => rewrite::map(&mut space, fixed, file, range),
        None => space.mmap(fixed).map_err(errno),
    };
    if result.is_err() && !replaces {
        space.munmap(start, len).map_err(errno)?;
    }
    result
}

fn enter(
    start: &Start,
    execfn: &[u8],
    program: &Loaded,
    interpreter: Option<&Loaded>,
) -> Result<(), Failure> {
    let [uid, euid, gid, egid] = start.ids;
    let entry = program.base + program.plan.entry;
    let aux = AuxInput {
        sysinfo_ehdr: map_vdso().map_err(plain)?,
        minsigstksz: MIN_SIGNAL_STACK,
        hwcap: start.hwcap,
        hwcap2: start.hwcap2,
        phdr: if program.plan.phdr_vaddr == 0 { 0 } else { program.base + program.plan.phdr_vaddr },
        phent: program.plan.phent.into(),
        phnum: program.plan.phnum.into(),
        base: interpreter.map_or(0, |interpreter| interpreter.base),
        entry,
        uid,
        euid,
        gid,
        egid,
        secure: false,
    };
    let argv: Vec<&[u8]> = start.argv.iter().map(Vec::as_slice).collect();
    let envp: Vec<&[u8]> = start.envp.iter().map(Vec::as_slice).collect();
    let top = STACK_TOP - random_pages(STACK_RANDOM_PAGES);
    let mut random = [0; 16];
    fill_random(&mut random);
    let limit = limits::init().map_err(plain)?;
    let input = StackInput { top, limit, execfn, argv: &argv, envp: &envp, random, aux };
    let image = stack::build(&input)
        .map_err(|_| (Errno::E2BIG, "its arguments and environment do not fit on the stack"))?;
    map_stack(image.sp, top, program.plan.stack_exec).map_err(plain)?;
    AppSlice::new(image.sp, image.bytes.len() as u64)
        .and_then(|slice| slice.write_bytes(&image.bytes))
        .map_err(|fault| plain(fault.into()))?;
    procfs::note_stack(image.sp).map_err(plain)?;
    let rip = interpreter.map_or(entry, |interpreter| interpreter.base + interpreter.plan.entry);
    enter_user(&UserRegs::start_at(rip, image.sp));
    Ok(())
}

fn map_stack(sp: u64, top: u64, executable: bool) -> Result<(), Errno> {
    let bottom = (sp - STACK_ROOM) / PAGE_SIZE * PAGE_SIZE;
    let range = PageRange::new(bottom, top).ok_or(Errno::ENOMEM)?;
    let prot = if executable { Prot::RW | Prot::EXEC } else { Prot::RW };
    process().space().map_runtime(range, prot, VmaKind::Stack).map_err(errno)
}

// The object's symbols point to where the code has its functions.
const _: () = assert!(
    vdso::CLOCK_CODE_SIZE == enclave_core::CLOCK_CODE_SIZE
        && vdso::GETTIMEOFDAY_AT == enclave_core::GETTIMEOFDAY_AT
);

fn map_vdso() -> Result<u64, Errno> {
    let (at, size) = (STACK_TOP + 0x10_0000, vdso::VDSO_SIZE as u64);
    let range = PageRange::from_len(at, size).ok_or(Errno::ENOMEM)?;
    process().space().map_runtime(range, Prot::RW, VmaKind::Vdso).map_err(errno)?;
    AppSlice::new(at, size)?.write_bytes(&vdso::VDSO)?;
    let (start, code) = (at + vdso::CLOCK_CODE_AT as u64, enclave_core::clock_code());
    AppSlice::new(start, code.len() as u64)?.write_bytes(code)?;
    process().space().mprotect(at, size, PROT_READ | PROT_EXEC).map_err(errno)?;
    Ok(at)
}

impl Backing {
    /// Takes a file of the host for mappings.
    pub(crate) fn new(fd: Arc<HostFd>, identity: Identity) -> Self {
        let Identity { device, inode, .. } = identity;
        Self::with(Source::Host(fd), device, inode, None)
    }

    /// Takes a file in memory for mappings.
    pub(crate) fn in_memory(held: Arc<Held>, path: &[u8]) -> Self {
        let (device, inode) = (held.mount.device, held.ino);
        Self::with(Source::Memory(held), device, inode, Some(path.into()))
    }

    fn with(source: Source, device: u64, inode: u64, path: Option<Arc<[u8]>>) -> Self {
        Self { source, device, inode, path, text: None }
    }

    /// Length of the file in bytes.
    pub(crate) fn len(&self) -> Result<u64, Errno> {
        self.source.size()
    }

    /// For a mapping of a program: readable, not writable.
    fn for_mapping(&self) -> MmBacking<Self> {
        MmBacking { file: self.clone(), readable: true, writable: false, executable: true }
    }
}
