//! Sizes of memory, and whether the machine has that much.

use std::fs::read_to_string;

use crate::Failure;

/// Parses bytes with an optional suffix K, M, G or T (powers of 1024).
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size such as 512M or 4G");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    if bytes == 0 {
        return Err("a program cannot run without memory".to_owned());
    }
    Ok(bytes)
}

/// The limit to run with, which must not be more than the machine has.
pub(super) fn check(wanted: Option<u64>) -> Result<u64, Failure> {
    let Some(wanted) = wanted else { return Ok(u64::MAX) };
    match memory() {
        Some(total) if wanted > total => {
            let what = format!("--heap: {} MiB, the machine has {}", wanted >> 20, total >> 20);
            Err(Failure::new(what, "give less").with_status(Failure::USAGE))
        }
        _ => Ok(wanted),
    }
}

/// Bytes of memory and swap of the machine.
fn memory() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    let field = |name| text.lines().find_map(|l| l.strip_prefix(name));
    let kilobytes = |rest: &str| rest.split_whitespace().next()?.parse::<u64>().ok();
    let total = field("MemTotal:").and_then(kilobytes)?;
    let swap = field("SwapTotal:").and_then(kilobytes).unwrap_or(0);
    (total + swap).checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::{check, parse};

    #[test]
    fn sizes() {
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("512M"), Ok(512 << 20));
        assert_eq!(parse("2g"), Ok(2 << 30));
        assert_eq!(parse("1TiB"), Ok(1 << 40));
        for wrong in ["", "M", "1.5G", "-1", "12 M", "9X", "0", "0K", "99999999999T"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn more_than_the_machine_has_is_refused() {
        assert_eq!(check(Some(4096)).expect("little"), 4096);
        assert_eq!(check(None).expect("no limit"), u64::MAX);
        assert_eq!(check(Some(1 << 60)).expect_err("too much").status, 2);
    }
}
