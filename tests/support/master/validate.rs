//! What a master refuses: those checks of `src/master/http.cpp` and `src/master/validation.cpp` of Mesos
//! 1.11.0 that matter for a scheduler.

use std::collections::BTreeMap;

use cook_mesos::scheduler::{Call, CallType, Offer, Resource, TaskInfo};
use cook_test_agent::http::Request;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code of the response.
    pub status: u16,
    /// The body of the response.
    pub text: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }
}

/// The checks before the body is decoded.
///
/// # Errors
///
/// The response of a master.
pub fn head(request: &Request) -> Result<(), Refusal> {
    match request.target.as_str() {
        "/api/v1/scheduler" | "/master/api/v1/scheduler" => (),
        other => return Err(Refusal::new(404, format!("no {other} here"))),
    }
    if request.method != "POST" {
        return Err(Refusal::new(
            405,
            format!("Expecting 'POST', received '{}'", request.method),
        ));
    }
    match request.header("content-type") {
        Some("application/x-protobuf") => Ok(()),
        Some(other) => Err(Refusal::new(
            415,
            format!("Expecting 'Content-Type' of application/x-protobuf, not {other}"),
        )),
        None => Err(Refusal::new(400, "Expecting 'Content-Type' to be present")),
    }
}

/// Checks a decoded call.
///
/// # Errors
///
/// The response of a master.
pub fn call(call: &Call, request: &Request) -> Result<(), Refusal> {
    let bad = |text: &str| Err(Refusal::new(400, text));
    let framework = call.framework_id.as_ref();
    let is_missing = match call.kind() {
        CallType::Subscribe => {
            if request.header("mesos-stream-id").is_some() {
                return bad("Subscribe calls should not include the 'Mesos-Stream-Id' header");
            }
            if request.header("accept") != Some("application/x-protobuf") {
                return Err(Refusal::new(
                    406,
                    "Expecting 'Accept' to allow application/x-protobuf",
                ));
            }
            let Some(subscribe) = &call.subscribe else {
                return bad("Expecting 'subscribe' to be present");
            };
            let info = &subscribe.framework_info;
            if info.id.as_ref() != framework {
                return bad("'framework_id' differs from 'subscribe.framework_info.id'");
            }
            if info.user.is_empty() {
                return bad("'FrameworkInfo.user' must not be empty");
            }
            return Ok(());
        }
        CallType::Accept => call.accept.is_none(),
        CallType::Decline => call.decline.is_none(),
        CallType::Kill => call.kill.is_none(),
        CallType::Shutdown => call.shutdown.is_none(),
        CallType::Acknowledge => call
            .acknowledge
            .as_ref()
            .is_none_or(|it| it.uuid.len() != 16),
        CallType::Reconcile => call.reconcile.is_none(),
        CallType::Message => call.message.is_none(),
        CallType::Revive | CallType::Suppress | CallType::Teardown => false,
        CallType::Unknown => return bad("Unknown call type"),
    };
    match (is_missing, framework) {
        (true, _) => bad("the call's own part is missing"),
        (false, None) => bad("Expecting 'framework_id' to be present"),
        (false, Some(_)) => Ok(()),
    }
}

/// Checks a task that uses an offer. Its resources are subtracted from `left`.
///
/// # Errors
///
/// The message of the TASK_ERROR.
pub fn task(
    task: &TaskInfo,
    framework: &str,
    offer: &Offer,
    left: &mut Left,
) -> Result<(), String> {
    if task.agent_id != offer.agent_id {
        return Err("Task uses an agent that is not the one of its offer".to_owned());
    }
    let executor = match (&task.executor, &task.command) {
        (Some(executor), None) => executor,
        (None, Some(_)) => return left.take_all(&task.resources),
        (Some(_), Some(_)) | (None, None) => {
            return Err("Task should have exactly one of CommandInfo and ExecutorInfo".to_owned());
        }
    };
    let named = executor.framework_id.as_ref().map(|id| id.value.as_str());
    if named.is_some_and(|id| id != framework) {
        return Err("ExecutorInfo has an invalid FrameworkID".to_owned());
    }
    if executor.command.is_none() {
        return Err("'ExecutorInfo.command' must be set for 'CUSTOM' executor".to_owned());
    }
    if task.resources.is_empty() {
        return Err("Task uses no resources".to_owned());
    }
    left.take_all(&task.resources)?;
    left.take_all(&executor.resources)
}

/// The remaining resources of an offer.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// By name, the role to which it is allocated, and the role for which it is reserved.
    scalars: BTreeMap<Kind, f64>,
    ports: BTreeMap<Kind, Vec<u64>>,
}

type Kind = (String, String, String);

impl Left {
    /// All resources of an offer.
    pub fn of(offer: &Offer) -> Self {
        let mut left = Self::default();
        for resource in &offer.resources {
            let Ok(kind) = kind(resource) else { continue };
            if let Some(scalar) = &resource.scalar {
                *left.scalars.entry(kind.clone()).or_default() += scalar.value;
            }
            left.ports
                .entry(kind)
                .or_default()
                .extend(numbers(resource));
        }
        left
    }

    fn take_all(&mut self, resources: &[Resource]) -> Result<(), String> {
        resources
            .iter()
            .try_for_each(|resource| self.take(resource))
    }

    fn take(&mut self, resource: &Resource) -> Result<(), String> {
        let kind = kind(resource)?;
        let is_more = || format!("Task uses more than it was offered: {kind:?}");
        if let Some(scalar) = &resource.scalar {
            let left = self.scalars.get_mut(&kind).ok_or_else(is_more)?;
            // Mesos counts in thousandths.
            let fits = scalar.value > 0.0 && scalar.value <= *left + 0.0005;
            if !fits {
                return Err(is_more());
            }
            *left -= scalar.value;
        }
        let left = self.ports.entry(kind.clone()).or_default();
        for port in numbers(resource) {
            let at = left.iter().position(|free| *free == port);
            left.swap_remove(at.ok_or_else(is_more)?);
        }
        Ok(())
    }
}

fn kind(resource: &Resource) -> Result<Kind, String> {
    let allocated = resource
        .allocation_info
        .as_ref()
        .and_then(|it| it.role.clone());
    let allocated =
        allocated.ok_or_else(|| format!("{} is not allocated to a role", resource.name))?;
    let reserved = resource.reservations.last().and_then(|it| it.role.clone());
    Ok((
        resource.name.clone(),
        allocated,
        reserved.unwrap_or_else(|| "*".to_owned()),
    ))
}

fn numbers(resource: &Resource) -> impl Iterator<Item = u64> {
    let ranges = resource.ranges.iter().flat_map(|ranges| &ranges.range);
    ranges.flat_map(|range| range.begin..=range.end)
}
