//! Lays out the object at compile time.

mod hash;

use super::{
    CLOCK_CODE_SIZE, Code, FUNCTIONS, SONAME, STUB_SIZE, STUB_STRIDE, VDSO_SIZE, VERSION, stub,
};

/// Length of `__vdso_`.
const PREFIX: usize = 7;
/// Null symbol, the version's own symbol, two per function.
const SYMBOLS: usize = 2 + 2 * FUNCTIONS.len();
/// First symbol that can be looked up.
const FIRST_SYMBOL: usize = 1;
const PHDRS: usize = 4;
const DYNAMIC_TAGS: usize = 12;

const PHDR_AT: usize = 64;
const HASH_AT: usize = PHDR_AT + PHDRS * 56;
const HASH_SIZE: usize = 4 * (2 + 1 + SYMBOLS);
const GNU_HASH_AT: usize = align(HASH_AT + HASH_SIZE, 8);
const GNU_HASH_SIZE: usize = 16 + 8 + 4 + 4 * (SYMBOLS - FIRST_SYMBOL);
const SYM_AT: usize = align(GNU_HASH_AT + GNU_HASH_SIZE, 8);
const SYM_SIZE: usize = 24 * SYMBOLS;
const STR_AT: usize = SYM_AT + SYM_SIZE;
const STR_SIZE: usize = strings_size();
const VERSYM_AT: usize = align(STR_AT + STR_SIZE, 2);
const VERSYM_SIZE: usize = 2 * SYMBOLS;
const VERDEF_AT: usize = align(VERSYM_AT + VERSYM_SIZE, 8);
const VERDEF_SIZE: usize = 2 * (20 + 8);
const DYNAMIC_AT: usize = align(VERDEF_AT + VERDEF_SIZE, 16);
const DYNAMIC_SIZE: usize = 16 * DYNAMIC_TAGS;
const EH_HDR_AT: usize = DYNAMIC_AT + DYNAMIC_SIZE;
const EH_HDR_SIZE: usize = 20;
const EH_AT: usize = align(EH_HDR_AT + EH_HDR_SIZE, 8);
const CIE_SIZE: usize = 24;
const FDE_SIZE: usize = 24;
const EH_SIZE: usize = CIE_SIZE + FDE_SIZE + 4;
const TEXT_AT: usize = align(EH_AT + EH_SIZE, 64);
/// The code that tells the time precedes the functions that enter the runtime.
pub(super) const CLOCK_CODE_AT: usize = TEXT_AT;
const STUBS_AT: usize = CLOCK_CODE_AT + CLOCK_CODE_SIZE;
const TEXT_SIZE: usize = CLOCK_CODE_SIZE + STUB_STRIDE * FUNCTIONS.len();
const SHSTR_AT: usize = TEXT_AT + TEXT_SIZE;

/// Names in the string table of the sections; each begins after a NUL.
const SECTION_NAMES: &str = "\0.hash\0.gnu.hash\0.dynsym\0.dynstr\0.gnu.version\0.gnu.version_d\0\
                             .dynamic\0.eh_frame_hdr\0.eh_frame\0.text\0.shstrtab\0";
const SHDR_AT: usize = align(SHSTR_AT + SECTION_NAMES.len(), 8);

