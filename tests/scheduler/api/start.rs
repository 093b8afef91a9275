//! Failed starts: exit status 2, and a text that says what is wrong and what would be right.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::server::{Folder, program};

fn refused(arguments: &[&str], configuration: Option<&str>) -> String {
    let folder = Folder::new();
    let mut command = program();
    command
        .args(arguments)
        .arg("--data")
        .arg(folder.0.join("data"));
    if let Some(text) = configuration {
        command.arg("--config").arg(folder.file("config.edn", text));
    }
    let output = command.stdin(Stdio::null()).output().expect("run");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(2),
        "{arguments:?} {configuration:?}: {text}"
    );
    assert_eq!(output.stdout, b"", "it must not serve");
    text
}

#[test]
fn unusable_arguments_are_explained() {
    for (arguments, wanted) in [
        (
            &["--lisen", "x"][..],
            "there is no option --lisen; see cook-scheduler --help",
        ),
        (&["--listen", "12321"], "--listen must be ADDRESS:PORT"),
        (
            &["--listen", "192.0.2.1:1"],
            "can be reached from other machines",
        ),
        (&["--listen", "0.0.0.0:0"], ":valid-logins"),
        (
            &["--config", "/nowhere/at.edn"],
            "cannot read the configuration /nowhere/at.edn",
        ),
        (&["--master", "zk://a/b"], "list the masters"),
    ] {
        let text = refused(arguments, None);
        assert!(text.contains(wanted), "{arguments:?}: {text}");
    }
}

#[test]
fn unusable_configurations_are_explained() {
    for (configuration, wanted) in [
        ("", "config.edn, line 1, column 1: there is no value here"),
        ("{:port}", "line 1, column 2: :port has no value"),
        (
            "{:port 1\n :port 2}",
            "line 2, column 2: :port occurs twice in this map",
        ),
        (
            "{:port \"x\"}",
            ":port must be a whole number from 1 to 65535",
        ),
        (
            "{:executor {:comand \"x\"}}",
            ":executor :comand is not a known key (did you mean :command?)",
        ),
        (
            "{:executor\n {:default-progress-regex-string \"(\"}}",
            "line 2, column 34: :executor :default-progress-regex-string must be a regular expression",
        ),
        (
            "{:executor {:uris [{:value \"/nowhere/tool\"}]}}",
            "/nowhere/tool",
        ),
        (
            "{:authorization {:http-basic true}}",
            "would accept any password",
        ),
    ] {
        let text = refused(&["--listen", "127.0.0.1:0"], Some(configuration));
        assert!(text.contains(wanted), "{configuration}: {text}");
    }
}

#[test]
fn errors_contain_no_control_characters_of_the_configuration() {
    for configuration in ["{:executor {:\u{1b}[31mx 1}}", "{:port 1\0}", "{\u{7f}"] {
        let text = refused(&["--listen", "127.0.0.1:0"], Some(configuration));
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
    }
}

#[test]
fn a_reader_that_has_gone_does_not_change_the_exit_code() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_cook-scheduler"))
        .arg("--no-such-option")
        .stderr(writer)
        .status()
        .expect("run");
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_missing_executor_is_reported() {
    let folder = Folder::new();
    let output = Command::new(env!("CARGO_BIN_EXE_cook-scheduler"))
        .args([
            "--executor",
            "/nowhere/cook-executor",
            "--listen",
            "127.0.0.1:0",
            "--data",
        ])
        .arg(folder.0.join("data"))
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("/nowhere/cook-executor"), "{text}");
}

#[test]
fn help_and_version() {
    for (argument, wanted) in [
        ("--help", "usage: cook-scheduler"),
        ("--version", "cook-scheduler 0."),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_cook-scheduler"))
            .arg(argument)
            .output()
            .expect("run");
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).contains(wanted));
    }
}

#[test]
fn a_drain_of_a_folder_without_a_store_is_refused_and_creates_nothing() {
    let folder = Folder::new();
    let empty = folder.0.join("empty");
    std::fs::create_dir(&empty).expect("made");
    for data in [folder.0.join("typo"), empty] {
        let output = program()
            .args(["--drain", "--data"])
            .arg(&data)
            .output()
            .expect("run");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let wanted = format!("there is no store in {data:?}");
        assert!(text.contains(&wanted), "{text}");
        assert!(text.contains("--data"), "{text}");
        let created = std::fs::read_dir(&data).map_or(0, Iterator::count);
        assert_eq!(created, 0, "{data:?}");
    }
    assert!(!folder.0.join("typo").exists());
}

#[test]
fn a_data_folder_that_others_can_change_is_refused() {
    for mode in [0o770, 0o707, 0o777, 0o1777] {
        let folder = Folder::new();
        let data = folder.0.join("data");
        std::fs::create_dir(&data).expect("made");
        std::fs::set_permissions(&data, Permissions::from_mode(mode)).expect("set");
        let text = start(&data);
        let wanted = format!("chmod go-w {data:?}");
        assert!(text.contains(&wanted), "{mode:o}: {text}");
        assert_eq!(std::fs::read_dir(&data).expect("there").count(), 0);
    }
}

#[test]
fn a_data_folder_of_another_user_is_refused() {
    let folder = Folder::new();
    let data = folder.0.join("data");
    std::fs::create_dir(&data).expect("made");
    if std::os::unix::fs::chown(&data, Some(65534), None).is_err() {
        eprintln!("SKIPPED: only root can give a folder to another user");
        return;
    }
    let text = start(&data);
    assert!(
        text.contains("belongs to the user with the id 65534"),
        "{text}"
    );
    assert!(text.contains("chown"), "{text}");
}

/// Starts it on an existing folder, and returns why it has refused to.
fn start(data: &Path) -> String {
    // Its address is taken, so that it cannot serve if it accepts the folder.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = program()
        .args(["--listen", &address, "--data"])
        .arg(data)
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    text
}
