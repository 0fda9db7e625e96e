//! The stack that a program starts on, laid out as Linux does (`fs/exec.c`,
//! `create_elf_tables` in `fs/binfmt_elf.c`). From the top down: eight zero bytes, the path that
//! was executed, the environment strings, the argument strings, the platform's name, sixteen
//! random bytes, and then, with the stack pointer at its lowest word: `argc`, the argument
//! pointers, the environment pointers and the auxiliary vector.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::PAGE_SIZE;

/// Longest single argument or environment string in bytes, with its NUL (`MAX_ARG_STRLEN`).
pub const MAX_ARG_STRLEN: usize = 32 * 4096;
/// Room that arguments have however small the stack is (`ARG_MAX`).
const ARG_MIN: u64 = 131_072;
/// Room that arguments have however large the stack is (three quarters of `_STK_LIM`).
const ARG_MAX: u64 = 6 << 20;
/// The name behind `AT_PLATFORM`.
const PLATFORM: &[u8] = b"x86_64";
/// Clock ticks per second (`AT_CLKTCK`, `USER_HZ`).
const CLOCK_TICKS: u64 = 100;

/// Types of auxiliary vector entries (`getauxval(3)`).
pub mod at {
    #![expect(missing_docs, reason = "the names are Linux's own")]
    pub const NULL: u64 = 0;
    pub const PHDR: u64 = 3;
    pub const PHENT: u64 = 4;
    pub const PHNUM: u64 = 5;
    pub const PAGESZ: u64 = 6;
    pub const BASE: u64 = 7;
    pub const FLAGS: u64 = 8;
    pub const ENTRY: u64 = 9;
    pub const UID: u64 = 11;
    pub const EUID: u64 = 12;
    pub const GID: u64 = 13;
    pub const EGID: u64 = 14;
    pub const PLATFORM: u64 = 15;
    pub const HWCAP: u64 = 16;
    pub const CLKTCK: u64 = 17;
    pub const SECURE: u64 = 23;
    pub const RANDOM: u64 = 25;
    pub const HWCAP2: u64 = 26;
    pub const EXECFN: u64 = 31;
    pub const SYSINFO_EHDR: u64 = 33;
    pub const MINSIGSTKSZ: u64 = 51;
}

/// What the auxiliary vector says, except for what the layout itself decides.
#[derive(Clone, Debug, Default)]
pub struct AuxInput {
    /// Address of the vDSO's ELF header.
    pub sysinfo_ehdr: u64,
    /// Bytes that a signal frame needs.
    pub minsigstksz: u64,
    /// Processor features: `cpuid(1).edx`.
    pub hwcap: u64,
    /// More of them: bit 0 ring-3 `mwait`, bit 1 FSGSBASE.
    pub hwcap2: u64,
    /// Address of the program headers in memory.
    pub phdr: u64,
    /// Size of a program header.
    pub phent: u64,
    /// Number of program headers.
    pub phnum: u64,
    /// Where the program interpreter was loaded, 0 without one.
    pub base: u64,
    /// The program's own (not its interpreter's) entry.
    pub entry: u64,
    /// Real user.
    pub uid: u64,
    /// Effective user.
    pub euid: u64,
    /// Real group.
    pub gid: u64,
    /// Effective group.
    pub egid: u64,
    /// Whether the program gained privileges.
    pub secure: bool,
}

/// All that goes on the stack.
#[derive(Clone, Debug)]
pub struct StackInput<'a> {
    /// First address after the stack, a multiple of 16.
    pub top: u64,
    /// Size that the stack may grow to in bytes (`RLIMIT_STACK`).
    pub limit: u64,
    /// Path that was executed.
    pub execfn: &'a [u8],
    /// Arguments, without NULs. When empty, the program gets one empty argument, as since Linux
    /// 5.18.
    pub argv: &'a [&'a [u8]],
    /// Environment, without NULs.
    pub envp: &'a [&'a [u8]],
    /// For stack protectors and pointer mangling.
    pub random: [u8; 16],
    /// The rest of the auxiliary vector.
    pub aux: AuxInput,
}

/// The finished image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackImage {
    /// Initial stack pointer, a multiple of 16; `bytes` begin here.
    pub sp: u64,
    /// Content from `sp` to the top.
    pub bytes: Vec<u8>,
    /// Address range of the argument strings.
    pub args: (u64, u64),
    /// Address range of the environment strings.
    pub env: (u64, u64),
    /// Content of `/proc/self/auxv`.
    pub auxv: Vec<u8>,
}

