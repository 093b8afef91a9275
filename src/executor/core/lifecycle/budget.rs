//! How long the stopping of a task may take: arithmetic on deadlines, computed once.

use std::time::Duration;

use crate::words::units::{Moment, Span};

/// Kept of the agent's grace period for the report, since the agent destroys the container at its
/// end, whatever happens.
const SHUTDOWN_RESERVE: Duration = Duration::from_millis(500);

/// Somebody wants the task to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopOrder {
    /// KILL: what runs gets the grace period, then the after commands get the same again.
    Kill {
        /// Between SIGTERM and SIGKILL.
        grace: Span,
    },
    /// SHUTDOWN, a signal, or no agent any more: all of it within the agent's grace period.
    Shutdown {
        /// The agent's grace period.
        grace: Span,
    },
    /// `TaskInfo.max_completion_time` is over.
    MaximumRunTime {
        /// Between SIGTERM and SIGKILL.
        grace: Span,
    },
}

/// The limits that follow from the orders given so far. Another order only ever tightens them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// When the first order came.
    began: Moment,
    /// What was running when the order came is killed at this moment.
    stop_by: Moment,
    /// How long the after commands may take once they begin.
    after_for: Duration,
    /// The end of every process, if the agent set one.
    end_by: Option<Moment>,
    /// The end of waiting for the terminal acknowledgement, if the agent set one.
    report_by: Option<Moment>,
}

// === impl Budget ===

impl Budget {
    /// The limits of one order, for a task that has after commands to run, or has not.
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
                let reserve = SHUTDOWN_RESERVE.min(grace / 2);
                let whole = grace.saturating_sub(reserve);
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

    /// Takes a further order: each limit becomes the tighter one. The grace of a repeated kill counts
    /// from the first order, as in the Mesos command executor; the agent's counts from now.
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

    /// When what was running is killed.
    pub fn stop_by(&self) -> Moment {
        self.end_by
            .map_or(self.stop_by, |end| end.min(self.stop_by))
    }

    /// When after commands that begin `now` are killed.
    pub fn after_by(&self, now: Moment) -> Moment {
        let own = now.plus(self.after_for);
        self.end_by.map_or(own, |end| end.min(own))
    }

    /// How long the terminal acknowledgement may be waited for, if the agent set a limit.
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
    fn a_kill_gives_its_grace_to_what_runs_and_again_to_the_after_commands() {
        let budget = Budget::new(StopOrder::Kill { grace: secs(5) }, true, at(1000));
        assert_eq!(budget.stop_by(), at(6000));
        assert_eq!(budget.after_by(at(6100)), at(11_100));
        assert_eq!(budget.report_by(), None);
    }

    #[test]
    fn a_shutdown_fits_into_the_agents_grace_with_half_of_it_for_each() {
        let order = StopOrder::Shutdown { grace: secs(5) };
        let budget = Budget::new(order, true, at(0));
        assert_eq!(budget.stop_by(), at(2250));
        assert_eq!(budget.after_by(at(2250)), at(4500));
        // What the command leaves of its half, the after commands may use.
        assert_eq!(budget.after_by(at(100)), at(4500));
        assert_eq!(budget.report_by(), Some(at(5000)));
        assert_eq!(Budget::new(order, false, at(0)).stop_by(), at(4500));
    }

    #[test]
    fn another_order_only_tightens() {
        let kill = |grace| StopOrder::Kill { grace: secs(grace) };
        let first = Budget::new(kill(20), true, at(0));
        // The examples of the Mesos command executor (src/launcher/executor.cpp, kill).
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
