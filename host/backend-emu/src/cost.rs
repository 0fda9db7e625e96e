//! What entering and leaving costs on real processors.
//!
//! The emulator itself takes some 0.1 us for a round trip where hardware takes several thousand
//! cycles, so measurements that are meant to say something about hardware need a model. Cycles are
//! those of the time stamp counter.

use std::arch::x86_64::_rdtsc;
use std::path::Path;
use std::{fmt, fs, io};

use serde::Deserialize;

/// Cycles to wait at each event, on top of what the emulation takes.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostModel {
    /// Name, for the label of benchmarks; that of the file, unless the file gives one.
    #[serde(default)]
    pub name: String,
    /// EENTER.
    pub eenter: u64,
    /// EEXIT.
    pub eexit: u64,
    /// Asynchronous exit.
    pub aex: u64,
    /// ERESUME.
    pub eresume: u64,
    /// Each page added by EAUG and accepted.
    pub epc_fault: u64,
}

impl CostModel {
    /// The names that [`CostModel::named`] knows.
    pub const NAMES: [&str; 4] = ["off", "skylake-sgx1", "skylake-mitigated", "icelake"];

    /// No waiting.
    #[must_use]
    pub fn off() -> Self {
        Self::new("off", 0, 0, 0)
    }

    /// Skylake client parts before the microcode mitigations of 2018.
    ///
    /// A round trip of 8,000 cycles: between the 7 and 9 thousand published, with HotCalls (ISCA
    /// 2017) measuring 8,640 for a warm ecall and 8,314 for a warm ocall. EENTER takes somewhat more
    /// than EEXIT.
    #[must_use]
    pub fn skylake_sgx1() -> Self {
        Self::new("skylake-sgx1", 4300, 3700, 20_000)
    }

    /// The same parts with the mitigations of 2018.
    ///
    /// A round trip of 12,000 cycles: the middle of the 10 to 14 thousand of sgx-perf (Middleware
    /// 2018), divided as before.
    #[must_use]
    pub fn skylake_mitigated() -> Self {
        Self::new("skylake-mitigated", 6450, 5550, 20_000)
    }

    /// Ice Lake servers and later. An assumption, not a measurement: transitions as on Skylake before
    /// the mitigations, which this generation has in silicon, and page faults without eviction, since
    /// the EPC is as large as memory.
    #[must_use]
    pub fn icelake() -> Self {
        Self::new("icelake", 4300, 3700, 8000)
    }

    /// An AEX takes as long as EEXIT, and ERESUME as EENTER: they do the same work and save or load a
    /// frame (assumed: published figures are for round trips with EENTER and EEXIT). `epc_fault`: tens
    /// of thousands of cycles where pages are evicted.
    fn new(name: &str, eenter: u64, eexit: u64, epc_fault: u64) -> Self {
        Self { name: name.into(), eenter, eexit, aex: eexit, eresume: eenter, epc_fault }
    }

    /// A model by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "off" => Self::off(),
            "skylake-sgx1" => Self::skylake_sgx1(),
            "skylake-mitigated" => Self::skylake_mitigated(),
            "icelake" => Self::icelake(),
            _ => return None,
        })
    }

    /// A model by its name, or from a TOML file with the fields of this structure.
    ///
    /// # Errors
    /// [`CostModelError`]: neither a known name nor a good file.
    pub fn load(name_or_path: &str) -> Result<Self, CostModelError> {
        if let Some(model) = Self::named(name_or_path) {
            return Ok(model);
        }
        let path = Path::new(name_or_path);
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => CostModelError::Unknown(name_or_path.into()),
            _ => CostModelError::File(name_or_path.into(), error),
        })?;
        let mut model: Self = toml::from_str(&text)
            .map_err(|error| CostModelError::Syntax(name_or_path.into(), error.to_string()))?;
        if model.name.is_empty() {
            let stem = path.file_stem().unwrap_or_default();
            model.name = stem.to_string_lossy().into_owned();
        }
        Ok(model)
    }
}

impl CostModel {
    /// Whether nothing costs anything.
    pub(crate) fn is_off(&self) -> bool {
        [self.eenter, self.eexit, self.aex, self.eresume, self.epc_fault] == [0; 5]
    }
}

impl fmt::Display for CostModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Why there is no such cost model.
#[derive(Debug, thiserror::Error)]
pub enum CostModelError {
    /// Neither a name nor a file.
    #[error("unknown cost model {0:?}: it is neither a file nor one of {names}", names = CostModel::NAMES.join(", "))]
    Unknown(String),
    /// The file cannot be read.
    #[error("cannot read the cost model {0:?}: {1}")]
    File(String, #[source] io::Error),
    /// The file is no cost model.
    #[error("the cost model {0:?} is malformed: {1}")]
    Syntax(String, String),
}

/// Waits for that many cycles of the time stamp counter.
pub(crate) fn spend(cycles: u64) {
    if cycles == 0 {
        return;
    }
    // SAFETY: the instruction only reads.
    let start = unsafe { _rdtsc() };
    // SAFETY: as above.
    while unsafe { _rdtsc() }.wrapping_sub(start) < cycles {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known() {
        for name in CostModel::NAMES {
            assert_eq!(CostModel::load(name).expect(name).name, name);
        }
    }

    #[test]
    fn files_are_read() {
        let path = std::env::temp_dir().join(format!("cost-model-{}.toml", std::process::id()));
        let load = |text: &str| {
            fs::write(&path, text).expect("the directory is writable");
            CostModel::load(&path.to_string_lossy())
        };
        let all = "eenter = 1\neexit = 2\naex = 3\neresume = 4\nepc_fault = 5\n";
        let model = load(all).expect("a good file");
        assert_eq!((model.eenter, model.epc_fault), (1, 5));
        assert!(model.name.starts_with("cost-model-"), "{}", model.name);
        assert_eq!(load(&format!("name = \"x\"\n{all}")).expect("a good file").name, "x");
        assert!(matches!(load("eenter = 1"), Err(CostModelError::Syntax(..))));
        assert!(matches!(load(&format!("{all}more = 1")), Err(CostModelError::Syntax(..))));
        fs::remove_file(&path).expect("it was written");
        let unknown = CostModel::load("pentium").expect_err("no such model").to_string();
        assert!(unknown.contains("pentium") && unknown.contains("icelake"), "{unknown}");
    }

    #[test]
    fn time_is_spent() {
        let cycles = 3_000_000;
        // SAFETY: the instruction only reads.
        let start = unsafe { _rdtsc() };
        spend(cycles);
        // SAFETY: as above.
        assert!(unsafe { _rdtsc() } - start >= cycles);
    }
}
