//! Random programs keep their meaning; random bytes do no harm.

mod invariants;

use enclave_rewriter::{AddressMap, Area, Code, Rewritten, rewrite, scan};
use proptest::prelude::*;

const ADDR: u64 = 0x40_0000;
const AREA: Area = Area { addr: 0x48_0000, size: 1 << 16 };

/// One instruction of a random program.
#[derive(Clone, Debug)]
enum Item {
    Plain(&'static [u8]),
    Syscall,
    /// A jump (its opcode) to an instruction, by index modulo their number.
    Jump(&'static [u8], usize),
}

fn item() -> impl Strategy<Value = Item> {
    let plain: Vec<&'static [u8]> = vec![
        &[0xb8, 39, 0, 0, 0],                           // mov eax, 39
        &[0x48, 0xc7, 0xc0, 1, 0, 0, 0],                // mov rax, 1
        &[0x41, 0xb8, 1, 0, 0, 0],                      // mov r8d, 1
        &[0xc7, 0x44, 0x24, 0xb8, 1, 0, 0, 0],          // mov dword ptr [rsp - 0x48], 1
        &[0x31, 0xc0],                                  // xor eax, eax
        &[0x49, 0x89, 0xca],                            // mov r10, rcx
        &[0x48, 0x3d, 1, 0xf0, 0xff, 0xff],             // cmp rax, -4095
        &[0x48, 0x8b, 0x05, 0x44, 0x33, 0x22, 0],       // mov rax, [rip + ...]
        &[0x83, 0x3d, 0x10, 0, 0, 0, 5],                // cmp dword ptr [rip + 16], 5
        &[0x0f, 0x1f, 0x44, 0, 0],                      // nop
        &[0x85, 0xc0],                                  // test eax, eax
        &[0xf0, 0xff, 0x07],                            // lock inc dword ptr [rdi]
        &[0x55],                                        // push rbp
        &[0xc3],                                        // ret
        &[0xcc],                                        // int3
        &[0x0f, 0x0b],                                  // ud2
        &[0xff, 0xe1],                                  // jmp rcx
        &[0xe8, 0x10, 0, 0, 0],                         // call
        &[0xf3, 0x0f, 0x1e, 0xfa],                      // endbr64
        &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], // nop
        &[0x48, 0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0, 0],    // movabs rax, ...
    ];
    let jumps: Vec<&'static [u8]> =
        vec![&[0xeb], &[0x74], &[0x78], &[0xe3], &[0xe9], &[0x0f, 0x87]];
    prop_oneof![
        6 => prop::sample::select(plain).prop_map(Item::Plain),
        2 => Just(Item::Syscall),
        2 => (prop::sample::select(jumps), any::<usize>()).prop_map(|(op, to)| Item::Jump(op, to)),
    ]
}

struct Program {
    bytes: Vec<u8>,
    /// Where instructions begin, and the end.
    boundaries: Vec<u64>,
    targets: Vec<u64>,
    syscalls: Vec<u64>,
}

impl Program {
    /// Overwriting a range with a jump at its begin is right in a true reading of the program.
    fn allows(&self, start: u64, end: u64) -> bool {
        let at_boundary = |addr: u64| self.boundaries.contains(&addr);
        let entered = self.targets.iter().any(|&to| start < to && to < end);
        at_boundary(start) && at_boundary(end) && !entered
    }
}

impl Item {
    fn len(&self) -> usize {
        match self {
            Self::Plain(bytes) => bytes.len(),
            Self::Syscall => 2,
            Self::Jump(opcode, _) => opcode.len() + displacement_len(opcode),
        }
    }
}

fn displacement_len(opcode: &[u8]) -> usize {
    if matches!(opcode, [0xe9] | [0x0f, _]) { 4 } else { 1 }
}

fn assemble(items: &[Item]) -> Program {
    let mut starts = vec![0usize];
    for item in items {
        starts.push(starts[starts.len() - 1] + item.len());
    }
    let mut program = Program {
        bytes: Vec::new(),
        boundaries: starts.iter().map(|&start| ADDR + start as u64).collect(),
        targets: Vec::new(),
        syscalls: Vec::new(),
    };
    for (index, item) in items.iter().enumerate() {
        match item {
            Item::Plain(bytes) => program.bytes.extend_from_slice(bytes),
            Item::Syscall => {
                program.syscalls.push(program.boundaries[index]);
                program.bytes.extend([0x0f, 0x05]);
            }
            Item::Jump(opcode, to) => {
                let next = program.boundaries[index + 1];
                let wanted = program.boundaries[to % items.len()].wrapping_sub(next).cast_signed();
                let short = displacement_len(opcode) == 1;
                let distance =
                    if short { i64::from(i8::try_from(wanted).unwrap_or(0)) } else { wanted };
                program.targets.push(next.wrapping_add_signed(distance));
                program.bytes.extend_from_slice(opcode);
                program.bytes.extend(&distance.to_le_bytes()[..displacement_len(opcode)]);
            }
        }
    }
    program
}

/// What a true reading of the program demands, beside the invariants.
fn check_program(program: &Program, code: &Code<'_>, out: &Rewritten) {
    invariants::check(code, AREA, out);
    for patch in &out.patches {
        assert!(program.allows(patch.addr, patch.end()), "{patch:x?}");
    }
    for (site, _) in &out.sites {
        assert!(program.syscalls.contains(site), "{site:#x} is no system call");
    }
    let mut map = AddressMap::new();
    map.add(out.moved.clone());
    for &boundary in &program.boundaries {
        let inside = out.patches.iter().any(|p| p.addr < boundary && boundary < p.end());
        // Padding behind the end of the flow is overwritten, and never executed.
        let moved = map.inside(boundary).map(|inside| inside.now);
        assert!(moved.is_none() || inside);
        assert!(moved.is_none_or(|now| map.original(now) == Some(boundary)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_keep_their_boundaries(items in prop::collection::vec(item(), 1..60)) {
        let program = assemble(&items);
        let code = Code { bytes: &program.bytes, addr: ADDR };
        let sites = scan(&code);
        let out = rewrite(&code, &sites, AREA);
        prop_assert_eq!(out.sites.len(), sites.len());
        check_program(&program, &code, &out);
    }

    #[test]
    fn random_bytes_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..600),
                               sites in prop::collection::vec(0usize..600, 0..8)) {
        for &site in &sites {
            if let Some(pair) = bytes.get_mut(site..site + 2) {
                pair.copy_from_slice(&[0x0f, 0x05]);
            }
        }
        let code = Code { bytes: &bytes, addr: ADDR };
        invariants::check(&code, AREA, &rewrite(&code, &scan(&code), AREA));
    }
}
