//! Looks at what has come for sockets, made by the host together with the wait that reported them.
//!
//! A request of `epoll_wait(2)` or `epoll_pwait2(2)` whose word [`crate::request::LOOKS`] is not zero has
//! there the address of a block. When there are events, the host looks (`recv` with `MSG_PEEK` and
//! `MSG_DONTWAIT`) at the sockets among the first [`SLOTS`] that can be read, one slot for each.

/// Looks that are made at most by one wait.
pub const SLOTS: u64 = 64;
/// Bytes that a look sees at most.
pub const ROOM: u64 = 4 << 10;

/// Word index of the address of the map: for each index that tokens have, the socket's number plus one, or
/// zero for what is not to be looked at. The index is the low half of a token, which is the event's data.
pub const MAP: u64 = 0;
/// Word index of the number of words in the map.
pub const MAP_LEN: u64 = 1;
/// Word index of the number of slots that the host has filled; it sets this with each wait.
pub const FILLED: u64 = 2;

/// Word index of the token that slot `index` is about.
#[must_use]
pub const fn token(index: u64) -> u64 {
    4 + 2 * index
}

/// Word index of what the look of slot `index` has come to: bytes seen, or `-errno`.
#[must_use]
pub const fn result(index: u64) -> u64 {
    token(index) + 1
}

/// Offset in bytes of what slot `index` has seen.
#[must_use]
pub const fn seen(index: u64) -> u64 {
    8 * token(SLOTS) + ROOM * index
}

/// Bytes of the block.
pub const BYTES: u64 = seen(SLOTS);

/// An event as epoll(7) reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What is ready.
    pub events: u32,
    /// The token.
    pub token: u64,
}

impl Event {
    /// Bytes of an event: it is packed.
    pub const BYTES: u64 = 12;

    /// `EPOLLIN`.
    pub const IN: u32 = 0x1;
    /// `EPOLLPRI`.
    pub const PRI: u32 = 0x2;
    /// `EPOLLERR`.
    pub const ERR: u32 = 0x8;
    /// `EPOLLHUP`.
    pub const HUP: u32 = 0x10;
    /// `EPOLLRDHUP`.
    pub const RDHUP: u32 = 0x2000;

    /// Event `index` of an array, whose entries are packed into three halves of words; `word` gives the
    /// words of the array.
    pub fn of(index: u64, word: impl Fn(u64) -> u64) -> Self {
        let half = |at: u64| word(at / 2) >> (at % 2 * 32) & 0xffff_ffff;
        let first = index * 3;
        let events = u32::try_from(half(first)).unwrap_or(0);
        Self { events, token: half(first + 1) | half(first + 2) << 32 }
    }

    /// Whether there is data to read, and no end, error or urgent data.
    #[must_use]
    pub const fn can_be_read(self) -> bool {
        const OTHERS: u32 = Event::PRI | Event::ERR | Event::HUP | Event::RDHUP;
        self.is_in() && self.events & OTHERS == 0
    }

    /// Whether there is something to receive: data or the end.
    #[must_use]
    pub const fn is_in(self) -> bool {
        self.events & Self::IN != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_where_the_kernel_puts_them() {
        let mut bytes = Vec::new();
        for index in 0..7_u32 {
            bytes.extend((0x100 + index).to_le_bytes());
            bytes.extend((0x1122_3344_0000_0000 + u64::from(index)).to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(8), 0xff);
        let words: Vec<u64> =
            bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        for index in 0..7_u32 {
            let event = Event::of(index.into(), |word| words[usize::try_from(word).unwrap()]);
            let token = 0x1122_3344_0000_0000 + u64::from(index);
            assert_eq!(event, Event { events: 0x100 + index, token });
        }
    }

    #[test]
    fn what_has_ended_is_not_looked_at() {
        let event = |events| Event { events, token: 0 };
        for events in [0x1, 0x5, 0x41] {
            assert!(event(events).can_be_read());
        }
        for events in [0, 0x3, 0x4, 0x9, 0x11, 0x2001] {
            assert!(!event(events).can_be_read());
        }
    }

    #[test]
    fn slots_do_not_overlap() {
        assert!(8 * (result(SLOTS - 1) + 1) <= seen(0));
        assert!(seen(0).is_multiple_of(8) && ROOM.is_multiple_of(8));
        assert_eq!(seen(SLOTS - 1) + ROOM, BYTES);
    }
}
