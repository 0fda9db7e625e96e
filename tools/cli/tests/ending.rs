//! What a program has sent when it ends.

use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

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
    let program = folder.path().join("program");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ending.c");
    let compiled =
        Command::new("gcc").args(["-O1", "-pthread", source, "-o"]).arg(&program).status();
    assert!(compiled.expect("gcc starts").success());
    std::fs::write(folder.path().join("body"), "body").expect("written");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    for heads in 20..60 {
        let come = answers(&program, &listener, &["--syscalls", "async"], heads);
        let sent = (heads - 1) * "headbody".len() + "head".len();
        assert!(come.len() >= sent, "{} of {sent} bytes", come.len());
        assert!(come.chunks(8).all(|part| b"headbody".starts_with(part)));
    }
}
