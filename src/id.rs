//! Opik ids: UUIDv7 (RFC 9562 §5.7), minted from a given time and given random bytes, and read from text.
//! The backend refuses a whole batch for one id of another version.

use alloc::vec::Vec;
use core::fmt;

/// The length of an id as text: 32 hex digits and 4 hyphens.
pub const ID_CHARS: usize = 36;

/// The id of a trace or of a span.
///
/// ```
/// use opik_edge::id::Id;
///
/// let id = Id::parse("019AB5C07C007A118A110123456789AB")?;
/// assert_eq!(id.to_string(), "019ab5c0-7c00-7a11-8a11-0123456789ab");
/// # Ok::<(), opik_edge::id::ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Id {
    high: u64,
    low: u64,
}

/// The reason for which a text is not an id.
///
/// ```
/// use opik_edge::id::{Id, ParseError};
///
/// assert_eq!(Id::parse("42"), Err(ParseError::NotUuid));
/// assert_eq!(Id::parse("2c5ea4c0-4067-41e9-8bad-9b1deb4d3b7d"), Err(ParseError::NotVersion7));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ParseError {
    /// Neither 36 characters with hyphens nor 32 hex digits.
    NotUuid,
    /// A UUID of another version or variant.
    NotVersion7,
}

impl Id {
    /// Reads an id: upper or lower case, with hyphens or without.
    ///
    /// # Errors
    /// [`ParseError`] when it is not a UUID, or not of version 7.
    ///
    /// ```
    /// # use opik_edge::id::Id;
    /// assert_eq!(Id::parse("019ab5c0-7c00-7a11-8a11-0123456789ab"), Id::parse("019ab5c07c007a118a110123456789ab"));
    /// assert!(Id::parse("{019ab5c0-7c00-7a11-8a11-0123456789ab}").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_ascii(text.as_bytes())
    }

    /// Like [`Id::parse`], for bytes.
    ///
    /// # Errors
    /// As [`Id::parse`].
    ///
    /// ```
    /// # use opik_edge::id::Id;
    /// assert!(Id::parse_ascii(b"019ab5c0-7c00-7a11-8a11-0123456789ab").is_ok());
    /// ```
    #[inline(never)] // a copy in each caller would be 0.1 KB of the module
    pub fn parse_ascii(text: &[u8]) -> Result<Self, ParseError> {
        // The uuid crate also takes braces and `urn:uuid:`, which no Opik SDK writes, and is 0.4 KB gzip of the module.
        let (mut high, mut low, mut digits) = (0, 0, 0_usize);
        for (at, &byte) in text.iter().enumerate() {
            let digit = match byte {
                b'0'..=b'9' => byte & 15,
                b'a'..=b'f' | b'A'..=b'F' => (byte & 15).wrapping_add(9),
                b'-' if text.len() == ID_CHARS && is_hyphen(at) => continue,
                _ => return Err(ParseError::NotUuid),
            };
            high = high << 4 | low >> 60;
            low = low << 4 | u64::from(digit);
            digits = digits.wrapping_add(1);
        }
        if digits != 32 {
            return Err(ParseError::NotUuid);
        }
        if high >> 12 & 15 != 7 || low >> 62 != 2 {
            return Err(ParseError::NotVersion7);
        }
        Ok(Self { high, low })
    }

    /// Whether `text` is an id as [`Id::encode`] writes it: looked at without being read, in a fifth of the time.
    ///
    /// ```
    /// # use opik_edge::id::Id;
    /// assert!(Id::is_encoded(b"019ab5c0-7c00-7a11-8a11-0123456789ab"));
    /// assert!(!Id::is_encoded(b"019AB5C0-7C00-7A11-8A11-0123456789AB")); // upper case
    /// ```
    #[must_use]
    pub fn is_encoded(text: &[u8]) -> bool {
        const FORM: &[u8; ID_CHARS] = b"hhhhhhhh-hhhh-7hhh-vhhh-hhhhhhhhhhhh";
        text.len() == ID_CHARS
            && text.iter().zip(FORM).all(|(byte, form)| match form {
                b'h' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                b'v' => matches!(byte, b'8' | b'9' | b'a' | b'b'),
                _ => byte == form,
            })
    }

    /// The time that the id carries, in ms since 1970 (RFC 9562 §5.7: the first 48 bits).
    ///
    /// ```
    /// # use opik_edge::id::Id;
    /// assert_eq!(Id::parse("019ab5c0-7c00-7a11-8a11-0123456789ab")?.timestamp_ms(), 1_763_985_882_112);
    /// # Ok::<(), opik_edge::id::ParseError>(())
    /// ```
    #[must_use]
    pub fn timestamp_ms(self) -> u64 {
        self.high >> 16
    }

    /// `true` if the trace of this id is in a sample of `share` out of 2⁵³ traces. Reads the last 8 bytes from the end:
    /// those are random in ids of every origin, so services with the same share agree.
    ///
    /// ```
    /// # use opik_edge::id::Id;
    /// let id = Id::parse("019ab5c0-7c00-7a11-8a11-0123456789ab")?;
    /// assert!(id.is_sampled(1 << 53)); // every trace
    /// assert!(!id.is_sampled(0)); // none
    /// # Ok::<(), opik_edge::id::ParseError>(())
    /// ```
    #[must_use]
    pub fn is_sampled(self, share: u64) -> bool {
        self.low.swap_bytes() >> 11 < share
    }

    /// Writes the lower-case hyphenated text into `buffer` and returns it.
    ///
    /// ```
    /// # use opik_edge::id::{ID_CHARS, Id};
    /// let mut buffer = [0; ID_CHARS];
    /// assert_eq!(Id::parse("019AB5C07C007A118A110123456789AB")?.encode(&mut buffer), b"019ab5c0-7c00-7a11-8a11-0123456789ab");
    /// # Ok::<(), opik_edge::id::ParseError>(())
    /// ```
    pub fn encode(self, buffer: &mut [u8; ID_CHARS]) -> &[u8] {
        let Self { mut high, mut low } = self;
        for (at, slot) in buffer.iter_mut().enumerate() {
            *slot = b'-';
            if !is_hyphen(at) {
                let digit = (high >> 60) as u8;
                *slot = digit.wrapping_add(if digit > 9 { b'a' - 10 } else { b'0' });
                high = high << 4 | low >> 60;
                low <<= 4;
            }
        }
        buffer
    }
}

