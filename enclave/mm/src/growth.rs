//! Stacks, and other mappings that grow when what is below them is touched.

use crate::pages::{BackingFile, Pages};
use crate::range::{PageRange, align_down};
use crate::space::AddressSpace;
use crate::vma::Vma;

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// Lets the mapping above `addr` grow over it, if it does so and may. It grows as fast as pages are
    /// committed by then; by the one page only, where there is no room for more.
    pub(crate) fn grow_down(&mut self, addr: u64) {
        let Some(vma) = self.map.next(addr).filter(|vma| vma.grows_down()) else { return };
        let old = vma.range;
        let policy = &self.policy;
        let step = old.len().clamp(policy.anon_block_min, policy.anon_block_max);
        let starts = [align_down(addr, 1 << step.ilog2()), PageRange::page_of(addr).start()];
        for start in starts {
            let more = PageRange::of(start, old.start());
            if self.may_grow_down(old, more) {
                self.map.extend_down(more);
                self.peak_mapped = self.peak_mapped.max(self.map.pages());
                return;
            }
        }
    }

    fn may_grow_down(&self, old: PageRange, more: PageRange) -> bool {
        // What nobody can access is a guard itself, and what grows down gives way.
        let needs_gap = |vma: &Vma<F>| !vma.prot().is_empty() && !vma.grows_down();
        let gap = match self.map.previous(more.start()) {
            Some(below) if needs_gap(below) => more.start().saturating_sub(below.range.end()),
            _ => u64::MAX,
        };
        old.end() - more.start() <= self.limits.stack
            && self.layout.area.covers(more)
            && self.map.gaps().is_free(more)
            && gap >= self.policy.stack_gap
            && self.check_limits(false, more.pages(), 0).is_ok()
    }
}
