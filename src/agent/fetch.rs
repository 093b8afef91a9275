//! Fetches files into a sandbox as Mesos' fetcher does: copies local ones, downloads others, and unpacks
//! archives.
//!
//! Nothing here blocks the program's one thread: a copy is made in pieces, a download waits in the reactor,
//! and `curl`, `tar`, `unzip` and `gzip` are separate processes that belong to the container.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use async_process::Command;
use cook_http::alarm::Alarm;
use cook_http::client::{Connection, Outgoing};
use cook_http::message::Method;
use cook_http::socket;
use smol::future::yield_now;

use crate::spec::{ContainerId, Uri};
use crate::sweep;

/// A copy is made in pieces of this size. Other tasks have a turn after each piece.
const PIECE: usize = 256 << 10;

/// How long a server may be silent, as in Mesos (`--fetcher_stall_timeout`).
const STALL: Duration = Duration::from_secs(60);

/// The programs for what this crate cannot do itself, looked up once.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    curl: Option<PathBuf>,
    tar: Option<PathBuf>,
    unzip: Option<PathBuf>,
    gzip: Option<PathBuf>,
}

/// Why a file could not be fetched.
#[derive(Debug)]
pub enum FetchError {
    /// The scheme of the URI is not supported.
    Scheme,
    /// The URI does not end in a file name.
    NoName,
    /// A program is not installed on this machine.
    Missing(&'static str),
    /// A local file cannot be read, or the sandbox cannot be written.
    File(io::Error),
    /// A server cannot be reached, or has stopped sending.
    Network(String),
    /// A server responded with another status than 200.
    Status(u16),
    /// A program failed; its output is in the sandbox's `stderr`.
    Program(&'static str),
}

/// Where a file comes from.
enum Source<'a> {
    Local(&'a str),
    Http(&'a str),
    Https(&'a str),
}

/// The program that unpacks an archive.
enum Archive {
    Tar,
    Zip,
    Gzip,
}

// === impl FetchError ===

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => {
                f.write_str("its scheme is not supported; use a path, file:, http: or https:")
            }
            Self::NoName => f.write_str("it does not end in a file name"),
            Self::Missing(program) => write!(f, "it needs {program}, which is not installed here"),
            Self::File(error) => error.fmt(f),
            Self::Network(text) => f.write_str(text),
            Self::Status(status) => write!(f, "the server responded with status {status}"),
            Self::Program(program) => {
                write!(f, "{program} failed; see stderr in the sandbox")
            }
        }
    }
}

impl std::error::Error for FetchError {}

impl From<io::Error> for FetchError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

// === impl Tools ===

impl Tools {
    /// Looks for the programs in `PATH`.
    pub fn find() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let find = |name: &str| {
            std::env::split_paths(&path)
                .map(|folder| folder.join(name))
                .find(|file| {
                    let metadata = fs::metadata(file);
                    metadata.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
                })
        };
        Self {
            curl: find("curl"),
            tar: find("tar"),
            unzip: find("unzip"),
            gzip: find("gzip"),
        }
    }

    /// Checks whether a file could be fetched, as far as that is known in advance.
    ///
    /// # Errors
    ///
    /// Why it cannot be fetched.
    pub fn check(&self, uri: &Uri) -> Result<(), FetchError> {
        if let Source::Https(_) = source(&uri.value)? {
            self.curl()?;
        }
        file_name(&uri.value)?;
        match archive(uri) {
            Some(archive) => self.unpacker(&archive).map(drop),
            None => Ok(()),
        }
    }

    /// Fetches a file into the sandbox. Relative paths start at `folder`.
    ///
    /// # Errors
    ///
    /// It could not be fetched. A partial file is not removed.
    pub async fn fetch(
        &self,
        uri: &Uri,
        folder: &Path,
        sandbox: &Path,
        container: ContainerId,
    ) -> Result<(), FetchError> {
        let to = sandbox.join(file_name(&uri.value)?);
        match source(&uri.value)? {
            Source::Local(path) => copy(&folder.join(path), &to).await?,
            Source::Https(url) => self.run_curl(url, &to, sandbox, container).await?,
            Source::Http(url) => match download(url, &to).await {
                // Redirections are left to curl.
                Err(FetchError::Status(300..=399)) => {
                    self.run_curl(url, &to, sandbox, container).await?;
                }
                done => done?,
            },
        }
        if uri.executable {
            let mode = fs::metadata(&to)?.permissions().mode();
            fs::set_permissions(&to, fs::Permissions::from_mode(mode | 0o111))?;
        }
        match archive(uri) {
            Some(archive) => self.unpack(&archive, &to, sandbox, container).await,
            None => Ok(()),
        }
    }

