//! Responses cut off after each of their bytes. Hundreds of backends run in this process, without the program.

use std::rc::Rc;
use std::time::Duration;

use cook_mesos::scheduler::CallType;
use cook_scheduler::backend::Backend;
use cook_scheduler::backend::mesos::{Address, Masters, Mesos, Settings};
use cook_scheduler::codec::config::ExecutorSettings;
use cook_scheduler::core::backend::{BackendEvent, Call, FrameworkId};
use cook_test_master::script::Trouble;
use cook_test_master::{Heartbeats, Master};
use smol::LocalExecutor;
use smol::channel::Receiver;

use crate::server::DEADLINE;

/// The number of masters that run at the same time. Most of the time is spent in the pauses of the backends.
const TOGETHER: usize = 40;

/// More bytes than the response to SUBSCRIBE has, including its first event.
const STREAM: usize = 280;

/// The number of bytes of the response to any other call.
const REPLY: usize = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".len();

fn start(
    master: &Master,
    executor: &Rc<LocalExecutor<'static>>,
) -> (Mesos, Receiver<BackendEvent>) {
    let address = Address::parse(&master.address().to_string()).expect("an address");
    let settings = Settings {
        masters: Masters::new(vec![address]).expect("one"),
        login: None,
        principal: None,
        name: "test".to_owned(),
        role: "*".to_owned(),
        failover_timeout: Duration::from_secs(60),
        run_as_user: None,
        user: "nobody".to_owned(),
        hostname: "here".to_owned(),
        web_page: None,
        executor: ExecutorSettings::default(),
        executor_file: None,
        max_runtime: None,
        seed: 1,
    };
    let (mesos, told, _) = Mesos::start(settings, None, executor);
    (mesos, told)
}

async fn subscribed(told: &Receiver<BackendEvent>) -> FrameworkId {
    loop {
        match told.recv().await.expect("it lives") {
            BackendEvent::Subscribed(framework) => return framework.expect("a master's"),
            BackendEvent::Disconnected => (),
            other => panic!("{other:?}"),
        }
    }
}

/// Runs a check for each length below `end`, many at the same time.
fn for_each_length<F: Future<Output = ()> + 'static>(
    end: usize,
    check: impl Fn(Rc<Master>, Rc<LocalExecutor<'static>>, usize) -> F + 'static,
) {
    let check = Rc::new(check);
    let executor = Rc::new(LocalExecutor::new());
    let workers: Vec<_> = (0..TOGETHER)
        .map(|first| {
            let (check, own) = (Rc::clone(&check), Rc::clone(&executor));
            executor.spawn(async move {
                let master = Rc::new(Master::start(Heartbeats::Usual).expect("a port"));
                for length in (first..end).step_by(TOGETHER) {
                    check(Rc::clone(&master), Rc::clone(&own), length).await;
                }
                let violations = master.inspect(|journal| journal.violations().join("\n"));
                assert_eq!(violations, "");
            })
        })
        .collect();
    let all = async {
        for worker in workers {
            worker.await;
        }
    };
    let deadline = async {
        smol::Timer::after(DEADLINE).await;
        panic!("it has not ended");
    };
    smol::block_on(executor.run(smol::future::or(all, deadline)));
}

#[test]
fn the_response_to_subscribe_may_end_after_each_byte() {
    for_each_length(STREAM, |master, executor, length| async move {
        master.trouble(CallType::Subscribe, Trouble::Cut(length));
        let (_mesos, told) = start(&master, &executor);
        let first = subscribed(&told).await;
        // If the whole event was read before the end, this was a subscription, and another one follows.
        if Some(&*first.0) != master.framework().as_deref() || !master.is_subscribed() {
            assert_eq!(subscribed(&told).await, first);
        }
        assert!(master.is_subscribed());
    });
}

#[test]
fn the_response_to_a_call_may_end_after_each_byte() {
    for_each_length(REPLY, |master, executor, length| async move {
        let (mesos, told) = start(&master, &executor);
        let first = subscribed(&told).await;
        let mark = master.mark();
        master.trouble(CallType::Suppress, Trouble::Cut(length));
        mesos.call(Call::Suppress);
        mesos.call(Call::Revive);
        assert_eq!(subscribed(&told).await, first);
        let count = |kind| master.inspect(|journal| journal.calls(kind, mark).count());
        assert_eq!(count(CallType::Suppress), 1, "made once");
        assert_eq!(
            count(CallType::Revive),
            0,
            "what waited behind it is not made later"
        );
    });
}
