//! Runs a rewritten program, natively: a static program's file gets the patches, one more segment
//! with the trampolines, and a runtime entry that does nothing but the system call.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use enclave_rewriter::{Area, Code, ENTRY_SLOT, rewrite, scan};

const PROGRAM: &str = "/usr/bin/busybox";
const PAGE: usize = 4096;
/// Address of the new segment; the program's own are below.
const SEGMENT: u64 = 0x1000_0000;
/// What `gs` points to, then the runtime entry, then the program's entry, then trampolines.
const ENTRY: usize = 0x100;
const START: usize = 0x200;
const TRAMPOLINES: usize = 0x1000;

/// The runtime: makes the system call, and resumes. The resume address survives in `mm7`, which
/// every thread has, and a child of `clone` inherits.
const RUNTIME: &[u8] = &[
    0x48, 0x0f, 0x6e, 0xf9, // movq mm7, rcx
    0x0f, 0x05, // syscall
    0x48, 0x0f, 0x7e, 0xf9, // movq rcx, mm7
    0x0f, 0x77, // emms
    0xff, 0xe1, // jmp rcx
];

fn half(file: &[u8], at: usize) -> usize {
    file[at..at + 2].try_into().map_or(0, u16::from_le_bytes).into()
}

fn word(file: &[u8], at: usize) -> u64 {
    file[at..at + 8].try_into().map_or(0, u64::from_le_bytes)
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn offset(value: u64) -> usize {
    usize::try_from(value).expect("an offset")
}

/// Offsets of the program headers of a type.
fn headers(file: &[u8], kind: u32) -> Vec<usize> {
    let all = (0..half(file, 56)).map(|index| offset(word(file, 32)) + 56 * index);
    all.filter(|&at| file[at..at + 4] == kind.to_le_bytes()).collect()
}

/// Sets `gs`, and goes on at the program's entry.
fn start_code(entry: u64) -> Vec<u8> {
    let mut code = vec![0xbf, 0x01, 0x10, 0, 0]; // mov edi, ARCH_SET_GS
    code.push(0xbe); // mov esi, SEGMENT
    code.extend(&SEGMENT.to_le_bytes()[..4]);
    code.extend([0xb8, 158, 0, 0, 0, 0x0f, 0x05]); // arch_prctl
    code.push(0x68); // push entry; ret
    code.extend(&entry.to_le_bytes()[..4]);
    code.push(0xc3);
    code
}

/// The rewritten file, and how many sites it has.
fn rewritten(mut file: Vec<u8>) -> (Vec<u8>, usize) {
    let mut segment = vec![0; TRAMPOLINES];
    let mut count = 0;
    for header in headers(&file, 1) {
        if file[header + 4] & 1 == 0 {
            continue;
        }
        let (from, addr, len) =
            (word(&file, header + 8), word(&file, header + 16), word(&file, header + 32));
        let bytes = file[offset(from)..offset(from + len)].to_vec();
        let code = Code { bytes: &bytes, addr };
        let sites = scan(&code);
        let area = Area { addr: SEGMENT + segment.len() as u64, size: sites.area_size() };
        let out = rewrite(&code, &sites, area);
        count += out.stats.rewritten();
        segment.extend(out.trampolines);
        for patch in out.patches {
            put(&mut file, offset(patch.addr - addr + from), patch.bytes());
        }
    }
    put(&mut segment, offset(ENTRY_SLOT.into()), &(SEGMENT + ENTRY as u64).to_le_bytes());
    put(&mut segment, ENTRY, RUNTIME);
    put(&mut segment, START, &start_code(word(&file, 24)));
    put(&mut file, 24, &(SEGMENT + START as u64).to_le_bytes());
    file.resize(file.len().next_multiple_of(PAGE), 0);

    // Segments must rise; notes stand behind them.
    let note = *headers(&file, 4).last().expect("a note");
    assert!(headers(&file, 1).iter().all(|&load| load < note));
    let (at, len) = (file.len() as u64, segment.len() as u64);
    put(&mut file, note, &[1, 0, 0, 0, 7, 0, 0, 0]);
    for (index, value) in [at, SEGMENT, SEGMENT, len, len, PAGE as u64].into_iter().enumerate() {
        put(&mut file, note + 8 + 8 * index, &value.to_le_bytes());
    }
    file.extend(segment);
    (file, count)
}

/// A file that is removed in the end.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program)
        .arg0("busybox")
        .args(args)
        .env_clear()
        .env("PATH", "/bin:/usr/bin")
        .output()
        .expect("it starts")
}

#[test]
fn a_rewritten_program_does_the_same() {
    let Ok(file) = fs::read(PROGRAM) else {
        println!("skipped: {PROGRAM} isn't there");
        return;
    };
    if !headers(&file, 3).is_empty() || headers(&file, 4).is_empty() || file[16] != 2 {
        println!("skipped: {PROGRAM} isn't a static program at a fixed address");
        return;
    }
    let (file, count) = rewritten(file);
    assert!(count > 200);
    let path = std::env::temp_dir().join(format!("rewritten-{}", std::process::id()));
    let program = Temporary(path);
    fs::write(&program.0, file).expect("written");
    fs::set_permissions(&program.0, fs::Permissions::from_mode(0o755)).expect("executable");

    let runs: [&[&str]; 8] = [
        &["echo", "hello"],
        &["sha256sum", PROGRAM],
        &["ls", "-l", "/etc"],
        &["find", "/etc", "-name", "*.conf"],
        &["sh", "-c", "for i in 1 2 3; do echo $i | cat; done; (exit 7); echo $?"],
        &["sh", "-c", "trap 'echo caught' USR1; kill -USR1 $$; sleep 0.05; echo done; exit 3"],
        &["awk", "BEGIN { for (i = 0; i < 9; i++) printf \"%d %.6f\\n\", i, sin(i) }"],
        &["cat", "/does/not/exist"],
    ];
    for args in runs {
        let (native, ours) = (run(Path::new(PROGRAM), args), run(&program.0, args));
        assert_eq!(native.status, ours.status, "{args:?}: {ours:?}");
        assert_eq!(native.stdout, ours.stdout, "{args:?}");
        assert_eq!(native.stderr.is_empty(), ours.stderr.is_empty(), "{args:?}");
    }
}
