//! Rewrites code of this machine.

use object::LittleEndian as LE;
use object::read::elf::{ElfFile64, ProgramHeader};

use super::*;

/// The executable segments of a program: address and bytes.
fn code_of(path: &str) -> Vec<(u64, Vec<u8>)> {
    let file = std::fs::read(path).unwrap();
    let elf = ElfFile64::<LE>::parse(&file[..]).unwrap();
    let code = elf.elf_program_headers().iter().filter(|ph| {
        ph.p_type(LE) == object::elf::PT_LOAD && ph.p_flags(LE).contains(object::elf::PF_X)
    });
    code.map(|ph| (ph.p_vaddr(LE), ph.data(LE, &file[..]).unwrap().to_vec())).collect()
}

/// Rewrites all code of a program, with the trampolines right behind it.
fn rewrite_program(path: &str) -> Stats {
    let mut stats = Stats::default();
    for (addr, bytes) in code_of(path) {
        let code = Code { bytes: &bytes, addr, origin: Origin::File };
        let sites = scan(&code);
        let area = Area { addr: addr + bytes.len() as u64, size: sites.area_size() };
        stats.add(&rewrite(&code, &sites, area).stats);
    }
    println!("{path}: {stats:?}");
    stats
}

#[test]
fn nearly_all_sites_of_programs_are_rewritten() {
    let programs = [
        ("/lib/x86_64-linux-gnu/libc.so.6", 400),
        ("/lib64/ld-linux-x86-64.so.2", 40),
        ("/usr/bin/busybox", 200),
        ("/usr/bin/go", 40),
    ];
    for (path, least) in programs {
        if std::path::Path::new(path).exists() {
            let stats = rewrite_program(path);
            assert!(stats.rewritten() >= least, "{path}: {stats:?}");
            assert!(stats.left() * 20 < stats.rewritten(), "{path}: {stats:?}");
        }
    }
}
