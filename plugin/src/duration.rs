//! Durations as Go writes and reads them: `10s`, `1h2m3.5s`, `300ms`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};

/// A duration in Go's notation; never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub Duration);

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid duration \"{text}\": {reason}, such as 10s, 1m30s or 500ms")]
pub struct DurationError {
    text: String,
    reason: &'static str,
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl GoDuration {
    /// As kubectl reads `--request-timeout`: a number without a unit is seconds, zero is no limit.
    pub fn timeout(text: &str) -> Result<Self, DurationError> {
        match text.parse::<u32>() {
            Ok(seconds) => Ok(Self(Duration::from_secs(seconds.into()))),
            Err(_) => text.parse(),
        }
    }

    /// The duration, or none where zero means "no limit".
    pub fn limit(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason| DurationError { text: text.to_owned(), reason };
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest.starts_with('-') {
            return Err(error("may not be negative"));
        }
        if rest == "0" {
            return Ok(Self::default());
        }
        if rest.is_empty() {
            return Err(error("must be a number with a unit"));
        }
        let mut nanos: u64 = 0;
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, after) = rest.split_at(number_end);
            let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_end);
            let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
            let scale = scale.ok_or_else(|| error("every number needs one of the units ns, us, ms, s, m, h"))?;
            let part = scaled(number, scale).ok_or_else(|| error("must be a number with a unit"))?;
            nanos = nanos.checked_add(part).ok_or_else(|| error("is too long; must be under 292 years"))?;
            rest = after;
        }
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

/// `1.5` of a unit in nanoseconds; digits beyond a nanosecond are cut.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let mut nanos = whole.checked_mul(scale)?;
    let mut unit = u128::from(scale);
    let mut part: u128 = 0;
    // Each digit is a tenth of the one before it; 19 digits are below any unit's nanosecond.
    let mut divisor: u128 = 1;
    for digit in fraction.bytes().take(19) {
        divisor *= 10;
        part = part * 10 + u128::from(digit.checked_sub(b'0')?);
    }
    unit = unit * part / divisor;
    nanos = nanos.checked_add(u64::try_from(unit).ok()?)?;
    Some(nanos)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let (unit, scale) = match nanos {
            0 => return f.write_str("0s"),
            1..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            1_000_000..1_000_000_000 => ("ms", 1_000_000),
            _ => ("s", 1_000_000_000),
        };
        let minutes = nanos / 60_000_000_000;
        let (hours, minutes, rest) = (minutes / 60, minutes % 60, nanos % 60_000_000_000);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        let rest = if minutes == 0 && hours == 0 { nanos } else { rest };
        let fraction = rest % scale;
        write!(f, "{}", rest / scale)?;
        if fraction > 0 {
            let digits = format!("{fraction:0width$}", width = scale.ilog10() as usize);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str(unit)
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> u128 {
        text.parse::<GoDuration>().unwrap().0.as_nanos()
    }

    #[test]
    fn reads_what_go_reads() {
        assert_eq!(nanos("0"), 0);
        assert_eq!(nanos("10s"), 10_000_000_000);
        assert_eq!(nanos("1h2m3.5s"), 3_723_500_000_000);
        assert_eq!(nanos("300ms"), 300_000_000);
        assert_eq!(nanos(".5s"), 500_000_000);
        assert_eq!(nanos("1.s"), 1_000_000_000);
        assert_eq!(nanos("2us"), 2_000);
        assert_eq!(nanos("2µs"), 2_000);
        assert_eq!(nanos("+1m"), 60_000_000_000);
        assert_eq!(nanos("0.0000000019s"), 1);
    }

    #[test]
    fn refuses_the_rest_and_says_what_is_valid() {
        for text in ["", "10", "1d", "s", ".s", "1..5s", "-1s", "1h-2m", "99999999999h", "10 s"] {
            let error = text.parse::<GoDuration>().unwrap_err().to_string();
            assert!(error.contains("such as 10s"), "{text}: {error}");
        }
    }

    #[test]
    fn a_timeout_may_be_bare_seconds() {
        assert_eq!(GoDuration::timeout("5").unwrap().limit(), Some(Duration::from_secs(5)));
        assert_eq!(GoDuration::timeout("0").unwrap().limit(), None);
        assert_eq!(GoDuration::timeout("2m").unwrap().limit(), Some(Duration::from_secs(120)));
        assert!(GoDuration::timeout("-5").is_err());
    }

    #[test]
    fn prints_what_go_prints() {
        for text in ["0s", "10s", "1m0s", "1h0m0s", "1h2m3.5s", "300ms", "1.5µs", "7ns", "1m0.001s", "26h3m4s"] {
            assert_eq!(text.parse::<GoDuration>().unwrap().to_string(), text);
        }
    }
}
