//! OpenJDK 17.

use crate::case::{Case, Tool, case};

const JAVA: &str = "/usr/bin/java";

pub(super) fn cases() -> Vec<Case> {
    let program = |name: &str, options: &[&str], class: &str| {
        let mut argv = vec![JAVA, "-cp"];
        let classes = format!("{{bin}}/{class}.classes");
        argv.push(&classes);
        argv.extend(options);
        argv.push(class);
        case(name, &argv)
            .package("openjdk-17-jre-headless")
            .build(Tool::Javac, &format!("java/{class}.java"), &format!("{class}.classes"))
            .limit(180)
    };
    vec![
        program("hello", &["-Xshare:auto"], "Hello"),
        program("hello-interpreted", &["-Xint"], "Hello"),
        program("threads-and-garbage", &["-Xmx512m", "-XX:+UseG1GC"], "Garbage").full(),
        program("threads-serial-gc", &["-Xmx256m", "-XX:+UseSerialGC"], "Garbage"),
        program("http-server", &["-Xmx256m"], "Http"),
        program("exceptions", &["-Xmx128m"], "Faults").status(5),
        case("version", &[JAVA, "-version"]).package("openjdk-17-jre-headless").with_stderr(),
    ]
}
