//! Lengths of the instructions that programs are made of, without decoding them.

/// What follows an opcode.
struct Form {
    modrm: bool,
    /// Bytes of the immediate operand or displacement of a branch.
    immediate: usize,
}

/// What was read before the opcode.
#[derive(Clone, Copy)]
struct Prefixes {
    /// The operand-size prefix.
    small: bool,
    /// REX.W.
    wide: bool,
}

impl Prefixes {
    /// Bytes of an operand that has the size of an instruction's.
    const fn size(self) -> usize {
        if self.small && !self.wide { 2 } else { 4 }
    }
}

/// Length of the instruction with which `bytes` begin: 0 when it is none, or one that hints at data.
/// `None` when that takes a decoder to tell.
pub(crate) fn quick_len(bytes: &[u8]) -> Option<u8> {
    let mut prefixes = Prefixes { small: false, wide: false };
    let mut at = 0;
    let mut opcode = *bytes.first()?;
    if opcode == 0x66 {
        prefixes.small = true;
        at += 1;
        opcode = *bytes.get(at)?;
    }
    if opcode & 0xf0 == 0x40 {
        prefixes.wide = opcode & 8 != 0;
        at += 1;
        opcode = *bytes.get(at)?;
    }
    at += 1;
    let modrm = bytes.get(at).copied();
    let form = if opcode == 0x0f {
        at += 1;
        two_byte_form(modrm?, bytes.get(at).copied(), prefixes)?
    } else {
        match one_byte_form(opcode, modrm, prefixes)? {
            Some(form) => form,
            None => return Some(0),
        }
    };
    if form.modrm {
        at += operand_len(bytes.get(at..)?)?;
    }
    at += form.immediate;
    if at <= bytes.len() { u8::try_from(at).ok() } else { None }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of the answers below")]
const fn plain(immediate: usize) -> Option<Option<Form>> {
    Some(Some(Form { modrm: false, immediate }))
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of the answers below")]
const fn operand(immediate: usize) -> Option<Option<Form>> {
    Some(Some(Form { modrm: true, immediate }))
}

/// `Some(None)` for what is no instruction, or one that hints at data.
fn one_byte_form(opcode: u8, modrm: Option<u8>, prefixes: Prefixes) -> Option<Option<Form>> {
    let small = prefixes.small;
    let group = || modrm.map(|modrm| modrm >> 3 & 7);
    match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => operand(0),
            4 => plain(1),
            5 => plain(prefixes.size()),
            _ if matches!(opcode, 0x26 | 0x2e | 0x36 | 0x3e) => None,
            _ => Some(None),
        },
        0x50..=0x5f | 0x90..=0x99 | 0xa4..=0xa7 | 0xaa..=0xaf => plain(0),
        0x60 | 0x61 | 0x82 | 0x9a | 0xce | 0xea => Some(None),
        0x63 | 0x84..=0x8b => operand(0),
        0x68 | 0xa9 => plain(prefixes.size()),
        0x69 | 0x81 => operand(prefixes.size()),
        0x6a | 0xa8 | 0xb0..=0xb7 => plain(1),
        0x6b | 0x80 | 0x83 => operand(1),
        0x6c..=0x6f | 0xc8 | 0xca | 0xcb | 0xcf | 0xe4..=0xe7 | 0xec..=0xef => Some(None),
        0xf1 | 0xfa | 0xfb => Some(None),
        0x70..=0x7f | 0xe0..=0xe3 | 0xeb if !small => plain(1),
        0x8d if modrm? < 0xc0 => operand(0),
        0x9e | 0x9f | 0xcc | 0xd7 | 0xf4 | 0xf5 | 0xf8 | 0xf9 | 0xfc | 0xfd => plain(0),
        0xa0..=0xa3 => plain(8),
        0xb8..=0xbf => plain(if prefixes.wide { 8 } else { prefixes.size() }),
        0xc0 | 0xc1 if group()? != 6 => operand(1),
        0xc2 if !small => plain(2),
        0xc3 | 0xc9 | 0x9c | 0x9d if !small => plain(0),
        0xc6 if group()? == 0 => operand(1),
        0xc7 if group()? == 0 => operand(prefixes.size()),
        0xcd => plain(1),
        0xd0..=0xd3 if group()? != 6 => operand(0),
        0xe8 | 0xe9 if !small => plain(4),
        0xf6 | 0xf7 => match group()? {
            0 => operand(if opcode == 0xf6 { 1 } else { prefixes.size() }),
            1 => None,
            _ => operand(0),
        },
        0xfe if group()? < 2 => operand(0),
        0xff if matches!(group()?, 0 | 1 | 2 | 4 | 6) && !small => operand(0),
        _ => None,
    }
}

/// The same for opcodes behind 0x0f.
fn two_byte_form(opcode: u8, modrm: Option<u8>, prefixes: Prefixes) -> Option<Form> {
    let (modrm, immediate) = match opcode {
        _ if prefixes.small => return None,
        0x05 | 0xa2 | 0xc8..=0xcf => (false, 0),
        0x80..=0x8f => (false, 4),
        0x10 | 0x11 | 0x28 | 0x29 | 0x40..=0x4f | 0x90..=0x9f => (true, 0),
        0xa3 | 0xab | 0xaf | 0xb0 | 0xb1 | 0xb6 | 0xb7 | 0xbe | 0xbf | 0xc0 | 0xc1 => (true, 0),
        0xba if modrm? >> 5 & 1 != 0 => (true, 1),
        _ => return None,
    };
    Some(Form { modrm, immediate })
}

/// Bytes of ModRM, SIB and displacement.
fn operand_len(bytes: &[u8]) -> Option<usize> {
    let modrm = *bytes.first()?;
    let (mode, register) = (modrm >> 6, modrm & 7);
    let sib = mode != 3 && register == 4;
    let base = if sib { bytes.get(1)? & 7 } else { register };
    let displacement = match mode {
        0 if base == 5 => 4,
        1 => 1,
        2 => 4,
        _ => 0,
    };
    Some(1 + usize::from(sib) + displacement)
}
