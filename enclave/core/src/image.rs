//! The image relocates itself: it is a static PIE with relative relocations only, which the build
//! checks.

const PT_DYNAMIC: u32 = 2;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;

/// Adds the base to all relocated words. Runs before anything that needs relocation.
pub(crate) extern "sysv64" fn relocate(base: u64) {
    // SAFETY: the image's own headers and relocations, as linked and measured; the pages they
    // name are mapped and writable until start-up ends, and nothing reads them yet.
    unsafe {
        let at = |offset: u64| (base + offset) as *const u64;
        let phoff = at(32).read();
        let phnum = u64::from((base as *const u8).add(56).cast::<u16>().read());
        let (mut rela, mut size) = (0, 0);
        for index in 0..phnum {
            let header = phoff + index * 56;
            if at(header).cast::<u32>().read() == PT_DYNAMIC {
                let mut entry = at(header + 16).read();
                while at(entry).read() != 0 {
                    match at(entry).read() {
                        DT_RELA => rela = at(entry + 8).read(),
                        DT_RELASZ => size = at(entry + 8).read(),
                        _ => {}
                    }
                    entry += 16;
                }
            }
        }
        let mut done = 0;
        while done < size {
            let target = at(rela + done).read();
            let addend = at(rela + done + 16).read();
            ((base + target) as *mut u64).write(base.wrapping_add(addend));
            done += 24;
        }
    }
}
