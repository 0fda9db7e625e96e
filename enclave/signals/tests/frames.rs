//! Frames as the kernel lays them out (arch/x86/kernel/signal_64.c).

use enclave_signals::{
    AltStack, SigInfo,
    frame::{Frame, SigContext, announced, is_sealed, place, seal},
};

#[test]
fn a_frame_lies_below_the_red_zone_and_is_aligned_as_after_a_call() {
    let none = AltStack::default();
    for rsp in 0x7000_0000_u64..0x7000_0080 {
        for xstate in [512, 576, 832, 2696] {
            let at = place(rsp, &none, true, xstate).unwrap();
            assert_eq!(at.frame % 16, 8);
            assert_eq!(at.fpstate % 64, 0);
            assert!(at.fpstate + xstate + 4 <= rsp - 128);
            assert!(at.frame + size_of::<Frame>() as u64 <= at.fpstate);
            assert!(!at.on_altstack);
        }
    }
}

#[test]
fn the_alternate_stack_is_entered_once_and_never_overrun() {
    let stack = AltStack { sp: 0x1_0000, size: 4096, flags: 0, pad: 0 };
    let first = place(0x9_0000, &stack, true, 832).unwrap();
    assert!(first.on_altstack && stack.contains(first.frame));
    let second = place(first.frame, &stack, true, 832).unwrap();
    assert!(!second.on_altstack && second.frame < first.frame);
    assert_eq!(place(second.frame, &stack, true, 832), None);
    assert!(!place(0x9_0000, &stack, false, 832).unwrap().on_altstack);
    let mut inner = stack;
    inner.flags = AltStack::AUTODISARM;
    assert!(place(first.frame, &inner, true, 832).unwrap().on_altstack);
}

#[test]
fn an_image_is_recognised_only_when_it_says_what_it_is() {
    let mut image = vec![0_u8; 832];
    seal(&mut image, 7);
    assert_eq!(image.len(), 836);
    assert_eq!(announced(&image[..512], 832), 832);
    assert!(is_sealed(image[832..].try_into().unwrap()));
    for (at, value) in [(464, 0), (480, 0xff), (481, 0xff), (468, 0)] {
        let mut broken = image.clone();
        broken[at] = value;
        assert_eq!(announced(&broken[..512], 832), 512, "byte {at}");
    }
}

#[test]
fn the_fixed_part_has_the_kernels_offsets() {
    let at = place(0x7000_0000, &AltStack::default(), false, 832).unwrap();
    let context = SigContext { rip: 0x1234, rsp: 0x5678, rax: 9, ..SigContext::default() };
    let info = SigInfo::sent(10, 0, 77, 1000);
    let frame = Frame::new(&at, 0xabc, AltStack::default(), context, 0x55, info);
    let bytes = zerocopy::IntoBytes::as_bytes(&frame);
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    // Offsets of gregs[REG_RSP], gregs[REG_RIP], fpregs and uc_sigmask in <sys/ucontext.h>.
    assert_eq!((word(0), word(8 + 160), word(8 + 168)), (0xabc, 0x5678, 0x1234));
    assert_eq!((word(8 + 144), word(8 + 224), word(8 + 296)), (9, at.fpstate, 0x55));
    assert_eq!((word(312) & 0xffff_ffff, word(312 + 16)), (10, 77 | 1000 << 32));
}
