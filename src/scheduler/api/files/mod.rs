//! `/files/read`, `/files/download` and `/files/browse`: a Mesos agent's file API, as Cook's clients
//! use it.
//!
//! [`ask`] parses a request without accessing the disk. [`answer`] does the work and may wait for the
//! disk, so it must not be called on the thread that serves the API.

mod browse;
mod open;
mod text;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::response::Response;
use crate::codec::query::{Query, QueryError};
use crate::core::words::{InstanceId, Uuid};
use open::Opened;

/// The maximum that `/files/read` returns at once; the same as an agent's.
const MAX_READ: u64 = 64 << 10;

/// The maximum size of a file in Linux, whose offsets are signed.
const MAX_FILE: u64 = i64::MAX as u64;

/// A request for a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRequest {
    /// The instance whose sandbox it is.
    pub instance: InstanceId,
    /// The path of the sandbox.
    sandbox: PathBuf,
    /// The path below the sandbox.
    path: PathBuf,
    what: What,
    /// The path as the client sent it.
    sent: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Size,
    Read { offset: u64, length: u64 },
    Download,
    Browse,
}

/// The three endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEndpoint {
    /// `/files/read`
    Read,
    /// `/files/download`
    Download,
    /// `/files/browse`
    Browse,
}

/// The answer to a file request.
#[derive(Debug)]
pub enum FileAnswer {
    /// A complete response.
    Whole(Response),
    /// The first `length` bytes of a file, to be sent as an attachment.
    Stream {
        /// The file.
        file: File,
        /// The number of bytes to send; the file may grow meanwhile.
        length: u64,
        /// The name of the attachment.
        name: String,
    },
}

/// Why a file request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// 400, with the text.
    Bad(String),
    /// 404: there can be no such file.
    NotFound,
}

impl From<QueryError> for FileFault {
    fn from(error: QueryError) -> Self {
        Self::Bad(error.0)
    }
}

/// Parses a request. `sandboxes` is the folder that contains the sandboxes of all instances.
///
/// # Errors
///
/// The path is missing or does not begin with the sandbox of an instance, or a number is invalid.
pub fn ask(
    endpoint: FileEndpoint,
    query: &Query,
    sandboxes: &Path,
) -> Result<FileRequest, FileFault> {
    let sent = query.one("path")?.unwrap_or_default();
    if sent.is_empty() {
        let text = "the query parameter path is missing: path=SANDBOX/FILE";
        return Err(FileFault::Bad(text.to_owned()));
    }
    let what = match endpoint {
        FileEndpoint::Download => What::Download,
        FileEndpoint::Browse => What::Browse,
        FileEndpoint::Read => read_range(query)?,
    };
    let inner = Path::new(sent).strip_prefix(sandboxes);
    let inner = inner.map_err(|_| FileFault::NotFound)?;
    let mut components = inner.components();
    let name = components.next().map(|name| name.as_os_str().to_str());
    let name = name.flatten().ok_or(FileFault::NotFound)?;
    let instance = Uuid::parse(name)
        .map(InstanceId)
        .ok_or(FileFault::NotFound)?;
    Ok(FileRequest {
        instance,
        // The sandbox is named after the instance in lower case, however the client wrote it.
        sandbox: sandboxes.join(instance.to_string()),
        path: components.as_path().to_owned(),
        what,
        sent: sent.to_owned(),
    })
}

/// Parses `offset` and `length`. Without an offset, or with -1, the client asks for the size.
fn read_range(query: &Query) -> Result<What, FileFault> {
    let number = |name: &str| match query.one(name)? {
        None | Some("" | "-1") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            FileFault::Bad(format!(
                "the query parameter {name} must be a whole number, found {:?}",
                crate::codec::query::shortened(text)
            ))
        }),
    };
    let (offset, length) = (number("offset")?, number("length")?);
    Ok(match offset {
        None => What::Size,
        Some(offset) => What::Read {
            offset,
            length: length.unwrap_or(MAX_READ).min(MAX_READ),
        },
    })
}

/// Handles a request.
pub fn answer(request: &FileRequest) -> FileAnswer {
    match attempt(request) {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::NotFound => FileAnswer::Whole(
            Response::error(404, "there is no such file in this sandbox"),
        ),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let text = "this file cannot be read by the scheduler's user";
            FileAnswer::Whole(Response::error(403, text))
        }
        Err(error) => FileAnswer::Whole(Response::error(
            500,
            &format!("cannot read the file: {error}"),
        )),
    }
}