    fn curl(&self) -> Result<&Path, FetchError> {
        self.curl.as_deref().ok_or(FetchError::Missing("curl"))
    }

    async fn run_curl(
        &self,
        url: &str,
        to: &Path,
        sandbox: &Path,
        container: ContainerId,
    ) -> Result<(), FetchError> {
        let mut command = Command::new(self.curl()?);
        let stall = STALL.as_secs().to_string();
        command
            .args(["--silent", "--show-error", "--fail", "--location"])
            // A redirection must not lead to a local file or another protocol.
            .args(["--proto", "=http,https", "--connect-timeout", &stall])
            .args(["--speed-limit", "1", "--speed-time", &stall])
            .arg("--output")
            .arg(to)
            .args(["--", url]);
        run("curl", command, sandbox, container).await
    }

    fn unpacker(&self, archive: &Archive) -> Result<(&'static str, &Path), FetchError> {
        let (name, program) = match archive {
            Archive::Tar => ("tar", &self.tar),
            Archive::Zip => ("unzip", &self.unzip),
            Archive::Gzip => ("gzip", &self.gzip),
        };
        let program = program.as_deref().ok_or(FetchError::Missing(name))?;
        Ok((name, program))
    }

    async fn unpack(
        &self,
        archive: &Archive,
        file: &Path,
        sandbox: &Path,
        container: ContainerId,
    ) -> Result<(), FetchError> {
        let (name, program) = self.unpacker(archive)?;
        let mut command = Command::new(program);
        match archive {
            // tar detects the compression by the beginning of the file.
            Archive::Tar => command.arg("-C").arg(sandbox).arg("-xf").arg(file),
            Archive::Zip => command.arg("-qo").arg(file).arg("-d").arg(sandbox),
            Archive::Gzip => command.arg("-dkf").arg(file),
        };
        run(name, command, sandbox, container).await
    }
}

fn source(value: &str) -> Result<Source<'_>, FetchError> {
    if let Some(path) = value.strip_prefix("file://") {
        return Ok(Source::Local(path));
    }
    match value.split_once("://").map(|(scheme, _)| scheme) {
        Some("http") => Ok(Source::Http(value)),
        Some("https") => Ok(Source::Https(value)),
        Some(_) => Err(FetchError::Scheme),
        None => Ok(Source::Local(value.strip_prefix("file:").unwrap_or(value))),
    }
}

/// The name of the file in the sandbox: what follows the last slash of the path.
fn file_name(value: &str) -> Result<&str, FetchError> {
    let path = match value.contains("://") && !value.starts_with("file:") {
        true => value.split(['?', '#']).next().unwrap_or_default(),
        false => value,
    };
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    // `http://host` has no path.
    if matches!(name, "" | "." | "..") || folder.ends_with(":/") && !folder.starts_with("file:") {
        return Err(FetchError::NoName);
    }
    Ok(name)
}

/// Detected by the suffix of the name, as Mesos' fetcher does.
fn archive(uri: &Uri) -> Option<Archive> {
    if uri.executable || !uri.extract {
        return None;
    }
    let name = file_name(&uri.value).ok()?.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let tar = [
        ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz",
    ];
    if ends(&tar) {
        Some(Archive::Tar)
    } else if ends(&[".zip"]) {
        Some(Archive::Zip)
    } else if ends(&[".gz"]) {
        Some(Archive::Gzip)
    } else {
        None
    }
}

async fn copy(from: &Path, to: &Path) -> Result<(), FetchError> {
    let metadata = fs::metadata(from)?;
    if !metadata.is_file() {
        // A FIFO would never end, and a folder is not a file.
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file").into());
    }
    let mut reader = File::open(from)?;
    let mut writer = File::create(to)?;
    writer.set_permissions(metadata.permissions())?;
    let mut piece = vec![0; PIECE];
    loop {
        let length = reader.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        writer.write_all(&piece[..length])?;
        yield_now().await;
    }
}

