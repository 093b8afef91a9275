//! How long the stopping of a task may take: deadlines, computed when the order arrives.

use std::time::Duration;

use crate::words::units::{Moment, Span};

/// A part of the agent's grace period that is kept for the report, because the agent destroys the container
/// when the period ends.
const SHUTDOWN_RESERVE: Duration = Duration::from_millis(500);

/// After a kill, after commands have at least this long, so that they can release locks even with a grace
/// period of 0, as in DRAIN_AGENT.
const LEAST_AFTER: Duration = Duration::from_secs(1);

/// With less time than this, after commands are not started: a shell that is killed before it has read its
/// script leaves its work half done.
const LEAST_ROOM: Duration = Duration::from_millis(50);

/// An order to stop the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopOrder {
    /// KILL: running commands get the grace period, then after commands get the same again, but at least a
    /// second.
    Kill {
        /// The time between SIGTERM and SIGKILL.
        grace: Span,
    },
    /// SHUTDOWN, a signal, or the loss of the agent: everything within the agent's grace period.
    Shutdown {
        /// The agent's grace period.
        grace: Span,
    },
    /// `TaskInfo.max_completion_time` has passed.
    MaximumRunTime {
        /// The time between SIGTERM and SIGKILL.
        grace: Span,
    },
}

// === impl StopOrder ===

impl StopOrder {
    /// The grace period of the order.
    pub fn grace(self) -> Span {
        match self {
            Self::Kill { grace } | Self::Shutdown { grace } | Self::MaximumRunTime { grace } => {
                grace
            }
        }
    }
}

/// The deadlines that follow from all orders so far. A further order only makes them earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// When the first order arrived.
    began: Moment,
    /// When the commands that ran at the order are killed.
    stop_by: Moment,
    /// How long after commands may take, from the start of the first one or from the first order, whichever
    /// is later.
    after_for: Duration,
    /// When all processes must have ended, if the agent has set a limit.
    end_by: Option<Moment>,
    /// When to stop waiting for the terminal acknowledgement, if the agent has set a limit.
    report_by: Option<Moment>,
}

// === impl Budget ===

impl Budget {
    /// The deadlines of one order. `has_after`: whether there are after commands to run.
    pub fn new(order: StopOrder, has_after: bool, now: Moment) -> Self {
        match order {
            StopOrder::Kill { grace } | StopOrder::MaximumRunTime { grace } => Self {
                began: now,
                stop_by: now.plus(grace),
                after_for: grace.get(),
                end_by: None,
                report_by: None,
            },
            StopOrder::Shutdown { grace } => {
                let grace = grace.get();
                let whole = grace.saturating_sub(SHUTDOWN_RESERVE);
                let stop = if has_after { whole / 2 } else { whole };
                Self {
                    began: now,
                    stop_by: now.plus(stop),
                    after_for: whole,
                    end_by: Some(now.plus(whole)),
                    report_by: Some(now.plus(grace)),
                }
            }
        }
    }

    /// Adds an order; the earlier one of each two deadlines counts. The grace period of a repeated kill
    /// counts from the first order, as in the Mesos command executor; that of a shutdown counts from now.
    pub fn tightened_by(self, order: StopOrder, has_after: bool, now: Moment) -> Self {
        let from = match order {
            StopOrder::Kill { .. } | StopOrder::MaximumRunTime { .. } => self.began,
            StopOrder::Shutdown { .. } => now,
        };
        let other = Self::new(order, has_after, from);
        let earlier = |a: Option<Moment>, b: Option<Moment>| a.into_iter().chain(b).min();
        Self {
            began: self.began,
            stop_by: self.stop_by.min(other.stop_by),
            after_for: self.after_for.min(other.after_for),
            end_by: earlier(self.end_by, other.end_by),
            report_by: earlier(self.report_by, other.report_by),
        }
    }

    /// When the commands that ran at the order are killed.
    pub fn stop_by(&self) -> Moment {
        self.end_by
            .map_or(self.stop_by, |end| end.min(self.stop_by))
    }

    /// When after commands are killed, if the first one was started at `since`.
    pub fn after_by(&self, since: Moment) -> Moment {
        let granted = since.max(self.began).plus(self.after_for);
        let own = granted.max(since.plus(LEAST_AFTER));
        self.end_by.map_or(own, |end| end.min(own))
    }

    /// Whether there is enough time to start after commands.
    pub fn has_room_for_after(&self, now: Moment) -> bool {
        self.end_by.is_none_or(|end| end.since(now) >= LEAST_ROOM)
    }

    /// When to stop waiting for the terminal acknowledgement, if the agent has set a limit.
    pub fn report_by(&self) -> Option<Moment> {
        self.report_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment(Duration::from_millis(milliseconds))
    }

