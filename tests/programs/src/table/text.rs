//! grep, sed, awk, find, and other readers of text.

use crate::case::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("grep", &["/usr/bin/grep", "-n", "-E", "(stal|vol)+ren", "{fix}/words.txt"]).package("grep"),
        case("grep-recursive", &["/usr/bin/grep", "-rlF", "struct", "/usr/include/linux"]),
        case("grep-count", &["/usr/bin/grep", "-ric", "drastal", "{fix}/tree"]),
        case("grep-pcre", &["/usr/bin/grep", "-P", r"(\w{3})\1", "{fix}/words.txt"]),
        case("grep-none", &["/usr/bin/grep", "no such words", "{fix}/words.txt"]).status(1),
        case("grep-stdin", &["/usr/bin/grep", "-c", "ka"]).stdin("{fix}/words.txt"),
        case("sed", &["/usr/bin/sed", "-E", r"s/([a-z]+) ([a-z]+)/\2 \1/g; 5,10d; $!N; P; D", "{fix}/words.txt"]).package("sed"),
        case("sed-in-place", &["/usr/bin/sed", "-n", "-e", "s/ka/KA/gw out", "{fix}/words.txt"]),
        case("awk", &["/usr/bin/mawk", "{ n[$2] += length($0) } END { for (k in n) print k, n[k] }", "{fix}/words.txt"]).sorted().package("mawk"),
        case("awk-math", &["/usr/bin/mawk", "BEGIN { for (i = 0; i < 2000000; i++) s += sin(i) * i; printf \"%.6f\\n\", s }"]),
        case("gawk", &["/usr/bin/gawk", "-F,", "NR > 1 { t[$4 % 7] += $3 } END { n = asorti(t, k); for (i = 1; i <= n; i++) printf \"%s %.2f\\n\", k[i], t[k[i]] }", "{fix}/table.csv"]).package("gawk"),
        case("find", &["/usr/bin/find", "{fix}/tree", "-printf", "%P %y %s %m %n %TY-%Tm-%Td %l\\n"]).sorted().package("findutils"),
        case("find-usr-share", &["/usr/bin/find", "/usr/share", "-name", "*.h", "-size", "+2k", "-newermt", "2001-01-01"]).sorted(),
        case("find-delete", &["/usr/bin/find", "/usr/lib/python3", "-type", "l", "-o", "-empty", "-print"]).sorted(),
        case("diff", &["/usr/bin/diff", "-r", "{fix}/tree/dir00", "{fix}/tree/dir01"]).status(1).package("diffutils"),
        case("diff-same", &["/usr/bin/diff", "-u", "{fix}/words.txt", "{fix}/words.txt"]),
        case("cmp", &["/usr/bin/cmp", "-l", "{fix}/words.txt", "{fix}/big.c"]).status(1).with_stderr(),
        case("file", &["/usr/bin/file", "-b", "/usr/bin/python3.11", "{fix}/index.html", "{fix}/image.ppm", "{fix}/words.txt.gz"]).package("file"),
        case("jq", &["/usr/bin/jq", "-n", "[range(20000) | {id: ., sq: (. * .)}] | map(select(.sq % 7 == 1)) | length"]).package("jq"),
        case("bc", &["/usr/bin/bc", "-lq", "{src}/pi.bc"]).package("bc"),
        case("strings", &["/usr/bin/strings", "-n", "8", "/usr/bin/ls"]).package("binutils"),
        case("objdump", &["/usr/bin/objdump", "-d", "--no-show-raw-insn", "/usr/bin/cat"]).package("binutils"),
        case("readelf", &["/usr/bin/readelf", "-aW", "/usr/bin/bash"]).package("binutils"),
        case("nm", &["/usr/bin/nm", "-D", "/usr/lib/x86_64-linux-gnu/libc.so.6"]).package("binutils"),
    ]
}
