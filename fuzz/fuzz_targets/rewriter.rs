//! Whatever bytes are mapped as code: what is rewritten still does the same, at once or site by site.

#![no_main]

#[path = "../../enclave/rewriter/tests/invariants/mod.rs"]
mod invariants;

use enclave_rewriter::{AddressMap, Area, Code, Origin, rewrite, rewrite_confirmed, scan};
use libfuzzer_sys::fuzz_target;

const ADDR: u64 = 0x40_0000;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let origin = if choice & 1 == 0 { Origin::File } else { Origin::Anonymous };
    let far = if choice & 2 == 0 { 0x10_0000 } else { 0x7fff_fff0 };
    let size = if choice & 4 == 0 { 1 << 20 } else { 200 };
    let area = Area { addr: ADDR + far, size };
    let code = Code { bytes, addr: ADDR, origin };
    invariants::check(&code, area, &rewrite(&code, &scan(&code), area, &AddressMap::new()));
    one_by_one(bytes, origin, area);
});

/// Treats all pairs as if they had trapped, in code that changes meanwhile.
fn one_by_one(bytes: &[u8], origin: Origin, mut area: Area) {
    let mut bytes = bytes.to_vec();
    let mut map = AddressMap::new();
    for site in 0..bytes.len() {
        let code = Code { bytes: &bytes, addr: ADDR, origin };
        let Ok(out) = rewrite_confirmed(&code, ADDR + site as u64, area, &map) else { continue };
        invariants::check(&code, area, &out);
        area.addr += out.trampolines.len() as u64;
        area.size -= out.trampolines.len();
        map.add(out.moved);
        for patch in &out.patches {
            let at = (patch.addr - ADDR) as usize;
            bytes[at..at + patch.bytes().len()].copy_from_slice(patch.bytes());
        }
    }
    for addr in ADDR..ADDR + bytes.len() as u64 {
        if let Some(now) = map.relocated(addr) {
            assert_eq!(map.original(now), Some(addr));
        }
    }
}
