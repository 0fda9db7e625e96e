//! The gate of the build script refuses what it is there to refuse.

// Shares the build script's code: what is tested is what runs.
#[path = "../build/gate.rs"]
mod gate;

use std::fs;
use std::process::Command;

/// Links a program from C as the image is linked; `options` come on top.
fn link(source: &str, options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, output) = (folder.path().join("image.c"), folder.path().join("image"));
    fs::write(&input, source).expect("written");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-fPIE", "-ffreestanding", "-nostdlib", "-nostartfiles"]);
    cc.args(["-Wl,-z,separate-code,--build-id=none,-e,_start", "-o"]);
    cc.arg(&output).arg(&input).args(options);
    let done = cc.output().expect("cc is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::read(output).expect("linked")
}

const STATIC: &[&str] = &["-static", "-no-pie"];
const NOPS: &str = ".fill 13, 1, 0x90;";

fn with_assembly(assembly: &str) -> Vec<u8> {
    link(&format!("void _start(void) {{ __asm__ volatile(\"{assembly}\"); }}"), STATIC)
}

fn refusal(image: &[u8]) -> String {
    gate::check(image).expect_err("refused")
}

#[test]
fn plain_code_passes() {
    let source = "int x; int *p = &x; void _start(void) { *p = 1; }";
    assert_eq!(gate::check(&link(source, STATIC)), Ok(()));
    for allowed in ["rdtsc", "rdrand %rax", "xgetbv", "wrfsbase %rax", "ud2", "int3"] {
        assert_eq!(gate::check(&with_assembly(allowed)), Ok(()), "{allowed}");
    }
}

#[test]
fn instructions_are_refused() {
    for (assembly, name) in [
        ("cpuid", "Cpuid"),
        ("syscall", "Syscall"),
        ("int $0x80", "Int"),
        ("sysenter", "Sysenter"),
        ("in $1, %al", "In"),
        ("hlt", "Hlt"),
        ("rdpmc", "Rdpmc"),
        ("sgdt (%rax)", "Sgdt"),
        ("lretq", "Retf"),
    ] {
        let refusal = refusal(&with_assembly(assembly));
        assert!(refusal.starts_with(&format!("{name} at 0x")), "{assembly}: {refusal}");
    }
}

#[test]
fn enclu_needs_room_for_a_patch() {
    assert_eq!(gate::check(&with_assembly(&format!("enclu; {NOPS}"))), Ok(()));
    let short = refusal(&with_assembly("enclu; .fill 12, 1, 0x90; ret"));
    assert!(short.starts_with("ENCLU at 0x"), "{short}");
}

#[test]
fn imports_are_refused() {
    let dynamic = link("void _start(void) {}", &["-no-pie", "-Wl,--no-as-needed,-lc"]);
    assert_eq!(refusal(&dynamic), "it has an interpreter");
    for (source, options) in [
        ("void _start(void) {}", &["-shared", "-Wl,--no-as-needed,-lc"][..]),
        (
            "int missing(void); int (*p)(void) = missing; void _start(void) { p(); }",
            &["-shared", "-fPIC"],
        ),
        (
            "int missing(void); void _start(void) { missing(); }",
            &["-shared", "-fPIC", "-Wl,-z,lazy"],
        ),
    ] {
        let refused = refusal(&link(source, options));
        assert_eq!(refused, "ELF type 3 instead of a program with fixed addresses", "{source}");
    }
}

#[test]
fn thread_local_storage_is_refused() {
    let source = "__thread int x = 1; int _start(void) { return x; }";
    assert_eq!(refusal(&link(source, STATIC)), "it has thread-local storage");
}

#[test]
fn constants_that_could_be_written_to_are_refused() {
    let source = "int x = 1; int *const table[] = {&x}; int *_start(int i) { return table[i]; }";
    let shared = refusal(&link(source, STATIC));
    assert_eq!(shared, "what is read-only after relocation shares a segment with other data");
}

#[test]
fn what_would_have_to_be_relocated_is_refused() {
    assert!(refusal(b"#!/bin/sh\n").starts_with("no ELF64 file"));
    let pie = link("void _start(void) {}", &["-static-pie", "-Wl,--no-dynamic-linker"]);
    assert_eq!(refusal(&pie), "ELF type 3 instead of a program with fixed addresses");
    let dynamic =
        link("void _start(void) {}", &["-no-pie", "-Wl,--no-dynamic-linker,--no-as-needed,-lc"]);
    assert_eq!(refusal(&dynamic), "it is linked dynamically");
}
