//! Looks at what has come for the sockets that a wait has reported.

use std::sync::atomic::Ordering;

use hostcall_abi::looks::{self, Event};

use crate::{NOBODY, Request};

const EPOLL_WAIT: u64 = 232;
const EPOLL_PWAIT2: u64 = 441;

impl Request {
    /// Makes the looks that come with a wait, when it is made.
    pub fn look(&self) {
        if matches!(self.number(), EPOLL_WAIT | EPOLL_PWAIT2) {
            // `None` if no looks are wanted, or if they are not where they can be made.
            let _ = self.look_at_events();
        }
    }

    /// Looks that came with the wait and have seen something; `None` if none were wanted.
    #[must_use]
    pub fn seen(&self) -> Option<u64> {
        let block = self.looks()?;
        let filled = block.word(looks::FILLED).load(Ordering::Relaxed).min(looks::SLOTS);
        let result = |slot| block.word(looks::result(slot)).load(Ordering::Relaxed);
        let has_seen = |&slot: &u64| (1..=looks::ROOM).contains(&result(slot));
        Some((0..filled).filter(has_seen).count() as u64)
    }

    fn look_at_events(&self) -> Option<()> {
        let block = self.looks()?;
        block.word(looks::FILLED).store(0, Ordering::Relaxed);
        // An error is more than there can be.
        let count = Some(self.result()).filter(|&count| count <= self.args()[2])?;
        let events = self.memory_at(self.args()[1], (count * Event::BYTES).next_multiple_of(8))?;
        let map_len = block.word(looks::MAP_LEN).load(Ordering::Relaxed);
        let map = block.word(looks::MAP).load(Ordering::Relaxed);
        let map = self.memory_at(map, map_len.checked_mul(8)?)?;
        let load = |index| events.word(index).load(Ordering::Relaxed);
        let readable = (0..count).map(|index| Event::of(index, load)).filter(|e| e.can_be_read());
        let sockets = readable.filter_map(|Event { token, .. }| {
            let index = Some(token & 0xffff_ffff).filter(|&index| index < map_len)?;
            let socket = map.word(index).load(Ordering::Relaxed).checked_sub(1)?;
            Some((token, socket))
        });
        for (slot, (token, socket)) in (0..looks::SLOTS).zip(sockets) {
            let result = peek(socket, block.address(looks::seen(slot)));
            block.word(looks::token(slot)).store(token, Ordering::Relaxed);
            block.word(looks::result(slot)).store(result, Ordering::Relaxed);
            block.word(looks::FILLED).store(slot + 1, Ordering::Relaxed);
        }
        Some(())
    }
}

fn peek(socket: u64, address: u64) -> u64 {
    const RECVFROM: u64 = 45;
    const MSG_PEEK: u64 = 0x2;
    const MSG_DONTWAIT: u64 = 0x40;
    NOBODY.call(RECVFROM, [socket, address, looks::ROOM, MSG_PEEK | MSG_DONTWAIT, 0, 0])
}
