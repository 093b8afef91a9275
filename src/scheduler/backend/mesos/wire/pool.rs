//! The resources of an offer that are not yet used, by role.
//!
//! Tasks use resources that are reserved for the framework first, so that other frameworks can use the rest. The
//! resource of a task is a copy of the offered one with a smaller amount, with the same reservation and allocation.

use cook_mesos::scheduler::{AllocationInfo, Range, Ranges, Resource, Scalar};

use crate::core::words::{Amount, Demand, PortRange, Ports};

/// The unused resources of an offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Reserved resources come first.
    parts: Vec<Part>,
}

/// The unused part of one resource.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    /// The resource as offered.
    offered: Resource,
    left: Left,
}

#[derive(Clone, Debug, PartialEq)]
enum Left {
    Cpus(Amount),
    Mem(Amount),
    /// Sorted, without overlaps.
    Ports(Vec<PortRange>),
}

// === impl Pool ===

impl Pool {
    /// The resources of an offer that is allocated to this role. Revocable and shared resources are left out.
    pub fn new(resources: Vec<Resource>, allocation: Option<&AllocationInfo>) -> Self {
        let part = |mut offered: Resource| {
            let left = left(&offered)?;
            if offered.allocation_info.is_none() {
                offered.allocation_info = allocation.cloned();
            }
            Some(Part { offered, left })
        };
        let mut parts: Vec<_> = resources.into_iter().filter_map(part).collect();
        parts.sort_by_key(|part| !is_reserved(&part.offered));
        Self { parts }
    }

    /// The unused cpus and memory.
    pub fn room(&self) -> Demand {
        let mut room = Demand::default();
        for part in &self.parts {
            match &part.left {
                Left::Cpus(amount) => room.cpus = room.cpus.plus(*amount),
                Left::Mem(amount) => room.mem = room.mem.plus(*amount),
                Left::Ports(_) => {}
            }
        }
        room
    }

    /// The unused ports.
    pub fn ports(&self) -> Ports {
        let ranges = self.parts.iter().filter_map(|part| match &part.left {
            Left::Ports(ranges) => Some(ranges.iter().copied()),
            Left::Cpus(_) | Left::Mem(_) => None,
        });
        Ports::new(joined(ranges.flatten().collect()))
    }

    /// Takes the resources of a task. `None`, and no change, if they are not available.
    pub fn take(&mut self, demand: &Demand, ports: &[u16]) -> Option<Vec<Resource>> {
        let mut rest = self.clone();
        let mut taken = Vec::new();
        let (mut cpus, mut mem, mut ports) = (demand.cpus, demand.mem, ports.to_vec());
        for part in &mut rest.parts {
            match &mut part.left {
                Left::Cpus(left) => taken.extend(take_amount(&part.offered, left, &mut cpus)),
                Left::Mem(left) => taken.extend(take_amount(&part.offered, left, &mut mem)),
                Left::Ports(left) => taken.extend(take_ports(&part.offered, left, &mut ports)),
            }
        }
        let is_whole = cpus == Amount::ZERO && mem == Amount::ZERO && ports.is_empty();
        is_whole.then(|| {
            *self = rest;
            taken
        })
    }
}

/// `None` for a resource that tasks do not use.
fn left(offered: &Resource) -> Option<Left> {
    if offered.revocable.is_some() || offered.shared.is_some() {
        return None;
    }
    match (offered.name.as_str(), &offered.scalar, &offered.ranges) {
        ("cpus", Some(scalar), _) => Some(Left::Cpus(Amount::from_f64(scalar.value))),
        ("mem", Some(scalar), _) => Some(Left::Mem(Amount::from_f64(scalar.value))),
        ("ports", _, Some(ranges)) => {
            let ranges = ranges.range.iter().filter_map(port_range).collect();
            Some(Left::Ports(joined(ranges)))
        }
        _ => None,
    }
}

/// Whether it is reserved. Only reservations for the framework's role, or a parent of it, are offered.
fn is_reserved(resource: &Resource) -> bool {
    let reservation = resource.reservations.last();
    let role = match reservation {
        Some(reservation) => reservation.role.as_deref(),
        None => resource.role.as_deref(),
    };
    role.is_some_and(|role| role != "*")
}

