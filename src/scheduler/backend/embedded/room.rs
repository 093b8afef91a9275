//! What the machine has, who holds what of it, and when the rest is offered.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::core::face::OfferId;
use crate::core::words::{Amount, Demand, InstanceId, PortRange, Ports};

/// The ports that jobs can ask for: those that a Mesos agent offers by default.
const FIRST_PORT: u16 = 31_000;
const LAST_PORT: u16 = 32_000;

/// The machine's room.
#[derive(Clone, Debug)]
pub struct Room {
    capacity: Demand,
    holdings: BTreeMap<InstanceId, Holding>,
    offers: u64,
    wish: Wish,
}

/// What an instance holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Cpus and memory.
    pub demand: Demand,
    /// Ports.
    pub ports: Vec<u16>,
}

/// What the core wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// An offer.
    Offer,
    /// It has one, of this number.
    Has(u64),
    /// Not what it has refused, for a while; for ever if there is no such moment.
    Refused(Option<Instant>),
    /// Nothing.
    Nothing,
}

// === impl Room ===

impl Room {
    /// Everything is free.
    pub fn new(capacity: Demand) -> Self {
        Self {
            capacity: Demand {
                ports: u32::from(LAST_PORT - FIRST_PORT) + 1,
                ..capacity
            },
            holdings: BTreeMap::new(),
            offers: 0,
            wish: Wish::Offer,
        }
    }

    /// What there is when nothing runs.
    pub fn capacity(&self) -> Demand {
        self.capacity
    }

    /// An instance takes its part.
    pub fn hold(&mut self, instance: InstanceId, holding: Holding) {
        self.holdings.insert(instance, holding);
    }

    /// An instance has ended. What is free is another offer than the one that was refused.
    pub fn release(&mut self, instance: InstanceId) {
        if self.holdings.remove(&instance).is_some()
            && let Wish::Refused(_) = self.wish
        {
            self.wish = Wish::Offer;
        }
    }

    /// An offer was used; what is left may be offered.
    pub fn used(&mut self, offer: &OfferId) {
        if self.is_current(offer) {
            self.wish = Wish::Offer;
        }
    }

    /// An offer was refused.
    pub fn declined(&mut self, offer: &OfferId, until: Option<Instant>) {
        if self.is_current(offer) {
            self.wish = Wish::Refused(until);
        }
    }

    /// Something waits for room.
    pub fn revive(&mut self) {
        if let Wish::Refused(_) | Wish::Nothing = self.wish {
            self.wish = Wish::Offer;
        }
    }

    /// Nothing waits.
    pub fn suppress(&mut self) {
        self.wish = Wish::Nothing;
    }

    /// When a refusal runs out.
    pub fn refused_until(&self) -> Option<Instant> {
        match self.wish {
            Wish::Refused(until) => until,
            Wish::Offer | Wish::Has(_) | Wish::Nothing => None,
        }
    }

    /// The number of an offer to make now, and what there is in it.
    pub fn offer(&mut self, now: Instant) -> Option<(u64, Demand, Ports)> {
        match self.wish {
            Wish::Offer => {}
            Wish::Refused(Some(until)) if until <= now => {}
            Wish::Refused(_) | Wish::Has(_) | Wish::Nothing => return None,
        }
        let ports = self.free_ports();
        let held = self
            .holdings
            .values()
            .fold(Demand::default(), |sum, it| sum.plus(&it.demand));
        let free = Demand {
            ports: ports.count(),
            ..self.capacity.minus(&held)
        };
        if free.cpus == Amount::ZERO || free.mem == Amount::ZERO {
            // Whoever ends makes room.
            self.wish = Wish::Refused(None);
            return None;
        }
        self.offers += 1;
        self.wish = Wish::Has(self.offers);
        Some((self.offers, free, ports))
    }

    fn is_current(&self, offer: &OfferId) -> bool {
        matches!(self.wish, Wish::Has(number) if *number.to_string() == *offer.0)
    }

    fn free_ports(&self) -> Ports {
        let mut held: Vec<u16> = self
            .holdings
            .values()
            .flat_map(|it| it.ports.iter().copied())
            .filter(|port| (FIRST_PORT..=LAST_PORT).contains(port))
            .collect();
        held.sort_unstable();
        held.dedup();
        let mut free = Vec::new();
        let mut first = FIRST_PORT;
        for port in held {
            free.extend(
                port.checked_sub(1)
                    .and_then(|last| PortRange::new(first, last)),
            );
            first = port.saturating_add(1);
        }
        free.extend(PortRange::new(first, LAST_PORT));
        Ports::new(free)
    }
}

// === impl Holding ===

