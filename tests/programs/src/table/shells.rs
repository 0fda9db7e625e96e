//! Shells with builtins only: nothing here starts another process.

use crate::case::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("bash-arithmetic", &["/bin/bash", "-c", "s=0; for ((i = 0; i < 200000; i++)); do ((s += i * i % 7)); done; echo $s"]).package("bash"),
        case("bash-strings", &["/bin/bash", "-c", r#"a=(one two "three four"); declare -A m; for k in "${a[@]}"; do m[$k]=${#k}; done; for k in "${a[@]}"; do printf '%s=%s\n' "$k" "${m[$k]^^}"; done; [[ abc =~ (b)(c) ]] && echo "${BASH_REMATCH[2]}""#]),
        case("bash-read", &["/bin/bash", "-c", r#"n=0; while read -r a b; do ((n += ${#b})); done; echo $n"#]).stdin("{fix}/words.txt"),
        case("bash-files", &["/bin/bash", "-c", r#"echo one > f; echo two >> f; exec 3< f; read -u 3 x; echo "$x"; [ -s f ] && echo "nonempty"; set -- {fix}/tree/*; echo $#; cd {fix}/tree/dir00 && echo "$OLDPWD" > /dev/null; for f in */*; do echo "$f"; done"#]),
        case("bash-here", &["/bin/bash", "-c", "read -r x <<< hello; echo $x; while read -r l; do echo \"[$l]\"; done <<E\na\nb\nE\n"]),
        case("bash-trap", &["/bin/bash", "-c", "trap 'echo got USR1' USR1; kill -USR1 $$; echo after; trap 'echo bye' EXIT; exit 7"]).status(7),
        case("bash-signal-death", &["/bin/bash", "-c", "kill -TERM $$; echo not reached"]).status(143),
        case("bash-time", &["/bin/bash", "-c", "SECONDS=0; read -t 0.2 x < <(:) || true; printf '%(%Y)T\\n' 0"]).fails("process substitution needs fork (PROCESSES)"),
        case("bash-script", &["{src}/script.bash", "a", "b c"]),
        case("bash-exit", &["/bin/bash", "-c", "exit 42"]).status(42),
        case("dash", &["/bin/dash", "-c", "i=0; while [ $i -lt 50000 ]; do i=$((i + 1)); done; echo $i; printf '%s|' *; echo; umask; ulimit -c"]).package("dash"),
        case("dash-stdin", &["/bin/dash"]).stdin("{src}/script.sh"),
        case("busybox-ls", &["/bin/busybox", "ls", "-lR", "{fix}/tree"]).package("busybox-static"),
        case("busybox-sha", &["/bin/busybox", "sha512sum", "{fix}/big.bin"]),
        case("busybox-awk", &["/bin/busybox", "awk", "{ s += NF } END { print s, NR }", "{fix}/words.txt"]),
        case("busybox-sh", &["/bin/busybox", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo $i"]),
        case("busybox-tar", &["/bin/busybox", "tar", "xf", "{fix}/tree.tar"]),
        case("busybox-vi", &["/bin/busybox", "sed", "-n", "s/ka/xx/p", "{fix}/words.txt"]),
        case("busybox-gunzip", &["/bin/busybox", "gunzip", "-c", "{fix}/words.txt.gz"]),
        case("busybox-find", &["/bin/busybox", "find", "{fix}/tree", "-type", "f"]).sorted(),
    ]
}
