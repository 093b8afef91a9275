//! Routes a request to its handler.

use super::browser::check;
use super::files::{FileEndpoint, FileFault, ask};
use super::response::Response;
use super::{Api, Caller, Plan, Request, fixed, metrics};
use crate::codec::job::Endpoint;
use crate::codec::query::{Query, QueryError, decoded, shortened};
use crate::codec::reply::Context;
use crate::core::view::View;

/// All paths, for the text of a 404.
const PATHS: &str = "/rawscheduler, /jobs, /jobs/UUID, /instances, /instances/UUID, /group, /list, /retry, \
    /unscheduled_jobs, /usage, /share, /quota, /pools, /settings, /failure_reasons, /files/read, /files/download, \
    /files/browse, /metrics, /info, /debug";

/// Paths of Cook that are not served, and what to use instead.
const UNSUPPORTED: [(&str, &str); 9] = [
    (
        "/queue",
        "use /list?state=waiting&user=USER for waiting jobs",
    ),
    (
        "/running",
        "use /list?state=running&user=USER for running jobs",
    ),
    (
        "/progress",
        "jobs report progress through $EXECUTOR_ENDPOINT of their executor",
    ),
    ("/stats/instances", "figures are in /metrics"),
    ("/shutdown-leader", "send SIGTERM to the process"),
    (
        "/incremental-config",
        "the configuration is a file, which is read at start",
    ),
    (
        "/compute-clusters",
        "this scheduler has one cluster, which is set in its configuration",
    ),
    (
        "/swagger-docs",
        "the API is described in the documentation of this program",
    ),
    (
        "/swagger-ui",
        "the API is described in the documentation of this program",
    ),
];

/// The method, path and query of a request.
struct Target<'a> {
    method: &'a str,
    path: String,
    query: Query,
    /// The host and port by which the client called.
    authority: &'a str,
}

impl From<QueryError> for Response {
    fn from(error: QueryError) -> Self {
        Self::error(400, &error.0)
    }
}

impl Api {
    /// Decides how to answer a request.
    pub fn plan(&self, request: &Request<'_>, view: View<'_>) -> Plan {
        self.try_plan(request, view).unwrap_or_else(Plan::Answer)
    }

    /// Checks a request before its body is read, so that only permitted callers can send one.
    ///
    /// # Errors
    ///
    /// The response that refuses it.
    pub fn screen(&self, request: &Request<'_>) -> Result<(), Response> {
        let target = self.parse(request)?;
        match target.is_public() {
            true => Ok(()),
            false => self.caller(request).map(|_| ()),
        }
    }

    fn try_plan(&self, request: &Request<'_>, view: View<'_>) -> Result<Plan, Response> {
        let target = self.parse(request)?;
        if target.is_public() {
            return Ok(Plan::Answer(match target.path.as_str() {
                "/info" => self.info(target.authority),
                _ => fixed::debug(),
            }));
        }
        let caller = self.caller(request)?;
        self.route(request, &target, &caller, view)
    }

