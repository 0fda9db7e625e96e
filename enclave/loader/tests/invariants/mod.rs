//! What holds for every file, whatever its headers say.

use enclave_loader::{ElfError, ElfKind, ElfPlan, Limits};

/// Lowest address of the program's area.
pub(crate) const LOW: u64 = 0x1_0000;
/// First address after it.
pub(crate) const HIGH: u64 = 0x3f00_0000_0000;

/// Reads a plan, with at most 1000 bytes per read.
pub(crate) fn read(file: &[u8]) -> Result<ElfPlan, ElfError<&'static str>> {
    let limits = Limits { low: LOW, high: HIGH, file_len: file.len() as u64 };
    ElfPlan::read(limits, |offset, buf| {
        let rest = usize::try_from(offset).ok().and_then(|at| file.get(at..)).unwrap_or_default();
        let len = rest.len().min(buf.len()).min(1000);
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    })
}

/// Checks that a plan which is accepted keeps its promises; panics when it doesn't.
pub(crate) fn check(file: &[u8]) {
    let plan = match read(file) {
        Ok(plan) => plan,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.starts_with(char::is_uppercase));
            return;
        }
    };
    let mut end = 0;
    for segment in &plan.segments {
        assert!(segment.vaddr >= end && segment.filesz <= segment.memsz && segment.memsz > 0);
        end = segment.vaddr + segment.memsz;
        assert!(plan.span.0 <= segment.page_start() && segment.page_end() <= plan.span.1);
        assert!(segment.file_page_end() <= segment.page_end());
        let (from, to) = segment.zero_tail();
        assert!(from <= to && to <= segment.page_end() && to - from < 4096);
        if segment.filesz > 0 {
            assert!(segment.file_offset + segment.filesz <= file.len() as u64);
            assert_eq!(segment.vaddr % 4096, segment.file_offset % 4096);
        }
    }
    assert!(!plan.segments.is_empty() && plan.align.is_power_of_two() && plan.align >= 4096);
    assert!(plan.interp.is_none_or(|path| !path.is_empty() && !path.contains(&0)));
    match plan.kind {
        ElfKind::Exec => assert!(plan.span.0 >= LOW && plan.span.1 <= HIGH && plan.entry < HIGH),
        ElfKind::Dyn => assert!(plan.span.1 <= HIGH - LOW && plan.entry <= plan.span.1),
    }
}
