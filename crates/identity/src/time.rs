//! Points in time as people read them: RFC 3339 in UTC, to the second. Keys carry them, commands print them.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[cfg(test)]
mod tests;

const DAY: u64 = 86_400;
/// The last second of the year 9999, after which RFC 3339 has no notation.
const LAST: u64 = 253_402_300_799;

/// Whole seconds since 1970-01-01 UTC; shown and read as `2026-11-21T10:00:00Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The wall clock. A clock before 1970 reads as 1970.
    pub fn now() -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix(since.as_secs())
    }

    /// From seconds since 1970-01-01 UTC; times after the year 9999 become its end.
    pub fn from_unix(seconds: u64) -> Timestamp {
        Timestamp(seconds.min(LAST))
    }

    /// Seconds since 1970-01-01 UTC.
    pub fn unix(self) -> u64 {
        self.0
    }

    /// This much later, at most the end of the year 9999.
    #[must_use]
    pub fn after(self, span: Duration) -> Timestamp {
        Timestamp::from_unix(self.0.saturating_add(span.as_secs()))
    }

    /// The time left until `self`, nothing if it has passed.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// The calendar day alone: `2026-11-21`.
    pub fn date(self) -> String {
        let (year, month, day) = civil(self.0 / DAY);
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY);
        let second = self.0 % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// The text is no time of the form `2026-11-21T10:00:00Z`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a time must have the form `2026-11-21T10:00:00Z`")]
pub struct NotATime;

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Timestamp, NotATime> {
        let number = |from: usize, to: usize| -> Result<u64, NotATime> {
            let digits = text.get(from..to).ok_or(NotATime)?;
            if digits.bytes().all(|b| b.is_ascii_digit()) {
                digits.parse().map_err(|_| NotATime)
            } else {
                Err(NotATime)
            }
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if year < 1970 || hour > 23 || minute > 59 || second > 59 {
            return Err(NotATime);
        }
        let days = days_from_civil(year, month, day).ok_or(NotATime)?;
        let time = Timestamp::from_unix(days * DAY + hour * 3600 + minute * 60 + second);
        // INVARIANT: one time, one notation; this also refuses other separators and dates such as 30 February.
        if time.to_string() == text { Ok(time) } else { Err(NotATime) }
    }
}

/// The calendar date of a day counted from 1970-01-01 (proleptic Gregorian calendar).
fn civil(days: u64) -> (u64, u64, u64) {
    // Years are counted from 1 March, so that the leap day is the last of its year; 719,468 days lie before 1970.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Days from 1970-01-01 to a date, if the month and day are numbers that a calendar has.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}
