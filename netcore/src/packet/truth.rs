//! Whether a rule's conditions hold: yes, no, by chance, or not to be known.

use super::model::Words;

/// The kernel draws 31 bits for `statistic`.
const DRAWN: f64 = 2_147_483_648.0;

/// Whether a condition holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Truth {
    Yes,
    No,
    /// With this probability, in 2⁻³¹.
    Chance(u32),
    /// Every so many packets; which, the kernel's counter knows.
    EveryNth(u32),
    /// It hangs on what the kernel remembers; what is taken for true, and why.
    Taken(bool, &'static str),
    /// It cannot be known, and why.
    Unknown(Words),
}

impl Truth {
    pub(super) fn unknown(reason: impl Into<Words>) -> Self {
        Self::Unknown(reason.into())
    }

    /// The same with `!` before it.
    pub(super) fn negated(self, negated: bool) -> Self {
        match self {
            _ if !negated => self,
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Chance(odds) => Self::Chance((1_u32 << 31).saturating_sub(odds)),
            Self::Taken(holds, why) => Self::Taken(!holds, why),
            other => other,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// All conditions of a rule together.
#[derive(Clone, Debug, Default)]
pub(super) struct Test {
    failed: bool,
    /// Whether it fails by what is taken for true.
    refused: bool,
    /// Why it cannot be known.
    pub(super) unknown: Option<Words>,
    /// How likely it holds, where it is by chance.
    pub(super) chance: Option<f64>,
    /// Whether what the kernel remembers decides.
    pub(super) stateful: bool,
    /// What is taken for true.
    pub(super) taken: Vec<&'static str>,
}

impl Test {
    /// Adds a condition; whether the rule can still fit.
    pub(super) fn and(&mut self, truth: Truth) -> bool {
        match truth {
            Truth::Yes => {}
            Truth::No | Truth::Chance(0) => self.failed = true,
            Truth::Chance(odds) if odds >= 1 << 31 => {}
            Truth::Chance(odds) => self.chance = Some(self.chance.unwrap_or(1.0) * (f64::from(odds) / DRAWN)),
            Truth::EveryNth(every) => {
                if every > 1 {
                    self.chance = Some(self.chance.unwrap_or(1.0) / f64::from(every));
                    self.stateful = true;
                }
            }
            Truth::Taken(holds, why) => {
                self.refused |= !holds;
                self.stateful = true;
                self.taken.push(why);
            }
            Truth::Unknown(reason) => {
                self.unknown.get_or_insert(reason);
            }
        }
        !self.failed
    }

    /// Whether a condition does not hold: then the others do not count.
    pub(super) const fn failed(&self) -> bool {
        self.failed
    }

    /// Whether it does not hold by what is taken for true.
    pub(super) const fn refused(&self) -> bool {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(truths: &[Truth]) -> Test {
        let mut test = Test::default();
        for truth in truths {
            test.and(truth.clone());
        }
        test
    }

    #[test]
    fn one_that_fails_hides_what_is_not_known() {
        assert!(all(&[Truth::unknown("x"), Truth::No]).failed());
        assert!(!all(&[Truth::unknown("x"), Truth::Yes]).failed());
        assert_eq!(all(&[Truth::unknown("x"), Truth::Yes]).unknown.as_deref(), Some("x"));
    }

    #[test]
    fn chances_multiply_and_the_ends_are_certain() {
        let half = Truth::Chance(1 << 30);
        assert_eq!(all(&[half.clone(), half.clone()]).chance, Some(0.25));
        assert_eq!(all(&[Truth::Chance(1 << 31)]).chance, None);
        assert!(all(&[Truth::Chance(0)]).failed());
        assert_eq!(half.negated(true), Truth::Chance(1 << 30));
        assert_eq!(Truth::Chance(1).negated(true), Truth::Chance((1 << 31) - 1));
        assert!(all(&[Truth::EveryNth(3)]).stateful);
    }
}
