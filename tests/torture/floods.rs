//! Floods of connections that are reset, closed, half used or left open, by another user and by the task's
//! own user. The test prints what each flood costs, and fails if the cost exceeds a limit.

use std::time::Duration;

use crate::support::flood::{Cost, Order, SHAPES, Who, measure};
use crate::support::users::is_root;

/// The limits hold for this many connections per second. Other rates are measured too.
const RATE: u32 = 5_000;
const OTHER_RATES: [u32; 3] = [250, 1_000, 20_000];

/// How long each flood is measured.
const TIME: Duration = Duration::from_secs(2);

/// Maximum delay of orders and of the task's own requests.
const LATE: Duration = Duration::from_millis(100);

/// Maximum fraction of a processor.
const SHARE: f64 = 0.2;

fn broken(cost: &Cost) -> bool {
    let is_other_user = cost.who == Who::OtherUser;
    cost.end > LATE
        || cost.own_request.is_some_and(|time| time > LATE)
        || is_other_user && cost.share() > SHARE
}

#[test]
#[ignore = "takes the whole machine: make torture"]
fn under_5000_connections_a_second_orders_and_own_requests_are_handled_within_100_ms() {
    if !is_root("under_5000_connections_a_second_orders_and_own_requests_are_handled_within_100_ms")
    {
        return;
    }
    let others = OTHER_RATES.map(|rate| (rate, Order::Kill));
    let orders = [(RATE, Order::Kill), (RATE, Order::Shutdown)]
        .into_iter()
        .chain(others);
    let mut over = Vec::new();
    for (rate, order) in orders {
        for who in [Who::OtherUser, Who::TaskUser] {
            for shape in SHAPES {
                let cost = measure(shape, who, order, rate, TIME);
                println!("flood: {cost}");
                if rate <= RATE && broken(&cost) {
                    over.push(cost);
                }
            }
        }
    }
    assert!(over.is_empty(), "over the limit: {over:#?}");
}
