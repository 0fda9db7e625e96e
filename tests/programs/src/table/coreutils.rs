//! GNU coreutils on real and generated trees.

use crate::case::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    let all = vec![
        case("true", &["/bin/true"]),
        case("false", &["/bin/false"]).status(1),
        case("echo", &["/usr/bin/echo", "-e", "a\\tb\\n", "ünïcode", "$HOME"]),
        case("printf", &["/usr/bin/printf", "%08.3f %x %s %q\\n", "3.14159", "255", "abc", "a b"]),
        case("cat", &["/usr/bin/cat", "{fix}/words.txt", "{fix}/data.bin"]),
        case("cat-stdin", &["/usr/bin/cat", "-n"]).stdin("{fix}/words.txt"),
        case("ls-usr-include", &["/usr/bin/ls", "-lR", "--time-style=full-iso", "/usr/include"]),
        case("ls-tree", &["/usr/bin/ls", "-lAR", "--time-style=+%s", "{fix}/tree"]),
        case("ls-missing", &["/usr/bin/ls", "/nonexistent/x"]).status(2).with_stderr(),
        case("wc", &["/usr/bin/wc", "{fix}/words.txt", "{fix}/big.c", "{fix}/data.bin"]),
        case("head", &["/usr/bin/head", "-n", "100", "{fix}/words.txt"]),
        case("tail", &["/usr/bin/tail", "-n", "100", "{fix}/words.txt"]),
        case("tail-bytes", &["/usr/bin/tail", "-c", "12345", "{fix}/data.bin"]),
        case("sort", &["/usr/bin/sort", "--parallel=1", "-k2", "{fix}/words.txt"]),
        case("sort-threads", &["/usr/bin/sort", "--parallel=4", "-k2,3", "{fix}/big.c"]),
        case(
            "sort-spills",
            &["/usr/bin/sort", "-S", "200k", "--parallel=2", "-T", ".", "{fix}/words.txt"],
        ),
        case("sort-in-place", &["/usr/bin/sort", "-n", "-r", "-o", "out", "{fix}/words.txt"]),
        case("uniq", &["/usr/bin/uniq", "-c", "{fix}/words.txt"]),
        case("cut", &["/usr/bin/cut", "-d", " ", "-f", "2,4-", "{fix}/words.txt"]),
        case("tr", &["/usr/bin/tr", "a-z", "A-Z"]).stdin("{fix}/words.txt"),
        case("paste", &["/usr/bin/paste", "{fix}/words.txt", "{fix}/table.csv"]),
        case("join", &["/usr/bin/join", "--nocheck-order", "{fix}/words.txt", "{fix}/words.txt"]),
        case("comm", &["/usr/bin/comm", "--nocheck-order", "{fix}/words.txt", "{fix}/table.csv"]),
        case("nl", &["/usr/bin/nl", "-b", "a", "{fix}/words.txt"]),
        case("fold", &["/usr/bin/fold", "-w", "20", "-s", "{fix}/words.txt"]),
        case("fmt", &["/usr/bin/fmt", "-w", "60", "{fix}/words.txt"]),
        case("tac", &["/usr/bin/tac", "{fix}/words.txt"]),
        case("od", &["/usr/bin/od", "-A", "x", "-t", "x1z", "{fix}/data.bin"]),
        case("base64", &["/usr/bin/base64", "{fix}/data.bin"]),
        case("sha256sum", &["/usr/bin/sha256sum", "{fix}/data.bin", "{fix}/words.txt"]),
        case("md5sum", &["/usr/bin/md5sum", "{fix}/big.bin"]),
        case("b2sum", &["/usr/bin/b2sum", "{fix}/big.bin"]),
        case("cksum", &["/usr/bin/cksum", "{fix}/big.bin"]),
        case("du", &["/usr/bin/du", "-a", "-b", "/usr/share/perl"]),
        case(
            "stat",
            &[
                "/usr/bin/stat",
                "-c",
                "%n %s %b %f %h %u %g %Y %F %A %t",
                "{fix}/tree/dir00",
                "{fix}/data.bin",
                "/etc/localtime",
            ],
        ),
        case("stat-file-system", &["/usr/bin/stat", "-f", "-c", "%T %l %s", "{fix}/data.bin"]),
        case("readlink", &["/usr/bin/readlink", "-f", "/etc/alternatives/awk"]),
        case("realpath", &["/usr/bin/realpath", "{fix}/tree/../words.txt", "/bin/sh"]),
        case("mkdir", &["/usr/bin/mkdir", "-p", "-m", "750", "a/b/c", "d"]),
        case("touch", &["/usr/bin/touch", "-d", "2020-02-02 02:02:02", "x", "y"]),
        case("cp-tree", &["/usr/bin/cp", "-a", "{fix}/tree", "copy"]).limit(90),
        case("cp-sparse", &["/usr/bin/cp", "--sparse=always", "{fix}/big.bin", "copy"]),
        case(
            "dd",
            &[
                "/usr/bin/dd",
                "if={fix}/big.bin",
                "of=out",
                "bs=64k",
                "skip=3",
                "count=40",
                "status=none",
            ],
        ),
        case(
            "dd-sync",
            &[
                "/usr/bin/dd",
                "if={fix}/data.bin",
                "of=out",
                "bs=4k",
                "conv=fsync,notrunc",
                "status=none",
            ],
        ),
        case("split", &["/usr/bin/split", "-b", "100k", "-d", "{fix}/data.bin", "part"]),
        case("csplit", &["/usr/bin/csplit", "-s", "{fix}/words.txt", "1000", "{5}"]),
        case("truncate", &["/usr/bin/truncate", "-s", "123456", "file"]),
        case(
            "shred",
            &["/usr/bin/shred", "--random-source={fix}/data.bin", "-n", "1", "-s", "10000", "file"],
        )
        .status(1),
        case("ln", &["/usr/bin/ln", "-s", "somewhere", "link"]),
        case("mkfifo", &["/usr/bin/mkfifo", "-m", "640", "fifo"]),
        case("seq", &["/usr/bin/seq", "-w", "1", "100000"]),
        case("factor", &["/usr/bin/factor", "1234567890123456789", "18446744073709551557", "99"]),
        case("expr", &["/usr/bin/expr", "12345", "*", "6789"]),
        case("date", &["/usr/bin/date", "-u", "-d", "@1600000000", "+%A %F %T"]),
        case("date-zone", &["/usr/bin/date", "-d", "@1600000000"])
            .env("TZ", "Asia/Tokyo")
            .package("tzdata"),
        case("date-now", &["/usr/bin/date", "+%s"]).check(|out| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = now.map_or(0, |d| d.as_secs());
            match out.text().trim().parse::<u64>() {
                Ok(told) if told.abs_diff(now) <= 60 => Ok(()),
                _ => Err(format!("clock says {:?}, it is {now}", out.text())),
            }
        }),
        case("env", &["/usr/bin/env", "-0"]).env("SOME_VALUE", "a=b c"),
        case("printenv", &["/usr/bin/printenv", "LANG", "TZ"]),
        case("id", &["/usr/bin/id"]),
        case("whoami", &["/usr/bin/whoami"]),
        case("uname", &["/usr/bin/uname", "-s", "-m", "-o"]),
        case("hostname", &["/usr/bin/uname", "-n"]),
        case("nproc", &["/usr/bin/nproc", "--all"]),
        case("pwd", &["/usr/bin/pwd", "-P"]),
        case("basename", &["/usr/bin/basename", "-s", ".c", "/a/b/c.c"]),
        case("test", &["/usr/bin/test", "-d", "{fix}/tree"]),
        case("sleep", &["/usr/bin/sleep", "0.2"]),
        case("df", &["/usr/bin/df", "--output=target", "/"]),
        case("pr", &["/usr/bin/pr", "-3", "-t", "{fix}/words.txt"]),
        case("ptx", &["/usr/bin/ptx", "-w", "100", "{fix}/index.html"]),
        case("tsort", &["/usr/bin/tsort"]).stdin("{fix}/index.html"),
        case("numfmt", &["/usr/bin/numfmt", "--to=iec", "1024", "1048576", "123456789"]),
        case("shuf", &["/usr/bin/shuf", "--random-source={fix}/data.bin", "{fix}/words.txt"]),
        case("dircolors", &["/usr/bin/dircolors", "-b"]),
        case("yes-limited", &["/usr/bin/head", "-c", "5000000", "/dev/zero"]),
        case("random", &["/usr/bin/head", "-c", "64", "/dev/urandom"]).check(|out| {
            let zeros = out.stdout.iter().filter(|b| **b == 0).count();
            if out.stdout.len() == 64 && zeros < 16 {
                Ok(())
            } else {
                Err(format!("{} bytes with {zeros} zeros", out.stdout.len()))
            }
        }),
    ];
    all
}