impl Holding {
    /// As the agent keeps it: thousandths of cpus and of megabytes, then ports.
    pub fn encode(&self) -> Vec<u8> {
        let Demand { cpus, mem, .. } = self.demand;
        let mut text = format!("{} {}", cpus.thousandths(), mem.thousandths());
        for port in &self.ports {
            text += &format!(" {port}");
        }
        text.into_bytes()
    }

    /// `None` if nothing that this program has written.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
        let cpus = Amount::from_thousandths(words.next()?.parse().ok()?);
        let mem = Amount::from_thousandths(words.next()?.parse().ok()?);
        let ports: Vec<u16> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let count = u32::try_from(ports.len()).ok()?;
        Some(Self {
            demand: Demand {
                cpus,
                mem,
                ports: count,
            },
            ports,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::words::Uuid;
    use std::time::Duration;

    fn demand(cpus: f64) -> Demand {
        Demand {
            cpus: Amount::from_f64(cpus),
            mem: Amount::from_f64(100.0),
            ports: 0,
        }
    }

    fn offer(room: &mut Room) -> Option<(OfferId, Demand)> {
        let (number, free, _) = room.offer(Instant::now())?;
        Some((OfferId(number.to_string().into()), free))
    }

    fn instance(number: u8) -> InstanceId {
        InstanceId(Uuid::from_bytes([number; 16]))
    }

    fn holding(cpus: f64, ports: &[u16]) -> Holding {
        Holding {
            demand: Demand {
                cpus: Amount::from_f64(cpus),
                mem: Amount::from_f64(10.0),
                ports: u32::try_from(ports.len()).unwrap(),
            },
            ports: ports.to_vec(),
        }
    }

    #[test]
    fn what_is_left_is_offered_until_nothing_is() {
        let mut room = Room::new(demand(2.0));
        let (id, free) = offer(&mut room).unwrap();
        assert_eq!(free.cpus, Amount::from_f64(2.0));
        assert_eq!(offer(&mut room), None, "one offer at a time");
        room.used(&id);
        room.hold(instance(1), holding(1.5, &[]));
        let (id, free) = offer(&mut room).unwrap();
        assert_eq!(free.cpus, Amount::from_f64(0.5));
        room.used(&id);
        room.hold(instance(2), holding(0.5, &[]));
        assert_eq!(offer(&mut room), None);
        room.release(instance(1));
        assert!(offer(&mut room).is_some());
    }

    #[test]
    fn a_refused_offer_comes_again_in_time_or_when_it_has_changed_or_is_asked_for() {
        let mut room = Room::new(demand(1.0));
        let (id, _) = offer(&mut room).unwrap();
        let until = Instant::now() + Duration::from_secs(600);
        room.declined(&id, Some(until));
        assert_eq!(offer(&mut room), None);
        assert_eq!(room.refused_until(), Some(until));
        assert!(room.offer(until).is_some());
        let (id, _) = match room.wish {
            Wish::Has(number) => (OfferId(number.to_string().into()), ()),
            other => panic!("{other:?}"),
        };
        room.declined(&id, None);
        room.revive();
        let (id, _) = offer(&mut room).unwrap();
        room.hold(instance(1), holding(0.5, &[]));
        room.declined(&id, None);
        assert_eq!(offer(&mut room), None);
        room.release(instance(1));
        assert!(offer(&mut room).is_some());
        room.suppress();
        room.release(instance(1));
        assert_eq!(offer(&mut room), None);
        room.revive();
        assert!(offer(&mut room).is_some());
    }

    #[test]
    fn an_answer_to_an_old_offer_changes_nothing() {
        let mut room = Room::new(demand(1.0));
        let (old, _) = offer(&mut room).unwrap();
        room.used(&old);
        let (_, _) = offer(&mut room).unwrap();
        room.declined(&old, None);
        assert!(matches!(room.wish, Wish::Has(2)));
    }

    #[test]
    fn held_ports_are_not_offered_and_a_holding_is_read_back() {
        let mut room = Room::new(demand(1.0));
        let held = holding(0.1, &[31_000, 31_005, 32_000, 80]);
        assert_eq!(Holding::decode(&held.encode()), Some(held.clone()));
        assert_eq!(Holding::decode(b"1"), None);
        assert_eq!(Holding::decode(b"1 2 x"), None);
        room.hold(instance(1), held);
        let (_, free, mut ports) = room.offer(Instant::now()).unwrap();
        assert_eq!((free.ports, ports.count()), (998, 998));
        let lowest = ports.take(5).unwrap();
        assert_eq!(lowest, [31_001, 31_002, 31_003, 31_004, 31_006]);
    }
}
