    .globl f
f:
    lea 1(%rdi), %rax
    ret
