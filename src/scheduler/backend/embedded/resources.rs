//! The machine's resources, which instance uses them, and when the rest is offered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::core::backend::OfferId;
use crate::core::words::{Amount, Demand, InstanceId, PortRange, Ports};

/// The ports that jobs can use; the same as a Mesos agent's by default.
const FIRST_PORT: u16 = 31_000;
const LAST_PORT: u16 = 32_000;

/// Open files of this process per instance: at most the pidfd, the record and up to two connections of its
/// executor; or, while files are fetched, the record, both outputs, and the pidfd and a pipe of the fetcher.
const FILES_PER_INSTANCE: u64 = 5;

/// Open files kept for everything else: 256 connections of the API, the listening sockets, the store and
/// files that are being served. Never more than half of the limit.
const FILES_RESERVED: u64 = 320;

/// The resources of the machine.
#[derive(Clone, Debug)]
pub struct Resources {
    capacity: Demand,
    holdings: BTreeMap<InstanceId, Holding>,
    /// The instances that may have open files: more than `holdings`, because an executor exits after its
    /// task's end.
    alive: BTreeSet<InstanceId>,
    /// Maximum number of `alive`.
    most_alive: usize,
    offers: u64,
    state: OfferState,
}

/// The resources that an instance uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Cpus and memory.
    pub demand: Demand,
    /// Ports.
    pub ports: Vec<u16>,
}

/// What is free now.
#[derive(Clone, Debug, PartialEq)]
pub struct Free {
    /// The offer's id.
    pub id: OfferId,
    /// The free resources.
    pub resources: Demand,
    /// The free ports.
    pub ports: Ports,
    /// Maximum number of instances that may be started with them.
    pub most_tasks: usize,
}

/// Whether an offer may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OfferState {
    /// An offer may be made.
    Allowed,
    /// The offer with this number was made and not answered yet.
    Open(u64),
    /// The last offer was declined: no offer until this moment, or, without one, until the resources
    /// change.
    Declined(Option<Instant>),
    /// The core wants no offers.
    Suppressed,
}

// === impl Resources ===

impl Resources {
    /// All resources are free; at most `most_alive` instances may be alive at once.
    pub fn new(capacity: Demand, most_alive: usize) -> Self {
        Self {
            capacity: Demand {
                ports: u32::from(LAST_PORT - FIRST_PORT) + 1,
                ..capacity
            },
            holdings: BTreeMap::new(),
            alive: BTreeSet::new(),
            most_alive,
            offers: 0,
            state: OfferState::Allowed,
        }
    }

    /// The total resources.
    pub fn capacity(&self) -> Demand {
        self.capacity
    }

    /// An instance uses these resources from now on.
    pub fn hold(&mut self, instance: InstanceId, holding: Holding) {
        self.holdings.insert(instance, holding);
        self.alive.insert(instance);
    }

    /// Whether the maximum number of instances is alive, so that nothing is offered.
    pub fn is_full(&self) -> bool {
        self.alive.len() >= self.most_alive
    }

    /// Nothing is left of an instance, not even its executor.
    pub fn forget(&mut self, instance: InstanceId) {
        self.release(instance);
        let was_full = self.is_full();
        if self.alive.remove(&instance)
            && was_full
            && let OfferState::Declined(_) = self.state
        {
            self.state = OfferState::Allowed;
        }
    }

    /// An instance has ended, and its resources are free. There is now more to offer than when the last
    /// offer was declined.
    pub fn release(&mut self, instance: InstanceId) {
        if self.holdings.remove(&instance).is_some()
            && let OfferState::Declined(_) = self.state
        {
            self.state = OfferState::Allowed;
        }
    }

    /// An offer was used; the remaining resources may be offered.
    pub fn used(&mut self, offer: &OfferId) {
        if self.is_current(offer) {
            self.state = OfferState::Allowed;
        }
    }

    /// An offer was declined.
    pub fn declined(&mut self, offer: &OfferId, until: Option<Instant>) {
        if self.is_current(offer) {
            self.state = OfferState::Declined(until);
        }
    }

