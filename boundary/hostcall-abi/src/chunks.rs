//! Much data in chunks: requests of one transfer that are in a ring at the same time.
//!
//! The host makes them in their order, and only as long as each does all that it was asked for: what
//! is behind a chunk that was short or failed is called off ([`crate::request::AFTER`]). So the
//! chunks come to what one call would have come to, and the replies can be checked against that.

use crate::request;

/// Most chunks of one transfer.
pub const MOST: usize = 8;

/// Shortest chunk. Shorter ones cost more by themselves than they save.
const SHORTEST: u64 = 32 << 10;

/// A length cut into chunks of one size; the last may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    len: u64,
    size: u64,
}

impl Cut {
    /// Cuts `len` bytes; `None` if one call is as good.
    #[must_use]
    pub const fn new(len: u64) -> Option<Self> {
        if len < 2 * SHORTEST {
            return None;
        }
        let even = len.div_ceil(MOST as u64).next_multiple_of(4096);
        Some(Self { len, size: if even < SHORTEST { SHORTEST } else { even } })
    }

    /// The number of chunks: from two to [`MOST`].
    #[must_use]
    pub const fn count(self) -> u64 {
        self.len.div_ceil(self.size)
    }

    /// Where chunk `index` begins, and its length; zero behind the last.
    #[must_use]
    pub const fn chunk(self, index: u64) -> (u64, u64) {
        let start = match index.checked_mul(self.size) {
            Some(start) if start < self.len => start,
            _ => self.len,
        };
        let rest = self.len - start;
        (start, if rest < self.size { rest } else { self.size })
    }
}

/// The host's reply to a chunk cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It moved more than it was asked for.
    More,
    /// It went on behind a chunk that was short.
    WentOn,
}

/// What the chunks of a transfer have done so far. Replies are counted in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    done: u64,
    ended: bool,
    error: Option<u64>,
}

impl Tally {
    /// Counts the reply to the next chunk, which was asked for `asked` bytes, and returns how many of
    /// them were moved.
    ///
    /// # Errors
    ///
    /// [`Lie`] if no host that keeps to the contract replies so.
    pub fn count(&mut self, asked: u64, result: u64) -> Result<u64, Lie> {
        if self.ended {
            return if result == request::CALLED_OFF { Ok(0) } else { Err(Lie::WentOn) };
        }
        if request::is_error(result) {
            (self.ended, self.error) = (true, Some(result));
            return Ok(0);
        }
        if result > asked {
            return Err(Lie::More);
        }
        self.ended = result < asked;
        self.done += result;
        Ok(result)
    }

    /// Bytes that were moved before the transfer ended.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.done
    }

    /// Whether a chunk was short or failed.
    #[must_use]
    pub const fn ended(&self) -> bool {
        self.ended
    }

    /// The result that says why a chunk failed. It may be no error that there is.
    #[must_use]
    pub const fn error(&self) -> Option<u64> {
        self.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIO: u64 = 5_u64.wrapping_neg();

    #[test]
    fn chunks_cover_the_length_once() {
        for len in
            (0..1 << 16).step_by(977).chain([1 << 16, (1 << 16) + 1, (1 << 20) - 4096, 1 << 40])
        {
            let Some(cut) = Cut::new(len) else {
                assert!(len < 2 * SHORTEST);
                continue;
            };
            assert!((2..=MOST as u64).contains(&cut.count()), "{len}");
            let mut next = 0;
            for index in 0..cut.count() {
                let (start, size) = cut.chunk(index);
                assert_eq!(start, next);
                assert!(size > 0 && start.is_multiple_of(4096));
                next += size;
            }
            assert_eq!(next, len);
            assert_eq!(cut.chunk(cut.count()), (len, 0));
            assert_eq!(cut.chunk(u64::MAX), (len, 0));
        }
    }

    #[test]
    fn whole_chunks_add_up() {
        let mut tally = Tally::default();
        assert_eq!([tally.count(100, 100), tally.count(50, 50)], [Ok(100), Ok(50)]);
        assert_eq!((tally.done(), tally.ended(), tally.error()), (150, false, None));
    }

    #[test]
    fn a_short_chunk_ends_the_transfer() {
        for short in [0, 1, 99] {
            let mut tally = Tally::default();
            assert_eq!(tally.count(100, 100), Ok(100));
            assert_eq!(tally.count(100, short), Ok(short));
            assert_eq!(tally.count(100, request::CALLED_OFF), Ok(0));
            assert_eq!((tally.done(), tally.ended(), tally.error()), (100 + short, true, None));
        }
    }

    #[test]
    fn an_error_leaves_what_was_done_before() {
        let mut tally = Tally::default();
        assert_eq!(tally.count(100, 100), Ok(100));
        assert_eq!(tally.count(100, EIO), Ok(0));
        assert_eq!(tally.count(100, request::CALLED_OFF), Ok(0));
        assert_eq!((tally.done(), tally.ended(), tally.error()), (100, true, Some(EIO)));
    }

    #[test]
    fn more_than_asked_is_a_lie() {
        for more in [101, 1 << 32, 4096_u64.wrapping_neg()] {
            assert_eq!(Tally::default().count(100, more), Err(Lie::More));
        }
    }

    #[test]
    fn what_goes_on_behind_the_end_is_a_lie() {
        for first in [EIO, 0, 99] {
            for next in [0, 1, 100, EIO] {
                let mut tally = Tally::default();
                assert!(tally.count(100, first).is_ok());
                assert_eq!(tally.count(100, next), Err(Lie::WentOn));
            }
        }
    }

    /// Called off before anything has ended: an error, and none that there is.
    #[test]
    fn a_first_chunk_is_not_called_off() {
        let mut tally = Tally::default();
        assert_eq!(tally.count(100, request::CALLED_OFF), Ok(0));
        assert_eq!(tally.error(), Some(request::CALLED_OFF));
    }
}
