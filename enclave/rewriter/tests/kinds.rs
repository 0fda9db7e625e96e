//! Each way to rewrite a site, and each reason not to.

mod invariants;

use enclave_rewriter::{AddressMap, Area, Code, Kind, Left, Rewritten, rewrite, scan};

/// Address of the pieces of a program.
const ADDR: u64 = 0x40_0000;
/// Code before them, so that there is something to agree on.
const BEFORE: [u8; 48] = [0x50; 48];
const AREA: Area = Area { addr: 0x50_0000, size: 1 << 16 };
const MOV_EAX: &[u8] = &[0xb8, 1, 0, 0, 0];
const SYSCALL: &[u8] = &[0x0f, 0x05];
const CMP_RAX: &[u8] = &[0x48, 0x3d, 1, 0xf0, 0xff, 0xff];
const NOP5: &[u8] = &[0x0f, 0x1f, 0x44, 0, 0];
const RET: &[u8] = &[0xc3];
const PUSH: &[u8] = &[0x57];

fn program(pieces: &[&[u8]]) -> Vec<u8> {
    [&BEFORE[..], &pieces.concat()].concat()
}

fn code(bytes: &[u8]) -> Code<'_> {
    Code { bytes, addr: ADDR - BEFORE.len() as u64 }
}

/// Rewrites and checks a program put together from pieces.
fn run(pieces: &[&[u8]]) -> (Rewritten, AddressMap) {
    let bytes = program(pieces);
    let code = code(&bytes);
    let sites = scan(&code);
    let out = rewrite(&code, &sites, AREA);
    invariants::check(&code, AREA, &out);
    let mut map = AddressMap::new();
    map.add(out.moved.clone());
    (out, map)
}

fn outcome(pieces: &[&[u8]]) -> Vec<(u64, Result<Kind, Left>)> {
    run(pieces).0.sites.into_iter().map(|(addr, result)| (addr - ADDR, result)).collect()
}

#[test]
fn following_instructions_are_displaced() {
    let (out, mut map) = run(&[MOV_EAX, SYSCALL, CMP_RAX, RET]);
    assert_eq!(out.sites, [(ADDR + 5, Ok(Kind::Following))]);
    // The third byte, where the comparison was, is an undefined opcode.
    let start = AREA.addr + 0x620;
    assert_eq!(out.patches[0].bytes(), [0xe9, 0x16, 0x06, 0x10, 0, 0xcc, 0xcc, 0xcc]);
    assert_eq!(map.inside(ADDR + 7).map(|inside| inside.now), Some(start + 15));
    assert_eq!(map.inside(ADDR + 5), None, "the jump itself can be executed");
    assert_eq!(map.original(start + 15), Some(ADDR + 7));
    assert_eq!(map.original(start + 3), Some(ADDR + 5));
    assert_eq!(map.original(start - 1), None);
    assert_eq!(map.original(AREA.addr + out.trampolines.len() as u64), None);
}

#[test]
fn operands_and_branches_are_relocated() {
    let load = [0x48, 0x8b, 0x15, 0x10, 0, 0, 0]; // mov rdx, [rip + 0x10]
    assert_eq!(outcome(&[MOV_EAX, SYSCALL, &load, RET]), [(5, Ok(Kind::Following))]);
    let test = [0x85, 0xc0, 0x78, 0x20]; // test eax, eax; js
    assert_eq!(outcome(&[MOV_EAX, PUSH, SYSCALL, &test, RET]), [(6, Ok(Kind::Following))]);
    let jump = [&[0xeb, 0x20][..], &[0x90; 8]].concat(); // and padding
    assert_eq!(outcome(&[MOV_EAX, PUSH, SYSCALL, &jump]), [(6, Ok(Kind::Following))]);
}

#[test]
fn preceding_instructions_are_displaced_when_the_following_must_stay() {
    let call = [0xe8, 0, 1, 0, 0];
    assert_eq!(outcome(&[MOV_EAX, SYSCALL, &call, RET]), [(5, Ok(Kind::Preceding))]);
    let wide = [0x48, 0xc7, 0xc0, 1, 0, 0, 0];
    assert_eq!(outcome(&[&wide, SYSCALL, &call, RET]), [(7, Ok(Kind::Preceding))]);
    let back = [0x75, 0xf8]; // jne to the instruction behind the syscall
    let (out, mut map) = run(&[MOV_EAX, SYSCALL, CMP_RAX, &back, RET]);
    assert_eq!(out.sites, [(ADDR + 5, Ok(Kind::Preceding))]);
    let inside = map.inside(ADDR + 5).expect("a thread may come here");
    assert_eq!(map.original(inside.now), Some(ADDR + 5));
    let jump = out.patches[0].bytes().first_chunk().expect("a jump");
    assert!(inside.is_there(jump) && !inside.is_there(&[0xcc; 5]));
}

