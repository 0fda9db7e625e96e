//! System calls that Linux has and the runtime does not: reports give their names.

/// Number and name, in order of the numbers.
#[rustfmt::skip]
pub static MISSING: &[(u64, &str)] = &[
    (57, "fork"), (58, "vfork"), (59, "execve"), (134, "uselib"), (154, "modify_ldt"), (156, "_sysctl"),
    (174, "create_module"), (177, "get_kernel_syms"), (178, "query_module"), (180, "nfsservctl"), (181, "getpmsg"),
    (182, "putpmsg"), (183, "afs_syscall"), (184, "tuxcall"), (185, "security"), (205, "set_thread_area"),
    (211, "get_thread_area"), (212, "lookup_dcookie"), (214, "epoll_ctl_old"), (215, "epoll_wait_old"),
    (216, "remap_file_pages"), (236, "vserver"), (251, "ioprio_set"), (256, "migrate_pages"), (279, "move_pages"),
    (317, "seccomp"), (320, "kexec_file_load"), (322, "execveat"), (428, "open_tree"), (429, "move_mount"),
    (430, "fsopen"), (431, "fsconfig"), (432, "fsmount"), (433, "fspick"), (438, "pidfd_getfd"),
    (440, "process_madvise"), (442, "mount_setattr"), (443, "quotactl_fd"), (444, "landlock_create_ruleset"),
    (445, "landlock_add_rule"), (446, "landlock_restrict_self"), (447, "memfd_secret"), (448, "process_mrelease"),
    (449, "futex_waitv"), (450, "set_mempolicy_home_node"), (451, "cachestat"), (453, "map_shadow_stack"),
    (454, "futex_wake"), (455, "futex_wait"), (456, "futex_requeue"), (457, "statmount"), (458, "listmount"),
    (459, "lsm_get_self_attr"), (460, "lsm_set_self_attr"), (461, "lsm_list_modules"), (462, "mseal"),
];

/// The name of a system call that is not there.
#[must_use]
pub fn name(number: u64) -> Option<&'static str> {
    let at = MISSING.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    MISSING.get(at).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls;

    #[test]
    fn what_is_there_is_not_missing() {
        assert!(MISSING.is_sorted_by(|(one, _), (next, _)| one < next));
        for (number, name) in MISSING {
            assert!(syscalls::find(*number).is_none(), "{name}");
        }
    }
}
