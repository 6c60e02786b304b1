//! Times of day between microseconds since 1970 UTC and the calendar (proleptic Gregorian, no leap seconds).

/// The last moment that has a four-digit year, in milliseconds: 9999-12-31T23:59:59.999Z.
const LAST: u64 = 253_402_300_799_999;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: u64 = 719_468;

/// As Cedar's `datetime` takes it: `2027-01-15T08:00:00.000Z`. Beyond the year 9999 it is the last moment of that year.
pub(crate) fn datetime(micros: u64) -> String {
    let millis = (micros / 1000).min(LAST);
    let (days, in_day) = (millis / 86_400_000, millis % 86_400_000);
    // Years begin in March here, so that the day of leap years is the last of its year.
    let shifted = days + EPOCH;
    let (era, in_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Microseconds since 1970 UTC of a TOML date and time with an offset; none for any other date or time, or one before 1970.
pub(crate) fn micros(value: &toml::value::Datetime) -> Option<u64> {
    let (date, time) = (value.date?, value.time?);
    let offset_minutes = match value.offset? {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let (month, day) = (u64::from(date.month), u64::from(date.day));
    let year = u64::from(date.year) - u64::from(month <= 2 && date.year > 0);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let in_year = (153 * march_month + 2) / 5 + day - 1;
    let days = (year * 365 + year / 4 - year / 100 + year / 400 + in_year).checked_sub(EPOCH)?;
    let second = time.second.unwrap_or_default();
    let seconds =
        days * 86_400 + u64::from(time.hour) * 3600 + u64::from(time.minute) * 60 + u64::from(second);
    let seconds = i64::try_from(seconds).ok()?.checked_sub(offset_minutes * 60)?;
    u64::try_from(seconds).ok()?.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests;