    const fn secs(seconds: u64) -> Span {
        Span::saturating(Duration::from_secs(seconds))
    }

    #[test]
    fn a_kill_gives_its_grace_to_running_commands_and_again_to_after_commands() {
        let budget = Budget::new(StopOrder::Kill { grace: secs(5) }, true, at(1000));
        assert_eq!(budget.stop_by(), at(6000));
        assert_eq!(budget.after_by(at(6100)), at(11_100));
        assert_eq!(budget.report_by(), None);
    }

    #[test]
    fn a_shutdown_divides_the_agents_grace_between_running_and_after_commands() {
        let order = StopOrder::Shutdown { grace: secs(5) };
        let budget = Budget::new(order, true, at(0));
        assert_eq!(budget.stop_by(), at(2250));
        assert_eq!(budget.after_by(at(2250)), at(4500));
        // After commands may use what the command leaves of its half.
        assert_eq!(budget.after_by(at(100)), at(4500));
        assert_eq!(budget.report_by(), Some(at(5000)));
        assert_eq!(Budget::new(order, false, at(0)).stop_by(), at(4500));
    }

    #[test]
    fn after_a_kill_after_commands_have_at_least_a_second() {
        let kill = |grace| StopOrder::Kill { grace: secs(grace) };
        let first = Budget::new(kill(0), true, at(1000));
        assert_eq!(first.stop_by(), at(1000));
        assert_eq!(first.after_by(at(1010)), at(2010));
        let second = first.tightened_by(kill(0), true, at(1500));
        assert_eq!(second.after_by(at(1010)), at(2010));
        // A kill that arrives while after commands have been running for long ends them after its own grace
        // period.
        let late = Budget::new(kill(2), true, at(60_000));
        assert_eq!(late.after_by(at(1000)), at(62_000));
        let at_once = Budget::new(kill(0), true, at(60_000));
        assert_eq!(at_once.after_by(at(1000)), at(60_000));
    }

    #[test]
    fn after_a_shutdown_after_commands_start_only_if_the_agents_grace_allows() {
        let shutdown = |milliseconds| StopOrder::Shutdown {
            grace: Span::saturating(Duration::from_millis(milliseconds)),
        };
        for (grace, has_room) in [(0, false), (500, false), (540, false), (600, true)] {
            let budget = Budget::new(shutdown(grace), true, at(0));
            assert_eq!(budget.has_room_for_after(at(0)), has_room, "{grace} ms");
        }
        let budget = Budget::new(shutdown(2000), true, at(0));
        assert_eq!(budget.stop_by(), at(750));
        assert_eq!(budget.after_by(at(750)), at(1500));
        assert!(!budget.has_room_for_after(at(1490)));
        // A kill alone sets no limit for the end, but a later shutdown does.
        let kill = Budget::new(StopOrder::Kill { grace: secs(0) }, true, at(0));
        assert!(kill.has_room_for_after(at(1_000_000)));
        let both = kill.tightened_by(shutdown(0), true, at(100));
        assert!(!both.has_room_for_after(at(100)));
    }

    #[test]
    fn extreme_spans_do_not_overflow() {
        let graces = [Span::ZERO, Span::MAX];
        let orders = graces.into_iter().flat_map(|grace| {
            [
                StopOrder::Kill { grace },
                StopOrder::Shutdown { grace },
                StopOrder::MaximumRunTime { grace },
            ]
        });
        let moments = [Moment::default(), Moment(Duration::MAX)];
        for (first, now) in orders.flat_map(|order| moments.map(|now| (order, now))) {
            let budget = Budget::new(first, true, now).tightened_by(first, false, now);
            assert!(budget.stop_by() >= now && budget.after_by(now) >= now);
        }
    }

    #[test]
    fn a_further_order_never_extends_a_deadline() {
        let kill = |grace| StopOrder::Kill { grace: secs(grace) };
        let first = Budget::new(kill(20), true, at(0));
        // The examples in the source of the Mesos command executor (src/launcher/executor.cpp, kill).
        for (grace, now, stop_by) in [(30, 1000, 20_000), (5, 3000, 5000), (5, 7000, 5000)] {
            let both = first.tightened_by(kill(grace), true, at(now));
            assert_eq!(both.stop_by(), at(stop_by), "{grace} s at {now} ms");
        }
        let shutdown = StopOrder::Shutdown { grace: secs(5) };
        let both = first.tightened_by(shutdown, true, at(1000));
        assert_eq!(both.stop_by(), at(3250));
        assert_eq!(both.after_by(at(3250)), at(5500));
    }
}
