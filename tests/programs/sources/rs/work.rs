//! The standard library at work: threads, channels, files, sockets, time, panics that are caught.
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, panic, thread};

fn main() {
    println!("{:?}", env::args().skip(1).collect::<Vec<_>>());
    let counter = Arc::new(Mutex::new(0u64));
    let barrier = Arc::new(Barrier::new(16));
    let threads: Vec<_> = (0..16)
        .map(|n| {
            let (counter, barrier) = (counter.clone(), barrier.clone());
            thread::spawn(move || {
                for _ in 0..20_000 {
                    *counter.lock().unwrap() += n;
                }
                barrier.wait().is_leader()
            })
        })
        .collect();
    let leaders = threads.into_iter().filter(|_| true).map(|t| t.join().unwrap()).filter(|l| *l).count();
    println!("{} {leaders}", counter.lock().unwrap());
    let (send, receive) = mpsc::channel();
    for n in 0..10u64 {
        let send = send.clone();
        thread::spawn(move || (0..10_000).for_each(|i| send.send(i * n).unwrap()));
    }
    drop(send);
    println!("{}", receive.iter().sum::<u64>());
    let pair = (Mutex::new(false), Condvar::new());
    let waited = Instant::now();
    let (_guard, timeout) = pair.1.wait_timeout_while(pair.0.lock().unwrap(), Duration::from_millis(30), |d| !*d).unwrap();
    println!("{} {}", timeout.timed_out(), waited.elapsed() >= Duration::from_millis(30));
    let map: RwLock<HashMap<u32, String>> = RwLock::default();
    thread::scope(|s| {
        for n in 0..8 {
            let map = &map;
            s.spawn(move || (0..1000).for_each(|i| drop(map.write().unwrap().insert(i * 8 + n, "x".repeat(n as usize)))));
        }
    });
    println!("{}", map.read().unwrap().len());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(20) {
            let stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            (&stream).write_all(line.to_uppercase().as_bytes()).unwrap();
        }
    });
    for n in 0..20 {
        let mut stream = TcpStream::connect(address).unwrap();
        writeln!(stream, "message {n}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("MESSAGE {n}\n"));
    }
    server.join().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    println!("{:?}", udp.recv(&mut [0; 9]).unwrap_err().kind());
    let (mut a, mut b) = UnixStream::pair().unwrap();
    a.write_all(&[7; 1000]).unwrap();
    drop(a);
    println!("{}", b.read_to_end(&mut Vec::new()).unwrap());
    fs::create_dir_all("a/b").unwrap();
    let mut tree = BTreeMap::new();
    for n in 0..50 {
        fs::write(format!("a/b/{n}"), vec![1; n]).unwrap();
    }
    for entry in fs::read_dir("a/b").unwrap() {
        let entry = entry.unwrap();
        tree.insert(entry.file_name(), entry.metadata().unwrap().len());
    }
    println!("{} {}", tree.len(), tree.values().sum::<u64>());
    println!("{:?}", fs::File::open("missing").unwrap_err().kind());
    panic::set_hook(Box::new(|info| println!("hook: {}", info.location().is_some())));
    println!("{}", panic::catch_unwind(|| Vec::<u8>::new()[env::args().count()]).is_err());
    let depth = thread::Builder::new().stack_size(32 << 20).spawn(|| deep(100_000)).unwrap().join().unwrap();
    println!("{depth} {}", thread::available_parallelism().unwrap().get() > 0);
}

#[inline(never)]
fn deep(n: u64) -> u64 {
    let here = [n; 8];
    if n == 0 { 0 } else { 1 + deep(std::hint::black_box(here)[3] - 1) }
}