fn port_range(range: &Range) -> Option<PortRange> {
    let first = u16::try_from(range.begin).ok()?;
    let last = u16::try_from(range.end).unwrap_or(u16::MAX);
    PortRange::new(first, last)
}

/// Sorts the ranges and joins those that touch or overlap.
fn joined(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_unstable();
    let mut joined: Vec<PortRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.first() <= last.last().saturating_add(1) => {
                let end = last.last().max(range.last());
                if let Some(longer) = PortRange::new(last.first(), end) {
                    *last = longer;
                }
            }
            Some(_) | None => joined.push(range),
        }
    }
    joined
}

fn take_amount(offered: &Resource, left: &mut Amount, wanted: &mut Amount) -> Option<Resource> {
    let amount = (*left).min(*wanted);
    if amount == Amount::ZERO {
        return None;
    }
    *left = left.minus(amount);
    *wanted = wanted.minus(amount);
    let value = amount.as_f64();
    Some(Resource {
        scalar: Some(Scalar { value }),
        ..offered.clone()
    })
}

fn take_ports(
    offered: &Resource,
    left: &mut Vec<PortRange>,
    wanted: &mut Vec<u16>,
) -> Option<Resource> {
    let mut taken = Vec::new();
    wanted.retain(|&port| {
        let found = left
            .iter()
            .position(|range| (range.first()..=range.last()).contains(&port));
        let Some(at) = found else { return true };
        let range = left.remove(at);
        let before = port
            .checked_sub(1)
            .and_then(|last| PortRange::new(range.first(), last));
        let after = port
            .checked_add(1)
            .and_then(|first| PortRange::new(first, range.last()));
        left.splice(at..at, before.into_iter().chain(after));
        taken.push(Range {
            begin: port.into(),
            end: port.into(),
        });
        false
    });
    (!taken.is_empty()).then(|| Resource {
        ranges: Some(Ranges { range: taken }),
        ..offered.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cook_mesos::scheduler::{Nothing, ReservationInfo, ValueType};

    fn scalar(name: &str, value: f64) -> Resource {
        Resource {
            name: name.to_owned(),
            kind: ValueType::Scalar as i32,
            scalar: Some(Scalar { value }),
            ..Resource::default()
        }
    }

    fn ports(ranges: &[(u64, u64)]) -> Resource {
        let range = |&(begin, end): &(u64, u64)| Range { begin, end };
        Resource {
            name: "ports".to_owned(),
            kind: ValueType::Ranges as i32,
            ranges: Some(Ranges {
                range: ranges.iter().map(range).collect(),
            }),
            ..Resource::default()
        }
    }

    fn reserved(role: &str, resource: Resource) -> Resource {
        Resource {
            reservations: vec![ReservationInfo {
                role: Some(role.to_owned()),
                ..ReservationInfo::default()
            }],
            ..resource
        }
    }

    fn demand(cpus: f64, mem: f64) -> Demand {
        Demand {
            cpus: Amount::from_f64(cpus),
            mem: Amount::from_f64(mem),
            ports: 0,
        }
    }

    fn shown(resources: &[Resource]) -> Vec<String> {
        let show = |it: &Resource| {
            let role = it.reservations.last().and_then(|it| it.role.clone());
            let role = role.or(it.role.clone()).unwrap_or("*".to_owned());
            let amount = match (&it.scalar, &it.ranges) {
                (Some(scalar), None) => scalar.value.to_string(),
                (None, Some(ranges)) => ranges
                    .range
                    .iter()
                    .map(|range| format!("{}-{}", range.begin, range.end))
                    .collect::<Vec<_>>()
                    .join(","),
                other => panic!("{other:?}"),
            };
            format!("{}({role}):{amount}", it.name)
        };
        resources.iter().map(show).collect()
    }

    #[test]
    fn reserved_resources_are_used_first() {
        let mut pool = Pool::new(
            vec![
                scalar("cpus", 2.0),
                scalar("mem", 100.0),
                reserved("cook", scalar("cpus", 0.5)),
                reserved("cook", scalar("mem", 1000.0)),
            ],
            None,
        );
        assert_eq!(pool.room(), demand(2.5, 1100.0));
        let taken = pool.take(&demand(1.0, 1000.0), &[]).expect("there");
        assert_eq!(
            shown(&taken),
            ["cpus(cook):0.5", "mem(cook):1000", "cpus(*):0.5"]
        );
        let taken = pool.take(&demand(1.5, 100.0), &[]).expect("there");
        assert_eq!(shown(&taken), ["cpus(*):1.5", "mem(*):100"]);
        assert_eq!(pool.room(), demand(0.0, 0.0));
    }

    #[test]
    fn the_old_format_of_reservations_is_understood() {
        let old = Resource {
            role: Some("cook".to_owned()),
            ..scalar("cpus", 1.0)
        };
        let nobodys = Resource {
            role: Some("*".to_owned()),
            ..scalar("cpus", 1.0)
        };
        let mut pool = Pool::new(vec![nobodys, old], None);
        let taken = pool.take(&demand(0.1, 0.0), &[]).expect("there");
        assert_eq!(shown(&taken), ["cpus(cook):0.1"]);
    }

    #[test]
    fn tasks_of_one_offer_share_its_resources() {
        let mut pool = Pool::new(
            vec![
                scalar("cpus", 1.0),
                ports(&[(31_000, 31_001), (31_010, 31_010)]),
            ],
            None,
        );
        let mut free = pool.ports();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let port = free.take(1).expect("a port");
            let taken = pool.take(&demand(0.3, 0.0), &port).expect("there");
            seen.extend(shown(&taken[1..]));
        }
        assert_eq!(
            seen,
            [
                "ports(*):31000-31000",
                "ports(*):31001-31001",
                "ports(*):31010-31010"
            ]
        );
        assert_eq!(pool.take(&demand(0.2, 0.0), &[]), None);
        assert_eq!(pool.take(&demand(0.1, 0.0), &[31_000]), None);
        assert!(pool.take(&demand(0.1, 0.0), &[]).is_some());
        assert_eq!(pool.ports().count(), 0);
    }

    #[test]
    fn ports_keep_their_roles() {
        let mut pool = Pool::new(
            vec![ports(&[(5, 9)]), reserved("cook", ports(&[(10, 12)]))],
            None,
        );
        assert_eq!(pool.ports().count(), 8);
        let taken = pool.take(&demand(0.0, 0.0), &[7, 11]).expect("there");
        assert_eq!(shown(&taken), ["ports(cook):11-11", "ports(*):7-7"]);
        assert_eq!(
            pool.ports(),
            Ports::new(vec![
                PortRange::new(5, 6).expect("some"),
                PortRange::new(8, 10).expect("some"),
                PortRange::new(12, 12).expect("some"),
            ])
        );
    }

    #[test]
    fn the_allocation_of_the_offer_is_added() {
        let allocation = AllocationInfo {
            role: Some("cook".to_owned()),
        };
        let mut pool = Pool::new(vec![scalar("cpus", 1.0)], Some(&allocation));
        let taken = pool.take(&demand(1.0, 0.0), &[]).expect("there");
        assert_eq!(taken[0].allocation_info.as_ref(), Some(&allocation));
    }

    #[test]
    fn invalid_resources_count_as_nothing() {
        let nonsense = vec![
            scalar("cpus", f64::NAN),
            scalar("mem", -5.0),
            Resource {
                revocable: Some(Nothing {}),
                ..scalar("cpus", 7.0)
            },
            scalar("gpus", 1.0),
            ports(&[(9, 5), (70_000, 80_000), (65_530, 80_000), (65_535, 65_535)]),
            Resource {
                name: "cpus".to_owned(),
                ..Resource::default()
            },
        ];
        let pool = Pool::new(nonsense, None);
        assert_eq!(pool.room(), demand(0.0, 0.0));
        assert_eq!(pool.ports().count(), 6);
    }
}
