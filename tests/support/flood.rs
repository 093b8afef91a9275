//! Opens a flood of connections, and measures what it costs: how long the executor takes for a request of the
//! task and for a KILL or SHUTDOWN of the agent during the flood, and how much processor time it uses.

use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cook_mesos::messages::TaskState::Killed;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, connect, send, socket_with, sockopt,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use super::executor::{Setup, TASK};
use super::raw::Target;
use super::users::{AS_TASK_USER, OTHER_USER, TASK_USER, as_user};

/// What a flood does with each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Reset at once.
    Reset,
    /// Closed at once.
    Closed,
    /// Kept open after half a request, up to a limit.
    Half,
    /// Kept open without sending anything, up to a limit.
    Open,
}

/// The user of the flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    OtherUser,
    TaskUser,
}

/// What ends the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Kill,
    Shutdown,
}

/// The cost of a flood.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub shape: Shape,
    pub who: Who,
    pub order: Order,
    /// Connections per second.
    pub rate: f64,
    /// The longest request of the task's user. Not measured if that user makes the flood.
    pub own_request: Option<Duration>,
    /// From the order until the terminal update.
    pub end: Duration,
    /// Processor time of the executor's main thread for each connection.
    pub processor: Duration,
}

pub const SHAPES: [Shape; 4] = [Shape::Reset, Shape::Closed, Shape::Half, Shape::Open];

/// Maximum number of open connections. The oldest one is closed for a new one.
const MOST_OPEN: u64 = 8_000;

/// Number of the task's own requests during a flood.
const REQUESTS: u32 = 20;

// === impl Who ===

impl Who {
    fn user(self) -> u32 {
        match self {
            Self::OtherUser => OTHER_USER,
            Self::TaskUser => TASK_USER,
        }
    }
}

/// Connects to the port until `stop` is set, at most `rate` times a second. Counts the connections.
fn flood(port: u16, shape: Shape, rate: u32, stop: &AtomicBool, made: &AtomicU32) {
    let most = usize::try_from(getrlimit(Resource::Nofile).current.unwrap_or(MOST_OPEN) / 2);
    let most = most.unwrap_or_default();
    let began = Instant::now();
    let mut open = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        let number = made.load(Ordering::Relaxed);
        let due = began.elapsed().as_secs_f64() * f64::from(rate);
        if f64::from(number) > due {
            thread::park_timeout(Duration::from_micros(500));
            continue;
        }
        if let Some(socket) = connected(port, number) {
            match shape {
                Shape::Reset => {
                    let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
                }
                Shape::Closed => {}
                Shape::Half => {
                    let _ = send(&socket, b"PATCH /task/ta", SendFlags::NOSIGNAL);
                    open.push_back(socket);
                }
                Shape::Open => open.push_back(socket),
            }
            if open.len() > most {
                open.pop_front();
            }
        }
        made.store(number + 1, Ordering::Relaxed);
    }
}

/// A connection that may not be established yet, because a flood does not wait. Each one comes from another
/// address, so that ports in TIME_WAIT do not end the flood.
fn connected(port: u16, number: u32) -> Option<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).ok()?;
    let [_, _, c, d] = number.to_be_bytes();
    let from = SocketAddrV4::new(Ipv4Addr::new(127, 77, c, d.clamp(1, 254)), 0);
    bind(&socket, &from).ok()?;
    let _ = connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    Some(socket)
}

/// Floods a task's API for some time, and ends the task in the middle of it. Needs root.
pub fn measure(shape: Shape, who: Who, order: Order, rate: u32, time: Duration) -> Cost {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit
            .maximum
            .map_or(Some(2 * MOST_OPEN), |most| Some(most.min(2 * MOST_OPEN))),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, wanted).expect("below the hard limit");
    let target = Target::with(Setup::new().prelude(AS_TASK_USER), json!({}));
    let (stop, made) = (AtomicBool::new(false), AtomicU32::new(0));
    let cost = thread::scope(|scope| {
        scope.spawn(|| {
            as_user(who.user(), || flood(target.port, shape, rate, &stop, &made));
        });
        // The flood stops in any case, so that a failure does not wait for it.
        let stopping = Stopping(&stop);
        while made.load(Ordering::Relaxed) < rate / 5 {
            thread::park_timeout(Duration::from_millis(1));
        }
        let (began, before) = (
            Instant::now(),
            (made.load(Ordering::Relaxed), processor(&target)),
        );
        let own_request = (who == Who::OtherUser).then(|| own_requests(&target, time));
        while began.elapsed() < time {
            thread::park_timeout(Duration::from_millis(1));
        }
        let after = (made.load(Ordering::Relaxed), processor(&target));
        let lasted = began.elapsed();
        let ordered = Instant::now();
        match order {
            Order::Kill => target.run.agent.kill(TASK, None),
            Order::Shutdown => target.run.agent.shutdown(),
        }
        target
            .run
            .wait_until("the end", |journal| journal.terminal_of(TASK).is_some());
        let end = ordered.elapsed();
        drop(stopping);
        let connections = after.0 - before.0;
        Cost {
            shape,
            who,
            order,
            rate: f64::from(connections) / lasted.as_secs_f64(),
            own_request,
            end,
            processor: (after.1 - before.1) / connections.max(1),
        }
    });
    assert_eq!(target.run.finish().state, Killed);
    cost
}

/// The longest of several requests over separate connections, distributed over the time.
fn own_requests(target: &Target, time: Duration) -> Duration {
    as_user(TASK_USER, || {
        let mut longest = Duration::ZERO;
        for _ in 0..REQUESTS {
            let began = Instant::now();
            target.view();
            longest = longest.max(began.elapsed());
            while began.elapsed() < time / REQUESTS {
                thread::park_timeout(Duration::from_millis(1));
            }
        }
        longest
    })
}

/// The processor time of the executor's main thread so far.
fn processor(target: &Target) -> Duration {
    let text = target.proc("schedstat");
    let word = text.split_whitespace().next();
    Duration::from_nanos(word.and_then(|word| word.parse().ok()).expect("a number"))
}

/// Stops a flood when dropped.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

// === impl Cost ===

impl Cost {
    /// The fraction of a processor that the executor used.
    pub fn share(&self) -> f64 {
        self.processor.as_secs_f64() * self.rate
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.own_request.map_or("-".to_owned(), |time| {
            format!("{:.1} ms", time.as_secs_f64() * 1e3)
        });
        write!(
            f,
            "{:>9} {:<7} {:>6.0}/s: own request {own:>9}, {:>8} handled in {:>7.1} ms, {:>5.1} us a connection, \
             {:>2.0} % of a processor",
            format!("{:?}", self.who),
            format!("{:?}", self.shape),
            self.rate,
            format!("{:?}", self.order),
            self.end.as_secs_f64() * 1e3,
            self.processor.as_secs_f64() * 1e6,
            self.share() * 100.0,
        )
    }
}
