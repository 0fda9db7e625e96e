//! Any file is refused, or becomes a plan that keeps its promises; the same for scripts.

#![no_main]

#[path = "../../enclave/loader/tests/invariants/mod.rs"]
mod invariants;

use enclave_loader::script;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    invariants::check(file);
    if let Ok(Some(script)) = script::parse(file) {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0);
        assert!(!script.interp.is_empty() && !script.interp.iter().any(blank));
        assert!(script.arg.is_none_or(|arg| !arg.is_empty()));
        assert!(script.interp.len() + script.arg.map_or(0, <[u8]>::len) < script::HEAD_SIZE);
    }
});
