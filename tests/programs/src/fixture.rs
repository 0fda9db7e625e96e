//! Generated input files: the same bytes on every machine.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::places;

/// Changes whenever the files do, so that old ones are made anew.
const VERSION: &str = "1";

/// The time stamp of every file: 2021-01-01 00:00:00 UTC.
const STAMP: Duration = Duration::from_secs(1_609_459_200);

/// A small generator (Knuth's MMIX multiplier), so that no crate version changes the bytes.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() & 0xff) as u8).collect()
    }

    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 16] = [
            "ka", "lo", "mi", "ren", "tu", "sa", "vol", "ei", "dra", "pen", "or", "qui", "stal",
            "ne", "gu", "fi",
        ];
        let count = 1 + self.below(4);
        (0..count).map(|_| SYLLABLES[self.below(16) as usize]).collect()
    }

    fn lines(&mut self, count: usize) -> String {
        let mut text = String::new();
        for n in 0..count {
            let words: Vec<String> = (0..1 + self.below(9)).map(|_| self.word()).collect();
            let _ = writeln!(text, "{n} {} {}", words.join(" "), self.below(1_000_000));
        }
        text
    }
}

/// Makes all input files, once.
///
/// # Errors
/// When they cannot be written.
pub fn make() -> Result<()> {
    let dir = places::fixtures();
    let mark = dir.join("version");
    let done = || fs::read_to_string(&mark).is_ok_and(|v| v == VERSION);
    if done() {
        return Ok(());
    }
    let _lock = places::lock("fixtures")?;
    if done() {
        return Ok(());
    }
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let mut random = Lcg(2016);
    tree(&dir.join("tree"), &mut random)?;
    put(&dir.join("words.txt"), random.lines(20_000).as_bytes())?;
    put(&dir.join("data.bin"), &random.bytes(2 << 20))?;
    put(&dir.join("big.bin"), &random.bytes(10_000_000))?;
    put(&dir.join("index.html"), b"<html><body>hello from a file</body></html>\n")?;
    put(&dir.join("big.c"), c_source(20_000, &mut random).as_bytes())?;
    put(&dir.join("table.csv"), table(5_000, &mut random).as_bytes())?;
    put(&dir.join("image.ppm"), &image(320, 240))?;
    packed(&dir)?;
    certificate(&dir)?;
    fs::write(&mark, VERSION).context("mark the input files as complete")
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))?;
    File::open(path)?.set_modified(SystemTime::UNIX_EPOCH + STAMP)?;
    Ok(())
}

fn tree(root: &Path, random: &mut Lcg) -> Result<()> {
    for d in 0..12 {
        let dir = root.join(format!("dir{d:02}")).join(random.word());
        fs::create_dir_all(&dir)?;
        for f in 0..8 {
            let size = random.below(20_000) as usize;
            let text = random.lines(1 + size / 60);
            put(&dir.join(format!("{}-{f}.txt", random.word())), text.as_bytes())?;
        }
        put(&dir.join("raw.bin"), &random.bytes(5000))?;
        put(&dir.join("empty"), b"")?;
        put(&dir.join("name with spaces"), b"spaces\n")?;
        put(&dir.join("ünïcode-名前"), "text: naïve café\n".as_bytes())?;
        symlink("raw.bin", dir.join("link"))?;
        symlink("/nonexistent/target", dir.join("dangling"))?;
        fs::hard_link(dir.join("raw.bin"), dir.join("hard"))?;
        let script = dir.join("script.sh");
        put(&script, b"#!/bin/sh\necho hello\n")?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        for folder in [dir.as_path(), dir.parent().unwrap_or(root)] {
            File::open(folder)?.set_modified(SystemTime::UNIX_EPOCH + STAMP)?;
        }
    }
    File::open(root)?.set_modified(SystemTime::UNIX_EPOCH + STAMP)?;
    Ok(())
}

fn c_source(lines: usize, random: &mut Lcg) -> String {
    let mut text = String::from("typedef unsigned long u;\nstatic u acc;\n");
    let functions = lines / 10;
    for n in 0..functions {
        let (a, b, c) = (random.below(1000), random.below(64), 1 + random.below(99));
        let _ = write!(
            text,
            "u f{n}(u x, u y)\n{{\n  u t[8] = {{x, y, {a}, {b}}};\n  for (u i = 0; i < y % {c}; i++) {{\n    \
             t[i & 7] += x * {c} ^ (t[(i + 3) & 7] >> {b});\n    if (t[i & 7] > {a}) acc += t[1];\n  }}\n  \
             acc ^= t[2];\n  return t[0] + t[3]{};\n}}\n",
            if n == 0 { String::new() } else { format!(" + f{}(y, {a})", random.below(n as u64)) }
        );
    }
    let _ = writeln!(text, "int main(void) {{ return (int)f{}(3, 4); }}", functions - 1);
    text
}

fn table(rows: usize, random: &mut Lcg) -> String {
    let mut text = String::from("id,name,price,count\n");
    for n in 0..rows {
        let (price, count) = (random.below(100_000), random.below(500));
        let _ = writeln!(text, "{n},{},{}.{:02},{count}", random.word(), price / 100, price % 100);
    }
    text
}

fn image(width: usize, height: usize) -> Vec<u8> {
    let mut bytes = format!("P6\n{width} {height}\n255\n").into_bytes();
    for y in 0..height {
        for x in 0..width {
            bytes.extend([x * 255 / width, y * 255 / height, (x * y) & 0xff].map(|v| v as u8));
        }
    }
    bytes
}

fn packed(dir: &Path) -> Result<()> {
    for (program, args) in [
        ("gzip", &["-k", "-n", "words.txt"][..]),
        ("bzip2", &["-k", "words.txt"]),
        ("xz", &["-k", "-T1", "words.txt"]),
        ("zstd", &["-q", "words.txt"]),
        ("tar", &["--sort=name", "--owner=0", "--group=0", "-cf", "tree.tar", "tree"]),
    ] {
        native(dir, program, args)?;
    }
    Ok(())
}

fn certificate(dir: &Path) -> Result<()> {
    native(
        dir,
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-days",
            "3650",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
    )?;
    let both = [fs::read(dir.join("cert.pem"))?, fs::read(dir.join("key.pem"))?].concat();
    put(&dir.join("both.pem"), &both)
}

fn native(dir: &Path, program: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .output()
        .with_context(|| format!("start {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
