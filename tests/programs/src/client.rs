//! Small bounded clients for the servers: they count, check what they get, and never wait for ever.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::net::SendFlags;

/// How many requests went through, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests answered correctly.
    pub answered: usize,
    /// Requests per second.
    pub rate: f64,
}

/// Opens a connection to a local port on which nothing blocks for more than 20 s.
///
/// # Errors
/// When nobody listens.
pub fn connect(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(20))
        .with_context(|| format!("connect to port {port}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The body of one HTTP/1.1 answer that carries a Content-Length.
fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Vec<u8>> {
    let mut chunk = [0; 65536];
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            ensure!(head.starts_with("http/1.1 200"), "answer {:?}", head.lines().next());
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .context("no content-length")?
                .trim()
                .parse()?;
            while buffer.len() < end + 4 + length {
                let n = stream.read(&mut chunk).context("read the body")?;
                ensure!(n > 0, "closed after {} of {length} bytes", buffer.len() - end - 4);
                buffer.extend_from_slice(&chunk[..n]);
            }
            let rest = buffer.split_off(end + 4 + length);
            let body = buffer.split_off(end + 4);
            *buffer = rest;
            return Ok(body);
        }
        let n = stream.read(&mut chunk).context("read the head")?;
        ensure!(n > 0, "closed before the head's end");
        buffer.extend_from_slice(&chunk[..n]);
    }
}

/// One GET over a connection of its own.
///
/// # Errors
/// When the answer is not status 200 with a Content-Length.
pub fn get(port: u16, path: &str) -> Result<Vec<u8>> {
    let mut stream = connect(port)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    read_answer(&mut stream, &mut Vec::new()).with_context(|| format!("get {path}"))
}

/// `count` GETs over `connections` kept-alive connections; each answer must be `expected`.
///
/// # Errors
/// When an answer differs, or after `limit`.
pub fn get_many(
    port: u16,
    path: &str,
    expected: &[u8],
    count: usize,
    connections: usize,
    limit: Duration,
) -> Result<Load> {
    let started = Instant::now();
    let each = count / connections;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answered = in_parallel(connections, |_| {
        let (mut stream, mut buffer) = (connect(port)?, Vec::new());
        for n in 0..each {
            // Servers close kept-alive connections after some thousand requests.
            if n % 500 == 499 {
                (stream, buffer) = (connect(port)?, Vec::new());
            }
            ensure!(started.elapsed() < limit, "{n} of {each} requests in {limit:?}");
            stream.write_all(request.as_bytes())?;
            let body =
                read_answer(&mut stream, &mut buffer).with_context(|| format!("request {n}"))?;
            ensure!(body == expected, "request {n}: {} bytes, not {}", body.len(), expected.len());
        }
        Ok(each)
    })?;
    Ok(Load { answered, rate: answered as f64 / started.elapsed().as_secs_f64() })
}

/// `count` GETs over connections whose other direction is closed right behind the request, and as many pairs of
/// GETs with urgent data between them; each answer must be `expected`.
///
/// # Errors
/// When an answer differs, does not come, or is not followed by the end of the closed connection.
pub fn get_with_ends(port: u16, path: &str, expected: &[u8], count: usize) -> Result<usize> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let request = request.as_bytes();
    let answer = |stream: &mut TcpStream, buffer: &mut Vec<u8>| {
        let body = read_answer(stream, buffer)?;
        ensure!(body == expected, "{} bytes, not {}", body.len(), expected.len());
        Ok(())
    };
    for n in 0..count {
        let (mut stream, mut buffer) = (connect(port)?, Vec::new());
        stream.write_all(request)?;
        stream.shutdown(Shutdown::Write)?;
        answer(&mut stream, &mut buffer).with_context(|| format!("closed request {n}"))?;
        let more = stream.read(&mut [0]).with_context(|| format!("end of closed request {n}"))?;
        ensure!(more == 0, "more than the answer of closed request {n}");

        let (mut stream, mut buffer) = (connect(port)?, Vec::new());
        stream.write_all(request)?;
        rustix::net::send(&stream, b"!", SendFlags::OOB)?;
        stream.write_all(request)?;
        for which in ["before", "behind"] {
            answer(&mut stream, &mut buffer)
                .with_context(|| format!("request {n} {which} urgent data"))?;
        }
    }
    Ok(3 * count)
}

/// `count` set and get operations on a memcached, over `connections` connections.
///
/// # Errors
/// When an answer is wrong, or after `limit`.
pub fn memcached(port: u16, count: usize, connections: usize, limit: Duration) -> Result<Load> {
    let started = Instant::now();
    let each = count / connections / 2;
    let answered = in_parallel(connections, |connection| {
        let mut stream = connect(port)?;
        for n in 0..each {
            ensure!(started.elapsed() < limit, "{n} of {each} pairs in {limit:?}");
            let key = format!("k{connection}-{}", n % 1000);
            let value = format!("{n:08}").repeat(1 + n % 16);
            let size = value.len();
            write!(stream, "set {key} 0 0 {size}\r\n{value}\r\n")?;
            exactly(&mut stream, b"STORED\r\n")?;
            write!(stream, "get {key}\r\n")?;
            let answer = format!("VALUE {key} 0 {size}\r\n{value}\r\nEND\r\n");
            exactly(&mut stream, answer.as_bytes())?;
        }
        Ok(each * 2)
    })?;
    Ok(Load { answered, rate: answered as f64 / started.elapsed().as_secs_f64() })
}

/// Reads as many bytes as `expected` has, and they must be the same.
fn exactly(stream: &mut TcpStream, expected: &[u8]) -> Result<()> {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).context("read an answer")?;
    if got != expected {
        bail!(
            "{:?} instead of {:?}",
            String::from_utf8_lossy(&got),
            String::from_utf8_lossy(expected)
        );
    }
    Ok(())
}

fn in_parallel(count: usize, work: impl Fn(usize) -> Result<usize> + Sync) -> Result<usize> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..count).map(|n| scope.spawn(move || work(n))).collect();
        let mut sum = 0;
        for thread in threads {
            sum += thread.join().map_err(|_| anyhow::anyhow!("a client thread panicked"))??;
        }
        Ok(sum)
    })
}
