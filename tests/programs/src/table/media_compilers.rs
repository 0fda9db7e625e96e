//! ImageMagick and a compiler's own passes.

use crate::case::{Case, case};

/// Where Debian 12 keeps gcc's compiler proper.
const CC1: &str = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1";

pub(super) fn cases() -> Vec<Case> {
    let convert = |name: &str, args: &[&str]| {
        let mut argv = vec!["/usr/bin/convert"];
        argv.extend(args);
        case(name, &argv).package("imagemagick").limit(120)
    };
    vec![
        convert(
            "imagemagick-png",
            &[
                "{fix}/image.ppm",
                "-resize",
                "500x400",
                "-strip",
                "-define",
                "png:exclude-chunks=date,time",
                "out.png",
            ],
        ),
        convert(
            "imagemagick-blur",
            &["{fix}/image.ppm", "-blur", "0x3", "-rotate", "30", "-colorspace", "Gray", "out.ppm"],
        ),
        convert("imagemagick-jpeg", &["{fix}/image.ppm", "-quality", "80", "-strip", "out.jpg"]),
        case("cc1", &[CC1, "-quiet", "-O1", "{fix}/big.c", "-o", "out.s"])
            .package("gcc")
            .limit(240)
            .full(),
        case("cc1-unoptimised", &[CC1, "-quiet", "-O0", "{fix}/big.c", "-o", "out.s"])
            .package("gcc")
            .limit(120),
        case("cpp", &[CC1, "-E", "-quiet", "-imultiarch", "x86_64-linux-gnu", "{src}/c/mixed.c"])
            .package("gcc"),
        case("as", &["/usr/bin/as", "{src}/c/small.s", "-o", "out.o"]).package("binutils"),
        case(
            "ld",
            &[
                "/usr/bin/ld",
                "-r",
                "-o",
                "out.o",
                "/usr/lib/x86_64-linux-gnu/crt1.o",
                "/usr/lib/x86_64-linux-gnu/crti.o",
            ],
        )
        .package("binutils"),
    ]
}