    /// Parses the request, unless a foreign page has sent it.
    fn parse<'a>(&self, request: &Request<'a>) -> Result<Target<'a>, Response> {
        let authority = check(&self.names, request.local, request.fields.browser)?;
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((request.target, ""));
        let mut path = decoded(path, false)?;
        while path.len() > 1 && path.ends_with('/') {
            path.pop();
        }
        Ok(Target {
            method: match request.method {
                "HEAD" => "GET",
                method => method,
            },
            path,
            query: Query::parse(query)?,
            authority,
        })
    }

    fn route(
        &self,
        request: &Request<'_>,
        target: &Target<'_>,
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Plan, Response> {
        let context = self.context(target.authority, view);
        let query = &target.query;
        let answer = |response| Ok(Plan::Answer(response));
        match target.path.as_str() {
            "/rawscheduler" => match target.method {
                "POST" => self.submit(Endpoint::RawScheduler, request, caller),
                "GET" => self.raw_jobs(query, caller, view, target.authority),
                "DELETE" => self.kill(query, caller, view),
                _ => Err(target.refuse("GET, HEAD, POST, DELETE")),
            },
            "/jobs" => match target.method {
                "POST" => self.submit(Endpoint::Jobs, request, caller),
                "GET" => self.jobs(query, caller, view, target.authority),
                _ => Err(target.refuse("GET, HEAD, POST")),
            },
            "/instances" => target.get(|| self.instances(query, caller, view, target.authority)),
            "/list" => target.get(|| self.list(query, request.now, caller, view, target.authority)),
            "/group" => match target.method {
                "GET" => answer(self.groups(query, caller, view)?),
                "DELETE" => self.kill_groups(query, caller, view),
                _ => Err(target.refuse("GET, HEAD, DELETE")),
            },
            "/retry" => match target.method {
                "GET" => self.retries(query, caller, view),
                "POST" | "PUT" => self.retry(query, request.body, caller, view),
                _ => Err(target.refuse("GET, HEAD, POST, PUT")),
            },
            "/unscheduled_jobs" => target.get(|| answer(self.unscheduled(query, caller, view)?)),
            "/usage" => target.get(|| answer(self.usage(query, caller, view)?)),
            "/share" => target.read_only(|| answer(fixed::share())),
            "/quota" => target.read_only(|| answer(fixed::quota())),
            "/pools" => target.get(|| answer(fixed::pools())),
            "/settings" => target.get(|| answer(self.settings())),
            "/failure_reasons" => target.get(|| answer(fixed::failure_reasons())),
            "/metrics" => target.get(|| answer(metrics::answer(view, &self.backend_figures))),
            "/files/read" | "/files/read.json" => {
                target.get(|| self.file(FileEndpoint::Read, query, caller, view))
            }
            "/files/download" | "/files/download.json" => {
                target.get(|| self.file(FileEndpoint::Download, query, caller, view))
            }
            "/files/browse" | "/files/browse.json" => {
                target.get(|| self.file(FileEndpoint::Browse, query, caller, view))
            }
            "/debug" | "/info" => Err(target.refuse("GET, HEAD")),
            path => match path
                .split_once('/')
                .and_then(|(_, rest)| rest.split_once('/'))
            {
                Some(("jobs", uuid)) => target.get(|| self.job(uuid, caller, view, &context)),
                Some(("instances", uuid)) => {
                    target.get(|| self.instance(uuid, caller, view, &context))
                }
                _ => Err(not_found(path)),
            },
        }
    }

    /// What replies depend on, besides the jobs.
    pub(super) fn context<'a>(&'a self, authority: &'a str, view: View<'a>) -> Context<'a> {
        Context {
            authority,
            free_failures: self.free_failures,
            cluster: &self.cluster,
            framework: view.framework().map(|id| &*id.0),
            sandboxes: self.sandboxes.as_deref(),
        }
    }

    fn file(
        &self,
        endpoint: FileEndpoint,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Plan, Response> {
        let not_found = || Response::error(404, "path must begin with the sandbox of an instance");
        let Some(sandboxes) = &self.sandboxes else {
            let text =
                "files are served by the agent that has them: see output_url of the instance";
            return Err(Response::error(404, text));
        };
        let request = ask(endpoint, query, sandboxes).map_err(|fault| match fault {
            FileFault::Bad(text) => Response::error(400, &text),
            FileFault::NotFound => not_found(),
        })?;
        // A file of another user's instance is treated as absent.
        match view.job_of(request.instance) {
            Some(found) if caller.may(found.user()) => Ok(Plan::File(request)),
            Some(_) | None => Err(not_found()),
        }
    }
}

impl Target<'_> {
    /// `/debug` and `/info` may be read by everyone: for monitoring.
    fn is_public(&self) -> bool {
        matches!(self.path.as_str(), "/debug" | "/info") && self.method == "GET"
    }

    fn get(&self, plan: impl FnOnce() -> Result<Plan, Response>) -> Result<Plan, Response> {
        match self.method {
            "GET" => plan(),
            _ => Err(self.refuse("GET, HEAD")),
        }
    }

    /// For endpoints that are read-only here but can be changed in Cook.
    fn read_only(&self, plan: impl FnOnce() -> Result<Plan, Response>) -> Result<Plan, Response> {
        match self.method {
            "GET" => plan(),
            "POST" | "PUT" | "DELETE" => {
                let text = format!(
                    "{} cannot be changed here: this scheduler has no fair sharing",
                    self.path
                );
                Err(Response::error(501, &text))
            }
            _ => Err(self.refuse("GET, HEAD")),
        }
    }

    fn refuse(&self, allowed: &'static str) -> Response {
        let text = format!(
            "{} does not support {}: use one of {allowed}",
            shortened(&self.path),
            shortened(self.method)
        );
        Response::error(405, &text).with("Allow", allowed)
    }
}

fn not_found(path: &str) -> Response {
    let known = UNSUPPORTED
        .iter()
        .find(|(known, _)| path == *known || path.starts_with(&format!("{known}/")));
    match known {
        Some((known, instead)) => {
            Response::error(501, &format!("{known} is not supported: {instead}"))
        }
        None => {
            let path = shortened(path);
            Response::error(404, &format!("there is no {path}; the paths are {PATHS}"))
        }
    }
}