#[test]
fn registers_set_before_a_site_are_displaced_by_consensus() {
    let mov_r10 = [0x49, 0x89, 0xca];
    let call = [0xe8, 0, 1, 0, 0];
    assert_eq!(outcome(&[MOV_EAX, &mov_r10, SYSCALL, &call, RET]), [(8, Ok(Kind::Preceding))]);
    // The number's bytes can end another instruction.
    let others: [&[u8]; 2] = [
        &[0x41, 0xb8, 1, 0, 0, 0],             // mov r8d, 1
        &[0xc7, 0x44, 0x24, 0xb8, 1, 0, 0, 0], // mov dword ptr [rsp - 0x48], 1
    ];
    for other in others {
        let (out, _) = run(&[MOV_EAX, other, SYSCALL, &call, RET]);
        assert_eq!(out.sites[0].1, Ok(Kind::Preceding));
        assert_eq!(out.patches[0].addr, ADDR + 5);
    }
}

#[test]
fn a_short_jump_reaches_padding() {
    let back = [0x75, 0xf6]; // jne to the syscall
    let pieces = [MOV_EAX, SYSCALL, CMP_RAX, &back, RET, NOP5];
    assert_eq!(outcome(&pieces), [(5, Ok(Kind::Following))], "it may be a target itself");
    let call = [0xe8, 0, 1, 0, 0];
    let back = [0x75, 0xf7];
    let (out, mut map) = run(&[MOV_EAX, SYSCALL, &call, &back, RET, NOP5, NOP5]);
    assert_eq!(out.sites, [(ADDR + 5, Ok(Kind::Cave))]);
    assert_eq!(out.patches.len(), 2);
    assert_eq!(map.original(ADDR + 15), Some(ADDR + 5));
    let before = [&[0x50; 40][..], RET, &[0xcc; 5], &[0x90; 32]].concat();
    let pieces = [&before, MOV_EAX, SYSCALL, &call, &back, RET, RET, RET, RET, RET, RET, RET];
    assert_eq!(outcome(&pieces), [(83, Ok(Kind::Cave))]);
}

#[test]
fn two_sites_never_share_padding() {
    let call = [0xe8, 0, 1, 0, 0];
    let site = [MOV_EAX, SYSCALL, &call, &[0x75, 0xf7]].concat();
    let two = outcome(&[&site, &site, RET, NOP5]);
    assert_eq!(two, [(5, Ok(Kind::Cave)), (19, Err(Left::NoPlace))]);
    let both = outcome(&[&site, &site, RET, NOP5, NOP5]);
    assert_eq!(both, [(5, Ok(Kind::Cave)), (19, Ok(Kind::Cave))]);
}

#[test]
fn without_any_place_it_goes_on_trapping() {
    let call = [0xe8, 0, 1, 0, 0];
    let back = [0x75, 0xf7];
    assert_eq!(outcome(&[MOV_EAX, SYSCALL, &call, &back, RET]), [(5, Err(Left::NoPlace))]);
}

#[test]
fn the_next_function_is_not_displaced() {
    // A call that never returns, at the end of its function.
    let exit = [&[0x90; 9], MOV_EAX, SYSCALL, &[0x55, 0x48, 0x89, 0xe5], RET];
    assert_eq!(outcome(&exit), [(14, Ok(Kind::Preceding))]);
    let marked = [MOV_EAX, SYSCALL, &[0xf3, 0x0f, 0x1e, 0xfa], RET];
    assert_eq!(outcome(&marked), [(5, Ok(Kind::Preceding))]);
    let padded = [MOV_EAX, PUSH, SYSCALL, RET, &[0xcc; 8]];
    assert_eq!(outcome(&padded), [(6, Ok(Kind::Following))]);
    let unpadded = [MOV_EAX, PUSH, SYSCALL, RET, PUSH, PUSH, RET];
    assert_eq!(outcome(&unpadded), [(6, Ok(Kind::Preceding))]);
}

/// Nor is what may be its first instruction, without effect, taken for padding.
#[test]
fn a_function_may_begin_with_a_nop() {
    // The site's function ends at a multiple of 16.
    let before: [&[u8]; 4] = [&[0x90; 7], MOV_EAX, PUSH, SYSCALL];
    let kind = |behind: &[&[u8]]| outcome(&[&before[..], behind].concat())[0].1;
    assert_ne!(kind(&[RET, NOP5, NOP5, RET]), Ok(Kind::Following));
    assert_eq!(kind(&[RET, &[0xcc; 8]]), Ok(Kind::Following));
}

#[test]
fn a_lock_prefix_may_be_jumped_over() {
    let add = [0xf0, 0x01, 0x07]; // lock add dword ptr [rdi], eax
    let jump = [0xeb, 0xfc]; // to behind the prefix
    let code = [MOV_EAX, SYSCALL, &add, &jump, RET];
    assert_eq!(outcome(&code), [(5, Ok(Kind::Preceding))]);
}