/// `true` if an id as text has a hyphen at this place.
fn is_hyphen(at: usize) -> bool {
    matches!(at, 8 | 13 | 18 | 23)
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(self.encode(&mut [0; ID_CHARS])).unwrap_or_default())
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUuid => "not a UUID",
            Self::NotVersion7 => "not a UUID of version 7",
        })
    }
}

impl core::error::Error for ParseError {}

/// Random bytes for a counter at its start: 32 bits, of which the top one stays free as headroom.
const SEED_BYTES: usize = 4;
/// Random bytes for the tail of each id: 64 bits, of which 42 are used.
const TAIL_BYTES: usize = 8;
const TAIL_BITS: u32 = 42;

/// Random bytes that are enough for any one id.
pub const RANDOM_BYTES: usize = SEED_BYTES + TAIL_BYTES;

/// The clock may fall this far behind the last id, in ms, before ids begin again at the clock's time. A smaller step
/// back costs nothing: the next service still accepts our headers ([`crate::headers::MAX_AHEAD_MS`]).
pub const MAX_BEHIND_MS: u64 = 60_000;

/// Mints ids that are strictly greater than every id before, as long as the clock is at most [`MAX_BEHIND_MS`] behind
/// the last id. If the clock is further behind, ids begin again at its time: a clock that was ahead once costs their
/// order, and not the time of every later id.
///
/// Layout of the 74 bits that are not time, version and variant: a counter of 32 bits (RFC 9562 §6.2
/// method 1, seeded at random below 2³¹ for each millisecond), then 42 random bits. The time is at most
/// [`MAX_BEHIND_MS`] ahead of the clock, unless 2³¹ ids were minted in one frozen millisecond.
///
/// ```
/// use opik_edge::id::IdGenerator;
///
/// let mut ids = IdGenerator::new();
/// ids.refill(&[7; 64]); // from the platform's cryptographic source
/// let first = ids.mint(1_764_000_000_000).ok_or("more random bytes")?;
/// let second = ids.mint(1_764_000_000_000).ok_or("more random bytes")?;
/// assert!(first < second);
/// # Ok::<(), &str>(())
/// ```
#[derive(Default, Debug)]
pub struct IdGenerator {
    pool: Vec<u8>,
    last_ms: u64,
    counter: u32,
}