    /// The core wants offers.
    pub fn revive(&mut self) {
        if let OfferState::Declined(_) | OfferState::Suppressed = self.state {
            self.state = OfferState::Allowed;
        }
    }

    /// The core wants no offers.
    pub fn suppress(&mut self) {
        self.state = OfferState::Suppressed;
    }

    /// The moment from which a declined offer may be repeated.
    pub fn declined_until(&self) -> Option<Instant> {
        match self.state {
            OfferState::Declined(until) => until,
            OfferState::Allowed | OfferState::Open(_) | OfferState::Suppressed => None,
        }
    }

    /// What an offer contains, if one may be made now.
    pub fn offer(&mut self, now: Instant) -> Option<Free> {
        match self.state {
            OfferState::Allowed => {}
            OfferState::Declined(Some(until)) if until <= now => {}
            OfferState::Declined(_) | OfferState::Open(_) | OfferState::Suppressed => return None,
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
        let most_tasks = self.most_alive.saturating_sub(self.alive.len());
        if free.cpus == Amount::ZERO || free.mem == Amount::ZERO || most_tasks == 0 {
            // The next instance that ends frees resources, or its open files when it is forgotten.
            self.state = OfferState::Declined(None);
            return None;
        }
        self.offers += 1;
        self.state = OfferState::Open(self.offers);
        Some(Free {
            id: OfferId(self.offers.to_string().into()),
            resources: free,
            ports,
            most_tasks,
        })
    }

    fn is_current(&self, offer: &OfferId) -> bool {
        matches!(self.state, OfferState::Open(number) if *number.to_string() == *offer.0)
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

/// How many instances may be alive at once with this limit of open files; `None` means unlimited. If they
/// used up all open files, nobody could connect any more, not even the executors that they wait for.
pub fn most_alive(open_files: Option<u64>) -> usize {
    let Some(limit) = open_files else {
        return usize::MAX;
    };
    let reserved = FILES_RESERVED.min(limit / 2);
    let most = (limit - reserved) / FILES_PER_INSTANCE;
    usize::try_from(most).unwrap_or(usize::MAX).max(1)
}

// === impl Holding ===

impl Holding {
    /// The form that the agent stores: thousandths of cpus and megabytes, then ports.
    pub fn encode(&self) -> Vec<u8> {
        let Demand { cpus, mem, .. } = self.demand;
        let mut text = format!("{} {}", cpus.thousandths(), mem.thousandths());
        for port in &self.ports {
            text += &format!(" {port}");
        }
        text.into_bytes()
    }

    /// `None` if the bytes were not written by this program.
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

    fn offer(resources: &mut Resources) -> Option<(OfferId, Demand)> {
        let free = resources.offer(Instant::now())?;
        Some((free.id, free.resources))
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
    fn remaining_resources_are_offered_until_none_are_left() {
        let mut resources = Resources::new(demand(2.0), usize::MAX);
        let (id, free) = offer(&mut resources).unwrap();
        assert_eq!(free.cpus, Amount::from_f64(2.0));
        assert_eq!(
            offer(&mut resources),
            None,
            "there is at most one open offer"
        );
        resources.used(&id);
        resources.hold(instance(1), holding(1.5, &[]));
        let (id, free) = offer(&mut resources).unwrap();
        assert_eq!(free.cpus, Amount::from_f64(0.5));
        resources.used(&id);
        resources.hold(instance(2), holding(0.5, &[]));
        assert_eq!(offer(&mut resources), None);
        resources.release(instance(1));
        assert!(offer(&mut resources).is_some());
    }

    #[test]
    fn a_declined_offer_is_repeated_after_a_time_a_change_or_a_revive() {
        let mut resources = Resources::new(demand(1.0), usize::MAX);
        let (id, _) = offer(&mut resources).unwrap();
        let until = Instant::now() + Duration::from_secs(600);
        resources.declined(&id, Some(until));
        assert_eq!(offer(&mut resources), None);
        assert_eq!(resources.declined_until(), Some(until));
        assert!(resources.offer(until).is_some());
        let (id, _) = match resources.state {
            OfferState::Open(number) => (OfferId(number.to_string().into()), ()),
            other => panic!("{other:?}"),
        };
        resources.declined(&id, None);
        resources.revive();
        let (id, _) = offer(&mut resources).unwrap();
        resources.hold(instance(1), holding(0.5, &[]));
        resources.declined(&id, None);
        assert_eq!(offer(&mut resources), None);
        resources.release(instance(1));
        assert!(offer(&mut resources).is_some());
        resources.suppress();
        resources.release(instance(1));
        assert_eq!(offer(&mut resources), None);
        resources.revive();
        assert!(offer(&mut resources).is_some());
    }

    #[test]
    fn the_limit_of_open_files_limits_the_instances() {
        assert_eq!(most_alive(None), usize::MAX);
        assert_eq!(most_alive(Some(0)), 1, "one at a time always runs");
        assert_eq!(most_alive(Some(64)), 6);
        assert_eq!(most_alive(Some(1024)), 140);
        assert_eq!(most_alive(Some(1 << 20)), 209_651);
        let most = u64::try_from(most_alive(Some(u64::MAX))).unwrap();
        assert!(most > 1 << 60);
    }

    #[test]
    fn nothing_is_offered_while_too_many_instances_are_alive() {
        let mut resources = Resources::new(demand(2.0), 2);
        resources.hold(instance(1), holding(0.1, &[]));
        let free = resources.offer(Instant::now()).unwrap();
        assert_eq!(free.most_tasks, 1);
        resources.used(&free.id);
        resources.hold(instance(2), holding(0.1, &[]));
        assert_eq!(offer(&mut resources), None);
        assert_eq!(resources.declined_until(), None, "nothing to wait for");
        resources.release(instance(1));
        assert_eq!(offer(&mut resources), None, "its executor is still there");
        assert!(resources.is_full());
        resources.forget(instance(1));
        assert_eq!(resources.offer(Instant::now()).unwrap().most_tasks, 1);
    }

    #[test]
    fn a_declined_offer_is_not_repeated_before_its_time() {
        let mut resources = Resources::new(demand(1.0), usize::MAX);
        let now = Instant::now();
        let (until, later) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
        for (at, until) in [(now, until), (until, later)] {
            let free = resources.offer(at).unwrap();
            resources.declined(&free.id, Some(until));
            assert_eq!(resources.offer(at), None);
            assert_eq!(resources.declined_until(), Some(until));
        }
        let free = resources.offer(later).unwrap();
        resources.suppress();
        resources.declined(&free.id, Some(until));
        assert_eq!(resources.offer(later), None, "none is wanted");
    }

    #[test]
    fn an_answer_to_an_old_offer_has_no_effect() {
        let mut resources = Resources::new(demand(1.0), usize::MAX);
        let (old, _) = offer(&mut resources).unwrap();
        resources.used(&old);
        let (_, _) = offer(&mut resources).unwrap();
        resources.declined(&old, None);
        assert!(matches!(resources.state, OfferState::Open(2)));
    }

    #[test]
    fn used_ports_are_not_offered_and_a_holding_is_decoded_back() {
        let mut resources = Resources::new(demand(1.0), usize::MAX);
        let held = holding(0.1, &[31_000, 31_005, 32_000, 80]);
        assert_eq!(Holding::decode(&held.encode()), Some(held.clone()));
        assert_eq!(Holding::decode(b"1"), None);
        assert_eq!(Holding::decode(b"1 2 x"), None);
        resources.hold(instance(1), held);
        let mut free = resources.offer(Instant::now()).unwrap();
        assert_eq!((free.resources.ports, free.ports.count()), (998, 998));
        let lowest = free.ports.take(5).unwrap();
        assert_eq!(lowest, [31_001, 31_002, 31_003, 31_004, 31_006]);
    }
}
