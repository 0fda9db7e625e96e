//! Whatever bytes are mapped as code: what is rewritten still does the same.

#![no_main]

#[path = "../../enclave/rewriter/tests/invariants/mod.rs"]
mod invariants;

use enclave_rewriter::{AddressMap, Area, Code, rewrite, scan};
use libfuzzer_sys::fuzz_target;

const ADDR: u64 = 0x40_0000;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let far = if choice & 1 == 0 { 0x10_0000 } else { 0x7fff_fff0 };
    let size = if choice & 2 == 0 { 1 << 20 } else { 200 };
    let area = Area { addr: ADDR + far, size };
    let code = Code { bytes, addr: ADDR };
    let out = rewrite(&code, &scan(&code), area);
    invariants::check(&code, area, &out);
    let mut map = AddressMap::new();
    map.add(out.moved);
    for addr in ADDR..ADDR + bytes.len() as u64 {
        if let Some(inside) = map.inside(addr) {
            assert_eq!(map.original(inside.now), Some(addr));
        }
    }
});
