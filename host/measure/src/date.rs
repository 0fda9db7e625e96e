//! Build dates, as SIGSTRUCT has them.

/// A day of the proleptic Gregorian calendar, years 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day `day` (from 1) of month `month` (from 1) of `year`, if there is such a day.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let known = (1970..=9999).contains(&year) && (1..=12).contains(&month);
        (known && (1..=days_of_month(year, month)).contains(&day)).then_some(Self {
            year,
            month,
            day,
        })
    }

    /// The day (UTC) of a number of seconds since 1970, such as `SOURCE_DATE_EPOCH`; `None` after
    /// the year 9999.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Option<Self> {
        let mut days = seconds / 86_400;
        let mut year = 1970;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
            if year > 9999 {
                return None;
            }
        }
        let mut month = 1;
        while days >= u64::from(days_of_month(year, month)) {
            days -= u64::from(days_of_month(year, month));
            month += 1;
        }
        Self::new(year, month, u8::try_from(days + 1).ok()?)
    }

    /// Binary-coded decimal `0xyyyymmdd`.
    #[must_use]
    pub fn bcd(self) -> u32 {
        let decimal =
            u32::from(self.year) * 10_000 + u32::from(self.month) * 100 + u32::from(self.day);
        (0..8).fold(0, |bcd, digit| bcd | (decimal / 10_u32.pow(digit) % 10) << (4 * digit))
    }

    /// The day of a SIGSTRUCT's date field, if it is one.
    #[must_use]
    pub fn from_bcd(bcd: u32) -> Option<Self> {
        let mut decimal = 0;
        for digit in (0..8).rev() {
            let value = (bcd >> (4 * digit)) & 0xf;
            if value > 9 {
                return None;
            }
            decimal = decimal * 10 + value;
        }
        let part = |value: u32| u8::try_from(value % 100).ok();
        Self::new(u16::try_from(decimal / 10_000).ok()?, part(decimal / 100)?, part(decimal)?)
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u16) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (seconds, bcd) in [
            (0, 0x1970_0101),
            (951_782_399, 0x2000_0228),
            (951_782_400, 0x2000_0229),
            (1_709_251_200, 0x2024_0301),
            (253_402_300_799, 0x9999_1231),
        ] {
            assert_eq!(Date::from_unix(seconds).map(Date::bcd), Some(bcd));
        }
        assert_eq!(Date::from_unix(253_402_300_800), None);
    }

    #[test]
    fn impossible_days() {
        for (year, month, day) in [
            (1969, 12, 31),
            (2023, 2, 29),
            (1970, 0, 1),
            (2000, 13, 1),
            (2000, 4, 31),
            (2000, 1, 0),
        ] {
            assert_eq!(Date::new(year, month, day), None);
        }
        assert_eq!(Date::from_bcd(0x2024_0a01), None);
        assert_eq!(Date::from_bcd(0x2023_0229), None);
    }

    #[test]
    fn every_day_survives_the_field() {
        for day in 0..60_000 {
            let date = Date::from_unix(day * 86_400);
            assert!(date.is_some());
            assert_eq!(date.and_then(|date| Date::from_bcd(date.bcd())), date);
        }
    }
}
