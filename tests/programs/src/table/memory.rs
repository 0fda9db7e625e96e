//! Programs whose files are in the enclave's memory: natively on the tmpfs of `/dev/shm`, inside in
//! a file system of the runtime's at the same place.

use crate::case::{Case, case};

const SQLITE: &str = "/usr/bin/sqlite3";
const PYTHON: &str = "/usr/bin/python3";

/// Files of all kinds, mappings, links across the border, and what is refused.
const WORK: &str = r#"
import filecmp, mmap, os, shutil, tarfile, tempfile, zlib
top = tempfile.mkdtemp(dir="/dev/shm")
os.chdir(top)
data = bytes(i * 31 % 251 for i in range(300000))
with open("f", "wb") as f: f.write(data)
f = open("f", "r+b")
shared, private = mmap.mmap(f.fileno(), 0), mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE)
shared[0:5] = b"hello"
shared.flush()
f.seek(0)
print(f.read(5), private[0:5], shared[1000:1010] == data[1000:1010])
os.pwrite(f.fileno(), b"WORLD", 5)
print(shared[0:10])
for i in range(500):
    with open(f"n{i}", "w") as n: n.write(str(i) * (i % 7))
print(len(os.listdir()), sum(e.stat().st_size for e in os.scandir()))
shutil.copytree("/usr/lib/python3.11/json", "json", ignore=shutil.ignore_patterns("__pycache__"))
same = filecmp.dircmp("/usr/lib/python3.11/json", "json")
print(same.diff_files, sorted(same.common_files))
with tarfile.open("t.tar.gz", "w:gz") as t: t.add("json")
with tarfile.open("t.tar.gz") as t: t.extractall("again")
print(filecmp.dircmp("json", "again/json").diff_files)
os.symlink("/etc/hostname", "out")
os.symlink("../" * 9 + "etc/hostname", "up")
print(*(open(link).read() == open("/etc/hostname").read() for link in ("out", "up")))
with open("holes", "wb") as h:
    h.truncate(1 << 40)
    h.seek(1 << 30)
    h.write(b"island")
print(os.stat("holes").st_blocks, os.lseek(os.open("holes", 0), 0, os.SEEK_DATA))
for act in (lambda: os.rename("f", "/var/tmp/f"), lambda: os.rmdir("json"), lambda: open("f/x")):
    try: act()
    except OSError as error: print(error.errno)
shutil.rmtree(top)
print(os.path.exists(top))
"#;

/// Tests of Python's own that start no processes.
const OWN_TESTS: &str = r#"
import os, sys, unittest
os.makedirs("/dev/shm/own-tests", exist_ok=True)
os.chdir("/dev/shm/own-tests")
suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:])
result = unittest.TextTestRunner(stream=open("/dev/null", "w")).run(suite)
print(result.testsRun, [str(test) for test, _ in result.failures + result.errors])
"#;

pub(super) fn cases() -> Vec<Case> {
    let rows = "create table t(id integer primary key, k text, v real); \
         with recursive c(x) as (select 1 union all select x + 1 from c where x < 50000) \
         insert into t select x, 'key' || (x % 977), x / 7.0 from c; create index i on t(k); \
         update t set v = v * 2 where id % 3 = 0; delete from t where id % 5 = 0; vacuum; \
         select count(*), round(sum(v), 2) from t; pragma integrity_check; drop table t;";
    let sqlite = |name, journal| {
        case(name, &[SQLITE, &format!("/dev/shm/{name}.db"), journal, rows]).package("sqlite3")
    };
    let all = vec![
        sqlite("sqlite", "pragma journal_mode=delete"),
        sqlite("sqlite-wal", "pragma journal_mode=wal"),
        case("python-files", &[PYTHON, "-c", WORK]).package("python3"),
        case(
            "python-own-tests",
            &[PYTHON, "-c", OWN_TESTS, "test.test_fileio", "test.test_glob", "test.test_mmap"],
        )
        .package("libpython3.11-testsuite")
        .env("TMPDIR", "/dev/shm")
        .limit(60),
        case("find", &["/usr/bin/find", "/dev/shm/nothing"]).status(1),
    ];
    all.into_iter().map(|case| case.scone("--ephemeral=/dev/shm")).collect()
}
