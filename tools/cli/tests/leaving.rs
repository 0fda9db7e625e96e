//! What leaves the enclave by itself where calls are posted: little of what a server does.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

const TIMES: usize = 600;
const BODY: usize = 10 << 10;

/// Has the program connect to a peer, and do `what` so many times; returns how many calls with these names left.
fn left<const N: usize>(what: &str, names: [&str; N], peer: impl FnOnce(TcpStream)) -> [u64; N] {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    left_at(port, what, names, || peer(listener.accept().expect("it connects").0))
}

fn left_at<const N: usize>(
    port: u16,
    what: &str,
    names: [&str; N],
    peer: impl FnOnce(),
) -> [u64; N] {
    let folder = tempfile::tempdir().expect("a folder");
    let program = common::build(folder.path(), "leaving");
    std::fs::write(folder.path().join("body"), [b'b'; BODY]).expect("written");
    let child = Command::new(env!("CARGO_BIN_EXE_scone"))
        .args(["run", "--quiet", "--stats=json", "--syscalls", "async", "--"])
        .arg(&program)
        .args([what, &port.to_string(), &TIMES.to_string()])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("scone starts");
    peer();
    let ended = child.wait_with_output().expect("it ends");
    let stats = String::from_utf8(ended.stderr).expect("text");
    assert!(ended.status.success(), "{stats}");
    let report: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    let calls = report["left"].as_array().expect("a list");
    names.map(|name| {
        let named = calls.iter().filter(|call| call["name"] == name);
        let counts = named.flat_map(|call| [&call["exits"], &call["rings"]]);
        counts.map(|count| count.as_u64().expect("a number")).sum()
    })
}

/// Receives so many times just this, and nothing more.
fn receive(mut stream: TcpStream, answer: &[u8]) {
    let mut come = Vec::new();
    stream.read_to_end(&mut come).expect("it ends");
    assert_eq!(come.len(), TIMES * answer.len());
    assert!(come.chunks(answer.len()).all(|part| part == answer));
}

/// However often the kernel is asked how much room there is: every thirtieth answer left by itself once.
#[test]
fn few_heads_leave_by_themselves() {
    let answer = [&b"head"[..], &[b'b'; BODY]].concat();
    let [sends, waits] = left("heads", ["sendto", "ppoll"], |stream| receive(stream, &answer));
    assert!(sends < 6 && waits >= TIMES as u64, "{sends} of {TIMES}, {waits}");
}

#[test]
fn what_is_read_again_seldom_leaves() {
    let [reads] = left("again", ["pread64"], |stream| receive(stream, &[b'b'; 100]));
    assert!((1..TIMES as u64 / 5).contains(&reads), "{reads} of {TIMES}");
}

/// Sends so many bytes, and waits for the answer to each.
fn ask(mut stream: TcpStream) {
    for number in 0..TIMES {
        let byte = [number.to_le_bytes()[0]];
        let mut answer = [0];
        stream.write_all(&byte).expect("sent");
        stream.read_exact(&mut answer).expect("answered");
        assert_eq!(answer, byte);
    }
}

/// Who was told of the first request three times before he looked at it left for each of the others.
#[test]
fn what_has_come_is_looked_at_though_the_first_looks_were_in_vain() {
    let [receives, waits] = left("answers", ["recvfrom", "epoll_wait"], ask);
    assert!(receives < 6 && waits >= TIMES as u64, "{receives} of {TIMES}, {waits}");
}

/// A server that had looked for a daemon that was not there was thought to have the other end of each connection: one that
/// receives until there is nothing more left once more for each request.
#[test]
fn who_could_not_connect_has_no_other_end() {
    let any = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = any.local_addr().expect("an address").port();
    drop(any);
    let connect = || {
        let tries = (0..1000).map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", port))
        });
        ask(tries.filter_map(Result::ok).next().expect("it listens"));
    };
    let [receives, waits] = left_at(port, "drains", ["recvfrom", "epoll_wait"], connect);
    assert!(receives < 6 && waits >= TIMES as u64, "{receives} of {TIMES}, {waits}");
}
