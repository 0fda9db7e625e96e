//! The head of an answer leaves together with its body, and both with the next call.

use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

const ANSWERS: usize = 600;
const BODY: usize = 10 << 10;

/// Calls by themselves that `stats` tells of, with this name.
fn left(stats: &str, name: &str) -> u64 {
    let report: serde_json::Value = serde_json::from_str(stats).expect("JSON");
    let calls = report["left"].as_array().expect("a list");
    let named = calls.iter().filter(|call| call["name"] == name);
    named.flat_map(|call| [&call["exits"], &call["rings"]]).filter_map(|calls| calls.as_u64()).sum()
}

/// However often the kernel is asked how much room there is: every thirtieth answer left by itself once.
#[test]
fn few_heads_leave_by_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("heads");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/heads.c");
    let compiled = Command::new("gcc").args(["-O1", "-o"]).arg(&program).arg(source).status();
    assert!(compiled.expect("gcc starts").success());
    std::fs::write(folder.path().join("body"), [b'b'; BODY]).expect("written");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let child = Command::new(env!("CARGO_BIN_EXE_scone"))
        .args(["run", "--quiet", "--stats=json", "--syscalls", "async", "--"])
        .arg(&program)
        .args([port, ANSWERS.to_string()])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("scone starts");
    let mut come = Vec::new();
    let (mut stream, _) = listener.accept().expect("it connects");
    stream.read_to_end(&mut come).expect("it ends");
    let ended = child.wait_with_output().expect("it ends");
    let stats = String::from_utf8(ended.stderr).expect("text");
    assert!(ended.status.success(), "{stats}");
    let answer = [&b"head"[..], &[b'b'; BODY]].concat();
    assert!(
        come.len() == ANSWERS * answer.len()
            && come.chunks(answer.len()).all(|part| part == answer)
    );
    let sends = left(&stats, "sendto");
    assert!(sends < 6, "{sends} of {ANSWERS}");
}
