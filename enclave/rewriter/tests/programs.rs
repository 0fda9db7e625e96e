//! Rewrites the code of real programs.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod invariants;

use std::fmt::Write;
use std::path::Path;

use enclave_rewriter::{Area, Code, Kind, Left, Parts, Rewritten, Stats, rewrite, scan};
use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter, Mnemonic};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{LittleEndian as LE, Object, ObjectSymbol};

const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";
/// The version that the snapshots were made with, as the library itself says.
const LIBC_VERSION: &str =
    "GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.";

/// The executable segments of a program: address and bytes.
fn code_of(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let elf = ElfFile64::<LE>::parse(file).expect("an elf file");
    let code = elf.elf_program_headers().iter().filter(|ph| {
        ph.p_type(LE) == object::elf::PT_LOAD && ph.p_flags(LE).contains(object::elf::PF_X)
    });
    code.map(|ph| (ph.p_vaddr(LE), ph.data(LE, file).expect("a segment").to_vec())).collect()
}

/// Rewrites one segment, with the trampolines right behind it.
fn rewritten<'a>(addr: u64, bytes: &'a [u8]) -> (Code<'a>, Area, Rewritten) {
    let code = Code { bytes, addr };
    let sites = scan(&code);
    let area = Area { addr: addr + bytes.len() as u64, size: sites.area_size() };
    let mut out = rewrite(&code, &sites, area);
    out.sites.sort_unstable_by_key(|&(addr, _)| addr);
    (code, area, out)
}

/// The same by parts of so many bytes; patches stay in their part.
fn rewritten_in_parts(addr: u64, bytes: &[u8], size: usize) -> Vec<(u64, Result<Kind, Left>)> {
    let mut parts = Parts::new(addr, bytes.len(), vec![0; Parts::<Vec<u8>>::buffer_for(size)]);
    let mut outcomes = Vec::new();
    let read = |from: usize, buffer: &mut [u8]| {
        buffer.copy_from_slice(&bytes[from..from + buffer.len()]);
        Ok::<_, std::convert::Infallible>(buffer.len())
    };
    for start in (0..bytes.len()).step_by(size) {
        let Ok((code, sites)) = parts.show(start..start + size, read);
        let area = Area { addr: addr + bytes.len() as u64, size: sites.area_size() };
        let out = rewrite(&code, &sites, area);
        invariants::check(&code, area, &out);
        let part = addr + start as u64..addr + (start + size) as u64;
        assert!(out.patches.iter().all(|p| part.contains(&p.addr) && p.end() <= part.end));
        outcomes.extend(out.sites);
    }
    outcomes.sort_unstable_by_key(|&(addr, _)| addr);
    outcomes
}

#[test]
fn parts_are_rewritten_as_the_whole_is() {
    for (addr, bytes) in code_of(&std::fs::read(LIBC).expect("there is a libc")) {
        let (_, _, whole) = rewritten(addr, &bytes);
        for size in [Parts::<Vec<u8>>::LONGEST, 128 << 10] {
            assert!(bytes.len() > size, "this must be several parts");
            let mut parts = rewritten_in_parts(addr, &bytes, size);
            let mut whole = whole.sites.clone();
            // At a border, there is less room.
            let inside = |&(site, _): &(u64, _)| {
                let place = usize::try_from(site - addr).expect("inside") % size;
                (16..size - 16).contains(&place)
            };
            parts.retain(inside);
            whole.retain(inside);
            assert_eq!(parts, whole);
        }
    }
}

#[test]
fn code_may_end_early() {
    let bytes = [0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0xc3];
    let mut parts = Parts::new(0x1000, 10 << 20, vec![1; Parts::<Vec<u8>>::buffer_for(65536)]);
    let read = |from: usize, buffer: &mut [u8]| {
        assert_eq!(from, 0, "nothing is behind the end");
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok::<_, ()>(bytes.len())
    };
    let (code, sites) = parts.show(0..65536, read).expect("it can be read");
    assert_eq!((code.bytes, sites.len()), (&bytes[..], 1));
    assert_eq!(parts.pages(&(0..65536)), 0..4096);
    assert!(parts.buffer_mut()[bytes.len()..4096].iter().all(|&byte| byte == 0));
    for start in [65536, 1 << 20] {
        let part = start..start + 65536;
        assert!(parts.show(part.clone(), read).expect("there is nothing to read").1.is_empty());
        assert!(parts.pages(&part).is_empty());
    }
    assert!(matches!(Parts::new(0, 1, [0]).show(0..4096, |_, _| Err(5)), Err(5)));
}

#[test]
fn parts_can_be_shown_in_any_order() {
    let bytes: Vec<u8> = (0..=255).flat_map(|page| [page; 4096]).collect();
    let mut parts = Parts::new(0, bytes.len(), vec![0; Parts::<Vec<u8>>::buffer_for(65536)]);
    for start in [3, 4, 5, 14, 15, 0, 1, 9].map(|part| part * 65536) {
        let read = |from: usize, buffer: &mut [u8]| {
            buffer.copy_from_slice(&bytes[from..from + buffer.len()]);
            Ok::<_, ()>(buffer.len())
        };
        let part = start..start + 65536;
        let (code, _) = parts.show(part.clone(), read).expect("it can be read");
        let from = usize::try_from(code.addr).expect("small");
        assert!(from <= start && (start == 0 || from < start));
        assert_eq!(code.bytes, &bytes[from..from + code.bytes.len()]);
        let pages = parts.pages(&part);
        assert_eq!(parts.buffer_mut()[pages], bytes[part]);
    }
}

