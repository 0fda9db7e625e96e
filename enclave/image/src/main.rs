//! The enclave: links the runtime and gives the core its upper layers.

#![no_std]
#![no_main]

use enclave_core::Hooks;

enclave_core::hooks!(Hooks {
    start: enclave_syscalls::start,
    thread_start: enclave_syscalls::thread_start,
    syscall: enclave_syscalls::syscall,
    exception: enclave_syscalls::exception,
    before_return: enclave_syscalls::before_return,
    fault: enclave_syscalls::fault,
    mapped: enclave_syscalls::mapped,
});
