//! Milliseconds since 1970 → RFC 3339 in UTC, as the API takes it (`start_time`, `end_time`, `last_updated_at`).

use alloc::vec::Vec;

/// The last millisecond before the year 2262, where the backend's storage ends.
pub const MAX_MS: u64 = 9_214_646_399_999;

/// Appends `ms` (ms since 1970, at most [`MAX_MS`]) as `2026-11-23T04:56:30.123Z`.
pub fn write_rfc3339(out: &mut Vec<u8>, ms: u64) {
    let ms = ms.min(MAX_MS);
    let (seconds, millis) = (ms / 1000, ms % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    write_digits(out, year, 4);
    out.push(b'-');
    write_digits(out, month, 2);
    out.push(b'-');
    write_digits(out, day, 2);
    out.push(b'T');
    write_digits(out, second / 3600, 2);
    out.push(b':');
    write_digits(out, second / 60 % 60, 2);
    out.push(b':');
    write_digits(out, second % 60, 2);
    out.push(b'.');
    write_digits(out, millis, 3);
    out.push(b'Z');
}

/// Year, month and day of a day since 1970: counts from 1 March of year 0, so that leap days come last.
#[expect(clippy::arithmetic_side_effects, reason = "days are bounded by MAX_MS, so nothing overflows")]
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_0000_03_01_TO_1970: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097; // 400 years
    let days = days + DAYS_0000_03_01_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

fn write_digits(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut digits = [b'0'; 4];
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
    }
    out.extend_from_slice(digits.get(digits.len().saturating_sub(width)..).unwrap_or_default());
}