impl IdGenerator {
    /// A generator without random bytes: it mints once it has been given some.
    ///
    /// ```
    /// # use opik_edge::id::IdGenerator;
    /// assert_eq!(IdGenerator::new().mint(1_764_000_000_000), None);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { pool: Vec::new(), last_ms: 0, counter: 0 }
    }

    /// Hands over random bytes from the platform's cryptographic source; they are used once.
    ///
    /// ```
    /// # use opik_edge::id::{IdGenerator, RANDOM_BYTES};
    /// let mut ids = IdGenerator::new();
    /// ids.refill(&[7; RANDOM_BYTES]);
    /// assert!(ids.mint(1_764_000_000_000).is_some());
    /// ```
    pub fn refill(&mut self, random: &[u8]) {
        self.pool.clear();
        self.pool.extend_from_slice(random);
    }

    /// Mints an id for the time `now_ms` (ms since 1970, 48 bits), or for the time of the last id while `now_ms` is
    /// less than [`MAX_BEHIND_MS`] behind it. Returns `None` when the random bytes are used up.
    ///
    /// ```
    /// # use opik_edge::id::IdGenerator;
    /// let mut ids = IdGenerator::new();
    /// ids.refill(&[7; 12]);
    /// assert_eq!(ids.mint(1_764_000_000_000).map(|id| id.timestamp_ms()), Some(1_764_000_000_000));
    /// assert_eq!(ids.mint(1_764_000_000_000), None); // the random bytes are used up
    /// ```
    pub fn mint(&mut self, now_ms: u64) -> Option<Id> {
        if self.pool.len() < RANDOM_BYTES {
            return None;
        }
        let now_ms = now_ms.min(MAX_MS);
        if now_ms > self.last_ms || now_ms.saturating_add(MAX_BEHIND_MS) < self.last_ms {
            self.start(now_ms)?;
        } else if let Some(next) = self.counter.checked_add(1) {
            self.counter = next;
        } else {
            self.start(self.last_ms.saturating_add(1))?;
        }
        let tail = u64::from_be_bytes(self.draw::<TAIL_BYTES>()?) & ((1 << TAIL_BITS) - 1);
        // rand_a has the counter's upper 12 bits, rand_b its lower 20 and then the tail.
        let counter = u64::from(self.counter);
        Some(Id { high: self.last_ms << 16 | 7 << 12 | counter >> 20, low: 2 << 62 | counter << 44 >> 2 | tail })
    }

    /// Mints an id for the time `now_ms` (ms since 1970, 48 bits) from `random`, which is used once.
    ///
    /// ```
    /// # use opik_edge::id::IdGenerator;
    /// let mut ids = IdGenerator::new();
    /// let first = ids.mint_with(1_764_000_000_000, [7; 12]);
    /// assert_eq!(first.timestamp_ms(), 1_764_000_000_000);
    /// assert!(first < ids.mint_with(1_764_000_000_000, [3; 12])); // whatever the random bytes are
    /// ```
    pub fn mint_with(&mut self, now_ms: u64, random: [u8; RANDOM_BYTES]) -> Id {
        // The loop runs once: the bytes are always enough, but the type of `mint` does not express that.
        loop {
            self.refill(&random);
            if let Some(id) = self.mint(now_ms) {
                return id;
            }
        }
    }

    fn start(&mut self, ms: u64) -> Option<()> {
        self.last_ms = ms;
        self.counter = u32::from_be_bytes(self.draw::<SEED_BYTES>()?) >> 1;
        Some(())
    }

    fn draw<const N: usize>(&mut self) -> Option<[u8; N]> {
        let at = self.pool.len().checked_sub(N)?;
        let bytes = self.pool.get(at..)?.try_into().ok()?;
        self.pool.truncate(at);
        Some(bytes)
    }
}

/// The greatest time that fits into an id (RFC 9562 §5.7: `unix_ts_ms` has 48 bits).
const MAX_MS: u64 = (1 << 48) - 1;
