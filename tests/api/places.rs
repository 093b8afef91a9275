//! Where the task API listens if another user occupies the ports. The test has its own network namespace
//! with few ports. Needs root.

use std::process::{Command, Stdio};

use crate::support::users::is_root;
use crate::support::{Run, Setup};
use cook_mesos::messages::TaskState::Finished;
use serde_json::json;

/// The kernel may assign only ten ports.
const FEW: &str =
    "ip link set lo up && echo '40000 40009' > /proc/sys/net/ipv4/ip_local_port_range";

/// A program of another user that holds sockets until the executor has ended. It reports when it has all of
/// them.
fn hold(sockets: &str) -> String {
    format!(
        "rm -f held; mkfifo held; setpriv --reuid 2002 --regid 2002 --clear-groups env -i \
         perl -MSocket -e '\
         sub new {{ socket(my $one, PF_INET, SOCK_STREAM, 0) or die; push @held, $one; $one }} \
         {sockets} \
         open(my $ready, \">\", \"/dev/stdout\"); print $ready \"held\\n\"; close $ready; \
         close STDOUT; my $parent = getppid(); \
         select(undef, undef, undef, 0.05) while getppid() == $parent' > held & read _ < held"
    )
}

/// Opens connections from all assignable ports of 127.0.0.1: others can still connect from these ports, but
/// not listen on them.
const CONNECTED: &str = "my $server = new; \
     bind($server, pack_sockaddr_in(50_000, INADDR_LOOPBACK)) or die $!; listen($server, 100); \
     for (1..10) { connect(new, pack_sockaddr_in(50_000, INADDR_LOOPBACK)) or die $!; }";

/// Occupies ports of all addresses.
fn taken(from: u16, to: u16) -> String {
    format!("for ({from}..{to}) {{ bind(new, pack_sockaddr_in($_, INADDR_ANY)) or die $!; }}")
}

fn can_do(test: &str) -> bool {
    let works = Command::new("unshare")
        .args(["--net", "sh", "-c"])
        .arg(format!("{FEW} && perl -MSocket -e 1"))
        .stderr(Stdio::null())
        .status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: it needs unshare --net, ip and perl"
        );
    }
    works
}

/// Runs a task in such a namespace after these commands. Returns what it wrote to `endpoint`, the response
/// of the API, and the task's message.
fn endpoint_after(commands: &[String]) -> (Run, String, String) {
    let script = [&[FEW.to_owned()], commands, &["exec \"$EXE\"".to_owned()]].concat();
    std::fs::create_dir_all(std::env::temp_dir()).expect("a folder");
    let setup = Setup::new()
        .agent(|config| config.socket = Some(socket_path()))
        .prelude(format!(
            "export EXE=\"$0\"; chmod 777 .; exec unshare --net sh -c '{}'",
            script.join("; ").replace('\'', r"'\''")
        ));
    let job = json!({
        "command": "echo ${EXECUTOR_ENDPOINT-unset} > endpoint; \
             test -z \"$EXECUTOR_ENDPOINT\" || curl -sf --local-port 6000-6100 $EXECUTOR_ENDPOINT > view",
    });
    let run = setup.launch(job);
    let ended = run.finish();
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    let endpoint = run.sandbox.read("endpoint").trim().to_owned();
    (run, endpoint, ended.message)
}

fn socket_path() -> std::path::PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("cook-places-{}-{number}.sock", std::process::id()))
}

#[test]
fn occupying_all_ports_of_an_address_does_not_prevent_the_api() {
    let test = "occupying_all_ports_of_an_address_does_not_prevent_the_api";
    if !is_root(test) || !can_do(test) {
        return;
    }
    let (run, endpoint, _) = endpoint_after(&[hold(CONNECTED)]);
    assert!(
        endpoint.starts_with("http://127.") && !endpoint.starts_with("http://127.0.0.1:"),
        "{endpoint}"
    );
    assert!(run.sandbox.read("view").contains("TASK_RUNNING"));
}

#[test]
fn occupying_all_assignable_ports_does_not_prevent_the_api() {
    let test = "occupying_all_assignable_ports_does_not_prevent_the_api";
    if !is_root(test) || !can_do(test) {
        return;
    }
    let (run, endpoint, _) = endpoint_after(&[hold(&taken(40_000, 40_009))]);
    let port = endpoint.strip_prefix("http://127.0.0.1:");
    let port = port
        .and_then(|rest| rest.split_once('/'))
        .map(|(port, _)| port);
    let port: u16 = port.and_then(|port| port.parse().ok()).expect(&endpoint);
    assert!((20_000..=30_999).contains(&port), "{endpoint}");
    assert!(run.sandbox.read("view").contains("TASK_RUNNING"));
}

#[test]
fn without_any_port_there_is_no_endpoint_and_log_and_message_say_so() {
    let test = "without_any_port_there_is_no_endpoint_and_log_and_message_say_so";
    if !is_root(test) || !can_do(test) {
        return;
    }
    let all = [
        "ulimit -n 20000".to_owned(),
        hold(&(taken(40_000, 40_009) + &taken(20_000, 30_999))),
    ];
    let (run, endpoint, message) = endpoint_after(&all);
    assert_eq!(endpoint, "unset");
    assert_eq!(
        message,
        "Command exited with status 0 (there was no task API: EXECUTOR_ENDPOINT was not set)"
    );
    let log = run.sandbox.read("executor.log");
    assert!(
        log.contains("EXECUTOR_ENDPOINT is not set: no port is free"),
        "{log}"
    );
}
