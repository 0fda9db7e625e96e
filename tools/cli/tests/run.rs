//! `scone run`, as a shell sees it.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};

const BANNER: &str = "NO PROTECTION";

fn scone(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scone"));
    command.arg("run").args(words).env("SCONE_TEST", "from outside");
    command.output().expect("scone starts")
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).expect("UTF-8")
}

#[test]
fn says_that_an_emulated_enclave_protects_nothing_unless_silenced() {
    let hardware = Path::new("/dev/sgx_enclave").exists();
    let loud = scone(&["--backend", "emu", "--", "/bin/echo", "hello"]);
    assert_eq!(stdout(&loud), "hello\n");
    assert!(stderr(&loud).contains(BANNER), "{}", stderr(&loud));
    assert_eq!(stderr(&loud).lines().count(), 1);
    let quiet = scone(&["--quiet", "--", "/bin/echo", "hello"]);
    assert_eq!(stdout(&quiet), "hello\n");
    assert!(hardware || stderr(&quiet).is_empty(), "{}", stderr(&quiet));
}

#[test]
fn passes_the_status_on() {
    for status in [0, 1, 42, 255] {
        let script = format!("exit {status}");
        assert_eq!(scone(&["-q", "--", "/bin/sh", "-c", &script]).status.code(), Some(status));
    }
}

#[test]
fn dies_of_the_programs_signal() {
    for (name, signal) in [("TERM", 15), ("KILL", 9), ("SEGV", 11)] {
        let script = format!("kill -{name} $$");
        let status = scone(&["-q", "--", "/bin/sh", "-c", &script]).status;
        assert_eq!(status.signal(), Some(signal), "{status}");
    }
}

#[test]
fn builds_the_environment() {
    let env = |options: &[&str]| {
        let output = scone(&[&["-q"], options, &["--", "/usr/bin/env"]].concat());
        let mut lines: Vec<_> = stdout(&output).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert!(env(&[]).contains(&"SCONE_TEST=from outside".to_owned()));
    assert_eq!(env(&["--clear-env"]), [""; 0]);
    let chosen = env(&["--clear-env", "--env", "SCONE_TEST", "--env", "A=b=c"]);
    assert_eq!(chosen, ["A=b=c", "SCONE_TEST=from outside"]);
}

#[test]
fn changes_the_folder_and_keeps_arguments_as_they_are() {
    assert_eq!(stdout(&scone(&["-q", "--cwd", "/usr", "--", "/bin/pwd"])), "/usr\n");
    let words = ["-q", "/usr/bin/printf", "%s|", "-q", "--", "a b", ""];
    assert_eq!(stdout(&scone(&words)), "-q|--|a b||");
}

#[test]
fn reads_standard_input() {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = Command::new(env!("CARGO_BIN_EXE_scone"))
        .args(["run", "-q", "--", "/bin/cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("scone starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(b"one\ntwo\n").expect("written");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(stdout(&output), "one\ntwo\n");
}

#[test]
fn measures_what_scone_measure_measures() {
    let measured = Command::new(env!("CARGO_BIN_EXE_scone")).arg("measure").output();
    let measured = measured.expect("scone starts");
    assert_eq!(stdout(&scone(&["--measure"])), stdout(&measured));
}

#[test]
fn a_production_enclave_runs_with_a_signature_of_ones_own_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (key, production, debug) = (path("key"), path("production"), path("debug"));
    let sign = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scone"));
        let done = command.args(["sign", "--key", &key]).args(words).output();
        assert!(done.expect("scone starts").status.success(), "{words:?}");
    };
    sign(&["--generate-key", "--out", &production]);
    sign(&["--debug", "--out", &debug]);

    let run = |signature: &str| {
        scone(&["-q", "--production", "--sigstruct", signature, "--", "/bin/echo", "in"])
    };
    assert_eq!(stdout(&run(&production)), "in\n");
    let refused = run(&debug);
    assert_eq!(refused.status.code(), Some(125));
    assert!(stderr(&refused).contains("the enclave was refused"), "{}", stderr(&refused));
}

#[test]
fn traces_to_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("trace");
    let option = format!("--trace={}", file.display());
    let output = scone(&["-q", &option, "--", "/bin/echo", "traced"]);
    assert_eq!((stdout(&output), stderr(&output)), ("traced\n", ""));
    let trace = std::fs::read_to_string(file).expect("written");
    assert!(trace.contains("write(1, "), "{trace}");
}

#[test]
fn reports_counts_as_text_and_json() {
    let text = scone(&["-q", "--stats", "--", "/bin/true"]);
    assert!(stderr(&text).contains("brk"), "{}", stderr(&text));
    let json = scone(&["-q", "--stats=json", "--", "/bin/true"]);
    let report: serde_json::Value = serde_json::from_str(stderr(&json)).expect("JSON");
    assert!(report.is_object(), "{report}");
}

/// A container may have nothing else: no library, no device, no `/proc`.
#[test]
fn needs_nothing_but_itself_and_the_program() {
    let root = tempfile::tempdir().expect("a folder");
    let source = root.path().join("program.c");
    std::fs::write(
        &source,
        r#"int puts(const char *); int main(void) { return puts("hello") < 0; }"#,
    )
    .expect("a file is written");
    let mut compiler = Command::new("gcc");
    compiler.arg("-static").arg(&source).arg("-o").arg(root.path().join("program"));
    assert!(compiler.status().expect("gcc starts").success());
    std::fs::copy(env!("CARGO_BIN_EXE_scone"), root.path().join("scone")).expect("a copy");

    let mut command = Command::new("chroot");
    if std::fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        command = Command::new("unshare");
        command.args(["--map-root-user", "chroot"]);
    }
    command.arg(root.path()).args(["/scone", "run", "--quiet", "--", "/program"]);
    let output = command.output().expect("chroot starts");
    let why = "RUSTFLAGS of your own replace those of .cargo/config.toml, which link it statically";
    assert_eq!((stdout(&output), stderr(&output)), ("hello\n", ""), "{why}");
}

/// The kernel lays out the address space from below then, where the enclave's addresses are.
#[test]
fn runs_with_a_stack_without_limit() {
    let command = |before: &str| {
        let line = format!("{before} \"$0\" run --quiet -- /bin/sh -c 'ulimit -s; export'");
        let mut shell = Command::new("sh");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_scone")]).env_clear();
        shell.output().expect("sh starts")
    };
    for (limit, set) in [("unlimited", ""), ("80000000000", "SCONE_STACK_LIMIT=1 ")] {
        let output = command(&format!("ulimit -s {limit}; {set}exec"));
        let (out, err) = (stdout(&output), stderr(&output));
        assert!(out.starts_with(&format!("{limit}\n")) && err.is_empty(), "{out}{err}");
        assert!(!out.contains("SCONE"), "{out}");
    }
    let output = command("ulimit -s 8192; SCONE_STACK_LIMIT=1 exec");
    assert!(stdout(&output).starts_with("8192\n"), "{}", stdout(&output));

    let output = command("exec setarch --addr-compat-layout");
    assert_eq!((stdout(&output), output.status.code()), ("", Some(125)));
    assert!(stderr(&output).contains("vm.legacy_va_layout"), "{}", stderr(&output));
}