#[test]
fn nearly_all_sites_of_programs_are_rewritten() {
    let programs = [
        (LIBC, 400),
        ("/lib64/ld-linux-x86-64.so.2", 40),
        ("/usr/bin/busybox", 200),
        ("/usr/bin/go", 40),
    ];
    for (path, least) in programs.into_iter().filter(|(path, _)| Path::new(path).exists()) {
        let mut stats = Stats::default();
        for (addr, bytes) in code_of(&std::fs::read(path).expect("readable")) {
            let (code, area, out) = rewritten(addr, &bytes);
            invariants::check(&code, area, &out);
            stats.add(&out.stats);
        }
        println!("{path}: {stats:?}");
        assert!(stats.rewritten() >= least, "{path}: {stats:?}");
        assert!(stats.left() * 20 < stats.rewritten(), "{path}: {stats:?}");
    }
}

#[test]
fn code_without_system_calls_is_left_alone() {
    for path in ["/usr/bin/python3", "/lib/x86_64-linux-gnu/libcrypto.so.3", "/usr/bin/gcc"] {
        let Ok(file) = std::fs::read(path) else { continue };
        for (addr, bytes) in code_of(&file) {
            let (_, _, out) = rewritten(addr, &bytes);
            assert_eq!(out.sites, [], "{path}");
        }
    }
}

/// Instructions from `addr` on, one per line, up to `end`.
fn listing(bytes: &[u8], addr: u64, end: u64) -> String {
    let mut text = String::new();
    let mut formatter = IntelFormatter::new();
    let mut decoder = Decoder::with_ip(64, bytes, addr, DecoderOptions::NONE);
    while decoder.ip() < end {
        let insn = decoder.decode();
        let mut line = String::new();
        formatter.format(&insn, &mut line);
        writeln!(text, "  {:6x}  {line}", insn.ip()).expect("strings don't fail");
    }
    text
}

/// A site of a function of libc before and after.
fn site_of(
    symbol: &str,
    elf: &ElfFile64<'_, LE>,
    code: &Code<'_>,
    area: Area,
    out: &Rewritten,
) -> String {
    let found = elf.dynamic_symbols().find(|found| found.name() == Ok(symbol)).expect("a symbol");
    let range = found.address()..found.address() + found.size();
    let &(site, result) = out.sites.iter().find(|(site, _)| range.contains(site)).expect("a site");
    let patch = out
        .patches
        .iter()
        .find(|patch| (patch.addr..patch.end()).contains(&site))
        .expect("a patch");
    let at = |addr: u64| usize::try_from(addr - code.addr).expect("inside");
    let decoded = Decoder::with_ip(64, patch.bytes(), patch.addr, DecoderOptions::NONE).decode();
    let entry = decoded.near_branch_target();
    let trampoline = &out.trampolines[usize::try_from(entry - area.addr).expect("inside")..];
    // It ends with the second jump, or with a return.
    let mut decoder = Decoder::with_ip(64, trampoline, entry, DecoderOptions::NONE);
    let mut jumps = 0;
    while jumps < 2 {
        jumps += match decoder.decode().mnemonic() {
            Mnemonic::Jmp => 1,
            Mnemonic::Ret => 2,
            _ => 0,
        };
    }
    let end = patch.end().max(site + 2);
    format!(
        "{symbol}: {result:?}\n original\n{} patch\n{} trampoline\n{}",
        listing(&code.bytes[at(patch.addr)..], patch.addr, end),
        listing(patch.bytes(), patch.addr, patch.addr + decoded.len() as u64),
        listing(trampoline, entry, decoder.ip()),
    )
}

#[test]
fn sites_of_libc_look_as_they_did() {
    let Ok(file) = std::fs::read(LIBC) else {
        println!("skipped: {LIBC} isn't there");
        return;
    };
    if memchr::memmem::find(&file, LIBC_VERSION.as_bytes()).is_none() {
        println!(
            "skipped: {LIBC} isn't {LIBC_VERSION:?}; review the snapshots, then name the new version"
        );
        return;
    }
    let elf = ElfFile64::<LE>::parse(&file[..]).expect("an elf file");
    let segments = code_of(&file);
    let (addr, bytes) = &segments[0];
    let (code, area, out) = rewritten(*addr, bytes);
    let kinds = [Kind::Following, Kind::Preceding, Kind::Cave];
    let mut text = format!("{:?}\n", out.stats);
    for kind in kinds {
        let count = out.sites.iter().filter(|(_, result)| *result == Ok(kind)).count();
        writeln!(text, "{kind:?}: {count}").expect("strings don't fail");
    }
    for symbol in [
        "write",
        "getppid",
        "clone",
        "mmap",
        "_exit",
        "clock_nanosleep",
        "sched_yield",
        "syscall",
        "abort",
        "pthread_create",
    ] {
        text += "\n";
        text += &site_of(symbol, &elf, &code, area, &out);
    }
    insta::assert_snapshot!(text);
}
