//! A single job.

use super::object::{Field, Object};
use super::{echo, hooks, uuid};
use crate::codec::fault::{Code, Fault};
use crate::codec::json::Json;
use crate::codec::pattern;
use crate::codec::query::shortened;
use crate::core::job::{Constraint, JobSpec, Priority, Retries, Runtime, Uri, UriUse, Variable};
use crate::core::request::NewJob;
use crate::core::words::{
    Amount, Command, Demand, EnvName, GroupId, JobId, JobName, LabelText, NotEmpty,
};

/// Maximum number of uris of one job. It bounds the size of replies; more is a mistake.
const MAX_URIS: usize = 1_000;
/// Maximum number of constraints of one job, for the same reason.
const MAX_CONSTRAINTS: usize = 100;

/// The default of Cook's client.
const DEFAULT_CPUS: f64 = 1.0;
/// The default of Cook's client, in MB.
const DEFAULT_MEM: f64 = 128.0;

/// The longest run time that Cook knows; it means no limit.
pub(super) const LONGEST_RUNTIME: u64 = i64::MAX.unsigned_abs();

pub(super) fn read(path: &str, json: Json) -> Result<NewJob, Fault> {
    let mut object = Object::open(path, json, "{\"command\": \"echo hello\"}")?;
    let id = object.get("uuid", uuid)?.map(JobId);
    let command = object.get("command", |field| field.checked(Command::new))?;
    let before = object.get("before_commands", hooks::read)?;
    let after = object.get("after_commands", hooks::read)?;
    refuse_unsupported(&mut object)?;
    let max_retries = object.get("max_retries", retries)?;
    let spec = JobSpec {
        command,
        before: before.unwrap_or_default(),
        after: after.unwrap_or_default(),
        name: object
            .get("name", |field| field.checked(JobName::new))?
            .unwrap_or_default(),
        priority: object.get("priority", priority)?.unwrap_or_default(),
        demand: demand(&mut object)?,
        max_retries: max_retries.unwrap_or(Retries::ONE),
        max_runtime: object.get("max_runtime", runtime)?,
        expected_runtime: object.get("expected_runtime", runtime)?,
        env: object.get("env", env)?.unwrap_or_default(),
        labels: object.get("labels", labels)?.unwrap_or_default(),
        uris: object.get("uris", uris)?.unwrap_or_default(),
        constraints: object.get("constraints", constraints)?.unwrap_or_default(),
        group: object.get("group", uuid)?.map(GroupId),
        progress_output_file: object
            .get("progress_output_file", |field| field.checked(NotEmpty::new))?,
        progress_regex: object.get("progress_regex_string", |field| field.checked(regex))?,
        counts_all_failures: object
            .get("disable_mea_culpa_retries", Field::flag)?
            .unwrap_or(false),
        application: object.get("application", echo::application)?,
        names_executor: object.get("executor", executor)?.is_some(),
        pool: None,
        checkpoint: object.get("checkpoint", echo::checkpoint)?,
    };
    // Old clients send this key; Cook ignores it.
    object.get("status", Field::text)?;
    object.close()?;
    if spec.command.is_none() && spec.before.is_empty() && spec.after.is_empty() {
        let path = if path.is_empty() {
            "command".to_owned()
        } else {
            format!("{path}.command")
        };
        return Err(Fault::Shape {
            path,
            code: Some(Code::Missing),
            text:
                "is missing: a job needs a command, or hooks in before_commands or after_commands"
                    .to_owned(),
        });
    }
    if let (Some(expected), Some(max)) = (spec.expected_runtime, spec.max_runtime)
        && expected > max
    {
        let (expected, max) = (expected.millis(), max.millis());
        return Err(Fault::Rule(format!(
            "expected_runtime ({expected}) must not be above max_runtime ({max})"
        )));
    }
    Ok(NewJob { id, spec })
}

fn regex(text: String) -> Result<NotEmpty, String> {
    let text = NotEmpty::new(text).map_err(|error| error.to_string())?;
    pattern::check(text.as_str()).map_err(|error| error.to_string())?;
    Ok(text)
}

/// Refuses keys of Cook that need unsupported features.
fn refuse_unsupported(object: &mut Object) -> Result<(), Fault> {
    if let Some(gpus) = object.take("gpus") {
        // Some clients always send the key, with 0.
        if gpus.whole(0)? > 0 {
            return Err(Fault::Rule("GPU support is not enabled".to_owned()));
        }
    }
    if object.take("disk").is_some() {
        let text = "Disk specifications are not supported by this scheduler: leave disk out";
        return Err(Fault::Rule(text.to_owned()));
    }
    if object.take("container").is_some() {
        let text = "Containers are not supported by this scheduler: leave container out";
        return Err(Fault::Rule(text.to_owned()));
    }
    Ok(())
}

