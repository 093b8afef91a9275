//! Counters for `/metrics`, since the start.

use cook_mesos::scheduler::{self as pb, CallType};

/// The counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// SUBSCRIBED events.
    pub subscriptions: u64,
    /// Ended subscriptions.
    pub disconnections: u64,
    /// Received offers.
    pub offers: u64,
    /// Declined offers.
    pub declined: u64,
    /// Rescinded offers.
    pub rescinded: u64,
    /// Launched tasks.
    pub launches: u64,
    /// UPDATE events.
    pub updates: u64,
    /// ACKNOWLEDGE calls.
    pub acknowledgements: u64,
    /// RECONCILE calls.
    pub reconciliations: u64,
    /// KILL and SHUTDOWN calls.
    pub kills: u64,
    /// REVIVE calls.
    pub revives: u64,
    /// SUPPRESS calls.
    pub suppresses: u64,
    /// FAILURE events about an agent.
    pub agents_lost: u64,
}

impl Figures {
    /// Counts a call that is sent.
    pub fn count(&mut self, call: &pb::Call) {
        let kind = call.kind.and_then(|kind| CallType::try_from(kind).ok());
        match kind.unwrap_or(CallType::Unknown) {
            CallType::Accept => self.launches += launched(call),
            CallType::Decline => self.declined += 1,
            CallType::Revive => self.revives += 1,
            CallType::Suppress => self.suppresses += 1,
            CallType::Kill | CallType::Shutdown => self.kills += 1,
            CallType::Acknowledge => self.acknowledgements += 1,
            CallType::Reconcile => self.reconciliations += 1,
            CallType::Subscribe | CallType::Teardown | CallType::Message | CallType::Unknown => {}
        }
    }

    /// Name, help text and value of each counter.
    pub fn rows(&self) -> [(&'static str, &'static str, u64); 13] {
        [
            (
                "cook_mesos_subscriptions_total",
                "Subscriptions with a master.",
                self.subscriptions,
            ),
            (
                "cook_mesos_disconnections_total",
                "Ended subscriptions.",
                self.disconnections,
            ),
            ("cook_mesos_offers_total", "Offers received.", self.offers),
            (
                "cook_mesos_offers_declined_total",
                "Offers declined.",
                self.declined,
            ),
            (
                "cook_mesos_offers_rescinded_total",
                "Offers that the master has rescinded.",
                self.rescinded,
            ),
            (
                "cook_mesos_launches_total",
                "Tasks launched.",
                self.launches,
            ),
            (
                "cook_mesos_updates_total",
                "Status updates received, including repeats.",
                self.updates,
            ),
            (
                "cook_mesos_acknowledgements_total",
                "Status updates acknowledged.",
                self.acknowledgements,
            ),
            (
                "cook_mesos_reconciliations_total",
                "Reconciliations requested.",
                self.reconciliations,
            ),
            (
                "cook_mesos_kills_total",
                "Kills requested, including repeats.",
                self.kills,
            ),
            (
                "cook_mesos_revives_total",
                "REVIVE calls: requests for offers.",
                self.revives,
            ),
            (
                "cook_mesos_suppresses_total",
                "SUPPRESS calls: no offers wanted.",
                self.suppresses,
            ),
            (
                "cook_mesos_agents_lost_total",
                "Agents reported as lost.",
                self.agents_lost,
            ),
        ]
    }
}

/// The number of tasks in an ACCEPT.
fn launched(call: &pb::Call) -> u64 {
    let operations = call.accept.iter().flat_map(|accept| &accept.operations);
    let launches = operations.filter_map(|operation| operation.launch.as_ref());
    launches.map(|launch| launch.task_infos.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_operators_explains_every_figure() {
        let page = include_str!("../../../../packaging/docs/scheduler-mesos.md");
        for (name, _, _) in Figures::default().rows() {
            assert!(page.contains(&format!("`{name}`")), "{name} is missing");
        }
    }
}
