//! What a program has sent and written when it ends, or does nothing more.

mod common;

use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::build;

/// Runs `program` until it has sent so many heads; returns what has come.
fn answers(program: &Path, listener: &TcpListener, options: &[&str], heads: usize) -> Vec<u8> {
    let port = listener.local_addr().expect("an address").port().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_scone"))
        .args(["run", "--quiet"])
        .args(options)
        .arg("--")
        .arg(program)
        .args([port, heads.to_string()])
        .current_dir(program.parent().expect("a folder"))
        .spawn()
        .expect("scone starts");
    let (stream, _) = listener.accept().expect("it connects");
    let come = read_to_end(stream);
    assert!(child.wait().expect("it ends").success());
    come
}

fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut come = Vec::new();
    match stream.read_to_end(&mut come) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => come,
    }
}

/// Another thread is about to send the body with the last head. Without care, every fourth was lost.
#[test]
fn what_a_thread_has_sent_arrives_though_another_one_ends_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = build(folder.path(), "ending");
    std::fs::write(folder.path().join("body"), "body").expect("written");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    for heads in 20..60 {
        let come = answers(&program, &listener, &["--syscalls", "async"], heads);
        let sent = (heads - 1) * "headbody".len() + "head".len();
        assert!(come.len() >= sent, "{} of {sent} bytes", come.len());
        assert!(come.chunks(8).all(|part| b"headbody".starts_with(part)));
    }
}

fn write_and(how: &str, program: &Path, options: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_scone"))
        .args(["run", "--quiet"])
        .args(options)
        .arg("--")
        .arg(program)
        .arg(how)
        .current_dir(program.parent().expect("a folder"))
        .spawn()
        .expect("scone starts")
}

/// What leaves later than it was written is there when the process has ended, and soon if it goes on.
#[test]
fn what_was_written_is_there_however_the_process_ends() {
    const ALL: u64 = 500;
    let folder = tempfile::tempdir().expect("a folder");
    let program = build(folder.path(), "written");
    let file = folder.path().join("file");
    let written = || std::fs::metadata(&file).map_or(0, |about| about.len());
    for options in [&["--syscalls", "auto"], &["--syscalls", "async"]] {
        for how in ["return", "_exit", "abort", "fault", "kill", "thread"] {
            write_and(how, &program, options).wait().expect("it ends");
            assert_eq!(written(), ALL, "{how} {options:?}");
            std::fs::remove_file(&file).expect("it was made");
        }
        for how in ["compute", "alarm", "pause", "sleep", "stop"] {
            let mut child = write_and(how, &program, options);
            let start = Instant::now();
            while written() < ALL && start.elapsed() < Duration::from_secs(20) {
                sleep(Duration::from_millis(5));
            }
            child.kill().expect("it goes on");
            child.wait().expect("it ends");
            assert_eq!(written(), ALL, "{how} {options:?}");
            std::fs::remove_file(&file).expect("it was made");
        }
    }
}