#[test]
fn returns_from_signals_stay_as_they_are() {
    let wide = [0x48, 0xc7, 0xc0, 15, 0, 0, 0];
    assert_eq!(outcome(&[&wide, SYSCALL, CMP_RAX]), [(7, Err(Left::SignalReturn))]);
    let short = [0xb8, 15, 0, 0, 0];
    assert_eq!(outcome(&[&short, SYSCALL, CMP_RAX]), [(5, Err(Left::SignalReturn))]);
}

#[test]
fn data_and_other_instructions_are_no_sites() {
    let others: [&[u8]; 6] = [
        &[0x48, 0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x05], // movabs rax, imm64
        &[0xb8, 0x0f, 0x05, 0, 0],                         // mov eax, 0x50f
        &[0x48, 0x8d, 0x05, 0, 0, 0x0f, 0x05],             // lea rax, [rip + ...]
        &[0xff, 0xff, 0x0f, 0x05, 0xff, 0xff],
        b"some text and 0x0f\x0f\x05 more of it",
        &[0, 0, 0, 0, 0x0f, 0x05],
    ];
    for bytes in others {
        assert_eq!(outcome(&[&[0x90; 48], bytes, &[0; 16]]), [], "{bytes:x?}");
    }
    let tables: [fn(u32) -> u32; 4] = [
        |i| i.wrapping_mul(0x9e37_79b1).rotate_left(i % 32), // noise
        |i| i + 0xb8,                                        // small numbers
        |i| 0xa8ce_a8cd + i * 0x0002_0002,                   // pairs
        |i| 0x2041_2041 + (i % 26),                          // text
    ];
    for table in tables {
        let mut bytes: Vec<u8> = (0..5000).flat_map(|i| table(i).to_le_bytes()).collect();
        for at in (0..bytes.len()).step_by(97) {
            bytes[at..].iter_mut().zip(SYSCALL).for_each(|(byte, &new)| *byte = new);
        }
        assert_eq!(outcome(&[&bytes]), []);
    }
}

/// A jump to what stands so many bytes before its end.
fn back(distance: i32) -> Vec<u8> {
    [&[0xe9][..], &(-distance).to_le_bytes()].concat()
}

#[test]
fn jumps_into_patches_are_guarded_and_avoided_when_near() {
    let cases = [(500, 511, Kind::Preceding), (2000, 2011, Kind::Following)];
    for (nops, distance, kind) in cases {
        // To the comparison, of six bytes.
        let jump = back(distance);
        let (out, _) = run(&[MOV_EAX, SYSCALL, CMP_RAX, &vec![0x90; nops], &jump, RET]);
        assert_eq!(out.sites, [(ADDR + 5, Ok(kind))]);
    }
    // Two instructions are displaced, and the second one, which nothing guards, is entered.
    let moves = [0x89, 0xc3, 0x89, 0xc1]; // mov ebx, eax; mov ecx, eax
    let call = [0xe8, 0, 1, 0, 0];
    let lea = [0x48, 0x8d, 0x7c, 0x24, 0x08]; // lea rdi, [rsp + 8]
    let site = [&lea, MOV_EAX, PUSH, SYSCALL, &moves, &call].concat();
    let cases = [(2000, 2012, Kind::Preceding), (40_000, 40_012, Kind::Following)];
    for (nops, distance, kind) in cases {
        let (out, _) = run(&[&site, &vec![0x90; nops], &back(distance), RET]);
        assert_eq!(out.sites, [(ADDR + 11, Ok(kind))], "{distance}");
    }
}

#[test]
fn code_that_goes_away_is_forgotten() {
    let call = [0xe8, 0, 1, 0, 0];
    let (out, mut map) = run(&[MOV_EAX, SYSCALL, CMP_RAX, &call, MOV_EAX, SYSCALL, &call, RET]);
    assert_eq!((out.stats.following, out.stats.preceding), (1, 1));
    assert!(map.inside(ADDR + 7).is_some() && map.inside(ADDR + 23).is_some());
    map.remove(ADDR..ADDR + 12);
    assert!(map.inside(ADDR + 7).is_none() && map.inside(ADDR + 23).is_some());
}

#[test]
fn an_area_out_of_reach_or_full_is_refused() {
    let bytes = program(&[MOV_EAX, SYSCALL, CMP_RAX]);
    let sites = scan(&code(&bytes));
    let result = |area| rewrite(&code(&bytes), &sites, area).sites[0].1;
    assert_eq!(result(Area { addr: ADDR + (1 << 32), ..AREA }), Err(Left::OutOfReach));
    assert_eq!(result(Area { size: 31, ..AREA }), Err(Left::NoRoom));
    assert_eq!(
        result(Area { size: 32, ..AREA }),
        Ok(Kind::Preceding),
        "guarded by what follows it"
    );
}