fn demand(object: &mut Object) -> Result<Demand, Fault> {
    let amount = |field: Field| {
        let amount = field.json.number().map(Amount::positive);
        match amount {
            Some(Ok(amount)) => Ok(amount),
            _ => Err(field.wrong("a number above 0")),
        }
    };
    let cpus = object.get("cpus", amount)?;
    let mem = object.get("mem", amount)?;
    let ports = object.get("ports", |field| {
        let number = field.whole(0)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    })?;
    Ok(Demand {
        cpus: cpus.unwrap_or_else(|| Amount::from_f64(DEFAULT_CPUS)),
        mem: mem.unwrap_or_else(|| Amount::from_f64(DEFAULT_MEM)),
        ports: ports.unwrap_or(0),
    })
}

fn retries(field: Field) -> Result<Retries, Fault> {
    let number = field.whole(1)?;
    let retries = u32::try_from(number).ok().and_then(Retries::new);
    retries.ok_or_else(|| too_many_retries(number))
}

/// Cook's text for too many attempts.
pub(super) fn too_many_retries(number: u64) -> Fault {
    Fault::Rule(format!(
        "Requested {number} exceeds the maximum retry limit"
    ))
}

fn priority(field: Field) -> Result<Priority, Fault> {
    let number = field
        .json
        .whole()
        .and_then(|number| u32::try_from(number).ok());
    let priority = number.and_then(Priority::new);
    priority.ok_or_else(|| field.wrong(&format!("a whole number from 0 to {}", Priority::HIGHEST)))
}

fn runtime(field: Field) -> Result<Runtime, Fault> {
    let number = field.whole(1)?;
    Runtime::from_millis(number.min(LONGEST_RUNTIME))
        .ok_or_else(|| field.wrong("a whole number from 1"))
}

fn env(field: Field) -> Result<Vec<Variable>, Fault> {
    let variable = |(field, name): (Field, String)| {
        let path = field.path.clone();
        let wrong = |error| Fault::shape(&path, format!("{error}"));
        let name = EnvName::new(name).map_err(|error| {
            Fault::shape(&path, format!("is not a valid variable name: it {error}"))
        })?;
        Variable::new(name, field.text()?).map_err(wrong)
    };
    field.strings()?.into_iter().map(variable).collect()
}

/// The name and value of a label.
type Label = (Box<str>, Box<str>);

fn labels(field: Field) -> Result<Vec<Label>, Fault> {
    let label = |(field, name): (Field, String)| Ok((name.into(), field.text()?.into()));
    field.strings()?.into_iter().map(label).collect()
}

fn uris(field: Field) -> Result<Vec<Uri>, Fault> {
    let path = field.path.clone();
    let items = field.items("uris such as {\"value\": \"...\"}")?;
    if items.len() > MAX_URIS {
        let text = format!("has {} uris: at most {MAX_URIS}", items.len());
        return Err(Fault::shape(&path, text));
    }
    items.into_iter().map(uri).collect()
}

fn uri(field: Field) -> Result<Uri, Fault> {
    let mut object = Object::open(&field.path, field.json, "{\"value\": \"...\"}")?;
    let uri = Uri {
        value: object.need("value")?.checked(NotEmpty::new)?,
        is_for: UriUse {
            executable: object.get("executable", Field::flag)?.unwrap_or(false),
            extract: object.get("extract", Field::flag)?.unwrap_or(false),
        },
        cache: object.get("cache", Field::flag)?.unwrap_or(false),
    };
    object.close()?;
    Ok(uri)
}

fn constraints(field: Field) -> Result<Vec<Constraint>, Fault> {
    let path = field.path.clone();
    let items = field.items("constraints such as [\"HOSTNAME\", \"EQUALS\", \"host1\"]")?;
    if items.len() > MAX_CONSTRAINTS {
        let text = format!("has {} constraints: at most {MAX_CONSTRAINTS}", items.len());
        return Err(Fault::shape(&path, text));
    }
    items.into_iter().map(constraint).collect()
}

fn constraint(field: Field) -> Result<Constraint, Fault> {
    let wrong = field.wrong("[attribute, \"EQUALS\", value], three strings");
    let items = field.items("three strings")?;
    let Ok([attribute, operator, value]) = <[Field; 3]>::try_from(items) else {
        return Err(wrong);
    };
    let place = operator.path.clone();
    let operator = operator.text()?;
    if !operator.eq_ignore_ascii_case("equals") {
        let found = shortened(&operator);
        let text = format!("must be \"EQUALS\", the only operator, found {found:?}");
        return Err(Fault::shape(&place, text));
    }
    Ok(Constraint {
        attribute: attribute.checked(LabelText::new)?,
        value: value.checked(LabelText::new)?,
    })
}

fn executor(field: Field) -> Result<(), Fault> {
    let path = field.path.clone();
    match field.text()?.as_str() {
        "cook" => Ok(()),
        "mesos" => Err(Fault::Rule(
            "executor must be \"cook\": this scheduler runs every job with cook-executor"
                .to_owned(),
        )),
        other => {
            let text = format!("must be \"cook\", found {:?}", shortened(other));
            Err(Fault::shape(&path, text))
        }
    }
}
