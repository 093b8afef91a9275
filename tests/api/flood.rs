//! A short version of what `make torture` does: floods of connections do not block the executor. The limits
//! are generous, for loaded machines: a blocked executor takes as long as the flood. Needs root.

use std::time::Duration;

use crate::support::flood::{Order, SHAPES, Who, measure};
use crate::support::users::is_root;

const RATE: u32 = 2_000;
const TIME: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(2);

#[test]
fn a_flood_of_connections_delays_neither_orders_nor_the_tasks_requests() {
    if !is_root("a_flood_of_connections_delays_neither_orders_nor_the_tasks_requests") {
        return;
    }
    for shape in SHAPES {
        for (who, order) in [
            (Who::OtherUser, Order::Kill),
            (Who::TaskUser, Order::Shutdown),
        ] {
            let cost = measure(shape, who, order, RATE, TIME);
            assert!(cost.end < LATE, "{cost}");
            assert!(cost.own_request.is_none_or(|time| time < LATE), "{cost}");
        }
    }
}
