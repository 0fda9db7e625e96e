//! What is known about a signal, as others see it.

use enclave_signals::SigInfo;

/// The kernel takes 48 bytes (`copy_siginfo_from_user`).
#[test]
fn others_get_what_the_kernel_takes() {
    let all = SigInfo { code: -60, pad: 7, fields: [7; 14], ..SigInfo::kernel(10) };
    let mut fields = [0; 14];
    fields[..4].fill(7);
    assert_eq!(all.for_others(), SigInfo { pad: 0, fields, ..all });
}
