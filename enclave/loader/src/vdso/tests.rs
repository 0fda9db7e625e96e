use object::elf::VersionIndex;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{LittleEndian as LE, Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::*;

fn file() -> ElfFile64<'static, LE> {
    ElfFile64::parse(&VDSO[..]).unwrap()
}

#[test]
fn every_function_is_exported_with_its_alias() {
    let file = file();
    for (name, code) in FUNCTIONS {
        for name in [name, name.strip_prefix("__vdso_").unwrap()] {
            let symbol = file.dynamic_symbols().find(|symbol| symbol.name() == Ok(name)).unwrap();
            assert_eq!(symbol.kind(), SymbolKind::Text, "{name}");
            assert!(symbol.is_global(), "{name}");
            let at = usize::try_from(symbol.address()).unwrap();
            match code {
                Code::Call(number) => {
                    assert_eq!(&VDSO[at..at + STUB_SIZE], stub(number), "{name}");
                    assert_eq!(VDSO[at + 12 + 8], 0xc3, "rcx must point to ret");
                }
                Code::Clock(from, _) => assert_eq!(at, CLOCK_CODE_AT + from, "{name}"),
            }
        }
    }
    assert_eq!(
        file.dynamic_symbols().filter(|symbol| symbol.kind() == SymbolKind::Text).count(),
        10
    );
}

#[test]
fn names_are_hashed_and_versioned() {
    let header = *file().elf_header();
    let sections = header.sections(LE, &VDSO[..]).unwrap();
    let symbols = sections.symbols(LE, &VDSO[..], object::elf::SHT_DYNSYM).unwrap();
    let versions = sections.versions(LE, &VDSO[..]).unwrap().unwrap();
    let (hash, _) = sections.hash(LE, &VDSO[..]).unwrap().unwrap();
    let (gnu_hash, _) = sections.gnu_hash(LE, &VDSO[..]).unwrap().unwrap();
    let wanted = object::elf::hash(VERSION.as_bytes());
    assert_eq!(wanted, 0x3ae_75f6, "the value that Go looks for");
    for name in FUNCTIONS.iter().map(|(name, _)| name.as_bytes()).chain([&b"time"[..], b"getcpu"]) {
        let version = versions.version(VersionIndex(2)).unwrap().unwrap();
        assert_eq!(version.hash(), wanted);
        assert_eq!(version.name(), VERSION.as_bytes());
        let hashed = object::elf::hash(name);
        let found = hash.find(LE, name, hashed, Some(version), &symbols, &versions).unwrap();
        let gnu_hashed = object::elf::gnu_hash(name);
        let gnu = gnu_hash.find(LE, name, gnu_hashed, Some(version), &symbols, &versions).unwrap();
        assert_eq!(found.0, gnu.0);
        assert_eq!(symbols.symbol_name(LE, found.1).unwrap(), name);
        assert_ne!(found.1.st_shndx(LE), object::elf::SHN_UNDEF);
    }
}

#[test]
fn the_code_that_tells_the_time_has_room_in_the_text() {
    let file = file();
    let text = file.section_by_name(".text").unwrap();
    let (start, size) = (usize::try_from(text.address()), usize::try_from(text.size()));
    let (start, size) = (start.unwrap(), size.unwrap());
    assert!(start <= CLOCK_CODE_AT && CLOCK_CODE_AT + CLOCK_CODE_SIZE <= start + size);
    assert!(VDSO[CLOCK_CODE_AT..CLOCK_CODE_AT + CLOCK_CODE_SIZE].iter().all(|&byte| byte == 0xcc));
}

#[test]
fn headers_agree_with_sections() {
    let header = *file().elf_header();
    let sections = header.sections(LE, &VDSO[..]).unwrap();
    let segments = header.program_headers(LE, &VDSO[..]).unwrap();
    assert_eq!(segments.len(), 4);
    let dynamic = segments[1].dynamic(LE, &VDSO[..]).unwrap().unwrap();
    assert_eq!(dynamic.last().unwrap().d_tag.get(LE), object::elf::DT_NULL);
    for (index, section) in sections.enumerate() {
        let name = sections.section_name(LE, section).unwrap();
        if index.0 != 0 {
            assert!(name.starts_with(b"."), "{name:?}");
        }
        let end = section.sh_offset(LE) + section.sh_size(LE);
        assert!(end <= VDSO.len() as u64);
    }
    let names: Vec<_> =
        file().sections().map(|section| section.name().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 11);
    assert_eq!(names.last().unwrap(), ".shstrtab");
}
