//! The HTTP API, without any input or output.
//!
//! [`Api::plan`] turns a request into a [`Plan`]: a response, or what has to be done first, such as a
//! change by the core, completed jobs to load, or a file to read. [`Api::changed`] and
//! [`Api::complete`] then make the response from the result.

pub mod basic;
pub mod browser;
mod change;
pub mod files;
mod fixed;
mod lookup;
pub mod metrics;
mod read;
pub mod response;
mod routes;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::rc::Rc;

use crate::codec::config::Login;
use crate::codec::job::JobLimits;
use crate::core::job::JobSpec;
use crate::core::request::ApiRequest;
use crate::core::words::{UserName, Wall};
use browser::{Foreign, Names};
use files::FileRequest;
use response::Response;

pub use change::Change;
pub use metrics::{BackendFigures, Row};
pub use read::Reading;

/// What the API needs to know, besides the jobs.
#[derive(Clone, Debug)]
pub struct Api {
    /// The names of this server.
    pub names: Names,
    /// Who may use the API.
    pub access: Access,
    /// Users who may see and kill everybody's jobs.
    pub admins: Vec<UserName>,
    /// The limits of jobs.
    pub limits: JobLimits,
    /// Checks whether the files of a job can be fetched.
    pub fetching: Fetching,
    /// The maximum run time of any job in milliseconds, if there is a limit.
    pub max_runtime: Option<u64>,
    /// How many failures per reason do not count as attempts, for reasons that are not the job's fault.
    pub free_failures: u32,
    /// The folder of the sandboxes, if they are on this machine.
    pub sandboxes: Option<PathBuf>,
    /// The name of the cluster that runs the jobs.
    pub cluster: String,
    /// The user that jobs run as.
    pub runs_as: RunsAs,
    /// The backend's figures for `/metrics`.
    pub backend_figures: BackendFigures,
    /// When the program started.
    pub started: Wall,
}

/// Checks whether the files of a job can be fetched.
#[derive(Clone)]
pub struct Fetching(Rc<Check>);

/// Returns which file cannot be fetched, and why.
type Check = dyn Fn(&JobSpec) -> Result<(), String>;

/// The user that jobs run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsAs {
    /// One user for all jobs: the scheduler's own, or the configured one.
    Configured,
    /// The job's owner. Jobs of root are refused, because running jobs as root has to be configured.
    Owner,
}

/// Who may use the API.
#[derive(Clone, Debug)]
pub enum Access {
    /// The scheduler's own user and root, as reported by the kernel. They act as this one user.
    Local(UserName),
    /// Users with a login.
    Logins(Vec<Login>),
}

/// The header fields that are used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    /// `Host`, `Origin` and `Sec-Fetch-Site`
    pub browser: browser::Fields<'a>,
    /// `Authorization`
    pub authorization: Option<&'a str>,
    /// `X-Cook-Pool`
    pub pool: Option<&'a str>,
}

/// A request as received by the HTTP server.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, such as `GET`. The server answers HEAD like GET, without the body.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The header fields.
    pub fields: Fields<'a>,
    /// The body.
    pub body: &'a [u8],
    /// The server's own address on the connection.
    pub local: Option<std::net::SocketAddr>,
    /// The client, as reported by the kernel.
    pub peer: &'a Peer,
    /// The present time.
    pub now: Wall,
}

/// The client of a connection, as reported by the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The scheduler's own user, or root.
    Own,
    /// Another user, or an unknown one; the text says so.
    Other(String),
}

/// The authenticated user of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user who owns the jobs that this caller submits.
    pub user: UserName,
    /// Which jobs the caller may see and kill.
    pub rights: Rights,
}

/// Which jobs a caller may see and kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Only their own.
    Own,
    /// Those of all users.
    All,
}

/// How to answer a request.
#[derive(Debug)]
pub enum Plan {
    /// With this response.
    Answer(Response),
    /// Ask the core, then call [`Api::changed`].
    Change(ApiRequest, Change),
    /// Load the jobs that are not in memory, then call [`Api::complete`].
    Read(Reading),
    /// Call [`files::answer`] on a thread that may wait for the disk.
    File(FileRequest),
}

impl Fetching {
    /// Does not check anything; a fetch may fail later.
    pub fn unchecked() -> Self {
        Self::by(|_| Ok(()))
    }

    /// Checks with this function.
    pub fn by(check: impl Fn(&JobSpec) -> Result<(), String> + 'static) -> Self {
        Self(Rc::new(check))
    }

    /// Checks whether the files of this job can be fetched.
    ///
    /// # Errors
    ///
    /// Which file cannot be fetched, and why.
    pub fn check(&self, job: &JobSpec) -> Result<(), String> {
        (self.0)(job)
    }
}

impl std::fmt::Debug for Fetching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetching")
    }
}

impl Caller {
    /// Whether the caller may see and kill the jobs of this user.
    pub fn may(&self, user: &UserName) -> bool {
        match self.rights {
            Rights::All => true,
            Rights::Own => self.user == *user,
        }
    }
}

impl Api {
    /// The caller of a request, or the response that refuses it.
    fn caller(&self, request: &Request<'_>) -> Result<Caller, Response> {
        match &self.access {
            Access::Local(user) => match request.peer {
                // In this mode all jobs belong to one user.
                Peer::Own => Ok(Caller {
                    user: user.clone(),
                    rights: Rights::All,
                }),
                Peer::Other(why) => Err(Response::error(403, why)),
            },
            Access::Logins(logins) => {
                let user = request
                    .fields
                    .authorization
                    .and_then(|value| basic::user(logins, value));
                match user {
                    Some(user) => Ok(Caller {
                        user: user.clone(),
                        rights: match self.admins.contains(user) {
                            true => Rights::All,
                            false => Rights::Own,
                        },
                    }),
                    None => {
                        let text =
                            "log in with a user and a password of this scheduler (HTTP Basic)\n";
                        let challenge = "Basic realm=\"Cook\", charset=\"UTF-8\"";
                        Err(Response::text(401, text).with("WWW-Authenticate", challenge))
                    }
                }
            }
        }
    }
}

impl From<Foreign> for Response {
    fn from(foreign: Foreign) -> Self {
        match foreign {
            Foreign::Host(text) => Self::error(421, &text),
            Foreign::Page(text) => Self::error(403, &text),
        }
    }
}
