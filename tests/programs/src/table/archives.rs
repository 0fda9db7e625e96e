//! Archivers and compressors, none of which starts a helper process.

use crate::case::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "tar-create",
            &[
                "/usr/bin/tar",
                "--sort=name",
                "--owner=0",
                "--group=0",
                "-cf",
                "out.tar",
                "-C",
                "{fix}",
                "tree",
            ],
        )
        .package("tar"),
        case("tar-extract", &["/usr/bin/tar", "-xf", "{fix}/tree.tar"]),
        case("tar-list", &["/usr/bin/tar", "-tvf", "{fix}/tree.tar"]),
        case("tar-compare", &["/usr/bin/tar", "-df", "{fix}/tree.tar", "-C", "{fix}"]),
        case(
            "tar-usr-include",
            &["/usr/bin/tar", "--sort=name", "-cf", "out.tar", "-C", "/usr/include", "linux"],
        ),
        case("gzip", &["/usr/bin/gzip", "-9", "-n", "-c", "{fix}/words.txt"]).package("gzip"),
        case("gunzip", &["/usr/bin/gzip", "-d", "-c", "{fix}/words.txt.gz"]),
        case("bzip2", &["/usr/bin/bzip2", "-k", "-c", "{fix}/words.txt"]).package("bzip2"),
        case("bunzip2", &["/usr/bin/bzip2", "-d", "-c", "{fix}/words.txt.bz2"]),
        case("xz", &["/usr/bin/xz", "-T1", "-c", "{fix}/words.txt"]).package("xz-utils"),
        case("xz-threads", &["/usr/bin/xz", "-T4", "--block-size=100000", "-c", "{fix}/words.txt"]),
        case("unxz", &["/usr/bin/xz", "-d", "-c", "{fix}/words.txt.xz"]),
        case("zstd", &["/usr/bin/zstd", "-q", "-T1", "-c", "{fix}/words.txt"]).package("zstd"),
        case("zstd-threads", &["/usr/bin/zstd", "-q", "-T4", "-12", "-c", "{fix}/big.bin"]),
        case("unzstd", &["/usr/bin/zstd", "-q", "-d", "-c", "{fix}/words.txt.zst"]),
        case("zstd-bench", &["/usr/bin/zstd", "-q", "-b3", "-i1", "{fix}/words.txt"])
            .check(|_| Ok(())),
        case("ar", &["/usr/bin/ar", "qcD", "out.a", "{fix}/words.txt", "{fix}/data.bin"])
            .package("binutils"),
    ]
}