/// Why the arguments don't fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackError {
    /// One string has this many bytes (`E2BIG`).
    StringTooLong(usize),
    /// All of them together need more than this many bytes (`E2BIG`).
    TooBig(u64),
    /// The top of the stack isn't aligned, or is too low.
    Top(u64),
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StringTooLong(len) => {
                write!(f, "argument of {len} bytes is longer than {MAX_ARG_STRLEN}")
            }
            Self::TooBig(limit) => write!(f, "arguments need more than {limit} bytes"),
            Self::Top(top) => write!(f, "stack can't end at {top:#x}"),
        }
    }
}

impl core::error::Error for StackError {}

/// Lays out the initial stack.
///
/// # Errors
///
/// See [`StackError`].
pub fn build(input: &StackInput<'_>) -> Result<StackImage, StackError> {
    let no_args: &[&[u8]] = &[b""];
    let argv = if input.argv.is_empty() { no_args } else { input.argv };
    let args_len = strings_len(argv)?;
    let env_len = strings_len(input.envp)?;
    let execfn_len = strings_len(&[input.execfn])?;
    check_size(input, argv.len(), args_len + env_len + execfn_len)?;

    let too_low = StackError::Top(input.top);
    let below = |addr: u64, len: u64| addr.checked_sub(len).ok_or(too_low);
    let execfn = below(input.top, 8 + execfn_len)?;
    let env = below(execfn, env_len)?;
    let args = below(env, args_len)?;
    let platform = below(args & !15, PLATFORM.len() as u64 + 1)?;
    let random = below(platform & !15, input.random.len() as u64)?;
    let aux = aux_vector(&input.aux, execfn, platform, random);
    let words = 1 + argv.len() + 1 + input.envp.len() + 1 + aux.len();
    let sp = below(random, words as u64 * 8)? & !15;
    if !input.top.is_multiple_of(16) {
        return Err(too_low);
    }

    let mut image = Image { base: sp, bytes: vec![0; to_len(input.top - sp)] };
    let mut at = sp;
    image.word(&mut at, argv.len() as u64);
    image.strings(&mut at, args, argv);
    image.strings(&mut at, env, input.envp);
    let auxv_start = at;
    aux.iter().for_each(|&word| image.word(&mut at, word));
    image.put(execfn, input.execfn);
    image.put(platform, PLATFORM);
    image.put(random, &input.random);
    let auxv = image.bytes.get(to_len(auxv_start - sp)..to_len(at - sp)).unwrap_or_default();
    Ok(StackImage {
        sp,
        args: (args, args + args_len),
        env: (env, env + env_len),
        auxv: auxv.to_vec(),
        bytes: image.bytes,
    })
}

/// Bytes of `strings` with their NULs.
fn strings_len(strings: &[&[u8]]) -> Result<u64, StackError> {
    match strings.iter().find(|string| string.len() >= MAX_ARG_STRLEN) {
        Some(string) => Err(StackError::StringTooLong(string.len())),
        None => Ok(strings.iter().map(|string| string.len() as u64 + 1).sum()),
    }
}

/// Strings and the pointers to them must fit a quarter of the stack.
fn check_size(input: &StackInput<'_>, argc: usize, strings: u64) -> Result<(), StackError> {
    let limit = (input.limit / 4).clamp(ARG_MIN, ARG_MAX);
    let pointers = (argc as u64 + input.envp.len() as u64) * 8;
    if strings + pointers > limit { Err(StackError::TooBig(limit)) } else { Ok(()) }
}

fn aux_vector(aux: &AuxInput, execfn: u64, platform: u64, random: u64) -> Vec<u64> {
    let entries = [
        (at::SYSINFO_EHDR, aux.sysinfo_ehdr),
        (at::MINSIGSTKSZ, aux.minsigstksz),
        (at::HWCAP, aux.hwcap),
        (at::PAGESZ, PAGE_SIZE),
        (at::CLKTCK, CLOCK_TICKS),
        (at::PHDR, aux.phdr),
        (at::PHENT, aux.phent),
        (at::PHNUM, aux.phnum),
        (at::BASE, aux.base),
        (at::FLAGS, 0),
        (at::ENTRY, aux.entry),
        (at::UID, aux.uid),
        (at::EUID, aux.euid),
        (at::GID, aux.gid),
        (at::EGID, aux.egid),
        (at::SECURE, aux.secure.into()),
        (at::RANDOM, random),
        (at::HWCAP2, aux.hwcap2),
        (at::EXECFN, execfn),
        (at::PLATFORM, platform),
        (at::NULL, 0),
    ];
    entries.into_iter().flat_map(|(kind, value)| [kind, value]).collect()
}