/// Downloads an `http:` URL. TLS and redirections are not supported here.
async fn download(url: &str, to: &Path) -> Result<(), FetchError> {
    let broken = |text: &dyn fmt::Display| FetchError::Network(text.to_string());
    let silent = || FetchError::Network("the server has stopped sending".to_owned());
    let address = resolve(url).await?;
    let socket = socket::connect_tcp(address).map_err(|error| broken(&error))?;
    let mut connection = Connection::new(socket);
    let mut alarm = Alarm::new();
    let request = Outgoing::new(Method::Get, url);
    let exchange = async {
        connection.send(&request).await?;
        connection.receive().await
    };
    let head = alarm.within(STALL, exchange).await.ok_or_else(silent)?;
    let head = head.map_err(|error| broken(&error))?;
    if head.status != 200 {
        return Err(FetchError::Status(head.status));
    }
    let mut file = File::create(to)?;
    let mut body = connection.body(&head);
    loop {
        let piece = alarm.within(STALL, body.next()).await.ok_or_else(silent)?;
        match piece.map_err(|error| broken(&error))? {
            Some(bytes) => file.write_all(bytes)?,
            None => return Ok(()),
        }
        yield_now().await;
    }
}

/// The address of a URL's host. The C library's resolver blocks, so it runs on a thread of its own.
async fn resolve(url: &str) -> Result<SocketAddr, FetchError> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().to_owned();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let name = if has_port {
        host.clone()
    } else {
        format!("{host}:80")
    };
    let (sender, receiver) = smol::channel::bounded(1);
    thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            let found = name.to_socket_addrs().map(|mut all| all.next());
            // There is no receiver any more if the fetch was given up.
            let _ = sender.try_send(found);
        })?;
    let unknown =
        |text: String| FetchError::Network(format!("cannot resolve the host {host}: {text}"));
    match receiver.recv().await {
        Ok(Ok(Some(address))) => Ok(address),
        Ok(Ok(None)) | Err(_) => Err(unknown("it has no address".to_owned())),
        Ok(Err(error)) => Err(unknown(error.to_string())),
    }
}

/// Runs a program as a process of the container. Its output goes to the sandbox's `stderr`.
async fn run(
    name: &'static str,
    mut command: Command,
    sandbox: &Path,
    container: ContainerId,
) -> Result<(), FetchError> {
    let log = File::options()
        .append(true)
        .create(true)
        .open(sandbox.join("stderr"))?;
    let status = command
        .env(sweep::VARIABLE, container.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .status()
        .await?;
    match status.success() {
        true => Ok(()),
        false => Err(FetchError::Program(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(value: &str) -> Uri {
        Uri {
            value: value.to_owned(),
            executable: false,
            extract: true,
        }
    }

    #[test]
    fn the_name_in_the_sandbox_is_the_last_part_of_the_path() {
        for (value, wanted) in [
            ("a.sh", Some("a.sh")),
            ("/x/a.sh", Some("a.sh")),
            ("file:///x/a?b", Some("a?b")),
            ("file:///a", Some("a")),
            ("http://h/x/a.tgz?c=/d#e", Some("a.tgz")),
            ("https://h/a", Some("a")),
            ("http://host", None),
            ("http://host/", None),
            ("/x/", None),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(file_name(value).ok(), wanted, "{value}");
        }
    }

    #[test]
    fn files_that_cannot_be_fetched_are_refused_in_advance() {
        let bare = Tools::default();
        let text = |value: &str| bare.check(&uri(value)).err().map(|error| error.to_string());
        assert_eq!(text("/x/a.sh"), None);
        assert_eq!(text("http://h/a"), None);
        let missing = |name: &str| Some(format!("it needs {name}, which is not installed here"));
        assert_eq!(text("https://h/a"), missing("curl"));
        assert_eq!(text("a.tar.gz"), missing("tar"));
        assert_eq!(text("a.ZIP"), missing("unzip"));
        assert_eq!(text("a.gz"), missing("gzip"));
        assert!(text("hdfs://h/a").is_some_and(|text| text.contains("scheme")));
        let executable = Uri {
            executable: true,
            ..uri("a.tar.gz")
        };
        assert!(bare.check(&executable).is_ok());
    }
}