/// Name, type, flags, start, size, link, info, alignment, entry size.
type Section = (&'static str, u32, u64, usize, usize, u32, u32, usize, usize);

const SECTIONS: [Section; 11] = [
    (".hash", 5, 2, HASH_AT, HASH_SIZE, 3, 0, 8, 4),
    (".gnu.hash", 0x6fff_fff6, 2, GNU_HASH_AT, GNU_HASH_SIZE, 3, 0, 8, 0),
    (".dynsym", 11, 2, SYM_AT, SYM_SIZE, 4, 1, 8, 24),
    (".dynstr", 3, 2, STR_AT, STR_SIZE, 0, 0, 1, 0),
    (".gnu.version", 0x6fff_ffff, 2, VERSYM_AT, VERSYM_SIZE, 3, 0, 2, 2),
    (".gnu.version_d", 0x6fff_fffd, 2, VERDEF_AT, VERDEF_SIZE, 4, 2, 8, 0),
    (".dynamic", 6, 2, DYNAMIC_AT, DYNAMIC_SIZE, 4, 0, 8, 16),
    (".eh_frame_hdr", 1, 2, EH_HDR_AT, EH_HDR_SIZE, 0, 0, 4, 0),
    (".eh_frame", 1, 2, EH_AT, EH_SIZE, 0, 0, 8, 0),
    (".text", 1, 6, TEXT_AT, TEXT_SIZE, 0, 0, 64, 0),
    (".shstrtab", 3, 0, SHSTR_AT, SECTION_NAMES.len(), 0, 0, 1, 0),
];

const fn align(value: usize, to: usize) -> usize {
    value.next_multiple_of(to)
}

const fn strings_size() -> usize {
    let mut size = 1 + SONAME.len() + 1 + VERSION.len() + 1;
    let mut i = 0;
    while i < FUNCTIONS.len() {
        size += FUNCTIONS[i].0.len() + 1;
        i += 1;
    }
    size
}

#[expect(clippy::cast_possible_truncation, reason = "all offsets are below a page")]
const fn u32_of(value: usize) -> u32 {
    value as u32
}

#[expect(clippy::cast_possible_truncation, reason = "all counts are below a page")]
const fn u16_of(value: usize) -> u16 {
    value as u16
}

/// The string table's offset of the name of function `index`; the version's name precedes the
/// first.
const fn name_at(index: usize) -> u32 {
    let mut at = 1 + SONAME.len() + 1 + VERSION.len() + 1;
    let mut i = 0;
    while i < index {
        at += FUNCTIONS[i].0.len() + 1;
        i += 1;
    }
    u32_of(at)
}

const SONAME_NAME: u32 = 1;
const VERSION_NAME: u32 = 2 + u32_of(SONAME.len());

/// A page that is filled from front to back.
struct Page {
    bytes: [u8; VDSO_SIZE],
    at: usize,
}

impl Page {
    const fn seek(&mut self, at: usize) {
        assert!(self.at <= at, "parts of the object overlap");
        self.at = at;
    }

    const fn put(&mut self, data: &[u8]) {
        let mut i = 0;
        while i < data.len() {
            self.bytes[self.at] = data[i];
            self.at += 1;
            i += 1;
        }
    }

    const fn half(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    const fn word(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    const fn quad(&mut self, value: usize) {
        self.put(&(value as u64).to_le_bytes());
    }

    const fn string(&mut self, text: &str) {
        self.put(text.as_bytes());
        self.put(&[0]);
    }
}

pub(super) const fn build() -> [u8; VDSO_SIZE] {
    let mut page = Page { bytes: [0; VDSO_SIZE], at: 0 };
    put_headers(&mut page);
    put_hash(&mut page);
    put_gnu_hash(&mut page);
    put_symbols(&mut page);
    put_versions(&mut page);
    put_dynamic(&mut page);
    put_unwind(&mut page);
    put_text(&mut page);
    put_sections(&mut page);
    page.bytes
}

const fn put_headers(page: &mut Page) {
    page.put(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    page.half(3); // ET_DYN
    page.half(62); // EM_X86_64
    page.word(1);
    page.quad(0);
    page.quad(PHDR_AT);
    page.quad(SHDR_AT);
    page.word(0);
    page.half(64);
    page.half(56);
    page.half(u16_of(PHDRS));
    page.half(64);
    page.half(u16_of(SECTIONS.len() + 1));
    page.half(u16_of(SECTIONS.len()));
    put_phdr(page, 1, 5, 0, TEXT_AT + TEXT_SIZE, 4096); // PT_LOAD, r-x
    put_phdr(page, 2, 4, DYNAMIC_AT, DYNAMIC_SIZE, 8); // PT_DYNAMIC, r--
    put_phdr(page, 0x6474_e550, 4, EH_HDR_AT, EH_HDR_SIZE, 4); // PT_GNU_EH_FRAME, r--
    put_phdr(page, 0x6474_e551, 6, 0, 0, 16); // PT_GNU_STACK, rw-
}

const fn put_phdr(page: &mut Page, kind: u32, flags: u32, at: usize, size: usize, to: usize) {
    page.word(kind);
    page.word(flags);
    page.quad(at);
    page.quad(at);
    page.quad(at);
    page.quad(size);
    page.quad(size);
    page.quad(to);
}

/// `DT_HASH` with one bucket that chains all symbols.
const fn put_hash(page: &mut Page) {
    page.seek(HASH_AT);
    page.word(1);
    page.word(u32_of(SYMBOLS));
    page.word(u32_of(FIRST_SYMBOL));
    let mut i = 0;
    while i < SYMBOLS {
        page.word(if i == 0 || i + 1 == SYMBOLS { 0 } else { u32_of(i + 1) });
        i += 1;
    }
}

/// `DT_GNU_HASH` with one bucket and one bloom word.
const fn put_gnu_hash(page: &mut Page) {
    const SHIFT: u32 = 6;
    page.seek(GNU_HASH_AT);
    page.word(1);
    page.word(u32_of(FIRST_SYMBOL));
    page.word(1);
    page.word(SHIFT);
    let mut bloom = 0u64;
    let mut i = FIRST_SYMBOL;
    while i < SYMBOLS {
        let hash = hash::gnu(symbol_name(i));
        bloom |= 1 << (hash % 64) | 1 << ((hash >> SHIFT) % 64);
        i += 1;
    }
    page.put(&bloom.to_le_bytes());
    page.word(u32_of(FIRST_SYMBOL));
    let mut i = FIRST_SYMBOL;
    while i < SYMBOLS {
        let last = (i + 1 == SYMBOLS) as u32;
        page.word(hash::gnu(symbol_name(i)) & !1 | last);
        i += 1;
    }
}

/// Symbols are: null, then each function's global name and weak alias, then the version.
const fn symbol_name(index: usize) -> &'static [u8] {
    if index == 0 {
        b""
    } else if index + 1 == SYMBOLS {
        VERSION.as_bytes()
    } else {
        let name = FUNCTIONS[(index - 1) / 2].0.as_bytes();
        if index % 2 == 1 { name } else { name.split_at(PREFIX).1 }
    }
}

const fn put_symbols(page: &mut Page) {
    const GLOBAL_FUNC: u8 = 0x12;
    const WEAK_FUNC: u8 = 0x22;
    const GLOBAL_OBJECT: u8 = 0x11;
    const TEXT_SECTION: u16 = 10;
    const SHN_ABS: u16 = 0xfff1;
    page.seek(SYM_AT + 24);
    let mut i = 0;
    while i < FUNCTIONS.len() {
        let (at, size) = match FUNCTIONS[i].1 {
            Code::Call(_) => (STUBS_AT + i * STUB_STRIDE, STUB_SIZE),
            Code::Clock(from, to) => (CLOCK_CODE_AT + from, to - from),
        };
        put_symbol(page, name_at(i), GLOBAL_FUNC, TEXT_SECTION, at, size);
        let alias = name_at(i) + u32_of(PREFIX);
        put_symbol(page, alias, WEAK_FUNC, TEXT_SECTION, at, size);
        i += 1;
    }
    put_symbol(page, VERSION_NAME, GLOBAL_OBJECT, SHN_ABS, 0, 0);

    page.seek(STR_AT + 1);
    page.string(SONAME);
    page.string(VERSION);
    let mut i = 0;
    while i < FUNCTIONS.len() {
        page.string(FUNCTIONS[i].0);
        i += 1;
    }
}

const fn put_symbol(page: &mut Page, name: u32, info: u8, section: u16, at: usize, size: usize) {
    page.word(name);
    page.put(&[info, 0]);
    page.half(section);
    page.quad(at);
    page.quad(size);
}

/// Version 1 is the object itself, version 2 that of all functions.
const fn put_versions(page: &mut Page) {
    page.seek(VERSYM_AT + 2);
    let mut i = 1;
    while i < SYMBOLS {
        page.half(2);
        i += 1;
    }
    page.seek(VERDEF_AT);
    put_verdef(page, 1, 1, SONAME, SONAME_NAME, 28);
    put_verdef(page, 0, 2, VERSION, VERSION_NAME, 0);
}

const fn put_verdef(page: &mut Page, flags: u16, index: u16, text: &str, name: u32, next: u32) {
    page.half(1);
    page.half(flags);
    page.half(index);
    page.half(1); // one name
    page.word(hash::sysv(text.as_bytes()));
    page.word(20);
    page.word(next);
    page.word(name);
    page.word(0);
}

const fn put_dynamic(page: &mut Page) {
    let tags: [(usize, usize); DYNAMIC_TAGS] = [
        (14, SONAME_NAME as usize), // DT_SONAME
        (16, 0),                    // DT_SYMBOLIC
        (4, HASH_AT),               // DT_HASH
        (0x6fff_fef5, GNU_HASH_AT), // DT_GNU_HASH
        (5, STR_AT),                // DT_STRTAB
        (6, SYM_AT),                // DT_SYMTAB
        (10, STR_SIZE),             // DT_STRSZ
        (11, 24),                   // DT_SYMENT
        (0x6fff_fffc, VERDEF_AT),   // DT_VERDEF
        (0x6fff_fffd, 2),           // DT_VERDEFNUM
        (0x6fff_fff0, VERSYM_AT),   // DT_VERSYM
        (0, 0),                     // DT_NULL
    ];
    page.seek(DYNAMIC_AT);
    let mut i = 0;
    while i < tags.len() {
        page.quad(tags[i].0);
        page.quad(tags[i].1);
        i += 1;
    }
}

/// Unwinding is simple: nothing is pushed, so the caller's frame is at `rsp + 8` throughout.
const fn put_unwind(page: &mut Page) {
    const FDE_AT: usize = EH_AT + CIE_SIZE;
    page.seek(EH_HDR_AT);
    page.put(&[1, 0x1b, 0x03, 0x3b]);
    page.word(u32_of(EH_AT - (EH_HDR_AT + 4)));
    page.word(1);
    page.word(u32_of(TEXT_AT - EH_HDR_AT));
    page.word(u32_of(FDE_AT - EH_HDR_AT));

    page.seek(EH_AT);
    page.word(u32_of(CIE_SIZE - 4));
    page.word(0);
    // Version 1, "zR", code alignment 1, data alignment -8, return address in column 16, addresses
    // relative to their place; CFA = rsp + 8, return address at CFA - 8.
    page.put(b"\x01zR\0\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01");
    page.seek(FDE_AT);
    page.word(u32_of(FDE_SIZE - 4));
    page.word(u32_of(CIE_SIZE + 4));
    page.word(u32_of(TEXT_AT - (FDE_AT + 8)));
    page.word(u32_of(TEXT_SIZE));
}

const fn put_text(page: &mut Page) {
    page.seek(TEXT_AT);
    page.put(&[0xcc; TEXT_SIZE]);
    let mut i = 0;
    while i < FUNCTIONS.len() {
        if let Code::Call(number) = FUNCTIONS[i].1 {
            page.at = STUBS_AT + i * STUB_STRIDE;
            page.put(&stub(number));
        }
        i += 1;
    }
    page.at = TEXT_AT + TEXT_SIZE;
}

const fn put_sections(page: &mut Page) {
    page.seek(SHSTR_AT);
    page.put(SECTION_NAMES.as_bytes());
    page.seek(SHDR_AT + 64);
    let mut i = 0;
    let mut name = 1;
    while i < SECTIONS.len() {
        let (text, kind, flags, at, size, link, info, to, entry) = SECTIONS[i];
        page.word(u32_of(name));
        name += text.len() + 1;
        page.word(kind);
        page.put(&flags.to_le_bytes());
        page.quad(if flags == 0 { 0 } else { at });
        page.quad(at);
        page.quad(size);
        page.word(link);
        page.word(info);
        page.quad(to);
        page.quad(entry);
        i += 1;
    }
}
