//! Shapes of the arguments of system calls, for traces: one letter for each argument.
//!
//! `d` descriptor, `D` directory descriptor, `s` path or string, `b` buffer that the program fills
//! (its length is the next argument), `p` pointer, `i` signed number, `u` unsigned number, `x`
//! flags in hexadecimal, `o` mode in octal.

/// Number of the call and its shape; calls that are not listed show six hexadecimal numbers.
#[rustfmt::skip]
static SHAPES: &[(u16, &str)] = &[
    (0, "dpu"), (1, "dbu"), (2, "sxo"), (3, "d"), (4, "sp"), (5, "dp"), (6, "sp"), (7, "pui"),
    (8, "dii"), (9, "puxxdu"), (10, "pux"), (11, "pu"), (12, "p"), (13, "ippu"), (14, "ippu"),
    (15, ""), (16, "dxp"), (17, "dpuu"), (18, "dbuu"), (19, "dpu"), (20, "dpu"), (21, "so"),
    (22, "p"), (23, "upppp"), (24, ""), (25, "puuxp"), (26, "pux"), (27, "pup"), (28, "pui"),
    (32, "d"), (33, "dd"), (34, ""), (35, "pp"), (37, "u"), (39, ""), (40, "ddpu"), (41, "iii"),
    (42, "dpu"), (43, "dpp"), (44, "dbuxpu"), (45, "dpuxpp"), (46, "dpx"), (47, "dpx"),
    (48, "di"), (49, "dpu"), (50, "di"), (51, "dpp"), (52, "dpp"), (53, "iiip"), (54, "diipu"),
    (55, "diipp"), (56, "xpppp"), (60, "i"), (61, "ipxp"), (62, "ii"), (63, "p"), (72, "dip"),
    (73, "di"), (74, "d"), (75, "d"), (76, "su"), (77, "du"), (79, "pu"), (80, "s"), (81, "d"),
    (82, "ss"), (83, "so"), (84, "s"), (85, "so"), (86, "ss"), (87, "s"), (88, "ss"),
    (89, "spu"), (90, "so"), (91, "do"), (92, "suu"), (93, "duu"), (95, "o"), (96, "pp"),
    (97, "ip"), (98, "ip"), (99, "p"), (102, ""), (104, ""), (107, ""), (108, ""), (110, ""),
    (111, ""), (131, "pp"), (137, "sp"), (138, "dp"), (157, "iuuuu"), (158, "xp"), (160, "ip"),
    (186, ""), (201, "p"), (202, "pxuppu"), (204, "iup"), (213, "i"), (217, "dpu"), (218, "p"),
    (221, "duui"), (228, "ip"), (229, "ip"), (230, "ixpp"), (231, "i"), (232, "dpii"),
    (233, "diip"), (234, "iii"), (257, "Dsxo"), (258, "Dso"), (262, "Dspx"), (263, "Dsx"),
    (264, "DsDs"), (265, "DsDsx"), (266, "sDs"), (267, "Dspu"), (268, "Dso"), (269, "Dso"),
    (270, "uppppp"), (271, "puppu"), (273, "pu"), (280, "Dspx"), (281, "dpiipu"), (283, "ix"),
    (285, "dxuu"), (286, "dxpp"), (288, "dppx"), (290, "ux"), (291, "x"), (292, "ddx"),
    (293, "px"), (295, "dpuu"), (296, "dpuu"), (302, "iipp"), (316, "DsDsx"), (318, "pux"),
    (319, "sx"), (326, "dpdpux"), (332, "Dsxxp"), (334, "puxu"), (435, "pu"), (439, "Dsox"),
];

/// The shape of a call's arguments, if it is known.
#[must_use]
pub fn shape(number: u64) -> Option<&'static str> {
    let at = SHAPES.binary_search_by_key(&number, |(number, _)| (*number).into()).ok()?;
    SHAPES.get(at).map(|(_, shape)| *shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_sorted_and_short() {
        assert!(SHAPES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(SHAPES.iter().all(|(_, shape)| shape.len() <= 6));
        assert_eq!(shape(257), Some("Dsxo"));
        assert_eq!(shape(511), None);
    }
}
