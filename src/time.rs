//! Milliseconds since 1970 → RFC 3339 in UTC, as the API takes it (`start_time`, `end_time`, `last_updated_at`), and
//! what HTTP calls a date → milliseconds.

use alloc::vec::Vec;

use crate::json::digits;

/// The last millisecond before the year 2262, where the backend's storage ends.
pub const MAX_MS: u64 = 9_214_646_399_999;

/// Appends `ms` (ms since 1970, at most [`MAX_MS`]) as `2026-11-23T04:56:30.123Z`.
pub fn write_rfc3339(out: &mut Vec<u8>, ms: u64) {
    let ms = ms.min(MAX_MS);
    let (seconds, millis) = (ms / 1000, ms % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    for (end, value) in [(3, year), (6, month), (9, day), (12, hour), (15, minute), (18, second), (22, millis)] {
        write_digits(&mut text, end, value);
    }
    // In one piece: a copy is a call out of the module.
    out.extend_from_slice(&text);
}

const DAYS_0000_03_01_TO_1970: u64 = 719_468;

/// Year, month and day of a day since 1970: counts from 1 March of year 0, so that leap days come last.
#[expect(clippy::arithmetic_side_effects, reason = "days are bounded by MAX_MS, so nothing overflows")]
fn civil(days: u64) -> (u64, u64, u64) {
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

/// Writes `value` in decimal over the zeros that end at `end`.
fn write_digits(text: &mut [u8], end: usize, value: u64) {
    let mut rest = value;
    for slot in text.iter_mut().take(end.saturating_add(1)).rev() {
        if rest == 0 {
            break;
        }
        *slot = b'0'.saturating_add(u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
    }
}

/// The ms since 1970 of an HTTP date (RFC 9110 §5.6.7) in its fixed form, `Sun, 06 Nov 1994 08:49:37 GMT`; the
/// obsolete ones are none.
#[must_use]
pub fn parse_http_date(text: &[u8]) -> Option<u64> {
    const FORM: &[u8; 29] = b"AAA, 00 AAA 0000 00:00:00 GMT";
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let text: &[u8; 29] = text.try_into().ok()?;
    let fits = text.iter().zip(FORM).all(|(byte, form)| match form {
        b'A' => byte.is_ascii_alphabetic(),
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    });
    let number = |from, to| fits.then(|| digits(text.get(from..to)?)).flatten();
    let month = MONTHS.chunks(3).zip(1..).find(|(name, _)| text.get(8..11) == Some(name))?.1;
    let days = day_of(number(12, 16)?, month, number(5, 7)?).checked_sub(DAYS_0000_03_01_TO_1970)?;
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    #[expect(clippy::arithmetic_side_effects, reason = "four digits of years are some 3e14 ms")]
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// The inverse of [`civil`], counted from 1 March of year 0.
#[expect(clippy::arithmetic_side_effects, reason = "years have four digits")]
fn day_of(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.saturating_sub(1);
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year
}
