//! What `/metrics` tells of the master, counted since the start.

/// Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// SUBSCRIBED
    pub subscriptions: u64,
    /// Subscriptions that have ended.
    pub disconnections: u64,
    /// Offers that came.
    pub offers: u64,
    /// Offers that were given back.
    pub declined: u64,
    /// Offers that the master took back.
    pub rescinded: u64,
    /// Tasks that were launched.
    pub launches: u64,
    /// UPDATE
    pub updates: u64,
    /// ACKNOWLEDGE
    pub acknowledgements: u64,
    /// RECONCILE
    pub reconciliations: u64,
    /// KILL and SHUTDOWN
    pub kills: u64,
    /// REVIVE
    pub revives: u64,
    /// SUPPRESS
    pub suppresses: u64,
    /// Agents that the master has lost.
    pub agents_lost: u64,
}

impl Figures {
    /// Each with its name in `/metrics` and what it means.
    pub fn rows(&self) -> [(&'static str, &'static str, u64); 13] {
        [
            (
                "cook_mesos_subscriptions_total",
                "Subscriptions at a master.",
                self.subscriptions,
            ),
            (
                "cook_mesos_disconnections_total",
                "Subscriptions that have ended.",
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
                "Offers that the master took back.",
                self.rescinded,
            ),
            (
                "cook_mesos_launches_total",
                "Tasks launched.",
                self.launches,
            ),
            (
                "cook_mesos_updates_total",
                "Updates received, repeated ones included.",
                self.updates,
            ),
            (
                "cook_mesos_acknowledgements_total",
                "Updates acknowledged.",
                self.acknowledgements,
            ),
            (
                "cook_mesos_reconciliations_total",
                "Reconciliations asked for.",
                self.reconciliations,
            ),
            (
                "cook_mesos_kills_total",
                "Kills asked for, repeated ones included.",
                self.kills,
            ),
            (
                "cook_mesos_revives_total",
                "Times that offers were asked for.",
                self.revives,
            ),
            (
                "cook_mesos_suppresses_total",
                "Times that offers were not wanted any more.",
                self.suppresses,
            ),
            (
                "cook_mesos_agents_lost_total",
                "Agents that the master has lost.",
                self.agents_lost,
            ),
        ]
    }
}
