//! Just enough of an assembler for the enclaves of the suite.

/// General registers, by their encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "registers")]
pub enum Reg {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

/// How ENCLU is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// With the thirteen nops that let an emulator patch it.
    Roomy,
    /// Alone.
    Bare,
}

/// Machine code in the making.
#[derive(Clone, Default)]
pub struct Code(Vec<u8>);

impl Code {
    /// No code.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Other code.
    #[must_use]
    pub fn then(self, code: &Self) -> Self {
        self.raw(&code.0)
    }

    /// `mov reg, value`.
    #[must_use]
    pub fn set(mut self, reg: Reg, value: u64) -> Self {
        let reg = reg as u8;
        self.0.extend([0x48 | reg >> 3, 0xb8 | reg & 7]);
        self.raw(&value.to_le_bytes())
    }

    /// `mov to, from`.
    #[must_use]
    pub fn copy(self, to: Reg, from: Reg) -> Self {
        let (to, from) = (to as u8, from as u8);
        self.raw(&[0x48 | (from >> 3) << 2 | to >> 3, 0x89, 0xc0 | (from & 7) << 3 | to & 7])
    }

    /// An instruction with a register and the absolute memory operand `address` (below 2 GiB).
    #[must_use]
    pub fn absolute(mut self, prefix: &[u8], opcode: &[u8], reg: u8, address: u32) -> Self {
        self.0.extend(prefix);
        self.0.push(0x48 | (reg >> 3) << 2);
        self.0.extend(opcode);
        self.0.extend([0x04 | (reg & 7) << 3, 0x25]);
        self.raw(&address.to_le_bytes())
    }

    /// `mov reg, [address]`.
    #[must_use]
    pub fn load(self, reg: Reg, address: u32) -> Self {
        self.absolute(&[], &[0x8b], reg as u8, address)
    }

    /// `mov [address], reg`.
    #[must_use]
    pub fn store(self, address: u32, reg: Reg) -> Self {
        self.absolute(&[], &[0x89], reg as u8, address)
    }

    /// `mov to, [base]`; `base` is one of RAX, RCX, RDX, RBX, RSI, RDI.
    #[must_use]
    pub fn load_at(self, to: Reg, base: Reg) -> Self {
        let to = to as u8;
        self.raw(&[0x48 | (to >> 3) << 2, 0x8b, (to & 7) << 3 | base as u8])
    }

    /// `mov [base], from`; `base` as for [`Code::load_at`].
    #[must_use]
    pub fn store_at(self, base: Reg, from: Reg) -> Self {
        let from = from as u8;
        self.raw(&[0x48 | (from >> 3) << 2, 0x89, (from & 7) << 3 | base as u8])
    }

    /// `add reg, value`.
    #[must_use]
    pub fn add(self, reg: Reg, value: i32) -> Self {
        let reg = reg as u8;
        self.raw(&[0x48 | reg >> 3, 0x81, 0xc0 | reg & 7]).raw(&value.to_le_bytes())
    }

    /// `cmp reg, value`.
    #[must_use]
    pub fn compare(self, reg: Reg, value: i32) -> Self {
        let reg = reg as u8;
        self.raw(&[0x48 | reg >> 3, 0x81, 0xf8 | reg & 7]).raw(&value.to_le_bytes())
    }

    /// `body` only if the last comparison found both equal.
    #[must_use]
    pub fn if_equal(self, body: &Self) -> Self {
        let skip = i32::try_from(body.0.len()).expect("short code");
        self.raw(&[0x0f, 0x85]).raw(&skip.to_le_bytes()).then(body)
    }

    /// `body` again and again.
    #[must_use]
    pub fn forever(self, body: &Self) -> Self {
        let back = -i32::try_from(body.0.len() + 5).expect("short code");
        self.then(body).raw(&[0xe9]).raw(&back.to_le_bytes())
    }

    /// `pushfq; pop reg`; the stack must be usable.
    #[must_use]
    pub fn flags(self, reg: Reg) -> Self {
        let reg = reg as u8;
        self.raw(&[0x9c, 0x41, 0x58 | reg & 7])
    }

    /// ENCLU with this leaf number.
    #[must_use]
    pub fn enclu(self, leaf: u32, form: Form) -> Self {
        let code = self.raw(&[0xb8]).raw(&leaf.to_le_bytes()).raw(&[0x0f, 0x01, 0xd7]);
        match form {
            Form::Roomy => code.raw(&[0x90; 13]),
            Form::Bare => code,
        }
    }
}
