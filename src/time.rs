//! Milliseconds since 1970 → RFC 3339 in UTC, as the API takes it (`start_time`, `end_time`, `last_updated_at`), and
//! HTTP dates → milliseconds.

use crate::json::digits;

/// The last millisecond before the year 2262, where the backend's storage ends.
pub const MAX_MS: u64 = 9_214_646_399_999;

/// Writes times, and remembers the last time: the next is often the same, and nearly always of the same day.
///
/// ```
/// use opik_edge::time::Clock;
///
/// let mut clock = Clock::default();
/// assert_eq!(clock.rfc3339(1_764_000_000_000), b"2025-11-24T16:00:00.000Z");
/// ```
#[derive(Debug)]
pub struct Clock {
    ms: u64,
    day: u32,
    text: [u8; 24],
}

impl Clock {
    /// `ms` (ms since 1970, at most [`MAX_MS`]) as `2026-11-23T04:56:30.123Z`.
    ///
    /// ```
    /// # use opik_edge::time::{Clock, MAX_MS};
    /// assert_eq!(Clock::default().rfc3339(1), b"1970-01-01T00:00:00.001Z");
    /// assert_eq!(Clock::default().rfc3339(u64::MAX), Clock::default().rfc3339(MAX_MS));
    /// ```
    pub fn rfc3339(&mut self, ms: u64) -> &[u8] {
        const DAY_MS: u64 = 86_400_000;
        let ms = ms.min(MAX_MS);
        if ms == self.ms {
            return &self.text;
        }
        self.ms = ms;
        // The only division of 64 bits: engines turn divisions of 32 bits into multiplications.
        let day = u32::try_from(ms / DAY_MS).unwrap_or(0);
        let rest = u32::try_from(ms.wrapping_sub(u64::from(day).wrapping_mul(DAY_MS))).unwrap_or(0);
        if self.day != day {
            let (year, month, day_of_month) = civil(day);
            self.pair(0, year / 100);
            self.pair(2, year % 100);
            self.pair(5, month);
            self.pair(8, day_of_month);
            self.day = day;
        }
        let (seconds, millis) = (rest / 1000, rest % 1000);
        let minutes = seconds / 60;
        self.pair(11, minutes / 60);
        self.pair(14, minutes % 60);
        self.pair(17, seconds % 60);
        self.pair(20, millis / 10);
        self.digit(22, millis % 10);
        &self.text
    }

    /// Two digits, from `at` on.
    fn pair(&mut self, at: usize, value: u32) {
        self.digit(at, value / 10);
        self.digit(at.wrapping_add(1), value % 10);
    }

    fn digit(&mut self, at: usize, value: u32) {
        if let (Some(slot), Ok(value)) = (self.text.get_mut(at), u8::try_from(value)) {
            *slot = b'0'.wrapping_add(value);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self { ms: 0, day: 0, text: *b"1970-01-01T00:00:00.000Z" }
    }
}

const DAYS_0000_03_01_TO_1970: u32 = 719_468;

/// Year, month and day of a day since 1970: counts from 1 March of year 0, so that leap days come last.
#[expect(clippy::arithmetic_side_effects, reason = "days are bounded by MAX_MS, so nothing overflows")]
fn civil(days: u32) -> (u32, u32, u32) {
    const DAYS_PER_ERA: u32 = 146_097; // 400 years
    let days = days + DAYS_0000_03_01_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u32::from(month <= 2);
    (year, month, day)
}

/// The ms since 1970 of an HTTP date (RFC 9110 §5.6.7) in its fixed form, `Sun, 06 Nov 1994 08:49:37 GMT`. `None` for
/// the obsolete forms.
///
/// ```
/// # use opik_edge::time::parse_http_date;
/// assert_eq!(parse_http_date(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
/// assert_eq!(parse_http_date(b"Sunday, 06-Nov-94 08:49:37 GMT"), None);
/// ```
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
    let days = day_of(number(12, 16)?, month, number(5, 7)?).checked_sub(DAYS_0000_03_01_TO_1970.into())?;
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    #[expect(clippy::arithmetic_side_effects, reason = "four digits of years are some 3e14 ms")]
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// The ms since 1970 of a time as [`Clock::rfc3339`] writes it. `None` for any other form.
///
/// ```
/// # use opik_edge::time::parse_rfc3339;
/// assert_eq!(parse_rfc3339(b"2025-11-24T16:00:00.250Z"), Some(1_764_000_000_250));
/// assert_eq!(parse_rfc3339(b"2025-11-24T16:00:00Z"), None);
/// ```
#[must_use]
pub fn parse_rfc3339(text: &[u8]) -> Option<u64> {
    const PLACES: [(usize, usize); 7] = [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19), (20, 23)];
    let mut parts = [0; 7];
    for (part, (from, to)) in parts.iter_mut().zip(PLACES) {
        *part = digits(text.get(from..to)?)?;
    }
    let [year, month, day, hour, minute, second, ms] = parts;
    let days = day_of(year, month, day).checked_sub(DAYS_0000_03_01_TO_1970.into())?;
    #[expect(clippy::arithmetic_side_effects, reason = "four digits of years are some 3e14 ms")]
    (text.get(23..) == Some(b"Z")).then(|| (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms)
}

/// The inverse of [`civil`], counted from 1 March of year 0.
#[expect(clippy::arithmetic_side_effects, reason = "years have four digits")]
fn day_of(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.saturating_sub(1);
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year
}
