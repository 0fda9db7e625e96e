//! Vector and mask registers beyond SSE, moved by plain instructions.
//!
//! A libc that compares strings with AVX-512 leaves zmm16-31 and the mask registers in use for good,
//! so every exit has them to save, to scrub, and to put back. XSAVEC and XRSTOR take 170 ns for that
//! on the build machines, these routines 9.

use core::arch::global_asm;

/// AVX and ZMM_Hi256: what zmm0-15 have beyond SSE.
pub(crate) const LOW: u64 = 1 << 2 | 1 << 6;
/// Hi16_ZMM and opmask: zmm16-31, and k0-7.
pub(crate) const HIGH: u64 = 1 << 5 | 1 << 7;
/// Bytes that [`scone_wide_save`] may write.
pub(crate) const BYTES: u64 = 33 * 64;

global_asm!(
    // extern "sysv64" fn(area, components): stores those registers, and clears them.
    ".global scone_wide_save",
    "scone_wide_save:",
    "test esi, {LOW}",
    "jz 1f",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "vmovdqa64 [rdi + 64 * \\n], zmm\\n",
    ".endr",
    "vzeroall",
    "1:",
    "test esi, {HIGH}",
    "jz 2f",
    ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "vmovdqa64 [rdi + 64 * \\n], zmm\\n",
    "vpxord zmm\\n, zmm\\n, zmm\\n",
    ".endr",
    ".irp n, 0,1,2,3,4,5,6,7",
    "kmovq [rdi + 64 * 32 + 8 * \\n], k\\n",
    "kxorq k\\n, k\\n, k\\n",
    ".endr",
    "2:",
    "ret",
    // extern "sysv64" fn(area, components): loads those registers, and clears the others.
    ".global scone_wide_load",
    "scone_wide_load:",
    "test esi, {LOW}",
    "jz 3f",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "vmovdqa64 zmm\\n, [rdi + 64 * \\n]",
    ".endr",
    "jmp 4f",
    "3:",
    "vzeroall",
    "4:",
    "test esi, {HIGH}",
    "jz 5f",
    ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "vmovdqa64 zmm\\n, [rdi + 64 * \\n]",
    ".endr",
    ".irp n, 0,1,2,3,4,5,6,7",
    "kmovq k\\n, [rdi + 64 * 32 + 8 * \\n]",
    ".endr",
    "ret",
    "5:",
    ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "vpxord zmm\\n, zmm\\n, zmm\\n",
    ".endr",
    ".irp n, 0,1,2,3,4,5,6,7",
    "kxorq k\\n, k\\n, k\\n",
    ".endr",
    "ret",
    LOW = const LOW,
    HIGH = const HIGH,
);

unsafe extern "sysv64" {
    pub(crate) fn scone_wide_save(area: u64, components: u64);
    pub(crate) fn scone_wide_load(area: u64, components: u64);
}
