//! Cpus, memory and ports.

use std::fmt;

/// An amount of cpus or memory, in thousandths, the precision of Mesos: sums have no rounding errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

/// The largest amount: far beyond any machine, and small enough that a million of them can be added
/// without overflow.
const MOST: u64 = u64::MAX / 1_000_000;

/// The amount is not above zero after rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall;

/// The resources that one instance needs, or that an offer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Demand {
    /// Cpus.
    pub cpus: Amount,
    /// Memory in megabytes.
    pub mem: Amount,
    /// How many ports.
    pub ports: u32,
}

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// A set of free ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports(Vec<PortRange>);

// === impl Amount ===

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From thousandths; larger values than the maximum are reduced to it.
    pub const fn from_thousandths(value: u64) -> Self {
        Self(if value > MOST { MOST } else { value })
    }

    /// In thousandths.
    pub const fn thousandths(self) -> u64 {
        self.0
    }

    /// From a decimal number, rounded to thousandths; larger values than the maximum are reduced to it.
    ///
    /// # Errors
    /// The value is NaN, not above zero, or rounds to zero.
    pub fn positive(value: f64) -> Result<Self, TooSmall> {
        match Self::from_f64(value) {
            Self::ZERO => Err(TooSmall),
            amount => Ok(amount),
        }
    }

    /// Like [`Self::positive`], but NaN and negative values become zero: for the resources of an offer.
    pub fn from_f64(value: f64) -> Self {
        // `as` saturates, and turns NaN into zero.
        Self::from_thousandths((value * 1000.0).round() as u64)
    }

    /// As a decimal number.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The sum.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference; zero if `other` is larger.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_f64().fmt(f)
    }
}

// === impl Demand ===

impl Demand {
    /// Whether `offered` has enough of everything.
    pub fn fits(&self, offered: &Self) -> bool {
        self.cpus <= offered.cpus && self.mem <= offered.mem && self.ports <= offered.ports
    }

    /// The difference; zero where `other` is larger.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self {
            cpus: self.cpus.minus(other.cpus),
            mem: self.mem.minus(other.mem),
            ports: self.ports.saturating_sub(other.ports),
        }
    }

    /// The sum.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            cpus: self.cpus.plus(other.cpus),
            mem: self.mem.plus(other.mem),
            ports: self.ports.saturating_add(other.ports),
        }
    }
}

// === impl PortRange ===

impl PortRange {
    /// `None` if `first` is above `last`.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The first port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    pub fn last(self) -> u16 {
        self.last
    }
}

// === impl Ports ===

impl Ports {
    /// The ports of these ranges, which do not overlap.
    pub fn new(ranges: Vec<PortRange>) -> Self {
        Self(ranges)
    }

    /// The number of ports.
    pub fn count(&self) -> u32 {
        self.0
            .iter()
            .map(|range| u32::from(range.last - range.first) + 1)
            .sum()
    }

    /// Takes the lowest `count` ports; `None`, and takes nothing, if there are fewer.
    pub fn take(&mut self, count: u32) -> Option<Vec<u16>> {
        if count > self.count() {
            return None;
        }
        let mut taken = Vec::new();
        while let Some(range) = self.0.first_mut() {
            if taken.len() == count as usize {
                break;
            }
            taken.push(range.first);
            if range.first == range.last {
                self.0.remove(0);
            } else {
                range.first += 1;
            }
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_tenths_add_up_to_one() {
        let tenth = Amount::positive(0.1).unwrap();
        let sum = (0..10).fold(Amount::ZERO, |sum, _| sum.plus(tenth));
        assert_eq!(sum.as_f64(), 1.0);
    }

    #[test]
    fn amounts_that_are_not_above_zero_are_refused() {
        for value in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY, 0.0004] {
            assert_eq!(Amount::positive(value), Err(TooSmall), "{value}");
        }
        assert!(
            Amount::positive(f64::INFINITY)
                .unwrap()
                .plus(Amount(u64::MAX))
                .as_f64()
                > 1e15
        );
    }

    #[test]
    fn ports_are_taken_from_the_lowest_up() {
        let range = |first, last| PortRange::new(first, last).unwrap();
        let mut ports = Ports::new(vec![range(31_000, 31_001), range(65_535, 65_535)]);
        assert_eq!(ports.take(4), None);
        assert_eq!(ports.take(1), Some(vec![31_000]));
        assert_eq!(ports.take(2), Some(vec![31_001, 65_535]));
        assert_eq!(ports.take(0), Some(vec![]));
        assert_eq!(ports.count(), 0);
    }
}
