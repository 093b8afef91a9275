//! `before_commands` and `after_commands`.

use super::object::{Field, Object};
use crate::codec::fault::Fault;
use crate::core::words::{Command, Guard, Hook, HookTimeout, Timing};

/// Maximum number of hooks on one side. It bounds the size of replies; more is a mistake.
const MAX_HOOKS: usize = 1_000;

pub(super) fn read(field: Field) -> Result<Vec<Hook>, Fault> {
    let path = field.path.clone();
    let items = field.items("commands such as {\"value\": \"...\"}")?;
    if items.len() > MAX_HOOKS {
        let text = format!("has {} commands: at most {MAX_HOOKS}", items.len());
        return Err(Fault::shape(&path, text));
    }
    items.into_iter().map(hook).collect()
}

fn hook(field: Field) -> Result<Hook, Fault> {
    let mut object = Object::open(&field.path, field.json, "{\"value\": \"...\"}")?;
    let value = object.need("value")?;
    let guard = object.get("guard", Field::flag)?.unwrap_or(false);
    let is_async = object.get("async", Field::flag)?.unwrap_or(false);
    let timeout = object.get("timeout", |field| {
        let timeout = field.json.number().and_then(HookTimeout::from_seconds);
        timeout.ok_or_else(|| field.wrong("a number of seconds above 0, at most a year"))
    })?;
    object.close()?;
    Ok(Hook {
        command: value.checked(Command::new)?,
        guard: if guard {
            Guard::Guarded
        } else {
            Guard::Unguarded
        },
        timing: match is_async {
            true => Timing::Asynchronous,
            false => Timing::Synchronous,
        },
        timeout,
    })
}
