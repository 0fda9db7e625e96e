//! Rewrites programs and says what became of their sites, and how long it took:
//! `cargo run --release -p enclave-rewriter --example rewrite -- /lib/x86_64-linux-gnu/libc.so.6`

use std::error::Error;
use std::time::{Duration, Instant};

use enclave_rewriter::{Area, Code, rewrite, scan};
use object::LittleEndian as LE;
use object::read::elf::{ElfFile64, ProgramHeader};

/// Runs of which the fastest counts.
const RUNS: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args().skip(1) {
        let file = std::fs::read(&path)?;
        let elf = ElfFile64::<LE>::parse(&file[..])?;
        for ph in elf.elf_program_headers() {
            if ph.p_type(LE) == object::elf::PT_LOAD && ph.p_flags(LE).contains(object::elf::PF_X) {
                let bytes = ph.data(LE, &file[..]).map_err(|()| "segment outside the file")?;
                let code = Code { bytes, addr: ph.p_vaddr(LE) };
                measure(&path, &code);
            }
        }
    }
    Ok(())
}

fn measure(path: &str, code: &Code<'_>) {
    let sites = scan(code);
    let area = Area { addr: code.addr + code.bytes.len() as u64, size: sites.area_size() };
    let cold = Instant::now();
    let out = rewrite(code, &sites, area);
    let cold = cold.elapsed();
    let scanning = fastest(|| drop(scan(code)));
    let rewriting = fastest(|| drop(rewrite(code, &sites, area)));
    println!(
        "{path}: {} bytes of code, {} of trampolines",
        code.bytes.len(),
        out.trampolines.len()
    );
    println!("  {:?}", out.stats);
    println!("  scan {scanning:?}, rewrite {rewriting:?} (the first time {cold:?})");
}

fn fastest(mut run: impl FnMut()) -> Duration {
    let times = (0..RUNS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}
