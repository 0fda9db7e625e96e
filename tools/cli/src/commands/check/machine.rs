//! What there is on this machine: each fact with what follows from it.

use std::fs::{File, read_to_string};
use std::path::Path;

use raw_cpuid::{CpuId, CpuIdReaderNative};
use serde::Serialize;

const SGX: &str = "SGX";
const FLC: &str = "SGX launch control";
const EDMM: &str = "SGX2 (EDMM)";
const DRIVER: &str = "SGX driver";
const SUD: &str = "syscall user dispatch";
const FSGSBASE: &str = "FSGSBASE";
const LOW_ADDRESSES: &str = "low addresses";

/// Facts without which the hardware backend cannot be used.
pub(super) const NEEDED_BY_SGX: &[&str] = &[SGX, FLC, EDMM, DRIVER, FSGSBASE, LOW_ADDRESSES];
/// Facts without which the emulator cannot be used.
pub(super) const NEEDED_BY_EMULATOR: &[&str] = &[SUD, FSGSBASE, LOW_ADDRESSES];

/// First Linux with PR_SET_SYSCALL_USER_DISPATCH on x86.
const SUD_SINCE: (u32, u32) = (5, 11);
/// Nothing below this address is used in an enclave.
const LOWEST_ADDRESS: u64 = 0x1_0000;
/// Below this, programs with many mappings run into the limit: it is Linux's default.
const USUAL_MAP_COUNT: u64 = 65530;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Yes,
    No,
    /// Neither good nor bad.
    Note,
}

#[derive(Debug, Serialize)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) state: State,
    /// What was seen.
    pub(super) found: String,
    /// What it means for whoever runs programs here; may be empty.
    pub(super) follows: &'static str,
}

impl Fact {
    pub(super) fn new(
        name: &'static str,
        state: State,
        found: impl Into<String>,
        follows: &'static str,
    ) -> Self {
        Self { name, state, found: found.into(), follows }
    }

    /// Yes without a consequence, or no with one.
    fn wanted(
        name: &'static str,
        is: bool,
        found: impl Into<String>,
        unless: &'static str,
    ) -> Self {
        let state = if is { State::Yes } else { State::No };
        Self::new(name, state, found, if is { "" } else { unless })
    }
}

/// Looks at the machine.
pub(super) fn facts() -> Vec<Fact> {
    let cpu = CpuId::new();
    let brand = cpu.get_processor_brand_string();
    let brand = brand.as_ref().map_or("unknown", |b| b.as_str().trim()).to_owned();
    let mut facts = vec![Fact::new("processor", State::Note, brand, "")];
    facts.extend(sgx(&cpu));
    facts.extend([
        driver(),
        syscall_user_dispatch(),
        fsgsbase(),
        low_addresses(),
        io_uring(),
        cgroups(),
        huge_pages(),
        map_count(),
    ]);
    facts
}

fn sgx(cpu: &CpuId<CpuIdReaderNative>) -> [Fact; 3] {
    let features = cpu.get_extended_feature_info();
    let leaf = cpu.get_sgx_info();
    let sgx1 = features.as_ref().is_some_and(|f| f.has_sgx())
        && leaf.as_ref().is_some_and(raw_cpuid::SgxInfo::has_sgx1);
    let sgx2 = leaf.as_ref().is_some_and(raw_cpuid::SgxInfo::has_sgx2);
    let flc = features.as_ref().is_some_and(|f| f.has_sgx_lc());
    [
        Fact::wanted(SGX, sgx1, "CPUID leaf 7 and 0x12", "no hardware protection on this machine"),
        Fact::wanted(FLC, flc, "CPUID leaf 7", "enclaves signed by your own key cannot start"),
        Fact::wanted(EDMM, sgx2, "CPUID leaf 0x12", "memory cannot be added to a running enclave"),
    ]
}

