//! fio: it reads and writes files in many ways, and checks that what it reads is what it wrote.

use crate::case::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        fio("libaio", &["--ioengine=libaio", "--iodepth=16", "--bs=4k"]).package("fio"),
        fio("libaio-direct", &["--ioengine=libaio", "--iodepth=16", "--bs=4k", "--direct=1"]),
        fio(
            "libaio-batches",
            &["--ioengine=libaio", "--iodepth=64", "--iodepth_batch=16", "--bs=512-128k"],
        ),
        fio(
            "libaio-jobs",
            &["--ioengine=libaio", "--iodepth=8", "--bs=4k", "--numjobs=4", "--fsync=64"],
        ),
        fio(
            "libaio-in-memory",
            &["--ioengine=libaio", "--iodepth=16", "--bs=4k", "--directory=/dev/shm"],
        )
        .scone("--ephemeral=/dev/shm"),
        fio("psync", &["--ioengine=psync", "--bs=4k"]),
        fio("pvsync2", &["--ioengine=pvsync2", "--bs=64k"]),
        fio("mmap", &["--ioengine=mmap", "--bs=4k"]),
    ]
}

/// Writes and reads 8 MiB, all of which it verifies. It tells by its status, and leaves no file.
fn fio(name: &str, options: &[&str]) -> Case {
    let common = [
        "/usr/bin/fio",
        "--name=a",
        "--thread",
        "--rw=randrw",
        "--size=8M",
        "--verify=crc32c",
        "--verify_state_save=0",
        "--unlink=1",
        "--output=/dev/null",
    ];
    case(&format!("fio-{name}"), &[&common, options].concat())
}
