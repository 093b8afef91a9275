//! The HTTP API: who may ask, what is asked, what is answered.
//!
//! Nothing here waits. [`Api::plan`] makes a [`Plan`] of a request: an answer, or what has to be done first:
//! a change that the core decides, completed jobs that are read from the store, a file. [`Api::changed`] and
//! [`Api::complete`] make the answer of what came of it.

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
use crate::codec::reply::Cluster;
use crate::core::job::JobSpec;
use crate::core::request::ApiRequest;
use crate::core::words::{UserName, Wall};
use browser::{Foreign, Names};
use files::FileRequest;
use response::Response;

pub use change::Change;
pub use read::Reading;

/// What the API has to know besides the jobs.
#[derive(Clone, Debug)]
pub struct Api {
    /// The names that it answers to.
    pub names: Names,
    /// Who may ask.
    pub access: Access,
    /// Users who may see and end everybody's jobs.
    pub admins: Vec<UserName>,
    /// What jobs may ask for.
    pub limits: JobLimits,
    /// Which files can be fetched.
    pub fetching: Fetching,
    /// The longest run of any job in milliseconds, if it is limited.
    pub max_runtime: Option<u64>,
    /// Failures that are not the job's own fault and cost no attempt, for each reason.
    pub free_failures: u32,
    /// Where the sandboxes are, if this machine has them.
    pub sandboxes: Option<PathBuf>,
    /// What runs the jobs.
    pub cluster: Cluster,
    /// When the program started.
    pub started: Wall,
}

/// Says which files of jobs can be fetched where they run.
#[derive(Clone)]
pub struct Fetching(Rc<Check>);

/// What cannot be fetched, and why not.
type Check = dyn Fn(&JobSpec) -> Result<(), String>;

/// Who may ask.
#[derive(Clone, Debug)]
pub enum Access {
    /// The scheduler's own user and root, as the kernel knows them; they all are this user.
    Local(UserName),
    /// Whoever has a login.
    Logins(Vec<Login>),
}

/// The fields of a request's head that matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    /// `Host`, `Origin` and `Sec-Fetch-Site`
    pub browser: browser::Fields<'a>,
    /// `Authorization`
    pub authorization: Option<&'a str>,
    /// `X-Cook-Pool`
    pub pool: Option<&'a str>,
}

/// A request, as the HTTP server has read it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`. A server answers HEAD as GET, without the body.
    pub method: &'a str,
    /// What stands between method and version: a path and a query.
    pub target: &'a str,
    /// Fields of the head.
    pub fields: Fields<'a>,
    /// The body.
    pub body: &'a [u8],
    /// Our own address on the connection.
    pub local: Option<std::net::SocketAddr>,
    /// What the kernel knows of the other end.
    pub peer: &'a Peer,
    /// Now.
    pub now: Wall,
}

/// What the kernel knows of the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It is the scheduler's own user, or root.
    Own,
    /// It is somebody else, or not known: why.
    Stranger(String),
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user whose jobs theirs are.
    pub user: UserName,
    /// Whether they see and end all jobs.
    pub rights: Rights,
}

/// Whose jobs somebody sees and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Their own.
    Own,
    /// Everybody's.
    All,
}

/// What to do about a request.
#[derive(Debug)]
pub enum Plan {
    /// Answer.
    Answer(Response),
    /// Ask the core, then [`Api::changed`].
    Change(ApiRequest, Change),
    /// Read from the store what is not in memory, then [`Api::complete`].
    Read(Reading),
    /// [`files::answer`], where waiting is no harm.
    File(FileRequest),
}

impl Fetching {
    /// Whatever is asked for: it turns out later.
    pub fn unchecked() -> Self {
        Self::by(|_| Ok(()))
    }

    /// By this function.
    pub fn by(check: impl Fn(&JobSpec) -> Result<(), String> + 'static) -> Self {
        Self(Rc::new(check))
    }

    /// Whether the files of this job can be fetched.
    ///
    /// # Errors
    ///
    /// Which cannot, and why not.
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
    /// Whether they may see and end the jobs of this user.
    pub fn may(&self, user: &UserName) -> bool {
        match self.rights {
            Rights::All => true,
            Rights::Own => self.user == *user,
        }
    }
}

impl Api {
    /// Who asks, or the answer to somebody who may not.
    fn caller(&self, request: &Request<'_>) -> Result<Caller, Response> {
        match &self.access {
            Access::Local(user) => match request.peer {
                // There is one user, so all jobs are theirs.
                Peer::Own => Ok(Caller {
                    user: user.clone(),
                    rights: Rights::All,
                }),
                Peer::Stranger(why) => Err(Response::error(403, why)),
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
                            "a user and a password of this scheduler are needed (HTTP Basic)\n";
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