fn attempt(request: &FileRequest) -> io::Result<FileAnswer> {
    let opened = open::below(&request.sandbox, &request.path)?;
    let whole = |response| Ok(FileAnswer::Whole(response));
    match (request.what, opened) {
        (What::Browse, Opened::File(_)) => whole(Response::json(200, &json!([]))),
        (What::Browse, Opened::Folder(folder)) => {
            let entries = browse::entries(&folder, &request.sent)?;
            whole(Response::json(200, &entries))
        }
        (What::Size | What::Read { .. } | What::Download, Opened::Folder(_)) => {
            whole(Response::error(400, "this is a folder: use /files/browse"))
        }
        (What::Size, Opened::File(file)) => {
            let size = file.metadata()?.len();
            whole(Response::json(200, &json!({ "data": "", "offset": size })))
        }
        (What::Read { offset, length }, Opened::File(file)) => {
            let data = text::read(&file, offset, length)?;
            whole(Response::json(
                200,
                &json!({ "data": data, "offset": offset }),
            ))
        }
        (What::Download, Opened::File(file)) => {
            let length = file.metadata()?.len();
            let name = request.path.file_name().unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            Ok(FileAnswer::Stream { file, length, name })
        }
    }
}

/// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end of the file.
fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    // The kernel refuses such a read as invalid; it is behind the end of every file.
    if offset.saturating_add(buffer.len() as u64) > MAX_FILE {
        return Ok(0);
    }
    let mut filled = 0;
    while filled < buffer.len() {
        let at = offset.saturating_add(filled as u64);
        match file.read_at(&mut buffer[filled..], at) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The value of `Content-Disposition` for a file with this name.
pub fn attachment(name: &str) -> String {
    let plain = |letter: char| match letter {
        '"' | '\\' => '_',
        letter if letter.is_ascii_graphic() || letter == ' ' => letter,
        _ => '_',
    };
    let plain: String = name.chars().map(plain).collect();
    let exact = crate::codec::query::encoded(name);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "26719da8-394f-44f9-9e6d-8a17500f5109";

    fn asked(endpoint: FileEndpoint, query: &str) -> Result<FileRequest, FileFault> {
        let query = Query::parse(query).expect("a query");
        ask(endpoint, &query, Path::new("/data/sandboxes"))
    }

    #[test]
    fn a_path_consists_of_a_sandbox_and_a_path_below_it() {
        let path = format!(
            "path=%2Fdata%2Fsandboxes%2F{}%2Fa/b&offset=5&length=99999999",
            NAME.to_uppercase()
        );
        let request = asked(FileEndpoint::Read, &path).expect("good");
        assert_eq!(request.instance.to_string(), NAME);
        assert_eq!(request.sandbox, Path::new("/data/sandboxes").join(NAME));
        assert_eq!(request.path, Path::new("a/b"));
        assert_eq!(
            request.what,
            What::Read {
                offset: 5,
                length: MAX_READ
            }
        );
        for size in ["", "&offset=-1", "&offset=", "&length=10"] {
            let path = format!("path=/data/sandboxes/{NAME}{size}");
            assert_eq!(
                asked(FileEndpoint::Read, &path).map(|request| request.what),
                Ok(What::Size)
            );
        }
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in [
            "/etc/passwd",
            "/data/sandboxes",
            "/data/sandboxes/",
            "/data/sandboxes/..",
            "/data/sandboxes/../jobs.redb",
            "/data/sandboxesx/26719da8-394f-44f9-9e6d-8a17500f5109",
            "relative",
        ] {
            let asked = asked(FileEndpoint::Download, &format!("path={path}"));
            assert_eq!(asked, Err(FileFault::NotFound), "{path}");
        }
        for query in [
            "",
            "path=",
            "path=/data/sandboxes/x&offset=a",
            "path=a&path=b",
        ] {
            let asked = asked(FileEndpoint::Read, query);
            assert!(matches!(asked, Err(FileFault::Bad(_))), "{query}");
        }
    }

    #[test]
    fn a_hostile_file_name_cannot_break_out_of_its_header() {
        assert_eq!(
            attachment("a\"b\r\nX: y\u{fc}"),
            "attachment; filename=\"a_b__X: y_\"; filename*=UTF-8''a%22b%0D%0AX%3A%20y%C3%BC"
        );
    }
}