fn to_len(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Memory that begins at `base`.
struct Image {
    base: u64,
    bytes: Vec<u8>,
}

impl Image {
    fn put(&mut self, addr: u64, data: &[u8]) {
        let start = to_len(addr - self.base);
        if let Some(room) = self.bytes.get_mut(start..start + data.len()) {
            room.copy_from_slice(data);
        }
    }

    fn word(&mut self, at: &mut u64, word: u64) {
        self.put(*at, &word.to_le_bytes());
        *at += 8;
    }

    /// Writes `strings` at `text`, pointers to them at `at`, and a null pointer.
    fn strings(&mut self, at: &mut u64, mut text: u64, strings: &[&[u8]]) {
        for string in strings {
            self.put(text, string);
            self.word(at, text);
            text += string.len() as u64 + 1;
        }
        self.word(at, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: u64 = 0x3eff_ffff_f000;

    fn input<'a>(argv: &'a [&'a [u8]], envp: &'a [&'a [u8]]) -> StackInput<'a> {
        let aux = AuxInput { phdr: 0x40_0040, phnum: 13, entry: 0x40_1000, ..AuxInput::default() };
        StackInput { top: TOP, limit: 8 << 20, execfn: b"/bin/x", argv, envp, random: [7; 16], aux }
    }

    struct Reader<'a>(&'a StackImage);

    impl Reader<'_> {
        fn word(&self, addr: u64) -> u64 {
            let start = to_len(addr - self.0.sp);
            u64::from_le_bytes(self.0.bytes[start..start + 8].try_into().unwrap())
        }

        fn string(&self, addr: u64) -> Vec<u8> {
            let start = to_len(addr - self.0.sp);
            self.0.bytes[start..].iter().copied().take_while(|&byte| byte != 0).collect()
        }

        fn list(&self, mut addr: u64) -> (Vec<Vec<u8>>, u64) {
            let mut list = Vec::new();
            while self.word(addr) != 0 {
                list.push(self.string(self.word(addr)));
                addr += 8;
            }
            (list, addr + 8)
        }
    }

    #[test]
    fn a_program_finds_all_it_was_given() {
        for count in 0..5 {
            let args = vec![&b"arg"[..]; count];
            let image = build(&input(&args, &[b"A=1", b"LONGER=value"])).unwrap();
            assert_eq!(image.sp % 16, 0);
            assert_eq!(image.sp + image.bytes.len() as u64, TOP);
            let reader = Reader(&image);
            assert_eq!(reader.word(image.sp), count.max(1) as u64);
            let (argv, at) = reader.list(image.sp + 8);
            assert_eq!(argv, if count == 0 { vec![&b""[..]] } else { args });
            let (envp, mut at) = reader.list(at);
            assert_eq!(envp, [&b"A=1"[..], b"LONGER=value"]);
            let auxv: Vec<u8> = image.bytes[to_len(at - image.sp)..][..image.auxv.len()].to_vec();
            assert_eq!(auxv, image.auxv);
            let mut found = std::collections::BTreeMap::new();
            while reader.word(at) != at::NULL {
                found.insert(reader.word(at), reader.word(at + 8));
                at += 16;
            }
            assert_eq!(found[&at::PHDR], 0x40_0040);
            assert_eq!(found[&at::PAGESZ], 4096);
            assert_eq!(reader.string(found[&at::PLATFORM]), b"x86_64");
            assert_eq!(reader.string(found[&at::EXECFN]), b"/bin/x");
            assert_eq!(reader.word(found[&at::RANDOM]), 0x0707_0707_0707_0707);
            assert_eq!(found.len(), 20);
            let strings = &image.bytes[to_len(image.env.0 - image.sp)..][..17];
            assert_eq!(strings, b"A=1\0LONGER=value\0");
            assert_eq!(image.env.1 - image.env.0, 17);
            assert_eq!(image.args.1, image.env.0);
        }
    }

    #[test]
    fn limits_are_those_of_linux() {
        let longest = vec![b'a'; MAX_ARG_STRLEN - 1];
        assert!(build(&input(&[&longest], &[])).is_ok());
        let longer = vec![b'a'; MAX_ARG_STRLEN];
        let too_long = Err(StackError::StringTooLong(MAX_ARG_STRLEN));
        assert_eq!(build(&input(&[], &[&longer])), too_long);

        let half: &[u8] = &longest[..65536];
        let many = vec![half; 40];
        assert_eq!(build(&input(&many, &[])), Err(StackError::TooBig(2 << 20)));
        let large = StackInput { limit: 64 << 20, ..input(&many, &[]) };
        assert!(build(&large).is_ok());
        let small = StackInput { limit: 4096, ..input(&many, &[]) };
        assert_eq!(build(&small), Err(StackError::TooBig(ARG_MIN)));
    }

    #[test]
    fn an_impossible_top_is_refused() {
        assert_eq!(build(&StackInput { top: 64, ..input(&[], &[]) }), Err(StackError::Top(64)));
        let odd = TOP + 8;
        assert_eq!(build(&StackInput { top: odd, ..input(&[], &[]) }), Err(StackError::Top(odd)));
    }
}
