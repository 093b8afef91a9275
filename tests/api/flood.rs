//! A little of what `make torture` does at full length: floods of connections do not make the executor deaf.
//! Bounds are wide here, for machines that do other things meanwhile: a deaf executor takes as long as the
//! flood. Needs root.

use std::time::Duration;

use crate::support::flood::{Order, SHAPES, Who, measure};
use crate::support::users::is_root;

const RATE: u32 = 2_000;
const TIME: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(2);

#[test]
fn a_flood_of_connections_keeps_neither_orders_nor_own_requests_waiting() {
    if !is_root("a_flood_of_connections_keeps_neither_orders_nor_own_requests_waiting") {
        return;
    }
    for shape in SHAPES {
        for (who, order) in [
            (Who::Stranger, Order::Kill),
            (Who::TaskUser, Order::Shutdown),
        ] {
            let cost = measure(shape, who, order, RATE, TIME);
            assert!(cost.end < LATE, "{cost}");
            assert!(cost.own_request.is_none_or(|time| time < LATE), "{cost}");
        }
    }
}