fn driver() -> Fact {
    let path = Path::new("/dev/sgx_enclave");
    let (is, found) = match File::options().read(true).write(true).open(path) {
        Ok(_) => (true, format!("{} can be opened", path.display())),
        Err(e) => (false, format!("{}: {e}", path.display())),
    };
    Fact::wanted(DRIVER, is, found, "needs Linux 6.0 with CONFIG_X86_SGX, and access to the device")
}

fn syscall_user_dispatch() -> Fact {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let is = version(&release).is_some_and(|v| v >= SUD_SINCE);
    Fact::wanted(SUD, is, format!("Linux {release}"), "the emulator needs Linux 5.11 or newer")
}

/// Major and minor number of a kernel's release string.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// HWCAP2_FSGSBASE, see arch/x86/include/uapi/asm/hwcap2.h.
const HWCAP2_FSGSBASE: usize = 1 << 1;

fn fsgsbase() -> Fact {
    let (_, hwcap2) = rustix::param::linux_hwcap();
    let is = hwcap2 & HWCAP2_FSGSBASE != 0;
    Fact::wanted(
        FSGSBASE,
        is,
        "AT_HWCAP2",
        "needs Linux 5.9 and a processor since Ivy Bridge or Zen",
    )
}

fn low_addresses() -> Fact {
    let path = "/proc/sys/vm/mmap_min_addr";
    let least = number(path);
    let is = least.is_some_and(|n| n <= LOWEST_ADDRESS);
    let found = format!("vm.mmap_min_addr = {}", shown(least));
    Fact::wanted(
        LOW_ADDRESSES,
        is,
        found,
        "enclaves begin at 0x10000: sysctl vm.mmap_min_addr=65536",
    )
}

fn io_uring() -> Fact {
    match io_uring::IoUring::new(2) {
        Ok(_) => Fact::new("io_uring", State::Yes, "a ring can be made", ""),
        Err(e) => Fact::new(
            "io_uring",
            State::Note,
            e.to_string(),
            "nothing: asynchronous system calls go through threads of the host in any case",
        ),
    }
}

fn cgroups() -> Fact {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let version = match (unified, Path::new("/sys/fs/cgroup").exists()) {
        (true, _) => "version 2",
        (false, true) => "version 1 or hybrid",
        (false, false) => "none",
    };
    let limit = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    // Version 1 says "no limit" as a number near 2^63.
    let limit = limit.into_iter().find_map(number).filter(|n| *n < 1 << 60);
    match limit {
        Some(bytes) => Fact::new(
            "cgroups",
            State::Note,
            format!("{version}, memory limit {} MiB", bytes >> 20),
            "the enclave's memory counts towards this limit",
        ),
        None => Fact::new("cgroups", State::Note, format!("{version}, no memory limit"), ""),
    }
}

fn huge_pages() -> Fact {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    let setting = read_to_string(path).unwrap_or_default();
    let chosen = setting.split(['[', ']']).nth(1).unwrap_or("not offered");
    let follows = match chosen {
        "always" | "madvise" => "",
        _ => "emulated enclaves commit memory more slowly",
    };
    Fact::new("huge pages", State::Note, chosen, follows)
}

fn map_count() -> Fact {
    let count = number("/proc/sys/vm/max_map_count");
    let enough = count.is_some_and(|n| n >= USUAL_MAP_COUNT);
    let follows = if enough { "" } else { "programs with many mappings may fail" };
    Fact::new("mappings", State::Note, format!("vm.max_map_count = {}", shown(count)), follows)
}

fn number(path: &str) -> Option<u64> {
    read_to_string(path).ok()?.trim().parse().ok()
}

fn shown(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |n| n.to_string())
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn kernel_versions() {
        assert_eq!(version("6.18.0-rc1"), Some((6, 18)));
        assert_eq!(version("5.10.0-21-amd64"), Some((5, 10)));
        assert_eq!(version("5.15-custom"), Some((5, 15)));
        assert_eq!(version("linux"), None);
    }
}
