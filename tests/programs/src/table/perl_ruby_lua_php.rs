//! Perl, Ruby, Lua and PHP.

use crate::case::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("perl-hello", &["/usr/bin/perl", "-e", "print qq(hello\\n)"]).package("perl"),
        case(
            "perl-words",
            &[
                "/usr/bin/perl",
                "-ne",
                r#"$n{$_}++ for split; END { print "$_ $n{$_}\n" for sort { $n{$b} <=> $n{$a} || $a cmp $b } keys %n }"#,
                "{fix}/words.txt",
            ],
        ),
        case("perl-modules", &["/usr/bin/perl", "{src}/modules.pl"]),
        case("ruby-hello", &["/usr/bin/ruby", "-e", "puts 'hello'"]).package("ruby"),
        case("ruby-threads", &["/usr/bin/ruby", "{src}/threads.rb"]).limit(120),
        case("lua", &["/usr/bin/lua5.4", "{src}/work.lua"]).package("lua5.4"),
        case("php-hello", &["/usr/bin/php", "-r", "echo 'hello', PHP_EOL;"]).package("php-cli"),
        case("php-work", &["/usr/bin/php", "{src}/work.php", "{fix}/words.txt"]),
    ]
}
